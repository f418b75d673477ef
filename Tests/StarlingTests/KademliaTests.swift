import Starling
import Testing

@Suite("Kademlia over hosts") struct KademliaTests {
  static let multihash: [UInt8] = [0x12, 0x20] + [UInt8](repeating: 7, count: 32)
  static let key = Array("/v/colour".utf8)

  private func makeServer(_ mode: Kademlia.Mode = .server) async throws -> Host {
    try await makeHost {
      var kademlia = Kademlia.Configuration()
      kademlia.mode = mode
      kademlia.validators["v"] = AnyValueValidator()
      $0.core.kademlia = kademlia
      $0.core.gossip = nil
      $0.core.exchangesPeers = false
    }
  }

  /// Hosts in a line; each knows its neighbours at first.
  private func makeLine(_ count: Int) async throws -> [Host] {
    var hosts: [Host] = []
    for index in 0..<count {
      let host = try await makeServer()
      if index > 0 {
        try await host.connect(hosts[index - 1].address)
        let neighbour = hosts[index - 1]
        try await eventually("both know that the other serves") {
          let (here, there) = (await host.kademliaServers(), await neighbour.kademliaServers())
          return here.contains(neighbour.peerID) && there.contains(host.peerID)
        }
      }
      hosts.append(host)
    }
    return hosts
  }

