"""What scenarios share: the register, the peer under test, and waiting for a condition."""

import os
import pathlib
import shlex
import time

from patience import PATIENCE
from peer import Peer

ROOT = pathlib.Path(__file__).parent.parent
SCENARIOS = {}


class Setting:
    """How this run starts the peer under test."""

    command = shlex.split(os.environ.get("INTEROP_PEER", "")) or [str(ROOT / ".build/release/interop-peer")]
    # A stand-in for checking the harness itself need not say why it closed.
    stand_in = False


def scenario(name, limit=2 * PATIENCE):
    """Registers a function as a scenario that has to end within `limit` seconds."""

    def register(function):
        SCENARIOS[name] = (function, limit)
        return function

    return register


class Ours(Peer):
    """The peer under test. Leaving it cleanly checks that it is alive and ends with status 0."""

    def __init__(self, *arguments):
        super().__init__(Setting.command, *arguments)

    def __exit__(self, kind, problem, trace):
        alive = self.alive()
        status = self.stop()
        if problem:
            errors = self.stderr().strip()
            if errors:
                problem.add_note("what the peer under test wrote on standard error:\n" + errors[-3000:])
        elif not alive:
            raise AssertionError(f"the peer under test ended by itself with status {status}: {self.stderr()[-3000:]}")
        elif status != 0:
            raise AssertionError(f"the peer under test ended with status {status} when its input closed")

    def wait_for_reason(self, already=0, timeout=PATIENCE):
        """A reason for closing or refusing a peer, beyond the first `already` ones: {"ev": "refused", "why"}."""
        if Setting.stand_in:
            return None
        found = self.gather(lambda events: [e for e in events if e["ev"] == "refused" and e.get("why")][already:], timeout)
        return found[0]["why"]

    def reasons(self):
        with self.changed:
            return sum(1 for event in self.events if event["ev"] == "refused" and event.get("why"))


def eventually(condition, what, timeout=PATIENCE):
    """Asks again and again until `condition()` is true; -> its value."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


def check(condition, what):
    if not condition:
        raise AssertionError(what)
