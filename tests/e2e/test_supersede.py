"""A newer plan overtakes an open run: the old one drains, puts its side action back and ends as superseded; the new one goes
on from what runs, touches again only what is not where it would bring it, and is refused when it would wait for itself."""
import pytest

from faults import FaultFleet
from kedge import BAD_INPUT, REFUSED
from test_control import begin, settled, states


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True, strategy={"soak": "1500ms", "soak-read-only": "1500ms"})
    fleet.start()
    yield fleet
    fleet.stop()


def pause_in_the_middle(fleet):
    fleet.kedge("run", "pause", "--reason", "1.1.0 is not good enough")
    settled(fleet)
    done = [state == "done" for state in states(fleet)]
    assert 1 <= sum(done) < 4, done
    assert fleet.side_action() == "60", "a pause keeps what is open"
    return done


def overtaken_by(fleet, version, verdict="done"):
    """The plan that is there takes over; the report of its run."""
    fleet.approve()
    id_ = fleet.apply()
    assert id_ == 2
    new = fleet.wait_ended(2)
    old = fleet.ask("run", "report", "1")["run"]
    assert old["verdict"]["result"] == "superseded" and "superseded by plan" in old["verdict"]["text"], old["verdict"]
    assert [side["state"] for side in old["side_actions"]] == ["closed"]
    assert old["ended_ms"] <= min(step["sent_ms"] for m in new["members"] for step in m["steps"]), "one after the other"
    assert new["verdict"]["result"] == verdict, new["verdict"]
    assert [(side["previous"], side["state"]) for side in new["side_actions"]] == [(fleet.before[1], "closed")]
    assert fleet.side_action() == fleet.before[1]
    assert [fleet.health(i)["version"] for i in range(4)] == [version] * 4
    assert [fleet.health(i)["mode"] for i in range(4)] == ["read-write"] * 4
    assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}
    return new


def test_F06_a_paused_run_is_superseded_by_a_plan_to_a_third_release(fleet):
    begin(fleet)
    # What goes on is not what is signed: said before anybody signs.
    fleet.plan("1.1.0", "--strategy", "rolling", "--supersede", "1", code=REFUSED)
    assert "--consent not-paused" in fleet.last.stderr, fleet.last.stderr
    done = pause_in_the_middle(fleet)
    fleet.release("1.2.0")
    fleet.plan("1.2.0", "--strategy", "rolling", "--supersede", "one", code=BAD_INPUT)
    fleet.plan("1.2.0", "--strategy", "rolling", "--supersede", "7", code=REFUSED)
    assert "the open run is 1" in fleet.last.stderr, fleet.last.stderr
    # Without the word, the open run is in its way.
    fleet.plan("1.2.0", "--strategy", "rolling")
    fleet.approve()
    fleet.kedge("apply", "demo.plan", code=REFUSED)
    assert "a newer plan must supersede it" in fleet.last.stderr, fleet.last.stderr
    page = fleet.plan("1.2.0", "--strategy", "rolling", "--supersede", "1")
    assert "SUPERSEDES" in page, page
    new = overtaken_by(fleet, "1.2.0")
    assert sorted(m["name"] for m in new["members"]) == [fleet.member(i) for i in range(4)]
    assert [fleet.starts(i) for i in range(4)] == [3 if was else 2 for was in done]


def test_F06_a_plan_to_the_same_release_does_not_touch_again_what_is_there(fleet):
    begin(fleet)
    done = pause_in_the_middle(fleet)
    fleet.plan("1.1.0", "--strategy", "rolling", "--supersede", "1")
    new = overtaken_by(fleet, "1.1.0")
    assert sorted(m["name"] for m in new["members"]) == [fleet.member(i) for i in range(4) if not done[i]]
    assert [fleet.starts(i) for i in range(4)] == [2] * 4


def test_F06_F03_a_canary_that_the_old_run_left_read_only_is_made_read_write(fleet):
    fleet.strategy["soak-read-only"] = "1h"
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "canary,rolling", "--canary", "store@n2", "--soak-read-only", "1h")
    fleet.approve()
    fleet.before = [fleet.starts(i) for i in range(4)], fleet.side_action()
    fleet.apply()
    fleet.wait(lambda: states(fleet).count("soaking read-only") == 1, 30,
               lambda: f"the canary soaks\n{fleet.kedge('run', 'show', code=None)}")
    fleet.kedge("run", "pause")
    fleet.plan("1.1.0", "--strategy", "rolling", "--supersede", "1", code=REFUSED)
    assert "--consent becomes-read-write:store@n2" in fleet.last.stderr, fleet.last.stderr
    fleet.plan("1.1.0", "--strategy", "rolling", "--supersede", "1", "--consent", "becomes-read-write:store@n2")
    new = overtaken_by(fleet, "1.1.0")
    assert len(new["members"]) == 4
    assert [fleet.starts(i) for i in range(4)] == [2, 3, 2, 2]


def test_F06_an_upgrade_is_superseded_by_the_way_back_while_a_member_is_in_change(fleet):
    begin(fleet)
    # Nobody waits for anything here: the run is in the middle of a member, and both consents are given.
    fleet.wait(lambda: "switching" in states(fleet) or "recovering" in states(fleet), 20, "a member is in change")
    fleet.kedge("run", "pause")
    settled(fleet)
    fleet.release("1.0.0")
    fleet.plan("1.0.0", "--strategy", "rolling", "--supersede", "1")
    new = overtaken_by(fleet, "1.0.0")
    assert 1 <= len(new["members"]) < 4


def test_F06_a_wait_for_itself_is_refused_before_it_is_signed(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--depends-on", "demo", code=BAD_INPUT)
    assert "does not wait for itself" in fleet.last.stderr, fleet.last.stderr
    page = fleet.plan("1.1.0", "--depends-on", "zk-prod")
    assert "cluster zk-prod: no run of it is open" in page, page
