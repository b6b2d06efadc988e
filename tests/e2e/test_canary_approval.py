"""Between the canary and the others stands an operator, when the plan says so: the canary is done and watched, nothing else
begins, status says whom it waits for, and only a signed word lets it go on."""
import re

import pytest

from faults import FaultFleet
from kedge import BAD_INPUT, REFUSED, UNFINISHED
from test_control import states

ALICE = ("--reason", "figures are good", "--key", "operator/alice.key", "--yes")


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True)
    fleet.start()
    fleet.kedge("key", "new", "operator/mallory.key")
    yield fleet
    fleet.stop()


def until_it_waits(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling", "--approve-after-canary", code=BAD_INPUT)
    page = fleet.plan("1.1.0", "--strategy", "canary,rolling", "--canary", "store@n2", "--approve-after-canary")
    assert "the next wave begins by an operator's signed word" in page, page
    fleet.approve()
    fleet.apply()
    run = fleet.wait(lambda: "waits for an operator" in ((fleet.run() or {}).get("reason") or "") and fleet.run(), 30,
                     lambda: f"it waits for a person\n{fleet.kedge('run', 'show', code=None)}")
    assert "kedge run promote 1 demo/store@n2" in run["reason"], run["reason"]
    assert sorted(states(fleet)) == ["done", "prepared", "prepared", "prepared"]
    return run


def test_F18_F03_the_rest_begins_by_a_signed_word_only(fleet):
    until_it_waits(fleet)
    starts = [fleet.starts(i) for i in range(4)]
    assert "waits for an operator" in fleet.kedge("status", code=UNFINISHED)
    fleet.kedge("run", "resume", code=REFUSED)
    fleet.kedge("run", "promote", "1", "store@n2", "--reason", "x", code=BAD_INPUT)
    fleet.kedge("run", "promote", "1", "store@n2", "--reason", "x", "--key", "operator/mallory.key", "--yes", code=REFUSED)
    fleet.kedge("run", "promote", "1", "store@n3", *ALICE, code=REFUSED)
    # It outlives everybody's restart.
    fleet.kedged.restart()
    fleet.wait_connected()
    written = int(fleet.load_stats()["writes"])
    fleet.wait(lambda: int(fleet.load_stats()["writes"]) > written + 500, 20, "clients go on")
    assert "waits for an operator" in fleet.run()["reason"]
    assert [fleet.starts(i) for i in range(4)] == starts

    fleet.kedge("run", "promote", "1", "store@n2", *ALICE)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert "figures are good" in str(run["events"]), run["events"]
    words = fleet.kedge("run", "report").split("WORDS OF OPERATORS, AND PAUSES")[1].split("SIDE ACTIONS")[0]
    assert re.search(r"promoted +root \(uid \d+\) +store@n2: figures are good", words), words
    canary = next(m for m in fleet.ask("run", "report")["run"]["members"] if m["name"] == "demo/store@n2")
    assert sum(step.get("interruption_us", 0) > 0 for step in canary["steps"]) == 2, "both its stops are told"
    assert [fleet.starts(i) for i in range(4)] == [2, 3, 2, 2]
    fleet.kedge("run", "promote", "1", "store@n2", *ALICE, code=REFUSED)
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}


def test_F18_F05_the_canary_that_waits_is_taken_back(fleet):
    until_it_waits(fleet)
    fleet.kedge("run", "rollback", "1", "--reason", "not convinced")
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "rolled-back", run["verdict"]
    assert re.search(r"canary .* 1 of 1 back", fleet.kedge("run", "report"))
    assert [fleet.health(i)["version"] for i in range(4)] == ["1.0.0"] * 4
    assert [fleet.starts(i) for i in range(4)] == [1, 4, 1, 1]
