"""The fault harness itself: it kills at exactly the point that was asked for, and nobody else."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from kedge import PROGRAMS, until

PYTHON = os.path.basename(os.path.realpath(sys.executable))
WRITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
for i in range(5):
    os.write(fd, b"%d" % i)
    os.fdatasync(fd)
    os.write(fd, b"!")
"""


def killpoint(*words, program=PYTHON, command=(), **options):
    return subprocess.Popen([PROGRAMS["killpoint"], "--program", program, *map(str, words), "--", *map(str, command)],
                            **options)


@pytest.fixture(autouse=True)
def ptrace_is_permitted():
    if killpoint("--at", 0, program="true", command=["true"], stderr=subprocess.DEVNULL).wait(10) == 125:
        pytest.skip("ptrace is not permitted here")


def test_counting_kills_nobody(tmp_path):
    report, out = tmp_path / "report", tmp_path / "out"
    assert killpoint("--count", "fdatasync", "--at", 0, "--report", report,
                     command=[sys.executable, "-c", WRITER, out]).wait(20) == 0
    assert report.read_text() == "count=5\nkilled=no\n"
    assert out.read_text() == "0!1!2!3!4!"


@pytest.mark.parametrize("at", [1, 3, 5])
def test_before_and_after_a_write_to_the_disk(tmp_path, at):
    for words, said in (((), ""), (("--after-entry",), "")):
        report, out = tmp_path / "report", tmp_path / f"out{len(words)}"
        code = killpoint("--count", "fdatasync", "--at", at, *words, "--report", report,
                         command=[sys.executable, "-c", WRITER, out]).wait(20)
        assert code == 128 + signal.SIGKILL
        assert report.read_text() == f"count={at}\nkilled=yes\n"
        assert out.read_text() == "!".join(map(str, range(at))) + said


def test_the_count_begins_with_the_trigger(tmp_path):
    trigger, out, report = tmp_path / "trigger", tmp_path / "out", tmp_path / "report"
    program = WRITER.replace('os.write(fd, b"!")', 'i == 2 and open(sys.argv[2], "w").close()')
    code = killpoint("--count", "fdatasync", "--at", 1, "--trigger", trigger, "--report", report,
                     command=[sys.executable, "-c", program, out, trigger]).wait(20)
    assert code == 128 + signal.SIGKILL
    assert out.read_text() == "0123"


def test_the_count_begins_with_a_line_in_a_log(tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    log.write_text("begin\n" + "x" * 100000)
    program = WRITER.replace('os.write(fd, b"!")', 'open(sys.argv[2], "a").write("step " if i < 2 else "swi" if i == 2 else "tch")') \
        .replace('"tch"', '"tch now"')
    code = killpoint("--count", "fdatasync", "--at", 1, "--trigger", log, "--trigger-text", "switch",
                     command=[sys.executable, "-c", program, out, log]).wait(20)
    assert code == 128 + signal.SIGKILL
    assert out.read_text() == "01234"


def test_a_service_of_the_program_outlives_it(tmp_path):
    pid_file = tmp_path / "pid"
    program = f"""
import os, subprocess, sys
child = subprocess.Popen(["sleep", "30"])
open({str(pid_file)!r}, "w").write(str(child.pid))
{WRITER}"""
    assert killpoint("--count", "fdatasync", "--at", 2, command=[sys.executable, "-c", program, tmp_path / "out"]
                     ).wait(20) == 128 + signal.SIGKILL
    pid = int(pid_file.read_text())
    try:
        assert pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
        assert "TracerPid:\t0" in pathlib.Path(f"/proc/{pid}/status").read_text()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_helper_is_killed_and_its_parent_goes_on(tmp_path):
    script = f"{sys.executable} -c '{WRITER}' {tmp_path}/out; echo $? > {tmp_path}/code; exit 7"
    assert killpoint("--count", "fdatasync", "--at", 2, command=["sh", "-c", script]).wait(20) == 7
    assert (tmp_path / "code").read_text() == "137\n"
    assert (tmp_path / "out").read_text() == "0!1"


def test_all_system_calls_of_a_thread_are_counted_too(tmp_path):
    report = tmp_path / "report"
    program = "import os, threading, sys\n" \
              "fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)\n" \
              "t = threading.Thread(target=lambda: [os.fdatasync(fd) for _ in range(3)])\nt.start()\nt.join()\n"
    assert killpoint("--count", "fdatasync", "--at", 3, "--report", report,
                     command=[sys.executable, "-c", program, tmp_path / "out"]).wait(20) == 128 + signal.SIGKILL
    assert report.read_text() == "count=3\nkilled=yes\n"


def test_signals_reach_the_command(tmp_path):
    process = killpoint("--at", 0, program="sleep", command=["sh", "-c", f"trap 'exit 5' TERM; touch {tmp_path}/up; "
                                                             "while :; do sleep 0.05; done"])
    until((tmp_path / "up").exists, 10, "the command runs")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 5


def test_bad_words_are_refused():
    assert killpoint("--at", "x", command=["true"], stderr=subprocess.DEVNULL).wait(10) == 2
    assert killpoint("--at", 0, "--count", "some", command=["true"], stderr=subprocess.DEVNULL).wait(10) == 2
