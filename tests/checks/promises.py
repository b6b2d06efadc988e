#!/usr/bin/python3
"""What `meson test --list` says is proven, is what the tests say: the ids in a row of tests/unit/meson.build are those
that begin the names of its tests.
"""
import re

import house

ROW = re.compile(r"^\s*'(\w+)'\s*:\s*\{(.*)\}", re.MULTILINE)
ID = re.compile(r"\b[FA]\d+\b")


def ids_of_tests(text):
    return {i for title in re.findall(r'^TEST\("([^"]*)"', text, re.MULTILINE)
            for i in ID.findall(re.match(r"(?:[FA]\d+\W+)*", title)[0])}


def check(tree):
    findings = []
    table = tree.files.get("tests/unit/meson.build", "")
    for name, row in ROW.findall(table):
        proves = re.search(r"'proves'\s*:\s*'([^']*)'", row)
        said = set(ID.findall(proves[1])) if proves else set()
        proven = ids_of_tests(tree.files.get(f"tests/unit/test_{name}.c", ""))
        for what, ids in (("says, but no test of it begins with", said - proven), ("does not say, but a test begins with", proven - said)):
            if ids:
                findings.append(f"tests/unit/meson.build: '{name}' {what} {' '.join(sorted(ids))}")
    return findings


if __name__ == "__main__":
    def tree(row, test):
        return {"tests/unit/meson.build": "unit_tests += {\n  " + row + ",\n}\n", "tests/unit/test_a.c": test}

    house.run(check, must_refuse=[
        (tree("'a' : {'proves' : 'F07'}", 'TEST("success") {\n'), "says, but no test of it begins with F07"),
        (tree("'a' : {}", 'TEST("A5 F07: success") {\n'), "does not say, but a test begins with A5 F07"),
    ], must_accept=[
        tree("'a' : {'deps' : [x], 'proves' : 'A5 F07'}", 'TEST("A5, F07 x") {\nTEST("the row F9")\n'),
        tree("'a' : {}", 'TEST("plain") {\n'),
    ])
