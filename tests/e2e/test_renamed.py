"""Every word that a recipe gives to something (the system, its role, gates, values, options, side actions) is renamed, and the
upgrade is the same: no program knows such a word. What the system itself says and is asked stays as it is."""
import re

import pytest

from kedge import RELEASES, TOP, Fleet

RECIPE = (TOP / "coordinator/recipes/demo-store.yaml").read_text()
DECLARING = ("values", "options", "gates", "side-actions")


def declared(text):
    """{section: names that it gives}"""
    found, section = {name: [] for name in DECLARING}, None
    for line in text.splitlines():
        if top := re.match(r"([a-z-]+):", line):
            section = top[1]
        elif section in DECLARING and (name := re.match(r"  ([a-z][a-z0-9-]*):", line)):
            found[section].append(name[1])
    return found


class Renamer:
    def __init__(self, text):
        self.new, self.system, self.role = {}, "zq-system", "zq-role"
        for section, names in declared(text).items():
            self.new.update({(section, name): f"zq-{section[0]}{i}" for i, name in enumerate(names)})
        self.text = "".join(map(self._line, self._with_sections(text)))

    def __call__(self, section, name):
        return self.new.get((section, name), name)

    @staticmethod
    def _with_sections(text):
        section = None
        for line in text.splitlines(keepends=True):
            top = re.match(r"([a-z-]+):", line)
            section = top[1] if top else section
            yield section, line

    def _line(self, pair):
        section, line = pair
        line = re.sub(r"\{([a-z][a-z-]*)((?:\.m?s)?)\}", lambda m: "{%s%s}" % (self("values", m[1]), m[2]), line)
        line = re.sub(r"when: \{([a-z-]+): ", lambda m: "when: {%s: " % self("options", m[1]), line)
        if section in DECLARING:
            line = re.sub(r"^  ([a-z][a-z-]*):", lambda m: f"  {self(section, m[1])}:", line)
        if lists := re.match(r"( *(?:may-stop|recovered|after-start): \[)(.*)(\].*)", line, re.S):
            line = lists[1] + ", ".join(self("gates", gate) for gate in lists[2].split(", ")) + lists[3]
        line = re.sub(r"^( +(?:proof-of-life|read-write): )([a-z-]+)$", lambda m: m[1] + self("gates", m[2]), line, flags=re.M)
        line = re.sub(r"^(      read-only: )([a-z-]+)$", lambda m: m[1] + self("gates", m[2]), line, flags=re.M)
        line = re.sub(r"^(  - name: )store$", rf"\1{self.role}", line, flags=re.M)
        return re.sub(r"^(recipe: )demo-store$", rf"\1{self.system}", line, flags=re.M)


class RenamedFleet(Fleet):
    def __init__(self, folder, **options):
        super().__init__(folder, **options)
        self.words_ = Renamer(RECIPE)

    def member(self, i):
        return f"demo/{self.words_.role}@n{i + 1}"

    def cluster_file(self):
        text = super().cluster_file().replace("system: demo-store", f"system: {self.words_.system}")
        text = re.sub(r"name: store@(n\d+), role: store", rf"name: {self.words_.role}@\1, role: {self.words_.role}", text)
        return text.replace("{port: ", "{%s: " % self.words_("values", "port"))

    def adopt(self):
        (self.folder / "operator/demo.yaml").write_text(self.cluster_file())
        (self.folder / "operator/recipe.yaml").write_text(self.words_.text)
        self.kedge("cluster", "adopt", "operator/demo.yaml", "--recipe", "operator/recipe.yaml", "--key",
                   "operator/alice.key", "--yes")

    def upgrade(self, version, *words):
        name = f"{self.words_.system}-{version}"
        self.kedge("release", "cut", RELEASES / f"demo-store-{version}", "--system", self.words_.system, "--version", version,
                   "--key", "build/build.key", "-o", f"build/{name}.release")
        self.kedge("release", "add", f"build/{name}.release")
        self.page = self.kedge("plan", "demo", "--to", name, "-o", "demo.plan", *words)
        self.approve("demo.plan")
        return self.apply("demo.plan")


@pytest.fixture
def fleet(tmp_path):
    fleet = RenamedFleet(tmp_path, members=5)
    yield fleet
    fleet.stop()


def test_every_word_is_another_one():
    words = Renamer(RECIPE)
    assert {section: len(names) for section, names in declared(RECIPE).items()} == \
        {section: len(names) for section, names in declared(words.text).items()}
    for section, names in declared(words.text).items():
        assert names and all(name.startswith("zq-") for name in names), (section, names)
    assert f"recipe: {words.system}\n" in words.text and f"- name: {words.role}\n" in words.text


def test_F01_F02_F07_F18_F31_an_upgrade_of_a_system_that_nobody_has_heard_of(fleet):
    fleet.start()
    report = fleet.wait_ended(fleet.upgrade("1.1.0"), 120)
    assert report["verdict"]["result"] == "done", report["verdict"]
    assert sorted(m["stops"] for m in report["members"]) == [1, 1, 1, 1, 2], "the canary twice, the others once"
    for i in range(5):
        assert (fleet.health(i)["version"], fleet.health(i)["mode"]) == ("1.1.0", "read-write")
    assert [side["state"] for side in report["side_actions"]] == ["closed"]
    for word in ("writable", "nothing-missing", "keys-read-back"):
        new = fleet.words_("gates", word)
        assert new in fleet.page and word not in fleet.page, (word, new)
    clients = fleet.end_load()
    assert clients["failed_writes"] == clients["failed_reads"] == clients["lost"] == 0, clients
