"""A canary of which nobody can say whether it is well: it never passes, and the plan that was signed says what follows."""
import os
import signal

import pytest

from faults import FaultFleet
from kedge import BAD_INPUT


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True, strategy={"soak-read-only": "120s", "soak": "1s"})
    fleet.frozen = []
    fleet.start()
    yield fleet
    thaw(fleet)
    fleet.stop()


def thaw(fleet):
    for pid in fleet.frozen:
        os.kill(pid, signal.SIGCONT)
    fleet.frozen = []


def until_it_is_unknown(fleet, *options):
    """The canary soaks, read-only, and its prober answers no more."""
    page = fleet.plan("1.1.0", "--strategy", "canary,rolling", "--canary", "store@n2", "--wait-limit", "4s", *options)
    assert "never passes" in page, page
    fleet.approve()
    fleet.apply()
    fleet.wait(lambda: "soaks" in str([m for m in (fleet.run() or {"members": []})["members"] if m["name"].endswith("n2")]),
               60, lambda: f"the canary soaks\n{fleet.kedge('run', 'show', code=None)}")
    fleet.frozen = [fleet.agents[1].helper("kedge-prober")]
    os.kill(fleet.frozen[0], signal.SIGSTOP)
    return page


def only_the_canary_was_touched(fleet):
    assert [fleet.starts(i) for i in (0, 2, 3)] == [1, 1, 1]


def test_F18_F19_by_default_the_run_pauses(fleet):
    fleet.release()
    page = until_it_is_unknown(fleet)
    assert "the run pauses" in page, page
    run = fleet.wait(lambda: (fleet.run() or {}).get("paused") and fleet.run(), 60,
                     lambda: f"it pauses\n{fleet.kedge('run', 'show', code=None)}")
    assert "inconclusive: canary demo/store@n2 is unknown" in run["reason"], run["reason"]
    assert run["waves"][0]["on_inconclusive"] == "pause"
    only_the_canary_was_touched(fleet)


def test_F18_F19_with_return_the_canary_goes_back(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling", "--on-inconclusive", "return", code=BAD_INPUT)
    fleet.plan("1.1.0", "--strategy", "canary,rolling", "--on-inconclusive", "promote", code=BAD_INPUT)
    page = until_it_is_unknown(fleet, "--on-inconclusive", "return")
    assert "the canaries are returned" in " ".join(page.split()), page
    fleet.wait(lambda: "inconclusive: canary" in str((fleet.run() or {}).get("events")), 60,
               lambda: f"it goes back\n{fleet.kedge('run', 'show', code=None)}")
    thaw(fleet)  # its agent asks before it stops anything, on the way back too
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "rolled-back", run["verdict"]
    assert "inconclusive: canary demo/store@n2 is unknown" in run["verdict"]["text"], run["verdict"]
    assert [fleet.health(i)["version"] for i in range(4)] == ["1.0.0"] * 4
    only_the_canary_was_touched(fleet)
    assert "never passes: the canaries are returned" in fleet.kedge("run", "report", "1")
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}
