"""An operator's words on a run that is under way, and the order in which a run takes its members."""
import os
import signal

import pytest

from faults import FaultFleet
from kedge import REFUSED

SLOW = {"soak": "1500ms"}  # long enough to say a word in


@pytest.fixture
def make(tmp_path):
    fleets = []

    def start(members=4, **options):
        fleets.append(FaultFleet(tmp_path, members=members, strategy=SLOW, **options))
        return fleets[-1].start()
    yield start
    for fleet in fleets:
        fleet.stop()


def begin(fleet, *words):
    """A rolling run whose first member is done; the report as it is then."""
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling", *words)
    fleet.approve()
    fleet.before = [fleet.starts(i) for i in range(fleet.n)], fleet.side_action()
    fleet.apply()
    fleet.wait(lambda: "done" in states(fleet), 30, "the first member is done")


def states(fleet):
    return [member["state"] for member in (fleet.run() or {"members": []})["members"]]


def settled(fleet):
    """Nobody is in change; then how often each was started."""
    fleet.wait(lambda: set(states(fleet)) <= {"done", "prepared"}, 20, "nobody is in change")
    return [fleet.starts(i) for i in range(fleet.n)]


def all_serve(fleet, versions):
    assert [fleet.health(i).get("mode") for i in range(fleet.n)] == ["read-write"] * fleet.n
    assert [fleet.health(i)["version"] for i in range(fleet.n)] == versions
    assert all(len(fleet.processes(i)) == 1 for i in range(fleet.n))
    assert fleet.side_action() == fleet.before[1]


# ---- words ----

def test_F08_pause_begins_nothing_and_resume_goes_on(make):
    fleet = make(load=True)
    begin(fleet)
    fleet.kedge("run", "pause", "--reason", "looking at it")
    starts = settled(fleet)
    written = int(fleet.load_stats()["writes"])
    fleet.wait(lambda: int(fleet.load_stats()["writes"]) > written + 500, 20, "clients go on")
    run = fleet.run()
    assert run["paused"] and not run.get("ended_ms") and "looking at it" in run["reason"], run
    assert [fleet.starts(i) for i in range(4)] == starts and sum(starts) < 8
    assert fleet.side_action() == "60", "a pause keeps what is open"

    fleet.kedge("run", "resume")
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done"
    said = [(event["word"], event.get("why", "")) for event in run["events"] if "word" in event]
    assert said == [("paused", "looking at it"), ("resumed", "")], said
    report = fleet.kedge("run", "report")
    assert report.count(run["plan"]) == report.count("Kedge, report of run ") == -(-report.count("\n") // 60)
    assert "\033" not in report and "(uid " in report and "looking at it" in report, report
    all_serve(fleet, ["1.1.0"] * 4)
    assert [fleet.starts(i) for i in range(4)] == [2] * 4
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}


def test_F08_F31_abort_begins_nothing_but_the_closing_moves(make):
    fleet = make()
    begin(fleet)
    fleet.kedge("run", "abort", "--reason", "wrong release")
    run = fleet.wait_ended(seconds=20)
    assert run["verdict"]["result"] == "aborted" and "wrong release" in str(run), run["verdict"]
    changed = [member["version"] == "1.1.0" for member in run["members"]]
    assert 1 <= sum(changed) < 4
    all_serve(fleet, ["1.1.0" if done else "1.0.0" for done in changed])
    # Who was in the middle of its switch finishes or is returned by its agent; nobody else was touched.
    expected = [{2} if done else {2, 3} if member["state"] == "returned" else {1}
                for member, done in zip(run["members"], changed)]
    starts = [fleet.starts(i) for i in range(4)]
    assert all(n in fits for n, fits in zip(starts, expected)), (starts, run["members"])
    # It latches: no word brings it back to life.
    fleet.kedge("run", "resume", code=REFUSED)


def test_F08_rollback_of_a_run_returns_what_was_changed(make):
    fleet = make(load=True)
    begin(fleet)
    fleet.kedge("run", "rollback", "--reason", "enough")
    run = fleet.wait_ended(seconds=40)
    assert run["verdict"]["result"] == "rolled-back", run["verdict"]
    all_serve(fleet, ["1.0.0"] * 4)
    returned = [member["state"] == "back" for member in run["members"]]
    assert 1 <= sum(returned) < 4
    # Each that was changed was stopped twice, there and back; the others never.
    assert [fleet.starts(i) for i in range(4)] == [3 if back else 1 for back in returned]
    assert [member["stops"] for member in run["members"]] == [2 if back else 0 for back in returned]
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}


def test_F04_the_coordinator_is_restarted_in_a_run(make):
    fleet = make()
    begin(fleet)
    epoch = fleet.ask("status")["coordinator"]["epoch"]
    fleet.kedged.restart(signal.SIGTERM)
    fleet.wait_kedged()
    assert fleet.ask("status")["coordinator"]["epoch"] == epoch + 1
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done"
    assert [fleet.starts(i) for i in range(4)] == [2] * 4 and [m["stops"] for m in run["members"]] == [1] * 4
    all_serve(fleet, ["1.1.0"] * 4)


def test_F22_nothing_is_finalized_by_itself(make):
    fleet = make(members=2, values={"ensemble": 1})
    begin(fleet)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done"
    # What it ran from before is still there, and so is the way back.
    assert (fleet.node(0) / "kedge/members/demo_store_n1/gen/0").is_dir()
    assert (fleet.node(0) / "opt/demo-store-1.0.0/bin/demo-store").exists()
    fleet.kedge("run", "rollback")
    fleet.wait(lambda: fleet.run()["state"] == "ended" and fleet.run()["verdict"]["result"] == "rolled-back", 30,
               "the run is rolled back")
    all_serve(fleet, ["1.0.0"] * 2)


# ---- order and limits ----

def test_F13_a_broken_member_goes_first(make):
    fleet = make()
    os.kill(fleet.pid(3), signal.SIGKILL)
    fleet.wait(lambda: fleet.ask("cluster", "show", "demo")["cluster"]["members"][3]["mode"] == "down", 20, "its end is seen")
    fleet.release()
    # Its start is a consent of its own, by name.
    fleet.plan("1.1.0", "--strategy", "rolling", code=REFUSED)
    assert "--consent down:store@n4" in fleet.last.stderr
    fleet.plan("1.1.0", "--strategy", "rolling", "--consent", "down:store@n4")
    fleet.approve()
    fleet.before = None, fleet.side_action()
    fleet.apply()
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    begun = {m["name"]: next(s["sent_ms"] for s in m["steps"] if s["step"] == "switch") for m in run["members"]}
    assert min(begun, key=begun.get) == fleet.member(3), begun
    assert {m["name"]: m["stops"] for m in run["members"]}[fleet.member(3)] == 0
    all_serve(fleet, ["1.1.0"] * 4)


def in_change(run):
    """(begin, end, domain) of each member: from the order of its switch until it was done."""
    return [(next(s["sent_ms"] for s in m["steps"] if s["step"] == "switch"), m["since_ms"], m["domain"])
            for m in run["members"]]


@pytest.mark.parametrize("limit", ["2", "34%"])
def test_F14_F15_two_at_once_and_in_one_domain(make, limit):
    fleet = make(members=6, domains=2)
    begin(fleet, "--limit", limit)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done"
    changes = in_change(run)
    at_once = [[other for other in changes if other[0] <= begin_ms < other[1]] for begin_ms, _, _ in changes]
    assert max(map(len, at_once)) == 2, changes
    assert all(len({domain for _, _, domain in together}) == 1 for together in at_once), changes
    all_serve(fleet, ["1.1.0"] * 6)
