"""Sweeps: the same run again and again, each time with one process killed at another point of it.

A first run with nobody killed counts the points; its end is what every other run must end like. The points are exact:
kedge-killpoint counts system calls or writes to the disk from a trigger on. Whoever is killed is started again at once,
as a service manager would.
"""
import contextlib
import http.client
import os
import pathlib
import signal

from kedge import DONE, PROGRAMS, Fleet, children, executable, http_get

POINTS = 30
LONG = os.environ.get("KEDGE_LONG") == "1"
SHORT_FORM = [point for point in range(POINTS) if LONG or point % 3 == 0]


def spread(point, count):
    """Where point 0 … POINTS - 1 lies among `count` calls, each of which has a begin and an end: (number, at its end)."""
    place = point * (2 * count - 1) // (POINTS - 1)
    return place // 2 + 1, place % 2 == 1


def values_of(path):
    return dict(line.split("=", 1) for line in pathlib.Path(path).read_text().splitlines())


class FaultFleet(Fleet):
    """A fleet in which one process dies on the way. Without load: one replica alone, which may always stop."""

    def __init__(self, folder, members=1, load=False, **options):
        alone = {"values": {"ensemble": 0}} if members == 1 else {}
        super().__init__(folder, members=members, load=load, **{**alone, **options})
        self.trigger, self.report = self.folder / "run-has-begun", self.folder / "kill.report"
        self.words_of_apply = ""

    def killpoint(self, program, at, *words, count="all", trigger=None):
        return [PROGRAMS["killpoint"], "--program", program, "--count", count, "--at", at, "--report", self.report,
                *(["--trigger", trigger] if trigger else []), *words, "--"]

    def prepared(self, i=0):
        """Appears when the new generation of replica i lies on its node: what follows is its switch."""
        return self.node(i) / f"kedge/members/demo_store_n{i + 1}/gen/1"

    def start(self):
        super().start()
        if not self.with_load:
            for i in range(self.n):
                self.fill(i)
        return self

    def fill(self, i=0, keys=60):
        """What the proof of life will read back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[i], timeout=5)
        for key in range(keys):
            connection.request("PUT", f"/kv/key{key}", body=f"value {key}", headers={"X-Ensemble": f"s{i + 1}"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 204
        connection.close()
        self.wait(lambda: (http_get(self.ports[i], "/keys") or "").count("\n") >= keys, 10, "the keys are listed")

    def side_action(self):
        """The value of the cluster's setting, from any replica that answers."""
        return next(filter(None, (http_get(port, "/setting/repair-delay") for port in self.ports)), None)

    def revive(self):
        """What a service manager does. Returns how many it had to start again."""
        dead = [p for p in (self.kedged, *self.agents) if not p.alive()]
        for process in dead:
            process.start()
        return len(dead)

    def apply_surely(self):
        """Says apply until a run is there; the coordinator may die over it, before or after it has taken it in."""
        def begun():
            self.revive()
            self.words_of_apply = self.kedge("apply", "demo.plan", code=None)
            return self.last.returncode == DONE or (self.try_ask("run", "list") or {}).get("runs")
        self.wait(begun, 20, "the run has begun")

    def upgrade_surely(self, *words, until=None):
        """An upgrade to its end (or until that holds), with everybody revived who dies; the report of the run."""
        self.release("1.1.0")
        self.plan("1.1.0", *words)
        self.approve()
        self.before = [self.starts(i) for i in range(self.n)], self.side_action()
        self.trigger.touch()
        self.apply_surely()
        self.n_revived = 0

        def ended():
            self.n_revived += self.revive()
            return until() if until else (self.run() or {}).get("ended_ms")
        self.wait(ended, 60, lambda: f"the run ends; it is\n{self.kedge('run', 'show', code=None)}")
        self.wait(lambda: self.revive() == 0, 10, "all are there again")
        return self.ask("run", "report")["run"]

    def processes(self, i):
        """All processes of replica i, of whatever parent."""
        mine = str(self.node(i) / "srv")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/cwd") == mine and executable(pid) == "demo-store":
                    found.append(int(pid))
        return found

    def stops(self, i):
        """How often replica i was asked to stop and did, by its own log."""
        return (self.node(i) / "srv/demo-store.log").read_text(errors="replace").count(" stopped")

    def summary(self, run):
        """What of a run and its fleet must be the same, whoever died on the way."""
        return {
            "verdict": run["verdict"],
            "clients": self.clients(),
            "members": [(m["name"], m["state"], m["mode"], m["version"], m["stops"], m["generation"]) for m in run["members"]],
            "sides": [(s["name"], s["state"], s["previous"]) for s in run["side_actions"]],
            "side action put back": self.side_action() == self.before[1],
            "starts": [self.starts(i) for i in range(self.n)],
            "stops": [self.stops(i) for i in range(self.n)],
            "processes": [len(self.processes(i)) for i in range(self.n)],
            "serves": [(self.health(i).get("version"), self.health(i).get("mode")) for i in range(self.n)],
            "listens": [[self.pid(i)] == self.processes(i) for i in range(self.n)],
        }

    def clients(self):
        """What the clients saw go wrong; they read everything back at their end."""
        if self.load is None:
            return None
        load = self.end_load()
        return {name: load[name] for name in ("failed_writes", "failed_reads", "lost", "first_failure")}

    def killed(self):
        """True when the point was reached. The report is written at the kill, or when its killer has ended."""
        return self.report.exists() and values_of(self.report)["killed"] == "yes"


