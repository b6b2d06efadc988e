#!/usr/bin/python3
"""The direction of knowledge: which room may include which, and which room may know which library.

Knowledge points one way. A room that is not in the table, or an include that is not from the top folder, is refused.
"""
import re

import house

BASE = ["common/base"]
PURE = ["common/base", "common/trust", "common/plan"]

# room                   the rooms that it may include besides itself
MAY_INCLUDE = {
    "common/base":           [],
    "common/trust":          BASE,
    "common/yaml":           BASE,
    "common/nng":            BASE + ["common/trust"],
    "common/sqlite":         BASE,
    "proto":                 BASE + ["common/trust"],
    "common/plan":           BASE + ["common/trust", "proto"],
    "common/archive":        BASE + ["common/trust", "common/plan"],

    "agent/core":            PURE,
    # a single header is what two processes say to each other; the room behind it stays out of sight
    "agent/executor":        ["common", "proto", "agent/core", "agent/link/link_client.h", "agent/prober/prober_ipc.h"],
    "agent/link":            ["common", "proto", "agent/core"],
    "agent/prober":          ["common", "proto", "agent/core"],
    "agent/stager":          ["common", "proto", "agent/core"],
    "agent/znode":           ["common"],

    "coordinator/planner":   PURE + ["coordinator/recipes"],
    "coordinator/engine":    PURE,
    "coordinator/recipes":   BASE + ["common/plan", "common/yaml"],
    "coordinator/store":     ["common", "coordinator/engine"],
    "coordinator/fleet":     ["common", "proto"],
    "coordinator/control":   ["common", "proto"],
    "coordinator/web":       ["common"],
    "coordinator/cli":       ["common", "proto", "coordinator/control", "coordinator/recipes", "coordinator/planner",
                              "coordinator/rehearsal/rehearsal.h", "coordinator/rehearsal/stage.h"],
    "coordinator/daemon":    ["common", "proto", "coordinator"],
    "coordinator/rehearsal": ["common", "proto", "coordinator", "agent/core"],
    "coordinator/demo":      ["common"],

    "tests":                 ["common", "proto", "agent", "coordinator"],
}

# header of a library            where it may be included, tests aside
MAY_KNOW = {
    r"nng/":                       ["common/nng"],
    r"sqlite3\.h":                 ["common/sqlite"],
    r"yaml\.h":                    ["common/yaml"],
    r"protobuf-c/|.*\.pb-c\.h":    ["proto", "common/plan/encoding.c"],
    r"zookeeper/":                 ["agent/prober", "agent/znode"],
    r"curl/":                      ["agent/prober", "agent/stager", "coordinator/demo"],
    r"archive(_entry)?\.h":        ["common/archive"],
    r"microhttpd\.h":              ["coordinator/web", "coordinator/demo", "coordinator/fleet"],
    r"systemd/":                   ["agent/executor", "agent/link", "agent/prober", "coordinator/fleet",
                                    "coordinator/control", "coordinator/daemon"],
    r"jansson\.h":                 ["agent/prober", "coordinator/control", "coordinator/cli",
                                    "coordinator/daemon", "coordinator/demo"],
}

INCLUDE = re.compile(r'\s*#\s*include\s*(["<])([^">]+)')


def room_of(path):
    """The longest row of the table that the path lies in, or None."""
    rooms = [room for room in MAY_INCLUDE if path.startswith(room + "/")]
    return max(rooms, key=len, default=None)


def lies_in(path, rooms):
    return any(path == room or path.startswith(room + "/") for room in rooms)


def check_include(path, room, mark, name):
    """What is wrong with one include, or None."""
    if mark == "<" or ".pb-c.h" in name:
        for header, places in MAY_KNOW.items():
            if re.match(header, name) and room != "tests" and not path.startswith(tuple(places)):
                return f"<{name}> is known to {', '.join(places)} only"
        return None
    if "/" not in name:
        return f'"{name}" is not named from the top folder (say "{room}/{name}")'
    if not lies_in(name, [room] + MAY_INCLUDE[room]):
        return f'"{name}" is out of sight here; {room} may include: {", ".join([room] + MAY_INCLUDE[room])}'
    return None


def check(tree):
    findings = []
    for path, number, line in tree.code_lines():
        match = INCLUDE.match(line)
        if not match:
            continue
        room = room_of(path)
        wrong = check_include(path, room, *match.groups()) if room else "its folder has no row in tests/checks/includes.py"
        if wrong:
            findings.append(f"{path}:{number}: {wrong}")
    return findings


if __name__ == "__main__":
    house.run(check, must_refuse=[
        ({"common/base/a.c": '#include "proto/codec.h"\n'}, 'common/base/a.c:1: "proto/codec.h" is out of sight'),
        ({"agent/core/a.c": '\n#include "coordinator/engine/engine.h"\n'}, "agent/core/a.c:2:"),
        ({"coordinator/cli/a.c": '#include "agent/core/core.h"\n'}, "out of sight"),
        ({"coordinator/engine/a.h": '#  include "coordinator/store/store.h"\n'}, "out of sight"),
        ({"agent/link/a.c": '#include "agent/executor/executor.h"\n'}, "out of sight"),
        ({"agent/executor/a.c": '#include "agent/prober/http.h"\n'}, "out of sight"),
        ({"agent/core/a.c": '#include "core.h"\n'}, "not named from the top folder"),
        ({"coordinator/attic/a.c": '#include "common/base/error.h"\n'}, "no row"),
        ({"coordinator/store/a.c": "#include <sqlite3.h>\n"}, "known to common/sqlite only"),
        ({"agent/executor/a.c": "#include <nng/nng.h>\n"}, "known to common/nng only"),
        ({"agent/link/a.c": '#include "proto/wire.pb-c.h"\n'}, "known to proto, "),
        ({"agent/link/a.c": "#include <protobuf-c/protobuf-c.h>\n"}, "known to proto, "),
    ], must_accept=[
        {"agent/core/a.c": '#include "agent/core/core.h"\n#include <string.h>\n/* #include "proto/x.h" */\n'},
        {"agent/executor/a.c": '#include "agent/prober/prober_ipc.h"\n'},
        {"coordinator/daemon/a.c": '#include "coordinator/store/store.h"\n#include "proto/codec.h"\n'},
        {"proto/a.c": '#include "proto/wire.pb-c.h"\n', "common/nng/a.c": "#include <nng/nng.h>\n"},
    ])
