#!/usr/bin/python3
"""usage: needed.py BUILD. What each program of the agent links by its own will: the NEEDED list of its file.

The privileged one knows no network and no archive; each helper knows one thing that it is for. `ldd` would say
something else: libsystemd itself pulls in compression.
"""
import glob
import os
import re
import subprocess
import sys

import house

EVERYBODY = {"libc", "libm", "ld-linux-x86-64", "ld-linux-aarch64", "libgcc_s"}
MESSAGES = {"libsodium", "libprotobuf-c", "libsystemd"}

# room             what its programs may need besides libc
MAY_NEED = {
    "agent/executor": MESSAGES | {"libyaml-0"},
    "agent/link":     MESSAGES | {"libnng"},
    "agent/prober":   MESSAGES | {"libcurl", "libcurl-gnutls", "libzookeeper_st", "libjansson"},
    "agent/stager":   MESSAGES | {"libcurl", "libcurl-gnutls", "libarchive"},
    "agent/znode":    {"libzookeeper_st"},
}

# Rooms that have not landed: their absence is no finding. Every other room above must have a program.
NOT_YET = {"agent/executor"}


def needed_by(program):
    """The libraries that a program names, without what follows `.so`."""
    text = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"\(NEEDED\).*\[(.*?)\.so[.\d]*\]", text))


def programs_of(folder):
    """The executables in a folder."""
    paths = sorted(glob.glob(os.path.join(folder, "*")))
    return [p for p in paths if os.path.isfile(p) and os.access(p, os.X_OK) and open(p, "rb").read(4) == b"\x7fELF"]


def check(name, needed, allowed):
    return [f"{name} needs {library}; it may need: {', '.join(sorted(allowed))}"
            for library in sorted(needed - allowed - EVERYBODY)]


def self_test(build):
    """What must be found: archives in an executor, and the libc of a program that may need nothing."""
    if not check("kedge-agent", {"libc", "libarchive", "libsodium"}, MAY_NEED["agent/executor"]):
        sys.exit("the check itself is broken: it lets the executor need libarchive")
    program = os.path.join(build, "tests/test_harness")
    if "libc" not in needed_by(program):
        sys.exit(f"the check itself is broken: it does not see that {program} needs libc")


def main(build):
    self_test(build)
    findings, looked_at, absent = [], [], []
    for room, allowed in MAY_NEED.items():
        programs = programs_of(os.path.join(build, room))
        for program in programs:
            looked_at.append(os.path.relpath(program, build))
            findings += check(looked_at[-1], needed_by(program), allowed)
        if not programs:
            absent.append(room)
            if room not in NOT_YET:
                findings.append(f"{room}: no program in {build}/{room}")
    house.report(findings, f"looked at {', '.join(looked_at) or 'none'}; not there yet: {', '.join(absent) or 'none'}; "
                           "tried on one that it must refuse")


if __name__ == "__main__":
    main(sys.argv[1])
