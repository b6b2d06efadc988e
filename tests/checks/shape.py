#!/usr/bin/python3
"""The shape of a file: it opens with a comment (a header with its purpose, a .c with its why; a unit test has the titles
of its tests instead), a header has a guard of its own, and no file outgrows one idea.
"""
import re

import house

LINES_MAX = 700


def check(tree):
    findings, guards = [], {}
    for path, text in sorted(tree.files.items()):
        if not re.search(r"\.(c|h|py|java)$", path):
            continue
        if (n_lines := text.count("\n")) > LINES_MAX:
            findings.append(f"{path}: {n_lines} lines: more than {LINES_MAX} are more than one idea")
        if re.search(r"\.[ch]$", path) and not path.startswith("tests/unit/test_") and not re.match(r"/[*/]", text):
            findings.append(f"{path}:1: does not open with a comment that says what it is for, or why")
        if path.endswith(".h"):
            guard = re.search(r"^#ifndef (KEDGE_\w+_H)\n#define \1\n", text, re.MULTILINE)
            if not guard or guard[1] in guards:
                findings.append(f"{path}: has no guard KEDGE_..._H of its own" + (f", {guards[guard[1]]} has it" if guard else ""))
            else:
                guards[guard[1]] = path
    return findings


if __name__ == "__main__":
    header = "/* What it is for. */\n#ifndef KEDGE_A_H\n#define KEDGE_A_H\n#endif\n"
    house.run(check, must_refuse=[
        ({"a.c": "/* why */\n" + "\n" * LINES_MAX}, "701 lines"),
        ({"a.c": '#include "a/b.h"\n'}, "does not open"),
        ({"a.h": header, "b.h": header}, "b.h: has no guard KEDGE_..._H of its own, a.h has it"),
        ({"a.h": "/* a */\n#pragma once\n"}, "no guard"),
    ], must_accept=[
        {"a.c": "/* why */\n" + "\n" * (LINES_MAX - 1), "b.c": "// Why.\n", "a.h": header},
        {"tests/unit/test_a.c": '#include "a.h"\n'},
    ])
