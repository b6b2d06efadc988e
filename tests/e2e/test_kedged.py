"""kedged on its own: what it refuses to begin with, who may talk to it, what its journal survives. One sentence on stderr,
exit code 2, and nothing has changed."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import threading

import pytest

from kedge import BAD_INPUT, DONE, PROGRAMS, Process, free_ports, until


class Kedged:
    def __init__(self, folder):
        self.folder, self.state = folder, folder / "state"
        self.ports = free_ports(2)
        for name, role in (("operator", "operator"), ("release", "release")):
            self.kedge("key", "new", f"{name}.key", "--role", role)
        self.keys = {name: (folder / f"{name}.key.pub").read_text().split()[-1] for name in ("operator", "release")}
        self.words = ["--state", "state", "--listen", f"127.0.0.1:{self.ports[0]}", "--artifacts",
                      f"127.0.0.1:{self.ports[1]}", "--operator", self.keys["operator"], "--release-key", self.keys["release"]]
        self.process = Process("kedged", [PROGRAMS["kedged"], *self.words], folder / "kedged.log", folder)

    def kedge(self, *words, code=DONE):
        done = subprocess.run([PROGRAMS["kedge"], *map(str, words)], cwd=self.folder, capture_output=True, text=True,
                              timeout=30, stdin=subprocess.DEVNULL, env={**os.environ, "KEDGE_SOCKET": "state/control.sock"})
        assert code is None or done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        self.last = done
        return done.stdout + done.stderr

    def start(self):
        self.process.start()
        until(self.answers, 10, self.process.words)
        return self

    def answers(self):
        self.kedge("node", "list", code=None)
        return self.last.returncode == DONE

    def refuses(self, *words):
        """Starts it; it ends at once with 2 and one sentence, which is returned."""
        done = subprocess.run([PROGRAMS["kedged"], *map(str, words)], cwd=self.folder, capture_output=True, text=True,
                              timeout=20, stdin=subprocess.DEVNULL, env={**os.environ, "KEDGE_LOG": "error"})
        assert done.returncode == BAD_INPUT, f"{done.returncode}\n{done.stdout}{done.stderr}"
        assert done.stdout == "" and done.stderr.startswith("kedged: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def records(self):
        """Numbers of the journal's records, read without kedged."""
        with contextlib.closing(sqlite3.connect(self.state / "journal.sqlite")) as database:
            return [row[0] for row in database.execute("SELECT seq FROM journal ORDER BY seq")]

    def tamper(self, sql):
        with contextlib.closing(sqlite3.connect(self.state / "journal.sqlite")) as database:
            database.execute(sql)
            database.commit()


@pytest.fixture
def kedged(tmp_path):
    made = Kedged(tmp_path)
    yield made
    made.process.kill()


def replace(words, option, value):
    at = words.index(option) + 1
    return [*words[:at], value, *words[at + 1:]]


def test_what_is_missing_or_wrong_on_the_command_line(kedged):
    assert "--state DIR is missing" in kedged.refuses()
    assert "unknown option" in kedged.refuses("--state", "s", "--stat", "x")
    assert "its value is missing" in kedged.refuses("--state")
    assert "operators: there is none" in kedged.refuses("--state", "s")
    assert "is not a public key" in kedged.refuses("--state", "s", "--operator", "ed25519:00")
    assert "stands there twice" in kedged.refuses(*kedged.words, "--operator", kedged.keys["operator"])
    assert "expected HOST:PORT" in kedged.refuses(*replace(kedged.words, "--artifacts", "nowhere"))
    assert not (kedged.folder / "s").exists()


@pytest.mark.parametrize("text, says", [
    ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", "line 2"),
    ("lisen: 127.0.0.1:1\n", 'unknown key "lisen"'),
    ("operators: {threshold: 3, keys: [KEY]}\n", "threshold 3, but only 1 keys"),
    ("operators: {threshold: 0, keys: [KEY]}\n", "line 1, column 24"),
    ("operators: {keys: [ed25519:12]}\n", "is not a public key"),
    ("operators: [KEY]\n", "line 1, column 12"),
    ("operators: {keys: [KEY], quorum: 2}\n", 'unknown key "quorum"'),
    ("listen: [\n", "kedged.yaml"),
])
def test_a_wrong_configuration_is_named_with_its_place(kedged, text, says):
    config = kedged.folder / "kedged.yaml"
    config.write_text(text.replace("KEY", f'"{kedged.keys["operator"]}"'))
    assert says in kedged.refuses("--state", "state", "--config", "kedged.yaml", "--release-key", kedged.keys["release"])
    assert says in kedged.refuses("--state", "state", "--config", "kedged.yaml", "--release-key", kedged.keys["release"],
                                  "--check")
    assert not kedged.state.exists()


def test_a_configuration_that_is_not_there(kedged):
    assert "none.yaml: No such file" in kedged.refuses(*kedged.words, "--config", "none.yaml")


def test_check_changes_nothing(kedged):
    done = subprocess.run([PROGRAMS["kedged"], *kedged.words, "--check"], cwd=kedged.folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "configuration is fine\n")
    assert not kedged.state.exists()


