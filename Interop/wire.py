"""The few encodings that talking to a libp2p peer by hand takes: varint, protobuf, base58, multiaddr, PeerID."""

import contextlib
import random
import socket
import struct

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# name -> (code, bytes of the value; None: length-prefixed)
MULTIADDR = {
    "ip4": (4, 4),
    "tcp": (6, 2),
    "ip6": (41, 16),
    "udp": (273, 2),
    "unix": (400, None),
    "p2p": (421, None),
    "quic-v1": (461, 0),
    "ws": (477, 0),
}
BY_CODE = {code: (name, size) for name, (code, size) in MULTIADDR.items()}


def uvarint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_uvarint(data, at=0):
    """-> (value, index behind it)"""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def number_field(field, value):
    return uvarint(field << 3) + uvarint(value)


def bytes_field(field, value):
    if isinstance(value, str):
        value = value.encode()
    return uvarint(field << 3 | 2) + uvarint(len(value)) + value


def fields(message):
    """A protobuf message as field number -> list of values, numbers or bytes."""
    found, at = {}, 0
    while at < len(message):
        tag, at = read_uvarint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = read_uvarint(message, at)
        else:
            if kind == 2:
                size, at = read_uvarint(message, at)
            else:
                size = {1: 8, 5: 4}[kind]
            value = bytes(message[at : at + size])
            at += size
        found.setdefault(tag >> 3, []).append(value)
    return found


def base58(data):
    number = int.from_bytes(data, "big")
    out = ""
    while number:
        number, digit = divmod(number, 58)
        out = ALPHABET[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def from_base58(text):
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    return b"\0" * (len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def multiaddr(text):
    """Text to bytes."""
    parts = iter(text.strip("/").split("/"))
    out = b""
    for name in parts:
        code, size = MULTIADDR[name]
        out += uvarint(code)
        if size == 0:
            continue
        if name == "unix":
            value = ("/" + "/".join(parts)).encode()
        elif name == "ip4":
            value = socket.inet_aton(next(parts))
        elif name == "ip6":
            value = socket.inet_pton(socket.AF_INET6, next(parts))
        elif name == "p2p":
            value = from_base58(next(parts))
        else:
            value = struct.pack(">H", int(next(parts)))
        out += value if size else uvarint(len(value)) + value
    return out


def multiaddr_text(data):
    """Bytes to text."""
    at, out = 0, ""
    while at < len(data):
        code, at = read_uvarint(data, at)
        if code not in BY_CODE:
            return f"{out}/<{code}>"
        name, size = BY_CODE[code]
        if size is None:
            size, at = read_uvarint(data, at)
        value = data[at : at + size]
        at += size
        out += "/" + name
        if name == "ip4":
            out += "/" + socket.inet_ntoa(value)
        elif name == "ip6":
            out += "/" + socket.inet_ntop(socket.AF_INET6, value)
        elif name == "p2p":
            out += "/" + base58(value)
        elif name == "unix":
            out += value.decode()
        elif size:
            out += f"/{struct.unpack('>H', value)[0]}"
    return out


def endpoint(address):
    """/ip4/H/tcp/P[/…] -> (host, port)"""
    parts = address.split("/")
    return parts[2], int(parts[4])


def with_peer(address, peer):
    """The address with its /p2p/ part, whether or not it had one."""
    return address if "/p2p/" in address else f"{address}/p2p/{peer}"


def free_port():
    """A port for a program that cannot choose one itself. Below those that the kernel gives to connections, so that none takes it meanwhile."""
    while True:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
            return probe.getsockname()[1]
