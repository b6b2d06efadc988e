#!/usr/bin/python3
"""No system's name in C: what Kedge knows about a system is in its recipe, so that a new one needs no new code.

Holds for every C and .proto file outside tests/, comments and strings included.
"""
import re

import house

# word, in any case      the rooms where it may stand
WORDS = {
    r"bookkeeper|bookie":      [],
    r"alluxio":                [],
    r"hazelcast":              [],
    r"fluss":                  [],
    r"/ledgers|underreplic":   [],                    # ZooKeeper's paths of one system
    r"zookeeper":              ["agent/prober/", "agent/znode/"],     # a protocol, as HTTP is one
    r"demo[-_ ]store":         ["coordinator/demo/"],
}


def check(tree):
    findings = []
    for path, number, line in tree.lines(r"^(?!tests/).*\.([ch]|proto)$"):
        for word, rooms in WORDS.items():
            match = re.search(word, line, re.IGNORECASE)
            if match and not any(path.startswith(room) for room in rooms):
                where = f"only in {', '.join(rooms)}" if rooms else "it belongs in a recipe"
                findings.append(f'{path}:{number}: "{match[0]}": {where}')
    return findings


if __name__ == "__main__":
    house.run(check, must_refuse=[
        ({"agent/executor/a.c": "x\n/* as a Bookie does */\n"}, 'agent/executor/a.c:2: "Bookie"'),
        ({"agent/prober/a.c": 'get("/ledgers");\n'}, '"/ledgers"'),
        ({"coordinator/engine/a.h": "int zookeeper_get(void);\n"}, "only in agent/prober/, agent/znode/"),
        ({"coordinator/cli/demo.c": 'start("demo-store");\n'}, "only in coordinator/demo/"),
    ], must_accept=[
        {"agent/prober/a.c": "zookeeper_init();\n", "tests/unit/test_a.c": "bookie\n", "docs/a.md": "Fluss\n"},
        {"coordinator/demo/a.c": "demo_store demo-store\n", "coordinator/recipes/bookkeeper.yaml": "bookie\n"},
    ])
