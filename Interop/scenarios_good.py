"""Peers that keep the rules: go-libp2p and py-libp2p against the peer under test, dialled by it and dialling it."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading

import testplans
from harness import Ours, Setting, check, eventually, scenario
from p2pd import ECHO, GoPeer, serve_echo
from patience import PATIENCE
from peer import PYPEER, Peer, PeerError

MIB = 1 << 20
STREAMS = 100
MESSAGES = 20
TOPIC = "starling/interop"


def py_peer(*arguments):
    return Peer(PYPEER, *arguments)


# Each foreign peer under the few operations that the scenarios need.


class GoSide:
    make = GoPeer

    @staticmethod
    def connect(them, ours):
        them.connect(ours.address)

    @staticmethod
    def connected(them, ours):
        return ours.id in them.peers()

    @staticmethod
    def ping(them, ours):
        return them.ping(ours.id)

    @staticmethod
    def identify(them, ours):
        return them.ask_identify(ours.id)

    @staticmethod
    def echo(them, ours, size):
        return them.echo(ours.id, size)

    @staticmethod
    def xfer(them, ours, up, down):
        them.xfer(ours.id, up, down)

    @staticmethod
    def streams_at_once(them, ours):
        """Opens all streams, then writes to each, then reads from each."""
        with contextlib.ExitStack() as stack:
            pipes = [stack.enter_context(them.stream(ours.id, ECHO)) for _ in range(STREAMS)]
            for number, pipe in enumerate(pipes):
                pipe.send(b"%4d" % number)
            for number, pipe in reversed(list(enumerate(pipes))):
                check(pipe.exact(4) == b"%4d" % number, f"stream {number} carried another's bytes")


class PySide:
    make = staticmethod(py_peer)

    @staticmethod
    def connect(them, ours):
        them("connect", addr=ours.address)

    @staticmethod
    def connected(them, ours):
        return ours.id in them("peers")["peers"]

    @staticmethod
    def ping(them, ours):
        them("ping", peer=ours.id, count=5)

    @staticmethod
    def identify(them, ours):
        return them("identify", peer=ours.id)

    @staticmethod
    def echo(them, ours, size):
        return them("echo", peer=ours.id, size=size)["ok"]

    @staticmethod
    def xfer(them, ours, up, down):
        them("xfer", peer=ours.id, up=up, down=down)

    @staticmethod
    def streams_at_once(them, ours):
        waiting = [them.start("echo", peer=ours.id, size=1000) for _ in range(STREAMS)]
        check(all(them.finish(w, "echo")["ok"] for w in waiting), "an echo came back changed")


def linked(side, ours, them, we_dial):
    if we_dial:
        ours("connect", addr=them.address)
    else:
        side.connect(them, ours)
    eventually(lambda: side.connected(them, ours), "they list us as connected")
    eventually(lambda: them.id in ours("peers")["peers"], "we list them as connected")


def connect_ping_identify(side, we_dial):
    with side.make() as them, Ours() as ours:
        linked(side, ours, them, we_dial)
        trips = ours("ping", peer=them.id, count=10)
        check(0 < trips["ms_min"] <= trips["ms_p50"] <= trips["ms_max"], f"impossible round trips: {trips}")
        side.ping(them, ours)
        said = ours("identify", peer=them.id)
        check("/ipfs/ping/1.0.0" in said["protocols"], f"they don't name ping: {said}")
        check(said["agent"] and said["observed"].startswith("/ip4/127.0.0.1/tcp/"), f"incomplete: {said}")
        ours_said = side.identify(them, ours)
        for protocol in ("/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/meshsub/1.1.0"):
            check(protocol in ours_said["protocols"], f"we don't name {protocol}: {ours_said}")
        check(ours_said["agent"] and ours_said["pubkey"], f"incomplete: {ours_said}")
        listening = ours.address.rsplit("/p2p/", 1)[0]
        check(any(address.startswith(listening) for address in ours_said["listen"]), f"we don't name {listening}: {ours_said}")
        check(ours_said["observed"].startswith("/ip4/127.0.0.1/tcp/"), f"we don't say what we observed: {ours_said}")
        ours("disconnect", peer=them.id)
        eventually(lambda: not side.connected(them, ours), "they saw us go")


def key_file(folder, name):
    path = f"{folder}/{name}"
    with open(path, "w") as file:
        file.write(f"/key/swarm/psk/1.0.0/\n/base16/\n{os.urandom(32).hex()}\n")
    return path


def private_network(we_dial, *arguments):
    """py-libp2p with the specification's stream (see pnet.py) and we, with one key; 1 MiB goes each way."""
    with tempfile.TemporaryDirectory() as folder:
        key = key_file(folder, "swarm.key")
        with py_peer("--swarm-key", key, *arguments) as them, Ours("--swarm-key", key) as ours:
            linked(PySide, ours, them, we_dial)
            check(ours("echo", peer=them.id, size=MIB)["ok"], "our echo came back changed")
            check(PySide.echo(them, ours, MIB), "their echo came back changed")


