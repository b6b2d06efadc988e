"""Somebody is killed and never comes back. What is left alone finishes or returns, puts the side action back, and goes on."""
import os
import signal

import pytest

from faults import FaultFleet, Sweep, done_once

LEASE = {"lease": "2s"}


@pytest.fixture
def fleet_of_four(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True, values=LEASE)
    fleet.start()
    yield fleet
    fleet.stop()


def kill_in_a_switch(fleet, also=None):
    """Applies an upgrade; kills kedged for good when a stop has begun, and an agent too. Gives the number of that member."""
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling")
    fleet.approve()
    before = fleet.side_action()
    fleet.apply()

    def stopping():
        return next((i + 1 for i, agent in enumerate(fleet.agents) if "switch: begun" in agent.words()), None)
    i = fleet.wait(stopping, 20, "a member is being stopped") - 1
    fleet.kedged.kill()
    assert fleet.side_action() == "60" != before
    if also is not None:
        fleet.agents[also(fleet)].kill()
    return i, before


def nothing_is_left_open(fleet, i, before):
    fleet.wait(lambda: all(fleet.health(k).get("mode") == "read-write" for k in range(fleet.n)), 20, "all serve")
    fleet.wait(lambda: fleet.side_action() == before, 40, "the members have put the side action back")
    assert [fleet.starts(k) for k in range(fleet.n)] == [2 if k == i else 1 for k in range(fleet.n)]
    assert fleet.health(i)["version"] in ("1.0.0", "1.1.0")
    assert all(len(fleet.processes(k)) == 1 for k in range(fleet.n))
    clients = fleet.clients()
    assert clients == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}


def test_F27_F31_a_coordinator_that_never_comes_back(fleet_of_four):
    i, before = kill_in_a_switch(fleet_of_four)
    nothing_is_left_open(fleet_of_four, i, before)


def opener(fleet):
    """The agent that opened the side action."""
    return next(i for i, agent in enumerate(fleet.agents) if "open repair-delay: done" in agent.words())


def test_F31_the_holder_of_a_side_action_dies_with_the_coordinator(fleet_of_four):
    i, before = kill_in_a_switch(fleet_of_four, also=opener)
    dead = opener(fleet_of_four)
    if i == dead:  # killed in its own switch: its service is started by its agent alone, once that is back
        fleet_of_four.wait(lambda: fleet_of_four.side_action() == before, 40, "another member has put it back")
        fleet_of_four.agents[dead].start()
    nothing_is_left_open(fleet_of_four, i, before)


def test_F31_a_coordinator_that_was_away_longer_than_the_lease(fleet_of_four):
    """The members have put the side action back; it is opened anew, by another one, and the run goes on by itself."""
    fleet = fleet_of_four
    i, before = kill_in_a_switch(fleet)
    nothing_is_left_open(fleet, i, before)
    fleet.start_kedged()
    fleet.wait_connected()
    run = fleet.wait_ended(1)
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert fleet.side_action() == before
    # Each agent that has put it back says so when it is heard again, and one may be heard when it is open anew already.
    assert 2 <= sum(agent.words().count("open repair-delay: done") for agent in fleet.agents) <= fleet.n
    assert [fleet.health(k)["version"] for k in range(fleet.n)] == ["1.1.0"] * fleet.n


# ---- recovery ----

class ForgetfulFleet(FaultFleet):
    """Between the kill and the new start everything is lost but journal, key, releases, configurations and links."""
    forgotten = ()

    def revive(self):
        for i, agent in enumerate(self.agents):
            if not agent.alive():
                self.forgotten += tuple(self.forget(i))
        return super().revive()

    def forget(self, i):
        state = self.node(i) / "kedge"
        kept = [state / "releases", *state.glob("members/*/gen/*/conf")]
        for path in sorted(state.rglob("*")):
            inside = any(folder in path.parents for folder in kept)
            if path.is_file() and not path.is_symlink() and not inside and path.name not in ("journal", "agent.key"):
                path.unlink()
                yield path


def test_F27_recovery_reads_the_journal_and_proc_only(tmp_path):
    sweep = Sweep(tmp_path, "kedge-agent")
    for part in (0.3, 0.45, 0.6, 0.75):
        fleet = ForgetfulFleet(tmp_path / f"at{part}")
        fleet.folder.mkdir()
        fleet.wrap_agents[0] = fleet.killpoint("kedge-agent", int(sweep.count * part), trigger=fleet.prepared())
        try:
            fleet.start()
            run = fleet.upgrade_surely("--strategy", "rolling")
            assert fleet.killed() and {path.name for path in fleet.forgotten} >= {"start", "agent.key.pub"}
            done_once(run)
            assert fleet.summary(run) == sweep.clean, fleet.words()
        finally:
            fleet.stop()


# ---- services and their agents ----

def test_F27_services_go_on_without_their_executors(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, load=True)
    try:
        fleet.start()
        run = fleet.upgrade_surely("--strategy", "rolling")
        assert run["verdict"]["result"] == "done"
        pids = [fleet.pid(i) for i in range(4)]
        written = int(fleet.load_stats()["writes"])
        for agent in fleet.agents:
            agent.kill()
        fleet.kedged.kill()
        fleet.wait(lambda: int(fleet.load_stats()["writes"]) > written + 500, 20, "clients go on writing")
        assert [fleet.pid(i) for i in range(4)] == pids
        assert fleet.clients() == {"failed_writes": 0, "failed_reads": 0, "lost": 0, "first_failure": "-"}
        # The agents find what they started, and start nothing again.
        fleet.start_kedged()
        for agent in fleet.agents:
            agent.start()
        fleet.wait_connected()
        members = fleet.ask("cluster", "show", "demo")["cluster"]["members"]
        assert [(m["mode"], m["version"], m["pid"]) for m in members] == [("read-write", "1.1.0", pid) for pid in pids]
    finally:
        fleet.stop()


@pytest.mark.parametrize("program", ["kedge-link", "kedge-prober"])
def test_F27_a_helper_that_dies_costs_a_reconnect_and_nothing_else(make_fleet, program):
    fleet = make_fleet(members=2, load=False)
    fleet.start()
    services, executors = [fleet.pid(i) for i in range(2)], [agent.pid for agent in fleet.agents]
    # libcurl and the prober itself come with the first question.
    fleet.kedge("cluster", "check", "demo", code=None)
    old = fleet.wait(lambda: fleet.agents[0].helper(program), 10, f"{program} runs")
    os.kill(old, signal.SIGKILL)
    fleet.wait_connected()

    def answers():
        gates = fleet.ask("cluster", "check", "demo", code=None)["gates"]
        return [gate["answer"] for gate in gates if gate["gate"] == "read-write"] == ["yes", "yes"]
    fleet.wait(answers, 10, "both members are asked again")
    fleet.wait(lambda: fleet.agents[0].helper(program) not in (None, old), 10, f"another {program} runs")
    assert [fleet.pid(i) for i in range(2)] == services
    assert [agent.pid for agent in fleet.agents] == executors and all(agent.alive() for agent in fleet.agents)
    assert not os.path.exists(f"/proc/{old}"), "the dead one was not reaped"
