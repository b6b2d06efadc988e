"""Kedge over a real BookKeeper cluster: a kedged and an agent for each bookie that somebody else has started.

The fleet is the one of the e2e tests; only what was there before (bookies instead of stores) and the cluster file differ.
"""
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import jars  # noqa: E402
import kedge  # noqa: E402


class BookFleet(kedge.Fleet):
    lease = "20s"       # so long without a word from the coordinator, and the agents put side actions back

    def __init__(self, cluster, folder, **strategy):
        super().__init__(folder, members=len(cluster.bookies), domains=len(cluster.bookies), load=False,
                         strategy={"soak-read-only": "2s", "soak": "2s", **strategy})
        self.cluster = cluster
        self.ports = [cluster.ports[i] for i in cluster.bookies]
        self.before = self.untouchable()

    def member(self, i):
        return f"books/bookie@n{i + 1}"

    def start_services(self):
        """They run already, and not by Kedge."""
        for i in range(self.n):
            self.node(i).mkdir(parents=True, exist_ok=True)

    def cluster_file(self):
        members = "".join(f"  - {{name: bookie@n{i + 1}, role: bookie, node: n{i + 1}, domain: {self.domains[i]}, "
                          f"values: {{port: {port}}}}}\n" for i, port in enumerate(self.ports))
        strategy = ", ".join(f"{k}: {v}" for k, v in self.strategy.items())
        return (f"cluster: books\nsystem: bookkeeper\nvalues: {{zookeeper: {self.cluster.zk_address}, ensemble: 3, "
                f"zk-timeout: 5s, host: 127.0.0.1, lease: {self.lease}}}\nstrategy-defaults: {{{strategy}}}\nmembers:\n{members}")

    def release(self, version):
        """The original archive, cut and signed as a build system would."""
        archive = pathlib.Path(jars.archive(version))
        self.kedge("release", "cut", archive, "--system", "bookkeeper", "--version", version, "--strip", "1", "--key",
                   "build/build.key", "-o", f"build/bookkeeper-{version}.release")
        self.kedge("release", "add", f"build/bookkeeper-{version}.release", archive)
        return f"bookkeeper-{version}"

    def plan(self, version, *words, file="books.plan", **options):
        return self.kedge("plan", "books", "--to", f"bookkeeper-{version}", "-o", file, *words, **options)

    def approve(self, file="books.plan"):
        self.kedge("approve", file, "--key", "operator/alice.key", "--yes")

    def apply(self, file="books.plan"):
        return self.ask("apply", file)["run"]["id"]

    # ---- what the cluster itself says

    def versions(self):
        """What really runs, by /proc."""
        return [self.cluster.running_version(i) for i in self.cluster.bookies]

    def pids(self):
        return [self.cluster.port_owner(i) for i in self.cluster.bookies]

    def stops(self):
        """How often each bookie was started again, by its own words and so not by Kedge's."""
        return [(self.cluster.folder / f"n{i}/out.log").read_text(errors="replace").count("Hello, I'm your bookie") - 1
                for i in self.cluster.bookies]

    def untouchable(self):
        """What is the operator's: cookies, configurations, and the links to the release and to the data."""
        top = self.cluster.folder
        files = [path for pattern in ("store/n*/*/current/VERSION", "n*/bk.conf") for path in top.glob(pattern)]
        links = [path for pattern in ("n*/current", "n*/data") for path in top.glob(pattern)]
        return {**{path: path.read_bytes() for path in files}, **{path: os.readlink(path) for path in links}}

    def nothing_touched(self):
        now = self.untouchable()
        changed = [str(path) for path in {*now, *self.before} if now.get(path) != self.before.get(path)]
        assert not [path for path in changed if "-empty/" not in path and path not in self.may_change], changed

    may_change = ()

    def words_of(self, i):
        """Why bookie i does not go on, in Kedge's words."""
        member = self.of(i)
        return f"{member.get('headline') or ''}; {member.get('reason') or ''}" if member else ""

    def of(self, i):
        """Bookie i (from 1) as a member of the latest run, or None."""
        return self.run_member(i - 1)

    # ---- the end

    def close(self):
        pids = [pid for agent in self.agents if agent.alive() for pid in (agent.pid, *kedge.descendants(agent.pid))
                if not re.match("java", kedge.executable(pid) or "")]
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        kedge.until(lambda: not any(map(self._is_ours, pids)), 15, "agents, links and probers have ended")

    def _is_ours(self, pid):
        return (kedge.executable(pid) or "").startswith("kedge")
