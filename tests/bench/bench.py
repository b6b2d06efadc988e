#!/usr/bin/python3
"""The figures of Kedge (README.md): each against a bare program in the same run, or as an absolute with its promise.

    bench.py interruption [--switches 20]     a switch, seen from outside, against bare.c
    bench.py roll [--members 3,30]            control time, age of the evidence and CPU of each member
    bench.py memory                           private memory of an idle agent, and of an idle kedged
    bench.py all | short                      everything; short: few of each, only to see that the drivers work

Exit code 0: measured (and, unless short, every promise is kept), 1: a promise is missed, other: could not be measured.
"""
import argparse
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import kedge  # noqa: E402
from kedge import BUILD, Fleet, Process, free_ports, http_get, values  # noqa: E402

POLLER, BARE = BUILD / "tests/bench/poller", BUILD / "tests/bench/bare"
PERIOD_US = 250
KEYS = 64
VERSIONS = "1.1.0", "1.0.0"
MISSED = []
FIRST = []  # the scheduling of --first, when it was asked for


def put_keys(port):
    """Enough keys for the proof of life, whose sample is 40 of them."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for k in range(KEYS):
        connection.request("PUT", f"/kv/key-{k}", body=f"value {k} " + "x" * 100)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
    connection.close()


class Lonely(Fleet):
    """Replicas without peers: what a gate asks of them is answered at once, and 30 of them cost two cores nothing."""

    def __init__(self, folder, members, proof=True):
        self.proof = proof  # of life: 40 keys read before the stop and after it
        super().__init__(folder, members=members, domains=min(3, members), load=False,
                         strategy={"soak": "0ms", "soak-read-only": "0ms"}, values={"ensemble": 0, "silence": "0ms"})
        self.n_plans = 0

    def start_services(self):
        for i, port in enumerate(self.ports):
            shutil.copytree(kedge.RELEASES / "demo-store-1.0.0", self.node(i) / "opt/demo-store-1.0.0")
            (self.node(i) / "srv").mkdir()
            (self.node(i) / "srv/demo-store.conf").write_text(
                f"id = s{i + 1}\nlisten = 127.0.0.1:{port}\ndata = data\npeers = 127.0.0.1:{port}\n")
            self.stores.append(Process(f"demo-store s{i + 1}", self.store_command(i), self.node(i) / "srv/demo-store.log",
                                       self.node(i) / "srv").start())
        for i, port in enumerate(self.ports):
            self.wait(lambda i=i: self.health(i).get("behind") == "0", 20, "a replica serves")
            put_keys(port)

    def adopt(self):
        """With the recipe as it is shipped, or as it is shipped but for the proof of life."""
        recipe = (kedge.TOP / "coordinator/recipes/demo-store.yaml").read_text(encoding="utf-8")
        if not self.proof:
            for part in r"    proof-of-life: keys-read-back\n", r"  keys-read-back:\n(    .*\n)+":
                recipe, n = re.subn(part, "", recipe)
                assert n == 1, part
        (self.folder / "operator/demo-store.yaml").write_text(recipe)
        (self.folder / "operator/demo.yaml").write_text(self.cluster_file())
        self.kedge("cluster", "adopt", "operator/demo.yaml", "--recipe", "operator/demo-store.yaml",
                   "--key", "operator/alice.key", "--yes")

    def make_plan(self, version):
        """A signed plan; its file."""
        self.n_plans += 1
        file = f"{self.n_plans}.plan"
        self.plan(version, "--strategy", "rolling", "--set", "repair=none", file=file)
        self.approve(file)
        return file

    def finish(self, run_id, seconds=90):
        """The report of the run, which must have done what was planned."""
        run = self.wait_ended(run_id, seconds)
        assert run["verdict"]["result"] == "done", run["verdict"]
        return run

    def staged(self, i, version):
        """The release folder that this node's agent has staged for a version."""
        for folder in (self.node(i) / "kedge/releases").iterdir():
            said = subprocess.run([folder / "bin/demo-store", "--version"], capture_output=True, text=True, check=False).stdout
            if said.split()[-1:] == [version]:
                return folder
        raise AssertionError(f"n{i + 1} has not staged {version}")


@contextlib.contextmanager
def fleet_of(members, proof=True):
    folder = tempfile.mkdtemp(prefix="kedge-bench-")
    fleet = Lonely(folder, members, proof)
    try:
        yield fleet.start()
    finally:
        fleet.stop()
        shutil.rmtree(folder)


def watched(port, switch):
    """Runs switch() and returns for how many us the service was away, as the poller saw it."""
    poller = subprocess.Popen([POLLER, str(port), str(PERIOD_US)], stdout=subprocess.PIPE, text=True)
    for policy in FIRST:  # whoever measures waits for nobody
        os.sched_setscheduler(poller.pid, policy, os.sched_param(2))
    try:
        assert poller.stdout.readline() == "ready\n"
        switch()
        line = poller.stdout.readline()
        assert poller.wait(70) == 0 and line, "the poller saw no switch"
        return int(line.split()[0])
    finally:
        poller.kill()
        poller.wait()
        poller.stdout.close()