class Sweep:
    """One program and where it dies. `clean` is the end of a run in which nobody died, `count` what its runs hold."""

    def __init__(self, folder, program, words=("--strategy", "rolling"), trigger=FaultFleet.prepared, **options):
        self.folder, self.program, self.words, self.trigger, self.options = folder, program, words, trigger, options
        self.struck = []
        _, self.clean = self.run(folder / "clean")
        self.count = self.count_points(folder / "count")

    def fleet(self, folder, at=None, *words):
        folder.mkdir(exist_ok=True)
        fleet = FaultFleet(folder, **self.options)
        if at is not None:
            self.lay(fleet, at, *words)
        return fleet

    def lay(self, fleet, at, *words):
        """The killer is put in front of the agent that is the parent of the program, or is it."""
        trigger = self.trigger(fleet) if self.trigger else None
        fleet.wrap_agents[0] = fleet.killpoint(self.program, at, *words, trigger=trigger)

    def count_points(self, folder):
        """Runs until the last step of the member is done, and says how many points there were until then."""
        fleet = self.fleet(folder, 0)
        try:
            fleet.start()
            fleet.upgrade_surely(*self.words, until=lambda: "switch: done" in fleet.agents[0].words())
            fleet.agents[0].kill(signal.SIGTERM)
            return int(values_of(fleet.report)["count"])
        finally:
            fleet.stop()

    def run(self, folder, at=None, *words):
        """One run to its end: the fleet (stopped), and what the end was like."""
        fleet = self.fleet(folder, at, *words)
        try:
            fleet.start()
            run = fleet.upgrade_surely(*self.words)
            self.struck.append(fleet.killed())
            done_once(run)
            return fleet, fleet.summary(run)
        finally:
            fleet.stop()

    def strike(self, folder, point):
        """Kills at a point; its run must end as the one in which nobody died."""
        at, at_end = spread(point, self.count)
        fleet, summary = self.run(folder, at, *(["--after-entry"] if at_end else []))
        assert summary == self.clean, f"{self.program} killed at {at} of {self.count}\n{fleet.words()}"


def done_once(run):
    """Each step was done, and once. Before that it may have waited: then nothing was changed."""
    for member in run["members"]:
        ends = {}
        for step in member["steps"]:
            ends.setdefault(step["step"], []).append(step["outcome"])
        for step, outcomes in ends.items():
            assert outcomes[-1] == "done" and set(outcomes[:-1]) <= {"waits"}, f"{member['name']} {step}: {outcomes}"


class CoordinatorSweep(Sweep):
    """The coordinator dies at its journal writes, before and after each; a fleet in use looks on."""

    def lay(self, fleet, at, *words):
        fleet.wrap_kedged = fleet.killpoint("kedged", at, *words, count="fdatasync", trigger=fleet.trigger)

    def count_points(self, folder):
        fleet = self.fleet(folder, 0)
        try:
            fleet.start()
            fleet.upgrade_surely(*self.words)
            fleet.kedged.kill(signal.SIGTERM)
            return int(values_of(fleet.report)["count"])
        finally:
            fleet.stop()
