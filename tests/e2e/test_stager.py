"""kedge-stager against archives and servers that mean harm: what it writes lies in its folder, what it ends with 0 on
is the artifact that was promised."""
import gzip
import hashlib
import http.server
import io
import lzma
import os
import resource
import shutil
import socket
import stat
import subprocess
import tarfile
import threading
import time

import pytest

STAGER = os.path.join(os.environ["KEDGE_BUILD"], "agent/stager/kedge-stager")


def digest(data):
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def entry(name, data=b"", kind=tarfile.REGTYPE, mode=0o644, link="", **more):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*entries, compress=lambda data: data, format=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return compress(out.getvalue())


def zstd(data):
    if not shutil.which("zstd"):
        pytest.skip("needs the program zstd, to make such an archive")
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Server:
    """Serves what `answer(handler)` writes, on loopback."""

    def __init__(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                try:
                    answer(self)
                except OSError:
                    pass  # the stager hung up, as it should
                self.close_connection = True

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/artifact/x"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def plain(data, status=200, length=None):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data) if length is None else length))
        handler.end_headers()
        handler.wfile.write(data)
    return answer


def tree(top):
    """Every entry below a folder: what it is, and what is in it."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            is_link, is_file = os.path.islink(path), os.path.isfile(path)
            what = os.readlink(path) if is_link else open(path, "rb").read() if is_file else None
            found[os.path.relpath(path, top)] = (stat.S_IFMT(os.lstat(path).st_mode), what)
    return found


class Yard:
    """A parent folder with a precious file in it and the release folder; nothing but the latter may change."""

    def __init__(self, top):
        self.top = str(top)
        self.into = os.path.join(self.top, "deep/new")
        os.makedirs(self.into)
        with open(os.path.join(self.top, "precious"), "w") as f:
            f.write("untouched")
        self.before = tree(self.top)

    def stage(self, url, data, *options, size=None, hexdigest=None, into=None, **popen):
        return subprocess.run(
            [STAGER, "--url", url, "--size", str(len(data) if size is None else size), "--digest",
             hexdigest or digest(data), "--into", into or self.into, *options],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **popen)

    def stage_archive(self, data, *options, **more):
        with Server(plain(data)) as server:
            return self.stage(server.url, data, *options, **more)

    def outside(self):
        return {path: what for path, what in tree(self.top).items() if not path.startswith("deep/new/")}

    def inside(self):
        return tree(self.into)


@pytest.fixture
def yard(tmp_path):
    yard = Yard(tmp_path)
    yield yard
    assert yard.outside() == {p: w for p, w in yard.before.items()}, "something was written outside of the folder"


def refused(done, *words):
    assert done.returncode in (1, 3), (done.returncode, done.stderr)
    assert done.stderr.startswith("kedge-stager: artifact http://127.0.0.1:") and done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("compress", [lambda d: d, gzip.compress, lzma.compress, zstd], ids=["tar", "gz", "xz", "zst"])
def test_unpacks_what_is_plain(yard, compress):
    data = tar(entry("./", kind=tarfile.DIRTYPE), entry("./demo-1.0/", kind=tarfile.DIRTYPE, mode=0o700),
               entry("./demo-1.0/bin/run", b"#!/bin/true\n", mode=0o4755), entry("./demo-1.0/lib/a-1.jar", os.urandom(300000)),
               entry("./demo-1.0/lib/empty", b""), entry("./demo-1.0/lib/a.jar", kind=tarfile.SYMTYPE, link="a-1.jar"),
               entry("./demo-1.0/bin/lib", kind=tarfile.SYMTYPE, link="../lib"),
               entry("./demo-1.0/doc/", kind=tarfile.DIRTYPE), compress=compress)
    done = yard.stage_archive(data, "--strip", "1")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    inside = yard.inside()
    assert sorted(inside) == ["bin", "bin/lib", "bin/run", "doc", "lib", "lib/a-1.jar", "lib/a.jar", "lib/empty"]
    assert inside["bin/run"] == (stat.S_IFREG, b"#!/bin/true\n")
    assert inside["lib/a.jar"] == (stat.S_IFLNK, "a-1.jar")
    assert stat.S_IMODE(os.stat(os.path.join(yard.into, "bin/run")).st_mode) == 0o755  # setuid is masked (A28)
    assert stat.S_IMODE(os.stat(yard.into).st_mode) == 0o700


def test_drops_root(yard):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    import pwd
    nobody = pwd.getpwnam("nobody")
    os.chmod(yard.top, 0o700)  # nobody cannot even reach the folder by its name
    done = yard.stage_archive(tar(entry("bin/run", b"x")), "--user", "nobody")
    assert (done.returncode, done.stderr) == (0, "")
    for path in ("", "bin", "bin/run"):
        assert os.lstat(os.path.join(yard.into, path)).st_uid == nobody.pw_uid


EVIL_NAMES = [
    "../evil", "a/../../evil", "/tmp/evil", "//evil", "..", "a/..", "./../evil", "a//b", "a/./b", "a\\b", "..\\evil",
    "a\x01b", "a\nb", "a b", "caf\u00e9", "evil.", "a/evil./b", "a/...", "C:evil", "a\u202eb", "x" * 1025, "a/" * 70 + "b",
    "$HOME", "*", "-" * 3 + "|id", "a;b", "`id`", "a\tb", "\u2024\u2024/evil", "%2e%2e/evil'",
]


@pytest.mark.parametrize("name", EVIL_NAMES, ids=[f"{i}" for i in range(len(EVIL_NAMES))])
@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_A27_names(yard, name, format):
    done = yard.stage_archive(tar(entry("good", b"1"), entry(name, b"evil"), format=format))
    refused(done)
    assert set(yard.inside()) <= {"good"}


def test_A27_bytes_that_are_no_text(yard):
    raw = bytearray(tar(entry("aXb", b"evil"), format=tarfile.GNU_FORMAT))
    raw[1] = 0xFF  # not UTF-8
    raw[148:156] = b"%06o\0 " % sum(raw[:148] + b" " * 8 + raw[156:512])
    refused(yard.stage_archive(bytes(raw)))
    assert yard.inside() == {}


def test_A27_hidden_above_the_strip(yard):
    for name in ("top", "../a/evil", "a/../evil"):
        refused(yard.stage_archive(tar(entry(name, b"evil")), "--strip", "1"))
        assert yard.inside() == {}


def test_A27_stands_twice(yard):
    refused(yard.stage_archive(tar(entry("a", b"good"), entry("a", b"evil"))), '"a" stands twice')


def test_A27_two_tops_fall_together(yard):
    refused(yard.stage_archive(tar(entry("x/a", b"good"), entry("y/a", b"evil")), "--strip", "1"), '"a" stands twice')


KINDS = {
    "hard link": (entry("a", kind=tarfile.LNKTYPE, link="good"), "hard link"),
    "hard link outside": (entry("a", kind=tarfile.LNKTYPE, link="../../precious"), "hard link"),
    "fifo": (entry("a", kind=tarfile.FIFOTYPE), "fifo"),
    "character device": (entry("a", kind=tarfile.CHRTYPE, devmajor=1, devminor=3), "device"),
    "block device": (entry("a", kind=tarfile.BLKTYPE, devmajor=8, devminor=0), "device"),
    "absolute link": (entry("a", kind=tarfile.SYMTYPE, link="/etc"), "relative"),
    "link outside": (entry("a", kind=tarfile.SYMTYPE, link="../x"), "outside"),
    "link far outside": (entry("b/a", kind=tarfile.SYMTYPE, link="../../../precious"), "outside"),
    "link down and up": (entry("a", kind=tarfile.SYMTYPE, link="good/../../x"), "down and up"),
    "link to the top": (entry("b/a", kind=tarfile.SYMTYPE, link=".."), "parent"),
    "empty link": (entry("a", kind=tarfile.SYMTYPE, link=""), "link"),
}


@pytest.mark.parametrize("what", KINDS)
def test_A28_kinds(yard, what):
    evil, word = KINDS[what]
    refused(yard.stage_archive(tar(entry("good", b"1"), evil)), word)
    assert set(yard.inside()) <= {"good", "b"}


def test_A28_links_chained(yard):
    """A link that is fine by itself, then an entry through it."""
    through = [entry("d/", kind=tarfile.DIRTYPE), entry("l", kind=tarfile.SYMTYPE, link="d"), entry("l/evil", b"evil")]
    refused(yard.stage_archive(tar(*through)), "below a file or a link")
    assert yard.inside() == {"d": (stat.S_IFDIR, None), "l": (stat.S_IFLNK, "d")}


def test_A28_links_chained_in_two_steps(yard):
    """Two links that are each fine, and that together would lead above the folder if a path were joined as text."""
    two = [entry("d/e/", kind=tarfile.DIRTYPE), entry("d/e/l", kind=tarfile.SYMTYPE, link="../../d"),
           entry("m", kind=tarfile.SYMTYPE, link="d/e/l"), entry("m/evil", b"evil")]
    refused(yard.stage_archive(tar(*two)), "below a file or a link")
    assert "d/evil" not in yard.inside()


def test_A28_a_link_is_not_replaced(yard):
    refused(yard.stage_archive(tar(entry("a", kind=tarfile.SYMTYPE, link="b"), entry("a", b"evil"))), "twice")
    assert yard.inside() == {"a": (stat.S_IFLNK, "b")}


def test_A28_a_link_that_was_there_before(tmp_path):
    """Somebody swaps the folder for a link: not followed. Something is in it: refused."""
    yard = Yard(tmp_path)
    os.rename(yard.into, yard.into + ".away")
    os.symlink(yard.top, yard.into)
    data = tar(entry("evil", b"evil"))
    assert yard.stage_archive(data).returncode == 1
    assert not os.path.exists(os.path.join(yard.top, "evil"))
    done = yard.stage_archive(data, into=os.path.dirname(yard.into))
    assert done.returncode == 1 and "is not empty" in done.stderr


def test_A28_attributes_are_dropped(yard):
    evil = entry("a", b"1", pax_headers={"SCHILY.xattr.user.evil": "1", "SCHILY.acl.access": "user:0:rwx"}, uid=12345)
    assert yard.stage_archive(tar(evil)).returncode == 0
    path = os.path.join(yard.into, "a")
    assert os.listxattr(path) == [] and os.stat(path).st_uid == os.geteuid()


def blocks_used(top):
    return sum(os.lstat(os.path.join(f, n)).st_blocks * 512 for f, _, names in os.walk(top) for n in names)


def test_A29_bomb_by_ratio(yard):
    data = tar(entry("bomb", bytes(100 << 20)), compress=lambda d: gzip.compress(d, 9))
    assert len(data) < 200000
    refused(yard.stage_archive(data), "64 MiB")
    assert blocks_used(yard.into) < 1 << 20


def test_A29_bomb_in_many_files(yard):
    data = tar(*[entry(f"bomb{i}", bytes(30 << 20)) for i in range(4)], compress=lambda d: gzip.compress(d, 9))
    refused(yard.stage_archive(data), "64 MiB")
    assert blocks_used(yard.into) < 65 << 20


def test_A29_bomb_in_a_bomb(yard):
    data = gzip.compress(gzip.compress(tar(entry("a", bytes(1 << 20)))))
    refused(yard.stage_archive(data), "compressed more than once")


def test_A29_huge_claim(yard):
    info, _ = entry("bomb")
    info.size = 1 << 40
    refused(yard.stage_archive(info.tobuf(tarfile.GNU_FORMAT)), "1099511627776 bytes")
    assert yard.inside() == {}


def test_A29_sparse(yard):
    """A file of 1 TiB that is nearly all holes, as GNU tar writes it."""
    top, name = yard.top + ".sparse", "hole"
    os.makedirs(top)
    with open(os.path.join(top, name), "wb") as f:
        f.truncate(1 << 40)
        f.write(b"1")
    data = subprocess.run(["tar", "-S", "-C", top, "-cf", "-", name], stdout=subprocess.PIPE, check=True).stdout
    refused(yard.stage_archive(data), "sparse")
    assert yard.inside() == {}


def test_A29_too_many_entries(yard):
    data = tar(*[entry(f"f{i}") for i in range(20001)], compress=gzip.compress)
    refused(yard.stage_archive(data), "more than 20000 entries")


def test_A29_huge_header(yard):
    data = tar(entry("a", b"1", pax_headers={"comment": "x" * (8 << 20)}), compress=gzip.compress)
    refused(yard.stage_archive(data), "broken")
    assert yard.inside() == {}


@pytest.mark.parametrize("end", [1, 511, 512, 700, 5000, -600])
def test_truncated_archive(yard, end):
    whole = tar(entry("a", os.urandom(4000)), entry("b", os.urandom(4000)))
    if end == -600:
        data = gzip.compress(whole)[:end]
    else:
        data = whole[:end]
    refused(yard.stage_archive(data))


def test_not_an_archive(yard):
    refused(yard.stage_archive(b"<html>not found</html>" * 100), "not a tar archive")
    refused(yard.stage_archive(b""))


GOOD = tar(entry("a", b"1" * 4000))


def test_A50_wrong_bytes(yard):
    with Server(plain(GOOD.replace(b"1111", b"2222"))) as server:
        refused(yard.stage(server.url, GOOD), "its digest is b2:", digest(GOOD))


def test_A50_wrong_bytes_that_are_no_archive(yard):
    with Server(plain(b"x" * len(GOOD))) as server:
        refused(yard.stage(server.url, GOOD), "its digest is b2:")


@pytest.mark.parametrize("size", [0, 1, len(GOOD) - 1])
def test_A50_longer_than_promised(yard, size):
    with Server(plain(GOOD)) as server:
        refused(yard.stage(server.url, GOOD, size=size), f"longer than the {size} bytes")


def test_A50_shorter_than_promised(yard):
    with Server(plain(GOOD)) as server:
        refused(yard.stage(server.url, GOOD, size=len(GOOD) + 1), f"ends after {len(GOOD)} of {len(GOOD) + 1} bytes")


def test_A50_stops_in_the_middle(yard):
    with Server(plain(GOOD[:5000], length=len(GOOD))) as server:
        refused(yard.stage(server.url, GOOD), f"stopped after 5000 of {len(GOOD)} bytes")


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_A50_status(yard, status):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Location", "http://127.0.0.1:1/")
        handler.send_header("Content-Length", "0" if status == 204 else "2")
        handler.end_headers()
        handler.wfile.write(b"" if status == 204 else b"no")
    with Server(answer) as server:
        refused(yard.stage(server.url, GOOD), f"answers {status}, expected 200")


def test_A50_endless_server(yard):
    sent = 0

    def answer(handler):
        nonlocal sent
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(GOOD)
            sent += len(GOOD)
    with Server(answer) as server:
        refused(yard.stage(server.url, GOOD), "longer than")


def test_A50_slow_server(yard):
    gone = threading.Event()

    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        for byte in GOOD:
            handler.wfile.write(bytes([byte]))
            if gone.wait(0.1):
                return
    with Server(answer) as server:
        before = time.monotonic()
        refused(yard.stage(server.url, GOOD, "--patience", "2"), "too slow")
        assert time.monotonic() - before < 20
        gone.set()


def test_A50_silent_server(yard):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        refused(yard.stage(url, GOOD, "--timeout", "1"))


def test_nobody_listens(yard):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    refused(yard.stage(url, GOOD), "connect")


def test_proxies_of_the_environment_are_not_used(yard):
    with Server(plain(GOOD)) as server:
        environment = {"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
        assert yard.stage(server.url, GOOD, env=environment).returncode == 0


def test_file_urls_are_for_tests(yard):
    path = os.path.join(yard.top, "precious")
    done = yard.stage("file://" + path, b"untouched")
    assert done.returncode in (1, 3) and "file" in done.stderr


def test_disk_full(tmp_path):
    """A small tmpfs as the folder; where mounting is not allowed, there is nothing to see."""
    into = str(tmp_path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "kedge-test", into], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        os.mkdir(into + "/new")
        data = tar(entry("big", os.urandom(3 << 20)))
        with Server(plain(data)) as server:
            done = Yard.stage(None, server.url, data, into=into + "/new")
        refused(done, f"no room in {into}/new", "more than 4 MiB there", "are left")
    finally:
        subprocess.run(["umount", into], check=True)


def test_file_size_limit(yard):
    data = tar(entry("big", bytes(3 << 20)))
    done = yard.stage_archive(data, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    refused(done, '"big"', "larger than this process may write")


@pytest.mark.parametrize("arguments", [[], ["--size", "x"], ["--size", "-1"], ["--digest", "12"], ["--strip", "1x"],
                                       ["--nonsense"], ["extra"], ["--size", str(9 << 30)]])
def test_usage(arguments):
    done = subprocess.run([STAGER, *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.strip()


def test_user_who_does_not_exist(yard):
    done = yard.stage("http://127.0.0.1:1/", GOOD, "--user", "no-such-user")
    assert done.returncode == 1 and "user no-such-user" in done.stderr
