#!/usr/bin/env python3
"""py-libp2p as a peer that reads commands and writes answers and events as JSON lines; README.md lists them.

    pypeer.py [--listen MULTIADDR …] [--seed NUMBER] [--swarm-key FILE [--wait-for-nonce]] [--no-pubsub] [--kad] [--test-plans]
"""

import argparse
import base64
import json
import logging
import os
import struct
import sys
import time

import trio
from libp2p import create_yamux_muxer_option, new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_static_key
from libp2p.custom_types import TProtocol
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.identity.identify_push.identify_push import push_identify_to_peer
from libp2p.io.utils import read_exactly
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.peer.peerstore import PeerStoreError
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

import pnet
import testplans
from wire import with_peer

ECHO, XFER = TProtocol("/harness/echo/1.0.0"), TProtocol("/harness/xfer/1.0.0")
PING, IDENTIFY = TProtocol("/ipfs/ping/1.0.0"), TProtocol("/ipfs/id/1.0.0")
MESHSUB = [TProtocol("/meshsub/1.2.0"), TProtocol("/meshsub/1.1.0")]
BLOCK = bytes(65536)


def write_line(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def make_host(seed, listen, network_key=None, waits=False):
    keys = create_new_key_pair(seed.to_bytes(32, "big") if seed is not None else None)
    noise = Noise(libp2p_keypair=keys, noise_privkey=create_static_key().private_key, early_data=None)
    if network_key:
        pnet.use_in_libp2p(waits)
    psk = network_key and pnet.read_key_file(network_key).hex()
    return new_host(key_pair=keys, sec_opt={NOISE: noise}, muxer_opt=create_yamux_muxer_option(), listen_addrs=listen, psk=psk)


async def read_to_end(stream):
    data = b""
    while True:
        try:
            part = await stream.read(65536)
        except StreamEOF:
            return data
        if not part:
            return data
        data += part


async def serve_echo(stream):
    try:
        while True:
            try:
                part = await stream.read(65536)
            except StreamEOF:
                part = b""
            if not part:
                break
            await stream.write(part)
        await stream.close()
    except Exception:
        await stream.reset()


async def drop(stream, count):
    while count > 0:
        part = await stream.read(min(count, len(BLOCK)))
        if not part:
            raise EOFError(f"{count} bytes short")
        count -= len(part)


async def fill(stream, count):
    while count > 0:
        await stream.write(BLOCK[:count])
        count -= min(count, len(BLOCK))


async def serve_xfer(stream):
    try:
        up, down = struct.unpack(">QQ", await read_exactly(stream, 16))
        await drop(stream, up)
        await stream.write(b"\1")
        await fill(stream, down)
        await stream.close()
    except Exception:
        await stream.reset()


class Commands:
    """One method for each operation; what it returns is the answer's "r"."""

    def __init__(self, host, gossip, pubsub, kad, tasks):
        self.host, self.gossip, self.pubsub, self.kad, self.tasks = host, gossip, pubsub, kad, tasks

    async def connect(self, addr, **_):
        started = time.perf_counter()
        await self.host.connect(info_from_p2p_addr(Multiaddr(addr)))
        return {"ms": (time.perf_counter() - started) * 1e3}

    async def disconnect(self, peer, **_):
        await self.host.disconnect(ID.from_base58(peer))

    async def peers(self, **_):
        return {"peers": [str(peer) for peer in self.host.get_connected_peers()]}

    async def ping(self, peer, count=5, **_):
        stream = await self.host.new_stream(ID.from_base58(peer), [PING])
        trips = []
        for _ in range(count):
            payload, started = os.urandom(32), time.perf_counter()
            await stream.write(payload)
            if await read_exactly(stream, 32) != payload:
                raise ValueError("a ping came back changed")
            trips.append((time.perf_counter() - started) * 1e3)
        await stream.close()
        trips.sort()
        return {"ms_min": trips[0], "ms_p50": trips[len(trips) // 2], "ms_max": trips[-1]}

    async def identify(self, peer, **_):
        stream = await self.host.new_stream(ID.from_base58(peer), [IDENTIFY])
        found = parse_identify_response(await read_to_end(stream))
        return {
            "agent": found.agent_version,
            "proto_version": found.protocol_version,
            "protocols": list(found.protocols),
            "listen": [str(Multiaddr(address)) for address in found.listen_addrs],
            "observed": str(Multiaddr(found.observed_addr)),
            "signed_record_bytes": len(found.signedPeerRecord),
            "pubkey": found.public_key.hex(),
        }

    async def protocols(self, peer, **_):
        try:
            return {"protocols": list(self.host.get_peerstore().get_protocols(ID.from_base58(peer)))}
        except PeerStoreError:
            return {"protocols": []}

    async def change_twice(self, peer, protos, **_):
        """Serves one more protocol and says so, and again before the first push has ended."""
        async with trio.open_nursery() as pushes:
            for proto in protos:
                self.host.set_stream_handler(TProtocol(proto), serve_echo)
                pushes.start_soon(push_identify_to_peer, self.host, ID.from_base58(peer))
                await trio.lowlevel.checkpoint()

    async def echo(self, peer, size=1000, proto=ECHO, **_):
        stream = await self.host.new_stream(ID.from_base58(peer), [TProtocol(proto)])
        payload = os.urandom(size)
        async with trio.open_nursery() as both:
            both.start_soon(stream.write, payload)
            back = await read_exactly(stream, size)
        await stream.close()
        return {"ok": back == payload, "negotiated": str(stream.get_protocol())}

    async def xfer(self, peer, up, down, **_):
        stream = await self.host.new_stream(ID.from_base58(peer), [XFER])
        started = time.perf_counter()
        await stream.write(struct.pack(">QQ", up, down))
        await fill(stream, up)
        await read_exactly(stream, 1)
        between = time.perf_counter()
        await drop(stream, down)
        ended = time.perf_counter()
        await stream.close()
        return {"up_MBps": up / (between - started) / 1e6, "down_MBps": down / max(ended - between, 1e-9) / 1e6}

    async def subscribe(self, topic, **_):
        subscription = await self.pubsub.subscribe(topic)

        async def pump():
            while True:
                message = await subscription.get()
                sender = ID(message.from_id).to_base58() if message.from_id else None
                data = base64.b64encode(message.data).decode()
                write_line(ev="msg", topic=topic, t=time.time(), data=data, **{"from": sender})

        self.tasks.start_soon(pump)

    async def publish(self, topic, data, **_):
        await self.pubsub.publish(topic, base64.b64decode(data))
        return {"t": time.time()}

    async def mesh(self, topic, **_):
        return {
            "mesh": [str(peer) for peer in self.gossip.mesh.get(topic, [])],
            "topic_peers": [str(peer) for peer in self.pubsub.peer_topics.get(topic, [])],
        }

    async def kad_add(self, peer, **_):
        return {"ok": await self.kad.add_peer(ID.from_base58(peer)), "size": self.kad.get_routing_table_size()}

    async def kad_find_peer(self, peer, **_):
        found = await self.kad.find_peer(ID.from_base58(peer))
        return {"found": found and str(found.peer_id), "addrs": [str(address) for address in found.addrs] if found else []}

    async def kad_provide(self, mh, **_):
        return {"ok": await self.kad.provider_store.provide(bytes.fromhex(mh))}

    async def kad_providers(self, mh, count=20, **_):
        found = await self.kad.provider_store.find_providers(bytes.fromhex(mh), count)
        return {"providers": [str(each.peer_id) for each in found]}

    async def kad_put_at(self, peer, key, value, **_):
        return {"ok": await self.kad.value_store._store_at_peer(ID.from_base58(peer), bytes.fromhex(key), bytes.fromhex(value))}

    async def kad_get_at(self, peer, key, **_):
        found = await self.kad.value_store._get_from_peer(ID.from_base58(peer), bytes.fromhex(key))
        return {"value": found.hex() if found else None}

    async def rss(self, **_):
        status = open("/proc/self/status").read().splitlines()
        return {"kib": int(next(line for line in status if line.startswith("VmRSS")).split()[1])}

    async def quit(self, **_):
        self.tasks.cancel_scope.cancel()


async def answer(commands, command):
    number = command.pop("n", None)
    op = command.pop("op")
    try:
        with trio.fail_after(command.pop("timeout", 60)):
            result = await getattr(commands, op)(**command)
        write_line(n=number, ok=True, r=result or {})
    except Exception as problem:
        write_line(n=number, ok=False, err=f"{type(problem).__name__}: {problem}")


async def run(options):
    listen = [Multiaddr(address) for address in options.listen or ["/ip4/127.0.0.1/tcp/0"]]
    host = make_host(options.seed, listen, options.swarm_key, options.wait_for_nonce)
    async with host.run(listen_addrs=listen), trio.open_nursery() as tasks:
        host.set_stream_handler(ECHO, serve_echo)
        host.set_stream_handler(XFER, serve_xfer)
        gossip = pubsub = kad = None

        async def service(it, started):
            async with background_trio_service(it):
                started.set()
                await trio.sleep_forever()

        if options.kad:
            kad = KadDHT(host, DHTMode.SERVER)
            started = trio.Event()
            tasks.start_soon(service, kad, started)
            await started.wait()
        if not options.no_pubsub:
            gossip = GossipSub(
                protocols=MESHSUB, degree=6, degree_low=5, degree_high=12, heartbeat_initial_delay=0.1, heartbeat_interval=1,
                spam_protection_enabled=False, eclipse_protection_enabled=False,
            )  # fmt: skip
            pubsub = Pubsub(host, gossip, max_subscriptions_per_peer=1_000)
            for it in (pubsub, gossip):
                started = trio.Event()
                tasks.start_soon(service, it, started)
                await started.wait()
            await pubsub.wait_until_ready()
        write_line(ev="ready", id=str(host.get_id()), addrs=[str(address) for address in host.get_addrs()])
        commands = Commands(host, gossip, pubsub, kad, tasks)
        async for line in trio.wrap_file(sys.stdin):
            if line.strip():
                tasks.start_soon(answer, commands, json.loads(line))
        tasks.cancel_scope.cancel()


async def run_test_plan():
    """One party of libp2p's transport-interop test; its parameters come from the environment."""
    plan = testplans.Plan.from_environment()
    listen = [Multiaddr(f"/ip4/{plan.ip}/tcp/0")]
    host = make_host(None, listen)
    redis = testplans.Redis(plan.redis)
    async with host.run(listen_addrs=listen):
        if not plan.is_dialer:
            redis.push("listenerAddr", with_peer(str(host.get_addrs()[0]), str(host.get_id())))
            await trio.sleep(plan.timeout)
            sys.exit("nobody ended this listener in time")
        address = await trio.to_thread.run_sync(redis.pop, "listenerAddr", plan.timeout)
        peer = info_from_p2p_addr(Multiaddr(address))
        started = time.perf_counter()
        await host.connect(peer)
        stream = await host.new_stream(peer.peer_id, [PING])
        before = time.perf_counter()
        payload = os.urandom(32)
        await stream.write(payload)
        if await read_exactly(stream, 32) != payload:
            sys.exit("a ping came back changed")
        ended = time.perf_counter()
        write_line(**testplans.result((ended - started) * 1e3, (ended - before) * 1e3))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", action="append", help="multiaddr; default /ip4/127.0.0.1/tcp/0")
    parser.add_argument("--seed", type=int, help="the Ed25519 seed as a number")
    parser.add_argument("--swarm-key", help="the key file of a private network")
    parser.add_argument("--wait-for-nonce", action="store_true", help="say nothing in a private network before the other's nonce has come")
    parser.add_argument("--no-pubsub", action="store_true")
    parser.add_argument("--kad", action="store_true", help="a Kademlia server")
    parser.add_argument("--test-plans", action="store_true", help="a party of the transport-interop test")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    if options.test_plans:
        trio.run(run_test_plan)
    else:
        trio.run(run, options)


if __name__ == "__main__":
    main()
