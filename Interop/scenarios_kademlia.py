"""Kademlia against go-libp2p and py-libp2p, both ways: finding peers, values, providers; and a network of twenty go nodes."""

import contextlib
import hashlib
import random
import time

from harness import Ours, check, eventually, scenario
from p2pd import GoPeer, Refused
from peer import PYPEER, Peer
from wire import from_base58

NETWORK = 20
# Each of the twenty daemons keeps to so much memory as well as Go's collector can.
MEMORY_MIB = 64


def multihash(text):
    return b"\x12\x20" + hashlib.sha256(text.encode()).digest()


def go_server(**options):
    return GoPeer(pubsub=False, dht=True, **options)


def py_server():
    return Peer(PYPEER, "--no-pubsub", "--kad")


def knows_server(ours, *others):
    wanted = {other.id for other in others}
    eventually(lambda: wanted <= set(ours("kad_servers")["peers"]), "we know that they serve")


def in_table(go, *others):
    """Waits until the go node knows some server, and its look-up finds the others: identify comes after the connection, at each of them."""
    wanted = {other.id for other in others}

    def asks():
        try:
            found = set(go.closest(b"anybody"))
        except Refused:
            return False
        return found and wanted <= found

    eventually(asks, "the go node knows a server")


def holds(addresses, address):
    return any(each.split("/p2p/")[0] == address.split("/p2p/")[0] for each in addresses)


@contextlib.contextmanager
def go_line():
    """Three go nodes, of which only neighbours are connected, and our peer at the first one."""
    with go_server() as first, go_server() as second, go_server() as third, Ours() as ours:
        second.connect(first.address)
        third.connect(second.address)
        in_table(first, second, third)
        in_table(third, first, second)
        ours("connect", addr=first.address)
        knows_server(ours, first)
        yield ours, first, second, third


def go_find_peer():
    with go_line() as (ours, _, _, third):
        found = ours("kad_find_peer", peer=third.id)
        check(found["found"] == third.id and holds(found["addrs"], third.address), f"we found {found}")
        with go_server() as stranger:
            stranger.connect(third.address)
            in_table(stranger)
            # A node that has just come knows nobody but the third, which has to know us by now.
            check(holds(stranger.find_peer(ours.id), ours.address), "a go node found us")
        nobody = ours("kad_find_peer", peer="12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp")
        check(nobody["found"] is None, f"nobody has that name: {nobody}")


def go_values():
    with go_line() as (ours, first, _, third):
        key, value = b"/pk/" + from_base58(ours.id), bytes.fromhex(ours("identify", peer=first.id)["pubkey"])
        theirs = b"/pk/" + from_base58(first.id)
        # A key that isn't its peer's is refused, here and there.
        # (`value` is the first go node's key.)
        for wrong in ({"key": key.hex(), "value": value.hex()}, {"key": b"/nobody/x".hex(), "value": "00"}):
            try:
                ours("kad_put", **wrong)
            except Exception as problem:
                check("invalid-record" in str(problem), f"why: {problem}")
            else:
                raise AssertionError(f"we put {wrong}")
        ours("kad_put", key=theirs.hex(), value=value.hex())
        check(third.get_value(theirs) == value, "a go node gets what we put")
        own = bytes.fromhex(first.ask_identify(ours.id)["pubkey"])
        first.put_value(key, own)
        check(ours("kad_get", key=key.hex())["value"] == own.hex(), "we get what a go node put")
        check(ours("kad_get", key=(b"/pk/" + from_base58(third.id)).hex())["value"] is None, "nobody put that")


def go_providers():
    with go_line() as (ours, first, second, third):
        check(ours("kad_provide", mh=multihash("ours").hex())["servers"] == 3, "all three are told")
        for peer in (first, second, third):
            found = peer.find_providers(multihash("ours"))
            check(list(found) == [ours.id], f"a go node found {found}")
            check(holds(found[ours.id], ours.address), f"with the addresses {found}")
        third.provide(multihash("theirs"))
        found = ours("kad_providers", mh=multihash("theirs").hex())
        check(found["providers"] == [third.id] and holds(found["addrs"][0], third.address), f"we found {found}")
        check(ours("kad_providers", mh=multihash("nobody's").hex())["providers"] == [], "nobody provides that")


def go_client():
    """A client of ours asks as well as a server, is found by name, and is in nobody's table."""
    with go_server() as first, go_server() as second, Ours("--kad-client") as ours:
        second.connect(first.address)
        in_table(first, second)
        ours("connect", addr=first.address)
        knows_server(ours, first)
        check(ours("kad_find_peer", peer=second.id)["found"] == second.id, "the client finds")
        second.provide(multihash("x"))
        check(ours("kad_providers", mh=multihash("x").hex())["providers"] == [second.id], "the client finds providers")
        check(ours.id not in second.closest(from_base58(ours.id)), "the client is in nobody's table")
        check("/ipfs/kad/1.0.0" not in first.ask_identify(ours.id)["protocols"], "the client says that it serves")
        ours("kad_mode", mode="server")
        eventually(lambda: ours.id in first.closest(from_base58(ours.id)), "the server is in their tables")