def test_help_and_version(kedged):
    for word, says in (("--help", "example: kedged --state"), ("--version", "kedged ")):
        done = subprocess.run([PROGRAMS["kedged"], word], capture_output=True, text=True)
        assert done.returncode == 0 and says in done.stdout and len(done.stdout.splitlines()) <= 24


@pytest.mark.parametrize("which", [0, 1])
def test_a_port_that_is_taken(kedged, which):
    with socket.create_server(("127.0.0.1", kedged.ports[which])):
        sentence = kedged.refuses(*kedged.words)
        assert f"127.0.0.1:{kedged.ports[which]}: another program listens there already" in sentence
    assert kedged.records() == []
    kedged.start()


def test_two_coordinators_in_one_folder(kedged):
    kedged.start()
    words = [*replace(replace(kedged.words, "--listen", "127.0.0.1:0"), "--artifacts", "127.0.0.1:0")]
    assert "another program uses it" in kedged.refuses(*words)
    kedged.kedge("node", "list")


def test_a_key_that_others_may_read(kedged):
    kedged.start()
    kedged.process.kill(signal.SIGTERM)
    (kedged.state / "kedged.key").chmod(0o644)
    assert "kedged.key" in kedged.refuses(*kedged.words)


def test_it_ends_when_asked_and_each_reign_has_a_higher_epoch(kedged):
    epochs = []
    for _ in range(3):
        kedged.start()
        kedged.kedge("node", "list")
        assert kedged.process.kill(signal.SIGTERM) == 0
        epochs.append(int(kedged.process.words().split("epoch ")[-1].split(",")[0]))
    assert epochs == [1, 2, 3]
    assert not (kedged.state / "control.sock").exists()


@pytest.mark.parametrize("sql, says", [
    ("UPDATE journal SET record = zeroblob(10) WHERE seq = 2", "journal record 2: it is not what was written"),
    ("DELETE FROM journal WHERE seq = 1", "journal record 1: it is missing"),
    ("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)", "cut off before its signed head"),
    ("UPDATE journal_head SET signature = zeroblob(64)", "not signed by this coordinator's key"),
    ("UPDATE numbers SET value = 0 WHERE name = 'epoch'", "began epoch"),
])
def test_A37_a_journal_that_was_tampered_with_is_not_begun_on(kedged, sql, says):
    for _ in range(3):
        kedged.start()
        kedged.kedge("node", "list")
        kedged.process.kill()
    kedged.tamper(sql)
    assert says in kedged.refuses(*kedged.words)


# ---- the control socket


def connect(kedged):
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(10)
    line.connect(str(kedged.state / "control.sock"))
    return line


def test_A36_the_control_socket_is_for_its_owner_and_group(kedged):
    kedged.start()
    mode = (kedged.state / "control.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660


@pytest.mark.parametrize("words", [struct.pack(">I", 0), struct.pack(">I", 2**32 - 1), struct.pack(">I", 64 * 1024 * 1024 + 1),
                                   struct.pack(">I", 4) + b"\xff\xff\xff\xff", struct.pack(">I", 3) + b"\x0a\x7fx"])
def test_what_is_no_request_is_hung_up_on(kedged, words):
    kedged.start()
    with connect(kedged) as line:
        line.sendall(words)
        assert line.recv(100) == b""
    kedged.kedge("node", "list")


def test_slow_and_silent_clients_cost_nobody_anything(kedged):
    kedged.start()
    lines = [connect(kedged) for _ in range(20)]
    for line in lines:
        line.sendall(struct.pack(">I", 64 * 1024 * 1024) + b"\x0a")
    kedged.kedge("status")
    size = int(next(row for row in pathlib.Path(f"/proc/{kedged.process.pid}/status").read_text().splitlines()
                    if row.startswith("VmRSS")).split()[1])
    assert size < 64 * 1024 or "asan" in str(PROGRAMS["kedged"])
    for line in lines:
        line.close()


def test_too_many_clients_are_closed_and_the_rest_is_served(kedged):
    kedged.start()
    lines = [connect(kedged) for _ in range(80)]
    assert any(line.recv(1) == b"" for line in lines[-1:])
    for line in lines:
        line.close()
    until(kedged.answers, 10, "it answers again")


def test_requests_at_the_same_time(kedged):
    kedged.start()
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(subprocess.run(
        [PROGRAMS["kedge"], "status", "--json"], cwd=kedged.folder, capture_output=True,
        env={**os.environ, "KEDGE_SOCKET": "state/control.sock"}).returncode)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 10


def test_what_is_not_there(kedged):
    kedged.start()
    for words in (["node", "show", "n1"], ["cluster", "show", "c"], ["cluster", "check", "c"], ["release", "show", "s-1"],
                  ["run", "show"], ["run", "show", "7"], ["run", "watch", "x"], ["plan", "c", "--to", "s-1"]):
        assert re.search("there is none|there is no run yet", kedged.kedge(*words, code=BAD_INPUT))
    assert kedged.kedge("node", "approve", "n1", "1a2b-3c4d", code=None) and kedged.last.returncode in (2, 3)
