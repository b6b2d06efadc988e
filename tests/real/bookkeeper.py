"""A real BookKeeper cluster in one folder: ZooKeeper and a few bookies on loopback, started by this script alone.

Kedge finds it as an operator's cluster would be found: plain processes in sessions of their own, relative paths, one
working directory, a link n$i/current to the release.  Nothing here knows Kedge, and everything said about a bookie is
taken from /proc, from ZooKeeper or from the bookie's own port, so it stays true when Kedge has restarted the bookie.

    FOLDER/rel/4.5.0/lib            the jars                     FOLDER/zk        ZooKeeper (from the client's jars)
    FOLDER/n1/current               -> ../rel/4.5.0              FOLDER/log       logger configurations
    FOLDER/n1/bk.conf  n1/out.log   configuration, output        FOLDER/store/n1  the data
    FOLDER/n1/data                  -> ../store/n1, so that a test can lose the data by repointing a link

Bookies are numbered from 1.  A stopped bookie keeps its port: it is written in its cookie.
"""

import collections
import contextlib
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import jars
from zk import Zk

JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": os.path.expanduser("~")}
STOP_SECONDS = 90           # an auditor's stop was seen to take 32 s
START_SECONDS = 60
PORTS = (20000, 32000)      # below the ephemeral range, so that no client takes the port of a stopped bookie

Stop = collections.namedtuple("Stop", "seconds code")           # code: None if this script is not the parent
Ledger = collections.namedtuple("Ledger", "id closed last_entry bookies")

ZOO_CFG = """tickTime=500
minSessionTimeout=1000
maxSessionTimeout=60000
dataDir=zk/data
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=*
maxClientCnxns=0
"""
BK_CONF = """bookiePort={port}
listeningInterface=lo
allowLoopback=true
{metadata}
zkTimeout={session_ms}
journalDirectories=n{i}/data/journal
ledgerDirectories=n{i}/data/ledgers
journalMaxSizeMB=64
journalPreAllocSizeMB=4
logSizeLimit=67108864
minUsableSizeForIndexFileCreation=1048576
diskUsageThreshold=0.99
diskUsageWarnThreshold=0.98
autoRecoveryDaemonEnabled=true
"""
HTTP_CONF = """httpServerEnabled=true
httpServerPort={http}
httpServerHost=127.0.0.1
httpServerClass=org.apache.bookkeeper.http.vertx.VertxHttpServer
"""
PATTERN = "%d{ISO8601} %-5p [%t:%C{1}@%L] %m%n"
LOG4J = f"""log4j.rootLogger=INFO,C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern={PATTERN}
"""
SHELL_LOG4J = LOG4J.replace("rootLogger=INFO", "rootLogger=ERROR") + """log4j.appender.C.Target=System.err
log4j.logger.org.apache.bookkeeper.bookie.BookieShell=INFO,S
log4j.additivity.org.apache.bookkeeper.bookie.BookieShell=false
log4j.appender.S=org.apache.log4j.ConsoleAppender
log4j.appender.S.layout=org.apache.log4j.PatternLayout
log4j.appender.S.layout.ConversionPattern=%m%n
"""
LOG4J2 = f"""status=error
appender.C.type=Console
appender.C.name=C
appender.C.layout.type=PatternLayout
appender.C.layout.pattern=%d{{ISO8601}} %-5p [%t] %m%n
rootLogger.level=info
rootLogger.appenderRef.C.ref=C
"""


class Failed(Exception):
    pass


