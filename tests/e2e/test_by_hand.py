"""What a person does to a member whose node is held: upgraded by hand, restarted, put back, or something else started."""
import os
import signal

import pytest

from faults import FaultFleet
from kedge import REFUSED, Process
from test_control import begin, states


@pytest.fixture
def fleet(tmp_path):
    fleet = FaultFleet(tmp_path, members=4)
    yield fleet.start()
    fleet.stop()


def hold_one(fleet):
    """A run that is paused with somebody left to do; its number, and its node is held."""
    begin(fleet)
    fleet.kedge("run", "pause")
    fleet.wait(lambda: set(states(fleet)) <= {"done", "prepared"}, 30, "nobody is in change")
    left = [i for i in range(fleet.n) if states(fleet)[i] == "prepared"]
    assert left
    fleet.kedge("node", "hold", f"n{left[-1] + 1}", "--reason", "I do this one by hand")
    return left[-1]


def member_folder(fleet, i):
    return fleet.node(i) / f"kedge/members/demo_store_n{i + 1}"


def stop_by_hand(fleet, i):
    pid = fleet.pid(i)
    os.kill(pid, signal.SIGTERM)
    fleet.wait(lambda: fleet.pid(i) is None and not fleet.processes(i), 10, "it is down")


def start_by_hand(fleet, i, *words):
    """In its folder, with its log and its environment, as its owner would."""
    process = Process(f"by hand n{i + 1}", words, fleet.node(i) / "srv/demo-store.log", fleet.node(i) / "srv")
    process.environment = fleet.stores[i].environment
    fleet.stores.append(process.start())
    fleet.wait(lambda: fleet.health(i).get("behind") == "0", 20, "it serves")


def upgrade_by_hand(fleet, i):
    """Just what Kedge would have done: the link, and the words of gen/1/start."""
    folder = member_folder(fleet, i)
    stop_by_hand(fleet, i)
    os.symlink("gen/1", folder / "mine")
    os.rename(folder / "mine", folder / "current")
    start_by_hand(fleet, i, folder / "current/release/bin/demo-store", "--config", folder / "current/conf/demo-store.conf")


def put_back_by_hand(fleet, i):
    stop_by_hand(fleet, i)
    start_by_hand(fleet, i, *fleet.store_command(i))


def test_F06_an_upgrade_by_hand_is_adopted_when_it_proves_true(fleet):
    i = hold_one(fleet)
    starts = fleet.starts(i)
    upgrade_by_hand(fleet, i)
    assert fleet.health(i)["version"] == "1.1.0" and fleet.starts(i) == starts + 1
    pid = fleet.pid(i)
    fleet.kedge("node", "return", f"n{i + 1}", "--reason", "done")
    fleet.kedge("run", "resume")
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert [m["state"] for m in run["members"]] == ["done"] * fleet.n
    assert fleet.pid(i) == pid and fleet.starts(i) == starts + 1, "nobody touched it again"
    assert run["members"][i]["version"] == "1.1.0" and "interruption_us" not in run["members"][i]

    fleet.kedge("run", "rollback", "--reason", "and back")  # it is Kedge's by now
    def back():
        now = fleet.run() or {}
        return now.get("ended_ms") and now["verdict"]["result"] == "rolled-back"
    fleet.wait(back, 60, lambda: f"it is rolled back\n{fleet.kedge('run', 'show', code=None)}")
    assert [fleet.health(k)["version"] for k in range(fleet.n)] == ["1.0.0"] * fleet.n


def test_F06_put_back_by_hand_is_returned_and_anything_else_stays_held(fleet):
    i = hold_one(fleet)
    done = states(fleet).index("done")
    fleet.kedge("node", "hold", f"n{done + 1}", "--reason", "it misbehaves")
    put_back_by_hand(fleet, done)

    # Neither what ran before nor what the run starts: another configuration.
    stop_by_hand(fleet, i)
    other = fleet.node(i) / "srv/other.conf"
    other.write_text((fleet.node(i) / "srv/demo-store.conf").read_text() + "sync = yes\n")
    start_by_hand(fleet, i, fleet.store_command(i)[0], "--config", "other.conf")
    fleet.kedge("node", "return", f"n{i + 1}", code=REFUSED)
    said = fleet.last.stderr
    assert f"demo/store@n{i + 1} is prepared and runs something else" in said, said
    assert "config.digest is b2:" in said and "config.path is other.conf, expected demo-store.conf" in said, said
    assert "stays held" in said and "kedge run retire" in said, said
    assert "hold" in fleet.ask("node", "show", f"n{i + 1}")["node"]

    # Down, or with nobody to look: it stays held, too.
    stop_by_hand(fleet, i)
    fleet.kedge("node", "return", f"n{i + 1}", code=REFUSED)
    assert "mode is down, expected read-write" in fleet.last.stderr, fleet.last.stderr
    fleet.agents[i].kill()
    fleet.wait(lambda: len(fleet.nodes("open")) == fleet.n - 1, 30, "its agent is missed")
    fleet.kedge("node", "return", f"n{i + 1}", code=REFUSED)
    assert "cannot be seen" in fleet.last.stderr, fleet.last.stderr
    fleet.agents[i].start()
    fleet.wait_connected()

    # As it was: still to do. What was put back: not this run's any more, and the run says so.
    start_by_hand(fleet, i, *fleet.store_command(i))
    fleet.kedge("node", "return", f"n{i + 1}", "--reason", "as it was")
    fleet.kedge("node", "return", f"n{done + 1}", "--reason", "back on 1.0")
    assert states(fleet)[done] == "returned" and states(fleet)[i] == "prepared"
    page = fleet.kedge("run", "show", code=None)
    assert "other hands have put it back to 1.0.0" in page and "back on 1.0" in page, page
    fleet.kedge("run", "resume", "--reason", "without that one")
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "failed", run["verdict"]
    assert [m["state"] for m in run["members"]].count("done") == fleet.n - 1, run["members"]
    assert fleet.health(done)["version"] == "1.0.0" and fleet.health(i)["version"] == "1.1.0"
