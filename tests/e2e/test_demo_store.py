"""demo-store and demo-load as they are: five real replicas on loopback.

The gates and faults of the other tests are proven on this store, so what it claims about itself must be true:
its view of the cluster, what it misses, and the hole that an empty data folder is accepted.
"""
import contextlib
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KEDGE_BUILD", TOP / "build")) / "coordinator/demo/store"


def program(version="1.0.0"):
    return BUILD / f"releases/demo-store-{version}/bin/demo-store"


def until(condition, what, seconds=10):
    """Waits for the condition and returns what it gave."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.005)


def free_ports(n):
    """Ports that are free for TCP and UDP."""
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


class Replica:
    def __init__(self, folder, number, port, peers):
        self.id, self.port, self.folder = f"s{number}", port, folder
        self.address = f"127.0.0.1:{port}"
        self.data = folder / self.id
        self.config = folder / f"{self.id}.conf"
        self.config.write_text(f"# replica {number}\nid = {self.id}\nlisten = {self.address}  # loopback\n"
                               f"data = {self.id}\npeers = {peers}\n")
        self.process = None

    def start(self, *flags, version="1.0.0"):
        self.process = subprocess.Popen([program(version), "--config", self.config.name, *flags], cwd=self.folder,
                                        stdout=subprocess.PIPE, text=True)
        assert f"{self.id} serves" in self.process.stdout.readline()
        return self

    def end(self, signal_number=signal.SIGTERM):
        self.process.send_signal(signal_number)
        code = self.process.wait(10)
        self.process.stdout.close()
        self.process = None
        return code

    def ask(self, method, path, body=None, headers=None):
        """(status, text); ConnectionError and the like when it is down."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def get(self, path):
        return self.ask("GET", path)

    def put(self, key, value, ensemble, sequence=1):
        return self.ask("PUT", f"/kv/{key}", value, {"X-Ensemble": ensemble, "X-Sequence": str(sequence)})[0]

    def health(self):
        status, text = self.get("/health")
        assert status == 200
        return dict(line.split("=", 1) for line in text.splitlines())

    def view(self):
        """{id: mode}, as this replica sees the cluster."""
        lines = [line.split() for line in self.get("/cluster")[1].splitlines()]
        return {id_: mode for id_, _, mode in lines}

    def sees(self, **modes):
        view = self.view()
        return all(view.get(id_) == mode.replace("_", "-") for id_, mode in modes.items())

    def lines(self, path):
        status, text = self.get(path)
        return text.splitlines() if status == 200 else None


@pytest.fixture
def make_cluster(tmp_path):
    replicas = []

    def make(n, start=True):
        ports = free_ports(n)
        peers = ", ".join(f"127.0.0.1:{port}" for port in ports)
        replicas.extend(Replica(tmp_path, i + 1, port, peers) for i, port in enumerate(ports))
        if start:
            for replica in replicas:
                replica.start()
            for replica in replicas:
                until(lambda: all(mode == "read-write" for mode in replica.view().values()), "all see all")
                until(lambda: replica.health()["behind"] == "0", "nothing is behind")
        return replicas

    yield make
    for replica in replicas:
        if replica.process is not None:
            replica.end(signal.SIGKILL)


class Load:
    """A running demo-load."""

    def __init__(self, replicas, folder, *flags):
        self.stats_file = folder / "stats"
        servers = ",".join(replica.address for replica in replicas)
        self.process = subprocess.Popen([BUILD / "demo-load", "--servers", servers, "--stats", self.stats_file, *flags])

    def stats(self):
        return dict(line.split("=", 1) for line in self.stats_file.read_text().splitlines())

    def writes(self):
        return int(self.stats()["writes"]) if self.stats_file.exists() else 0

    def go_on(self, n=100):
        """Waits until it has done n more writes."""
        before = self.writes()
        until(lambda: self.writes() >= before + n, f"{n} more writes")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), self.stats()


@pytest.fixture
def make_load(tmp_path):
    loads = []

    def make(replicas, *flags):
        loads.append(Load(replicas, tmp_path, *flags))
        return loads[-1]

    yield make
    for load in loads:
        if load.process.poll() is None:
            load.process.kill()
            load.process.wait()


# ---- one replica


def test_a_value_is_kept_and_the_highest_sequence_wins(make_cluster):
    s1, = make_cluster(1)
    assert s1.get("/kv/a")[0] == 404
    assert s1.put("a", "one", "s1", 5) == 204
    assert s1.put("a", "one", "s1", 5) == 204
    assert s1.put("a", "old", "s1", 4) == 409
    assert s1.get("/kv/a") == (200, "one")
    assert s1.ask("PUT", "/kv/a", "two")[0] == 204
    assert s1.get("/kv/a") == (200, "two")
    assert s1.health()["keys"] == "1"
    assert [line.split()[:2] for line in s1.lines("/keys?from=1&young=yes")] == [["2", "a"]]


