"""F30: all stop, one barrier, all start; and what happens when the coordinator dies on the way."""
import os
import pathlib
import signal

import pytest

from faults import FaultFleet

TOOL = """#!/bin/sh
# What an action does: it notes that it ran; an action that may not go on yet waits here.
echo "$1" >> "$2/acts"
while [ -e "$2/wait-$1" ]; do sleep 0.05; done
[ -e "$2/fail-$1" ] && exit 1
touch "$2/done-$1"
echo "what it does: $1"
[ -e "$2/dumb-$1" ] || echo "$1 written to $2/of/$1 (now)"
[ -z "$3" ] || echo "$3" >> "$2/taken"
"""

ACTIONS = """
actions:
  backup: {at: before, run: [TOOL, backup, HERE], deadline: 20s, done-if: DONE}
  format: {at: behind, run: [TOOL, format, HERE], deadline: 20s, done-if: DONE}
  restore: {at: way-back, run: [TOOL, restore, HERE], deadline: 20s, done-if: DONE}

versions:"""


PUT_OUT = """
actions:
  backup: {at: before, run: [TOOL, backup, HERE], deadline: 20s, done-if: DONE,
           captures: {path: {match: 'backup written to ([^ ]+) ', allowed: 'HERE/of/[a-z]+'}}}
  format: {at: behind, run: [TOOL, format, HERE, '--from={output.backup.path}'], deadline: 20s, done-if: DONE}
  restore: {at: way-back, run: [TOOL, restore, HERE, '{output.backup.path}'], deadline: 20s, done-if: DONE}

versions:"""


class ActingFleet(FaultFleet):
    """Its recipe has a backup, a format and a restore, which one member carries."""
    actions = ACTIONS

    def agent_yaml(self, i, **changes):
        return super().agent_yaml(i, **changes) + f"  commands: [{self.folder}/tool, /usr/bin/test]\n"

    def adopt(self):
        tool = self.folder / "tool"
        tool.write_text(TOOL)
        tool.chmod(0o755)
        text = (pathlib.Path(__file__).parents[2] / "coordinator/recipes/demo-store.yaml").read_text()
        lines = self.actions.replace("TOOL", str(tool)).replace("HERE", str(self.folder)).splitlines()
        for k, line in enumerate(lines):
            name = line.split(":")[0].strip()
            lines[k] = line.replace("DONE", "{probe: command-exit, run: [/usr/bin/test, -e, " + f"{self.folder}/done-{name}"
                                    + "], rule: equals, values: ['0'], otherwise: no, says: 'not done'}")
        (self.folder / "operator/acting.yaml").write_text(text.replace("\nversions:", "\n".join(lines)))
        (self.folder / "operator/demo.yaml").write_text(self.cluster_file())
        self.kedge("cluster", "adopt", "operator/demo.yaml", "--recipe", "operator/acting.yaml", "--key",
                   "operator/alice.key", "--yes")

    def taken(self):
        file = self.folder / "taken"
        return file.read_text().split() if file.exists() else []

    def acts(self):
        file = self.folder / "acts"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def fleet(tmp_path):
    made = FaultFleet(tmp_path, members=4)
    yield made.start()
    made.stop()


@pytest.fixture
def acting(tmp_path):
    made = ActingFleet(tmp_path, members=3)
    yield made.start()
    made.stop()


class HandingFleet(ActingFleet):
    """What its backup puts out is a word of the format and of the restore."""
    actions = PUT_OUT


@pytest.fixture
def handing(tmp_path):
    made = HandingFleet(tmp_path, members=3)
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


# ---- actions


def none_runs(fleet):
    return all(fleet.pid(i) is None for i in range(fleet.n))


def test_F30_a_backup_before_the_barrier_and_a_format_behind_it(acting):
    acting.release()
    page = acting.plan("1.1.0", "--strategy", "downtime", "--hold-limit", "90s")
    assert "act format" in page and "silent for 90 s" in " ".join(page.split()), page
    acting.approve()
    acting.apply()
    run = acting.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert acting.acts() == ["backup", "format"], "each once, in this order"
    assert serve(acting, "1.1.0")


def test_F30_too_short_a_hold_limit_for_the_actions_is_refused(acting):
    acting.release()
    said = acting.plan("1.1.0", "--strategy", "downtime", "--hold-limit", "10s", code=3)
    assert "hold-limit" in said + acting.last.stderr


