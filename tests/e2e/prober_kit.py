"""What tests of the prober need: gates and probes as the bytes that the executor sends, the prober as a process, and
servers that answer as they are told, a ZooKeeper without a JVM among them."""
import os
import socket
import struct
import subprocess
import threading
import time
from typing import NamedTuple

PROBER = os.path.join(os.environ["KEDGE_BUILD"], "agent/prober/kedge-prober")

HTTP, TCP, ZK_EXISTS, ZK_GET, ZK_CHILDREN, ZK_LEAVES, FILE, LOG, COMMAND, COMMAND_EXIT, ZK_FIRST = range(11)
PRESENT, ABSENT, AT_LEAST, NONE_NEW, EQUALS, ALL_IN = range(6)
YES, NO, UNKNOWN = range(3)
GATE, CAPTURE, COMPARE, INSTANCE = range(4)


# ---- documents: protobuf by hand, canonical (fields in order) ----

def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def fields(*pairs):
    """(number, value): int or bool as varint, text and bytes by length; None is absent, a list is repeated."""
    out = b""
    for number, value in pairs:
        for one in value if isinstance(value, list) else [] if value is None else [value]:
            one = one.encode() if isinstance(one, str) else one
            if isinstance(one, int):
                out += varint(number << 3) + varint(int(one))
            else:
                out += varint(number << 3 | 2) + varint(len(one)) + one
    return out


def probe(kind, target=None, path=None, send=None, match=None, timeout_ms=3000):
    return fields((1, kind), (2, target), (3, path), (4, send), (5, match), (7, timeout_ms))


def check(of, rule=PRESENT, values=(), count=None, exclude_self=None, otherwise=NO, says="not so: {items}"):
    return fields((1, of), (2, rule), (3, count), (4, list(values)), (5, exclude_self), (6, otherwise), (7, says))


def sample(source, target, request=b"", answer=b"", filter=None, filter_any=(), per_object=1, limit=40, minimum=20,
           timeout_ms=3000):
    return fields((1, source), (2, filter), (3, list(filter_any)), (4, target), (5, request), (6, answer),
                  (7, per_object), (8, limit), (9, minimum), (10, timeout_ms))


def gate(*checks, sample=None):
    return fields((1, "gate"), (2, 0), (3, list(checks)), (4, sample), (5, 0), (6, 1000))


# ---- the process ----

class Reply(NamedTuple):
    id: int
    answer: int
    age_us: int
    reason: str
    blob: bytes


