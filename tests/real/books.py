"""Kedge over a real BookKeeper cluster: a kedged and an agent for each bookie that somebody else has started.

The fleet is the one of the e2e tests; only what was there before (bookies instead of stores) and the cluster file differ.
"""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import jars  # noqa: E402
import kedge  # noqa: E402


class BookFleet(kedge.Fleet):
    def __init__(self, cluster, folder, **strategy):
        super().__init__(folder, members=len(cluster.bookies), domains=len(cluster.bookies), load=False,
                         strategy={"soak-read-only": "2s", "soak": "2s", **strategy})
        self.cluster = cluster
        self.ports = [cluster.ports[i] for i in cluster.bookies]

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
                f"zk-timeout: 5s, host: 127.0.0.1}}\nstrategy-defaults: {{{strategy}}}\nmembers:\n{members}")

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

    def versions(self):
        """What really runs, by /proc."""
        return [self.cluster.running_version(i) for i in self.cluster.bookies]

    def pids(self):
        return [self.cluster.port_owner(i) for i in self.cluster.bookies]

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
