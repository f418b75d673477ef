"""go-libp2p: starts the daemon `p2pd` on loopback and talks to its control socket. Standard library only.

The control protocol is one protobuf message with a uvarint length per request, on a Unix socket; a connection that asked
for a stream becomes that stream.
"""

import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from patience import PATIENCE
from wire import (
    base58, bytes_field, fields, from_base58, multiaddr, multiaddr_text, number_field, read_uvarint, uvarint,
    with_peer,
)

BINARY = os.environ.get("P2PD") or str(pathlib.Path(__file__).parent.parent / ".tools/p2pd")

# In front of a command: the kernel ends it when this process is killed.
ENDS_WITH_US = ["setpriv", "--pdeathsig", "TERM", "--"]

# Requests by number, field 1 of each.
IDENTIFY, CONNECT, STREAM_OPEN, STREAM_HANDLER, DHT, LIST_PEERS, _, DISCONNECT, PUBSUB = range(9)
TOPICS, TOPIC_PEERS, PUBLISH, SUBSCRIBE = range(4)
FIND_PEER, _, FIND_PROVIDERS, GET_CLOSEST, _, GET_VALUE, _, PUT_VALUE, PROVIDE = range(9)
DHT_END = 2

ECHO, XFER = "/harness/echo/1.0.0", "/harness/xfer/1.0.0"
PING, ID = "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"
BLOCK = memoryview(bytes(1 << 18))


class Refused(Exception):
    """The daemon answered with an error."""


