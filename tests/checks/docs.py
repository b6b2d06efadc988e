#!/usr/bin/python3
"""What the pages say is there: every command and option of the CLI in kedge.1, every key of the example files known to
the real programs and every key of those in its page, every relative link, every file in docs/map.md's tables."""
import os
import re
import subprocess
import sys
import tempfile

import house

MAN = "packaging/man/"


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def roff_text(page):
    """A man page as words: font changes, escapes and macros' names away."""
    text = re.sub(r"\\f[PRBI]", "", page).replace("\\-", "-").replace("\\e", "\\").replace('"', "")
    lines = []
    for line in text.splitlines():
        joined = re.match(r"\.(BR|BI|RB|RI|IR|IB) (.*)", line)
        lines.append(joined[2] if joined else re.sub(r"^\.\w+ ?", "", line))
    return "\n".join(lines)


# ---- kedge.1 ----

def names(help_text):
    """The first words of an indented list: "  pause [RUN]    begin nothing new" gives pause."""
    return re.findall(r"^  ([a-z][a-z-]*)\b(?=.* {2})", help_text, re.MULTILINE)


def commands(kedge):
    """(words of a command, its help text), walked as a person would: help, help NOUN, help NOUN VERB."""
    for noun in names(output(kedge, "help").stdout.split("\nExample")[0]):
        text = output(kedge, "help", noun).stdout
        verbs = names(text.split("\nExample")[0]) if f"kedge help {noun} VERB" in text else []
        for verb in verbs:
            yield f"kedge {noun} {verb}", output(kedge, "help", noun, verb).stdout
        if not verbs:
            yield f"kedge {noun}", text


def missing_in_page(page, found):
    text = roff_text(page)
    for words, help_text in found:
        if not re.search(rf"^{words}\b", text, re.MULTILINE):
            yield f"{MAN}kedge.1: \"{words}\" is not explained"
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_text.split("\nExample")[0])):
            if not re.search(rf"{option}(?![\w-])", text):
                yield f"{MAN}kedge.1: option {option} of \"{words}\" is not explained"


# ---- the example files ----

def keys_of(yaml):
    return set(re.findall(r"^[\s#-]*(?:\{)?([a-z][a-z-]*):(?: |$)", yaml, re.MULTILINE))


def keys_missing(tree, name, page):
    text = roff_text(tree.files[page])
    for key in sorted(keys_of(tree.files[name])):
        if not re.search(rf"^{key}$", text, re.MULTILINE):
            yield f"{page}: key {key} of {name} is not explained"


def refused(command, name):
    said = output(*command)
    if said.returncode != 0:
        yield f"{name}: refused by the program that reads it: {said.stderr.strip() or said.stdout.strip()}"


# ---- links and the map ----

def broken_links(tree):
    for path, number, line in tree.lines(r"\.md$"):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:|#", target):
                continue
            goal = os.path.normpath(os.path.join(os.path.dirname(path), target.split("#")[0]))
            if goal not in tree.files and not any(p.startswith(goal + "/") for p in tree.files):
                yield f"{path}:{number}: link to {target}: there is no {goal}"


def broken_map(tree):
    """Every `path/with.ending` in a table row or in the list of rooms of the map."""
    for number, line in enumerate(tree.files.get("docs/map.md", "").splitlines(), 1):
        if line.startswith("|"):
            for path in re.findall(r"`([\w./-]+/[\w.-]+\.(?:c|h|py|yaml|proto|md))`", line):
                if path not in tree.files:
                    yield f"docs/map.md:{number}: there is no {path}"
        room = re.match(r"((?:common|proto|agent|coordinator)/[\w/]*)  ", line)
        if room and not any(p.startswith(room[1].rstrip("/") + "/") for p in tree.files):
            yield f"docs/map.md:{number}: there is no room {room[1]}"


def check_pages(tree):
    return list(broken_links(tree)) + list(broken_map(tree))


# ---- tried first on what must be found ----

def try_itself():
    page = ".TP\n.BI \"kedge run pause \\fR[\\fP\" RUN \\fR]\\fP\n.TP\n.BI \\-\\-reason \" TEXT\"\n"
    help_text = "kedge run pause\n\n  --reason TEXT   why\n  --new   x\n\nExample: kedge --other\n"
    found = list(missing_in_page(page, [("kedge run pause", help_text), ("kedge run stop", "")]))
    if len(found) != 2 or "--new" not in found[0] or "run stop" not in found[1]:
        sys.exit(f"the check itself is broken: {found!r}")
    if keys_of("a: 1\nbc:\n  - d: {}\n  #  - {e-f: x, g: y}\n") != {"a", "bc", "d", "e-f"}:
        sys.exit("the check itself is broken: it does not see the keys of an example")


def main():
    programs = sys.argv[1:4]
    if len(programs) != 3:
        sys.exit("usage: docs.py KEDGE KEDGED KEDGE-AGENT")
    try_itself()
    kedge, kedged, agent = programs
    tree = house.Tree.of_repository()
    found = list(commands(kedge))
    if len(found) < 20:
        sys.exit(f"kedge help names only {len(found)} commands; the walk over its help texts is broken")
    findings = list(missing_in_page(tree.files[MAN + "kedge.1"], found))
    for name in ("agent.yaml", "kedged.yaml"):
        findings += keys_missing(tree, f"packaging/config/{name}", f"{MAN}{name}.5")
    config = os.path.join(house.TOP, "packaging/config/")
    with tempfile.TemporaryDirectory() as state:
        findings += refused([agent, "--check", "--config", config + "agent.yaml"], "packaging/config/agent.yaml")
        findings += refused([kedged, "--check", "--state", state, "--config", config + "kedged.yaml"],
                            "packaging/config/kedged.yaml")
    if findings:
        house.report(findings, f"{len(found)} commands")
    sys.argv[1:] = []
    house.run(check_pages, must_refuse=[
        ({"docs/a.md": "see [b](b.md)\n"}, "there is no docs/b.md"),
        ({"docs/map.md": "| x | `agent/core/gone.c` |\n"}, "there is no agent/core/gone.c"),
        ({"docs/map.md": "agent/gone       what it was\n"}, "there is no room agent/gone"),
    ], must_accept=[{"README.md": "[m](docs/map.md) [h](https://example.org/x) [d](docs)\n",
                     "docs/map.md": "| `agent/core/member.c` |\n", "agent/core/member.c": ""}])


if __name__ == "__main__":
    main()