def test_bad_requests_change_nothing(make_cluster):
    s1, = make_cluster(1)
    assert s1.put("a", "x", "s2,s3") == 400
    assert s1.put("a", "x", "s11") == 400
    assert s1.put("a%20b", "x", "s1") == 400
    assert s1.put("k" * 48, "x", "s1") == 400
    assert s1.put("a", "x", "s1", 0) == 400
    assert s1.put("a", "x" * 4097, "s1") == 413
    assert s1.ask("DELETE", "/kv/a")[0] == 404
    assert s1.get("/kv/")[0] == 404
    assert s1.ask("PUT", "/setting/color", "red")[0] == 404
    assert s1.ask("PUT", "/setting/repair-delay", "-1")[0] == 400
    assert s1.ask("PUT", "/setting/repair", "maybe")[0] == 400
    assert s1.ask("PUT", "/mode", "sideways")[0] == 400
    assert s1.health()["keys"] == "0"
    assert s1.put("a", "x" * 4096, "s1") == 204


def test_a_kill_loses_nothing_that_was_acknowledged(make_cluster):
    s1, = make_cluster(1)
    for i in range(300):
        assert s1.put(f"key-{i}", f"value {i}", "s1") == 204
    instance = s1.health()["instance"]
    assert s1.end(signal.SIGKILL) == -signal.SIGKILL
    s1.start(version="1.1.0")
    health = s1.health()
    assert (health["keys"], health["version"]) == ("300", "1.1.0")
    assert health["instance"] != instance and len(health["instance"]) == 16
    assert s1.get("/kv/key-299") == (200, "value 299")


def test_an_incomplete_record_is_cut_off_and_a_damaged_one_refuses_the_start(make_cluster):
    s1, = make_cluster(1)
    s1.put("a", "first", "s1")
    s1.put("b", "second", "s1")
    s1.end()
    log = s1.data / "log"
    whole = log.read_bytes()
    log.write_bytes(whole[:-3])
    s1.start()
    assert (s1.get("/kv/a"), s1.get("/kv/b")[0]) == ((200, "first"), 404)
    assert s1.put("c", "third", "s1") == 204
    assert s1.end() == 0
    s1.start()
    assert s1.get("/kv/c") == (200, "third")
    s1.end()
    log.write_bytes(whole.replace(b"first", b"fiRst"))
    refused(s1, 2, "damaged")


def test_a_full_disk_makes_it_read_only_until_somebody_says_otherwise(make_cluster):
    s1, = make_cluster(1, start=False)
    limited = subprocess.Popen(["/bin/sh", "-c", f'ulimit -f 8; trap "" XFSZ; exec "$0" --config {s1.config.name}',
                                program()], cwd=s1.folder, stdout=subprocess.PIPE, text=True)
    limited.stdout.readline()
    s1.process = limited
    codes = [s1.put(f"key-{i}", "x" * 1000, "s1") for i in range(10)]
    kept = codes.count(204)
    assert 0 < kept < 10 and set(codes) == {204, 503}
    health = s1.health()
    assert (health["mode"], health["read-only-by"], health["keys"]) == ("read-only", "disk", str(kept))
    assert s1.get("/kv/key-0")[0] == 200
    s1.end()
    s1.start()
    assert (s1.health()["mode"], s1.health()["keys"]) == ("read-write", str(kept))


# ---- mode


def test_read_only_refuses_writes_and_serves_reads(make_cluster):
    s1, s2 = make_cluster(2)
    assert s1.put("a", "x", "s1") == 204
    assert s1.ask("PUT", "/mode", "read-only")[0] == 204
    assert s1.ask("PUT", "/kv/b", "x") == (503, "read-only\n")
    assert s1.get("/kv/a") == (200, "x")
    assert (s1.health()["mode"], s1.health()["read-only-by"]) == ("read-only", "request")
    until(lambda: s2.sees(s1="read_only"), "s2 sees the mode", 1)
    assert s1.ask("PUT", "/mode", "read-write\n")[0] == 204
    assert s1.put("b", "x", "s1") == 204