def test_F04_F30_the_coordinator_is_killed_inside_an_action_that_runs_once(acting):
    (acting.folder / "wait-format").touch()
    begin(acting, "--hold-limit", "90s")
    acting.wait(lambda: "format" in acting.acts(), 40, "the format runs")
    acting.kedged.kill()
    acting.kedged.start()
    acting.wait_kedged()
    (acting.folder / "wait-format").unlink()
    run = acting.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert acting.acts() == ["backup", "format"], "the coordinator's death does not repeat it"
    assert serve(acting, "1.1.0")


def test_F08_F30_abort_behind_the_point_of_no_return_then_the_rollback_restores(acting):
    (acting.folder / "fail-format").touch()
    begin(acting, "--hold-limit", "90s")
    run = acting.wait(lambda: (r := acting.run()) and r["paused"] and r, 60, "the failed format pauses the run")
    assert "act format" in run["reason"], run["reason"]
    assert none_runs(acting)
    acting.kedge("run", "abort", "--reason", "the format failed", code=None)
    run = acting.wait_ended()
    assert run["verdict"]["result"] == "aborted", run["verdict"]
    assert none_runs(acting), "what only the new release understands may be on the disks: nothing starts"
    acting.kedge("run", "rollback")
    run = acting.wait_ended()
    assert run["verdict"]["result"] == "rolled-back", run["verdict"]
    assert acting.acts() == ["backup", "format", "restore"]
    assert serve(acting, "1.0.0")


def test_F27_F30_the_coordinator_dies_in_the_backup_and_stays_dead(acting):
    """The hold limit is over before the barrier: each agent starts what it ran before, the carrier after its action."""
    (acting.folder / "wait-backup").touch()
    begin(acting, "--hold-limit", "32s")
    acting.wait(lambda: acting.acts() == ["backup"], 40, "the backup runs")
    acting.kedged.kill()
    assert none_runs(acting)
    (acting.folder / "wait-backup").unlink()
    acting.wait(lambda: serve(acting, "1.0.0"), 60, "the old release serves, by the agents alone")
    assert acting.acts() == ["backup"]
    assert [acting.starts(i) for i in range(acting.n)] == [2] * acting.n


# ---- what they put out


def test_F04_F30_what_the_backup_puts_out_is_a_word_of_the_format_and_of_the_restore(handing):
    """The coordinator dies between them; what was put out is in its journal."""
    path = f"{handing.folder}/of/backup"
    (handing.folder / "wait-format").touch()
    begin(handing, "--hold-limit", "90s")
    handing.wait(lambda: "format" in handing.acts(), 40, "the format runs")
    handing.kedged.kill()
    handing.kedged.start()
    handing.wait_kedged()
    (handing.folder / "wait-format").unlink()
    run = handing.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert handing.taken() == [f"--from={path}"]
    carrier = run["outputs"][0]["member"]
    assert run["outputs"] == [{"member": carrier, "step": "act backup", "name": "path", "value": path}]
    assert f"act backup of {carrier} put out path: {path}" in handing.kedge("run", "show", "1")
    assert "PUT OUT BY ACTIONS" in handing.kedge("run", "report", "1")
    handing.kedge("run", "rollback")
    run = handing.wait_ended()
    assert run["verdict"]["result"] == "rolled-back", run["verdict"]
    assert handing.taken() == [f"--from={path}", path]
    assert serve(handing, "1.0.0")


def test_F30_a_backup_that_does_not_say_where_it_is_has_failed(handing):
    (handing.folder / "dumb-backup").touch()
    begin(handing, "--hold-limit", "90s")
    run = handing.wait(lambda: (r := handing.run()) and r["paused"] and r, 60, "the run pauses")
    assert "output path is missing: no line of what the command has put out matches" in run["reason"], run["reason"]
    handing.kedge("run", "resume")
    run = handing.wait(lambda: (r := handing.run()) and r["paused"] and "already" in r["reason"] and r, 60,
                       "done already, and nobody knows what it put out")
    (handing.folder / "dumb-backup").unlink()
    (handing.folder / "done-backup").unlink()
    handing.kedge("run", "resume")
    run = handing.wait_ended()
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert handing.acts() == ["backup", "backup", "format"]
    assert handing.taken() == [f"--from={handing.folder}/of/backup"]
