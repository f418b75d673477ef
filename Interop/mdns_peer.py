#!/usr/bin/env python3
"""py-libp2p's multicast DNS on the loopback interface, with a py-libp2p host behind it.

Prints {"ev":"ready","id":PEERID,"addr":MULTIADDR}, then {"ev":"found","id":PEERID,"addrs":[MULTIADDR…]} for each peer that py-libp2p's
listener finds, and {"ev":"linked","id":PEERID} for each peer that connects to the host. Ends when its input closes.
"""

import json
import sys

import trio
from libp2p.discovery.events.peerDiscovery import peerDiscovery
from libp2p.discovery.mdns.broadcaster import PeerBroadcaster
from libp2p.discovery.mdns.listener import PeerListener
from multiaddr import Multiaddr
from zeroconf import IPVersion, Zeroconf

from pypeer import make_host

SERVICE = "_p2p._udp.local."
NAME = "pypeer0123456789abcdefghijklmnopqrst." + SERVICE


def write_line(**fields):
    try:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever listened is gone; the end of the input follows.
        pass


async def watch(host):
    seen = set()
    while True:
        for peer in host.get_connected_peers():
            if peer not in seen:
                seen.add(peer)
                write_line(ev="linked", id=str(peer))
        await trio.sleep(0.05)


async def main():
    listen = [Multiaddr("/ip4/127.0.0.1/tcp/0")]
    host = make_host(None, listen)
    async with host.run(listen_addrs=listen), trio.open_nursery() as tasks:
        address = str(host.get_transport_addrs()[0]).split("/p2p/")[0]
        peerDiscovery.register_peer_discovered_handler(
            lambda info: write_line(ev="found", id=str(info.peer_id), addrs=[str(address) for address in info.addrs])
        )
        zeroconf = Zeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
        broadcaster = PeerBroadcaster(zeroconf, SERVICE, NAME, str(host.get_id()), int(address.rsplit("/", 1)[1]), [address])
        await trio.to_thread.run_sync(broadcaster.register)
        listener = PeerListener(host.get_peerstore(), zeroconf, SERVICE, NAME)
        write_line(ev="ready", id=str(host.get_id()), addr=address)
        tasks.start_soon(watch, host)
        await trio.to_thread.run_sync(sys.stdin.read)
        listener.stop()
        zeroconf.close()
        tasks.cancel_scope.cancel()


trio.run(main)
