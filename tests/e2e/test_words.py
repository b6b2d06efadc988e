"""Operators' words about one member: what needs a signature is refused without it, by kedged and by every agent; with it
the run goes on, and everybody who looks is told why."""
import signal

import pytest

from faults import FaultFleet
from kedge import BAD_INPUT, REFUSED
from test_control import begin, states
from test_control_waits import wait_until_it_waits

ALICE = ("--key", "operator/alice.key", "--yes")


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4, strategy={"soak": "1s"})
    fleet.start()
    fleet.kedge("key", "new", "operator/mallory.key")
    yield fleet
    fleet.stop()


def agent_log(fleet, i):
    return (fleet.node(i) / "agent.log").read_text(errors="replace")


def test_F06_A14_a_gate_that_stays_no_is_waived_by_a_signed_word_only(fleet):
    begin(fleet)
    by_hand = next(i for i in (3, 2) if states(fleet)[i] == "prepared")
    fleet.stores[by_hand].kill(signal.SIGTERM)
    member, gates = wait_until_it_waits(fleet, "no")
    assert any(gate["gate"] == "writable" for gate in gates), gates
    name = member["name"].split("/")[1]
    waive = ("run", "waive", "1", name, "writable", "--reason", "nobody writes tonight", "--for", "5m")

    # Nothing is set aside without the signature of somebody whom kedged trusts, or for what the plan does not know.
    fleet.kedge(*waive, code=BAD_INPUT)
    fleet.kedge(*waive, "--key", "operator/mallory.key", "--yes", code=REFUSED)
    assert "0 of 1 needed signatures" in fleet.last.stderr, fleet.last.stderr
    fleet.kedge("run", "waive", "1", name, "writeable", "--reason", "x", *ALICE, code=REFUSED)
    assert "no gate" in fleet.last.stderr, fleet.last.stderr
    fleet.kedge("run", "waive", "1", name, "keys-read-back", "--reason", "x", *ALICE, code=REFUSED)
    assert "sample" in fleet.last.stderr, fleet.last.stderr
    fleet.kedge("run", "waive", "1", name, "writable", "--reason", "x", "--for", "9d", *ALICE, code=BAD_INPUT)
    assert not fleet.run()["waivers"]

    index = [m["name"] for m in fleet.run()["members"]].index(member["name"])
    waived = set()

    def goes_on():
        """Whatever else of the stopped store is in the way is waived, too; each by its name."""
        now = fleet.run()["members"][index]
        if now["state"] not in ("prepared", "candidate") and now["stops"] > 0:
            return True
        for gate in (gate for gate in now["gates"] if gate["answer"] != "yes"):
            if gate["gate"] not in waived:
                page = fleet.kedge("run", "waive", "1", name, gate["gate"], "--reason", "nobody writes tonight", *ALICE,
                                   code=None)
                if fleet.last.returncode == 0:
                    assert f"waive gate {gate['gate']} of {member['name']} in plan" in page, page
                    waived.add(gate["gate"])
        return False
    fleet.wait(goes_on, 40, lambda: f"{name} is stopped\n{fleet.kedge('run', 'show', code=None)}")
    assert "writable" in waived
    page = fleet.kedge("status", code=None)
    assert f"waived for {name}: gate writable" in page and "nobody writes tonight" in page, page
    fleet.wait(lambda: states(fleet)[index] == "done", 30, f"{name} is done")

    # Brought back, the one that was down is tried again if it was refused meanwhile.
    fleet.stores[by_hand].start()
    fleet.wait(lambda: fleet.health(by_hand).get("behind") == "0", 20, "it serves again")

    def ends():
        now = fleet.run()
        if now["members"][by_hand]["state"] == "failed":
            fleet.kedge("run", "retry", "1", f"store@n{by_hand + 1}", "--reason", "it runs again", code=None)
        if now["paused"]:
            fleet.kedge("run", "resume", code=None)
        return now.get("ended_ms")
    fleet.wait(ends, 60, lambda: f"the run ends\n{fleet.kedge('run', 'show', code=None)}")
    run = fleet.ask("run", "report")["run"]
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert {w["gate"] for w in run["waivers"]} == waived and all(w["over"] for w in run["waivers"]), run["waivers"]
    evidence = [e for step in run["members"][index]["steps"] if step["step"] == "switch" and step.get("outcome") == "done"
                for e in step["evidence"] if e["gate"] == "writable"]
    assert evidence and "waived by" in evidence[0]["reason"] and "nobody writes tonight" in evidence[0]["reason"], evidence
    others = [e for m in run["members"] if m["name"] != member["name"] for step in m["steps"] for e in step.get("evidence", [])]
    assert others and not any("waived" in e.get("reason", "") for e in others)


def test_F06_F08_a_member_whose_agent_is_dead_is_skipped_and_another_retired(fleet):
    begin(fleet)
    fleet.kedge("run", "pause")
    fleet.wait(lambda: set(states(fleet)) <= {"done", "prepared"}, 20, "nobody is in change")
    left = [i for i in range(4) if states(fleet)[i] == "prepared"]
    assert len(left) >= 2
    gone, skipped = left[-1], left[-2]
    fleet.agents[gone].kill()
    fleet.wait(lambda: len(fleet.nodes("open")) == 3, 30, "its agent is missed")
    starts = fleet.starts(gone), fleet.starts(skipped)
    word = ("--reason", "its host is being replaced", *ALICE)
    fleet.kedge("run", "skip", "1", f"store@n{skipped + 1}", "--reason", "x", "--key", "operator/mallory.key", "--yes",
                code=REFUSED)
    fleet.kedge("run", "skip", "1", f"store@n{skipped + 1}", *word)
    fleet.kedge("run", "retire", "1", f"store@n{gone + 1}", *word)
    assert fleet.wait(lambda: "skip demo/store@n" in agent_log(fleet, skipped), 10, "its agent has the word")
    fleet.kedge("run", "resume")
    run = fleet.wait_ended(seconds=60)
    state = {m["name"]: m["state"] for m in run["members"]}
    assert state[fleet.member(skipped)] == "skipped" and state[fleet.member(gone)] == "retired", state
    assert [s for s in state.values()].count("done") == 2, state
    assert (fleet.starts(gone), fleet.starts(skipped)) == starts
    assert run["budget"]["skipped"] == 1 and run["budget"]["retired"] == 1, run["budget"]
    assert fleet.side_action() == fleet.before[1]
    page = fleet.kedge("run", "show", code=None)
    assert "skipped" in page and "retired" in page, page
    assert "its host is being replaced" in str(run["events"]), run["events"]


def test_F06_F08_a_node_that_is_held_is_left_alone_until_it_is_returned(fleet):
    held = 3
    fleet.kedge("node", "hold", "n9", "--reason", "x", code=BAD_INPUT)
    fleet.kedge("node", "hold", "n4", code=BAD_INPUT)
    assert "new disk" in fleet.kedge("node", "hold", "n4", "--reason", "new disk", "--for", "2h")
    assert fleet.ask("node", "show", "n4")["node"]["hold"]["until_ms"] > 0
    page = fleet.kedge("status", code=None)
    assert "node n4 is held" in page and "new disk" in page, page
    fleet.kedged.restart()
    fleet.wait_connected()
    assert "hold" in fleet.ask("node", "show", "n4")["node"], "a hold outlives kedged"
    fleet.kedge("node", "return", "n4")
    assert "hold" not in fleet.ask("node", "show", "n4")["node"]
    fleet.kedge("node", "return", "n4", code=REFUSED)
    assert fleet.starts(held) == 1