def strangers():
    """Without the key, or with another, nobody comes in, and why stands in what we say."""
    with tempfile.TemporaryDirectory() as folder:
        with Ours("--swarm-key", key_file(folder, "ours.key")) as ours:
            for arguments, why in [([], "uses no network key"), (["--swarm-key", key_file(folder, "other.key")], "network")]:
                already = ours.reasons()
                with py_peer(*arguments) as them:
                    try:
                        them("connect", addr=ours.address, timeout=5)
                        raise AssertionError(f"a stranger with {arguments} came in")
                    except PeerError:
                        pass
                    check(why in ours.wait_for_reason(already), "we don't say why we refused them")
                    try:
                        ours("connect", addr=them.address)
                        raise AssertionError(f"we connected to a stranger with {arguments}")
                    except PeerError as problem:
                        check("private network" in str(problem), f"our dial fails without saying why: {problem}")


def hundred_streams_out(side):
    """We open 100 streams at once. The go handler answers none before all are open, so they really are."""
    with side.make() as them, Ours() as ours:
        if side is GoSide:
            all_open = threading.Barrier(STREAMS, timeout=PATIENCE)

            def hold_back(pipe):
                all_open.wait()
                serve_echo(pipe)

            them.serve("/harness/echo-together/1.0.0", hold_back)
            protocol = "/harness/echo-together/1.0.0"
        else:
            protocol = ECHO
        linked(side, ours, them, True)
        waiting = [ours.start("echo", peer=them.id, proto=protocol, size=1000) for _ in range(STREAMS)]
        check(all(ours.finish(w, "echo")["ok"] for w in waiting), "an echo came back changed")


def hundred_streams_in(side):
    with side.make() as them, Ours() as ours:
        linked(side, ours, them, False)
        side.streams_at_once(them, ours)


def echo_two_megabytes(side):
    with side.make() as them, Ours() as ours:
        linked(side, ours, them, True)
        check(ours("echo", peer=them.id, size=2_000_000)["ok"], "our echo came back changed")
        check(side.echo(them, ours, 2_000_000), "their echo came back changed")


def transfer(side, we_dial):
    with side.make() as them, Ours() as ours:
        linked(side, ours, them, we_dial)
        if we_dial:
            ours("xfer", peer=them.id, up=64 * MIB, down=64 * MIB)
        else:
            side.xfer(them, ours, 64 * MIB, 64 * MIB)


# Gossip: all messages, each once, with their sender.


class GoReader:
    """Collects what a go peer receives on the topic."""

    def __init__(self, peer, topic=TOPIC):
        self.peer, self.topic, self.subscription, self.got = peer, topic, peer.subscribe(topic), []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                self.got.append(self.subscription.next(60))
        except (OSError, EOFError):
            pass

    def from_others(self):
        return [(message["from"], message["data"]) for message in self.got if message["from"] != self.peer.id]

    def publish(self, data):
        self.peer.publish(self.topic, data)

    def knows(self, other):
        """Whether the peer knows that the other subscribes."""
        return other.id in self.peer.topic_peers(self.topic)

    def check_signatures(self):
        check(all(message["signature_bytes"] == 64 for message in self.got), f"a message without its signature: {self.got}")


class LineReader:
    """The same for a peer that speaks JSON lines."""

    def __init__(self, peer, topic=TOPIC):
        self.peer, self.topic = peer, topic
        peer("subscribe", topic=topic)

    def from_others(self):
        return [(sender, data) for sender, data in self.peer.messages(self.topic) if sender != self.peer.id]

    def publish(self, data):
        self.peer.publish(self.topic, data)

    def knows(self, other):
        return other.id in self.peer("mesh", topic=self.topic)["topic_peers"]

    def check_signatures(self):
        pass


def reader(peer, topic=TOPIC):
    return GoReader(peer, topic) if isinstance(peer, GoPeer) else LineReader(peer, topic)


def in_mesh(ours, *others):
    wanted = {other.id for other in others}
    eventually(lambda: wanted <= set(ours("mesh", topic=TOPIC)["mesh"]), "the others are in our mesh", 20)


