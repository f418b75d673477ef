"""What the users of other stacks reported as trouble: simultaneous dials, many topics, changes in a row, messages without data, silent dialers."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from harness import Ours, check, eventually, scenario
from p2pd import Refused
from patience import PATIENCE
from peer import PeerError
from scenarios_good import GoSide, PySide, linked, private_network, reader
from scenarios_kademlia import go_server, holds, py_server
from wire import from_base58

ROUNDS, AT_ONCE = 40, 8
TOPICS = 200
CHANGES = 6
KAD = "/ipfs/kad/1.0.0"


def heard(writer, listener, text):
    """What one says reaches the other; the mesh may still be forming."""
    deadline = time.monotonic() + PATIENCE
    number = 0
    while True:
        number += 1
        data = f"{text} {number}".encode()
        writer.publish(data)
        until = min(deadline, time.monotonic() + 1)
        while time.monotonic() < until:
            if any(data == got for _, got in listener.from_others()):
                return
            time.sleep(0.02)
        check(time.monotonic() < deadline, f"nothing of {number} messages is heard: {text}")


def dial_each_other(side, them, number):
    """Both dial at the same moment; gossip goes both ways at once, and when one link is left. -> whether there were two."""
    topic = f"starling/dials/{number}"
    with Ours() as ours:
        here, there = reader(ours, topic), reader(them, topic)
        start = threading.Barrier(2)

        def theirs():
            start.wait()
            # Sooner or later than ours by as much as a command takes.
            time.sleep(number % 4 * 0.0005)
            with contextlib.suppress(Refused, PeerError):
                side.connect(them, ours)

        dialler = threading.Thread(target=theirs, daemon=True)
        dialler.start()
        start.wait()
        ours("connect", addr=them.address)
        dialler.join()
        heard(here, there, f"round {number} from us, at once")
        heard(there, here, f"round {number} from them, at once")
        eventually(lambda: [link["state"] for link in ours("links")["links"]] == ["active"], "one link is left", 20)
        heard(here, there, f"round {number} from us, later")
        heard(there, here, f"round {number} from them, later")
        check(them.id in ours("peers")["peers"] and side.connected(them, ours), "they are linked")
        return any(event.get("why", "").startswith(("duplicate", "replaced")) for event in ours.events)


def simultaneous_dials(side):
    with side.make() as them, ThreadPoolExecutor(AT_ONCE) as pool:
        doubles = list(pool.map(lambda number: dial_each_other(side, them, number), range(ROUNDS)))
    print(f"# {sum(doubles)} of {ROUNDS} rounds had two links", flush=True)
    check(any(doubles), "no round had two links: nothing was shown")


def many_topics(side):
    """Twice as many topics as some limits have, on both sides; a message goes each way on each, and nobody is blamed."""
    names = [f"/eth2/4a26c58b/beacon_attestation_subnet_{number}/ssz_snappy" for number in range(TOPICS)]
    with side.make() as them, Ours() as ours:
        ears = [(reader(ours, name), reader(them, name)) for name in names]
        linked(side, ours, them, True)
        for here, there in ears:
            eventually(lambda: there.knows(ours) and here.knows(them), f"both know of {here.topic}")
        for here, there in ears:
            heard(here, there, f"from us on {here.topic}")
            heard(there, here, f"from them on {here.topic}")
        check(ours.reasons() == 0 and side.connected(them, ours), f"we blamed them: {ours.events[-3:]}")


def in_table(them, ours):
    try:
        return ours.id in them.closest(from_base58(ours.id))
    except Refused:  # the table is empty
        return False


def change_mode(ours, turn):
    """Two changes without a breath between them. -> whether we serve in the end"""
    modes = ["server", "client"] if turn % 2 else ["client", "server"]
    for waiting in [ours.start("kad_mode", mode=mode) for mode in modes]:
        ours.finish(waiting, "kad_mode")
    return modes[-1] == "server"


def changes_go():
    """Their table holds us while we serve, they know both addresses that we gain at a time, and we both of their new protocols.

    Our modes change one at a time: go asks whoever begins to serve at once, and forgets who does not answer for that moment.
    """
    with go_server() as them, Ours() as ours:
        linked(GoSide, ours, them, True)
        eventually(lambda: in_table(them, ours), "they know that we serve")
        for turn in range(CHANGES):
            serves = turn % 2 == 1
            ours("kad_mode", mode="server" if serves else "client")
            eventually(lambda: in_table(them, ours) == serves, f"they know our last word, turn {turn}: we serve: {serves}")
        for turn in range(CHANGES):
            new = [ours.start("listen", addr="/ip4/127.0.0.1/tcp/0") for _ in range(2)]
            new = [address for each in new for address in ours.finish(each, "listen")["addrs"]]
            eventually(lambda: all(holds(them.find_peer(ours.id), each) for each in new), f"they know our last address, turn {turn}")
        for turn in range(CHANGES):
            names = [f"/harness/change/{turn}/{number}" for number in range(2)]
            for name in names:
                them.serve(name, lambda pipe: None)
            eventually(lambda: set(names) <= set(ours("known", peer=them.id)["protocols"]), f"we know their last word, turn {turn}")


def changes_py():
    with py_server() as them, Ours() as ours:
        linked(PySide, ours, them, True)
        eventually(lambda: KAD in them("protocols", peer=ours.id)["protocols"], "they know that we serve")
        for turn in range(CHANGES):
            serves = change_mode(ours, turn)
            known = lambda: KAD in them("protocols", peer=ours.id)["protocols"]  # noqa: E731
            eventually(lambda: known() == serves, f"they know our last word, turn {turn}: we serve: {serves}")
        for turn in range(CHANGES):
            names = [f"/harness/change/{turn}/{number}" for number in range(2)]
            them("change_twice", peer=ours.id, protos=names)
            eventually(lambda: set(names) <= set(ours("known", peer=them.id)["protocols"]), f"we know their last word, turn {turn}")


def absent_data(side, theirs):
    """Their signed message without data (go: without the field) and our empty one; a third peer of their kind gets theirs through us."""
    with side.make() as them, side.make() as third, Ours() as ours:
        ears = here, there, beyond = reader(ours), reader(them), reader(third)
        ours("connect", addr=them.address)
        ours("connect", addr=third.address)
        eventually(lambda: {them.id, third.id} <= set(ours("mesh", topic=here.topic)["mesh"]), "they are in our mesh")
        eventually(lambda: there.knows(ours) and beyond.knows(ours), "they know that we subscribe")
        for ear, author, data in [(there, them, theirs), (here, ours, b"")]:
            ear.publish(data)
            for other in ears:
                if other is not ear:
                    eventually(lambda: (author.id, b"") in other.from_others(), f"{author.id}'s message without data is heard by all")
        check(ours.reasons() == 0 and side.connected(them, ours), f"we blamed them: {ours.events[-3:]}")


for label, side in (("go", GoSide), ("py", PySide)):
    scenario(f"{label}/simultaneous-dials")(lambda side=side: simultaneous_dials(side))
    scenario(f"{label}/200-topics")(lambda side=side: many_topics(side))
scenario("go/identify-changes")(changes_go)
scenario("py/identify-changes")(changes_py)
scenario("go/absent-data")(lambda: absent_data(GoSide, None))
# py-libp2p writes a message anew with an empty field before it checks the signature, and so refuses its own without one.
scenario("py/absent-data")(lambda: absent_data(PySide, b""))
scenario("py/private-silent-dialer")(lambda: private_network(False, "--wait-for-nonce"))
scenario("py/private-silent-listener")(lambda: private_network(True, "--wait-for-nonce"))
