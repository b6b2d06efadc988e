"""A coordinator in an attacker's hands. It holds the true session key, so every agent listens to it; what it lacks are the
operators' and the release keys. The agents answer what may be asked, do nothing else, say so in their logs, and keep their
services up; and the real coordinator, when it is back, carries out a real plan as if nothing had been."""
import contextlib
import http.server
import os
import pathlib
import re
import shutil
import signal
import socket
import threading

import pytest

from faults import FaultFleet, values_of
from kedge import BUILD, REFUSED, Process

HOSTILE = BUILD / "tests/e2e/kedge-hostile"


class Stolen(FaultFleet):
    """Three members on 1.1.0 by plan 1 (old.plan, done); a plan to 1.2.0 (new.plan) that nobody has signed yet."""

    def __init__(self, folder):
        super().__init__(folder, members=3, values={"ensemble": 2})

    def begin(self):
        self.start()
        self.release("1.1.0")
        self.release("1.2.0")
        self.plan("1.1.0", "--strategy", "rolling", file="old.plan")
        self.approve("old.plan")
        run = self.wait_ended(self.apply("old.plan"))
        assert run["verdict"]["result"] == "done", run["verdict"]
        self.plan("1.2.0", "--strategy", "rolling", file="new.plan")
        self.kedge("key", "new", "operator/mallory.key")
        self.kedged.kill(signal.SIGTERM)
        shutil.copytree(self.folder / "coordinator", self.folder / "yesterday")
        self.start_kedged()
        self.wait_connected()
        return self

    def picture(self):
        return {
            "pids": [self.pid(i) for i in range(self.n)],
            "starts": [self.starts(i) for i in range(self.n)],
            "serves": [(self.health(i).get("version"), self.health(i).get("mode")) for i in range(self.n)],
            "staged": sorted(str(path) for i in range(self.n) for path in self.node(i).glob("kedge/releases/*")),
            "generations": sorted(str(path) for i in range(self.n) for path in self.node(i).glob("kedge/members/*/gen/*")),
            "setting": self.side_action(),
        }

    def log(self, i):
        return (self.node(i) / "agent.log").read_text(errors="replace")

    @contextlib.contextmanager
    def taken_over(self, *words, sessions=3):
        """The attacker in the coordinator's place, until every agent has heard all of it; gives its report. Afterwards
        nothing has changed, and the real one is back."""
        self.kedged.kill(signal.SIGTERM)
        before = self.picture()
        report, log = self.folder / "hostile.report", self.folder / "hostile.log"
        report.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        attacker = Process("hostile", [HOSTILE, "coordinator/kedged.key", f"127.0.0.1:{self.fleet_port}", report, *words],
                           log, self.folder).start()
        try:
            def finished():
                assert attacker.alive(), attacker.words()
                seen = values_of(report) if report.exists() else {}
                return int(seen.get("sessions", 0)) >= sessions and seen.get("finished") == "yes" and seen
            heard = self.wait(finished, 60, lambda: f"all is said\n{attacker.words()}")
            yield heard
            assert all(agent.alive() for agent in self.agents)
        finally:
            attacker.kill(signal.SIGTERM)
            after = self.picture()
            self.start_kedged()
        assert after == before
        self.wait_connected()
        assert self.picture() == before

    def a_real_plan_goes_through(self):
        """What comes after the attack is as if it had not been."""
        self.plan("1.2.0", "--strategy", "rolling", file="real.plan")
        self.approve("real.plan")
        run = self.wait_ended(self.apply("real.plan"))
        assert run["verdict"]["result"] == "done", run["verdict"]
        assert [self.health(i)["version"] for i in range(self.n)] == ["1.2.0"] * self.n


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    made = Stolen(tmp_path_factory.mktemp("stolen"))
    try:
        yield made.begin()
    finally:
        made.stop()


def refused_everywhere(fleet, sentence, before):
    for i in range(fleet.n):
        def said():
            return fleet.log(i)[len(before[i]):]
        fleet.wait(lambda: re.search(sentence, said()), 30, lambda: f"n{i + 1}: {sentence}\n{said()[-2000:]}")


def logs(fleet):
    return [fleet.log(i) for i in range(fleet.n)]


def test_F09_A14_orders_that_no_operator_signed(fleet):
    before = logs(fleet)
    with fleet.taken_over("orders=new.plan", "epoch=1000", "orders=new.plan") as heard:
        assert int(heard["sent"]) >= 3 * 2 * 3 * 4, heard  # three agents, all steps of all three members, twice
        refused_everywhere(fleet, "order refused: .*0 of 1 needed signatures", before)
    assert not any("is accepted" in fleet.log(i)[len(before[i]):] for i in range(3))


