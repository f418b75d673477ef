import HostCore
import Identity
import Starling
import Testing
import Wire

/// A service whose key strangers flood with throwaway names, over real sockets.
@Suite("A flood of provider records") struct ProviderFloodTests {
  private static let multihash: [UInt8] = [0x12, 0x20] + [UInt8](repeating: 9, count: 32)

  private func makeNode(from source: String? = nil, _ mode: Kademlia.Mode = .server) async throws -> Host {
    try await makeHost {
      var kademlia = Kademlia.Configuration()
      kademlia.mode = mode
      // All of them come from this machine, where names of one address are not counted.
      kademlia.providersPerKeyMaximum = 80
      $0.core.kademlia = kademlia
      $0.core.gossip = nil
      $0.core.exchangesPeers = false
      if let source { $0.swarm.dialSources = [IPAddress(source)!] }
    }
  }

  /// Sends a Kademlia message as it is; the answer, if one is wanted.
  private func exchange(_ host: Host, _ peer: PeerID, _ message: [UInt8], wantsAnswer: Bool) async throws -> [UInt8] {
    let stream = try await host.openStream(to: peer, protocols: [HostProtocols.kademlia("main")])
    var framed: [UInt8] = []
    Varint.append(UInt64(message.count), to: &framed)
    try await stream.write(framed + message)
    var answer: [UInt8] = []
    if wantsAnswer {
      var length = 0
      for place in 0..<4 {
        let byte = try await stream.readExactly(1)[0]
        length |= Int(byte & 0x7f) << (7 * place)
        if byte < 0x80 { break }
      }
      answer = try await stream.readExactly(length)
    }
    stream.finish()
    return answer
  }

  @Test("the answer is short, the service stays findable, and the table's memory is bounded")
  func flood() async throws {
    let server = try await makeNode()
    let (honest, asker) = (try await makeNode(), try await makeNode(.client))
    for host in [honest, asker] {
      try await host.connect(await server.address)
      try await eventually("it knows the server") { await host.kademliaServers() == [server.peerID] }
    }
    #expect(try await honest.provide(Self.multihash) == 1)
    func count() async throws -> Int { try await server.withCore { core, _ in core.kademlia?.statistics.providers ?? 0 } }

    // Each with sixteen addresses of nearly 1 KB, as many times as an answer of 1 MiB would not hold.
    for number in 0..<84 {
      let stranger = try await makeNode(from: "127.0.0.66", .client)
      try await stranger.connect(await server.address)
      var writer = ProtobufWriter()
      writer.uint64(1, 2)
      writer.data(2, Self.multihash)
      let name = String(repeating: "a", count: 240) + "\(1_000 + number)"
      writer.message(9) { provider in
        provider.data(1, stranger.peerID.bytes)
        for port in 1...16 {
          provider.data(2, try! Multiaddr("/dns4/\(name)/dns4/\(name)/dns4/\(name)/dns4/\(name)/tcp/\(port)").bytes)
        }
        // One of a length that is kept.
        provider.data(2, try! Multiaddr("/dns4/\(name)/tcp/\(number + 1)").bytes)
      }
      let before = try await count()
      _ = try await exchange(stranger, server.peerID, writer.bytes, wantsAnswer: false)
      if number < 79 { try await eventually("it is in the table") { try await count() == before + 1 } }
      await stranger.close()
    }
    let statistics = try #require(try await server.withCore { core, _ in core.kademlia?.statistics })
    #expect(statistics.providers == 80 && statistics.providerBytes < 100_000, "\(statistics)")

    let request: [UInt8] = [8, 3, 18, UInt8(Self.multihash.count)] + Self.multihash
    let answer = try await within { try await exchange(asker, server.peerID, request, wantsAnswer: true) }
    #expect(answer.count <= 17 << 10, "\(request.count) bytes were answered with \(answer.count)")
    let found = try await within { try await asker.findProviders(Self.multihash, maximum: 4) }
    #expect(found.contains { $0.peer == honest.peerID && !$0.addresses.isEmpty }, "\(found.map(\.peer))")
    await close(server, honest, asker)
  }
}
