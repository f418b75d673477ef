#!/usr/bin/env python3
"""A name server for tests on 127.0.0.1, over UDP and TCP.

    dns_server.py ZONE [--udp-limit BYTES]

ZONE is a JSON object: name -> {"A": [IP…], "AAAA": [IP…], "TXT": [TEXT…]}. It prints its port, writes a line "QUERY name type" for
each question, and ends when its input closes. An answer over UDP that is longer than the limit (512) comes truncated, so that
the asker has to come again over TCP.
"""

import argparse
import ipaddress
import json
import socket
import struct
import sys
import threading

KINDS = {1: "A", 28: "AAAA", 16: "TXT"}


def question(message):
    """The name and the kind asked for, and where the question ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("latin1").lower())
        at += 1 + message[at]
    return ".".join(labels), struct.unpack("!H", message[at + 1 : at + 3])[0], at + 5


def data(kind, value):
    if kind == "TXT":
        text = value.encode()
        parts = [text[i : i + 255] for i in range(0, len(text), 255)] or [b""]
        return b"".join(bytes([len(part)]) + part for part in parts)
    return ipaddress.ip_address(value).packed


def answer(message, zone, limit):
    name, number, end = question(message)
    kind = KINDS.get(number, str(number))
    print(f"QUERY {name} {kind}", flush=True)
    found = zone.get(name)
    records = [data(kind, value) for value in (found or {}).get(kind, [])]
    head = struct.pack("!HHHHHH", struct.unpack("!H", message[:2])[0], 0x8580 | (0 if found is not None else 3), 1, len(records), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 60, len(record)) + record for record in records)
    whole = head + message[12:end] + body
    if len(whole) <= limit:
        return whole
    return struct.pack("!HHHHHH", struct.unpack("!H", message[:2])[0], 0x8780, 1, 0, 0, 0) + message[12:end]


def exactly(connection, count):
    chunks = b""
    while len(chunks) < count:
        chunk = connection.recv(count - len(chunks))
        if not chunk:
            raise ConnectionError
        chunks += chunk
    return chunks


def serve_tcp(listener, zone):
    while True:
        connection, _ = listener.accept()
        connection.settimeout(5)
        try:
            (length,) = struct.unpack("!H", exactly(connection, 2))
            reply = answer(exactly(connection, length), zone, 65535)
            connection.sendall(struct.pack("!H", len(reply)) + reply)
        except OSError:
            pass
        connection.close()


def serve_udp(receiver, zone, limit):
    while True:
        message, sender = receiver.recvfrom(4096)
        receiver.sendto(answer(message, zone, limit), sender)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("zone")
    parser.add_argument("--udp-limit", type=int, default=512)
    options = parser.parse_args()
    zone = {name.lower(): records for name, records in json.loads(options.zone).items()}
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", listener.getsockname()[1]))
    threading.Thread(target=serve_tcp, args=(listener, zone), daemon=True).start()
    threading.Thread(target=serve_udp, args=(receiver, zone, options.udp_limit), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


main()
