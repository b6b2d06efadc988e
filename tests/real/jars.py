"""Original jars and release archives for the real tests, each held to a pinned digest.

Everything comes through Maven run as a program, so which registry is asked is Maven's own business and stands
nowhere here.  What Maven brings is believed only when its sha256 stands in jars.lock (a plain `sha256sum -c` list,
paths relative to the cache folder); anything else is refused before it can run.  The digests are checked again at
every use: the cache is a folder like any other.

    jars.py fetch [VERSION...]      fill the cache (default: both versions of the first pair)
    jars.py pin VERSION...          write the digests of what Maven brings today into jars.lock
"""

import contextlib
import fcntl
import gzip
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
LOCK = HERE / "jars.lock"
SERVER = "org.apache.bookkeeper:bookkeeper-server"
HTTP = "org.apache.bookkeeper.http:vertx-http-server"


class Refused(Exception):
    """One sentence that says what cannot be used and why."""


class Version(NamedTuple):
    number: str
    archive: bool       # is a release archive published? else one is packed from the verified jars
    http: bool          # 4.6 and later: HTTP admin, log4j2, server.Main
    starts_empty: bool  # does a known bookie whose data is gone start as if nothing were? 4.16 and later refuse


class Pair(NamedTuple):
    old: str
    new: str


VERSIONS = {v.number: v for v in (
    Version("4.5.0", archive=True, http=False, starts_empty=True),
    Version("4.5.1", archive=True, http=False, starts_empty=True),
    Version("4.15.4", archive=False, http=True, starts_empty=False),
    Version("4.16.6", archive=False, http=True, starts_empty=False),
    Version("4.17.3", archive=False, http=True, starts_empty=False),
)}
PAIRS = [Pair("4.5.0", "4.5.1"), Pair("4.16.6", "4.17.3"), Pair("4.15.4", "4.16.6")]
CLIENT = "4.5.0"        # the load, and ZooKeeper for the bookies of its line, run from this version's jars
ZOOKEEPER = "zookeeper-3.9.3"   # for all others: from 4.15 on bookies watch whole trees, which 3.5 cannot
ZOOKEEPER_JARS = ["org.apache.zookeeper:zookeeper:3.9.3", "io.dropwizard.metrics:metrics-core:4.1.12.1",
                  "org.xerial.snappy:snappy-java:1.1.10.5"]     # its own pom leaves out what a server needs of these


def pair():
    """The pair under test: the first row, or the one that KEDGE_TEST_PAIR names (as in 4.16.6-4.17.3)."""
    wanted = os.environ.get("KEDGE_TEST_PAIR")
    rows = {f"{row.old}-{row.new}": row for row in PAIRS}
    if wanted and wanted not in rows:
        raise Refused(f"KEDGE_TEST_PAIR is {wanted}; known are {', '.join(rows)}")
    return rows[wanted] if wanted else PAIRS[0]


def cache():
    folder = os.environ.get("KEDGE_TEST_CACHE") or os.path.expanduser("~/.cache/kedge-tests")
    path = pathlib.Path(folder) / "bookkeeper"
    path.mkdir(parents=True, exist_ok=True)
    return path


def lib(version):
    """Folder with bookkeeper-server VERSION and everything it needs at run time."""
    return _ensured(f"{version}/lib", lambda into: _maven_lib(version, into))


def zookeeper_lib(version):
    """Folder with a ZooKeeper server for bookies of that version."""
    return lib(ZOOKEEPER if VERSIONS[version].http else CLIENT)


def archive(version):
    """The release archive of VERSION as an operator would hand it to Kedge.

    The published one keeps the server jar beside lib/, not in it; where none is published, the verified jars are
    packed (always to the same bytes) with everything in lib/.
    """
    if VERSIONS[version].archive:
        folder = _ensured(f"{version}/archive", lambda into: _maven_archive(version, into))
        return folder / f"bookkeeper-server-{version}-bin.tar.gz"
    return _pack(version, lib(version))


def shipped_conf(version):
    """The bookie configuration that the published release archive brings along."""
    with tarfile.open(archive(version)) as tar:
        return tar.extractfile(f"bookkeeper-server-{version}/conf/bk_server.conf").read().decode()


def compiled(source):
    """Class folder of one Java file, compiled against the client's jars; compiled once per content."""
    jars = lib(CLIENT)
    text = pathlib.Path(source).read_bytes()
    out = cache() / "classes" / hashlib.sha256(text).hexdigest()[:16]
    with _locked():
        if not out.exists():
            with _scratch() as tmp:
                _run(["javac", "-proc:none", "-nowarn", "-cp", f"{jars}/*", "-d", str(tmp / "out"), str(source)],
                     f"cannot compile {source}")
                out.parent.mkdir(exist_ok=True)
                (tmp / "out").rename(out)
    return out


# ---- Maven ---------------------------------------------------------------------------------------------------

def _wanted(version):
    if version == ZOOKEEPER:
        return ZOOKEEPER_JARS
    return [f"{name}:{version}" for name in [SERVER] + [HTTP] * VERSIONS[version].http]