def wait_for(condition, seconds, what):
    """The first true answer of condition(), asked often until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Cluster:
    def __init__(self, folder, version="4.5.0", n=4, session_ms=5000, ports=()):
        """ports: those to take if they are free, for ZooKeeper and then each bookie; others by chance."""
        self.folder = pathlib.Path(folder).resolve()
        self.version, self.n, self.session_ms = version, n, session_ms
        self.http = jars.VERSIONS[version].http
        ports = free_ports(1 + 2 * n, ports)
        self.zk_address = f"127.0.0.1:{ports[0]}"
        self.ports = dict(enumerate(ports[1:n + 1], 1))
        self.http_ports = dict(enumerate(ports[n + 1:], 1)) if self.http else {}
        self.bookies = list(self.ports)
        self._children, self._janitor = {}, None

    # ---- setting up and ending -------------------------------------------------------------------------------

    def create(self):
        """Write every file; start nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise Failed(f"{self.folder} is not empty")
        self.install(self.version)
        self._write("zk/zoo.cfg", ZOO_CFG.format(port=self.zk_address.rsplit(":", 1)[1]))
        (self.folder / "zk/data").mkdir()
        self._write("log/log4j.properties", LOG4J)
        self._write("log/shell.properties", SHELL_LOG4J)
        self._write("log/load.properties", LOG4J.replace("INFO", "WARN"))
        self._write("log/log4j2.properties", LOG4J2)
        for i in self.bookies:
            self._create_bookie(i)
        self._write("cluster.json", json.dumps({"version": self.version, "session_ms": self.session_ms,
                                                "zk": self.zk_address, "ports": self.ports,
                                                "http_ports": self.http_ports}) + "\n")

    def _create_bookie(self, i):
        self._write(f"n{i}/bk.conf", self._conf(i))
        (self.folder / f"store/n{i}").mkdir(parents=True)
        os.symlink(f"../store/n{i}", self.folder / f"n{i}/data")
        os.symlink(f"../rel/{self.version}", self.folder / f"n{i}/current")

    @contextlib.contextmanager
    def one_more(self):
        """A bookie for the time of the block; then it is killed, nobody starts it again, and it is none of `bookies`."""
        i = max(self.ports) + 1
        self.ports[i], *http = free_ports(1 + self.http)
        self.http_ports.update({i: port for port in http})
        self._create_bookie(i)
        self.start(i)
        self.wait_up(i)
        yield i
        self.kill(i)

    @classmethod
    def found(cls, folder):
        """The cluster that create() once made in the folder, whether it runs or not."""
        try:
            facts = json.loads((pathlib.Path(folder) / "cluster.json").read_text())
        except FileNotFoundError:
            raise Failed(f"there is no cluster in {folder}") from None
        self = cls(folder, facts["version"], len(facts["ports"]), facts["session_ms"])
        self.zk_address = facts["zk"]
        self.ports = {int(i): port for i, port in facts["ports"].items()}
        self.http_ports = {int(i): port for i, port in facts["http_ports"].items()}
        return self

    def guard(self):
        """From now on a helper process ends all of the cluster, and removes its folder, when this process ends,
        however it ends."""
        self._janitor = subprocess.Popen([sys.executable, __file__, "--janitor", str(self.folder)],
                                         stdin=subprocess.PIPE, start_new_session=True, cwd="/")

    def start_all(self):
        """ZooKeeper, an empty formatted cluster, every bookie; returns when all are writable."""
        self.start_zookeeper()
        command = "initnewcluster" if self.http else "metaformat -nonInteractive -force"
        done = self.bksh(*command.split())
        if done.returncode != 0:
            raise Failed(f"{command} ends with {done.returncode}: {done.stderr[-500:]}")
        for i in self.bookies:
            self.start(i)
        for i in self.bookies:
            self.wait_up(i)
        wait_for(self.auditor, START_SECONDS, "an auditor is elected")

    def start_zookeeper(self):
        jar_folder = jars.zookeeper_lib(self.version)
        self._spawn("zk", ["-Xmx128m", *JVM, "-cp", f"{jar_folder}/*:log",
                           "org.apache.zookeeper.server.quorum.QuorumPeerMain", "zk/zoo.cfg"], "zk/out.log")
        wait_for(lambda: four_letters(self.zk_address, b"ruok") == b"imok", START_SECONDS, "ZooKeeper answers imok")

    def stop_all(self):
        """SIGTERM to every bookie that runs, wait for all, then ZooKeeper; returns {bookie: Stop}."""
        pids = {i: pid for i in self.bookies if (pid := self.pid(i))}
        began = time.monotonic()
        for pid in pids.values():
            os.kill(pid, signal.SIGTERM)
        stops = {i: self._ended(pid, began, STOP_SECONDS) for i, pid in pids.items()}
        for pid in java_in(self.folder):        # ZooKeeper, and whatever a test forgot
            os.kill(pid, signal.SIGTERM)
            self._ended(pid, time.monotonic(), STOP_SECONDS)
        return stops

    def close(self):
        """End everything at once, by pid: for finalizers, never part of what is tested."""
        end_all_in(self.folder)
        if self._janitor is not None:
            self._janitor.stdin.close()
            self._janitor.wait()

    # ---- one bookie ------------------------------------------------------------------------------------------

    def start(self, i, *args):
        """Start bookie i from n$i/current, as its operator would; does not wait."""
        return self._spawn(i, [*self._memory(), "-cp", f"n{i}/current/lib/*:log", *self._main(),
                               "--conf", f"n{i}/bk.conf", *args], f"n{i}/out.log")

    def stop(self, i, seconds=STOP_SECONDS):
        """SIGTERM and wait; never SIGKILL."""
        return self._signal(i, signal.SIGTERM, seconds)

    def kill(self, i):
        return self._signal(i, signal.SIGKILL, 10)

    def swap(self, i, version):
        """Relink n$i/current in one rename."""
        new = self.folder / f"n{i}/new"
        os.symlink(f"../rel/{version}", new)
        os.rename(new, self.folder / f"n{i}/current")

    def install(self, version):
        """Put a version's jars beside the others, as rel/VERSION/lib, if they are not there."""
        shutil.copytree(jars.lib(version), self.folder / f"rel/{version}/lib", dirs_exist_ok=True)

    def repoint_data(self, i, store=None):
        """Point n$i/data at store/STORE, made empty if it is new; back to its own with store=f"n{i}"."""
        store = store or f"n{i}-empty"
        (self.folder / "store" / store).mkdir(exist_ok=True)
        link = self.folder / f"n{i}/data.new"
        os.symlink(f"../store/{store}", link)
        os.rename(link, self.folder / f"n{i}/data")

    def lose_data_when_stopped(self, i):
        """repoint_data(i) in the very moment when its process ends, whoever stops it, and so before the next one has
        come as far as its data (a JVM needs 100 ms for that, this some µs); returns a thread to join."""
        ended = os.pidfd_open(self.pid(i))

        def repoint():
            select.select([ended], [], [])
            os.close(ended)
            self.repoint_data(i)
        thread = threading.Thread(target=repoint, daemon=True)
        thread.start()
        return thread

    def wait_up(self, i, read_only=False, seconds=START_SECONDS):
        """Until bookie i stands in its place in ZooKeeper and answers on its port; an early end is a failure.

        It listens before it registers, and registers before it serves: in between it closes every connection.
        """
        pid = self.pid(i)

        def up():
            if pid is None or not alive(pid):
                raise Failed(f"bookie {i} ended while starting: see {self.folder}/n{i}/out.log")
            return i in (self.ro() if read_only else self.rw()) and self.port_owner(i) == pid and self.answers(i)
        wait_for(up, seconds, f"bookie {i} is {'read-only' if read_only else 'read-write'}")

    def pid(self, i):
        """Pid of the process that runs with bookie i's port in its configuration, or None."""
        found = [pid for pid in java_in(self.folder) if self._conf_port(pid) == self.ports[i]]
        if len(found) > 1:
            raise Failed(f"bookie {i} runs more than once: pids {found}")
        return found[0] if found else None

    def port_owner(self, i):
        """Pid of the process that listens on bookie i's port, or None."""
        inodes = {f"socket:[{inode}]" for inode in listening(self.ports[i])}
        return next((pid for pid in java_in(self.folder) if inodes & set(open_files(pid))), None)

    def running_version(self, i):
        """Version of the server jar that the process of bookie i holds open, or None if it does not run."""
        pid = self.pid(i)
        found = {m[1] for f in open_files(pid) if (m := re.search(r"/bookkeeper-server-([^/]+)\.jar$", f))}
        if len(found) > 1:
            raise Failed(f"bookie {i} runs from several versions: {sorted(found)}")
        return found.pop() if found else None

    def answers(self, i):
        """Whether bookie i answers a read, be it that it has no such entry."""
        try:
            self.read_entry(i, 0, 0, 2)
        except (OSError, Failed):
            return False
        return True

    def read_entry(self, i, ledger, entry, seconds=10):
        return read_entry(self.ports[i], ledger, entry, seconds)

    # ---- the cluster, as ZooKeeper knows it ------------------------------------------------------------------

    def zk(self):
        return Zk(self.zk_address)

    def rw(self):
        """Numbers of the bookies that are registered as writable."""
        return self._registered("/ledgers/available")

    def ro(self):
        return self._registered("/ledgers/available/readonly")

    def auditor(self):
        """Number of the bookie whose vote is the lowest, or None."""
        with self.zk() as zk:
            votes = zk.children("/ledgers/underreplication/auditorelection")
            vote = min((v for v in votes if v.startswith("V_")), default=None)
            data = vote and zk.get(f"/ledgers/underreplication/auditorelection/{vote}")
        return self._number(re.search(rb"127\.0\.0\.1:\d+", data)[0].decode()) if data else None

    def autorecovery_disabled(self):
        with self.zk() as zk:
            return zk.exists("/ledgers/underreplication/disable")

    def recovery_delay(self):
        """lostBookieRecoveryDelay in seconds, or None if nobody has set it yet."""
        with self.zk() as zk:
            value = zk.get("/ledgers/underreplication/lostBookieRecoveryDelay")
        return None if value is None else int(value)

    def under_replicated(self):
        """Sorted ids of the ledgers on the under-replicated list."""
        with self.zk() as zk:
            return sorted(int(path.rsplit("/urL", 1)[1]) for path in leaves(zk, "/ledgers/underreplication/ledgers")
                          if "/urL" in path)

    def ledgers(self):
        """Every ledger, from its node in ZooKeeper: /ledgers/L0000000007 (flat, the default of 4.5) or
        /ledgers/00/0000/L0007 (hierarchical, the default since 4.6)."""
        with self.zk() as zk:
            tops = [f"/ledgers/{top}" for top in zk.children("/ledgers") if re.fullmatch(r"L?\d+", top)]
            paths = [path for top in tops for path in (leaves(zk, top) if "/L" not in top else [top])]
            nodes = [(path, zk.get(path)) for path in paths if "/L" in path]
        return [ledger(path, text) for path, text in nodes if text is not None]

    def sample(self, i, most=40):
        """[(ledger, entry)] of closed ledgers that bookie i itself answers now."""
        me, found = f"127.0.0.1:{self.ports[i]}", []
        for one in self.ledgers():
            if one.closed and me in one.bookies:
                for entry in range(one.last_entry + 1):
                    if len(found) == most:
                        return found
                    if self.read_entry(i, one.id, entry)[0] == 0:
                        found.append((one.id, entry))
        return found

    def bksh(self, *args, i=1, seconds=120):
        """Run BookieShell with bookie i's configuration from the version the cluster began with."""
        argv = ["java", "-Xmx128m", *JVM, "-cp", f"rel/{self.version}/lib/*:log",
                "-Dlog4j.configuration=shell.properties", "-Dlog4j2.configurationFile=log/log4j2.properties",
                "org.apache.bookkeeper.bookie.BookieShell", "-conf", f"n{i}/bk.conf", *args]
        return subprocess.run(argv, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds)

    # ---- inside ----------------------------------------------------------------------------------------------

    def _write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _conf(self, i):
        metadata = (f"metadataServiceUri=zk+hierarchical://{self.zk_address}/ledgers" if self.http
                    else f"zkServers={self.zk_address}")
        conf = BK_CONF.format(i=i, port=self.ports[i], metadata=metadata, session_ms=self.session_ms)
        return conf + (HTTP_CONF.format(http=self.http_ports[i]) if self.http else "")

    def _memory(self):
        sizes = ("64m", "192m", "256m") if self.http else ("32m", "128m", "128m")
        return [f"-Xms{sizes[0]}", f"-Xmx{sizes[1]}", f"-XX:MaxDirectMemorySize={sizes[2]}", *JVM]

    def _main(self):
        if self.http:
            return ["-Djava.io.tmpdir=log", "-Dlog4j2.configurationFile=log/log4j2.properties",
                    "org.apache.bookkeeper.server.Main"]
        return ["org.apache.bookkeeper.proto.BookieServer"]

    def _spawn(self, name, args, out):
        with open(self.folder / out, "ab") as log:
            child = subprocess.Popen(["java", *args], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                     stderr=log, start_new_session=True, env=ENVIRONMENT)
        threading.Thread(target=child.wait, daemon=True).start()        # leaves no zombie, whoever ends it
        self._children[child.pid] = child
        # Popen returns when exec has closed its pipe, and that is before /proc shows the new arguments.
        wait_for(lambda: command_line(child.pid) or not alive(child.pid), 10, f"process {child.pid} has its arguments")
        return child.pid

    def _signal(self, i, number, seconds):
        pid = self.pid(i)
        if pid is None:
            raise Failed(f"bookie {i} does not run")
        began = time.monotonic()
        os.kill(pid, number)
        return self._ended(pid, began, seconds)

    def _ended(self, pid, began, seconds):
        wait_for(lambda: not alive(pid), seconds, f"process {pid} ends")
        child, took = self._children.get(pid), time.monotonic() - began
        code = child.wait() if child else None
        return Stop(round(took, 2), 128 - code if code is not None and code < 0 else code)

    def _conf_port(self, pid):
        argv = command_line(pid)
        if "--conf" not in argv[:-1]:
            return None
        try:
            text = (self.folder / argv[argv.index("--conf") + 1]).read_text()
        except OSError:
            return None
        found = re.search(r"^\s*bookiePort\s*=\s*(\d+)", text, re.M)
        return int(found[1]) if found else None

    def _registered(self, path):
        with self.zk() as zk:
            names = zk.children(path)
        return sorted(self._number(name) for name in names if name != "readonly")

    def _number(self, address):
        return {f"127.0.0.1:{port}": i for i, port in self.ports.items()}[address]


