"""Members that Kedge started itself are upgraded once more, and then back, with the side action on: its command is the
program of a managed release, which nobody has listed in agent.yaml."""
import pytest

from faults import FaultFleet


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True)
    yield fleet.start()
    fleet.stop()


def change(fleet, version):
    """Rolling, to the end; the report of the run."""
    fleet.plan(version, "--strategy", "rolling")
    fleet.approve()
    report = fleet.wait_ended(fleet.apply())
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert [(side["name"], side["state"]) for side in report["side_actions"]] == [("repair-delay", "closed")]
    assert [fleet.health(i)["version"] for i in range(fleet.n)] == [version] * fleet.n
    assert fleet.side_action() == "0"


def test_F02_managed_members_are_upgraded_again_and_back(fleet):
    fleet.release("1.1.0")
    change(fleet, "1.1.0")
    fleet.release("1.2.0")
    change(fleet, "1.2.0")
    change(fleet, "1.1.0")
    assert [fleet.starts(i) for i in range(fleet.n)] == [4] * fleet.n
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}


def test_F08_second_upgrade_is_rolled_back(fleet):
    """The way back of the second plan is a generation of the first: it is there also when the second is proven."""
    fleet.release("1.1.0")
    change(fleet, "1.1.0")
    fleet.release("1.2.0")
    change(fleet, "1.2.0")
    fleet.kedge("run", "rollback", "--reason", "try it")
    def back():
        run = fleet.run() or {}
        return run.get("ended_ms") and run["verdict"]["result"] == "rolled-back"
    fleet.wait(back, 60, lambda: f"it is rolled back\n{fleet.kedge('run', 'show', code=None)}")
    assert [fleet.health(i)["version"] for i in range(fleet.n)] == ["1.1.0"] * fleet.n
    assert fleet.side_action() == "0"
