#!/usr/bin/env python3
"""Runs the interop scenarios: one line each, `ok NAME` or `not ok NAME: why`; status 1 when any fails.

    interop_tests.py [NAME …]     all, or those named (a trailing * matches the rest of a name)
    interop_tests.py --list       their names
    --stand-in                    py-libp2p plays the peer under test, to check the harness itself

The peer under test is .build/release/interop-peer, or the command in INTEROP_PEER.
"""

import argparse
import fnmatch
import os
import pathlib
import signal
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".tools/venv/bin/python"


def use_pinned_python():
    """The foreign peers' own Python has what the hostile peer needs."""
    if VENV.exists() and pathlib.Path(sys.prefix) != VENV.parent.parent:
        os.execv(VENV, [str(VENV), *sys.argv])


def too_long(*_):
    raise TimeoutError("the scenario took longer than its limit")


def run(name, function, limit):
    started = time.monotonic()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    try:
        function()
    except Exception as problem:
        signal.alarm(0)
        why = " ".join(f"{type(problem).__name__}: {problem}".split())
        print(f"not ok {name}: {why[:1000]}", flush=True)
        traceback.print_exc()
        return False
    finally:
        signal.alarm(0)
    print(f"ok {name} ({time.monotonic() - started:.1f} s)", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--stand-in", action="store_true")
    options = parser.parse_args()
    use_pinned_python()

    import harness
    import peer
    import scenarios_good  # noqa: F401
    import scenarios_kademlia  # noqa: F401
    import scenarios_trouble  # noqa: F401
    import scenarios_hostile  # noqa: F401

    if options.list:
        print(*harness.SCENARIOS, sep="\n")
        return 0
    if options.stand_in:
        harness.Setting.command, harness.Setting.stand_in = peer.PYPEER, True
    # A Swift test starts us from a thread that blocks signals, and what we start would inherit that and never end.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # Being ended runs the context managers, which end what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = [name for name in harness.SCENARIOS if not options.names or any(fnmatch.fnmatch(name, n) for n in options.names)]
    if not chosen:
        parser.error(f"no scenario is named {' or '.join(options.names)}; --list shows them")
    failed = [name for name in chosen if not run(name, *harness.SCENARIOS[name])]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} scenarios passed" + (f"; failed: {' '.join(failed)}" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
