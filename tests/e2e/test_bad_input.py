"""Bad input, each kind of it once: every refusal is one sentence that says what and where and what to do, the exit code
says whose turn it is (2 the one who typed, 3 the one who decides), and nothing has changed or is half done.

The fleet of the first part is shared on purpose: after all that was refused it must still be what it was."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from faults import FaultFleet
from kedge import BAD_INPUT, BUILD, PROGRAMS, REFUSED, RELEASES, free_ports

ALICE = ("--key", "operator/alice.key", "--yes")
PLACE = r"line \d+, column \d+"


class Input(FaultFleet):
    """A fleet of three that may lose one, with a picture of all that a refusal must not change."""

    def __init__(self, folder, **options):
        super().__init__(folder, members=3, **{"values": {"ensemble": 2}, **options})

    def picture(self):
        """Services, what was started, what the coordinator has taken in, what lies on the nodes."""
        return {
            "pids": [self.pid(i) for i in range(self.n)],
            "starts": [self.starts(i) for i in range(self.n)],
            "modes": [self.health(i).get("mode") for i in range(self.n)],
            "clusters": [(c["name"], c["serial"], c["charter"]) for c in self.ask("cluster", "list")["clusters"]],
            "releases": [r["manifest"] for r in self.ask("release", "list")["releases"]],
            "artifacts": sorted(path.name for path in (self.folder / "coordinator/artifacts").iterdir()),
            "runs": [(r["id"], r["state"]) for r in self.ask("run", "list")["runs"]],
            "staged": sorted(str(path) for i in range(self.n) for path in self.node(i).glob("kedge/releases/*")),
            "generations": sorted(str(path) for i in range(self.n) for path in self.node(i).glob("kedge/members/*/gen/*")),
        }

    @contextlib.contextmanager
    def unchanged(self):
        before = self.picture()
        yield
        assert self.picture() == before

    def refuses(self, *words, code):
        """One sentence on stderr with that exit code, nothing on stdout; the sentence."""
        self.kedge(*words, code=code)
        assert self.last.stderr.startswith("kedge: ") and self.last.stdout == "", self.last.stdout + self.last.stderr
        return self.last.stderr

    def one(self, *words, code):
        """As refuses(), and it is one line."""
        sentence = self.refuses(*words, code=code)
        assert sentence.count("\n") == 1, sentence
        return sentence

    def plan_refused(self, code, *words, version="1.1.0"):
        """The plan is refused for this reason and for no other, and no plan file is there."""
        sentence = self.one("plan", "demo", "--to", f"demo-store-{version}", "-o", "refused.plan", *words, code=code)
        assert not (self.folder / "refused.plan").exists()
        return sentence


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    fleet = Input(tmp_path_factory.mktemp("shared"))
    try:
        fleet.start()
        fleet.release()
        fleet.plan("1.1.0", "--strategy", "rolling", file="good.plan")
        fleet.kedge("key", "new", "operator/mallory.key")
        fleet.kedge("key", "new", "build/mallory.key", "--role", "release")
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def fleet(tmp_path):
    """One for a test alone; begun by it."""
    made = Input(tmp_path)
    yield made
    made.stop()


def ended_with(words, folder, code=2, environment=None):
    """A daemon that ends at once, with one sentence."""
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, timeout=20,
                          stdin=subprocess.DEVNULL, env={**os.environ, "KEDGE_LOG": "error", **(environment or {})})
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stdout + done.stderr
    return done.stderr


# ---- a wrong key in any YAML ----

@pytest.mark.parametrize("old, new, says", [
    ("system: demo-store", "systen: demo-store", ['missing key "system"', 'is it the "systen" of line 2?']),
    ("domain: zone-a", "domian: zone-a", ['unknown key "domian"', 'did you mean "domain"?']),
    ("role: store", "role: stroe", ["stroe"]),
    ("values: {ensemble", "values: {ensembel", ['no value "ensembel"', 'did you mean "ensemble"?']),
    ("cluster: demo", "cluster: demo\ncluster: demo", ['repeated key "cluster"', "line 1, column 1"]),
    ("members:", "members: &all", ["anchor"]),
    ("soak: 200ms", "soak: 200", ["200"]),
    ("soak: 200ms", "soack: 200ms", ["soack"]),
    ("cluster: demo", "cluster: [demo", []),
])
def test_a_cluster_file(shared, old, new, says):
    text = shared.cluster_file()
    assert old in text
    (shared.folder / "operator/bad.yaml").write_text(text.replace(old, new, 1))
    with shared.unchanged():
        for verb in "add", "adopt":
            sentence = shared.one("cluster", verb, "operator/bad.yaml", *ALICE, code=BAD_INPUT)
            assert re.search(rf"operator/bad\.yaml: {PLACE}: ", sentence), sentence
            assert all(word in sentence for word in says), sentence


@pytest.mark.parametrize("old, new, says", [
    ("needs-kedge: '>=0.1'", "needs-kegde: '>=0.1'", ['missing key "needs-kedge"', 'is it the "needs-kegde" of line 5?']),
    ("needs-kedge: '>=0.1'", "needs-kedge: '>=99.1'", ["99.1"]),
    ("scope: member", "scope: membre", ["membre", 'did you mean "member"?']),
    ("rule: present", "rule: presnet", ["presnet", 'did you mean "present"?']),
    ("may-stop: [writable", "may-stop: [writeable", ['no gate "writeable"', 'did you mean "writable"?']),
    ("proof-of-life: keys-read-back", "proof-of-life: keys-raed-back", ["keys-raed-back"]),
    ("'http://{address}/behind'", "'http://{adress}/behind'", ["adress"]),
    ("match: '^mode=(read-only)$'", "match: '^mode=(read-only$'", ["not a regular expression", "Unmatched ("]),
])
def test_a_recipe(shared, old, new, says):
    text = (pathlib.Path(__file__).parents[2] / "coordinator/recipes/demo-store.yaml").read_text()
    assert old in text
    (shared.folder / "bad-recipe.yaml").write_text(text.replace(old, new, 1))
    with shared.unchanged():
        sentence = shared.one("cluster", "add", "operator/demo.yaml", "--recipe", "bad-recipe.yaml", *ALICE, code=BAD_INPUT)
        assert re.search(rf"bad-recipe\.yaml: {PLACE}: ", sentence), sentence
        assert all(word in sentence for word in says), sentence


@pytest.mark.parametrize("old, new, says", [
    ("\nstate:", "\nstat:", ['missing key "state"', 'is it the "stat" of line 2?']),
    ("level: change", "level: chnage", ["chnage", 'did you mean "change"?']),
    ("  members:", "  member:", ['unknown key "member"', 'did you mean "members"?']),
    ("member: demo/store@n1", "member: store", ["store", "cluster/role@node"]),
    ("threshold: 1", "threshold: 2", ["threshold 2, but only 1 keys"]),
    ("artifacts: http", "artifacts: ftp", ["ftp"]),
    ("node: n1", "node: n1\nnode: n2", ['repeated key "node"']),
])
def test_an_agent_yaml(shared, old, new, says):
    text = shared.agent_yaml(0)
    assert old in text
    path = shared.folder / "bad-agent.yaml"
    path.write_text(text.replace(old, new, 1))
    with shared.unchanged():
        for words in ([], ["--check"]):
            sentence = ended_with([PROGRAMS["kedge-agent"], "--config", path, *words], shared.folder)
            assert re.search(rf"bad-agent\.yaml: {PLACE}: ", sentence), sentence
            assert all(word in sentence for word in says), sentence


@pytest.mark.parametrize("old, new, says", [
    ("listen:", "lisen:", ['unknown key "lisen"', 'did you mean "listen"?']),
    ("threshold: 1", "treshold: 1", ['unknown key "treshold"', 'did you mean "threshold"?']),
    ("threshold: 1", "threshold: many", ["many"]),
])
def test_a_kedged_yaml(shared, old, new, says):
    text = (shared.folder / "coordinator/kedged.yaml").read_text()
    assert old in text
    (shared.folder / "bad-kedged.yaml").write_text(text.replace(old, new, 1))
    with shared.unchanged():
        sentence = ended_with([PROGRAMS["kedged"], "--state", "elsewhere", "--config", "bad-kedged.yaml"], shared.folder)
        assert re.search(rf"bad-kedged\.yaml: {PLACE}: ", sentence), sentence
        assert all(word in sentence for word in says), sentence
        assert not (shared.folder / "elsewhere").exists()


# ---- files that are named and are not there, or are something else ----

@pytest.mark.parametrize("words", [
    ["cluster", "add", "none.yaml", *ALICE],
    ["cluster", "add", "operator/demo.yaml", "--recipe", "none.yaml", *ALICE],
    ["cluster", "add", "operator/demo.yaml", "--key", "none.key", "--yes"],
    ["approve", "none.plan", *ALICE],
    ["approve", "good.plan", "--key", "none.key", "--yes"],
    ["apply", "none.plan"],
    ["release", "add", "none.release"],
    ["release", "cut", "none", "--system", "s", "--version", "1", "--key", "build/build.key"],
])
def test_a_file_that_is_not_there(shared, words):
    missing = next(word for word in words if word.startswith("none"))
    with shared.unchanged():
        assert missing in shared.one(*words, code=BAD_INPUT)


def test_a_recipe_that_is_not_installed(shared):
    (shared.folder / "operator/bad.yaml").write_text(shared.cluster_file().replace("system: demo-store", "system: demo-sore"))
    with shared.unchanged():
        sentence = shared.one("cluster", "add", "operator/bad.yaml", *ALICE, code=BAD_INPUT)
        assert 'no recipe "demo-sore" is installed' in sentence and "--recipe FILE" in sentence, sentence


@pytest.mark.parametrize("words", [["approve", "bad", *ALICE], ["apply", "bad"]])
@pytest.mark.parametrize("content", [b"", b"no plan", b"\x0a\xff\xff\xff\xff\x0f", bytes(100000)],
                         ids=["empty", "text", "endless", "zeroes"])
def test_a_file_that_is_no_plan(shared, words, content):
    (shared.folder / "bad").write_bytes(content)
    with shared.unchanged():
        assert "bad: no plan as kedge plan writes them" in shared.one(*words, code=BAD_INPUT)


# ---- plans that nobody signed, or others, or that were changed after ----

def test_a_plan_that_is_not_signed(shared):
    with shared.unchanged():
        sentence = shared.one("apply", "good.plan", code=REFUSED)
        assert "good.plan is not signed" in sentence and "kedge approve good.plan --key KEY" in sentence, sentence


def test_a_plan_that_a_stranger_signed(shared):
    shutil.copy(shared.folder / "good.plan", shared.folder / "foreign.plan")
    shared.kedge("approve", "foreign.plan", "--key", "operator/mallory.key", "--yes")
    with shared.unchanged():
        sentence = shared.one("apply", "foreign.plan", code=REFUSED)
        assert "not been signed by enough of the operators that are trusted here" in sentence, sentence


def test_a_plan_signed_with_a_release_key(shared):
    shutil.copy(shared.folder / "good.plan", shared.folder / "foreign.plan")
    shared.kedge("approve", "foreign.plan", "--key", "build/build.key", "--yes")
    with shared.unchanged():
        sentence = shared.one("apply", "foreign.plan", code=REFUSED)
        assert "not been signed by enough of the operators that are trusted here" in sentence, sentence


def test_a_plan_of_another_fleet(shared, tmp_path):
    """Signed by an operator who is trusted here, too, for members with these names: but a charter that is not here."""
    made = Input(tmp_path)

    def same_keys():
        for folder in "operator", "build":
            shutil.copytree(shared.folder / folder, made.folder / folder)
        (made.folder / "coordinator").mkdir(mode=0o700)
    made.make_keys = same_keys
    try:
        made.start()
        (made.folder / "build").joinpath("demo-store-1.1.0.tar.gz").unlink()
        (made.folder / "build").joinpath("demo-store-1.1.0.release").unlink()
        made.release()
        made.plan("1.1.0", "--strategy", "rolling")
        made.approve()
        shutil.copy(made.folder / "demo.plan", shared.folder / "foreign.plan")
    finally:
        made.stop()
    with shared.unchanged():
        sentence = shared.one("apply", "foreign.plan", code=REFUSED)
        assert "charter" in sentence, sentence


def test_A47_a_plan_that_was_changed_after_its_approval(shared):
    """Bytes all over the file, one at a time: what would be read or done differently is not carried out, and where not even
    the page differs (a gate that nothing names) nothing is signed either."""
    shared.plan("1.1.0", "--strategy", "canary,rolling", file="signed.plan")
    shared.kedge("approve", "signed.plan", *ALICE)
    content = (shared.folder / "signed.plan").read_bytes()

    def page(file):
        """What the next person who is asked to sign would read."""
        shutil.copy(shared.folder / file, shared.folder / "shown.plan")
        text = shared.kedge("approve", "shown.plan", "--key", "operator/mallory.key", "--yes", code=None)
        return text.split("\nsigned ")[0] if shared.last.returncode == 0 else None
    true_page, harmless = page("signed.plan"), 0
    with shared.unchanged():
        for at in [*range(0, 800, 40), *range(800, len(content), len(content) // 60)]:
            (shared.folder / "changed.plan").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
            if at > 800 and page("changed.plan") == true_page:
                harmless += 1
                continue
            sentence = shared.one("apply", "changed.plan", code=None)
            assert shared.last.returncode in (BAD_INPUT, REFUSED), f"byte {at}: {sentence}"
        for at in 0, 100, len(content) // 2, len(content) - 1:
            (shared.folder / "changed.plan").write_bytes(content[:at])
            sentence = shared.one("apply", "changed.plan", code=None)
            assert shared.last.returncode in (BAD_INPUT, REFUSED), f"cut at {at}: {sentence}"
    assert harmless < 6, harmless


def test_a_charter_that_a_stranger_signed(shared):
    with shared.unchanged():
        shared.kedge("cluster", "adopt", "operator/demo.yaml", "--key", "operator/mallory.key", "--yes", code=REFUSED)
        assert "0 of 1" in shared.last.stderr and shared.last.stderr.count("\n") == 1, shared.last.stderr


def test_a_cluster_over_a_node_that_was_not_approved(shared):
    (shared.folder / "operator/bad.yaml").write_text(shared.cluster_file().replace("node: n2", "node: n9"))
    with shared.unchanged():
        sentence = shared.one("cluster", "adopt", "operator/bad.yaml", *ALICE, code=BAD_INPUT)
        assert "store@n2: node n9 is not approved here (kedge node list" in sentence, sentence


# ---- releases ----

def cut(fleet, name):
    """A release whose archive kedged does not hold yet, and that archive."""
    folder = fleet.folder / f"build/{name}"
    shutil.copytree(RELEASES / "demo-store-1.1.0", folder)
    (folder / "NAME").write_text(name)
    fleet.kedge("release", "cut", folder, "--system", "demo-store", "--version", name, "--key", "build/build.key", "-o",
                f"build/{name}.release")
    return fleet.folder / f"build/{name}.tar.gz"


def test_an_archive_of_a_release_that_is_known_is_read_all_the_same(shared):
    archive = cut(shared, "1.1.0-known")
    good = archive.read_bytes()
    shared.kedge("release", "add", "build/1.1.0-known.release")
    archive.write_bytes(good[:-7] + bytes(7))
    with shared.unchanged():
        sentence = shared.one("release", "add", "build/1.1.0-known.release", code=REFUSED)
        assert "digest" in sentence and "demo-store-1.1.0-known" in sentence, sentence
    archive.write_bytes(good)
    shared.kedge("release", "add", "build/1.1.0-known.release")
    assert "1.1.0-known" in shared.kedge("release", "list")


@pytest.mark.parametrize("change", ["flip", "cut", "grow", "other"])
def test_a_release_whose_archive_is_another(shared, change):
    archive = cut(shared, f"1.1.0-{change}")
    content = archive.read_bytes()
    middle = len(content) // 2
    archive.write_bytes({"flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:],
                         "cut": content[:middle], "grow": content + b"x", "other": os.urandom(len(content))}[change])
    with shared.unchanged():
        sentence = shared.one("release", "add", f"build/1.1.0-{change}.release", code=REFUSED)
        assert f"1.1.0-{change}" in sentence or "demo-store" in sentence, sentence
        assert "digest" in sentence or "bytes" in sentence, sentence


def test_a_release_that_a_stranger_signed(shared):
    shared.kedge("release", "cut", RELEASES / "demo-store-1.1.0", "--system", "demo-store", "--version", "6.6.6", "--key",
                 "build/mallory.key", "-o", "build/evil.release")
    with shared.unchanged():
        assert "0 of 1" in shared.one("release", "add", "build/evil.release", code=REFUSED)


def test_a_release_that_is_not_there_or_of_another_system(shared):
    shared.kedge("release", "cut", RELEASES / "demo-store-1.1.0", "--system", "other", "--version", "1.1.0", "--key",
                 "build/build.key", "-o", "build/other.release")
    shared.kedge("release", "add", "build/other.release")
    with shared.unchanged():
        assert "9.9.9" in shared.plan_refused(BAD_INPUT, version="9.9.9")
        sentence = shared.refuses("plan", "demo", "--to", "other-1.1.0", "-o", "refused.plan", code=REFUSED)
        assert "release other 1.1.0 is of another system than the cluster" in sentence or "demo-store" in sentence, sentence


# ---- ports ----

@pytest.mark.parametrize("which", [0, 1])
def test_a_port_of_the_coordinator_that_is_taken(shared, which):
    ports = free_ports(2)
    anchors = shared.anchors()
    (shared.folder / "second.yaml").write_text(f"listen: 127.0.0.1:{ports[0]}\nartifacts: 127.0.0.1:{ports[1]}\n{anchors}")
    with shared.unchanged(), socket.create_server(("127.0.0.1", ports[which])):
        sentence = ended_with([PROGRAMS["kedged"], "--state", f"second{which}", "--config", "second.yaml"], shared.folder)
        assert f"127.0.0.1:{ports[which]}: another program listens there already" in sentence, sentence


def test_a_port_of_a_member_that_is_not_its_own(fleet):
    """Somebody else answers where the cluster file says that the member does."""
    fleet.start()
    fleet.release()
    fleet.ports[1], own = fleet.ports[0], fleet.ports[1]
    text = fleet.cluster_file()
    fleet.ports[1] = own
    (fleet.folder / "operator/demo.yaml").write_text(text)
    before = fleet.starts(1), fleet.pid(1)
    fleet.kedge("cluster", "adopt", "operator/demo.yaml", *ALICE, code=None)
    said = fleet.last.stdout + fleet.last.stderr
    assert fleet.last.returncode != 0 and str(fleet.ports[0]) in said, said
    assert (fleet.starts(1), fleet.pid(1)) == before


# ---- configurations ----

def test_a_configuration_that_was_removed(shared):
    """The service still runs with it, from its memory; a new start could not."""
    path = shared.node(1) / "srv/demo-store.conf"
    kept = path.read_text()
    with shared.unchanged():
        path.unlink()
        try:
            sentence = shared.refuses("plan", "demo", "--to", "demo-store-1.1.0", "-o", "refused.plan", code=REFUSED)
            assert "store@n2" in sentence and "demo-store.conf" in sentence and "No such file" in sentence, sentence
        finally:
            path.write_text(kept)


def test_a_command_line_that_names_a_missing_file(fleet):
    """The new configuration names a folder that is not there: the new release does not start, and the old one is back."""
    fleet.start()
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling", "--change", "data=no/such/folder/anywhere")
    fleet.approve()
    fleet.apply()
    run = fleet.wait(lambda: (run := fleet.run()) and run["paused"] and run, 30, "the run pauses")
    assert "no/such/folder/anywhere: No such file or directory" in run["reason"], run["reason"]
    fleet.kedge("run", "abort")
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "aborted" and fleet.side_action() == "0", run["verdict"]
    assert [(fleet.health(i).get("version"), fleet.health(i).get("mode")) for i in range(3)] == [("1.0.0", "read-write")] * 3
    assert sorted(fleet.starts(i) for i in range(3)) == [1, 1, 2]  # its old release once more; the new one never served


# ---- what was signed is not what is there ----

def test_F25_a_configuration_that_was_changed_after_the_plan(fleet):
    """Nothing was stopped, the run says which member, what differs, and what to do; a new plan goes through."""
    fleet.start()
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling")
    fleet.approve()
    path = fleet.node(0) / "srv/demo-store.conf"
    path.write_text(path.read_text() + "# somebody was here\n")
    pids = [fleet.pid(i) for i in range(3)]
    fleet.kedge("apply", "demo.plan", "--watch", code=REFUSED)
    run = fleet.wait_ended()
    text = run["verdict"]["text"]
    assert run["verdict"]["result"] == "failed" and run["verdict"]["unchanged"] is True and "store@n1 is not as the plan says" in text, run["verdict"]
    assert "config.digest" in text and "Make and approve a new plan" in text, text
    assert [fleet.pid(i) for i in range(3)] == pids and [m["stops"] for m in run["members"]] == [0] * 3
    fleet.plan("1.1.0", "--strategy", "rolling", file="second.plan")
    fleet.approve("second.plan")
    run = fleet.wait_ended(fleet.apply("second.plan"))
    assert run["verdict"]["result"] == "done", run["verdict"]
    assert "# somebody was here" in (fleet.node(0) / "kedge/members/demo_store_n1/current/conf/demo-store.conf").read_text()


# ---- data inside the release folder ----

def test_data_inside_the_release_folder(fleet):
    """A service that writes into the folder of its own release: the next release would come up without its data."""
    start = Input.start_services

    def inside():
        start(fleet)
        conf = fleet.node(2) / "srv/demo-store.conf"
        folder = fleet.node(2) / "opt/demo-store-1.0.0/data"
        fleet.stores[2].kill(signal.SIGTERM)
        fleet.stores[2].popen.wait()
        conf.write_text(conf.read_text().replace("data = data", f"data = {folder}"))
        fleet.stores[2].start()
        fleet.wait(lambda: fleet.health(2).get("behind") == "0", 10, "it serves from there")
    fleet.start_services = inside
    fleet.start()
    fleet.release()
    with fleet.unchanged():
        sentence = fleet.refuses("plan", "demo", "--to", "demo-store-1.1.0", "-o", "refused.plan", code=REFUSED)
        assert "store@n3" in sentence and "opt/demo-store-1.0.0/data" in sentence, sentence
        assert "release folder" in sentence and "move" in sentence, sentence


# ---- clocks ----

def shifted(seconds):
    """The environment of a process whose clock is wrong by so much."""
    return {"LD_PRELOAD": str(BUILD / "tests/e2e/shift_clock.so"), "SHIFT_CLOCK_S": str(seconds)}


def give_clock(fleet, i, seconds):
    """The agent of a node starts anew, with this clock."""
    agent = fleet.agents[i]
    agent.kill(signal.SIGTERM)
    agent.environment = {**os.environ, **(shifted(seconds) if seconds else {})}
    agent.start()
    wanted = range(seconds * 1000 - 5000, seconds * 1000 + 5001)

    def seen():
        node = next(n for n in fleet.nodes() if n["name"] == f"n{i + 1}")
        return node["state"] == "open" and node["clock_skew_ms"] in wanted
    fleet.wait(seen, 30, lambda: f"node n{i + 1} is seen with a clock off by {seconds} s: {fleet.nodes()}")


without_sanitizers = pytest.mark.skipif("asan" in str(BUILD), reason="a preloaded clock does not go with sanitizers")


@without_sanitizers
def test_an_agent_with_a_wrong_clock(fleet):
    fleet.start()
    fleet.release()
    for seconds, side in (600, "ahead of"), (-600, "behind"):
        give_clock(fleet, 1, seconds)
        with fleet.unchanged():
            sentence = fleet.refuses("plan", "demo", "--to", "demo-store-1.1.0", "-o", "refused.plan", code=REFUSED)
            assert "store@n2: the clock of node n2 is" in sentence and f"{side} ours: set it right" in sentence, sentence
            assert not (fleet.folder / "refused.plan").exists()
    give_clock(fleet, 1, 20)
    with fleet.unchanged():  # a little wrong: somebody may say that this is known
        sentence = fleet.refuses("plan", "demo", "--to", "demo-store-1.1.0", "-o", "refused.plan", code=REFUSED)
        assert re.search("the clock of node n2 is (19|20) s ahead of ours", sentence), sentence
        assert "--consent clock:n2" in sentence, sentence
        fleet.plan("1.1.0", "--consent", "clock:n2")


@without_sanitizers
def test_A39_a_clock_that_jumps_after_the_approval(fleet):
    """Ten years ahead every order looks expired: nothing begins, the agent says why, and it is well again with its clock."""
    fleet.start()
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling")
    fleet.approve()
    pids = [fleet.pid(i) for i in range(3)]
    give_clock(fleet, 0, 10 * 365 * 86400)
    fleet.kedge("apply", "demo.plan", "--watch", code=REFUSED)
    run = fleet.wait_ended()
    assert run["verdict"]["result"] == "failed" and "expired" in run["verdict"]["text"], run["verdict"]
    assert "expired" in (fleet.node(0) / "agent.log").read_text()
    assert [fleet.pid(i) for i in range(3)] == pids and [m["stops"] for m in run["members"]] == [0] * 3
    give_clock(fleet, 0, 0)
    fleet.plan("1.1.0", "--strategy", "rolling", file="second.plan")
    fleet.approve("second.plan")
    run = fleet.wait_ended(fleet.apply("second.plan"))
    assert run["verdict"]["result"] == "done", run["verdict"]


# ---- disks ----

MIB = 1024 * 1024


@contextlib.contextmanager
def small_disk(folder, mib):
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "kedge-test", str(folder)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Takes all room that is left."""
    with open(folder / "somebody-elses-file", "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(MIB))
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
    assert os.statvfs(folder).f_bavail == 0


def large_release(fleet, name, mib):
    folder = fleet.folder / f"build/{name}"
    shutil.copytree(RELEASES / "demo-store-1.1.0", folder)
    (folder / "LARGE").write_bytes(os.urandom(mib * MIB))
    fleet.kedge("release", "cut", folder, "--system", "demo-store", "--version", name, "--key", "build/build.key", "-o",
                f"build/{name}.release")
    fleet.kedge("release", "add", f"build/{name}.release")


def test_a_disk_that_is_full(tmp_path):
    """Before the plan, after it, and while the release is being unpacked: nothing is stopped, nothing half made stays, and
    with room again the same plan's successor goes through."""
    fleet = Input(tmp_path)
    disk = fleet.node(0) / "kedge"
    with small_disk(disk, 120):
        try:
            fleet.start()
            large_release(fleet, "1.1.1", 12)
            pids = [fleet.pid(i) for i in range(3)]

            fill(disk)
            with fleet.unchanged():
                sentence = fleet.refuses("plan", "demo", "--to", "demo-store-1.1.1", "-o", "refused.plan", code=REFUSED)
                assert "store@n1: node n1 has 0 MiB free under" in sentence and "the release needs" in sentence, sentence
            (disk / "somebody-elses-file").unlink()

            # Full between plan and staging: the agent looks before it begins.
            fleet.plan("1.1.1", "--strategy", "rolling", file="second.plan")
            fleet.approve("second.plan")
            fill(disk)
            run = fleet.wait_ended(fleet.apply("second.plan"))
            assert run["verdict"]["result"] == "failed" and "make room and retry" in run["verdict"]["text"], run["verdict"]
            (disk / "somebody-elses-file").unlink()

            # Full in the middle of it. The coordinator, which serves the archive, stands still while somebody else writes.
            fleet.plan("1.1.1", "--strategy", "rolling", file="third.plan")
            fleet.approve("third.plan")
            run_id = fleet.apply("third.plan")
            deadline = time.monotonic() + 20
            while not list(disk.glob("releases/*.incoming/*")):
                assert time.monotonic() < deadline, fleet.words()
            os.kill(fleet.kedged.pid, signal.SIGSTOP)
            try:
                fill(disk)
            finally:
                os.kill(fleet.kedged.pid, signal.SIGCONT)
            run = fleet.wait_ended(run_id)
            assert run["verdict"]["result"] == "failed", run["verdict"]
            assert re.search("No space left|disk.* full|no room", run["verdict"]["text"]), run["verdict"]
            assert not list(disk.glob("releases/*")), list(disk.glob("releases/*"))
            assert [fleet.pid(i) for i in range(3)] == pids and [m["stops"] for m in run["members"]] == [0] * 3

            # The journal has had its room from the first day: the agent may even be killed and started on the full disk.
            fleet.agents[0].restart()
            fleet.wait_connected()
            (disk / "somebody-elses-file").unlink()
            fleet.plan("1.1.1", "--strategy", "rolling", file="fourth.plan")
            fleet.approve("fourth.plan")
            run = fleet.wait_ended(fleet.apply("fourth.plan"))
            assert run["verdict"]["result"] == "done", run["verdict"]
        finally:
            fleet.stop()


# ---- tampering with what is kept ----

def test_an_archive_that_was_changed_in_the_coordinators_store(fleet):
    """It was good when it was added; the nodes look again, and nobody is stopped."""
    fleet.start()
    fleet.release()
    fleet.plan("1.1.0", "--strategy", "rolling")
    fleet.approve()
    [archive] = (fleet.folder / "coordinator/artifacts").iterdir()
    content = archive.read_bytes()
    archive.chmod(0o600)
    archive.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    pids = [fleet.pid(i) for i in range(3)]
    run = fleet.wait_ended(fleet.apply())
    assert run["verdict"]["result"] == "failed" and "digest" in run["verdict"]["text"], run["verdict"]
    assert [fleet.pid(i) for i in range(3)] == pids and [m["stops"] for m in run["members"]] == [0] * 3
    assert not [path for i in range(3) for path in fleet.node(i).glob("kedge/releases/*")]


def test_A37_a_journal_of_an_agent_that_was_changed(fleet):
    """The agent does not begin on it, says so in one sentence, and the service goes on without it."""
    fleet.start()
    pid = fleet.pid(0)
    fleet.agents[0].kill(signal.SIGTERM)
    journal = fleet.node(0) / "kedge/journal"
    content = journal.read_bytes()
    at = content.index(b"demo/store@n1")
    for changed in (content[:at] + b"e" + content[at + 1:], b"x" + content[1:]):
        journal.write_bytes(changed)
        sentence = ended_with([PROGRAMS["kedge-agent"], "--config", fleet.node(0) / "agent.yaml"], fleet.folder, code=1)
        assert str(journal) in sentence, sentence
        assert journal.read_bytes() == changed, "what was found there stays as evidence"
    assert fleet.pid(0) == pid and fleet.starts(0) == 1
    journal.write_bytes(content)
    fleet.agents[0].start()
    fleet.wait_connected()
