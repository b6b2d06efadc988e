"""Finalizing is a plan of its own, signed, after a soak; nothing is stopped by it, and no way leads back from it."""
import subprocess

import pytest

from faults import FaultFleet
from kedge import REFUSED, RELEASES, UNFINISHED


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True)
    fleet.start()
    yield fleet
    fleet.stop()


def generations(fleet, i):
    return sorted(path.name for path in (fleet.node(i) / f"kedge/members/demo_store_n{i + 1}/gen").iterdir())


def upgrade(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "finalize", code=REFUSED)
    assert "release-not-everywhere" in fleet.last.stderr, fleet.last.stderr
    fleet.plan("1.1.0", "--strategy", "canary,rolling")
    fleet.approve()
    assert fleet.wait_ended(fleet.apply())["verdict"]["result"] == "done"


def finalize(fleet):
    """Refused until the soak is over, then done; the report of its run."""
    fleet.plan("1.1.0", "--strategy", "finalize", code=REFUSED)
    assert "finalize-too-early" in fleet.last.stderr and "it may be planned in" in fleet.last.stderr, fleet.last.stderr
    fleet.plan("1.1.0", "--strategy", "finalize", "--change", "sync=yes", code=REFUSED)
    assert "finalize-with-changes" in fleet.last.stderr, fleet.last.stderr

    def planned():
        page = fleet.plan("1.1.0", "--strategy", "finalize", code=None)
        return page if fleet.last.returncode == 0 else None
    page = fleet.wait(planned, 20, lambda: f"the soak is over\n{fleet.last.stderr}")
    assert "data of format 2, which demo-store 1.0 does not start on" in page and "way back" in page, page
    fleet.approve()
    return fleet.wait_ended(fleet.apply())


def test_F22_finalize_is_signed_by_itself_after_a_soak_and_nothing_leads_back(fleet):
    upgrade(fleet)
    assert all(fleet.health(i)["format"] == "1" for i in range(4))
    assert all("0" in generations(fleet, i) for i in range(4)), "until then the way back is kept"
    starts = [fleet.starts(i) for i in range(4)]
    run = finalize(fleet)
    assert run["verdict"]["result"] == "done" and "no way leads back" in run["verdict"]["text"], run["verdict"]
    assert [fleet.health(i)["format"] for i in range(4)] == ["2"] * 4
    assert [fleet.starts(i) for i in range(4)] == starts, "nothing was stopped"
    assert [m["stops"] for m in run["members"]] == [0] * 4

    # What was kept for the way back is gone; what runs is there.
    for i in range(4):
        now = (fleet.node(i) / f"kedge/members/demo_store_n{i + 1}/current").resolve()
        fleet.wait(lambda i=i, now=now: generations(fleet, i) == [now.name], 10, lambda i=i: f"pruned: {generations(fleet, i)}")
        assert (now / "release/bin/demo-store").exists()
    assert "finalized on 1.1.0 by run 2" in fleet.kedge("status", code=None)

    # No word and no plan leads back, also after a restart of everybody.
    fleet.kedge("run", "rollback", "2", code=REFUSED)
    assert "cannot go back" in fleet.last.stderr, fleet.last.stderr
    fleet.kedge("run", "rollback", "1", code=REFUSED)
    fleet.agents[0].restart()
    fleet.kedged.restart()
    fleet.wait_connected()
    fleet.release("1.0.0")
    fleet.plan("1.0.0", "--strategy", "rolling", code=REFUSED)
    assert "store@n1 was finalized on 1.1.0, so 1.0.0 cannot read its data any more [finalized]" in fleet.last.stderr
    fleet.plan("1.1.0", "--strategy", "finalize", code=REFUSED)
    assert "nothing-to-do" in fleet.last.stderr, fleet.last.stderr
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}

    # And it is true: the old program refuses these data.
    fleet.agents[3].kill()
    pid = fleet.pid(3)
    subprocess.run(["kill", str(pid)], check=True)
    fleet.wait(lambda: fleet.pid(3) is None, 10, "its replica has ended")
    def started():
        old = subprocess.run([RELEASES / "demo-store-1.0.0/bin/demo-store", "--config", "demo-store.conf"],
                             cwd=fleet.node(3) / "srv", capture_output=True, text=True, timeout=10)
        return None if "already in use" in old.stderr else old  # its successor's port is free a moment later
    old = fleet.wait(started, 10, "the port is free")
    assert old.returncode == 2 and "data of format 2" in old.stderr, old


def test_F22_finalize_of_a_member_that_refuses_pauses_and_is_tried_again(fleet):
    upgrade(fleet)
    folder = fleet.node(2) / "srv/data/format.new"
    folder.mkdir()  # where the store writes it first
    fleet.wait(lambda: fleet.plan("1.1.0", "--strategy", "finalize", code=None) and fleet.last.returncode == 0, 20, "planned")
    fleet.approve()
    fleet.apply()
    run = fleet.wait(lambda: (fleet.run() or {}).get("paused") and fleet.run(), 30,
                     lambda: f"it pauses\n{fleet.kedge('run', 'show', code=None)}")
    assert "store@n3" in run["reason"], run["reason"]
    assert fleet.health(2)["format"] == "1" and fleet.health(2)["mode"] == "read-write"
    fleet.kedge("status", code=UNFINISHED)
    folder.rmdir()
    fleet.kedge("run", "retry", "2", "store@n3", "--reason", "the disk is mended")
    fleet.kedge("run", "resume", "2", code=None)  # the retry may have been all that it waited for
    assert fleet.wait_ended(2)["verdict"]["result"] == "done"
    assert [fleet.health(i)["format"] for i in range(4)] == ["2"] * 4