class Prober:
    def __init__(self, *options):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(30)

        def take_3():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)
        self.process = subprocess.Popen([PROBER, *options], preexec_fn=take_3, pass_fds=(3,), stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env={**os.environ, "http_proxy": "http://127.0.0.1:1"})
        theirs.close()
        self.last_id, self.early = 0, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        said = self.process.communicate(timeout=20)[1]
        assert (self.process.returncode, said) == (0, b"")

    def send(self, kind, document, self_name="", log=("", 0), blob=b""):
        self.last_id += 1

        def part(data):
            return struct.pack(">I", len(data)) + data
        self.sock.send(struct.pack(">IB", self.last_id, kind) + part(document) + part(self_name.encode()) +
                       struct.pack(">I", 0) + part(log[0].encode()) + struct.pack(">Q", log[1]) + part(blob))
        return self.last_id

    def receive(self, id):
        while id not in self.early:
            data = self.sock.recv(1 << 20)
            assert data, "the prober is gone"
            number, answer, age_us, length = struct.unpack_from(">IBQI", data)
            reason, rest = data[17:17 + length].decode(), data[17 + length:]
            assert len(rest) == 4 + struct.unpack_from(">I", rest)[0]
            self.early[number] = Reply(number, answer, age_us, reason, rest[4:])
        return self.early.pop(id)

    def ask(self, kind, document, **more):
        return self.receive(self.send(kind, document, **more))

    def gate(self, *checks, **more):
        return self.ask(GATE, gate(*checks), **more)

    def check(self, of, rule=PRESENT, *, self_name="", log=("", 0), **more):
        return self.gate(check(of, rule, **more), self_name=self_name, log=log)

    def private_kib(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Private"))


# ---- servers ----

class TcpServer:
    """Calls `serve(connection)` for every connection, each in a thread."""

    def __init__(self, serve, port=0, host="127.0.0.1"):
        self.serve, self.connections, self.n_accepted = serve, [], 0
        self.listener = socket.create_server((host, port))
        self.port = self.listener.getsockname()[1]
        self.address = f"{host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n_accepted += 1
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def stop(self):
        """Refuses from now on, and breaks what is open."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def receive_exactly(connection, n):
    data = b""
    while len(data) < n:
        more = connection.recv(n - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return data


class HttpServer(TcpServer):
    """`pages`: path -> body, (status, body), or raw bytes of a whole response. Keeps connections open."""

    def __init__(self, pages, **more):
        self.pages, self.n_requests = pages, 0
        super().__init__(self._serve, **more)
        self.url = f"http://{self.address}"

    def _serve(self, connection):
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                more = connection.recv(65536)
                if not more:
                    return
                rest += more
            head, rest = rest.split(b"\r\n\r\n", 1)
            self.n_requests += 1
            page = self.pages.get(head.split()[1].decode(), (404, "no such page\n"))
            page = page() if callable(page) else page
            if isinstance(page, bytes):
                connection.sendall(page)
                return
            status, body = page if isinstance(page, tuple) else (200, page)
            body = body.encode() if isinstance(body, str) else body
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nLocation: http://127.0.0.1:1/\r\n\r\n" %
                               (status, len(body)) + body)


class ZooKeeper(TcpServer):
    """Enough of a server for reads and single writes: `nodes` maps paths to contents. `log` notes every operation with its
    path. Before a write, `before_write()` is called; what it raises ends the connection."""
    CREATE, EXISTS, GET, SET, CHILDREN, SYNC, PING, CLOSE = 1, 3, 4, 5, 8, 9, 11, -11
    NO_NODE, NO_AUTH, NODE_EXISTS, EXPIRED = -101, -102, -110, -112

    def __init__(self, nodes, **more):
        self.nodes, self.log, self.hangs, self.secret, self.before_write = nodes, [], False, set(), lambda: None
        super().__init__(self._serve, **more)

    def children(self, path):
        top = path.rstrip("/") + "/"
        return {node[len(top):].split("/")[0] for node in self.nodes if node.startswith(top) and len(node) > len(top)}

    def exists(self, path):
        return path == "/" or path in self.nodes or bool(self.children(path))

    def _serve(self, connection):
        receive_exactly(connection, struct.unpack(">I", receive_exactly(connection, 4))[0])
        self._reply(connection, struct.pack(">iiqi", 0, 10000, 7, 16) + b"p" * 16)
        while True:
            request = receive_exactly(connection, struct.unpack(">I", receive_exactly(connection, 4))[0])
            xid, operation = struct.unpack_from(">ii", request)
            path = request[12:12 + struct.unpack_from(">i", request, 8)[0]].decode() if len(request) > 12 else ""
            if operation != self.PING:
                self.log.append((operation, path))
            while self.hangs:
                time.sleep(0.01)
            if operation in (self.SET, self.CREATE):
                self.before_write()
            error, body = self._answer(operation, path, request[12 + len(path.encode()):])
            self._reply(connection, struct.pack(">iqi", xid, 1, error) + body)
            if operation == self.CLOSE:
                return

    @staticmethod
    def _value(rest):
        return rest[4:4 + struct.unpack_from(">i", rest)[0]]

    def _reply(self, connection, data):
        connection.sendall(struct.pack(">I", len(data)) + data)

    def _answer(self, operation, path, rest):
        def buffer(data):
            return struct.pack(">i", len(data)) + data
        stat = struct.pack(">qqqqiiiqiiq", *[0] * 11)
        if operation in (self.PING, self.CLOSE):
            return 0, b""
        if operation == self.SYNC:
            return 0, buffer(path.encode())
        if path in self.secret:
            return self.NO_AUTH, b""
        if operation == self.CREATE:
            if self.exists(path):
                return self.NODE_EXISTS, b""
            self.nodes[path] = self._value(rest)
            return 0, buffer(path.encode())
        if not self.exists(path):
            return self.NO_NODE, b""
        if operation == self.SET:
            self.nodes[path] = self._value(rest)
        if operation in (self.EXISTS, self.SET):
            return 0, stat
        if operation == self.GET:
            return 0, buffer(self.nodes.get(path, b"")) + stat
        names = list(self.children(path))  # in no order, as the real one
        return 0, struct.pack(">i", len(names)) + b"".join(buffer(name.encode()) for name in names)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
