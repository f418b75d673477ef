"""The contract of libp2p's test-plans/transport-interop, and the Redis server that its two parties meet at.

A party reads transport, security, muxer, is_dialer, ip, redis_addr and test_timeout_seconds from its environment. The
listener pushes its multiaddr to the list `listenerAddr`; the dialer pops it, connects, pings once and prints one JSON line.
"""

import dataclasses
import os
import socket
import subprocess
import tempfile
import time

from p2pd import ENDS_WITH_US
from patience import PATIENCE
from wire import free_port

HANDSHAKE = "handshakePlusOneRTTMillis"
PING = "pingRTTMilllis"  # spelt so in the contract


def result(handshake, ping):
    return {HANDSHAKE: handshake, PING: ping}


def environment(is_dialer, redis, timeout=PATIENCE):
    return {
        "transport": "tcp",
        "security": "noise",
        "muxer": "yamux",
        "is_dialer": "true" if is_dialer else "false",
        "ip": "127.0.0.1",
        "redis_addr": redis,
        "test_timeout_seconds": str(timeout),
    }


@dataclasses.dataclass
class Plan:
    is_dialer: bool
    ip: str
    redis: str
    timeout: float

    @classmethod
    def from_environment(cls):
        spoken = (os.environ["transport"], os.environ["security"], os.environ["muxer"])
        if spoken != ("tcp", "noise", "yamux"):
            raise SystemExit(f"this party speaks tcp, noise and yamux, not {spoken}")
        return cls(
            os.environ["is_dialer"] == "true",
            os.environ.get("ip", "0.0.0.0"),
            os.environ.get("redis_addr", "redis:6379"),
            float(os.environ.get("test_timeout_seconds", "180")),
        )


class Redis:
    """A client for the two commands that the test needs."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)
        self.stream = self.socket.makefile("rb")

    def ask(self, *words, timeout=PATIENCE):
        self.socket.settimeout(timeout)
        parts = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def _reply(self):
        line = self.stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:].decode()
        if kind == b"-":
            raise OSError(rest)
        if kind == b"$":
            return None if rest == "-1" else self.stream.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return None if rest == "-1" else [self._reply() for _ in range(int(rest))]
        return rest

    def push(self, key, value):
        self.ask("RPUSH", key, value)

    def pop(self, key, timeout):
        """Waits for an element and takes it."""
        found = self.ask("BLPOP", key, str(int(timeout)), timeout=timeout + 5)
        if not found:
            raise TimeoutError(f"nothing in {key} within {timeout} s")
        return found[1]


class RedisServer:
    """A Redis of our own on a free loopback port, without a file."""

    def __init__(self):
        self.address = f"127.0.0.1:{free_port()}"
        self.folder = tempfile.TemporaryDirectory(prefix="redis-")
        port = self.address.rsplit(":", 1)[1]
        self.process = subprocess.Popen(
            [
                *ENDS_WITH_US, "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
                "--dir", self.folder.name,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                Redis(self.address).ask("PING")
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()
