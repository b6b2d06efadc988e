"""kedge rehearse on a plan of a cluster that really runs: what it foretells comes true, and it touches nothing."""
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from faults import FaultFleet
from kedge import PROGRAMS

DONE, FAILED, BAD_INPUT, REFUSED, UNFINISHED = range(5)


@pytest.fixture
def fleet(tmp_path):
    made = FaultFleet(tmp_path, members=4)
    yield made.start()
    made.stop()


def everything(fleet):
    """What an order, a stop or a word to kedged would change: its journal, the agents' journals, the services."""
    files = [*fleet.folder.glob("coordinator/journal.sqlite*"), *(fleet.node(i) / "kedge/journal" for i in range(fleet.n))]
    journals = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    assert len(journals) > fleet.n
    services = [(fleet.pid(i), fleet.starts(i), fleet.health(i).get("mode")) for i in range(fleet.n)]
    return journals, services


def switched(events):
    """The members in the order in which they are stopped for their new release."""
    found = [event["member"] for event in events if event["kind"] == "service" and "told to stop" in event["text"]]
    return list(dict.fromkeys(found))


def test_F41_a_rehearsal_foretells_the_run_and_touches_nothing(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "canary,rolling")
    before = everything(fleet)

    text = fleet.kedge("rehearse", "demo.plan")
    for words in ("REHEARSAL of demo.plan: demo 1.0.0 -> 1.1.0", "nothing is sent and nothing is changed anywhere",
                  "assumed: a release is prepared in", "gates, as the model answers them:", "soaks read-only for",
                  "whole time", "at once     1 away at most", "END  done: 4 of 4 members run 1.1.0"):
        assert words in text, text
    assert text == fleet.kedge("rehearse", "demo.plan"), "the same plan gives the same output"

    calm = fleet.ask("rehearse", "demo.plan")
    assert calm["end"]["result"] == "done" and calm["most_away"] == 1 and "broken" not in calm
    assert sorted(m["stops"] for m in calm["members"]) == [1, 1, 1, 2]
    assert {m["version"] for m in calm["members"]} == {"1.1.0"}
    opened, put_back = [next(i for i, e in enumerate(calm["timeline"]) if e["kind"] == "side" and words in e["text"])
                        for words in ("is opened", "is put back")]
    stops = [i for i, e in enumerate(calm["timeline"]) if "told to stop" in e["text"]]
    assert opened < stops[0] and stops[-1] < put_back

    failing = fleet.ask("rehearse", "demo.plan", "--fault", "start-fails:store@n2", code=None)
    assert fleet.last.returncode in (FAILED, UNFINISHED), failing["end"]
    hit = next(m for m in failing["members"] if m["name"] == "demo/store@n2")
    assert (hit["version"], hit["mode"]) == ("1.0.0", "read-write"), "its agent has returned it"

    text = fleet.kedge("rehearse", "demo.plan", "--at", "pause@switch", "--at", "resume@20m", "--fault",
                       "coordinator-dies@soak", "--lasts", "10s")
    assert "OPERATOR: pause@switch" in text and "PAUSED" in text and "goes on" in text
    assert "the coordinator is gone" in text and "the coordinator is back" in text

    many = fleet.ask("rehearse", "demo.plan", "--seeds", "200", timeout=300)
    assert many["runs"] == 200 == sum(row["runs"] for row in many["ends"]) and many["n_broken"] == 0
    assert any(row["result"] == "done" for row in many["ends"]) and len(many["ends"]) > 2
    row = many["ends"][-1]
    one = fleet.ask("rehearse", "demo.plan", "--seed", row["seed"], code=None)
    assert one["end"]["result"] == row["result"], (row, one["end"])
    assert f"seed {row['seed']}" in fleet.kedge("rehearse", "demo.plan", "--seed", row["seed"], code=None)
    assert "journal" in fleet.kedge("rehearse", "demo.plan", "--seed", row["seed"], "--transcript", code=None)

    assert everything(fleet) == before
    assert fleet.ask("run", "list")["runs"] == []

    fleet.approve()
    run = fleet.wait_ended(fleet.apply())
    assert run["verdict"]["result"] == calm["end"]["result"] == "done"
    assert {m["name"]: m["stops"] for m in run["members"]} == {m["name"]: m["stops"] for m in calm["members"]}
    really = list(dict.fromkeys(m["name"] for m in sorted(run["members"], key=lambda m: m["steps"][1]["sent_ms"])))
    assert really == switched(calm["timeline"])


