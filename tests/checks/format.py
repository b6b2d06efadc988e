#!/usr/bin/python3
"""The layout of C is what clang-format 14 makes of it by .clang-format; `clang-format -i FILE` mends a file."""
import os
import re
import subprocess
import sys

import house


def findings_of(arguments, text=None):
    """One line for each file that differs, with the first place."""
    done = subprocess.run(["clang-format", "--style=file", "--dry-run", "--Werror"] + arguments,
                          input=text, cwd=house.TOP, capture_output=True, text=True)
    places = re.findall(r"^(.*?:\d+):\d+: error: code should be clang-formatted", done.stderr, re.MULTILINE)
    if done.returncode != 0 and not places:
        sys.exit(f"clang-format failed: {done.stderr}")
    first = {place.rsplit(":", 1)[0]: place for place in reversed(places)}
    return [f"{place}: layout, here and maybe below (clang-format -i mends it)" for place in sorted(first.values())]


if __name__ == "__main__":
    wrong = "int f(int a)\n{\n  return a ;\n}\n"
    if not findings_of(["--assume-filename=a.c"], wrong):
        sys.exit("the check itself is broken: it accepts " + repr(wrong))
    files = [p for p in house.paths_of_repository() if p.endswith((".c", ".h")) and os.path.exists(os.path.join(house.TOP, p))]
    house.report(findings_of(files), f"{len(files)} files; tried on one that it must refuse")
