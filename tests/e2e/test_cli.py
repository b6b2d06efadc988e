"""kedge on its own: what it makes without a coordinator, and how it refuses. One sentence on stderr, an exit code that says
whose turn it is, nothing half made."""
import io
import json
import os
import pathlib
import stat
import subprocess
import tarfile

import pytest

from kedge import BAD_INPUT, DONE, FAILED, PROGRAMS, REFUSED, RELEASES


@pytest.fixture
def kedge(tmp_path):
    def run(*words, code=DONE, environment=None):
        done = subprocess.run([PROGRAMS["kedge"], *map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, env={**os.environ, "KEDGE_SOCKET": "none.sock", **(environment or {})})
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        if code in (FAILED, BAD_INPUT, REFUSED):
            assert done.stderr.startswith("kedge: ") and done.stderr.count("\n") == 1, done.stderr
            return done.stderr
        assert done.stderr == ""
        return done.stdout
    run("key", "new", "k", "--role", "release")
    return run


def tar(path, *entries, mode="w:gz"):
    """entries: (name, content or TarInfo changes)"""
    with tarfile.open(path, mode) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                for key, value in content.items():
                    setattr(info, key, value)
                archive.addfile(info)
    return path


def cut(kedge, archive, *words, **options):
    return kedge("release", "cut", archive, "--system", "app", "--version", "1.2", "--key", "k", *words, **options)


# ---- keys


def test_a_sealed_key_signs_with_its_passphrase_alone(kedge, tmp_path):
    def asked(words):
        (tmp_path / "passphrase").write_text(words + "\n")
        (tmp_path / "passphrase").chmod(0o600)
        return {"KEDGE_PASSPHRASE_FILE": "passphrase"}
    tar(tmp_path / "app.tar.gz", ("bin/app", b"x"))
    sign = ["release", "cut", "app.tar.gz", "--system", "app", "--version", "1.2", "--key", "sealed"]
    new = ["key", "new", "sealed", "--role", "release", "--passphrase"]
    assert "guessed: no key was made" in kedge(*new, environment=asked("short"), code=BAD_INPUT)
    assert not (tmp_path / "sealed").exists()
    kedge(*new, environment=asked("correct horse"))
    assert "this is not its passphrase" in kedge(*sign, environment=asked("correct house"), code=REFUSED)
    assert not list(tmp_path.glob("*.release"))
    kedge(*sign, environment=asked("correct horse"))
    assert list(tmp_path.glob("*.release"))


# ---- words


def test_help_and_suggestions(kedge):
    assert "Example" in kedge("help", "run", "pause")
    assert kedge("run", "pause", "--help") == kedge("help", "run", "pause")
    assert 'did you mean "pause"' in kedge("run", "puase", code=BAD_INPUT)
    assert "needs a verb" in kedge("run", code=BAD_INPUT)


def test_a_coordinator_that_does_not_run_is_a_failure_that_says_where(kedge):
    assert "none.sock" in kedge("status", code=FAILED)
    assert "other.sock" in kedge("--socket", "other.sock", "node", "list", code=FAILED)


def test_completions_are_scripts(kedge, tmp_path):
    script = tmp_path / "kedge.bash"
    script.write_text(kedge("completion", "bash"))
    words = subprocess.run(["bash", "-c", f"source {script}; COMP_WORDS=(kedge run pa); COMP_CWORD=2; _kedge; echo ${{COMPREPLY[@]}}"],
                           capture_output=True, text=True, check=True)
    assert words.stdout == "pause\n"
    assert kedge("completion", "zsh").startswith("#compdef kedge\n")
    kedge("completion", "fish", code=BAD_INPUT)


# ---- keys


def test_keys_are_private_and_never_overwritten(kedge, tmp_path):
    key = json.loads(kedge("key", "new", "alice", "--json"))
    assert stat.S_IMODE((tmp_path / "alice").stat().st_mode) == 0o600
    assert key == json.loads(kedge("key", "show", "alice.pub", "--json")) | {"file": "alice"}
    before = (tmp_path / "alice").read_bytes()
    kedge("key", "new", "alice", code=BAD_INPUT)
    assert (tmp_path / "alice").read_bytes() == before
    kedge("key", "new", "x", "--role", "boss", code=BAD_INPUT)
    (tmp_path / "k").chmod(0o644)
    assert "k" in cut(kedge, tar(tmp_path / "a.tar.gz", ("f", b"x")), code=REFUSED)


# ---- releases


def test_a_folder_is_cut_to_the_same_bytes_every_time(kedge, tmp_path):
    first = json.loads(cut(kedge, RELEASES / "demo-store-1.1.0", "-o", "a.release", "--json"))
    second = json.loads(cut(kedge, RELEASES / "demo-store-1.1.0", "-o", "b.release", "--json"))
    assert first["artifact"] == second["artifact"] and first["n_files"] == 2
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    cut(kedge, RELEASES / "demo-store-1.1.0", "-o", "a.release", code=BAD_INPUT)  # a.tar.gz is not overwritten


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w"])
def test_an_archive_is_cut_as_it_is(kedge, tmp_path, mode):
    archive = tar(tmp_path / "a.tar", ("app-1.2/bin/app", {"mode": 0o755}), ("app-1.2/lib/x", b"x"), mode=mode)
    answer = json.loads(cut(kedge, archive, "--strip", "1", "--json"))
    assert answer["n_files"] == 2 and answer["release"] == f"{archive}.release"
    assert answer["size"] == archive.stat().st_size


@pytest.mark.parametrize("name, entry", [
    ("../evil", b"x"), ("/etc/evil", b"x"), ("a/../../evil", b"x"), ("a\\b", b"x"), ("trailing.", b"x"),
    ("hard", {"type": tarfile.LNKTYPE, "linkname": "ok"}), ("soft", {"type": tarfile.SYMTYPE, "linkname": "../../etc"}),
    ("absolute", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}), ("fifo", {"type": tarfile.FIFOTYPE}),
    ("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
])
def test_A27_A28_what_no_node_would_unpack_is_not_signed(kedge, tmp_path, name, entry):
    archive = tar(tmp_path / "a.tar.gz", ("ok", b"x"), (name, entry))
    cut(kedge, archive, code=BAD_INPUT)
    assert not pathlib.Path(f"{archive}.release").exists()


def test_the_same_name_twice_is_not_signed(kedge, tmp_path):
    assert "twice" in cut(kedge, tar(tmp_path / "a.tar.gz", ("f", b"x"), ("f", b"y")), code=BAD_INPUT)


def test_what_is_no_archive_is_refused(kedge, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"no archive at all")
    cut(kedge, tmp_path / "a.tar.gz", code=BAD_INPUT)
    cut(kedge, tmp_path / "missing.tar.gz", code=BAD_INPUT)
    whole = tar(tmp_path / "b.tar.gz", ("f", os.urandom(100000))).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[:len(whole) // 2])
    cut(kedge, tmp_path / "b.tar.gz", code=BAD_INPUT)


def test_more_files_than_an_order_can_name_are_refused_at_the_cut(kedge, tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    for i in range(9500):
        (folder / f"a-file-with-a-name-of-some-forty-characters-{i:05}").touch()
    sentence = cut(kedge, folder, "-o", "a.release", code=BAD_INPUT)
    assert "9500 files make a manifest of" in sentence and "an order has room for 768 KiB" in sentence, sentence
    assert not (tmp_path / "a.release").exists() and not (tmp_path / "a.tar.gz").exists()
    for path in sorted(folder.iterdir())[6000:]:
        path.unlink()
    cut(kedge, folder, "-o", "a.release")


def test_a_release_is_no_plan_and_a_plan_no_release(kedge, tmp_path):
    (tmp_path / "x.plan").write_bytes(b"no plan")
    assert "plan" in kedge("approve", "x.plan", "--key", "k", code=BAD_INPUT)
    assert "x.plan" in kedge("release", "add", "x.plan", "x.plan", code=BAD_INPUT)
    kedge("apply", "x.plan", code=BAD_INPUT)
