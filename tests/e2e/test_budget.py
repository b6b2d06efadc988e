"""Budgets of failures on the way from an operator's words to the plan that is signed, the run and its report (F26)."""
import pytest

from faults import FaultFleet
from kedge import BAD_INPUT, REFUSED


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, strategy={"soak": "1s", "budget": "{skipped: 1, canary:failed: 0}"})
    fleet.start()
    yield fleet
    fleet.stop()


def test_F26_budgets_are_signed_with_the_plan_and_shown_wherever_the_run_is(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--budget", "failed=many", code=BAD_INPUT)
    assert "expected 2, 10% or 2,10%" in fleet.last.stderr, fleet.last.stderr
    fleet.plan("1.1.0", "--budget", "nowhere:failed=1", code=REFUSED)
    assert "the plan has no such wave" in fleet.last.stderr, fleet.last.stderr
    page = fleet.plan("1.1.0", "--budget", "failed=1", "--budget", "unreachable=50%")
    assert "failed: at most 1; unreachable: at most 2 (50 % of 4 members, rounded down); skipped: at most 1;" \
        in " ".join(page.split()), page
    fleet.approve()
    fleet.apply()
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert run["budget"] == {"failed": 0, "failed_max": 1, "unreachable": 0, "unreachable_max": 2, "skipped": 0,
                             "skipped_max": 1, "held": 0, "held_max": 0, "quarantined": 0, "quarantined_max": 0, "retired": 0}, run["budget"]
    assert run["waves"][0]["budget"] == {"failed": 0, "failed_max": 0}, run["waves"]
    for words in (("run", "show"), ("run", "report")):
        text = " ".join(fleet.kedge(*words, code=None).split())
        assert "failed 0 of 1, unreachable 0 of 2, held 0 of 0, quarantined 0 of 0, skipped 0 of 1, retired 0; wave canary: failed 0 of 0" in text, text