@contextlib.contextmanager
def running_cluster(**choices):
    """A running cluster in a temporary folder; nothing of it is left afterwards, however the test ends.

    With KEDGE_TEST_KEEP set the folder (not the processes) outlives the test.
    """
    cluster = Cluster(tempfile.mkdtemp(prefix="kedge-bk-"), **choices)
    cluster.guard()
    try:
        cluster.create()
        cluster.start_all()
        yield cluster
    finally:
        cluster.close()


# ---- what the bookie, ZooKeeper and /proc say -------------------------------------------------------------------

def read_entry(port, ledger, entry, seconds=10):
    """(code, body) of one entry read from the bookie on that port, by one frame of the old binary protocol.

    Code 0: here it is; 1: no such ledger on this bookie; 2: no such entry.  No authentication, no fencing.
    """
    with socket.create_connection(("127.0.0.1", port), seconds) as sock, sock.makefile("rb") as answer:
        sock.sendall(struct.pack(">iBBHqq", 20, 2, 2, 0, ledger, entry))
        head = answer.read(4)
        frame = answer.read(struct.unpack(">i", head)[0]) if len(head) == 4 else b""
    if len(frame) < 24:
        raise Failed(f"port {port} closed the connection instead of answering a read")
    code, got_ledger, got_entry = struct.unpack_from(">iqq", frame, 4)
    if (got_ledger, got_entry) != (ledger, entry):
        raise Failed(f"port {port} answers for {got_ledger}/{got_entry}, asked was {ledger}/{entry}")
    return code, frame[24:]