def _maven_lib(version, into):
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *name.split(":")) for name in _wanted(version))
    with _scratch() as tmp:
        (tmp / "pom.xml").write_text(
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
            "<groupId>kedge.test</groupId><artifactId>jars</artifactId><version>1</version>"
            f"<dependencies>{dependencies}</dependencies></project>\n")
        _maven(version, "-f", str(tmp / "pom.xml"), "dependency:copy-dependencies", "-DincludeScope=runtime",
               f"-DoutputDirectory={into}")


def _maven_archive(version, into):
    _maven(version, "dependency:copy", f"-Dartifact={SERVER}:{version}:tar.gz:bin", f"-DoutputDirectory={into}")


def _maven(version, *args):
    _run(["mvn", "-q", "-B", *args], f"cannot fetch {version}")


def _run(argv, failed):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=900, cwd="/")
    except FileNotFoundError:
        raise Refused(f"{failed}: {argv[0]} is not installed (Debian: apt-get install maven default-jdk-headless)")
    except subprocess.TimeoutExpired:
        raise Refused(f"{failed}: {argv[0]} did not end within 900 s")
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line or "error" in line]
        raise Refused(f"{failed}: {argv[0]} says: {(lines or ['nothing'])[0]}")


# ---- digests -------------------------------------------------------------------------------------------------

def _pinned(prefix):
    """{file name: sha256} of one folder of the cache."""
    pins = {}
    for line in LOCK.read_text().splitlines() if LOCK.exists() else []:
        digest, path = line.split()
        if os.path.dirname(path) == prefix:
            pins[os.path.basename(path)] = digest
    return pins


def _digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _check(folder, prefix):
    """Refuse unless the folder holds exactly the pinned files with exactly the pinned bytes."""
    pins = _pinned(prefix)
    if not pins:
        raise Refused(f"no digest is pinned for {prefix}: run jars.py pin {prefix.split('/')[0]}, and review jars.lock")
    found = {name: _digest(folder / name) for name in os.listdir(folder)}
    for name in sorted(pins.keys() | found.keys()):
        if name not in found:
            raise Refused(f"{folder / name} is missing: remove {folder} and fetch again")
        if name not in pins:
            raise Refused(f"{folder / name} is not in jars.lock: it must not be run")
        if found[name] != pins[name]:
            raise Refused(f"{folder / name} has sha256 {found[name]}, but jars.lock says {pins[name]}: "
                          f"it must not be run")


def _ensured(prefix, fetch):
    folder = cache() / prefix
    with _locked():
        if not folder.exists():
            with _scratch() as tmp:
                fetched = tmp / "fetched"
                fetched.mkdir()
                fetch(fetched)
                _check(fetched, prefix)
                folder.parent.mkdir(parents=True, exist_ok=True)
                fetched.rename(folder)
        _check(folder, prefix)
    return folder


def _is_published(version):
    return version != ZOOKEEPER and VERSIONS[version].archive


def pin(versions):
    entries = dict(reversed(line.split()) for line in LOCK.read_text().splitlines()) if LOCK.exists() else {}
    for version in versions:
        entries = {path: d for path, d in entries.items() if not path.startswith(version + "/")}
        with _scratch() as tmp:
            for kind, fetch in [("lib", _maven_lib)] + [("archive", _maven_archive)] * _is_published(version):
                into = tmp / kind
                into.mkdir()
                fetch(version, into)
                entries.update({f"{version}/{kind}/{name}": _digest(into / name) for name in os.listdir(into)})
    LOCK.write_text("".join(f"{digest}  {path}\n" for path, digest in sorted(entries.items())))


# ---- small things --------------------------------------------------------------------------------------------

def _pack(version, jars):
    out = cache() / version / f"bookkeeper-server-{version}-packed.tar.gz"
    with _locked(), _scratch() as tmp:
        with open(tmp / "tar", "wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed, \
                tarfile.open(fileobj=packed, mode="w") as tar:
            for jar in sorted(jars.iterdir()):
                entry = tarfile.TarInfo(f"bookkeeper-server-{version}/lib/{jar.name}")
                entry.size, entry.mode = jar.stat().st_size, 0o644
                with open(jar, "rb") as f:
                    tar.addfile(entry, f)
        (tmp / "tar").rename(out)
    return out


@contextlib.contextmanager
def _locked():
    """One process at a time fills the cache."""
    with open(cache() / "lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _scratch():
    path = pathlib.Path(tempfile.mkdtemp(prefix="fetch-", dir=cache()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main(args):
    verb, versions = (args[0] if args else ""), args[1:] or list(PAIRS[0])
    unknown = [v for v in versions if v not in VERSIONS and v != ZOOKEEPER]
    if verb not in ("fetch", "pin") or unknown:
        print(__doc__.strip().splitlines()[0], f"\nusage: jars.py fetch|pin [{'|'.join(VERSIONS)}]...", file=sys.stderr)
        return 2
    try:
        if verb == "pin":
            pin(versions)
        for version in versions:
            print(lib(version), *([archive(version)] if version in VERSIONS else []), sep="\n")
    except Refused as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