def test_started_read_only_it_stays_so(make_cluster):
    s1, = make_cluster(1)
    s1.put("a", "x", "s1")
    s1.end()
    s1.start("--read-only")
    assert (s1.health()["mode"], s1.health()["read-only-by"]) == ("read-only", "start-flag")
    assert s1.ask("PUT", "/mode", "read-write")[0] == 409
    assert s1.ask("PUT", "/mode", "read-only")[0] == 204
    assert s1.ask("PUT", "/mode", "read-write")[0] == 409
    assert (s1.put("b", "x", "s1"), s1.get("/kv/a")[0]) == (503, 200)
    s1.end()
    assert s1.start().health()["mode"] == "read-write"


# ---- the cluster


def test_a_goodbye_is_seen_at_once_and_a_kill_after_three_pings(make_cluster):
    s1, s2, s3, s4, s5 = make_cluster(5)
    assert s2.end() == 0
    until(lambda: s1.sees(s2="down"), "the goodbye was heard", 0.3)
    began = time.monotonic()
    s3.end(signal.SIGKILL)
    assert s1.sees(s3="read_write"), "nobody can know yet"
    until(lambda: s1.sees(s3="down", s4="read_write"), "s3 is seen down")
    assert 0.35 < time.monotonic() - began < 2
    s2.start()
    until(lambda: s5.sees(s2="read_write", s3="down"), "s2 is back")
    assert s2.end() == 0
    s2.start()
    until(lambda: s2.sees(s1="read_write", s4="read_write", s5="read_write"), "s2 knows those that are up")
    assert s2.view()["-"] in ("unknown", "down"), "the name of s3 it never heard, only its address is known"


def test_a_stopped_process_is_down_and_comes_back(make_cluster):
    s1, s2, s3 = make_cluster(3)
    s2.process.send_signal(signal.SIGSTOP)
    until(lambda: s1.sees(s2="down", s3="read_write"), "s2 is seen down")
    s2.process.send_signal(signal.SIGCONT)
    until(lambda: s1.sees(s2="read_write"), "s2 is back")


def test_what_was_missed_is_listed_and_caught_up(make_cluster):
    s1, s2, s3 = make_cluster(3)
    for i in range(600):
        assert s1.put(f"old-{i}", "x", "s1,s2,s3") == s2.put(f"old-{i}", "x", "s1,s2,s3") == 204
    until(lambda: s3.health()["keys"] == "600", "a replica that a writer left out fetches its keys")
    s3.end()
    for i in range(600):
        assert s1.put(f"new-{i}", f"value {i}", "s1,s2,s3") == 204
        assert s2.put(f"new-{i}", f"value {i}", "s1,s2,s3") == 204
    assert s1.put("not-for-s3", "x", "s1,s2") == 204
    assert s1.put("old-0", "changed", "s1,s2,s3", 2) == 204
    assert len(s1.lines("/missing")) == 1200
    s3.start("--read-only")
    until(lambda: s3.health()["behind"] == "0", "s3 has caught up")
    assert s3.get("/kv/new-599") == (200, "value 599")
    assert s3.get("/kv/old-0") == (200, "changed")
    assert s3.get("/kv/not-for-s3")[0] == 404
    assert (s3.health()["keys"], s3.lines("/behind"), s1.lines("/missing")) == ("1200", [], [])


def test_what_cannot_be_fetched_stays_behind(make_cluster):
    s1, s2, s3 = make_cluster(3)
    s3.end()
    for replica in (s1, s2):
        assert replica.put("a", "x" * 4000, "s1,s2,s3") == 204
    limited = ["/bin/sh", "-c", f'ulimit -f 1; trap "" XFSZ; exec "$0" --config {s3.config.name}', program()]
    s3.process = subprocess.Popen(limited, cwd=s3.folder, stdout=subprocess.PIPE, text=True)
    s3.process.stdout.readline()
    until(lambda: s3.health()["behind"] not in ("0", "unknown"), "s3 knows what it misses")
    assert set(s3.lines("/behind")) == {"a"}


def test_alone_it_does_not_know_what_it_misses(make_cluster):
    s1, s2 = make_cluster(2)
    s1.end()
    s2.end()
    s1.start()
    until(lambda: s1.sees(s2="down") or s1.view().get("-") == "down", "s2 was given up")
    assert s1.health()["behind"] == "unknown"
    assert s1.get("/behind")[0] == 503
    s2.start()
    until(lambda: s1.health()["behind"] == "0", "compared")
    s2.end()
    until(lambda: s1.health()["behind"] == "unknown", "alone again")


