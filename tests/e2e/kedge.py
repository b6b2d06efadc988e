"""A fleet in a folder: one kedged, N agents, N replicas of demo-store that were there before, and clients that use them.

    fleet = Fleet(tmp_path, members=5)
    fleet.start()                                        # up to an adopted cluster
    fleet.release("1.1.0")
    fleet.kedge("plan", "demo", "--to", "demo-store-1.1.0", "-o", "demo.plan")
    fleet.approve("demo.plan")
    fleet.apply("demo.plan")
    fleet.wait(lambda: fleet.run()["ended_ms"], 60, "the run ends")
    fleet.stop()                                         # everything, services too; raises if something would not end

Nothing here waits for a while: it waits for a condition, with a deadline. Processes are ended by their ids. The folders
are those of a real installation: operator/ and build/ have keys, coordinator/ has none of them, nodes/nK/ is one host.
"""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KEDGE_BUILD", TOP / "build")).resolve()
PROGRAMS = {
    "kedge": BUILD / "coordinator/cli/kedge",
    "kedged": BUILD / "coordinator/daemon/kedged",
    "kedge-agent": BUILD / "agent/executor/kedge-agent",
    "demo-load": BUILD / "coordinator/demo/store/demo-load",
    "killpoint": BUILD / "coordinator/demo/kedge-killpoint",
}
RELEASES = BUILD / "coordinator/demo/store/releases"
DONE, FAILED, BAD_INPUT, REFUSED, UNFINISHED = range(5)


def until(condition, seconds, what, poll=0.02):
    """Waits for the condition and returns what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what() if callable(what) else what}"
        time.sleep(poll)


def free_ports(n):
    """Ports that are free for TCP and UDP, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < n:
            tcp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                ports.append(tcp.getsockname()[1])
        return ports


