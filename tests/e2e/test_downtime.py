"""F30: all stop, one barrier, all start; and what happens when the coordinator dies on the way."""
import os
import signal

import pytest

from faults import FaultFleet


@pytest.fixture
def fleet(tmp_path):
    made = FaultFleet(tmp_path, members=4)
    yield made.start()
    made.stop()


def begin(fleet, *words):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "downtime", *words)
    fleet.approve()
    fleet.apply()


def serve(fleet, version):
    return all(fleet.health(i).get("mode") == "read-write" and fleet.health(i).get("version") == version
               for i in range(fleet.n))


def test_F30_a_downtime_stops_all_and_starts_all_on_the_new_release(fleet):
    begin(fleet)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert [member["state"] for member in run["members"]] == ["done"] * fleet.n
    assert serve(fleet, "1.1.0")
    assert [fleet.starts(i) for i in range(fleet.n)] == [2] * fleet.n
    assert all(len(fleet.processes(i)) == 1 for i in range(fleet.n))


def test_F05_F30_a_downtime_that_is_done_is_rolled_back_as_a_downtime(fleet):
    begin(fleet)
    assert fleet.wait_ended()["verdict"]["result"] == "done"
    fleet.kedge("run", "rollback")
    fleet.wait(lambda: serve(fleet, "1.0.0"), 40, "the old release serves")
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "rolled-back", run["verdict"]
    assert [fleet.starts(i) for i in range(fleet.n)] == [3] * fleet.n


def test_F30_agents_that_hear_nothing_start_the_old_generation_at_the_hold_limit(fleet):
    """One member cannot stop, so the barrier is not passed; the coordinator dies and never comes back."""
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "downtime", "--hold-limit", "4s")
    fleet.approve()
    fleet.apply()
    fleet.kedge("run", "pause")
    fleet.wait(lambda: all(m["state"] == "prepared" for m in fleet.run()["members"]), 20, "all are prepared")
    slow = fleet.pid(3)
    os.kill(slow, signal.SIGSTOP)
    fleet.kedge("run", "resume")
    fleet.wait(lambda: all(fleet.pid(i) is None for i in range(3)), 20, "three are stopped at the barrier")
    fleet.kedged.kill()
    os.kill(slow, signal.SIGCONT)
    assert [fleet.pid(i) for i in range(3)] == [None] * 3, "they wait for the next word"
    fleet.wait(lambda: serve(fleet, "1.0.0"), 40, "all run the old release again, by their agents alone")
    assert all(fleet.starts(i) == 2 for i in range(3))
    fleet.wait(lambda: all(len(fleet.processes(i)) == 1 for i in range(fleet.n)), 10, "one process each")


def test_F30_an_abort_before_the_pass_returns_everybody(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "downtime")
    fleet.approve()
    fleet.apply()
    fleet.kedge("run", "pause")
    fleet.wait(lambda: all(m["state"] == "prepared" for m in fleet.run()["members"]), 20, "all are prepared")
    slow = fleet.pid(3)
    os.kill(slow, signal.SIGSTOP)
    fleet.kedge("run", "resume")
    fleet.wait(lambda: all(fleet.pid(i) is None for i in range(3)), 20, "three are stopped at the barrier")
    fleet.kedge("run", "abort", "--reason", "second thoughts", code=None)
    os.kill(slow, signal.SIGCONT)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] in ("aborted", "failed"), run["verdict"]
    fleet.wait(lambda: serve(fleet, "1.0.0"), 20, "the old release serves")
    assert all(fleet.starts(i) == 2 for i in range(3))