@contextlib.contextmanager
def py_line():
    with py_server() as first, py_server() as second, Ours() as ours:
        second("connect", addr=first.address)
        eventually(lambda: second("kad_add", peer=first.id)["ok"], "py knows its neighbour")
        eventually(lambda: first("kad_add", peer=second.id)["ok"], "py knows its neighbour")
        ours("connect", addr=first.address)
        knows_server(ours, first)
        yield ours, first, second


def py_find_peer():
    with py_line() as (ours, first, second):
        found = ours("kad_find_peer", peer=second.id)
        check(found["found"] == second.id and holds(found["addrs"], second.address), f"we found {found}")
        with py_server() as stranger:
            stranger("connect", addr=second.address)
            eventually(lambda: stranger("kad_add", peer=second.id)["ok"], "py knows its neighbour")
            eventually(lambda: holds(stranger("kad_find_peer", peer=ours.id)["addrs"], ours.address), "a py node found us")


def py_values():
    with py_line() as (ours, first, second):
        key = b"/v/colour"
        check(ours("kad_put", key=key.hex(), value=b"blue".hex())["servers"] == 2, "both take it")
        for peer in (first, second):
            check(peer("kad_get_at", peer=ours.id, key=key.hex())["value"] == b"blue".hex(), "py gets it from us")
            check(ours("kad_get_at", peer=peer.id, key=key.hex())["value"] == b"blue".hex(), "py holds it")
        other = b"/v/taste"
        check(first("kad_put_at", peer=ours.id, key=other.hex(), value=b"sweet".hex())["ok"], "py puts a value at us")
        check(ours("kad_get", key=other.hex())["value"] == b"sweet".hex(), "we have it")
        check(ours("kad_put_at", peer=second.id, key=b"/v/z".hex(), value="01")["ok"], "we put a value at py")
        check(ours("kad_get", key=b"/v/z".hex())["value"] == "01", "and find it")


def py_providers():
    with py_line() as (ours, first, second):
        check(ours("kad_provide", mh=multihash("ours").hex())["servers"] == 2, "both are told")
        check(ours.id in second("kad_providers", mh=multihash("ours").hex())["providers"], "a py node found us")
        check(second("kad_provide", mh=multihash("theirs").hex())["ok"], "py provides")
        found = ours("kad_providers", mh=multihash("theirs").hex())
        check(found["providers"] == [second.id] and holds(found["addrs"][0], second.address), f"we found {found}")


def twenty_go_nodes():
    """Twenty go servers that each knew one other: our look-ups find every peer, provider and value that they know, and theirs ours."""
    random.seed(9)
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(go_server(memory_mib=MEMORY_MIB)) for _ in range(NETWORK)]
        for index in range(1, NETWORK):
            nodes[index].connect(nodes[random.randrange(index)].address)
        for node in nodes:
            in_table(node)
        in_table(nodes[0], *nodes[1:])
        ours = stack.enter_context(Ours())
        ours("connect", addr=nodes[0].address)
        knows_server(ours, nodes[0])
        told = ours("kad_provide", mh=multihash("ours").hex())["servers"]
        check(told == NETWORK, f"{told} of them are told what we provide")
        for index, node in enumerate(nodes):
            node.provide(multihash(f"node {index}"))
        key, value = b"/pk/" + from_base58(ours.id), bytes.fromhex(nodes[0].ask_identify(ours.id)["pubkey"])
        check(ours("kad_put", key=key.hex(), value=value.hex())["servers"] == NETWORK, "all of them take our value")

        started = time.monotonic()
        for index, node in enumerate(nodes):
            found = ours("kad_find_peer", peer=node.id)
            check(found["found"] == node.id and holds(found["addrs"], node.address), f"we did not find node {index}: {found}")
            found = ours("kad_providers", mh=multihash(f"node {index}").hex())
            check(found["providers"] == [node.id], f"we did not find what node {index} provides: {found}")
        took = time.monotonic() - started
        nearest = sorted(nodes, key=lambda node: distance(node.id, b"anything"))
        check(ours("kad_closest", key=b"anything".hex())["peers"] == [node.id for node in nearest], "the nearest, in their order")

        started = time.monotonic()
        for index, node in enumerate(nodes):
            check(holds(node.find_peer(ours.id), ours.address), f"node {index} did not find us")
            check(ours.id in node.find_providers(multihash("ours"), 1), f"node {index} did not find what we provide")
            check(node.get_value(key) == value, f"node {index} did not get our value")
        theirs = time.monotonic() - started
        memory = sum(node.memory_kib() for node in nodes) >> 10
        print(f"  ours: {took / 2 / NETWORK * 1e3:.1f} ms a look-up; theirs: {theirs / 3 / NETWORK * 1e3:.1f} ms; {memory} MiB in all")


def distance(peer, key):
    place = lambda data: int.from_bytes(hashlib.sha256(data).digest())
    return place(from_base58(peer)) ^ place(key)


scenario("go/kad-find-peer")(go_find_peer)
scenario("go/kad-values")(go_values)
scenario("go/kad-providers")(go_providers)
scenario("go/kad-client")(go_client)
scenario("py/kad-find-peer")(py_find_peer)
scenario("py/kad-values")(py_values)
scenario("py/kad-providers")(py_providers)
scenario("go/kad-twenty-nodes")(twenty_go_nodes)