def test_F18_F41_a_word_that_the_plan_waits_for_is_said_or_not(fleet):
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "canary,rolling", "--approve-after-canary")
    text = fleet.kedge("rehearse", "demo.plan", "--approve-after", "3m")
    for words in ("assumed: an operator approves the canary 3 m 0 s after it is done", "OPERATOR: promote (assumed)", "END  done"):
        assert words in text, text
    said = fleet.ask("rehearse", "demo.plan")
    assert said["assumed"]["approve_ms"] == 600000 and said["end"]["result"] == "done"
    text = fleet.kedge("rehearse", "demo.plan", "--approve-after", "never", code=UNFINISHED)
    assert re.search(r"END  WAITS: for an operator: canary demo/store@n\d is done and well; `kedge run promote", text), text
    never = fleet.ask("rehearse", "demo.plan", "--approve-after", "never", code=UNFINISHED)
    assert never["assumed"]["approve_ms"] is None and sorted(m["stops"] for m in never["members"]) == [0, 0, 0, 2]

    fleet.kedge("rehearse", "demo.plan", "--approve-after", "soon", code=BAD_INPUT)
    fleet.plan("1.1.0", "--strategy", "canary,rolling")
    fleet.kedge("rehearse", "demo.plan", "--approve-after", "3m", code=BAD_INPUT)
    assert "waits for no word" in fleet.last.stderr


def test_F41_a_rehearsal_is_brief(fleet):
    """What happens to all in one moment is one line; a kind of end is one row, whichever gate it was."""
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "downtime")
    text = fleet.kedge("rehearse", "demo.plan")
    timeline = text[text.index("TIME"):text.index("whole time")].splitlines()
    assert len(timeline) < 25 and any(re.search(r"stop +all 4 +is told to stop$", line) for line in timeline), text
    first = next(line for line in timeline if "is ordered to stop" in line)
    assert timeline.index(first) > timeline.index(next(line for line in timeline if "wave 1 of" in line)), text

    fleet.plan("1.1.0", "--strategy", "canary,rolling")
    many = fleet.ask("rehearse", "demo.plan", "--seeds", "200", timeout=300)
    kinds = [(end["result"], end["why"], end["after_resume"]) for end in many["ends"]]
    assert len(set(kinds)) == len(kinds) <= 30, kinds
    assert any("nothing-missing" in end["gates"] and "nothing-missing" not in end["why"] for end in many["ends"]), many["ends"]


def test_F41_it_has_no_line_to_anybody(fleet):
    """Not by the words of its source: by its system calls, and with no kedged to be found."""
    if not shutil.which("strace"):
        pytest.skip("no strace here")
    fleet.release()
    fleet.plan()
    # LeakSanitizer does not work under ptrace.
    nowhere = {**os.environ, "KEDGE_SOCKET": "/nonexistent/control.sock", "ASAN_OPTIONS": "detect_leaks=0"}
    for words in ([], ["--fault", "host-dies"], ["--seeds", "3"]):
        trace = fleet.folder / "trace"
        done = subprocess.run(["strace", "-f", "-qq", "-e", "trace=%network,execve", "-o", trace, PROGRAMS["kedge"],
                               "rehearse", "demo.plan", *words], cwd=fleet.folder, env=nowhere, timeout=120,
                              capture_output=True, text=True)
        assert done.returncode in (DONE, FAILED, UNFINISHED), done.stderr
        calls = trace.read_text()
        assert "execve(" in calls, "the trace sees something"
        assert not re.search(r"\b(socket|connect|sendto|sendmsg|socketpair)\(", calls), calls


def test_F41_what_cannot_be_rehearsed_is_said_in_one_sentence(fleet):
    fleet.release()
    fleet.plan()
    (fleet.folder / "broken.plan").write_bytes(b"no plan at all")
    for words, says in ((["missing.plan"], "missing.plan"), (["broken.plan"], "broken.plan"), ([], "which plan"),
                        (["demo.plan", "--fault", "meteor"], "there is no such fault"),
                        (["demo.plan", "--fault", "crash:store@n9"], 'no member "store@n9"'),
                        (["demo.plan", "--fault", "crash@sometimes"], "is no time"),
                        (["demo.plan", "--at", "pause"], "when?"), (["demo.plan", "--at", "skip@5m"], "which member"),
                        (["demo.plan", "--at", "shout@5m"], "expected pause"),
                        (["demo.plan", "--seeds", "0"], "--seeds 0"), (["demo.plan", "--seeds", "3", "--seed", "3"], "not both"),
                        (["demo.plan", "--start-time", "soon"], "--start-time soon"),
                        (["demo.plan", "--without", "luck"], "no such random fault")):
        fleet.kedge("rehearse", *words, code=None)
        error = fleet.last.stderr
        assert fleet.last.returncode in (FAILED, BAD_INPUT), (words, error)
        assert fleet.last.stdout == "" and error.count("\n") == 1 and says in error, (words, error)
        if words != ["missing.plan"]:
            assert fleet.last.returncode == BAD_INPUT, (words, error)
    names = {fault["name"] for fault in json.loads(fleet.kedge("rehearse", "--fault", "list", "--json"))["faults"]}
    assert {"start-fails", "host-dies", "agent-away", "coordinator-dies", "gate-no", "disk-full"} <= names
    help_text = fleet.kedge("rehearse", "--help")
    assert "never touches the cluster" in help_text
    assert all(name in fleet.kedge("rehearse", "--fault", "list") for name in names)
