"""What goes wrong around real bookies: processes of Kedge are killed, gates say no or nothing, somebody else interferes.

Whatever happens, each bookie is stopped exactly as often as without the fault (by its own log), none is left stopped, and
no client sees a failure.
"""
import contextlib
import os
import select
import signal
import threading

import bookkeeper
import jars
from test_upgrade import nothing_failed

PAIR = jars.pair()


def begin(fleet, *words, strategy="canary,rolling"):
    """Release, plan, approval, apply; the id of the run."""
    fleet.release(PAIR.new)
    fleet.plan(PAIR.new, "--strategy", strategy, *words)
    fleet.approve()
    return fleet.apply()


def canary_of(fleet, run_id):
    """The canary's number, from 1."""
    run = fleet.run(run_id)
    return int(next(m for m in run["members"] if m["wave"] == "canary")["node"][1:])


def zookeeper_pid(bookies):
    return next(pid for pid in bookkeeper.java_in(bookies.folder)
                if any("QuorumPeerMain" in word for word in bookkeeper.command_line(pid)))


def kill_when_stopped(bookies, i, victim):
    """SIGKILL to victim in the moment when the process of bookie i ends."""
    ended = os.pidfd_open(bookies.pid(i))

    def kill():
        select.select([ended], [], [])
        os.close(ended)
        os.kill(victim, signal.SIGKILL)
    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def is_done(fleet, bookies, report, stops):
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert fleet.versions() == [PAIR.new] * 4 and len(bookies.rw()) == 4
    assert bookies.recovery_delay() == 0 and not bookies.autorecovery_disabled()
    assert fleet.stops() == stops, "by their own logs"


def test_F04_F27_coordinator_and_executor_are_killed_on_the_way(bookies, load, fleet):
    """The coordinator four times, the canary's executor between the stop and the start."""
    run_id = begin(fleet)
    canary = canary_of(fleet, run_id)
    agent = fleet.agents[canary - 1]
    victim = kill_when_stopped(bookies, canary, agent.pid)
    fleet.wait(lambda: bookies.recovery_delay() == 300, 60, "the side action is open")
    fleet.kedged.restart()
    victim.join(120)
    agent.popen.wait(5)
    agent.start()
    fleet.kedged.restart()
    fleet.wait(lambda: bookies.ro() == [canary], 120, "the canary serves read-only")
    fleet.kedged.restart()
    fleet.wait(lambda: (m := fleet.of(canary)) and m["state"] == "done", 180, "the canary is done")
    fleet.kedged.restart()
    report = fleet.wait_ended(run_id, 400)
    is_done(fleet, bookies, report, [2 if i == canary else 1 for i in bookies.bookies])
    nothing_failed(load)


def test_F27_F31_a_coordinator_that_never_comes_back(bookies, load, fleet):
    """The agents put the recovery delay back by themselves; whoever was in change ends well, and nobody else is touched."""
    run_id = begin(fleet)
    canary = canary_of(fleet, run_id)
    fleet.wait(lambda: len(bookies.rw()) == 3, 120, "the canary is stopped")
    assert bookies.recovery_delay() == 300
    fleet.kedged.kill()
    fleet.wait(lambda: bookies.recovery_delay() == 0, 240, "the agents put the recovery delay back")
    assert all(fleet.pids()), "every bookie serves"
    assert sorted(bookies.rw() + bookies.ro()) == bookies.bookies
    assert [stops for i, stops in enumerate(fleet.stops(), 1) if i != canary] == [0, 0, 0]
    nothing_failed(load)


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def disabled(bookies, yes):
    assert bookies.bksh("autorecovery", "-disable" if yes else "-enable").returncode == 0


def test_F01_F08_F29_F31_gates_say_why_and_abort_puts_back(bookies, load, fleet):
    """Unknown, then no: nothing is stopped, the reason stands in the status, and when the cause goes the run goes on."""
    before = fleet.pids()
    fleet.release(PAIR.new)
    fleet.plan(PAIR.new, "--strategy", "canary,rolling", "--soak-read-only", "8s")
    fleet.approve()
    disabled(bookies, True)
    run_id = fleet.apply()
    canary = canary_of(fleet, run_id)
    told = fleet.wait(lambda: (t := fleet.kedge("status", code=None)) and "autorecovery is disabled" in t and t, 60,
                      "the status says that nobody watches")
    print(told)
    assert "unknown" in told and f"n{canary}" in told
    with stopped(zookeeper_pid(bookies)):                       # shorter than the bookies' sessions
        fleet.wait(lambda: fleet.kedge("run", "show", code=None), 5, "kedged answers while ZooKeeper does not")
    assert fleet.pids() == before, "nobody was stopped"
    disabled(bookies, False)
    fleet.wait(lambda: bookies.ro() == [canary], 120, "the canary serves read-only")

    other = next(i for i in bookies.bookies if i not in (canary, bookies.auditor()))
    bookies.stop(other)
    pid = bookies.pid(canary)
    told = fleet.wait(lambda: (t := fleet.kedge("run", "show", code=None)) and "bookies are writable" in t and t, 90,
                      "the run says that too few are writable")
    print(told)
    assert bookies.pid(canary) == pid, "it waits"
    bookies.start(other)
    bookies.wait_up(other)
    fleet.wait(lambda: bookies.ro() == [] and len(bookies.rw()) == 4, 180, "the canary is promoted")

    assert bookies.recovery_delay() == 300
    fleet.kedge("run", "abort", run_id, code=None)
    report = fleet.wait_ended(run_id, 180)
    print(report["verdict"]["text"])
    assert report["verdict"]["result"] == "aborted", report["verdict"]
    assert bookies.recovery_delay() == 0 and len(bookies.rw()) == 4
    # With one read-only and one stopped by hand, clients cannot write: that is why Kedge waited. Nothing is lost.
    figures = load.finish()
    assert (figures["failed_reads"], figures["lost"]) == (0, 0), figures


def test_F13_who_is_dead_goes_first(bookies, load, fleet):
    """Nothing can be lost by changing it, and every other stop would be one too many."""
    dead = next(i for i in bookies.bookies if i != bookies.auditor())
    assert bookies.bksh("lostbookierecoverydelay", "-set", "900").returncode == 0, "as who means to repair it by hand"
    bookies.stop(dead)
    consent = ("--consent", f"down:bookie@n{dead}")
    fleet.release(PAIR.new)
    fleet.plan(PAIR.new, code=3)
    assert " ".join(consent) in fleet.last.stderr, fleet.last.stderr
    fleet.plan(PAIR.new, "--strategy", "canary,rolling", *consent)
    fleet.approve()
    run_id = fleet.apply()
    fleet.wait(lambda: bookies.running_version(dead) == PAIR.new, 120, "it runs again, and the new version")
    assert [v for i, v in zip(bookies.bookies, fleet.versions()) if i != dead] == [PAIR.old] * 3
    report = fleet.wait_ended(run_id, 400)
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert fleet.versions() == [PAIR.new] * 4 and len(bookies.rw()) == 4
    assert bookies.recovery_delay() == 900, "as it was before"
    nothing_failed(load)