class Twin:
    """The same service with the same data and release folders, which only bare.c ever stops and starts."""

    def __init__(self, fleet):
        self.fleet, self.folder = fleet, fleet.folder / "twin"
        self.port = free_ports(1)[0]
        (self.folder / "srv").mkdir(parents=True)
        (self.folder / "srv/demo-store.conf").write_text(
            f"id = s1\nlisten = 127.0.0.1:{self.port}\ndata = data\npeers = 127.0.0.1:{self.port}\n")
        (self.folder / "current").symlink_to(fleet.staged(0, VERSIONS[0]))
        command = [self.folder / "current/bin/demo-store", "--config", "demo-store.conf"]
        self.command = list(map(str, command))
        fleet.stores.append(Process("twin", command, self.folder / "srv/demo-store.log", self.folder / "srv").start())
        fleet.wait(lambda: http_get(self.port, "/health"), 10, "the twin serves")
        put_keys(self.port)
        self.pid = fleet.stores[-1].pid

    def switch(self, version):
        done = subprocess.run([BARE, str(self.port), str(self.pid), self.folder / "current", self.fleet.staged(0, version),
                               self.folder / "srv", self.folder / "srv/demo-store.log", *self.command],
                              stdout=subprocess.PIPE, text=True, check=True)
        self.pid = int(done.stdout)

    def measure(self, version):
        us = watched(self.port, lambda: self.switch(version))
        assert values(http_get(self.port, "/health"))["version"] == version
        return us


# ---- interruption

def kedge_switch(fleet, version):
    """One run over the only member; for how many us it was away, and what the agent's own report says."""
    file = fleet.make_plan(version)
    runs = []
    us = watched(fleet.ports[0], lambda: runs.append(fleet.apply(file)))
    member = fleet.finish(runs[0])["members"][0]
    assert fleet.health(0)["version"] == version
    return us, member


def interruption(n):
    """Switches of the same service, by turns: Kedge's, and those of a program that only stops, renames and starts."""
    ours, bare = [], []
    with fleet_of(1) as fleet:
        for version in VERSIONS:  # both are staged before anything is measured
            fleet.release(version)
            kedge_switch(fleet, version)
        twin = Twin(fleet)
        for k in range(n):
            version = VERSIONS[k % 2]
            turns = [lambda v=version: ours.append(kedge_switch(fleet, v)[0]), lambda v=version: bare.append(twin.measure(v))]
            for turn in turns if k % 4 < 2 else reversed(turns):
                turn()
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"interruption, median of {n} by turns: Kedge {spread(ours)}, bare {spread(bare)}")
    promise("interruption of a switch, of the bare one's", ratio, 1.05, "")


def spread(us):
    """Median and quartiles, in ms."""
    low, middle, high = statistics.quantiles(us, n=4)
    return f"{middle / 1000:.2f} ms ({low / 1000:.2f} .. {high / 1000:.2f})"


def promise(what, value, limit, unit):
    kept = value <= limit
    if not kept:
        MISSED.append(what)
    print(f"  {what}: {value:.2f}{unit}, promised {limit}{unit}: {'kept' if kept else 'MISSED'}", flush=True)


# ---- a roll

def cpu_ms(pid):
    """utime + stime of a process, threads that have ended included, as its clock has it: /proc/PID/stat cuts to 10 ms."""
    return time.clock_gettime((~pid << 3) | 2) * 1000


def kedge_processes(fleet):
    """{pid: role} of kedged and of what each agent consists of."""
    found = {fleet.kedged.pid: "kedged"}
    for agent in fleet.agents:
        found[agent.pid] = "executor"
        found |= {agent.helper(f"kedge-{role}"): role for role in ("link", "prober")}
    assert None not in found
    return found


def stager_ms(fleet, version):
    """CPU of one stager: it lives for one artifact only, so it is asked for here alone."""
    component = fleet.ask("release", "show", f"demo-store-{version}")["release"]["components"][0]
    digest = component["artifact"].split(":")[-1]
    folder = fleet.folder / "staged"
    folder.mkdir()
    pid = os.posix_spawn(BUILD / "agent/stager/kedge-stager", [
        "kedge-stager", "--url", f"http://127.0.0.1:{fleet.artifact_port}/artifact/{digest}", "--size", str(component["size"]),
        "--digest", digest, "--strip", str(component.get("strip", 0)), "--into", str(folder)], os.environ)
    _, status, usage = os.wait4(pid, 0)
    shutil.rmtree(folder)
    assert status == 0, status
    return (usage.ru_utime + usage.ru_stime) * 1000