def http_get(port, path, timeout=2):
    """The text of a 200, else None."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        return text if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def values(text):
    """{name: value} of lines name=value."""
    return dict(line.split("=", 1) for line in (text or "").splitlines() if "=" in line)


def become_subreaper():
    """Services whose executor was killed become ours, so that stop() finds them."""
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children():
    return [int(pid) for pid in pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


class Process:
    """One program with a log; started, killed, started again. `wrap` is put in front of the command for one start."""

    def __init__(self, name, command, log, cwd, environment=None):
        self.name, self.command, self.log, self.cwd = name, [str(word) for word in command], log, cwd
        self.environment = {**os.environ, **(environment or {})}
        self.popen = None
        self.n_starts = 0

    def start(self, wrap=()):
        assert not self.alive(), f"{self.name} runs already"
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen([*map(str, wrap), *self.command], cwd=self.cwd, stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True, env=self.environment)
        self.n_starts += 1
        return self

    @property
    def pid(self):
        return self.popen.pid if self.popen else None

    def alive(self):
        return self.popen is not None and self.popen.poll() is None

    def kill(self, signal_number=signal.SIGKILL):
        """Ends it and returns its exit code, as subprocess has it."""
        if self.alive():
            self.popen.send_signal(signal_number)
        return self.popen.wait(15) if self.popen else None

    def restart(self, signal_number=signal.SIGKILL, wrap=()):
        self.kill(signal_number)
        return self.start(wrap)

    def helper(self, program):
        """The pid of a helper process (kedge-link, kedge-prober) of this executor, or None."""
        return next((pid for pid in descendants(self.pid) if executable(pid) == program), None)

    def words(self):
        """The end of its log, for messages."""
        return pathlib.Path(self.log).read_text(errors="replace")[-3000:]


def executable(pid):
    with contextlib.suppress(OSError):
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    return None


def descendants(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


class Fleet:
    def __init__(self, folder, members=5, domains=3, strategy=None, load=True, agent_level="change", values=None,
                 service_environment=None):
        self.folder = pathlib.Path(folder)
        self.n = members
        ports = free_ports(members + 2)
        self.ports, self.fleet_port, self.artifact_port = ports[:members], *ports[members:]
        self.domains = [f"zone-{'abcdefgh'[i * domains // members]}" for i in range(members)]
        self.strategy = {"soak-read-only": "500ms", "soak": "200ms", **(strategy or {})}
        self.with_load, self.agent_level, self.values = load, agent_level, values or {}
        self.service_environment = service_environment
        self.stores, self.agents = [], []
        self.kedged = self.load = None
        self.wrap_kedged, self.wrap_agents = (), {}  # put in front of their first start; agents by number
        self.began = time.monotonic()

    # ---- typing

    def kedge(self, *words, code=DONE, timeout=60, environment=None):
        """Runs kedge and returns what it printed. `code`: the expected exit code, or None for any."""
        done = subprocess.run([PROGRAMS["kedge"], *map(str, words)], cwd=self.folder, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "KEDGE_SOCKET": "coordinator/control.sock", **(environment or {})})
        self.last = done
        assert code is None or done.returncode == code, \
            f"kedge {' '.join(map(str, words))}: exit code {done.returncode}, expected {code}\n{done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, *words, **options):
        """As kedge(), with --json, taken apart."""
        return json.loads(self.kedge(*words, "--json", **options))

    def try_ask(self, *words):
        """As ask(), but None when kedged is not there just now."""
        text = self.kedge(*words, "--json", code=None)
        return json.loads(text) if text.startswith("{") else None

    def wait(self, condition, deadline=30, what="the condition holds"):
        try:
            return until(condition, deadline, what)
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.words()}") from None

    def words(self):
        """The ends of all logs."""
        processes = [p for p in (self.kedged, *self.agents) if p]
        return "\n".join(f"==== {p.name} ({'runs' if p.alive() else 'ended'})\n{p.words()}" for p in processes)

    # ---- what was there before

    def node(self, i):
        return self.folder / f"nodes/n{i + 1}"

    def member(self, i):
        return f"demo/store@n{i + 1}"

    def store_command(self, i, version="1.0.0"):
        return [self.node(i) / f"opt/demo-store-{version}/bin/demo-store", "--config", "demo-store.conf"]

    def start_services(self):
        peers = ", ".join(f"127.0.0.1:{port}" for port in self.ports)
        for i, port in enumerate(self.ports):
            shutil.copytree(RELEASES / "demo-store-1.0.0", self.node(i) / "opt/demo-store-1.0.0")
            (self.node(i) / "srv").mkdir()
            (self.node(i) / "srv/demo-store.conf").write_text(
                f"# replica {i + 1}, written by hand\nid = s{i + 1}\nlisten = 127.0.0.1:{port}\ndata = data\npeers = {peers}\n")
            self.stores.append(Process(f"demo-store s{i + 1}", self.store_command(i), self.node(i) / "srv/demo-store.log",
                                       self.node(i) / "srv", self.service_environment).start())
        self.wait(lambda: all(self.health(i).get("behind") == "0" for i in range(self.n)), 10, "all replicas serve")
        self.wait(lambda: all((http_get(p, "/cluster") or "").count(" read-write") == self.n for p in self.ports), 10,
                  "all replicas see each other")
        if self.with_load:
            self.start_load()

    def start_load(self):
        servers = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.load = Process("demo-load", [PROGRAMS["demo-load"], "--servers", servers, "--stats", "load.stats"],
                            self.folder / "load.log", self.folder).start()
        self.wait(lambda: int(self.load_stats().get("writes", 0)) >= 200, 15, "200 keys are written")

    def load_stats(self):
        with contextlib.suppress(OSError):
            return values((self.folder / "load.stats").read_text())
        return {}

    def end_load(self):
        """Ends the clients, which read everything back before; their last figures, as numbers."""
        assert self.load.kill(signal.SIGTERM) in (0, 1)
        stats = self.load_stats()
        assert stats["final"] == "yes"
        return {name: int(value) if value.isdigit() else value for name, value in stats.items()}

    def health(self, i):
        """What replica i says of itself; {} when it does not answer."""
        return values(http_get(self.ports[i], "/health"))

    def pid(self, i):
        """Whoever listens on the port of replica i, by /proc; None: nobody."""
        wanted = f"0100007F:{self.ports[i]:04X}"
        inodes = {line.split()[9] for line in open("/proc/net/tcp") if line.split()[1] == wanted and line.split()[3] == "0A"}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(OSError):
                        if os.readlink(f"/proc/{pid}/fd/{fd}")[8:-1] in inodes:
                            return int(pid)
        return None

    def starts(self, i):
        """How often replica i was started in all, the first time included, by its own logs: Kedge's word is not asked."""
        logs = [self.node(i) / "srv/demo-store.log", *self.node(i).glob("kedge/**/*.log"), *self.node(i).glob("kedge/**/output*")]
        return sum(log.read_text(errors="replace").count(" serves ") for log in {log.resolve() for log in logs if log.is_file()})

    # ---- Kedge

    def key(self, path):
        return self.ask("key", "show", path)["key"]

    def anchors(self):
        return (f'operators: {{threshold: 1, keys: ["{self.key("operator/alice.key")}"]}}\n'
                f'release-keys: {{threshold: 1, keys: ["{self.key("build/build.key")}"]}}\n')

    def make_keys(self):
        for folder in "operator", "build", "coordinator":
            (self.folder / folder).mkdir(mode=0o700)
        self.kedge("key", "new", "operator/alice.key")
        self.kedge("key", "new", "build/build.key", "--role", "release")

    def start_kedged(self, wrap=()):
        if self.kedged is None:
            (self.folder / "coordinator/kedged.yaml").write_text(
                f"listen: 127.0.0.1:{self.fleet_port}\nartifacts: 127.0.0.1:{self.artifact_port}\n{self.anchors()}")
            self.kedged = Process("kedged", [PROGRAMS["kedged"], "--state", "coordinator", "--config",
                                             "coordinator/kedged.yaml"], self.folder / "coordinator/kedged.log", self.folder)
        self.kedged.start(wrap or (self.wrap_kedged if self.kedged.n_starts == 0 else ()))
        self.wait_kedged()

    def wait_kedged(self):
        self.wait(lambda: self.try_ask("node", "list") is not None, 15, "kedged answers")

    def agent_yaml(self, i, **changes):
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        settings = {"level": self.agent_level, "member": self.member(i), "user": user, **changes}
        return (f"node: n{i + 1}\nstate: {self.node(i)}/kedge\n"
                f"coordinator: {{address: 127.0.0.1:{self.fleet_port}, artifacts: http://127.0.0.1:{self.artifact_port}, "
                f'key: "{self.key("coordinator/kedged.key")}"}}\n{self.anchors()}'
                f"allow:\n  level: {settings['level']}\n  members:\n"
                f"    - {{member: {settings['member']}, user: {settings['user']}}}\n")

    def start_agents(self):
        for i in range(self.n):
            path = self.node(i) / "agent.yaml"
            path.write_text(self.agent_yaml(i))
            self.agents.append(Process(f"agent n{i + 1}", [PROGRAMS["kedge-agent"], "--config", path],
                                       self.node(i) / "agent.log", self.folder).start(self.wrap_agents.get(i, ())))
        self.wait(lambda: len(self.nodes("pending")) == self.n, 20, "all agents have reached kedged")
        for node in self.nodes("pending"):
            self.kedge("node", "approve", node["name"], node["fingerprint"])
        self.wait_connected()

    def nodes(self, state=None):
        answer = self.try_ask("node", "list") or {"nodes": []}
        return [node for node in answer["nodes"] if state in (None, node["state"])]

    def wait_connected(self, seconds=30):
        self.wait(lambda: len(self.nodes("open")) == self.n, seconds, "all agents are connected")

    def cluster_file(self):
        lines = ["cluster: demo", "system: demo-store",
                 "strategy-defaults: {" + ", ".join(f"{k}: {v}" for k, v in self.strategy.items()) + "}", "members:"]
        if self.values:
            lines.insert(2, "values: {" + ", ".join(f"{k}: {v}" for k, v in self.values.items()) + "}")
        for i, port in enumerate(self.ports):
            lines.append(f"  - {{name: store@n{i + 1}, role: store, node: n{i + 1}, domain: {self.domains[i]}, "
                         f"values: {{port: {port}}}}}")
        return "\n".join(lines) + "\n"

    def adopt(self):
        (self.folder / "operator/demo.yaml").write_text(self.cluster_file())
        self.kedge("cluster", "adopt", "operator/demo.yaml", "--key", "operator/alice.key", "--yes")

    def start(self):
        become_subreaper()
        self.start_services()
        self.make_keys()
        self.start_kedged()
        self.start_agents()
        self.adopt()
        return self

    # ---- an upgrade

    def release(self, version="1.1.0"):
        """Cuts and adds a release of demo-store; its name."""
        self.kedge("release", "cut", RELEASES / f"demo-store-{version}", "--system", "demo-store", "--version", version,
                   "--key", "build/build.key", "-o", f"build/demo-store-{version}.release")
        self.kedge("release", "add", f"build/demo-store-{version}.release")
        return f"demo-store-{version}"

    def plan(self, version="1.1.0", *words, file="demo.plan", **options):
        return self.kedge("plan", "demo", "--to", f"demo-store-{version}", "-o", file, *words, **options)

    def approve(self, file="demo.plan"):
        self.kedge("approve", file, "--key", "operator/alice.key", "--yes")

    def apply(self, file="demo.plan"):
        """Begins the run and returns its id."""
        return self.ask("apply", file)["run"]["id"]

    def upgrade(self, version="1.1.0", *words):
        """Release, plan, approval, apply; returns the id of the run that has begun."""
        self.release(version)
        self.plan(version, *words)
        self.approve()
        return self.apply()

    def run(self, id_=None):
        """The run as it is now (the latest without an id), or None when kedged is not there."""
        answer = self.try_ask("run", "show", *([id_] if id_ else []))
        return answer["run"] if answer else None

    def run_member(self, i, id_=None):
        run = self.run(id_)
        return next((m for m in run["members"] if m["name"] == self.member(i)), None) if run else None

    def wait_ended(self, id_=None, seconds=90):
        """Waits for the end of a run and returns its report."""
        self.wait(lambda: (self.run(id_) or {}).get("ended_ms"), seconds,
                  lambda: f"run {id_} ends; it is\n{self.kedge('run', 'show', code=None)}")
        return self.ask("run", "report", *([id_] if id_ else []))["run"]

    # ---- the end

    def stop(self):
        """Ends everything that this fleet has started, Kedge first; services that lost their parent too."""
        for process in (self.kedged, *self.agents, self.load, *self.stores):
            if process and process.alive():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.kill(signal.SIGTERM)
                process.kill()
        until(self._no_orphans, 10, "nothing is left running")

    def _no_orphans(self):
        """Kills what became ours and lives in our folder; True when there is nobody."""
        mine = []
        for pid in children():
            with contextlib.suppress(OSError):
                place = os.readlink(f"/proc/{pid}/cwd") + " " + os.readlink(f"/proc/{pid}/exe")
                if str(self.folder) in place:
                    mine.append(pid)
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
        return not mine
