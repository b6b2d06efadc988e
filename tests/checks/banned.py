#!/usr/bin/python3
"""Calls that we do not make, since each has a form that cannot overrun, lie or start a shell. See WHY."""
import re

import house

WHY = {
    "strcpy strcat stpcpy sprintf vsprintf gets": "no bound: use snprintf",
    "strtok":                                    "hidden state: walk the text, or strsep",
    "system popen":                              "a shell: use an argument vector",
    "alloca":                                    "no answer when it fails",
    "atoi atol atoll atof":                      "no error: use strtoul and check",
    "rand srand random":                         "not random: bring randomness in, or randombytes_buf",
    "tmpnam tempnam mktemp":                     "a race: use mkstemp or mkdtemp",
}
BANNED = {name: why for names, why in WHY.items() for name in names.split()}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")


def check(tree):
    return [f"{path}:{number}: {call}(): {BANNED[call]}"
            for path, number, line in tree.code_lines() for call in CALL.findall(line)]


if __name__ == "__main__":
    house.run(check, must_refuse=[
        ({"a.c": "int f(void) {\n    return atoi(text);\n}\n"}, "a.c:2: atoi()"),
        ({"a.h": "#define COPY(a, b) strcpy (a, b)\n"}, "a.h:1: strcpy()"),
        ({"a.c": 'int x = f("/*") + system("ls"); /* end */\n'}, "system()"),
    ], must_accept=[
        {"a.c": 'int x; /* system("ls") */ // rand()\nconst char *t = "strcpy(a, b)";\n'},
        {"a.c": "char c = '\"'; snprintf(a, 1, \"\"); my_strcpy(a); core->system(x); tests_rand(1);\n"},
    ])
