"""What an operator does to a run over real bookies: abort with the recovery delay changed, pause and a newer plan, and a
start from a cluster in which a bookie is dead and a ledger lacks copies for it.

The figures are the cluster's own: /proc, ZooKeeper, BookieShell, each bookie's log, and clients without retries.
"""
import re

import pytest

import jars
from test_real_faults import begin
from test_upgrade import nothing_failed

PAIR = jars.pair()
BEFORE = 7      # a recovery delay that is neither the default nor Kedge's


@pytest.fixture
def delayed(bookies):
    """A cluster whose operator has a recovery delay of his own."""
    if bookies.http:
        pytest.skip("of newer bookies the recovery delay is left alone here")
    set_delay(bookies, BEFORE)
    return bookies


def set_delay(bookies, seconds):
    done = bookies.bksh("lostbookierecoverydelay", "-set", str(seconds))
    assert done.returncode == 0, done.stderr
    assert shell_delay(bookies) == bookies.recovery_delay() == seconds


def shell_delay(bookies):
    """The recovery delay as BookieShell reads it."""
    done = bookies.bksh("lostbookierecoverydelay", "-get")
    return int(re.search(r"LostBookieRecoveryDelay value in ZK: (\d+)", done.stdout)[1])


def side_is_back(bookies, report):
    assert [(side["previous"], side["state"]) for side in report["side_actions"]] == [(str(BEFORE), "closed")]
    assert shell_delay(bookies) == bookies.recovery_delay() == BEFORE, "the operator's own value, not the default"
    assert not bookies.autorecovery_disabled()


def ledgers_on(bookies, i):
    """Ids of the closed ledgers whose metadata name bookie i."""
    return {one.id for one in bookies.ledgers() if one.closed and f"127.0.0.1:{bookies.ports[i]}" in one.bookies}


def all_write(fleet, bookies):
    fleet.wait(lambda: len(bookies.rw()) == 4 and bookies.ro() == [], 30, "four bookies are read-write")


def done_of(fleet, run_id=None):
    """Which bookies are done, once nobody is in change."""
    states = {m["name"]: m["state"] for m in (fleet.run(run_id) or {"members": []})["members"]}
    found = [states.get(fleet.member(i)) for i in range(4)]
    return [state == "done" for state in found] if set(found) <= {"done", "prepared"} else None


def test_F08_F31_an_abort_while_a_bookie_is_down_puts_the_previous_delay_back(delayed, load, fleet):
    """The worst moment: the side action is open and one bookie is down. It goes back, or is brought to its end when its step
    has come too far; nobody else is touched."""
    bookies = delayed
    run_id = begin(fleet, strategy="rolling")
    fleet.wait(lambda: len(bookies.rw()) == 3, 120, "the first bookie is stopped")
    assert bookies.recovery_delay() == 300, "the side action is open"
    fleet.kedge("run", "abort", run_id, "--reason", "wrong release", code=None)
    report = fleet.wait_ended(run_id, 240)
    print(report["verdict"]["text"])
    assert report["verdict"]["result"] == "aborted" and "wrong release" in report["verdict"]["text"], report["verdict"]
    all_write(fleet, bookies)
    side_is_back(bookies, report)
    touched, = (m for m in report["members"] if m["stops"])
    number = int(touched["node"][1:])
    print(f"{touched['name']}: {touched['state']}, {touched['version']}, stopped {touched['stops']} times")
    assert fleet.stops() == [touched["stops"] if i == number else 0 for i in bookies.bookies], "by their own logs"
    ends = {"returned": PAIR.old, "done": PAIR.new}
    assert bookies.running_version(number) == touched["version"] == ends[touched["state"]], touched
    assert [v for i, v in zip(bookies.bookies, fleet.versions()) if i != number] == [PAIR.old] * 3
    nothing_failed(load)