def one_roll(fleet, version):
    """Upgrades every member; what it took: ms of time and of CPU per member, and the oldest evidence at a stop, in us."""
    file = fleet.make_plan(version)
    roles = kedge_processes(fleet)
    before = {pid: cpu_ms(pid) for pid in roles}
    run_id = fleet.apply(file)
    deadline = time.monotonic() + 90
    time.sleep(0.1 * fleet.n)  # whoever asks while it runs takes part in what is measured
    while not (fleet.run(run_id) or {}).get("ended_ms"):
        assert time.monotonic() < deadline, f"the run does not end\n{fleet.words()}"
        time.sleep(0.5)
    cpu = {role: sum(cpu_ms(pid) - before[pid] for pid in roles if roles[pid] == role) / fleet.n for role in set(roles.values())}
    run = fleet.finish(run_id)
    members = run["members"]
    switches = [next(step for step in m["steps"] if step["step"] == "switch") for m in members]
    begun = min(step["sent_ms"] for step in switches)
    return {
        "roll": (max(m["since_ms"] for m in members) - begun) / fleet.n,
        "prepare": (begun - run["started_ms"]) / fleet.n,
        "cpu": cpu | {"stager": stager_ms(fleet, version)},
        "ages": [m["evidence_age_us"] for m in members],
    }


def sync_ms(folder):
    """What one write that outlives the host costs there just now: Kedge makes some six of them for each member."""
    path = pathlib.Path(folder) / "sync"
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(20):
            file.write(bytes(4096))
            begun = time.monotonic()
            os.fdatasync(file.fileno())
            took.append((time.monotonic() - begun) * 1000)
    path.unlink()
    return statistics.median(took)


def rolls_of(n, proof, rolls):
    """What `rolls` rolls over n members took, and what a bare stop and start takes there, in ms."""
    with fleet_of(n, proof) as fleet:
        for version in VERSIONS:
            fleet.release(version)
        took, syncs = [], []
        for k in range(rolls):
            syncs.append(sync_ms(fleet.folder))
            took.append(one_roll(fleet, VERSIONS[k % 2]))
        twin = Twin(fleet)
        bare = statistics.median(twin.measure(VERSIONS[0]) for _ in range(7)) / 1000
    return took, bare, statistics.median(syncs)


def control(n, proof, rolls):
    took, bare, sync = rolls_of(n, proof, rolls)
    each = statistics.median(t["roll"] for t in took)
    print(f"roll of {n} members, {'as shipped' if proof else 'gates that answer at once'}, median of {rolls}: {each:.2f} ms each, "
          f"a bare stop and start {bare:.2f} ms; one sync to disk {sync:.2f} ms; "
          f"preparing, before the first stop, {statistics.median(t['prepare'] for t in took):.2f} ms each")
    if proof:
        print(f"  control time of a member, with its proof of life: {each - bare:.2f} ms")
    else:
        promise(f"control time of a member, roll of {n}", each - bare, 10, " ms")
    return took


def roll(sizes, rolls):
    for n in sizes:
        control(n, False, rolls)
    for n in sizes:
        took = control(n, True, rolls)
        ages = [age for t in took for age in t["ages"]]
        print(f"  age of the evidence at the stop, {len(ages)} stops: {spread(ages)}, oldest {max(ages) / 1000:.2f} ms")
        promise(f"age of the evidence, roll of {n}", statistics.median(ages) / 1000, 10, " ms")
        cpu = {role: statistics.median(t["cpu"][role] for t in took) for role in sorted(took[0]["cpu"])}
        print("  CPU of a member: " + ", ".join(f"{role} {ms:.2f}" for role, ms in cpu.items()) + " ms")
        promise(f"CPU of a member, both sides, roll of {n}", sum(cpu.values()), 30, " ms")


# ---- memory

def private_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return sum(map(int, re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)))


def memory():
    """One agent, as on a host of its own: with more of them the pages of a library would be private to none."""
    with fleet_of(1) as fleet:
        for when in "fresh", "after a run":
            if when != "fresh":
                fleet.release(VERSIONS[0])
                fleet.finish(fleet.apply(fleet.make_plan(VERSIONS[0])))
            kib = {role: private_kib(pid) for pid, role in kedge_processes(fleet).items()}
            print(f"private memory, {when}: " + ", ".join(f"{role} {value} KiB" for role, value in sorted(kib.items())))
            promise(f"an idle agent, all its processes, {when}", (sum(kib.values()) - kib["kedged"]) / 1024, 8, " MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", choices=["interruption", "roll", "memory", "all", "short"])
    parser.add_argument("--first", action="store_true", help="before all else that runs on this machine (SCHED_RR, as root)")
    parser.add_argument("--switches", type=int, default=20)
    parser.add_argument("--members", default="3,30")
    parser.add_argument("--rolls", type=int, default=3)
    options = parser.parse_args()
    short = options.figure == "short"
    if options.first:
        FIRST.append(os.SCHED_RR)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    if options.figure in ("interruption", "all", "short"):
        interruption(2 if short else options.switches)
    if options.figure in ("roll", "all", "short"):
        roll([2] if short else [int(n) for n in options.members.split(",")], 1 if short else options.rolls)
    if options.figure in ("memory", "all", "short"):
        memory()
    if MISSED and not short:
        sys.exit("missed: " + "; ".join(MISSED))


if __name__ == "__main__":
    main()
