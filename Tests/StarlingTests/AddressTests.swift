import EventLoop
import Identity
import Peering
import Starling
import Testing

/// Addresses of other carriers, which only begin like one of TCP, at a host's doors.
@Suite("Addresses of hosts") struct AddressTests {
  @Test(
    "what only begins like a TCP address is not dialled",
    arguments: ["/ws", "/wss", "/tls/ws", "/http", "/udp/5", "/tcp/1", "/p2p-circuit", "/noise"])
  func connect(tail: String) async throws {
    let (first, second) = (try await makeHost(), try await makeHost())
    let text = "\(await second.address.withoutPeerID)\(tail)"
    let error = await #expect(throws: HostError.self) { try await first.connect(text) }
    #expect(error?.code == .invalidAddress && error?.message.contains("cannot be dialled: ") == true, "\(error as Any)")
    let start = await code {
      let host = try await makeHost { $0.bootstrap = [try! Multiaddr(text)] }
      await host.close()
    }
    #expect(start == .invalidAddress)
    #expect(await second.peers().isEmpty)
    await close(first, second)
  }

  @Test("what only begins like a TCP address is not listened on, nor what names another peer")
  func listen() async throws {
    let (host, other) = (try await makeHost(), try await makeHost())
    for tail in ["/ws", "/tcp/1", "/p2p/\(other.peerID)", "/http"] {
      let address = try Multiaddr(loopback + tail)
      #expect(await code { try await host.listen(on: [address]) } == .invalidAddress, "\(tail)")
    }
    #expect(await code { try await host.listen(on: [Multiaddr("/ip6zone/lo/ip6/::1/tcp/0")]) } == .invalidAddress)
    #expect(await host.addresses.count == 1)
    // Its own name is no fault, and an IPv4 address in IPv6 form is one of IPv4.
    let more = try await host.listen(on: [Multiaddr(loopback).withPeerID(host.peerID), Multiaddr("/ip6/::ffff:127.0.0.1/tcp/0")])
    #expect(more.count == 2 && more.allSatisfy { $0.ipAddress == .loopback }, "\(more)")
    for address in more { #expect(try await other.connect(address) == host.peerID) }
    await close(host, other)
  }

  @Test("what a peer says of itself takes no place when it cannot be dialled")
  func hearsay() async throws {
    let first = try await makeHost()
    let plain = try #require(await first.address.tcpPort)
    let told = ["/ip4/127.0.0.1/tcp/\(plain)/ws", "/ip4/127.0.0.1/tcp/\(plain)/tls/ws", "/ip4/127.0.0.1/tcp/\(plain)/udp/5"]
    let second = try await makeHost { $0.core.discovery.reach.announced = told.map { try! Multiaddr($0) } }
    try await second.connect(await first.address)
    let peer = second.peerID
    try await eventually("it has said where it is") {
      try await first.withCore { core, _ in core.peering.addresses(of: peer).contains { $0.isDialable } }
    }
    let (known, refused) = try await first.withCore { core, _ in
      (core.peering.addresses(of: peer), core.peering.reasonCounts.addressesRefused[.notDirect])
    }
    #expect(known == [await second.address.withoutPeerID] && refused == 3, "\(known)")
    await close(first, second)
  }

  @Test("a ban of an IPv4 network in IPv6 form, and one dialled in that form")
  func spelling() async throws {
    let (first, second) = (try await makeHost(), try await makeHost { $0.swarm.dialSources = [IPAddress("127.0.0.7")!] })
    try await first.ban(.network(IPNetwork("::ffff:127.0.0.7")!))
    #expect(await code { try await second.connect(await first.address) } != nil)
    #expect(try await first.withCore { core, _ in core.peering.reasonCounts.refused[.banned] ?? 0 } > 0)
    #expect(try await first.unban(.network(IPNetwork("127.0.0.7")!)))
    let port = try #require(await first.address.tcpPort)
    #expect(try await second.connect("/ip6/::ffff:127.0.0.1/tcp/\(port)") == first.peerID)
    #expect(await second.peers()[0].address == Multiaddr(ip: .loopback, port: port))
    await close(first, second)
  }
}
