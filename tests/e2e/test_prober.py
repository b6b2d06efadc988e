"""kedge-prober: every kind of probe against services that answer, lie, hang and die. Whatever is odd is unknown."""
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest

from prober_kit import (ABSENT, ALL_IN, AT_LEAST, CAPTURE, COMMAND, COMPARE, EQUALS, FILE, GATE, HTTP, INSTANCE, LOG, NO,
                        NONE_NEW, PRESENT, PROBER, TCP, UNKNOWN, YES, ZK_CHILDREN, ZK_EXISTS, ZK_FIRST, ZK_GET, ZK_LEAVES,
                        HttpServer, Prober, TcpServer, ZooKeeper, check, free_port, gate, probe, receive_exactly, sample)


@pytest.fixture(scope="module")
def prober():
    with Prober() as prober:
        yield prober


# ---- HTTP ----

PAGES = {
    "/health": "id=a\nversion=1.0.0\nmode=read-write\ninstance=abc\r\nbehind=0\n",
    "/empty": "", "/members": '{"10.0.0.1:1":null,"10.0.0.2:1":null,"10.0.0.3:1":null}',
    "/keys": "1 key-1\n2 key-2\n3 key-3\n",
    "/watch": (503, "watch disabled\n"), "/moved": (302, "elsewhere"), "/nothing": (204, ""),
    "/long": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3000000,
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1 key-1\n",
    "/garbage": b"\xff\x00 this is not HTTP\r\n\r\n",
    "/bytes": b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\xff\x00\x1b[2Ja\n",
    "/many": b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"1\n" * 30000,
}


@pytest.fixture(scope="module")
def web():
    with HttpServer(PAGES) as server:
        yield server


@pytest.mark.parametrize("path, match, rule, values, count, answer, reason", [
    ("/health", "^mode=(.*)", EQUALS, ["read-write"], None, YES, "read-write"),
    ("/health", "^mode=(.*)", EQUALS, ["read-only"], None, NO, "not so: read-write"),
    ("/health", "^instance=([a-z]+)$", PRESENT, [], None, YES, "abc"),
    ("/health", "^missing=", PRESENT, [], None, NO, "not so: "),
    ("/health", "behind=[1-9]", ABSENT, [], None, YES, "none"),
    ("/health", "behind=", ABSENT, [], None, NO, "not so: behind="),
    ("/empty", None, ABSENT, [], None, YES, "none"),
    ("/empty", None, PRESENT, [], None, NO, "not so: "),
    ("/nothing", None, ABSENT, [], None, YES, "none"),
    ("/members", '"([0-9.:]+)":', AT_LEAST, [], 3, YES, "3 of at least 3"),
    ("/members", '"([0-9.:]+)":', AT_LEAST, [], 4, NO, "not so: 10.0.0.1:1, 10.0.0.2:1, 10.0.0.3:1"),
    ("/members", '"([0-9.:]+)":', ALL_IN, ["10.0.0.1:1", "10.0.0.3:1"], None, YES, "10.0.0.1:1, 10.0.0.2:1, 10.0.0.3:1"),
    ("/members", '"([0-9.:]+)":', ALL_IN, ["10.0.0.9:1"], None, NO, "not so: 10.0.0.9:1"),
    ("/keys", "^[0-9]+", NONE_NEW, ["1", "2", "3"], None, YES, "3 known, 0 new"),
    ("/keys", "^[0-9]+", NONE_NEW, ["1", "2"], None, NO, "not so: 3"),
    ("/keys", None, EQUALS, ["1 key-1", "2 key-2", "3 key-3"], None, YES, "1 key-1, 2 key-2, 3 key-3"),
    ("/watch", None, ABSENT, [], None, UNKNOWN, "answers 503: watch disabled"),
    ("/nowhere", None, ABSENT, [], None, UNKNOWN, "answers 404: no such page"),
    ("/moved", None, ABSENT, [], None, UNKNOWN, "answers 302: elsewhere"),
    ("/long", None, ABSENT, [], None, UNKNOWN, "longer than 1 MiB"),
    ("/cut", "key-9", ABSENT, [], None, UNKNOWN, ""),
    ("/garbage", None, ABSENT, [], None, UNKNOWN, ""),
    ("/many", None, PRESENT, [], None, UNKNOWN, "more items than"),
    ("/bytes", None, PRESENT, [], None, YES, "???[2Ja"),
    ("/health", "(", PRESENT, [], None, UNKNOWN, "is no good"),
])
def test_http(prober, web, path, match, rule, values, count, answer, reason):
    reply = prober.check(probe(HTTP, web.url + path, match=match), rule, values=values, count=count)
    assert reply.answer == answer, reply
    assert reason in reply.reason and (answer == UNKNOWN or reply.reason == reason)
    assert 0 < reply.age_us < 3_000_000


def test_http_questions_that_are_asked_together_are_one_request(prober):
    """One page for all who asked before its request left; nobody shares an answer that was under way when he asked."""
    asked, held = threading.Event(), threading.Event()

    def slow():
        asked.set()
        assert held.wait(10)
        return "mode=read-write\nbehind=0\n"
    with HttpServer({"/health": "mode=read-write\nbehind=0\n", "/slow": slow}) as web:
        def send(path, match, timeout_ms=10000):
            return prober.send(GATE, gate(check(probe(HTTP, web.url + path, match=match, timeout_ms=timeout_ms), PRESENT)))
        prober.process.send_signal(signal.SIGSTOP)  # so that it finds all of them when it looks
        ids = [send("/health", match) for match in ("^mode=(.*)", "^behind=(.*)", "^none=")]
        prober.process.send_signal(signal.SIGCONT)
        replies = [prober.receive(id) for id in ids]
        assert [(r.answer, r.reason) for r in replies] == [(YES, "read-write"), (YES, "0"), (NO, "not so: ")]
        assert web.n_requests == 1
        first = send("/slow", "^mode=(.*)")
        assert asked.wait(10)
        asked.clear()
        second = send("/slow", "^behind=(.*)")
        assert asked.wait(10)
        held.set()
        assert (prober.receive(first).reason, prober.receive(second).reason) == ("read-write", "0")
        assert web.n_requests == 3
        held.clear()
        prober.process.send_signal(signal.SIGSTOP)
        ids = [send("/slow", "^mode=(.*)", 300), send("/slow", "^mode=(.*)")]
        prober.process.send_signal(signal.SIGCONT)
        assert prober.receive(ids[0]).answer == UNKNOWN  # it does not wait longer than it said
        held.set()
        assert prober.receive(ids[1]).reason == "read-write" and web.n_requests == 4


def test_http_never_turns_no_into_yes(prober, web):
    """`otherwise: yes` is not for a document to say."""
    reply = prober.check(probe(HTTP, web.url + "/health", match="nope"), PRESENT, otherwise=YES)
    assert reply.answer == UNKNOWN


def test_http_leaves_self_out(prober, web):
    of = probe(HTTP, web.url + "/members", match='"([0-9.:]+)":')
    assert prober.check(of, AT_LEAST, count=3, exclude_self=True, self_name="10.0.0.2:1").answer == NO
    reply = prober.check(of, AT_LEAST, count=2, exclude_self=True, self_name="10.0.0.2:1")
    assert (reply.answer, reply.reason) == (YES, "2 of at least 2")


def test_http_reuses_its_connection(prober):
    with HttpServer({"/a": "1\n"}) as server:
        for _ in range(20):
            assert prober.check(probe(HTTP, server.url + "/a")).answer == YES
        assert (server.n_requests, server.n_accepted) == (20, 1)


def test_http_server_that_comes_and_goes(prober):
    port = free_port()
    of = probe(HTTP, f"http://127.0.0.1:{port}/a")
    assert prober.check(of, ABSENT).answer == UNKNOWN
    with HttpServer({"/a": "1\n"}, port=port):
        assert prober.check(of).answer == YES
    assert prober.check(of, ABSENT).answer == UNKNOWN
    with HttpServer({"/a": "1\n"}, port=port):
        assert prober.check(of).answer == YES


def test_http_only_http(prober, tmp_path):
    (tmp_path / "a").write_text("1\n")
    for url in (f"file://{tmp_path}/a", "ftp://127.0.0.1/", "gopher://127.0.0.1:1/", "", "nonsense"):
        assert prober.check(probe(HTTP, url)).answer == UNKNOWN


def test_several_targets_until_one_answers(prober, web):
    dead = f"http://127.0.0.1:{free_port()}/"
    reply = prober.check(probe(HTTP, f"{dead} {web.url}/watch  {web.url}/health", match="^mode=(.*)"), PRESENT)
    assert (reply.answer, reply.reason) == (YES, "read-write")
    reply = prober.check(probe(HTTP, f"{dead} {web.url}/watch"), ABSENT)
    assert reply.answer == UNKNOWN and "503" in reply.reason


def test_a_hanging_target_leaves_time_for_the_next(prober, web):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"http://127.0.0.1:{silent.getsockname()[1]}/ {web.url}/health"
        assert prober.check(probe(HTTP, target, timeout_ms=2000)).answer == YES


def test_time_outs_are_each_their_own(prober, web):
    """A service that hangs delays only who asked for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        slow = [prober.send(GATE, gate(check(probe(kind, target, send=b"x", timeout_ms=2000), ABSENT)))
                for kind, target in ((HTTP, f"http://{address}/"), (TCP, address))]
        for _ in range(10):
            assert prober.check(probe(HTTP, web.url + "/health")).answer == YES
        assert not set(slow) & set(prober.early)
        for id in slow:
            reply = prober.receive(id)
            assert reply.answer == UNKNOWN and "no answer in 2" in reply.reason


def test_a_gate_joins_its_checks(prober, web):
    def of(match, rule=PRESENT, path="/health"):
        return check(probe(HTTP, web.url + path, match=match), rule, says="no " + match)
    assert prober.gate(of("mode"), of("id")).reason == "mode; id"
    reply = prober.gate(of("mode"), of("x1"), of("x2"), of("y", path="/watch"))
    assert (reply.answer, reply.reason) == (NO, "no x1; no x2")
    assert prober.gate(of("mode"), of("y", path="/watch")).answer == UNKNOWN
    assert prober.gate().answer == UNKNOWN
    assert prober.ask(GATE, b"\x0a\x00nonsense").answer == UNKNOWN


def test_commands_are_the_executors(prober, web):
    assert prober.gate(check(probe(COMMAND))).answer == YES
    assert prober.gate(check(probe(COMMAND)), check(probe(HTTP, web.url + "/watch"))).answer == UNKNOWN


def test_instance(prober, web):
    reply = prober.ask(INSTANCE, probe(HTTP, web.url + "/health", match="^instance=(.*)"))
    assert (reply.answer, reply.blob) == (YES, b"abc")
    assert prober.ask(INSTANCE, probe(HTTP, web.url + "/health", match="^nope=(.*)")).answer == UNKNOWN
    assert prober.ask(INSTANCE, probe(COMMAND)).answer == UNKNOWN


# ---- TCP ----

def answering(data, close=True, wait=0.0, read=True):
    def serve(connection):
        if read:
            connection.recv(100)
        for part in data if isinstance(data, list) else [data]:
            connection.sendall(part)
            time.sleep(wait)
        while not close and connection.recv(100):
            pass
    return serve


def test_tcp(prober):
    def ask(serve, rule=PRESENT, send=b"ruok", match=None, **more):
        with TcpServer(serve) as server:
            return prober.check(probe(TCP, server.address, send=send, match=match, timeout_ms=500), rule, **more)
    assert ask(answering(b"imok"), EQUALS, values=["imok"]).answer == YES
    assert ask(answering([b"one\ntw", b"o\n"], wait=0.05), EQUALS, values=["one", "two"]).answer == YES
    assert ask(answering(b"imok\n", close=False)).answer == YES  # a whole line settles it
    assert ask(answering(b"imok", close=False)).answer == YES    # as does an end that stays as it is
    assert ask(answering(b"imok", close=False), match="no").answer == UNKNOWN
    assert ask(answering(b"imok\n", close=False), ABSENT, match="no").answer == UNKNOWN  # more may come
    assert ask(answering(b"imok\n"), ABSENT, match="no").answer == YES
    assert ask(answering([b"version 1.1", b"0\n"]), match="^version 1[.]1$").answer == NO
    assert ask(answering(b""), ABSENT).answer == UNKNOWN
    assert ask(answering([b"x" * 65536] * 40), ABSENT).answer == UNKNOWN
    assert ask(answering(b"hello\n", read=False), send=None, match="hello").answer == YES


def test_tcp_refused_and_names(prober):
    port = free_port()
    reply = prober.check(probe(TCP, f"127.0.0.1:{port}", send=b"x"), ABSENT)
    assert reply.answer == UNKNOWN and f"cannot connect to 127.0.0.1:{port}: Connection refused" in reply.reason
    with TcpServer(answering(b"imok")) as server:
        assert prober.check(probe(TCP, f"localhost:{server.port}", send=b"x")).answer == YES
    for bad in ("127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":80", "a:b", "::1:80"):
        assert prober.check(probe(TCP, bad, send=b"x", timeout_ms=500), ABSENT).answer == UNKNOWN


def test_tcp_who_accepts(prober):
    with TcpServer(answering(b"")) as one, TcpServer(answering(b"")) as two:
        dead = f"127.0.0.1:{free_port()}"
        of = probe(TCP, f"{one.address} {dead} {two.address}")
        assert prober.check(of, EQUALS, values=[one.address, two.address]).answer == YES
        assert prober.check(of, AT_LEAST, count=3).answer == NO
        assert prober.check(of, AT_LEAST, count=2, exclude_self=True, self_name=one.address).answer == NO
    assert prober.check(of, ABSENT).answer == YES


# ---- files ----

def test_file_and_log(prober, tmp_path):
    path = tmp_path / "a log"
    path.write_text("old: ready\n")
    old = len(path.read_text())
    of = probe(LOG, match="ready$")
    assert prober.check(probe(FILE, str(path), match="ready")).answer == YES
    assert prober.check(of, log=(str(path), old)).answer == NO
    with path.open("a") as f:
        f.write("new: ready\n")
    assert prober.check(of, log=(str(path), old)).answer == YES
    path.write_text("")
    assert prober.check(of, ABSENT, log=(str(path), old)).answer == UNKNOWN
    assert prober.check(of, ABSENT).answer == UNKNOWN
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "big").write_bytes(b"x" * (1 << 20) + b"y")
    for odd in (tmp_path / "fifo", tmp_path / "big", tmp_path, tmp_path / "missing", "/dev/zero"):
        assert prober.check(probe(FILE, str(odd)), ABSENT).answer == UNKNOWN


# ---- ZooKeeper ----

TREE = {
    "/s/available/10.0.0.1:1": b"", "/s/available/10.0.0.2:1": b"", "/s/available/readonly": b"",
    "/s/available/readonly/10.0.0.3:1": b"",
    "/s/vote/V_0000000007": b'id: "10.0.0.2:1"\n', "/s/vote/V_0000000003": b'id: "10.0.0.1:1"\nrest\n',
    "/s/empty": b"", "/s/delay": b"30",
    **{f"/t/00/0000/L{i:04}": b"state: CLOSED on 10.0.0.1:1\n" for i in range(300)},
}


@pytest.fixture
def zk():
    with ZooKeeper(dict(TREE)) as server:
        yield server


@pytest.mark.parametrize("kind, path, match, items", [
    (ZK_EXISTS, "/s/delay", None, ["/s/delay"]),
    (ZK_EXISTS, "/s/nothing", None, []),
    (ZK_GET, "/s/delay", None, ["30"]),
    (ZK_GET, "/s/empty", None, []),
    (ZK_GET, "/s/nothing", None, []),
    (ZK_CHILDREN, "/s/available", "^[0-9.]+:[0-9]+$", ["10.0.0.1:1", "10.0.0.2:1"]),
    (ZK_CHILDREN, "/s/nothing", None, []),
    (ZK_FIRST, "/s/vote", 'id: "([^"]+)"', ["10.0.0.1:1"]),
    (ZK_FIRST, "/s/empty", None, []),
    (ZK_FIRST, "/s/nothing", None, []),
    (ZK_LEAVES, "/s/available", None, ["/s/available/10.0.0.1:1", "/s/available/10.0.0.2:1",
                                       "/s/available/readonly/10.0.0.3:1"]),
    (ZK_LEAVES, "/s/empty", None, []),
    (ZK_LEAVES, "/s/nothing", None, []),
    (ZK_LEAVES, "/t", "L0*([0-9]+)$", [str(i) for i in range(300)]),
])
def test_zookeeper(prober, zk, kind, path, match, items):
    reply = prober.check(probe(kind, zk.address, path, match=match), EQUALS, values=items)
    assert reply.answer == YES, reply
    reply = prober.check(probe(kind, zk.address, path, match=match), EQUALS, values=items + ["x"])
    assert reply.answer == NO, reply
    first = {}
    for operation, of in zk.log:
        first.setdefault(of, operation)
    assert first[path] == zk.SYNC, "a read before its sync"
    assert zk.n_accepted == 1


def test_zookeeper_has_a_root_and_several_servers(prober, zk):
    dead = f"127.0.0.1:{free_port()}"
    of = probe(ZK_GET, f"{dead},{zk.address},localhost:{zk.port}/s", "/delay", timeout_ms=8000)
    assert prober.check(of, EQUALS, values=["30"]).answer == YES
    assert (zk.GET, "/s/delay") in zk.log


def test_zookeeper_what_is_unknown(prober, zk):
    def ask(target, path="/s/nothing", **more):
        return prober.check(probe(ZK_EXISTS, target, path, **more), ABSENT)
    reply = ask(f"127.0.0.1:{free_port()}")
    assert reply.answer == UNKNOWN and "cannot connect to" in reply.reason
    zk.secret.add("/s/secret")
    zk.nodes["/s/secret"] = b""
    reply = ask(zk.address, "/s/secret")
    assert reply.answer == UNKNOWN and "may not be read" in reply.reason
    for path in (None, "", "relative", "/s//x", "/s/"):
        assert ask(zk.address, path).answer == UNKNOWN, path
    for servers in ("nonsense", ":1", "127.0.0.1:99999", ","):
        assert ask(servers).answer == UNKNOWN
    zk.hangs = True
    reply = ask(zk.address, timeout_ms=300)
    assert reply.answer == UNKNOWN and "no answer in " in reply.reason
    zk.hangs = False
    assert ask(zk.address).answer == YES


def test_zookeeper_dies_and_comes_back(prober):
    port = free_port()
    of = probe(ZK_EXISTS, f"127.0.0.1:{port}", "/s/delay")
    with ZooKeeper(dict(TREE), port=port):
        assert prober.check(of).answer == YES
    reply = prober.check(of)
    assert reply.answer == UNKNOWN
    with ZooKeeper({"/other": b""}, port=port):
        assert prober.check(of).answer == NO  # a fresh connection, not what was known
    with ZooKeeper(dict(TREE), port=port):
        assert prober.check(of).answer == YES


def test_zookeeper_dies_during_a_walk(prober):
    with ZooKeeper(dict(TREE)) as server:
        server.hangs = True
        id = prober.send(GATE, gate(check(probe(ZK_LEAVES, server.address, "/t"), ABSENT)))
        while (server.CHILDREN, "/t") not in server.log and (server.SYNC, "/t") not in server.log:
            time.sleep(0.01)
        server.stop()
        server.hangs = False
        assert prober.receive(id).answer == UNKNOWN


# ---- samples ----

def frame(data):
    return struct.pack(">I", len(data)) + data


class Store:
    """Reads entries as one binary protocol does: length, header, object, entry -> length, header, code, object, entry,
    body."""
    REQUEST = bytes.fromhex("00000014020200 00".replace(" ", "")) + b"{o}{e}"
    ANSWER = b"\xff??" * 4 + bytes.fromhex("0202000000000000") + b"{o}{e}"

    def __init__(self, entries, close=False):
        self.entries, self.close, self.n_asked = entries, close, 0
        self.server = TcpServer(self.serve)

    def serve(self, connection):
        while True:
            length, header, number, entry = struct.unpack(">IIQQ", receive_exactly(connection, 24))
            assert (length, header) == (20, 0x02020000)
            self.n_asked += 1
            body = self.entries.get((number, entry))
            code = 0 if body is not None else 1
            connection.sendall(frame(struct.pack(">IIQQ", header, code, number, entry) + (body or b"")))
            if self.close:
                return


def stored(objects, entries=3):
    return {(o, e): b"%d %d " % (o, e) * 50 for o in objects for e in range(entries)}


@pytest.fixture
def yard(zk):
    """A tree of 300 objects, and a store that holds a third of the entries of each."""
    store = Store({at: body for at, body in stored(range(300)).items() if sum(at) % 3 == 0})
    zk.nodes["/t/00/0000/L0003"] = b"state: OPEN on 10.0.0.1:1\n"
    zk.nodes["/t/00/0000/L0006"] = b"state: CLOSED on 10.0.0.9:1\n"
    zk.nodes["/t/99/L0000000009"] = b"state: CLOSED on 10.0.0.1:1\n"

    def make(**more):
        source = probe(ZK_LEAVES, zk.address, "/t")
        return gate(sample=sample(source, store.server.address, Store.REQUEST, Store.ANSWER, filter="state: CLOSED",
                                  filter_any=[b"10.0.0.8:1", b"10.0.0.1:1"], per_object=3, **more))
    with store.server:
        yield store, make


def records(blob):
    found, at = [], 0
    while at < len(blob):
        number, entry = struct.unpack_from(">QQ", blob, at)
        length, = struct.unpack_from(">H", blob, at + 48)
        found.append((number, entry, blob[at + 50:at + 50 + length].decode()))
        at += 50 + length
    return found


def test_F04_sample_is_captured_and_read_back(prober, yard):
    store, make = yard
    captured = prober.ask(CAPTURE, make())
    assert (captured.answer, captured.reason) == (YES, "40 entries read before the stop"), captured
    kept = records(captured.blob)
    assert kept[:3] == [(0, 0, ""), (1, 2, ""), (2, 1, "")]  # 3 is open
    assert all(sum(at[:2]) % 3 == 0 for at in kept) and len(set(kept)) == 40
    assert not {3, 6} & {number for number, _, _ in kept}
    reply = prober.ask(COMPARE, make(), blob=captured.blob)
    assert (reply.answer, reply.reason) == (YES, "entries read back 40/40")
    assert store.server.n_accepted == 2, "one connection for each use"
    assert reply.age_us < 1_000_000


def test_F04_sample_loss_is_seen(prober, yard):
    store, make = yard
    captured = prober.ask(CAPTURE, make(limit=20))
    whole = dict(store.entries)
    store.entries.clear()
    reply = prober.ask(COMPARE, make(), blob=captured.blob)
    assert (reply.answer, reply.reason) == (NO, "entries read back 0/20: first missing object 0 entry 0")
    store.entries.update(whole)
    store.entries[(5, 1)] = b"something else"
    reply = prober.ask(COMPARE, make(), blob=captured.blob)
    assert (reply.answer, reply.reason) == (NO, "entries read back 19/20: first missing object 5 entry 1 (it differs)")


def test_F04_sample_wild_cards_are_not_compared(prober, yard, monkeypatch):
    """A store that rewrites its copies says the same in other bytes of the head; short answers end within the wild cards."""
    store, make = yard
    monkeypatch.setattr(Store, "ANSWER", Store.ANSWER + b"{o}{e}" + b"\xff??" * 8)
    store.entries = {at: struct.pack(">QQ", *at) + b"confirmed" + body for at, body in store.entries.items()}
    store.entries[(0, 0)] = struct.pack(">QQ", 0, 0) + b"tiny"
    captured = prober.ask(CAPTURE, make(limit=20))
    store.entries = {at: body[:16] + body[16:].replace(b"confirmed", b"CONFIRMEd") for at, body in store.entries.items()}
    reply = prober.ask(COMPARE, make(), blob=captured.blob)
    assert (reply.answer, reply.reason) == (YES, "entries read back 20/20")
    store.entries[(1, 2)] = store.entries[(1, 2)][:-1] + b"?"
    reply = prober.ask(COMPARE, make(), blob=captured.blob)
    assert (reply.answer, reply.reason) == (NO, "entries read back 19/20: first missing object 1 entry 2 (it differs)")


def test_F04_sample_what_is_unknown(prober, yard, zk):
    store, make = yard
    captured = prober.ask(CAPTURE, make())
    reply = prober.ask(CAPTURE, make(minimum=200, limit=256, timeout_ms=10000))
    assert reply.answer == YES
    store.entries = {at: body for at, body in store.entries.items() if at[0] < 10}
    reply = prober.ask(CAPTURE, make())
    assert reply.answer == UNKNOWN and reply.reason.startswith("only ")
    assert "of at least 20 entries could be read before the stop" in reply.reason and reply.blob == b""
    for blob in (b"", captured.blob[:-1], b"x" * 49, b"\xff" * 200):
        assert prober.ask(COMPARE, make(), blob=blob).answer == UNKNOWN
    store.server.stop()
    reply = prober.ask(COMPARE, make(), blob=captured.blob)
    assert reply.answer == UNKNOWN and "cannot connect" in reply.reason
    reply = prober.ask(CAPTURE, make())
    assert reply.answer == UNKNOWN and "cannot connect" in reply.reason
    zk.stop()
    assert prober.ask(CAPTURE, make()).answer == UNKNOWN
    assert prober.ask(CAPTURE, gate()).answer == UNKNOWN


def test_sample_from_a_peer_that_closes(prober, yard):
    store, make = yard
    store.close = True
    captured = prober.ask(CAPTURE, make())
    assert captured.answer == YES
    assert prober.ask(COMPARE, make(), blob=captured.blob).answer == YES


@pytest.mark.parametrize("evil", [
    lambda c: None,                                              # closes
    lambda c: c.sendall(frame(b"")),                             # shorter than any answer
    lambda c: c.sendall(b"\xff\xff\xff\xff"),                    # 4 GiB are announced
    lambda c: c.sendall(struct.pack(">I", 1000) + b"x" * 10),    # and then closes
    lambda c: c.sendall(frame(b"x" * 30) + b"more"),
    lambda c: c.recv(1) and time.sleep(30),                      # hangs
])
def test_sample_odd_answers_are_never_yes(prober, yard, evil):
    store, make = yard
    captured = prober.ask(CAPTURE, make())

    def serve(connection):
        receive_exactly(connection, 24)
        evil(connection)
    store.server.serve = serve
    assert prober.ask(COMPARE, make(timeout_ms=400), blob=captured.blob).answer in (NO, UNKNOWN)
    assert prober.ask(CAPTURE, make(timeout_ms=400)).answer == UNKNOWN


def test_F04_sample_by_name_over_http(prober):
    pages = {"/keys": "".join(f"{i} key-{i}\n" for i in range(1, 60)) + "60 odd/../key?#\n",
             **{f"/record/key-{i}": f"value {i}" for i in range(1, 60) if i % 2}, "/record/odd%2F..%2Fkey%3F%23": "odd"}
    with HttpServer(pages) as server:
        document = gate(sample=sample(probe(HTTP, server.url + "/keys", match="^[0-9]+ (.*)"),
                                      server.url + "/record/{i}", limit=31, minimum=20))
        captured = prober.ask(CAPTURE, document)
        assert (captured.answer, captured.reason) == (YES, "31 entries read before the stop")
        assert records(captured.blob)[0][2] == "key-1" and records(captured.blob)[-1][2] == "odd/../key?#"
        assert prober.ask(COMPARE, document, blob=captured.blob).reason == "entries read back 31/31"
        pages["/record/key-7"] = "other"
        del pages["/record/key-9"]
        reply = prober.ask(COMPARE, document, blob=captured.blob)
        assert (reply.answer, reply.reason) == (NO, "entries read back 29/31: first missing key-7 (it differs)")
        pages["/record/key-1"] = (503, "starting\n")
        reply = prober.ask(COMPARE, document, blob=captured.blob)
        assert reply.answer == UNKNOWN and "starting" in reply.reason


def test_sample_text_protocol_without_a_length(prober):
    def serve(connection):
        for line in connection.makefile("rb"):
            number = int(line.split()[1])
            connection.sendall(b"VALUE %d ok\n" % number if number % 2 else b"none\n")
    with HttpServer({"/keys": "1\n2\n3\n"}) as web, TcpServer(serve) as server:
        document = gate(sample=sample(probe(HTTP, web.url + "/keys"), server.address, b"get {o:d} {e:d}\n",
                                      b"VALUE {o:d} ok", minimum=2))
        captured = prober.ask(CAPTURE, document)
        assert captured.answer == YES and [r[0] for r in records(captured.blob)] == [1, 3]
        assert prober.ask(COMPARE, document, blob=captured.blob).reason == "entries read back 2/2"


# ---- the process ----

def test_many_questions_at_once(prober, web):
    ids = [prober.send(GATE, gate(check(probe(HTTP, web.url + "/health")))) for _ in range(60)]
    assert {prober.receive(id).answer for id in ids} == {YES}


def test_what_is_no_request_ends_it():
    for datagram in (b"x", b"\0" * 100, b"\0\0\0\1\xff" + b"\0" * 24):
        prober = Prober()
        prober.sock.send(datagram)
        prober.process.communicate(timeout=20)
        assert prober.process.returncode == 1


def test_ends_with_the_agent_whatever_is_under_way(yard, zk):
    _, make = yard
    with socket.create_server(("127.0.0.1", 0)) as silent, Prober() as prober:
        zk.hangs = True
        for document in (gate(check(probe(HTTP, f"http://127.0.0.1:{silent.getsockname()[1]}/"))),
                         gate(check(probe(TCP, f"127.0.0.1:{silent.getsockname()[1]}", send=b"x"))),
                         gate(check(probe(ZK_LEAVES, zk.address, "/t")))):
            prober.send(GATE, document)
        prober.send(CAPTURE, make())
        while (zk.SYNC, "/t") not in zk.log:
            time.sleep(0.01)
        zk.hangs = False


def test_runs_without_rights(web):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with Prober("--user", "nobody") as prober:
        assert prober.check(probe(HTTP, web.url + "/health")).answer == YES
        with open(f"/proc/{prober.process.pid}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert status["NoNewPrivs"] == "1" and status["CapEff"] == "0" * 16 and status["Groups"].strip() == ""
        assert prober.check(probe(FILE, "/etc/shadow"), ABSENT).answer == UNKNOWN


def test_idle_memory_is_small(web, zk):
    """What the libraries took for the first questions is given back after a time without any."""
    with open(PROBER, "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("built with AddressSanitizer, whose memory it would be")
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    with Prober("--idle", "1", *user) as prober:
        for _ in range(2):
            assert prober.check(probe(HTTP, web.url + "/health")).answer == YES
            assert prober.check(probe(ZK_EXISTS, zk.address, "/s/delay")).answer == YES
            deadline = time.monotonic() + 20
            while len(os.listdir(f"/proc/{prober.process.pid}/fd")) > 5 or prober.private_kib() > 1024:
                assert time.monotonic() < deadline, prober.private_kib()
                time.sleep(0.02)


def test_usage():
    done = subprocess.run([PROBER], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "descriptor 3" in done.stderr
    assert subprocess.run([PROBER, "--nonsense"], capture_output=True).returncode == 2
    assert subprocess.run([PROBER, "--help"], capture_output=True).returncode == 0
