"""A process of the member that its agent's journal does not name: the journal was lost while it was started, or a person
has started it. Its agent believes what lives, starts nothing beside it, and can upgrade it."""
import shutil

import pytest

from faults import FaultFleet
from test_by_hand import start_by_hand, stop_by_hand


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path)
    yield fleet.start()
    fleet.stop()


def upgrade(fleet, version, in_between=lambda: None):
    """To the end; `in_between` is called when the generation lies ready and nothing was stopped yet."""
    fleet.release(version)
    fleet.plan(version, "--strategy", "rolling")
    fleet.approve()
    fleet.apply()
    fleet.kedge("run", "pause", code=None)
    fleet.wait(lambda: fleet.run()["members"][0]["state"] in ("prepared", "done"), 30, "it is prepared")
    in_between()
    fleet.kedge("run", "resume", code=None)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert fleet.health(0)["version"] == version and len(fleet.processes(0)) == 1


def is_taken(fleet, pid):
    fleet.wait_connected()
    fleet.wait(lambda: f"process {pid} runs, which this agent's journal does not name" in fleet.agents[0].words(), 10,
               "its agent has seen it")
    assert fleet.pid(0) == pid and fleet.processes(0) == [pid], "it was left alone, and nothing was started beside it"


def test_A41_F27_what_a_lost_journal_does_not_name_is_believed_and_upgraded(fleet):
    agent, journal = fleet.agents[0], fleet.node(0) / "kedge/journal"
    old = fleet.folder / "journal.old"
    upgrade(fleet, "1.1.0", lambda: shutil.copy(journal, old))
    pid = fleet.pid(0)
    agent.kill()
    shutil.copy(old, journal)  # all that was written since is lost: the stop, the start, the proof
    agent.start()
    is_taken(fleet, pid)
    upgrade(fleet, "1.2.0")
    assert fleet.starts(0) == 3 and fleet.stops(0) == 2


def test_F06_F27_what_other_hands_have_started_while_the_agent_was_away_is_believed_and_upgraded(fleet):
    agent = fleet.agents[0]
    for version in "1.1.0", "1.2.0":  # first a service that was found, then one that Kedge has started
        agent.kill()
        words = [word for word in open(f"/proc/{fleet.pid(0)}/cmdline", encoding="utf-8").read().split("\0") if word]
        stop_by_hand(fleet, 0)
        start_by_hand(fleet, 0, *words)
        pid = fleet.pid(0)
        agent.start()
        is_taken(fleet, pid)
        upgrade(fleet, version)
    assert fleet.starts(0) == 5 and fleet.stops(0) == 4


def test_A41_what_no_generation_of_the_journal_explains_is_not_taken_for_one(fleet):
    """The journal knows the found generation alone: another release must not pass for it."""
    agent, journal = fleet.agents[0], fleet.node(0) / "kedge/journal"
    old = fleet.folder / "journal.old"
    shutil.copy(journal, old)
    upgrade(fleet, "1.1.0")
    pid = fleet.pid(0)
    agent.kill()
    shutil.copy(old, journal)
    agent.start()
    is_taken(fleet, pid)
    fleet.release("1.2.0")
    page = fleet.plan("1.2.0", "--strategy", "rolling", code=3) + fleet.last.stderr
    assert "does not know release.folder" in page, page
    assert fleet.pid(0) == pid
