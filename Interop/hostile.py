"""A peer that breaks the rules: multistream-select, Noise XX and Yamux by hand, each step open to tampering.

Well-behaved by default, so that the same code shows that a peer still serves others afterwards.
"""

import dataclasses
import hashlib
import hmac
import os
import socket
import struct
import time

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from patience import PATIENCE
from wire import base58, bytes_field, endpoint, fields, number_field, uvarint

MULTISTREAM, NOISE, YAMUX = "/multistream/1.0.0", "/noise", "/yamux/1.0.0"
PING, ECHO, MESHSUB = "/ipfs/ping/1.0.0", "/harness/echo/1.0.0", "/meshsub/1.1.0"
DATA, WINDOW_UPDATE, YAMUX_PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
STATIC_KEY_PREFIX = b"noise-libp2p-static-key:"


class Ended(Exception):
    """The other side closed or reset the connection."""


def raw_public(key):
    return key.public_key().public_bytes_raw()


class Identity:
    """An Ed25519 node key; `seed` is any bytes."""

    def __init__(self, seed=None):
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed).digest()) if seed else Ed25519PrivateKey.generate()
        self.public = number_field(1, 1) + bytes_field(2, raw_public(self.key))
        self.id = base58(b"\x00" + uvarint(len(self.public)) + self.public)

    def payload(self, static, tamper_signature=False):
        """The handshake payload that binds the Noise static key to this identity."""
        signature = bytearray(self.key.sign(STATIC_KEY_PREFIX + static))
        if tamper_signature:
            signature[10] ^= 1
        return bytes_field(1, self.public) + bytes_field(2, bytes(signature))


@dataclasses.dataclass
class Tamper:
    """What to do wrong in the handshake; nothing by default."""

    signature: bool = False  # the payload's signature doesn't verify
    tag: bool = False  # the ciphertext of our authenticated message doesn't authenticate
    ephemeral: bytes | None = None  # sent in place of our ephemeral key
    payload: bytes | None = None  # sent in place of the payload with our key and its signature


def hkdf(key, material):
    temporary = hmac.digest(key, material, "sha256")
    first = hmac.digest(temporary, b"\1", "sha256")
    return first, hmac.digest(temporary, first + b"\2", "sha256")


class Cipher:
    def __init__(self, key):
        self.aead, self.count = ChaCha20Poly1305(key), 0

    def _nonce(self):
        nonce = bytes(4) + struct.pack("<Q", self.count)
        self.count += 1
        return nonce

    def seal(self, plain, associated=b""):
        return self.aead.encrypt(self._nonce(), plain, associated)

    def open(self, sealed, associated=b""):
        return self.aead.decrypt(self._nonce(), sealed, associated)


class Symmetric:
    """Noise's SymmetricState for Noise_XX_25519_ChaChaPoly_SHA256."""

    def __init__(self):
        self.hash = self.chaining = b"Noise_XX_25519_ChaChaPoly_SHA256"
        self.cipher = None
        self.mix_hash(b"")

    def mix_hash(self, data):
        self.hash = hashlib.sha256(self.hash + data).digest()

    def mix_key(self, material):
        self.chaining, key = hkdf(self.chaining, material)
        self.cipher = Cipher(key)

    def seal(self, plain):
        sealed = self.cipher.seal(plain, self.hash) if self.cipher else plain
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed):
        plain = self.cipher.open(sealed, self.hash) if self.cipher else sealed
        self.mix_hash(sealed)
        return plain

    def split(self):
        first, second = hkdf(self.chaining, b"")
        return Cipher(first), Cipher(second)