  @Test("the ends of a line find each other, and what they provide and store")
  func line() async throws {
    let hosts = try await makeLine(6)
    let (first, last) = (hosts[0], hosts[5])
    let found = try await within { try await first.findPeer(last.peerID) }
    #expect(found.contains(await last.address))
    #expect(await first.peers().contains { $0.peer == last.peerID }, "it was reached")

    #expect(try await last.provide(Self.multihash) >= 5)
    let providers = try await within { try await hosts[1].findProviders(Self.multihash) }
    #expect(providers.map(\.peer) == [last.peerID] && !providers[0].addresses.isEmpty)
    var streamed: [PeerID] = []
    for try await provider in hosts[2].providers(Self.multihash, maximum: 1) { streamed.append(provider.peer) }
    #expect(streamed == [last.peerID])

    #expect(try await first.putValue(Self.key, Array("blue".utf8)) == 5)
    for host in hosts { #expect(try await host.getValue(Self.key) == Array("blue".utf8)) }
    #expect(try await hosts[3].closestPeers(to: Self.key).count == 5)
    for host in hosts { await host.close() }
  }

  @Test("a client asks, is found, and is in nobody's table; a server that becomes one leaves it")
  func modes() async throws {
    let hosts = try await makeLine(3)
    let client = try await makeServer(.client)
    try await client.connect(hosts[0].address)
    try await eventually("the client knows a server") { await client.kademliaServers().contains(hosts[0].peerID) }
    #expect(try await client.findPeer(hosts[2].peerID).contains(hosts[2].address))
    // Only the first host is linked with the client: it names it, though it does not serve.
    #expect(try await hosts[1].findPeer(client.peerID).contains(client.address))
    #expect(try await client.provide(Self.multihash) == 3)
    #expect(try await hosts[1].findProviders(Self.multihash).map(\.peer) == [client.peerID])
    for host in hosts { #expect(await !host.kademliaServers().contains(client.peerID)) }

    await hosts[2].setKademliaMode(.client)
    try await eventually("its neighbour has heard of it") { await !hosts[1].kademliaServers().contains(hosts[2].peerID) }
    await client.setKademliaMode(.server)
    try await eventually("the first host has heard of it") { await hosts[0].kademliaServers().contains(client.peerID) }
    await close(hosts[0], hosts[1], hosts[2], client)
  }

  @Test("what cannot be done says why")
  func errors() async throws {
    let (alone, plain) = (try await makeServer(), try await makeHost())
    let nobody = NodeKey.generate().peerID
    #expect(await code { _ = try await plain.findPeer(nobody) } == .kademliaDisabled)
    #expect(await code { _ = try await alone.findPeer(nobody) } == .noServers)
    let error = await #expect(throws: HostError.self) { _ = try await alone.provide(Self.multihash) }
    #expect(error?.code == .noServers && error?.message.contains("the host goes on trying (stopProviding(_:) ends it)") == true)
    #expect(await code { _ = try await alone.provide([]) } == .invalidRecord)
    #expect(await code { _ = try await alone.putValue(Array("/unknown/x".utf8), [1]) } == .invalidRecord)
    let other = try await makeServer()
    try await alone.connect(other.address)
    // What was to be provided is told as soon as there is somebody to tell.
    try await eventually("the other has heard") { (try? await other.findProviders(Self.multihash).map(\.peer)) == [alone.peerID] }
    #expect(await code { _ = try await alone.findPeer(nobody) } == .notFound)
    #expect(await code { _ = try await alone.getValue(Self.key) } == .notFound)
    await close(alone, other, plain)
    #expect(await code { _ = try await alone.findPeer(nobody) } == .closed)
  }

  /// As the documentation has it: who connects need not wait before it looks something up.
  @Test("connect, then provide, twenty times")
  func atOnce() async throws {
    let server = try await makeServer()
    for _ in 0..<20 {
      let host = try await makeServer()
      try await host.connect(server.address)
      #expect(try await host.provide(Self.multihash) == 1)
      await host.close()
    }
    // Nor who has a bootstrap peer.
    let host = try await makeServer()
    try await host.addBootstrap(server.address)
    #expect(try await host.provide(Self.multihash) == 1)
    // A peer that serves nothing is not waited for.
    let (mute, plain) = (try await makeServer(.client), try await makeServer(.client))
    try await plain.connect(mute.address)
    #expect(await code { _ = try await within { try await plain.provide(Self.multihash) } } == .noServers)
    await close(server, host, mute, plain)
  }

  @Test("a look-up that waits for the first server can be cancelled")
  func cancelledEarly() async throws {
    let silent = try await SilentListener()
    let host = try await makeServer()
    try await host.addBootstrap(try Multiaddr("/ip4/127.0.0.1/tcp/\(silent.port)"))
    let task = Task { try await host.provide(Self.multihash) }
    try await eventually("the dial is under way") { try await host.withCore { core, _ in core.peering.counts.dialling == 1 } }
    task.cancel()
    await #expect(throws: CancellationError.self) { _ = try await within { try await task.value } }
    await host.close()
    await silent.close()
  }

  @Test("what is found can be connected to, and nobody else can answer there")
  func names() async throws {
    let hosts = try await makeLine(3)
    #expect(try await hosts[2].provide(Self.multihash) == 2)
    let found = try await hosts[0].findProviders(Self.multihash)
    let own = await hosts[2].address
    #expect(found.map(\.peer) == [hosts[2].peerID] && found[0].addresses == [own])
    for try await provider in hosts[0].providers(Self.multihash) { #expect(provider.addresses == found[0].addresses) }
    for peer in try await hosts[0].closestPeers(to: Self.key) { #expect(peer.addresses.allSatisfy { $0.peerID == peer.peer }) }
    for address in found[0].addresses { #expect(try await hosts[0].connect(address) == hosts[2].peerID) }
    // Somebody else at the address that was found.
    let address = try #require(found.first?.addresses.first)
    await hosts[2].close()
    let other = try await makeHost { $0.listen = [address.withoutPeerID] }
    let error = await code { try await hosts[1].connect(address) }
    #expect(error == .wrongPeer, "\(error as Any)")
    await close(hosts[0], hosts[1], other)
  }

  @Test("a cancelled look-up ends at once")
  func cancelled() async throws {
    let (first, second) = (try await makeServer(), try await makeServer())
    try await first.connect(second.address)
    try await eventually("it is known") { await first.kademliaServers() == [second.peerID] }
    let task = Task { try await first.findPeer(NodeKey.generate().peerID) }
    task.cancel()
    await #expect(throws: CancellationError.self) { _ = try await task.value }
    await close(first, second)
  }
}
