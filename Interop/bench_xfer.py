#!/usr/bin/env python3
"""Throughput of one stream: our peer with go-libp2p and with itself, beside go with go, interleaved in one run.

    bench_xfer.py [--mib 1024] [--rounds 5] [--json FILE] [--stand-in]

Every round moves the bytes once each way for each pair. Printed are the median MB/s with its spread, the ratio to go-go in
the same direction, and CPU seconds per GiB of each process from /proc. The go daemon hands a stream's bytes to this script
through a Unix socket, which costs both sides of go-go and one side of the mixed pairs: CPU per GiB names that cost.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys

from interop_tests import use_pinned_python

MIB = 1 << 20


class Go:
    """A go peer under the names that a measurement needs."""

    def __init__(self, peer):
        self.peer, self.id, self.address, self.name = peer, peer.id, peer.address, "go"

    def connect(self, other):
        self.peer.connect(other.address)

    def seconds(self, other, up, down):
        return sum(self.peer.xfer(other.id, up, down))

    def cpu(self):
        return self.peer.cpu_seconds()


class Lines:
    """The same for a peer that speaks JSON lines."""

    def __init__(self, peer, name):
        self.peer, self.id, self.address, self.name = peer, peer.id, peer.address, name

    def connect(self, other):
        self.peer("connect", addr=other.address)

    def seconds(self, other, up, down):
        rates = self.peer("xfer", peer=other.id, up=up, down=down, timeout=300)
        return up / 1e6 / rates["up_MBps"] if up else down / 1e6 / rates["down_MBps"]

    def cpu(self):
        return self.peer.cpu_seconds()


def own_cpu():
    times = os.times()
    return times.user + times.system


def measure(dialer, listener, up, size):
    """One transfer: MB/s, and CPU seconds per GiB of dialer, listener and this script."""
    before = dialer.cpu(), listener.cpu(), own_cpu()
    seconds = dialer.seconds(listener, size if up else 0, 0 if up else size)
    after = dialer.cpu(), listener.cpu(), own_cpu()
    return {
        "MBps": size / 1e6 / seconds,
        "cpu": [(end - start) / (size / (1 << 30)) for start, end in zip(before, after)],
    }


def row(pair, direction, samples, base):
    rates = [sample["MBps"] for sample in samples]
    median = statistics.median(rates)
    cpu = [statistics.median(sample["cpu"][who] for sample in samples) for who in range(3)]
    return {
        "pair": pair,
        "direction": direction,
        "MBps_median": round(median, 1),
        "MBps_min": round(min(rates), 1),
        "MBps_max": round(max(rates), 1),
        "ratio_to_go_go": round(median / base, 2),
        "cpu_s_per_GiB_dialer": round(cpu[0], 2),
        "cpu_s_per_GiB_listener": round(cpu[1], 2),
        "cpu_s_per_GiB_script": round(cpu[2], 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--stand-in", action="store_true", help="py-libp2p in the place of our peer")
    options = parser.parse_args()
    use_pinned_python()

    from harness import Setting
    from p2pd import GoPeer
    from peer import PYPEER, Peer

    command = PYPEER if options.stand_in else Setting.command
    ours_name = "py" if options.stand_in else "ours"
    with contextlib.ExitStack() as stack:
        go = [Go(stack.enter_context(GoPeer(pubsub=False))) for _ in range(2)]
        ours = [Lines(stack.enter_context(Peer(command)), ours_name) for _ in range(2)]
        pairs = [(go[0], go[1]), (ours[0], go[1]), (go[0], ours[0]), (ours[0], ours[1])]
        samples = {}
        for dialer, listener in pairs:
            dialer.connect(listener)
            measure(dialer, listener, True, 32 * MIB)  # warm: windows grown, code paged in
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for dialer, listener in pairs:
                for up in (True, False):
                    key = f"{dialer.name} dials {listener.name}", "dialer sends" if up else "listener sends"
                    samples.setdefault(key, []).append(measure(dialer, listener, up, options.mib * MIB))

    base = {direction: statistics.median(s["MBps"] for s in samples["go dials go", direction]) for _, direction in samples}
    rows = [row(pair, direction, got, base[direction]) for (pair, direction), got in samples.items()]
    print(f"{options.mib} MiB, {options.rounds} rounds interleaved, {os.cpu_count()} cores, {platform.machine()}; CPU in s/GiB")
    print(f"{'pair':<16}{'':<16}{'MB/s':>8}{'min':>8}{'max':>8}{'ratio':>7}{'dialer':>8}{'listener':>10}{'script':>8}")
    for each in rows:
        values = list(each.values())
        print(f"{values[0]:<16}{values[1]:<16}{values[2]:>8}{values[3]:>8}{values[4]:>8}{values[5]:>7}{values[6]:>8}{values[7]:>10}{values[8]:>8}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
