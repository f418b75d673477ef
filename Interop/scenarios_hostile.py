"""Peers that break the rules: the peer under test closes within its limit, says why, and goes on serving others."""

import random
import socket
import struct
import threading
import time

from harness import Ours, check, eventually, scenario
from hostile import (
    DATA, ECHO, FIN, GO_AWAY, MESHSUB, MULTISTREAM, NOISE, PING, RST, SYN, WINDOW_UPDATE, Connection, Ended, Identity, Listener, Tamper,
    line,
)  # fmt: skip
from patience import PATIENCE
from peer import PeerError
from wire import uvarint

MIB = 1 << 20
# What a peer that is lied to about a length may use beyond what it used before, in KiB.
SLACK_KIB = 48 * 1024


def still_serves(ours):
    """A well-behaved stranger gets its ping answered."""
    with Connection.dial(ours.address) as good:
        good.upgrade()
        check(good.remote_id == ours.id, "the peer under test proved another identity")
        good.ping()


def closed(connection, act):
    """Lets `act` misbehave on the connection, then waits for the other side to close it."""
    try:
        act(connection)
    except (Ended, BrokenPipeError, ConnectionResetError):
        pass  # closed while we were still at it
    return connection.seconds_until_closed(PATIENCE)


def they_dial(name, reason=True):
    """Registers what a hostile dialer does to a fresh connection; it has to be closed at once."""

    def register(act):
        def run():
            with Ours() as ours:
                before = ours.reasons()
                with Connection.dial(ours.address) as connection:
                    closed(connection, act)
                if reason:
                    why = str(ours.wait_for_reason(before))
                    print("  # " + why)
                    check("timeout" not in why, "it was closed for its silence, not for what it did")
                still_serves(ours)

        scenario(f"hostile/{name}")(run)
        return act

    return register


def we_dial(name, expected=None):
    """Registers what a hostile listener does; our attempt to connect has to fail."""

    def register(act):
        def run():
            with Ours() as ours, Listener() as listener:
                address = listener.address
                if expected:
                    address = address.rsplit("/", 1)[0] + "/" + expected.id
                started = time.monotonic()
                waiting = ours.start("connect", addr=address)
                with listener.accept() as connection:
                    try:
                        act(connection)
                    except (Ended, OSError):
                        pass
                    try:
                        ours.finish(waiting, "connect")
                    except PeerError as problem:
                        print(f"  # {problem} ({time.monotonic() - started:.1f} s)")
                        check("no answer within" not in str(problem), "the dial had not failed")
                    else:
                        raise AssertionError("the connection was accepted")
                    check(ours("peers")["peers"] == [], "a refused peer is listed as connected")
                still_serves(ours)

        scenario(f"hostile/{name}")(run)
        return act

    return register


def stream_or_connection_ends(connection, stream):
    """Reads until the stream is reset or closed, or the connection is."""
    deadline = time.monotonic() + PATIENCE
    connection.socket.settimeout(PATIENCE)
    try:
        while time.monotonic() < deadline:
            kind, flags, id, *_ = connection.next_frame()
            if kind == GO_AWAY or (id == stream and flags & (RST | FIN)):
                return
    except Ended:
        return
    except TimeoutError:
        pass
    raise TimeoutError(f"neither the stream nor the connection had ended after {PATIENCE} s")


# Before there is a key


@they_dial("multistream-garbage")
def _(connection):
    # Longer than the length that its first letter stands for, so that nobody may wait for more.
    connection.send_raw(b"GET /status HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a-browser/1.0\r\nAccept: */*\r\n\r\n")


@they_dial("multistream-length-huge")
def _(connection):
    connection.send_raw(uvarint(1 << 31) + b"/multistream/1.0.0\n")


@they_dial("multistream-length-endless")
def _(connection):
    connection.send_raw(b"\xff" * 32)


@they_dial("multistream-line-too-long")
def _(connection):
    connection.send_raw(line(MULTISTREAM) + line("/" + "x" * 70_000))


@they_dial("half-closed", reason=False)
def _(connection):
    connection.send_raw(line(MULTISTREAM)[:7])
    connection.socket.shutdown(socket.SHUT_WR)


# The handshake


@they_dial("noise-bad-signature")
def _(connection):
    connection.secure(Tamper(signature=True))


@they_dial("noise-bad-tag")
def _(connection):
    connection.secure(Tamper(tag=True))


@they_dial("noise-payload-garbage")
def _(connection):
    connection.secure(Tamper(payload=b"\xff" * 200))


@they_dial("noise-payload-empty")
def _(connection):
    connection.secure(Tamper(payload=b""))


@they_dial("noise-ephemeral-short")
def _(connection):
    connection.secure(Tamper(ephemeral=b"short"))


@they_dial("noise-ephemeral-low-order")
def _(connection):
    connection.secure(Tamper(ephemeral=bytes(32)))


@they_dial("noise-garbage")
def _(connection):
    connection.negotiate(NOISE)
    connection.send_noise(random.Random(1).randbytes(4096))  # its first 32 bytes may pass for a key
    connection.receive_noise()
    connection.send_noise(random.Random(1).randbytes(4096))


@we_dial("noise-wrong-peer-id", expected=Identity(b"somebody else"))
def _(connection):
    connection.secure()


@we_dial("noise-bad-signature-listener")
def _(connection):
    connection.secure(Tamper(signature=True))


@we_dial("noise-bad-tag-listener")
def _(connection):
    connection.secure(Tamper(tag=True))


@we_dial("garbage-listener")
def _(connection):
    connection.send_raw(random.Random(2).randbytes(4096))


# Behind the handshake


@they_dial("noise-frame-garbage")
def _(connection):
    connection.upgrade()
    connection.send_noise(random.Random(3).randbytes(1000))


