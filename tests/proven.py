#!/usr/bin/python3
"""What is proven: the ids of tests/README.md, each with the tests whose names begin with it (of a lesson: hold it).

    python3 tests/proven.py

Reads the sources of the tests, so it needs no build.
"""
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent
ROW = re.compile(r"^\| ([FA]\d+|lesson_\d\d)(?:–[FA]\d+)? \| ([^|]+) \|", re.MULTILINE)
C_TEST = re.compile(r'^TEST\("([^"]*)"', re.MULTILINE)
PY_TEST = re.compile(r"^\s*def (test_\w+)", re.MULTILINE)
ID = re.compile(r"(?<![A-Za-z0-9])[FA]\d+(?![0-9])|lesson_\d\d")


def names():
    for path in sorted(TESTS.rglob("*")):
        text = path.read_text(encoding="utf-8") if path.suffix in (".c", ".py") else ""
        for name in C_TEST.findall(text) if path.suffix == ".c" else PY_TEST.findall(text):
            yield path.relative_to(TESTS), name


def main():
    proofs = {}
    for path, name in names():
        for i in set(ID.findall(re.sub(r"_(?=[FA]\d)|(?<=\d)_", " ", name))):
            proofs.setdefault(i, set()).add(str(path))
    for i, promise in ROW.findall((TESTS / "README.md").read_text(encoding="utf-8")):
        print(f"{i:9} {promise[:64]:64} {', '.join(sorted(proofs.get(i, []))) or '-'}")


if __name__ == "__main__":
    sys.exit(main())