def test_F09_A14_orders_that_the_attacker_signed(fleet):
    """With a key of his own, and with the key that he has stolen."""
    for name, key in ("mallory", "operator/mallory.key"), ("coordinator", "coordinator/kedged.key"):
        before = logs(fleet)
        shutil.copy(fleet.folder / "new.plan", fleet.folder / f"{name}.plan")
        fleet.kedge("approve", f"{name}.plan", "--key", key, "--yes")
        with fleet.taken_over(f"orders={name}.plan"):
            refused_everywhere(fleet, "order refused: .*0 of 1 needed signatures", before)
        assert not any("is accepted" in fleet.log(i)[len(before[i]):] for i in range(3))


def test_F10_F28_A40_old_orders_again(fleet):
    """Rightly signed, but done long ago: with the epoch of then, of now, of the next reign, and of one that would shut
    out every later coordinator. (The signed way back and the side action are another thing: people did sign that much, and gates are asked.)"""
    epoch = fleet.ask("status")["coordinator"]["epoch"]
    before = logs(fleet)
    with fleet.taken_over("steps=prepare,switch,promote", "epoch=0", "orders=old.plan", f"epoch={epoch}",
                          "orders=old.plan", f"epoch={epoch + 1}", "orders=old.plan", f"epoch={2**63}", "orders=old.plan",
                          f"epoch={2**64 - 1}", "orders=old.plan") as heard:
        refused_everywhere(fleet, "an older coordinator speaks", before)
        refused_everywhere(fleet, "too far ahead of .*, which this node obeys", before)
        assert int(heard["done"]) >= 6, "what was done is answered with the report of then"
    assert not any("is accepted" in fleet.log(i)[len(before[i]):] for i in range(3))


def test_A20_side_actions_that_nobody_ordered(fleet):
    """Each of them would be a record in the journal, to be put back one day."""
    serial = fleet.ask("cluster", "show", "demo")["cluster"]["serial"]
    with fleet.taken_over("epoch=60", f"leases=demo/{serial}", "leases=demo/1", "leases=elsewhere/1"):
        pass
    assert not any(b"lease-1" in (fleet.node(i) / "kedge/journal").read_bytes() for i in range(3))


def test_A14_another_release_in_a_signed_plan(fleet):
    """The plan is right and signed, and so is the manifest that comes with its orders; only they do not belong together."""
    fleet.plan("1.2.0", "--strategy", "rolling", file="signed.plan")
    fleet.approve("signed.plan")
    before = logs(fleet)
    with fleet.taken_over("epoch=50", "manifest=old.plan", "orders=signed.plan"):
        refused_everywhere(fleet, "order refused: .*(manifest|release)", before)
    assert not any("is accepted" in fleet.log(i)[len(before[i]):] for i in range(3))


def test_A11_an_abort_of_plans_that_do_not_exist_yet(fleet):
    """An abort needs no operator, since it only reduces; but it must not forbid what will be signed later."""
    before = logs(fleet)
    with fleet.taken_over(f"latch=demo/{2**64 - 1}", f"latch=demo/{2**63}", "latch=nowhere/1"):
        pass
    assert not any("is accepted" in fleet.log(i)[len(before[i]):] for i in range(3))
    # The proof that nothing is forbidden comes last, when a real plan goes through.


def test_A20_messages_that_mean_nothing_and_too_many_of_them(fleet):
    def resident_kib(i):
        text = pathlib.Path(f"/proc/{fleet.agents[i].pid}/status").read_text()
        return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS")))
    before, size = logs(fleet), max(resident_kib(i) for i in range(3))
    with fleet.taken_over("garbage", "flood=4000") as heard:
        assert int(heard["sent"]) > 3 * 3000, heard
        assert max(resident_kib(i) for i in range(3)) < size + 32 * 1024 or "asan" in str(BUILD)
        refused_everywhere(fleet, "not a well-formed message|is not understood|refused", before)
        assert all(fleet.log(i)[len(before[i]):].count(" warning ") < 250 for i in range(3))
    grown = max(len(fleet.log(i)) - len(before[i]) for i in range(3))
    assert grown < 256 * 1024, f"{grown} bytes of log for it"


