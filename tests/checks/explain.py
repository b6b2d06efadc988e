#!/usr/bin/python3
"""No code of the planner without an explanation, and no explanation without a code: what refuse(), warn() and consent() are
called with, against the rows of coordinator/control/explain.c, and on the right level."""
import re

import house

TABLE = "coordinator/control/explain.c"
CALL = re.compile(r'\b(refuse|warn)\(\s*p,\s*("(?P<code>[^"]*)"|(?P<word>[\w\[\].>-]+))|\b(consent)\(\s*p,\s*m,\s*"(?P<own>[^"]*)"')
ROW = re.compile(r'^\s*\{"(?P<code>[^"]*)",\s*(?P<level>BLOCKS|CONSENT),', re.MULTILINE)
PASSED_ON = {"what", "list[i].name", "const"}       # consent()'s own parameter, a recipe's own names, and definitions


def used(tree):
    for path, text in tree.files.items():
        if not re.match(r"coordinator/planner/.*\.c$", path):
            continue
        for match in CALL.finditer(text):
            if match["own"] is not None:
                yield path, match["own"], "CONSENT"
            elif match["code"] is not None:
                yield path, match["code"], "BLOCKS" if match[1] == "refuse" else "CONSENT"
            elif match["word"] not in PASSED_ON:
                yield path, match["word"], "?"


def check(tree):
    rows = {match["code"]: match["level"] for match in ROW.finditer(tree.files.get(TABLE, ""))}
    findings, seen = [], set()
    for path, code, level in used(tree):
        seen.add(code)
        if code not in rows:
            findings.append(f'{path}: code "{code}" has no row in {TABLE}')
        elif rows[code] != level:
            findings.append(f'{path}: "{code}" is {level} here and {rows[code]} in {TABLE}')
    findings += [f'{TABLE}: "{code}" is used by nothing' for code in sorted(set(rows) - seen)]
    return findings


if __name__ == "__main__":
    row = {TABLE: '    {"room",\n     BLOCKS, "", "", ""},\n'}
    a = "coordinator/planner/a.c"
    house.run(check, must_refuse=[
        ({a: 'refuse(p,\n  "room", "%s", x);\n'}, '"room" has no row'),
        (row, '"room" is used by nothing'),
        ({a: 'warn(p, "room", "", "x");\n', **row}, '"room" is CONSENT here'),
        ({a: 'consent(p, m, "cold", "x");\n'}, '"cold" has no row'),
        ({a: 'refuse(p, code, "x");\n'}, '"code" has no row'),
    ], must_accept=[
        {a: 'refuse(p, "room", "x");\nwarn(p, list[i].name, "", "%s", says);\n', **row},
    ])