class Connection:
    """One TCP connection, from raw bytes up to Yamux frames."""

    def __init__(self, connected, initiator=True, identity=None, timeout=PATIENCE):
        self.socket, self.initiator = connected, initiator
        self.identity = identity or Identity()
        self.socket.settimeout(timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sending = self.receiving = None
        self.plain = b""
        self.remote_id = None

    @classmethod
    def dial(cls, address, **options):
        return cls(socket.create_connection(endpoint(address), 5), **options)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Bytes

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as problem:
            raise Ended(str(problem)) from None

    def exact_raw(self, count):
        out = bytearray()
        while len(out) < count:
            try:
                part = self.socket.recv(count - len(out))
            except ConnectionResetError as problem:
                raise Ended(str(problem)) from None
            if not part:
                raise Ended("end of the connection")
            out += part
        return bytes(out)

    def seconds_until_closed(self, limit):
        """Reads and drops everything; how long the other side took to close. Raises TimeoutError past the limit."""
        started = time.monotonic()
        while (left := limit - (time.monotonic() - started)) > 0:
            self.socket.settimeout(left)
            try:
                if not self.socket.recv(1 << 16):
                    return time.monotonic() - started
            except ConnectionResetError:
                return time.monotonic() - started
            except TimeoutError:
                break
        raise TimeoutError(f"the connection was still open after {limit} s")

    # Above Noise, once there is one

    def send(self, data):
        if not self.sending:
            return self.send_raw(data)
        for at in range(0, len(data), 65519):
            self.send_noise(self.sending.seal(data[at : at + 65519]))

    def exact(self, count):
        if not self.receiving:
            return self.exact_raw(count)
        while len(self.plain) < count:
            try:
                self.plain += self.receiving.open(self.receive_noise())
            except InvalidTag:
                raise Ended("what came doesn't authenticate") from None
        out, self.plain = self.plain[:count], self.plain[count:]
        return out

    def send_noise(self, frame):
        self.send_raw(struct.pack(">H", len(frame)) + frame)

    def receive_noise(self):
        return self.exact_raw(struct.unpack(">H", self.exact_raw(2))[0])

    # multistream-select

    def send_line(self, text):
        self.send(line(text))

    def receive_line(self):
        size = shift = 0
        while True:
            byte = self.exact(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        return self.exact(size).rstrip(b"\n").decode()

    def negotiate(self, protocol):
        """Agrees on one protocol, as dialer or listener."""
        self.send_line(MULTISTREAM)
        if self.initiator:
            self.send_line(protocol)
        self.expect(self.receive_line(), MULTISTREAM)
        while (said := self.receive_line()) != protocol:
            if self.initiator:
                raise ValueError(f"{protocol} was answered with {said}")
            self.send_line("na")
        if not self.initiator:
            self.send_line(protocol)

    @staticmethod
    def expect(got, wanted):
        if got != wanted:
            raise ValueError(f"got {got!r}, wanted {wanted!r}")

    # Noise

    def secure(self, tamper=None):
        tamper = tamper or Tamper()
        self.negotiate(NOISE)
        state, static, ephemeral = Symmetric(), X25519PrivateKey.generate(), X25519PrivateKey.generate()
        own_payload = self.identity.payload(raw_public(static), tamper.signature) if tamper.payload is None else tamper.payload

        def authenticate(private, remote):
            """Our static key and payload; `private` and `remote` make the second secret."""
            sealed = state.seal(raw_public(static))
            state.mix_key(private.exchange(remote))
            sealed += state.seal(own_payload)
            return sealed[:-1] + bytes([sealed[-1] ^ 1]) if tamper.tag else sealed

        if self.initiator:
            first = tamper.ephemeral if tamper.ephemeral is not None else raw_public(ephemeral)
            state.mix_hash(first)
            state.mix_hash(b"")
            self.send_noise(first)
            message = self.receive_noise()
            remote = self._take_ephemeral(state, message)
            state.mix_key(ephemeral.exchange(remote))
            remote_static = X25519PublicKey.from_public_bytes(state.open(message[32:80]))
            state.mix_key(ephemeral.exchange(remote_static))
            self._check(state.open(message[80:]), remote_static)
            self.send_noise(authenticate(static, remote))
            self.sending, self.receiving = state.split()
        else:
            remote = self._take_ephemeral(state, self.receive_noise())
            state.mix_hash(b"")
            out = tamper.ephemeral if tamper.ephemeral is not None else raw_public(ephemeral)
            state.mix_hash(out)
            state.mix_key(ephemeral.exchange(remote))
            self.send_noise(out + authenticate(static, remote))
            message = self.receive_noise()
            remote_static = X25519PublicKey.from_public_bytes(state.open(message[:48]))
            state.mix_key(ephemeral.exchange(remote_static))
            self._check(state.open(message[48:]), remote_static)
            self.receiving, self.sending = state.split()
        return self

    @staticmethod
    def _take_ephemeral(state, message):
        state.mix_hash(message[:32])
        return X25519PublicKey.from_public_bytes(message[:32])

    def _check(self, payload, static):
        found = fields(payload)
        key = fields(found[1][0])
        Ed25519PublicKey.from_public_bytes(key[2][0]).verify(found[2][0], STATIC_KEY_PREFIX + static.public_bytes_raw())
        self.remote_id = base58(b"\x00" + uvarint(len(found[1][0])) + found[1][0])

    # Yamux

    def upgrade(self):
        """The whole way up: Noise, then Yamux."""
        self.secure()
        self.negotiate(YAMUX)
        return self

    def frame(self, kind, flags, stream, length, data=b"", version=0):
        self.send(struct.pack(">BBHII", version, kind, flags, stream, length) + data)

    def write(self, stream, data, flags=0):
        self.frame(DATA, flags, stream, len(data), data)

    def next_frame(self):
        """(kind, flags, stream, length or value, data); pings are answered on the way."""
        while True:
            version, kind, flags, stream, length = struct.unpack(">BBHII", self.exact(12))
            if kind == YAMUX_PING and flags & SYN:
                self.frame(YAMUX_PING, ACK, 0, length)
                continue
            return kind, flags, stream, length, self.exact(length) if kind == DATA else b""

    def read_stream(self, stream, count):
        """`count` bytes of one stream; what comes on others is dropped."""
        data = b""
        while len(data) < count:
            kind, flags, from_stream, _, part = self.next_frame()
            if kind == GO_AWAY:
                raise Ended("go away")
            if from_stream == stream:
                data += part
                if flags & RST or (flags & FIN and len(data) < count):
                    raise ConnectionAbortedError(f"stream {stream} ended after {len(data)} bytes")
        return data

    def open_stream(self, stream, protocol):
        """Opens a stream and agrees on its protocol."""
        agreement = line(MULTISTREAM) + line(protocol)
        self.frame(WINDOW_UPDATE, SYN, stream, 0)
        self.write(stream, agreement)
        self.expect(self.read_stream(stream, len(agreement)), agreement)

    def ping(self, stream=1):
        """One libp2p ping over a stream of its own."""
        self.open_stream(stream, PING)
        payload = os.urandom(32)
        self.write(stream, payload)
        self.expect(self.read_stream(stream, 32), payload)
        self.write(stream, b"", FIN)


def line(text):
    data = text.encode() + b"\n"
    return uvarint(len(data)) + data


class Listener:
    """Accepts one connection at a time on loopback and hands it to `serve` (a function of a Connection)."""

    def __init__(self, identity=None):
        self.identity = identity or Identity()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.address = f"/ip4/127.0.0.1/tcp/{self.socket.getsockname()[1]}/p2p/{self.identity.id}"

    def accept(self):
        connection, _ = self.socket.accept()
        return Connection(connection, initiator=False, identity=self.identity)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
