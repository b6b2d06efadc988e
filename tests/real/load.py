"""The client that writes and reads while a cluster is being changed: BkLoad.java, started and watched from Python."""

import json
import os
import pathlib
import signal
import subprocess
import time

import jars
from bookkeeper import ENVIRONMENT, JVM, Failed, end_process

HERE = pathlib.Path(__file__).resolve().parent


class Load:
    """`with Load(cluster.folder, cluster.zk_address) as load: ...; figures = load.finish()`.

    Entered, it has written its first `prefill` closed ledgers and is working.  Figures are a dict: phase, ledgers,
    written, reads, failed_writes, failed_reads, final_reads, lost, longest_write_pause_ms, longest_read_pause_ms,
    first_failed_write, first_failed_read, first_loss.
    """

    def __init__(self, folder, zk_address, prefill=10, entries=50, rate=50):
        self.folder = pathlib.Path(folder)
        self.stats_file, self.log = self.folder / "load.json", self.folder / "load.log"
        self._argv = [str(a) for a in (zk_address, self.stats_file, prefill, entries, rate)]
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, seconds=60):
        classes = jars.compiled(HERE / "BkLoad.java")
        self.stats_file.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                ["java", "-Xmx128m", *JVM, "-cp", f"{classes}:{jars.lib(jars.CLIENT)}/*:log",
                 "-Dlog4j.configuration=load.properties", "BkLoad", *self._argv],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=ENVIRONMENT)
        self.wait_for(lambda figures: figures["phase"] != "prefill", seconds, "it has written its first ledgers")

    def stats(self):
        """The figures as of the last half second, or None before the first."""
        try:
            return json.loads(self.stats_file.read_text())
        except FileNotFoundError:
            return None

    def wait_for(self, condition, seconds, what):
        """Until condition(figures) holds while the load runs."""
        deadline = time.monotonic() + seconds
        while not ((figures := self.stats()) and condition(figures)):
            if self._process.poll() is not None:
                raise Failed(f"the load ended with {self._process.returncode}: see {self.log}")
            if time.monotonic() > deadline:
                raise Failed(f"the load: not within {seconds} s: {what}; {figures}")
            time.sleep(0.05)
        return figures

    def finish(self, seconds=120):
        """SIGTERM, wait for the last reading of everything, and give the figures of the whole run."""
        os.kill(self._process.pid, signal.SIGTERM)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"the load did not end within {seconds} s; {self.stats()}")
        figures = self.stats()
        if figures["phase"] != "done":
            raise Failed(f"the load ended with {code} in phase {figures['phase']}: see {self.log}")
        return figures

    def close(self):
        if self._process is not None and self._process.poll() is None:
            end_process(self._process.pid)
            self._process.wait()
