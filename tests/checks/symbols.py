#!/usr/bin/python3
"""usage: symbols.py BUILD. Every global name stands in one archive of ours only.

Two archives with a function of one name link without a word: the linker takes whichever it sees first, and the other room
calls a stranger. It happened, and kedged died on `plan`. A name for one file is static; a name for others bears its room.
"""
import glob
import os
import subprocess
import sys

import house


def names_of(archive):
    """What an archive defines for others: functions and variables, each with the object that defines it."""
    text = subprocess.run(["nm", "--defined-only", "--extern-only", archive],
                          capture_output=True, text=True, check=True).stdout
    names, member = [], "?"
    for line in text.splitlines():
        words = line.split()
        if line.endswith(".o:"):
            member = line[:-1]
        elif len(words) == 3 and words[1] in "TDBRVWC":
            names.append((words[2], member))
    return names


def check(archives):
    """archives: name -> [(symbol, object)]."""
    homes = {}
    for archive, names in sorted(archives.items()):
        for name, member in names:
            homes.setdefault(name, []).append(f"{archive}({member})")
    return [f"{name} is defined {len(places)} times: {', '.join(places)}; make it static, or name it after its room"
            for name, places in sorted(homes.items()) if len(places) > 1]


def self_test(build):
    """What must be found: a name of two archives, of two objects in one, and that nm is read at all."""
    two = check({"a.a": [("node_judge", "x.o")], "b.a": [("node_judge", "y.o"), ("other", "y.o")]})
    one = check({"a.a": [("node_judge", "x.o"), ("node_judge", "y.o")]})
    if len(two) != 1 or "node_judge" not in two[0] or len(one) != 1 or check({"a.a": [("f", "x.o")], "b.a": [("g", "y.o")]}):
        sys.exit("the check itself is broken")
    base = [name for name, _ in names_of(os.path.join(build, "common/base/libkedge-base.a"))]
    if "error_set" not in base:
        sys.exit("the check itself is broken: it does not see error_set in common/base")


def main(build):
    self_test(build)
    paths = glob.glob(os.path.join(build, "**/lib*.a"), recursive=True)
    archives = {os.path.relpath(path, build): names_of(path) for path in paths}
    n = sum(len(names) for names in archives.values())
    house.report(check(archives), f"looked at {n} names in {len(archives)} archives; tried on two that share one")


if __name__ == "__main__":
    main(sys.argv[1])