def four_letters(address, word):
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), 2) as sock:
            sock.sendall(word)
            return sock.makefile("rb").read()
    except OSError:
        return b""


def leaves(zk, path):
    """Paths of the nodes below path that have no children; path itself is none of them."""
    for name in zk.children(path):
        below = list(leaves(zk, f"{path}/{name}"))
        yield from below or [f"{path}/{name}"]


def ledger(path, text):
    """A ledger node: its id is spelt by the path, its content is a text-format protobuf."""
    number = int(re.sub(r"\D", "", path.removeprefix("/ledgers")))
    last = re.search(rb"^lastEntryId: (-?\d+)", text, re.M)
    return Ledger(number, b"state: CLOSED" in text, int(last[1]) if last else -1,
                  {b.decode() for b in re.findall(rb'ensembleMember: "([^"]+)"', text)})


def java_in(folder):
    """Pids of the java processes whose working directory is the folder."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd") == str(folder) \
                    and os.path.basename(os.readlink(f"/proc/{name}/exe")) == "java":
                found.append(int(name))
        except OSError:
            pass
    return found


def end_all_in(folder):
    while pids := java_in(folder):
        for pid in pids:
            end_process(pid)


def end_process(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(lambda: not alive(pid), 10, f"process {pid} ends")


def alive(pid):
    """Does the process run? One that only waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return [arg.decode(errors="replace") for arg in f.read().split(b"\0")[:-1]]
    except OSError:
        return []


def open_files(pid):
    """Targets of the open files of a process; of none if there is no process."""
    files = []
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            files.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        pass
    return files


def listening(port):
    """Inodes of the sockets that listen on a port."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as f:
            for fields in map(str.split, f.readlines()[1:]):
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes


def free_ports(count, wanted=()):
    """Ports on which nobody listens now; each of the wanted ones in its place if it is one."""
    ports = []
    while len(ports) < count:
        port = wanted[len(ports)] if len(ports) < len(wanted) else 0
        while port in ports or not is_free(port):
            port = random.randrange(*PORTS)
        ports.append(port)
    return ports


def is_free(port):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port != 0


if __name__ == "__main__" and sys.argv[1:2] == ["--janitor"]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()             # ends when the test does
    end_all_in(sys.argv[2])
    if not os.environ.get("KEDGE_TEST_KEEP"):
        shutil.rmtree(sys.argv[2], ignore_errors=True)
