"""How long a start may take: it follows progress up to a hard cap, and learns from the member's own starts. The member
pretends to have a long journal to replay."""
import re

import pytest

from faults import FaultFleet


@pytest.fixture
def fleet_with(tmp_path):
    made = []

    def make(**values):
        fleet = FaultFleet(tmp_path, values={"ensemble": 0, **values})
        made.append(fleet)
        fleet.start()
        fleet.release("1.1.0")
        return fleet
    yield make
    for fleet in made:
        fleet.stop()


def run_with(fleet, replay, *words):
    """An upgrade to its end, with a configuration that makes the new start replay for so long."""
    fleet.plan("1.1.0", "--strategy", "rolling", "--change", f"replay={replay}", *words)
    fleet.approve()
    fleet.apply()
    def settled():
        run = fleet.run()
        return run if run.get("ended_ms") or run.get("paused") else None
    return fleet.wait(settled, 60, lambda: f"it ends\n{fleet.kedge('run', 'show', code=None)}")


def test_F05_a_long_replay_is_not_killed_and_one_that_hangs_is_returned(fleet_with):
    fleet = fleet_with(**{"start-deadline": "1s"})
    run_with(fleet, "20000 silent")
    assert fleet.health(0)["version"] == "1.0.0", "it went back by itself"
    page = fleet.kedge("run", "show", code=None)
    waited = re.search(r"it was not up after (\d+) ms without progress", page)
    assert waited and 1000 <= int(waited[1]) < 10000, page
    fleet.kedge("run", "abort", "--reason", "it hangs", code=None)
    fleet.wait(lambda: fleet.run().get("ended_ms"), 30, "it is over")

    (kept,) = fleet.ask("release", "show", "demo-store-1.1.0")["release"]["quarantines"]  # it is to blame, as far as Kedge can see
    run = run_with(fleet, 3000, "--lift-quarantine", kept["digest"])
    assert run.get("ended_ms") and run["verdict"]["result"] == "done", run
    assert fleet.health(0)["version"] == "1.1.0"
    assert max(m["interruption_us"] for m in run["members"]) > 3000000, "three times its deadline"
    log = (fleet.node(0) / "srv/demo-store.log").read_text(errors="replace")
    assert log.count("replayed 0 of 3000 keys") == 1, "it was started once"


def test_F05_progress_for_ever_ends_at_the_hard_cap(fleet_with):
    fleet = fleet_with(**{"start-deadline": "1s", "start-cap": "2500ms"})
    run_with(fleet, 60000)
    assert fleet.health(0)["version"] == "1.0.0"
    page = fleet.kedge("run", "show", code=None)
    waited = re.search(r"it was not up after (\d+) ms, the most that it is given", page)
    assert waited and int(waited[1]) >= 2500, page


def test_F24_the_next_deadline_comes_from_the_members_own_starts(fleet_with):
    fleet = fleet_with()
    page = fleet.plan("1.1.0", "--strategy", "rolling")
    assert "times" not in re.search(r"a new process; within 10 s[^;]*;", page)[0], "nothing was measured yet"
    run = run_with(fleet, 4000)
    assert run["verdict"]["result"] == "done", run
    page = re.sub(r"\s+", " ", fleet.plan("1.1.0", "--strategy", "restart"))
    deadline = re.search(r"within (\d+) s without progress, at most 30 s \(three times its last start\)", page)
    assert deadline and 12 <= int(deadline[1]) < 30, page
    fleet.agents[0].restart()  # it is in the journal
    fleet.wait_connected()
    again = re.sub(r"\s+", " ", fleet.plan("1.1.0", "--strategy", "restart"))
    assert deadline[0] in again, again