def arrives(writer, writer_id, readers, prefix):
    """Every message reaches every reader once, with its sender."""
    sent = [b"%s %d" % (prefix, number) for number in range(MESSAGES)]
    before = [len(each.from_others()) for each in readers]
    for data in sent:
        writer.publish(data)
    for each, start in zip(readers, before):
        eventually(lambda: len(each.from_others()) - start >= MESSAGES, f"{MESSAGES} messages of {prefix.decode()}", 15)
        got = each.from_others()[start:]
        check(sorted(got) == sorted((writer_id, data) for data in sent), f"wrong or repeated messages: {got}")
        each.check_signatures()


def gossip_both_ways(side):
    with side.make() as them, Ours() as ours:
        linked(side, ours, them, True)
        here, there = reader(ours), reader(them)
        in_mesh(ours, them)
        eventually(lambda: there.knows(ours), "they know that we subscribe")
        arrives(here, ours.id, [there], b"from us")
        arrives(there, them.id, [here], b"from them")


def gossip_relayed(first_kind, second_kind):
    """Two foreign peers that know nobody but us: what one says reaches the other through us, signed by its author."""
    with first_kind() as first, second_kind() as second, Ours() as ours:
        ours("connect", addr=first.address)
        ours("connect", addr=second.address)
        here, one, other = reader(ours), reader(first), reader(second)
        in_mesh(ours, first, second)
        for foreign in (first, second):
            others = foreign.peers() if isinstance(foreign, GoPeer) else foreign("peers")["peers"]
            check(others == [ours.id], f"they are to know only us: {others}")
        arrives(one, first.id, [other, here], b"first")
        arrives(other, second.id, [one, here], b"second")


# libp2p's transport-interop contract


def party(command, redis, is_dialer):
    return subprocess.Popen(
        [*command, "--test-plans"], env={**os.environ, **testplans.environment(is_dialer, redis)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def check_result(out):
    lines = [line for line in out.splitlines() if line.strip()]
    check(len(lines) == 1, f"one JSON line is to be printed, not {lines}")
    found = json.loads(lines[0])
    check(found[testplans.HANDSHAKE] >= found[testplans.PING] > 0, f"impossible times: {found}")


def test_plan(dialer, listener):
    with testplans.RedisServer() as redis:
        listening = party(listener, redis.address, False)
        dialling = party(dialer, redis.address, True)
        try:
            out, errors = dialling.communicate(timeout=PATIENCE)
            check(dialling.returncode == 0, f"the dialer ended with {dialling.returncode}: {errors[-2000:]}")
            check_result(out)
            if listening.poll() is not None:
                raise AssertionError(f"the listener ended by itself: {listening.communicate()[1][-2000:]}")
        finally:
            for process in (dialling, listening):
                process.kill()
                process.communicate()


def test_plan_go():
    """Our dialer finds a go peer's address in Redis; a go peer finds ours."""
    with testplans.RedisServer() as redis, GoPeer() as them:
        client = testplans.Redis(redis.address)
        client.push("listenerAddr", them.address)
        dialling = party(Setting.command, redis.address, True)
        out, errors = dialling.communicate(timeout=PATIENCE)
        check(dialling.returncode == 0, f"our dialer ended with {dialling.returncode}: {errors[-2000:]}")
        check_result(out)
        listening = party(Setting.command, redis.address, False)
        try:
            address = client.pop("listenerAddr", PATIENCE)
            them.connect(address)
            them.ping(address.rsplit("/p2p/", 1)[1])
        finally:
            listening.kill()
            listening.communicate()


for label, side in (("go", GoSide), ("py", PySide)):
    scenario(f"{label}/we-dial")(lambda side=side: connect_ping_identify(side, True))
    scenario(f"{label}/they-dial")(lambda side=side: connect_ping_identify(side, False))
    scenario(f"{label}/100-streams-out")(lambda side=side: hundred_streams_out(side))
    scenario(f"{label}/100-streams-in")(lambda side=side: hundred_streams_in(side))
    scenario(f"{label}/echo-2MB")(lambda side=side: echo_two_megabytes(side))
    scenario(f"{label}/transfer-we-dial")(lambda side=side: transfer(side, True))
    scenario(f"{label}/transfer-they-dial")(lambda side=side: transfer(side, False))
    scenario(f"{label}/gossip")(lambda side=side: gossip_both_ways(side))
    scenario(f"{label}/gossip-relayed")(lambda side=side: gossip_relayed(side.make, side.make))
scenario("py/private-we-dial")(lambda: private_network(True))
scenario("py/private-they-dial")(lambda: private_network(False))
scenario("py/private-strangers")(strangers)
scenario("mixed/gossip-relayed")(lambda: gossip_relayed(GoPeer, py_peer))
scenario("go/test-plans")(test_plan_go)
scenario("py/test-plans-we-dial")(lambda: test_plan(Setting.command, PYPEER))
scenario("py/test-plans-they-dial")(lambda: test_plan(PYPEER, Setting.command))