def test_missing_waits_for_the_delay_and_says_when_nobody_watches(make_cluster):
    s1, s2, s3 = make_cluster(3)
    assert s1.put("a", "x", "s1,s2") == s2.put("a", "x", "s1,s2") == s1.put("b", "x", "s1,s3") == 204
    assert s3.ask("PUT", "/setting/repair-delay", "2\n")[0] == 204
    until(lambda: s1.get("/setting/repair-delay") == (200, "2"), "the setting has spread", 1)
    gone = time.monotonic()
    s2.end()
    assert (s1.sees(s2="down"), s1.lines("/missing")) == (True, [])
    until(lambda: s1.lines("/missing") == ["a"], "the delay is over")
    assert time.monotonic() - gone >= 1.9
    assert s3.ask("PUT", "/setting/repair", "off")[0] == 204
    until(lambda: s1.get("/missing") == (503, "watch disabled\n"), "the setting has spread", 1)
    assert s1.ask("PUT", "/setting/repair", "on")[0] == 204
    assert s1.lines("/missing") == ["a"]
    s1.end()
    s1.start()
    assert s1.get("/missing") == (503, "not known yet\n")
    assert s1.get("/setting/repair-delay") == (200, "2")
    until(lambda: s1.lines("/missing") == ["a"], "missed again, by a replica that never heard s2")


def test_settings_spread_to_one_that_was_away_and_the_later_wins(make_cluster):
    s1, s2, s3 = make_cluster(3)
    s3.end()
    for seconds in "789":
        assert s1.ask("PUT", "/setting/repair-delay", seconds)[0] == 204
    until(lambda: s2.get("/setting/repair-delay")[1] == "9", "spread")
    s3.start()
    until(lambda: s3.get("/setting/repair-delay")[1] == "9", "spread to s3")
    assert s3.ask("PUT", "/setting/repair-delay", "0")[0] == 204
    for replica in (s1, s2):
        until(lambda: replica.get("/setting/repair-delay")[1] == "0", "put back")


def test_an_empty_folder_is_taken_for_a_new_replica_and_only_reading_shows_it(make_cluster):
    s1, s2, s3 = make_cluster(3)
    for replica in (s1, s2, s3):
        assert replica.put("a", "x", "s1,s2,s3") == 204
    s3.end()
    shutil.rmtree(s3.data)
    s3.data.mkdir()
    s3.start()
    until(lambda: s3.health()["behind"] == "0", "s3 thinks that it misses nothing")
    until(lambda: s1.sees(s3="read_write"), "s1 thinks that all is well")
    assert s1.lines("/missing") == []
    assert s3.get("/kv/a")[0] == 404, "and yet it is gone"
    assert s1.put("b", "x", "s1,s2,s3") == 204
    until(lambda: s3.get("/kv/b")[0] == 200, "what came later is fetched")
    assert s3.get("/kv/a")[0] == 404


# ---- refused starts


