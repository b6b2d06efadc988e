"""kedge-znode: what it says it has written is written, and what it has not written it says."""
import os
import pathlib
import subprocess

import pytest

from prober_kit import ZooKeeper, free_port

ZNODE = pathlib.Path(os.environ["KEDGE_BUILD"], "agent/znode/kedge-znode")
NODE = "/app/settings/delay"


@pytest.fixture
def zk():
    with ZooKeeper({NODE: b"300"}) as server:
        yield server


def znode(*words, code=0):
    done = subprocess.run([ZNODE, *map(str, words)], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == code and done.stdout == "", done
    assert done.stderr == "" if code == 0 else done.stderr.startswith("kedge-znode: "), done
    assert done.stderr.count("\n") == (code != 0), "one sentence"
    return done.stderr


def test_a_value_is_written(zk):
    znode(zk.address, NODE, 0)
    assert zk.nodes[NODE] == b"0"
    znode(zk.address, NODE, "")
    assert zk.nodes[NODE] == b""
    assert [path for operation, path in zk.log if operation == zk.SET] == [NODE] * 2


def test_a_node_that_is_not_there_is_made(zk):
    znode(zk.address, "/app/new", "7")
    assert zk.nodes["/app/new"] == b"7"


def test_a_node_that_somebody_makes_in_between_is_written(zk):
    """It is not there when it is to be set, and is there when it is to be made."""
    values = iter([None, b"somebody's"])

    def between():
        value = next(values, None)
        if value is not None:
            zk.nodes["/app/new"] = value
    zk.before_write = between
    znode(zk.address, "/app/new", "7")
    assert zk.nodes["/app/new"] == b"7"
    assert [operation for operation, _ in zk.log if operation in (zk.SET, zk.CREATE)] == [zk.SET, zk.CREATE, zk.SET]


def test_several_servers_and_a_root(zk):
    znode(f"127.0.0.1:{free_port()},{zk.address}/app", "/settings/delay", "7")
    assert zk.nodes[NODE] == b"7"


def test_a_lost_connection_begins_anew(zk):
    losses = iter([ConnectionResetError()] * 2)

    def lose():
        for loss in losses:
            raise loss
    zk.before_write = lose
    znode(zk.address, NODE, "7")
    assert zk.nodes[NODE] == b"7" and zk.n_accepted == 3


def test_what_is_refused_is_said(zk):
    zk.secret.add(NODE)
    assert "not authenticated" in znode(zk.address, NODE, "7", code=1)
    assert zk.nodes[NODE] == b"300"


def test_who_does_not_answer_is_named(zk):
    nobody = f"127.0.0.1:{free_port()}"
    assert znode("--timeout", 1, nobody, NODE, "7", code=1) == f"kedge-znode: {nobody} does not answer\n"
    zk.hangs = True
    assert znode("--timeout", 1, zk.address, NODE, "7", code=1) == f"kedge-znode: {zk.address} does not answer\n"
    zk.hangs = False


@pytest.mark.parametrize("words", [(), ("a:1", "/b"), ("a:1", "b", "c"), ("a:1", "/b", "c", "d"), ("--timeout", "0", "a:1", "/b", "c"),
                                   ("--timeout", "1x", "a:1", "/b", "c"), ("--force", "a:1", "/b", "c")])
def test_usage(words):
    done = subprocess.run([ZNODE, *words], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and done.stdout == "" and "--help" in done.stderr