def test_A20_bytes_that_are_no_session(fleet):
    """Whoever holds the coordinator's address, but not even its key: giant and endless frames, silence, half frames."""
    fleet.kedged.kill(signal.SIGTERM)
    before, served, stop = fleet.picture(), [0], threading.Event()
    replies = [b"\xff\xff\xff\xff" + b"x" * 65536, b"\x00\x00\x00\x00" * 1000, b"\x00\x00\x10\x00" + b"\x08" * 4096,
               os.urandom(100000), b"\x00\x0f", b"HTTP/1.1 200 OK\r\n\r\n"]
    server = socket.create_server(("127.0.0.1", fleet.fleet_port))

    def serve():
        server.settimeout(0.2)
        while not stop.is_set():
            with contextlib.suppress(OSError):
                line, _ = server.accept()
                with line:
                    line.settimeout(1)
                    line.sendall(replies[served[0] % len(replies)])
                    served[0] += 1
                    with contextlib.suppress(OSError):
                        line.recv(100)
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        fleet.wait(lambda: served[0] >= 12, 60, "the agents have come twelve times")
    finally:
        stop.set()
        thread.join()
        server.close()
    assert all(agent.alive() for agent in fleet.agents) and fleet.picture() == before
    fleet.start_kedged()
    fleet.wait_connected()
    assert fleet.picture() == before


class OtherArchives(http.server.BaseHTTPRequestHandler):
    """Serves something else under every digest: other bytes of the right length, fewer, more, and none."""
    asked = 0

    def do_GET(self):
        kind = OtherArchives.asked % 4
        OtherArchives.asked += 1
        size = [OtherArchives.size, OtherArchives.size - 1, OtherArchives.size + 1, 0][kind]
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(os.urandom(size))

    def log_message(self, *words):
        pass


def test_A50_archives_of_the_attackers_own(fleet):
    """A plan that operators did sign, carried out by the attacker, who serves his own bytes for its release."""
    fleet.plan("1.2.0", "--strategy", "rolling", file="signed.plan")
    fleet.approve("signed.plan")
    epoch = fleet.ask("status")["coordinator"]["epoch"]
    OtherArchives.size = max(path.stat().st_size for path in (fleet.folder / "coordinator/artifacts").iterdir())
    before = logs(fleet)
    fleet.kedged.kill(signal.SIGTERM)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", fleet.artifact_port), OtherArchives)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    picture = fleet.picture()
    report = fleet.folder / "archives.report"
    attacker = Process("hostile", [HOSTILE, "coordinator/kedged.key", f"127.0.0.1:{fleet.fleet_port}", report, "steps=prepare", f"epoch={epoch + 1}",
                                   "orders=prepare.plan"], fleet.folder / "archives.log", fleet.folder)
    shutil.copy(fleet.folder / "signed.plan", fleet.folder / "prepare.plan")
    attacker.start()
    try:
        fleet.wait(lambda: all("prepare: failed" in fleet.log(i)[len(before[i]):] for i in range(3)), 60,
                   lambda: f"the agents have looked at what they were given\n{fleet.words()}")
    finally:
        attacker.kill(signal.SIGTERM)
        server.shutdown()
        thread.join()
        server.server_close()
    refused_everywhere(fleet, "prepare: failed: .*(digest|bytes)", before)
    # The steps behind it found no release of that plan on the node; the old one goes on.
    after = fleet.picture()
    assert {**after, "generations": 0} == {**picture, "generations": 0}
    fleet.start_kedged()
    fleet.wait_connected()


def test_F10_A11_after_all_of_it_a_real_plan_is_carried_out(fleet):
    fleet.a_real_plan_goes_through()


def test_A10_A40_a_coordinator_restored_from_yesterday(fleet):
    """Its own journal is whole and its key is right; but the agents have obeyed a later reign, so it does not command."""
    fleet.kedged.kill(signal.SIGTERM)
    before = fleet.picture()
    shutil.move(fleet.folder / "coordinator", fleet.folder / "today")
    shutil.move(fleet.folder / "yesterday", fleet.folder / "coordinator")
    fleet.start_kedged()
    fleet.wait_connected()
    fleet.wait(lambda: "its journal is an old copy" in fleet.kedge("status", code=None), 20, "status says what it is")
    fleet.kedge("apply", "real.plan", code=REFUSED)
    assert "its journal is an old copy" in fleet.last.stderr or "epoch" in fleet.last.stderr, fleet.last.stderr
    assert fleet.picture() == before

    fleet.kedged.kill(signal.SIGTERM)
    shutil.move(fleet.folder / "coordinator", fleet.folder / "yesterday")
    shutil.move(fleet.folder / "today", fleet.folder / "coordinator")
    fleet.start_kedged()
    fleet.wait_connected()
    assert "old copy" not in fleet.kedge("status", code=None)
