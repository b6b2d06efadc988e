"""A release that failed is kept out by its digest until operators have signed that it may be tried again (lesson 18): by the
coordinator for every cluster, and by the agent for its node, also when the coordinator has forgotten."""
import shutil

import pytest

from faults import FaultFleet
from kedge import REFUSED


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True)
    yield fleet.start()
    fleet.stop()


def digest_of(fleet):
    (release,) = fleet.ask("release", "list")["releases"]
    return release["manifest"]


def fails(fleet):
    """1.2.0 with the configuration that it ships does not start; the canary that found out. Meanwhile a plan without that
    mistake was signed, too."""
    fleet.plan("1.2.0", "--config", "release")
    fleet.approve()
    fleet.plan("1.2.0", file="later.plan")
    fleet.approve("later.plan")
    run = fleet.wait_ended(fleet.apply())
    assert run["verdict"]["result"] == "failed", run["verdict"]
    (canary,) = [m for m in run["members"] if m["state"] == "returned"]
    return canary["name"]


def succeeds(fleet):
    """Whatever was wrong is mended: the found configuration is kept."""
    run = fleet.wait_ended(fleet.apply())
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert [fleet.health(i)["version"] for i in range(fleet.n)] == ["1.2.0"] * fleet.n
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}


def test_F06_a_release_that_failed_is_refused_until_its_quarantine_is_lifted_by_a_signed_plan(fleet):
    name = fleet.release("1.2.0")
    canary, digest = fails(fleet), digest_of(fleet)

    # Shown: what, since when, where and why.
    for words in (("release", "list"), ("release", "show", name)):
        text = fleet.kedge(*words)
        assert f"quarantined  release {digest[:19]} since " in text, text
        assert f"it failed on {canary} in run 1: " in text and "unknown key" in text, text
    (kept,) = fleet.ask("release", "show", name)["release"]["quarantines"]
    assert (kept["digest"], kept["run"], kept["member"], kept["is"]) == (digest, 1, canary, "release")
    assert kept["since_ms"] > 0

    # Refused: a new plan, one that was signed before, and both after a restart, which has only the journal.
    for _ in range(2):
        fleet.plan("1.2.0", code=REFUSED)
        assert f"release {digest[:19]} is quarantined: it failed on {canary} in run 1: " in fleet.last.stderr, fleet.last.stderr
        assert "[quarantined]" in fleet.last.stderr and f"--lift-quarantine {digest[:19]}" in fleet.last.stderr
        fleet.kedge("apply", "later.plan", code=REFUSED)
        assert f"is quarantined: it failed on {canary} in run 1" in fleet.last.stderr, fleet.last.stderr
        fleet.kedged.restart()
        fleet.wait_kedged()
        fleet.wait_connected()
    assert "failed before" in fleet.kedge("explain", "quarantined")
    fleet.plan("1.2.0", "--lift-quarantine", "b2:00000000", code=REFUSED)
    assert "[lift-names-nothing]" in fleet.last.stderr and "[quarantined]" in fleet.last.stderr, fleet.last.stderr
    assert [fleet.starts(i) for i in range(fleet.n)].count(1) == fleet.n - 1

    # Lifted: it stands on the page that is signed; what then proves itself is free again.
    page = fleet.plan("1.2.0", "--lift-quarantine", digest[:19])
    assert f"QUARANTINE    {digest[:19]}... may have failed before" in page, page
    fleet.approve()
    succeeds(fleet)
    assert "quarantined  " not in fleet.kedge("release", "list")
    assert fleet.ask("release", "show", name)["release"]["quarantines"] == []


def restore(fleet):
    """The coordinator of before the failure. Its epochs and serials have to grow past those that the agents have seen."""
    fleet.kedged.kill()
    shutil.rmtree(fleet.folder / "coordinator")
    shutil.copytree(fleet.folder / "before", fleet.folder / "coordinator")
    fleet.start_kedged()
    for _ in range(3):
        fleet.kedged.restart()
        fleet.wait_kedged()
    fleet.wait_connected()


def test_F26_an_agent_refuses_by_itself_what_its_coordinator_has_forgotten(fleet):
    fleet.release("1.2.0")
    digest = digest_of(fleet)
    fleet.kedged.kill()
    shutil.copytree(fleet.folder / "coordinator", fleet.folder / "before", ignore=shutil.ignore_patterns("*.sock"))
    fleet.start_kedged()
    fleet.wait_connected()
    canary = fails(fleet)
    restore(fleet)

    assert fleet.ask("run", "list")["runs"] == []
    fleet.plan("1.2.0")  # takes the serial that the agents have seen
    fleet.plan("1.2.0", "--strategy", "rolling", "--budget", "quarantined=0")
    fleet.approve()
    run_id = fleet.apply()
    fleet.wait(lambda: (fleet.run(run_id) or {}).get("paused"), 60,
               lambda: f"the run is paused\n{fleet.kedge('run', 'show', code=None)}")
    run = fleet.run(run_id)
    (refused,) = [m for m in run["members"] if m["state"] == "quarantined"]
    assert refused["name"] == canary and "is quarantined on this node: it failed on " in refused["reason"], refused
    assert (run["budget"]["quarantined"], run["budget"]["quarantined_max"], run["budget"]["failed"]) == (1, 0, 0), run["budget"]
    text = " ".join(fleet.kedge("run", "show", code=None).split())
    assert "quarantined 1 of 0" in text and f"{canary} is refused by its agent" in text, text
    assert [m["stops"] for m in run["members"]] == [0] * fleet.n

    # And from now on this coordinator knows it, too.
    fleet.kedge("run", "abort", run_id, "--reason", "it failed before")
    fleet.wait_ended(run_id)
    fleet.plan("1.2.0", code=REFUSED)
    assert "[quarantined]" in fleet.last.stderr, fleet.last.stderr
    fleet.plan("1.2.0", "--lift-quarantine", digest)
    fleet.approve()
    succeeds(fleet)