def test_F06_F08_F31_a_paused_run_is_superseded(delayed, load, fleet):
    """Paused in the middle; a newer plan to the same release takes over and stops nobody a second time."""
    bookies = delayed
    run_id = begin(fleet, strategy="rolling")
    fleet.wait(lambda: any(m["state"] == "done" for m in (fleet.run() or {"members": []})["members"]), 180,
               "the first bookie is done")
    fleet.kedge("run", "pause", run_id, "--reason", "looking at it")
    was = fleet.wait(lambda: done_of(fleet), 120, "nobody is in change")
    assert 1 <= sum(was) < 4, was
    before = fleet.pids()
    assert bookies.recovery_delay() == 300, "a pause keeps what is open"
    assert fleet.stops() == [int(done) for done in was]

    page = fleet.plan(PAIR.new, "--strategy", "rolling", "--supersede", run_id)
    assert "SUPERSEDES" in page, page
    fleet.approve()
    assert fleet.pids() == before, "a plan and its approval touch nobody"
    new_id = fleet.apply()
    new = fleet.wait_ended(new_id, 400)
    old = fleet.ask("run", "report", run_id)["run"]
    print(old["verdict"]["text"], new["verdict"]["text"], sep="\n")
    assert old["verdict"]["result"] == "superseded" and new["verdict"]["result"] == "done", (old["verdict"], new["verdict"])
    assert sorted(m["name"] for m in new["members"]) == [fleet.member(i) for i in range(4) if not was[i]]
    assert fleet.versions() == [PAIR.new] * 4 and fleet.stops() == [1] * 4, "each once, over both runs"
    all_write(fleet, bookies)
    side_is_back(bookies, old)
    side_is_back(bookies, new)
    nothing_failed(load)


def test_F01_F13_F24_what_lacked_copies_before_is_consented_to_by_name(bookies, load, fleet):
    """A bookie is dead, and a ledger that wants all four lacks copies for it, as does nothing else: the planner names both,
    the dead one goes first, and at the end every ledger has all its copies."""
    if bookies.http:
        pytest.skip("newer bookies are changed with autorecovery off, and then nobody asks what lacks copies")
    made = bookies.bksh("simpletest", "-ensemble", "4", "-writeQuorum", "4", "-ackQuorum", "2", "-numEntries", "20")
    wide = int(re.search(r"Ledger ID: (\d+)", made.stdout)[1])
    dead = next(i for i in bookies.bookies if i != bookies.auditor())
    held = ledgers_on(bookies, dead)
    bookies.kill(dead)
    # Ledgers come onto the list one by one: all that it held are off it when their metadata name other bookies.
    fleet.wait(lambda: dead not in bookies.rw() and bookies.under_replicated() == [wide]
               and held & ledgers_on(bookies, dead) == {wide}, 120,
               lambda: f"of {held} all but {wide} have new homes: {bookies.under_replicated()}, {ledgers_on(bookies, dead)}")
    down, known = f"down:bookie@n{dead}", f"known:{wide}"
    fleet.release(PAIR.new)
    fleet.plan(PAIR.new, "--strategy", "rolling", code=3)
    print(fleet.last.stderr)
    assert f"--consent {down}" in fleet.last.stderr and f"--consent {known}" in fleet.last.stderr, "all reasons"
    fleet.plan(PAIR.new, "--strategy", "rolling", "--consent", down, code=3)
    assert down not in fleet.last.stderr and known in fleet.last.stderr, fleet.last.stderr
    fleet.plan(PAIR.new, "--strategy", "rolling", "--consent", down, "--consent", known)
    fleet.approve()
    run_id = fleet.apply()
    fleet.wait(lambda: bookies.running_version(dead) == PAIR.new, 120, "it runs again, and the new version")
    assert [v for i, v in zip(bookies.bookies, fleet.versions()) if i != dead] == [PAIR.old] * 3, "it goes first"
    report = fleet.wait_ended(run_id, 400)
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert fleet.versions() == [PAIR.new] * 4 and fleet.stops() == [1] * 4, "by their own logs"
    all_write(fleet, bookies)
    assert bookies.recovery_delay() == 0 and not bookies.autorecovery_disabled()
    fleet.wait(lambda: bookies.under_replicated() == [], 120, "nothing lacks copies any more")
    for i in bookies.bookies:
        assert [bookies.read_entry(i, wide, entry)[0] for entry in range(20)] == [0] * 20, f"ledger {wide} on bookie {i}"
    # A bookie that is killed under them may fail a client before Kedge is asked for anything; nothing may be lost.
    figures = load.finish()
    print(figures)
    assert (figures["failed_reads"], figures["lost"]) == (0, 0), figures
