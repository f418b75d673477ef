import Starling
import Testing

/// What becomes of the links of honest peers when others take the memory for links.
@Suite("Memory for links", .serialized) struct MemoryTests {
  private static let held: ProtocolID = "/test/held/1"
  private static let sink: ProtocolID = "/test/sink/1"

  private func counts(_ host: Host) async throws -> ReasonCounts { try await host.withCore { core, _ in core.peering.reasonCounts } }

  /// A host that reads nothing of what comes on some streams, and pings often.
  private func makeHoldingHost(_ memory: Int) async throws -> Host {
    let host = try await makeHost {
      $0.swarm.memoryMaximum = memory
      $0.core.peering.totalMaximum = 100
      $0.core.peering.firstPingDelay = .milliseconds(50)
      $0.core.peering.pingInterval = .milliseconds(200)
    }
    await host.handle(Self.held) { _ in try await Task.sleep(for: .seconds(600)) }
    return host
  }

  /// A linked peer that keeps the goodbyes that it hears.
  private func makeHoarder(on host: Host) async throws -> (peer: HandPeer, ends: Recorder<Reason>) {
    let ends = Recorder<Reason>()
    let peer = try HandPeer { peer, output in
      guard case .message(let stream, let bytes) = output else { return }
      if bytes.count == 32 { return peer.send(bytes, on: stream) }
      if let reason = try? Reason(encoded: bytes.rawSpan) { ends.add(reason) }
    }
    try await peer.dial(await host.address)
    let name = peer.peerID
    try await eventually("it is linked") { await host.peers().contains { $0.peer == name } }
    return (peer, ends)
  }

  /// Twelve peers have more and more kept for them. Once memory is short, who takes most goes, told why; an honest one is served.
  @Test("the link that takes most has to go when memory is short, and no other")
  func whoeverTakesMostGoes() async throws {
    let host = try await makeHoldingHost(16 << 20)
    await host.serve(Self.sink, maximumBytes: 4 << 20) { _, bytes in [UInt8(bytes.count >> 16)] }
    let honest = try await makeHost()
    try await honest.connect(host.address)
    var hoarders: [(peer: HandPeer, ends: Recorder<Reason>)] = []
    for _ in 0..<12 { hoarders.append(try await makeHoarder(on: host)) }
    for (number, hoarder) in hoarders.enumerated() {
      try await hoarder.peer.act { peer in
        for stream in 1...UInt32(4 + number) { peer.send([UInt8](repeating: 1, count: 250 << 10), on: peer.open(stream, Self.held, .raw)) }
      }
      let taken = (0...number).reduce(0) { $0 + (4 + $1) * (250 << 10) }
      if number < 6 { try await eventually("it is kept") { host.linkMemory.used >= taken } }
      // In more parts than one, so that it needs room.
      let message = [UInt8](repeating: 7, count: 1 << 20)
      try await eventually("an honest one is served") { (try? await honest.request(host.peerID, Self.sink, message)) == [16] }
    }
    try await eventually("those who took most are gone") { try await counts(host).closed[.resourceLimit, default: 0] >= 4 }
    try await eventually("they have heard why") { hoarders.count { $0.ends.values.first?.code == .resourceLimit } >= 4 }
    #expect(hoarders.prefix(4).allSatisfy { $0.ends.values.first == nil }, "not those who took little")
    #expect(await host.peers().contains { $0.peer == honest.peerID })
    #expect(try await counts(host).offences == [:], "it may have been an honest one")
    for hoarder in hoarders { await hoarder.peer.close() }
    await close(host, honest)
  }

  /// All memory is taken but what is kept for life, by links none of which takes much. They and others are pinged on, though each ping of one
  /// needs a new stream.
  @Test("a link lives on where others have taken all memory")
  func pingsGoOn() async throws {
    let memory = 2 << 20
    let host = try await makeHoldingHost(memory)
    let pings = Counter()
    let honest = try HandPeer { peer, output in
      guard case .message(let stream, let bytes) = output, bytes.count == 32 else { return }
      peer.send(bytes, on: stream)
      peer.finish(stream)
      pings.add()
    }
    try await honest.dial(await host.address)
    try await eventually("it is pinged") { pings.value >= 1 }
    var hoarders: [HandPeer] = []
    for _ in 0..<7 { hoarders.append(try await makeHoarder(on: host).peer) }
    for hoarder in hoarders.dropLast() {
      try await hoarder.act { peer in
        for stream in 1...UInt32(150) { peer.send([UInt8](repeating: 1, count: 1_900), on: peer.open(stream, Self.held, .raw)) }
      }
    }
    let all = memory - memory / 16
    try await eventually("not much is left") { host.linkMemory.used >= all - 100_000 }
    // The last one fills the gap, message by message, and stream by stream.
    for stream in 1...UInt32(250) where host.linkMemory.used < all - 1_024 {
      let before = host.linkMemory
      try await hoarders[6].act { peer in
        let opened = peer.open(stream, Self.held, .raw)
        if before.used < all - 8_192 { peer.send([UInt8](repeating: 1, count: 1_900), on: opened) }
      }
      try await eventually("it is there, or refused") { host.linkMemory.used != before.used || host.linkMemory.refusals != before.refusals }
    }
    #expect(host.linkMemory.used >= all - 1_024)
    let before = pings.value
    try await eventually("it is pinged on") { pings.value >= before + 10 }
    #expect(await host.peers().contains { $0.peer == honest.peerID })
    let counts = try await counts(host)
    #expect(counts.closed == [:] && counts.lost == [:], "\(counts)")
    for hoarder in hoarders { await hoarder.close() }
    await honest.close()
    await host.close()
  }
}
