"""kedge-prober against the real thing: what it says of ZooKeeper and of a bookie is what is so, and what it cannot know is
unknown. The gates are those of the bookkeeper recipe in kind; the samples are read through one bookie's own port."""
import os
import pathlib
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

import bookkeeper  # noqa: E402
from load import Load  # noqa: E402
from prober_kit import (ABSENT, AT_LEAST, CAPTURE, COMPARE, NO, PRESENT, UNKNOWN, YES, ZK_CHILDREN, ZK_EXISTS,  # noqa: E402
                        ZK_FIRST, ZK_LEAVES, Prober, gate, probe, sample)

AVAILABLE, VOTES = "/ledgers/available", "/ledgers/underreplication/auditorelection"
REQUEST = bytes.fromhex("0000001402020000") + b"{o}{e}"
ANSWER = b"\xff??" * 4 + bytes.fromhex("0202000000000000") + b"{o}{e}"


@pytest.fixture(scope="module")
def prober():
    with Prober() as prober:
        yield prober


@pytest.fixture(scope="module")
def loaded(cluster):
    """Closed ledgers, and nobody who writes any more."""
    with Load(cluster.folder, cluster.zk_address) as load:
        load.finish()
    return cluster


def proof_of(cluster, i):
    me = f"127.0.0.1:{cluster.ports[i]}".encode()
    return gate(sample=sample(probe(ZK_LEAVES, cluster.zk_address, "/ledgers", match="/L[0-9]+$"), me.decode(), REQUEST,
                              ANSWER, filter="state: CLOSED", filter_any=[b'"' + me + b'"'], per_object=20))


def test_F04_zookeeper_says_what_is_so(prober, loaded):
    writable = probe(ZK_CHILDREN, loaded.zk_address, AVAILABLE, match="^[0-9.]+:[0-9]+$")
    me = f"127.0.0.1:{loaded.ports[1]}"
    assert prober.check(writable, AT_LEAST, count=4).answer == YES
    assert prober.check(writable, AT_LEAST, count=4, exclude_self=True, self_name=me).answer == NO
    assert prober.check(probe(ZK_EXISTS, loaded.zk_address, f"{AVAILABLE}/{me}")).answer == YES
    assert prober.check(probe(ZK_EXISTS, loaded.zk_address, f"{AVAILABLE}/readonly/{me}")).answer == NO
    assert prober.check(probe(ZK_EXISTS, loaded.zk_address, "/ledgers/underreplication/disable"), ABSENT).answer == YES
    auditor = prober.check(probe(ZK_FIRST, loaded.zk_address, VOTES, match='bookieId: "([^"]+)"'))
    assert auditor.answer == YES and auditor.reason == f"127.0.0.1:{loaded.ports[loaded.auditor()]}"
    walk = prober.check(probe(ZK_LEAVES, loaded.zk_address, "/ledgers", match="/L([0-9]+)$"), AT_LEAST,
                        count=len(loaded.ledgers()))
    assert walk.answer == YES and len(loaded.ledgers()) >= 10


def test_F04_entries_are_read_back_through_the_bookie(prober, loaded):
    i = next(i for i in loaded.bookies if i != loaded.auditor())
    captured = prober.ask(CAPTURE, proof_of(loaded, i))
    assert (captured.answer, captured.reason) == (YES, "40 entries read before the stop"), captured
    print(f"captured in {captured.age_us} us")
    loaded.stop(i)
    assert prober.ask(COMPARE, proof_of(loaded, i), blob=captured.blob).answer == UNKNOWN
    loaded.start(i, "-readOnly")
    loaded.wait_up(i, read_only=True)
    reply = prober.ask(COMPARE, proof_of(loaded, i), blob=captured.blob)
    assert (reply.answer, reply.reason) == (YES, "entries read back 40/40")
    print(f"read back in {reply.age_us} us")
    loaded.lose_data_when_stopped(i)
    loaded.stop(i)
    loaded.start(i)
    loaded.wait_up(i)
    reply = prober.ask(COMPARE, proof_of(loaded, i), blob=captured.blob)
    assert reply.answer == NO and reply.reason.startswith("entries read back 0/40: first missing object ")


def test_zookeeper_killed_is_unknown_and_known_again(prober, loaded):
    of = probe(ZK_CHILDREN, loaded.zk_address, AVAILABLE)
    assert prober.check(of).answer == YES
    pid, = [pid for pid in bookkeeper.java_in(loaded.folder) if "QuorumPeerMain" in " ".join(bookkeeper.command_line(pid))]
    os.kill(pid, signal.SIGSTOP)
    try:
        silent = prober.check(of, ABSENT)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert silent.answer == UNKNOWN and "no answer in" in silent.reason
    os.kill(pid, signal.SIGKILL)
    bookkeeper.wait_for(lambda: not bookkeeper.alive(pid), 10, "ZooKeeper is gone")
    before = time.monotonic()
    gone = prober.check(of, ABSENT)
    assert gone.answer == UNKNOWN and "cannot connect" in gone.reason
    assert time.monotonic() - before < 2, "a refused connection needs no time-out"
    loaded.start_zookeeper()
    bookkeeper.wait_for(lambda: prober.check(of, PRESENT).answer == YES, 20, "known again")