class Pipe:
    """A connected socket with exact reads and length-prefixed messages."""

    def __init__(self, connected):
        self.socket = connected

    @classmethod
    def to(cls, path, timeout=PATIENCE):
        connected = socket.socket(socket.AF_UNIX)
        connected.settimeout(timeout)
        connected.connect(path)
        return cls(connected)

    def send(self, data):
        self.socket.sendall(data)

    def exact(self, count):
        out = bytearray()
        while len(out) < count:
            part = self.socket.recv(count - len(out))
            if not part:
                raise EOFError(f"{len(out)} of {count} bytes, then the end")
            out += part
        return bytes(out)

    def drop(self, count):
        """Reads and forgets `count` bytes."""
        buffer = bytearray(1 << 18)
        while count > 0:
            got = self.socket.recv_into(buffer, min(count, len(buffer)))
            if not got:
                raise EOFError(f"{count} bytes short")
            count -= got

    def fill(self, count):
        """Sends `count` zero bytes."""
        while count > 0:
            count -= self.socket.send(BLOCK[: min(count, len(BLOCK))])

    def to_end(self):
        out = bytearray()
        while part := self.socket.recv(65536):
            out += part
        return bytes(out)

    def send_message(self, message):
        self.send(uvarint(len(message)) + message)

    def message(self):
        size = shift = 0
        while True:
            byte = self.exact(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return self.exact(size)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class GoPeer:
    """One go-libp2p daemon with its streams served: echo and xfer. Stop it with `stop` or as a context manager."""

    def __init__(self, name="go", pubsub=True, dht=False, heartbeat="200ms", memory_mib=None):
        self.folder = tempfile.mkdtemp(prefix=f"{name}-")
        self.control = f"{self.folder}/control"
        command = [
            *ENDS_WITH_US, BINARY, "-q", "-listen", f"/unix{self.control}", "-hostAddrs", "/ip4/127.0.0.1/tcp/0",
            "-relay=false", "-relayService=false",
        ]  # fmt: skip
        if pubsub:
            command += [
                "-pubsub", f"-gossipsubHeartbeatInterval={heartbeat}", f"-gossipsubHeartbeatInitialDelay={heartbeat}",
            ]  # fmt: skip
        if dht:
            command += ["-dhtServer"]
        self.log = f"{self.folder}/log"
        self.listeners = []
        # Go's collector keeps to this bound as long as it can.
        environment = {**os.environ, **({"GOMEMLIMIT": f"{memory_mib}MiB", "GOGC": "50"} if memory_mib else {})}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            self.id, addresses = self._first_answer()
            self.addresses = [with_peer(address, self.id) for address in addresses]
            self.address = self.addresses[0]
            self.serve(ECHO, serve_echo)
            self.serve(XFER, serve_xfer)
        except BaseException:
            self.stop()
            raise

    def _first_answer(self):
        deadline = time.monotonic() + PATIENCE
        while True:  # the socket's file appears a moment before the daemon accepts on it
            try:
                return self.identify()
            except (FileNotFoundError, ConnectionRefusedError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"p2pd did not start: {open(self.log, errors='replace').read()[-2000:]}") from None
                time.sleep(0.01)

    def stop(self):
        for listener in self.listeners:
            listener.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # Requests

    def _open(self, kind, body=b"", timeout=PATIENCE):
        pipe = Pipe.to(self.control, timeout)
        try:
            pipe.send_message(number_field(1, kind) + body)
            answer = fields(pipe.message())
        except BaseException:
            pipe.close()
            raise
        if answer[1][0] != 0:
            pipe.close()
            raise Refused(fields(answer[2][0])[1][0].decode() if 2 in answer else "error without a text")
        return pipe, answer

    def _ask(self, kind, body=b""):
        pipe, answer = self._open(kind, body)
        pipe.close()
        return answer

    def identify(self):
        found = fields(self._ask(IDENTIFY)[4][0])
        return base58(found[1][0]), [multiaddr_text(address) for address in found.get(2, [])]

    def connect(self, address, timeout=PATIENCE):
        """Dials an address that ends in /p2p/ID."""
        base, peer = address.rsplit("/p2p/", 1)
        body = bytes_field(1, from_base58(peer)) + bytes_field(2, multiaddr(base)) + number_field(3, timeout)
        self._ask(CONNECT, bytes_field(2, body))

    def disconnect(self, peer):
        self._ask(DISCONNECT, bytes_field(7, bytes_field(1, from_base58(peer))))

    def peers(self):
        return [base58(fields(entry)[1][0]) for entry in self._ask(LIST_PEERS).get(6, [])]

    # Streams

    def stream(self, peer, protocol, timeout=PATIENCE):
        """A Pipe that is a stream to the peer."""
        body = bytes_field(1, from_base58(peer)) + bytes_field(2, protocol) + number_field(3, timeout)
        pipe, answer = self._open(STREAM_OPEN, bytes_field(3, body))
        chosen = fields(answer[3][0])[3][0].decode()
        if chosen != protocol:
            raise Refused(f"asked for {protocol}, was given {chosen}")
        return pipe

    def serve(self, protocol, handler):
        """Calls handler(pipe) in a thread of its own for each stream that a peer opens."""
        path = f"{self.folder}/handler-{len(self.listeners)}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(256)
        self.listeners.append(listener)

        def one(connection):
            with Pipe(connection) as pipe:
                try:
                    pipe.message()  # who opened it
                    handler(pipe)
                except (OSError, EOFError):
                    pass

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        # Field 3, `balanced`, is required by this daemon.
        self._ask(STREAM_HANDLER, bytes_field(4, bytes_field(1, multiaddr("/unix" + path)) + bytes_field(2, protocol) + number_field(3, 0)))

    def ping(self, peer, count=5):
        """Round trips in milliseconds."""
        trips = []
        with self.stream(peer, PING) as pipe:
            for _ in range(count):
                payload = os.urandom(32)
                started = time.perf_counter()
                pipe.send(payload)
                if pipe.exact(32) != payload:
                    raise ValueError("a ping came back changed")
                trips.append((time.perf_counter() - started) * 1e3)
        return trips

    def ask_identify(self, peer):
        """What the peer says about itself, asked for on a stream of its own."""
        with self.stream(peer, ID) as pipe:
            data = pipe.to_end()
        merged = b""
        while data:
            size, at = read_uvarint(data)
            merged, data = merged + data[at : at + size], data[at + size :]
        found = fields(merged)
        return {
            "protocols": [name.decode() for name in found.get(3, [])],
            "listen": [multiaddr_text(address) for address in found.get(2, [])],
            "observed": multiaddr_text(found.get(4, [b""])[-1]),
            "agent": found.get(6, [b""])[-1].decode(),
            "pubkey": found.get(1, [b""])[-1].hex(),
        }

    def echo(self, peer, size):
        """True when `size` random bytes came back as they went."""
        payload = os.urandom(size)
        with self.stream(peer, ECHO) as pipe:
            writer = threading.Thread(target=pipe.send, args=(payload,), daemon=True)
            writer.start()
            same = pipe.exact(size) == payload
            writer.join()
        return same

    def xfer(self, peer, up, down):
        """Seconds that `up` bytes to the peer and `down` bytes from it took."""
        with self.stream(peer, XFER) as pipe:
            started = time.perf_counter()
            pipe.send(struct.pack(">QQ", up, down))
            pipe.fill(up)
            pipe.drop(1)
            between = time.perf_counter()
            pipe.drop(down)
            return between - started, time.perf_counter() - between

    # Gossip

    def subscribe(self, topic):
        """A Subscription; the daemon joins the topic before this returns."""
        pipe, _ = self._open(PUBSUB, bytes_field(8, number_field(1, SUBSCRIBE) + bytes_field(2, topic)))
        return Subscription(pipe)

    def publish(self, topic, data):
        """Without data (None) the message has no such field."""
        body = number_field(1, PUBLISH) + bytes_field(2, topic) + (b"" if data is None else bytes_field(3, data))
        self._ask(PUBSUB, bytes_field(8, body))

    def topic_peers(self, topic):
        answer = self._ask(PUBSUB, bytes_field(8, number_field(1, TOPIC_PEERS) + bytes_field(2, topic)))
        return [base58(peer) for peer in fields(answer.get(7, [b""])[0]).get(2, [])]

    # Kademlia

    def _dht(self, kind, body, timeout=PATIENCE):
        answer = self._ask(DHT, bytes_field(5, number_field(1, kind) + body + number_field(7, timeout)))
        return fields(answer.get(5, [b""])[0])

    def _dht_stream(self, kind, body, timeout=PATIENCE):
        pipe, _ = self._open(DHT, bytes_field(5, number_field(1, kind) + body + number_field(7, timeout)))
        with pipe:
            while True:
                found = fields(pipe.message())
                if found.get(1, [0])[0] == DHT_END:
                    return
                yield found

    def find_peer(self, peer, timeout=PATIENCE):
        """The peer's addresses."""
        found = fields(self._dht(FIND_PEER, bytes_field(2, from_base58(peer)), timeout)[2][0])
        return [multiaddr_text(address) for address in found.get(2, [])]

    def provide(self, multihash, timeout=PATIENCE):
        self._dht(PROVIDE, bytes_field(3, cid(multihash)), timeout)

    def find_providers(self, multihash, count=50, timeout=PATIENCE):
        """Peer -> addresses."""
        body = bytes_field(3, cid(multihash)) + number_field(6, count)
        found = [fields(answer[2][0]) for answer in self._dht_stream(FIND_PROVIDERS, body, timeout)]
        return {base58(peer[1][0]): [multiaddr_text(address) for address in peer.get(2, [])] for peer in found}

    def closest(self, key, timeout=PATIENCE):
        return [base58(found[3][0]) for found in self._dht_stream(GET_CLOSEST, bytes_field(4, key) + number_field(6, 20), timeout)]

    def put_value(self, key, value, timeout=PATIENCE):
        self._dht(PUT_VALUE, bytes_field(4, key) + bytes_field(5, value), timeout)

    def get_value(self, key, timeout=PATIENCE):
        return self._dht(GET_VALUE, bytes_field(4, key), timeout)[3][0]

    # Cost

    def memory_kib(self):
        """Resident memory."""
        return int(next(line for line in open(f"/proc/{self.process.pid}/status") if line.startswith("VmRSS")).split()[1])

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)


class Subscription:
    def __init__(self, pipe):
        self.pipe = pipe

    def next(self, timeout=PATIENCE):
        """The next message: sender, data, bytes of its signature."""
        self.pipe.socket.settimeout(timeout)
        found = fields(self.pipe.message())
        return {
            "from": base58(found[1][0]) if 1 in found else None,
            "data": found.get(2, [b""])[0],
            "signature_bytes": len(found.get(5, [b""])[0]),
        }

    def close(self):
        self.pipe.close()


def cid(multihash):
    """A CID of raw bytes with this multihash (CIDv1)."""
    return b"\x01\x55" + multihash


def serve_echo(pipe):
    while part := pipe.socket.recv(65536):
        pipe.send(part)


def serve_xfer(pipe):
    """16 bytes say how many bytes come up and how many shall go down; one byte acknowledges the first part.

    The daemon's pipe closes both ways as soon as one way ends, so a protocol that needs a half-close can't pass through it.
    """
    up, down = struct.unpack(">QQ", pipe.exact(16))
    pipe.drop(up)
    pipe.send(b"\1")
    pipe.fill(down)
    pipe.socket.recv(1)  # the dialer closes first


def cpu_seconds(pid):
    """User and system time that the process has used."""
    stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
