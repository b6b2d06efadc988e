"""kedge demo as a stranger runs it: it ends well, leaves no folder and no process, also when it is interrupted."""
import os
import pathlib
import signal
import subprocess

import pytest

from kedge import PROGRAMS, until


@pytest.fixture
def demo(tmp_path):
    running = []

    def start(*words):
        process = subprocess.Popen([PROGRAMS["kedge"], "demo", *words], text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, "TMPDIR": str(tmp_path)})
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def processes_of(folder):
    """Processes that run in the folder or from it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in "cwd", "exe":
            try:
                if os.readlink(f"/proc/{pid}/{name}").startswith(str(folder)):
                    found.append(int(pid))
            except OSError:
                pass
    return found


def check_nothing_is_left(tmp_path):
    assert list(tmp_path.glob("kedge-demo.*")) == []
    until(lambda: not processes_of(tmp_path), 10, "no process is left")


@pytest.mark.parametrize("words, said", [
    ((), "nobody noticed"),
    (("--fail",), "returned"),
    (("--kill",), "killed with SIGKILL"),
], ids=["main job", "broken release", "killed on the way"])
def test_the_demonstration_ends_well(demo, tmp_path, words, said):
    process = demo(*words)
    text = process.communicate(timeout=150)[0]
    assert process.returncode == 0, text
    assert said in text
    assert ", 0 failed;" in text and "0 of" in text
    assert "Sanitizer" not in text and "runtime error" not in text
    check_nothing_is_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_leaves_nothing(demo, tmp_path, number):
    process = demo()
    until(lambda: list(tmp_path.glob("kedge-demo.*/nodes/n1/kedge")), 60, "an agent has begun")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    check_nothing_is_left(tmp_path)


def test_keep_leaves_the_folder_and_no_process(demo, tmp_path):
    process = demo("--keep", "--members", "4")
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 0, text
    folder, = tmp_path.glob("kedge-demo.*")
    assert str(folder) in text
    # Three kinds of folders that never mix: the coordinator has nobody's key but its own.
    secrets = {path.relative_to(folder).parts[0] for path in folder.rglob("*.key") if path.is_file()}
    assert {path.name for path in pathlib.Path(folder / "coordinator").glob("*.key")} <= {"kedged.key"}
    assert {"operator", "build", "coordinator"} <= secrets
    assert not processes_of(tmp_path)


def test_bad_words_are_refused(demo):
    for words in (["--members", "3"], ["--members", "x"], ["--frobnicate"], ["now"]):
        process = demo(*words)
        text = process.communicate(timeout=10)[0]
        assert process.returncode == 2 and "kedge demo: " in text
