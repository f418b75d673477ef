"""Private networks as libp2p/specs `pnet` has them: an XSalsa20 stream each way behind a nonce of 24 bytes.

py-libp2p 0.8.1 has them with plain Salsa20 and a nonce of 8 bytes, which no other libp2p speaks; `use_in_libp2p` puts this stream in the place
of that one, between its transport and its negotiation. Salsa20 is PyCryptodome's; what makes it XSalsa20 is written here from D. J. Bernstein,
"Extending the Salsa20 nonce", section 2.
"""

import os
import struct

from Crypto.Cipher import Salsa20

MASK = 0xFFFFFFFF
# The state's words that quarter rounds take together: columns, then rows.
ROUNDS = [(0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11), (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)]
SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def hsalsa20(key, nonce):
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", nonce)
    x = [SIGMA[0], *k[:4], SIGMA[1], *n, SIGMA[2], *k[4:], SIGMA[3]]
    for _ in range(10):
        for a, b, c, d in ROUNDS:
            for target, one, other, turn in [(b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)]:
                total = (x[one] + x[other]) & MASK
                x[target] ^= ((total << turn) | (total >> (32 - turn))) & MASK
    return struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def xsalsa20(key, nonce):
    """A cipher whose `encrypt` goes on with the key stream."""
    return Salsa20.new(key=hsalsa20(key, nonce[:16]), nonce=nonce[16:])


def read_key_file(path):
    lines = open(path, "rb").read().split(b"\n", 2)
    assert lines[0] == b"/key/swarm/psk/1.0.0/" and lines[1] == b"/base16/", f"{path} is not a key file in base16"
    return bytes.fromhex(lines[2].decode().strip())


def use_in_libp2p(waits=False):
    """Every connection of a py-libp2p host that is made with `psk` speaks the specification's stream from now on.

    With `waits` it says nothing, not even its own nonce, before the other end's has come; rust-libp2p waits so before its first data.
    """
    from libp2p.network import swarm
    from libp2p.security.pnet.psk_conn import PskConn

    class Connection(PskConn):
        async def write(self, data):
            if self.write_cipher is None:
                if waits:
                    await self.read_nonce()
                nonce = os.urandom(24)
                await self._conn.write(nonce)
                self.write_cipher = xsalsa20(self._psk, nonce)
            await self._conn.write(self.write_cipher.encrypt(data))

        async def read_nonce(self):
            if self.read_cipher is None:
                nonce = b""
                while len(nonce) < 24:
                    part = await self._conn.read(24 - len(nonce))
                    if not part:
                        raise ValueError("the other end closed before its nonce")
                    nonce += part
                self.read_cipher = xsalsa20(self._psk, nonce)

        async def read(self, n=None):
            await self.read_nonce()
            data = await self._conn.read(n)
            return self.read_cipher.decrypt(data) if data else b""

    swarm.new_protected_conn = Connection
