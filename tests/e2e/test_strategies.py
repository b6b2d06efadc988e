"""Plans that keep the release: a change of configuration alone, and a restart."""
import pytest

from faults import FaultFleet
from kedge import REFUSED


@pytest.fixture
def fleet(tmp_path):
    made = FaultFleet(tmp_path, members=4)
    yield made.start()
    made.stop()


def carry_out(fleet, *words):
    """The run from plan to report; every member was started once more and nobody's clients noticed."""
    pids, starts = [fleet.pid(i) for i in range(fleet.n)], [fleet.starts(i) for i in range(fleet.n)]
    fleet.plan("1.0.0", *words)
    fleet.approve()
    run = fleet.wait_ended(fleet.apply())
    assert run["verdict"]["result"] == "done", run
    assert [fleet.starts(i) for i in range(fleet.n)] == [n + 1 for n in starts]
    assert all(fleet.pid(i) not in (None, pids[i]) for i in range(fleet.n))
    assert [fleet.health(i).get("version") for i in range(fleet.n)] == ["1.0.0"] * fleet.n
    assert [fleet.health(i).get("mode") for i in range(fleet.n)] == ["read-write"] * fleet.n
    return run


def configuration(fleet, i):
    """What the member's command line names now."""
    with open(f"/proc/{fleet.pid(i)}/cmdline", encoding="utf-8") as file:
        words = file.read().split("\0")
    return (fleet.node(i) / "srv" / words[words.index("--config") + 1]).read_text()


def test_a_configuration_alone_is_changed_and_everything_is_restarted_once(fleet):
    fleet.release("1.0.0")
    refused = fleet.plan("1.0.0", "--strategy", "config-only", code=REFUSED) + fleet.last.stderr
    assert "nothing to change was named" in refused
    run = carry_out(fleet, "--strategy", "config-only", "--change", "sync=no")
    assert run["strategy"] == "config-only"
    assert all("sync = no" in configuration(fleet, i) or "sync=no" in configuration(fleet, i) for i in range(fleet.n))
    assert all("written by hand" in configuration(fleet, i) for i in range(fleet.n))

    before = [configuration(fleet, i) for i in range(fleet.n)]
    run = carry_out(fleet, "--strategy", "restart")  # of members that Kedge manages by now
    assert run["strategy"] == "restart"
    assert [configuration(fleet, i) for i in range(fleet.n)] == before


def test_a_strategy_that_keeps_the_release_does_not_upgrade(fleet):
    fleet.release("1.1.0")
    refused = fleet.plan("1.1.0", "--strategy", "restart", code=REFUSED) + fleet.last.stderr
    assert "not every member runs 1.1.0" in refused
