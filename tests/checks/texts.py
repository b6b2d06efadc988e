#!/usr/bin/python3
"""No text of ours names a folder of the machine it was written on, or says that something is still to be done."""
import re

import house

# Written in pieces, so that this file does not find itself.
WRONG = {
    r"(?<![\w.~-])/wo" + r"rk/": "a path of one machine",
    r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b": "do it, or say in docs/ or README what is not done",
}


def check(tree):
    return [f'{path}:{number}: "{match[0]}": {why}'
            for path, number, line in tree.lines("")
            for pattern, why in WRONG.items() if (match := re.search(pattern, line))]


if __name__ == "__main__":
    house.run(check, must_refuse=[
        ({"docs/a.md": "see /wo" + "rk/main\n"}, "a path of one machine"),
        ({"a.c": "\n// TO" + "DO later\n"}, "a.c:2:"),
        ({"a.py": "# FIX" + "ME\n"}, "do it"),
    ], must_accept=[{"a.c": 'mkstemp("kedge.XXXXXX"); "/srv/wo' + 'rk/x"\n'}])
