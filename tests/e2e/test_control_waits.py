"""Why a member waits: gates that say no, gates that do not answer, members that were done and are not well any more. In
each case nothing is stopped meanwhile, and somebody who looks is told who blocks, since when, and what comes next."""
import http.client
import os
import signal

import pytest

from faults import FaultFleet
from test_control import begin, settled, states


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, strategy={"soak": "1s"})
    fleet.start()
    yield fleet
    for pid in getattr(fleet, "frozen", []):
        os.kill(pid, signal.SIGCONT)
    fleet.stop()


def freeze(fleet, *pids):
    fleet.frozen = pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def thaw(fleet):
    for pid in fleet.frozen:
        os.kill(pid, signal.SIGCONT)
    fleet.frozen = []


def waiting(fleet):
    """The members that wait, by their word."""
    return [m for m in (fleet.run() or {"members": []})["members"] if m.get("headline", "").startswith("WAITS")]


def wait_until_it_waits(fleet, *answers):
    """Gives the member that waits and the gates of it that say so."""
    def found():
        for member in waiting(fleet):
            gates = [gate for gate in member["gates"] if gate["answer"] in answers]
            if gates and member.get("then"):
                return member, gates
        return None
    return fleet.wait(found, 20, lambda: f"somebody waits for {answers}; it is\n{fleet.kedge('run', 'show', code=None)}")


def goes_on_to_its_end(fleet):
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert [m["stops"] for m in run["members"]] == [1] * 4
    assert fleet.side_action() == fleet.before[1]


def test_F01_F29_a_store_that_was_stopped_by_hand_blocks_the_others(fleet):
    begin(fleet)
    by_hand = next(i for i in (3, 2) if states(fleet)[i] == "prepared")
    fleet.stores[by_hand].kill(signal.SIGTERM)
    member, gates = wait_until_it_waits(fleet, "no")
    starts = [fleet.starts(i) for i in range(4)]
    assert any(gate["gate"] == "writable" and "clients need 3" in gate["reason"] for gate in gates), gates
    assert member["since_ms"] > 0 and "pauses" in member["then"] and member["limit_ms"] > member["since_ms"], member
    # The page says who is in the way, and that waiting hurts nobody.
    page = fleet.kedge("status", code=4)
    assert "WAITS to stop" in page and "writable: without it 2 replicas are read-write, clients need 3" in page
    assert "pauses, nothing else" in page and "waiting hurts nobody" in page
    assert f"(asked {fleet.member(by_hand)})" in page, page
    fleet.wait(lambda: f"{fleet.member(by_hand)} is down" in fleet.kedge("status", code=4), 10, "its end is in the list")
    assert [fleet.starts(i) for i in range(4)] == starts
    # Brought back as it was, it is taken again: nothing has to be planned anew.
    fleet.stores[by_hand].start()
    goes_on_to_its_end(fleet)
    assert [fleet.starts(i) for i in range(4)] == [3 if i == by_hand else 2 for i in range(4)]


def test_F01_F29_a_store_that_does_not_answer_is_unknown_and_unknown_never_passes(fleet):
    begin(fleet)
    frozen = next(i for i in (3, 2) if states(fleet)[i] == "prepared")
    freeze(fleet, fleet.pid(frozen))
    wait_until_it_waits(fleet, "unknown", "no")
    starts = [fleet.starts(i) for i in range(4)]
    member, gates = wait_until_it_waits(fleet, "unknown")
    assert all(gate["reason"] for gate in gates), gates
    assert [fleet.starts(i) for i in range(4)] == starts
    thaw(fleet)
    goes_on_to_its_end(fleet)


def test_F01_F29_probers_that_do_not_answer_are_unknown(fleet):
    begin(fleet)
    fleet.kedge("run", "pause")
    settled(fleet)
    freeze(fleet, *(agent.helper("kedge-prober") for agent in fleet.agents))
    fleet.kedge("run", "resume")
    fleet.wait(lambda: waiting(fleet), 40, lambda: f"somebody waits\n{fleet.kedge('run', 'show', code=None)}")
    starts = [fleet.starts(i) for i in range(4)]
    assert not fleet.run().get("ended_ms")
    thaw(fleet)
    goes_on_to_its_end(fleet)
    assert sum(starts) < 8


def pauses_with(fleet, *words):
    run = fleet.wait(lambda: (fleet.run() or {}).get("paused") and fleet.run(), 20,
                     lambda: f"the run pauses; it is\n{fleet.kedge('run', 'show', code=None)}")
    for word in words:
        assert word in run["reason"], run["reason"]
    starts = [fleet.starts(i) for i in range(4)]
    assert sum(starts) < 8 and "paused" in fleet.kedge("status", code=4)
    return run


def test_F01_a_relapse_of_a_done_member_pauses_the_run(fleet):
    begin(fleet)
    done = states(fleet).index("done")
    connection = http.client.HTTPConnection("127.0.0.1", fleet.ports[done], timeout=5)
    connection.request("PUT", "/mode", body="read-only")
    assert connection.getresponse().status == 204
    run = pauses_with(fleet, "relapse", fleet.member(done), "read-write")
    assert next(m for m in run["members"] if m["name"] == fleet.member(done))["relapsed"]


def test_F01_a_done_member_that_dies_pauses_the_run(fleet):
    begin(fleet)
    done = states(fleet).index("done")
    os.kill(fleet.pid(done), signal.SIGKILL)
    pauses_with(fleet, "relapse", fleet.member(done), "does not run")
    # Nobody but Kedge had a hand in it, so it says what it knows, and starts nothing by itself.
    assert fleet.health(done) == {}