@they_dial("noise-frame-empty")
def _(connection):
    connection.upgrade()
    connection.send_noise(b"")


@they_dial("yamux-version")
def _(connection):
    connection.upgrade()
    connection.frame(WINDOW_UPDATE, SYN, 1, 0, version=1)


@they_dial("yamux-type-unknown")
def _(connection):
    connection.upgrade()
    connection.frame(9, 0, 1, 0)


@they_dial("yamux-parity")
def _(connection):
    connection.upgrade()
    connection.frame(WINDOW_UPDATE, SYN, 2, 0)


@they_dial("yamux-frame-beyond-window")
def _(connection):
    connection.upgrade()
    connection.open_stream(1, ECHO)
    connection.frame(DATA, 0, 1, 0x7FFFFFFF)


@they_dial("yamux-window-overrun")
def _(connection):
    """Nothing of the echo is read, so no more than the window is granted; all the same, more is sent."""
    connection.upgrade()
    connection.open_stream(1, ECHO)
    block = bytes(65536)
    for _ in range(640):
        connection.write(1, block)


# Wrong lengths inside a stream end at least the stream, and cost no memory


def lying_length(name, protocol):
    def run():
        with Ours() as ours:
            still_serves(ours)  # whatever the first peer costs is spent
            before = ours("rss")["kib"]
            with Connection.dial(ours.address) as connection:
                connection.upgrade()
                if protocol:
                    connection.open_stream(1, protocol)
                else:
                    connection.frame(WINDOW_UPDATE, SYN, 1, 0)
                connection.write(1, uvarint(1 << 40) + bytes(1000))
                stream_or_connection_ends(connection, 1)
                used = ours("rss")["kib"] - before
                check(used < SLACK_KIB, f"{used} KiB more memory for a length that was only claimed")
            still_serves(ours)

    scenario(f"hostile/{name}")(run)


lying_length("message-length-gossip", MESHSUB)
lying_length("message-length-identify-push", "/ipfs/id/push/1.0.0")
lying_length("message-length-negotiation", None)


@scenario("hostile/stream-flood")
def _():
    with Ours() as ours:
        still_serves(ours)
        before = ours("rss")["kib"]
        with Connection.dial(ours.address) as connection:
            connection.upgrade()
            try:
                for number in range(20_000):
                    connection.frame(WINDOW_UPDATE, SYN, 2 * number + 1, 0)
            except (Ended, TimeoutError):
                pass
            still_serves(ours)
            used = ours("rss")["kib"] - before
            check(used < SLACK_KIB, f"{used} KiB more memory for streams that say nothing")


# Silence


def half_message(connection):
    connection.negotiate(NOISE)
    connection.send_raw(struct.pack(">H", 65535) + b"x" * 10)


SILENCES = {
    "says nothing": lambda connection: None,
    "stops after a header": lambda connection: connection.send_line(MULTISTREAM),
    "stops before the handshake": lambda connection: connection.negotiate(NOISE),
    "stops inside a message": half_message,
    "never picks a muxer": lambda connection: connection.secure(),
}


@scenario("hostile/silence")
def _():
    """Peers that fall silent at each stage, all at the same time."""
    with Ours() as ours:
        before = ours.reasons()
        problems = []

        def one(what, act):
            try:
                with Connection.dial(ours.address) as connection:
                    print(f"  # {what}: closed after {closed(connection, act):.1f} s")
            except Exception as problem:
                problems.append(f"{what}: {problem}")

        threads = [threading.Thread(target=one, args=item) for item in SILENCES.items()]
        for thread in threads:
            thread.start()
        still_serves(ours)
        for thread in threads:
            thread.join()
        check(not problems, "; ".join(problems))
        for number in range(len(SILENCES)):
            print("  # " + str(ours.wait_for_reason(before + number)))
        still_serves(ours)


@we_dial("silent-listener")
def _(connection):
    pass


# Chance


@scenario("hostile/garbage-everywhere")
def _():
    """Random bytes at each stage of 200 connections."""
    seed = 20_260_701
    print(f"  # seed {seed}")
    chance = random.Random(seed)

    def raw(connection):
        connection.send_raw(chance.randbytes(chance.randrange(1, 2000)))

    def after_header(connection):
        connection.send_raw(line(MULTISTREAM) + chance.randbytes(chance.randrange(1, 2000)))

    def in_handshake(connection):
        connection.negotiate(NOISE)
        connection.send_noise(chance.randbytes(chance.randrange(1, 300)))

    def in_noise(connection):
        connection.secure()
        connection.send(chance.randbytes(chance.randrange(1, 2000)))

    def in_yamux(connection):
        connection.upgrade()
        for _ in range(20):  # headers that are nearly right, so that the next layer is reached
            data = chance.randbytes(chance.randrange(0, 200))
            connection.frame(chance.randrange(3), chance.randrange(16), chance.choice([0, 1, 1, 3, 5]), len(data), data)

    def in_stream(connection):
        connection.upgrade()
        connection.open_stream(1, chance.choice([PING, ECHO, MESHSUB, "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0"]))
        connection.write(1, chance.randbytes(chance.randrange(1, 2000)))

    with Ours() as ours:
        for number in range(200):
            stage = [raw, after_header, in_handshake, in_noise, in_yamux, in_stream][number % 6]
            with Connection.dial(ours.address, timeout=5) as connection:
                try:
                    stage(connection)
                    connection.socket.shutdown(socket.SHUT_WR)
                except (Ended, OSError):
                    pass
            check(ours.alive(), f"connection {number} ({stage.__name__}) ended the peer under test")
        eventually(lambda: ours("peers")["peers"] == [], "all those connections are gone")
        still_serves(ours)
