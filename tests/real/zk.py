"""A ZooKeeper client that can only look: connect, sync, get, exists, children.

The tests look at the cluster with it, so that what Kedge says is never checked by Kedge's own code, and no JVM is
started for a look.  One short session per client; a session that was lost is simply opened again, because a read
may be asked twice.  Numbers from ZooKeeper's jute definitions (zookeeper.jute, ZooDefs.OpCode).
"""

import socket
import struct
from typing import NamedTuple

EXISTS, GET, SYNC, CHILDREN, CLOSE = 3, 4, 9, 8, -11
NO_NODE = -101
SESSION_MS = 10_000
REPLY_MAX = 16 << 20
NO_WATCH = b"\0"


class ZkError(Exception):
    pass


class Stat(NamedTuple):
    czxid: int
    mzxid: int
    ctime_ms: int
    mtime_ms: int
    version: int
    cversion: int
    aversion: int
    ephemeral_owner: int
    length: int
    n_children: int
    pzxid: int


class Zk:
    """`with Zk("127.0.0.1:2181") as zk: zk.children("/")`; every read is preceded by a sync of its path."""

    def __init__(self, address, timeout=10):
        host, port = address.rsplit(":", 1)
        self._peer, self._timeout = (host, int(port)), timeout
        self._sock, self._xid = None, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def get(self, path):
        """Content of a node, or None if there is no such node."""
        reply = self._read(GET, path)
        return None if reply is None else _buffer(reply, 0)[0]

    def stat(self, path):
        """Stat of a node, or None if there is no such node."""
        reply = self._read(EXISTS, path)
        return None if reply is None else Stat(*struct.unpack_from(">qqqqiiiqiiq", reply))

    def exists(self, path):
        return self.stat(path) is not None

    def children(self, path):
        """Sorted names of a node's children; an absent node has none."""
        reply = self._read(CHILDREN, path)
        if reply is None:
            return []
        (count,), at, names = struct.unpack_from(">i", reply), 4, []
        for _ in range(count):
            name, at = _buffer(reply, at)
            names.append(name.decode())
        return sorted(names)

    def close(self):
        if self._sock is not None:
            try:
                self._ask(CLOSE, b"")
            except (OSError, ZkError):
                pass
            self._drop()

    # ---- one request -----------------------------------------------------------------------------------------

    def _read(self, op, path):
        for attempt in (1, 2):
            try:
                if self._sock is None:
                    self._open()
                self._ask(SYNC, _string(path))
                return self._ask(op, _string(path) + NO_WATCH)
            except OSError as error:
                self._drop()
                if attempt == 2:
                    raise ZkError(f"ZooKeeper at {self._peer[0]}:{self._peer[1]} does not answer: {error}") from error
        return None

    def _ask(self, op, body):
        self._xid += 1
        self._send(struct.pack(">ii", self._xid, op) + body)
        while True:
            reply = self._receive()
            xid, _, error = struct.unpack_from(">iqi", reply)
            if xid == self._xid:
                break
        if error == NO_NODE:
            return None
        if error:
            raise ZkError(f"ZooKeeper answers error {error} to operation {op}")
        return reply[16:]

    # ---- the connection --------------------------------------------------------------------------------------

    def _open(self):
        self._sock = socket.create_connection(self._peer, self._timeout)
        self._send(struct.pack(">iqiqi16s?", 0, 0, SESSION_MS, 0, 16, b"", False))
        _, timeout_ms, session = struct.unpack_from(">iiq", self._receive())
        if timeout_ms <= 0 or session == 0:
            raise ZkError("ZooKeeper refused the session")

    def _drop(self):
        if self._sock is not None:
            self._sock.close()
        self._sock, self._xid = None, 0

    def _send(self, frame):
        self._sock.sendall(struct.pack(">i", len(frame)) + frame)

    def _receive(self):
        (length,) = struct.unpack(">i", self._exactly(4))
        if not 0 <= length <= REPLY_MAX:
            raise ZkError(f"ZooKeeper sent a frame of {length} bytes")
        return self._exactly(length)

    def _exactly(self, n):
        got = b""
        while len(got) < n:
            part = self._sock.recv(n - len(got))
            if not part:
                raise ConnectionResetError("it closed the connection")
            got += part
        return got


def _string(text):
    raw = text.encode()
    return struct.pack(">i", len(raw)) + raw


def _buffer(reply, at):
    (length,) = struct.unpack_from(">i", reply, at)
    length = max(length, 0)                 # -1 is jute's null
    return reply[at + 4:at + 4 + length], at + 4 + length
