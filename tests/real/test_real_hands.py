"""Other hands around real bookies: somebody takes the port of a bookie that is down, and ZooKeeper dies in the middle of a
switch. What the operator reads is true at any moment, nobody stays stopped, and clients see no failure."""
import contextlib
import os
import re
import select
import signal
import socket
import threading

import bookkeeper
import jars
from test_real_faults import begin, zookeeper_pid
from test_upgrade import as_before, nothing_failed
from zk import ZkError

PAIR = jars.pair()


class Squatter:
    """Listens on the port of bookie i from the moment when its process ends, until leave()."""

    def __init__(self, bookies, i):
        self.ended, self.port, self.gone, self.socket = os.pidfd_open(bookies.pid(i)), bookies.ports[i], threading.Event(), None
        self.thread = threading.Thread(target=self._sit, daemon=True)
        self.thread.start()

    def _sit(self):
        select.select([self.ended], [], [])
        os.close(self.ended)
        while self.socket is None and not self.gone.wait(0.001):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", self.port))
                sock.listen()
                self.socket = sock
                return
            sock.close()

    def leave(self):
        self.gone.set()
        self.thread.join(10)
        if self.socket:
            self.socket.close()


def status(fleet):
    return fleet.kedge("status", code=None)


def test_F05_F06_F13_a_port_that_others_take(bookies, load, fleet):
    """They leave it in time: the bookie is back on what it ran. They stay: it is held, really down, and a newer plan ends it."""
    number = next(i for i in bookies.bookies if i != bookies.auditor())
    name = f"bookie@n{number}"
    squatter = Squatter(bookies, number)
    run_id = begin(fleet, "--canary", f"books/{name}")
    told = fleet.wait(lambda: squatter.socket and re.search(rf"{name} .*down by kedge", t := status(fleet)) and t, 60,
                      "the status says that it is down")
    assert "waiting hurts nobody" not in told and "3 of 4 members read-write" in told, told
    squatter.leave()
    report = fleet.wait_ended(run_id, 120)
    print(report["verdict"]["text"])
    assert report["verdict"]["result"] == "failed" and "other hands" in report["verdict"]["text"], report["verdict"]
    assert f"process {os.getpid()}" in report["verdict"]["text"]
    as_before(fleet, PAIR.old)

    squatter = Squatter(bookies, number)
    fleet.plan(PAIR.new, "--strategy", "canary,rolling", "--canary", f"books/{name}")
    fleet.approve()
    run_id = fleet.apply()
    run = fleet.wait(lambda: (r := fleet.run(run_id)) and r["paused"] and r, 180, "the run pauses")
    assert run["reason"].count("other hands") == 1 and fleet.of(number)["state"] == "held", run["reason"]
    print(run["reason"])
    fleet.kedge("run", "abort", run_id, code=None)
    fleet.wait_ended(run_id, 60)
    squatter.leave()
    assert bookies.pid(number) is None, "nothing waits to come up unseen"
    fleet.wait(lambda: bookies.under_replicated() == [], 120, "what it held has new homes")
    fleet.plan(PAIR.new, "--strategy", "rolling", code=3)
    assert f"{name} is down (by kedge); the plan changes it first and starts it read-write" in fleet.last.stderr
    fleet.plan(PAIR.new, "--strategy", "rolling", "--consent", f"down:{name}")
    fleet.approve()
    report = fleet.wait_ended(fleet.apply(), 400)
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert fleet.versions() == [PAIR.new] * 4 and len(bookies.rw()) == 4 and bookies.recovery_delay() == 0
    nothing_failed(load)


def writable(bookies):
    """Who is; nobody, as long as ZooKeeper does not say it."""
    try:
        return bookies.rw()
    except ZkError:
        return []


def test_F05_F29_F31_zookeeper_dies_while_a_bookie_is_down(bookies, load, fleet):
    """A bookie cannot start without it. Its agent goes on until it can; nobody else is stopped meanwhile."""
    run_id = begin(fleet, strategy="rolling")
    fleet.wait(lambda: len(bookies.rw()) == 3, 120, "the first bookie is stopped")
    number = next(i for i in bookies.bookies if i not in bookies.rw())
    dead = zookeeper_pid(bookies)
    os.kill(dead, signal.SIGKILL)
    bookkeeper.wait_for(lambda: not bookkeeper.alive(dead), 10, "ZooKeeper is dead")
    told = fleet.wait(lambda: re.search(rf"bookie@n{number} .*down by", t := status(fleet)) and t, 20, "the status says it")
    print(told)
    assert "waiting hurts nobody" not in told and "3 of 4 members read-write" in told, told
    bookies.start_zookeeper()
    fleet.wait(lambda: len(writable(bookies)) == 4, 240, "all four serve")
    fleet.wait(lambda: (m := fleet.of(number))["state"] in ("done", "returned", "recovering", "soaking"), 60, "it is told of")
    fleet.kedge("run", "abort", run_id, code=None)
    report = fleet.wait_ended(run_id, 240)
    print(report["verdict"]["text"])
    assert all(fleet.pids()) and len(bookies.rw()) == 4 and bookies.recovery_delay() == 0
    assert sum(m["stops"] > 0 for m in report["members"]) <= 2, "nobody was stopped while ZooKeeper was away"
    figures = load.finish()
    assert figures["lost"] == 0, figures