def refused(replica, code, words):
    result = subprocess.run([program(), "--config", replica.config.name], cwd=replica.folder, timeout=10,
                            capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    assert words in result.stderr and result.stderr.count("\n") == 1, result.stderr


@pytest.mark.parametrize("change, words", [
    (("peers", "peeers"), 's1.conf: line 5: "peeers" is an unknown key'),
    (("data = s1", "data s1"), 's1.conf: line 4: "data s1" is no `key = value`'),
    (("data = s1\n", "data = s1\ndata = s2\n"), 'line 5: "data" has a value that cannot be used, or is given twice'),
    (("data = s1\n", ""), "id, listen and data must be given"),
    (("id = s1", "id = s/1"), 'line 2: "id" has a value that cannot be used'),
    (("listen = 127", "listen = localhost:7"), 'line 3: "listen" has a value'),
    (("peers = ", "peers = here, "), 'line 5: "peers" has a value'),
])
def test_a_config_that_does_not_fit_refuses_the_start(make_cluster, change, words):
    s1, = make_cluster(1, start=False)
    s1.config.write_text(s1.config.read_text().replace(*change))
    refused(s1, 2, words)
    assert not s1.data.exists()


def test_foreign_data_refuses_the_start(make_cluster):
    s1, s2 = make_cluster(2)
    s1.end()
    s2.end()
    kept = s1.data.rename(s1.folder / "kept")
    shutil.copytree(s2.data, s1.data)
    refused(s1, 2, "s1: has no cookie of id=s1 folder=s1")
    shutil.copytree(kept, s1.data, dirs_exist_ok=True)
    s1.start().end()
    (s1.data / "cookie").unlink()
    refused(s1, 2, "s1: has no cookie of id=s1 folder=s1")
    s1.config.write_text(s1.config.read_text().replace("data = s1", "data = kept"))
    refused(s1, 2, "kept: has no cookie of id=s1 folder=kept")


def test_a_taken_port_and_a_taken_folder_are_the_worlds_fault(make_cluster):
    s1, = make_cluster(1)
    refused(s1, 1, f"{s1.address}: Address already in use")
    port, = free_ports(1)
    s1.config.write_text(s1.config.read_text().replace(s1.address, f"127.0.0.1:{port}"))
    refused(s1, 1, "another process serves this folder")
    assert s1.health()["id"] == "s1"


def test_usage_and_versions():
    for name in (program(), BUILD / "demo-load"):
        assert subprocess.run([name, "--help"], capture_output=True).returncode == 0
        assert subprocess.run([name, "--what"], capture_output=True).returncode == 2
        assert subprocess.run([name], capture_output=True).returncode == 2
    assert subprocess.run([program("1.1.0"), "--version"], capture_output=True, text=True).stdout == "demo-store 1.1.0\n"
    assert program("1.0.0").read_bytes() != program("1.1.0").read_bytes()


def test_the_configurations_that_are_shipped(tmp_path):
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        sample = (program(version).parents[1] / "conf/demo-store.conf.sample").read_text()
        port, = free_ports(1)
        (tmp_path / "conf").write_text(sample.replace("127.0.0.1:7101  ", f"127.0.0.1:{port}"))
        process = subprocess.Popen([program(version), "--config", "conf"], cwd=tmp_path, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = process.stdout.readline()
        process.terminate()
        errors = process.communicate(timeout=10)[1]
        if version == "1.2.0":
            assert process.returncode == 2 and '"compaction" is an unknown key' in errors
        else:
            assert process.returncode == 0 and "serves" in line, errors


# ---- demo-load


def test_a_rolling_restart_under_load_loses_nothing(make_cluster, make_load):
    replicas = make_cluster(5)
    load = make_load(replicas)
    load.go_on()
    for replica in replicas:
        assert replica.end() == 0
        load.go_on(50)
        replica.start(version="1.1.0")
        until(lambda: replica.health()["behind"] == "0", "caught up")
        load.go_on(50)
    replicas[0].end(signal.SIGKILL)
    load.go_on(50)
    assert load.stats()["final"] == "no"
    code, stats = load.end()
    assert (code, stats["final"], stats["first_failure"]) == (0, "yes", "-")
    assert stats["failed_writes"] == stats["failed_reads"] == stats["lost"] == "0"
    assert int(stats["writes"]) >= 500 and int(stats["reads"]) >= 100 and int(stats["longest_pause_us"]) > 0


def test_one_stopped_and_one_read_only_of_four_do_not_fail_a_write(make_cluster, make_load):
    replicas = make_cluster(4)
    load = make_load(replicas, "--rate", "1000")
    load.go_on()
    replicas[0].ask("PUT", "/mode", "read-only")
    load.go_on()
    replicas[1].end(signal.SIGKILL)
    load.go_on()
    replicas[0].ask("PUT", "/mode", "read-write")
    replicas[1].start()
    until(lambda: replicas[1].health()["behind"] == "0", "caught up")
    load.go_on()
    code, stats = load.end()
    assert code == 0, stats


def test_a_hanging_replica_costs_one_pause(make_cluster, make_load):
    replicas = make_cluster(3)
    load = make_load(replicas)
    load.go_on()
    replicas[2].process.send_signal(signal.SIGSTOP)
    load.go_on(300)
    replicas[2].process.send_signal(signal.SIGCONT)
    until(lambda: replicas[0].sees(s3="read_write"), "s3 is back")
    load.go_on()
    code, stats = load.end()
    assert (code, stats["first_failure"]) == (0, "-")
    assert int(stats["longest_pause_us"]) < 4000000, stats


def test_too_few_writable_replicas_are_failed_writes(make_cluster, make_load):
    replicas = make_cluster(3)
    load = make_load(replicas)
    load.go_on()
    for replica in replicas[:2]:
        replica.ask("PUT", "/mode", "read-only")
    until(lambda: int(load.stats()["failed_writes"]) > 0, "writes fail")
    code, stats = load.end()
    assert code == 1 and stats["failed_reads"] == stats["lost"] == "0"
    assert stats["first_failure"].startswith("write of k-") and "answers 503" in stats["first_failure"]


def test_lost_data_is_noticed(make_cluster, make_load):
    replicas = make_cluster(3)
    load = make_load(replicas)
    load.go_on()
    for replica in replicas:  # one after the other, each to an empty folder: every gate stays green
        replica.end()
        shutil.rmtree(replica.data)
        replica.start()
    until(lambda: int(load.stats()["failed_reads"]) > 0, "reads fail")
    code, stats = load.end()
    assert code == 1 and int(stats["lost"]) > 0
    assert "answers 404" in stats["first_failure"]
