#!/bin/sh
# make_release.sh FOLDER PROGRAM SAMPLE STAMP: lays out one release folder, the whole of it anew.
set -eu
rm -rf "$1"
mkdir -p "$1/bin" "$1/conf"
cp "$2" "$1/bin/demo-store"
cp "$3" "$1/conf/demo-store.conf.sample"
chmod 755 "$1/bin/demo-store"
chmod 644 "$1/conf/demo-store.conf.sample"
: > "$4"
