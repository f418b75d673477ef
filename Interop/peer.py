"""Drives a peer that reads commands and writes answers and events as JSON lines: interop-peer, or pypeer.py.

The first line is {"ev": "ready", "id", "addrs"}. A command {"n", "op", …} is answered by {"n", "ok": true, "r": {…}} or
{"n", "ok": false, "err"}; everything else carries "ev". The commands stand in README.md of this folder.
"""

import base64
import itertools
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time
from concurrent.futures import Future, TimeoutError as FutureTimeout

from p2pd import cpu_seconds
from patience import PATIENCE
from wire import with_peer

ROOT = pathlib.Path(__file__).parent.parent
PYPEER = [str(ROOT / ".tools/venv/bin/python"), str(ROOT / "Interop/pypeer.py")]


class PeerError(Exception):
    """The peer answered with an error, or is gone."""


class Peer:
    def __init__(self, command, *arguments, environment=None):
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.events = []
        self.changed = threading.Condition()
        self.pending = {}
        self.numbers = itertools.count(1)
        self.process = subprocess.Popen(
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()
        try:
            ready = self.event(lambda event: event["ev"] == "ready", 60)
        except BaseException:
            self.stop()
            raise
        self.id = ready["id"]
        self.addresses = [with_peer(address, self.id) for address in ready["addrs"]]
        self.address = next((a for a in self.addresses if a.startswith("/ip4/127.0.0.1/tcp/")), self.addresses[0])

    def _read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                self.errors.write(line)
                continue
            with self.changed:
                if "ev" in message:
                    self.events.append(message)
                elif waiting := self.pending.pop(message.get("n"), None):
                    waiting.set_result(message)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            for waiting in self.pending.values():
                waiting.set_result({"ok": False, "err": "the peer ended"})
            self.pending.clear()
            self.changed.notify_all()

    def start(self, op, **arguments):
        """Sends a command; its answer is what the returned future resolves to."""
        waiting = Future()
        with self.changed:
            if self.ended:
                raise PeerError(f"{op}: the peer has ended: {self.stderr()[-800:]}")
            number = next(self.numbers)
            self.pending[number] = waiting
            self.process.stdin.write(json.dumps({"n": number, "op": op, **arguments}) + "\n")
            self.process.stdin.flush()
        return waiting

    def finish(self, waiting, op="command", timeout=PATIENCE):
        try:
            answer = waiting.result(timeout)
        except FutureTimeout:
            raise PeerError(f"{op}: no answer within {timeout} s") from None
        if not answer["ok"]:
            raise PeerError(f"{op}: {answer.get('err')}")
        return answer.get("r") or {}

    def __call__(self, op, **arguments):
        return self.finish(self.start(op, **arguments), op, arguments.get("timeout", 60) + 5)

    def event(self, wanted, timeout=PATIENCE):
        """The first event, past or to come, for which `wanted` holds."""
        return self.gather(lambda events: next((event for event in events if wanted(event)), None), timeout)

    def gather(self, condition, timeout=PATIENCE):
        """Waits until condition(all events so far) is true and returns that value."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                if found := condition(self.events):
                    return found
                left = deadline - time.monotonic()
                if self.ended or left <= 0:
                    why = "the peer ended" if self.ended else f"nothing within {timeout} s"
                    raise PeerError(f"waiting for an event: {why}; last events {self.events[-5:]}; {self.stderr()[-800:]}")
                self.changed.wait(left)

    def publish(self, topic, data):
        self("publish", topic=topic, data=base64.b64encode(data).decode())

    def messages(self, topic):
        """(sender, data) of each gossip message so far."""
        with self.changed:
            return [
                (event.get("from"), base64.b64decode(event["data"]))
                for event in self.events
                if event["ev"] == "msg" and event["topic"] == topic
            ]

    def stderr(self):
        self.errors.flush()
        with open(f"/proc/self/fd/{self.errors.fileno()}", errors="replace") as again:
            return again.read()

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Closes its input, upon which a peer ends; -> its exit status."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
