import Dispatch
import Starling
import Testing

/// What one link does with a peer that is slow, silent, full, or more than it should be.
@Suite("Links", .serialized) struct LinkTests {
  private func counts(_ host: Host) async throws -> ReasonCounts { try await host.withCore { core, _ in core.peering.reasonCounts } }

  /// Pings come quickly, and a ping stream is given up quickly. A peer that answers is given more time than a slow machine needs.
  private func makePingingHost(_ change: (inout Host.Configuration) -> Void = { _ in }) async throws -> Host {
    try await makeHost {
      $0.core.peering.firstPingDelay = .milliseconds(50)
      $0.core.peering.pingInterval = .milliseconds(200)
      $0.swarm.connection.streamNegotiationTimeout = .milliseconds(100)
      change(&$0)
    }
  }

  // MARK: Life

  @Test("a peer that stands still before its first pong is dropped")
  func frozen() async throws {
    let host = try await makePingingHost()
    let peer = try HandPeer { peer, output in if case .established = output { peer.freeze() } }
    try await peer.dial(await host.address)
    try await eventually("it is dropped") { try await counts(host).closed == [.keepAliveTimeout: 1] }
    await peer.close()
    await host.close()
  }

  @Test("a peer that resets every stream of pings lives")
  func refusesPings() async throws {
    let host = try await makePingingHost { $0.core.peering.missedPongsMaximum = 100 }
    let pings = Counter()
    let peer = try HandPeer { peer, output in
      guard case .streamOpened(let stream, let name) = output else { return }
      peer.reset(stream)
      if name == HostProtocols.ping { pings.add() }
    }
    try await peer.dial(await host.address)
    try await eventually("many pings are refused") { pings.value >= 12 }
    #expect(await host.peers().map(\.peer) == [peer.peerID])
    await peer.close()
    await host.close()
  }

  @Test("a peer that ends the stream of pings after each lives, and is pinged on another")
  func endsPings() async throws {
    let host = try await makePingingHost { $0.core.peering.missedPongsMaximum = 100 }
    let pings = Counter()
    let peer = try HandPeer { peer, output in
      guard case .message(let stream, let bytes) = output, bytes.count == 32 else { return }
      peer.send(bytes, on: stream)
      peer.finish(stream)
      pings.add()
    }
    try await peer.dial(await host.address)
    try await eventually("many are answered") { pings.value >= 12 }
    #expect(await host.peers().map(\.peer) == [peer.peerID])
    await peer.close()
    await host.close()
  }

  // MARK: A full link

  @Test("a link that the application fills with streams stays, is pinged, and says goodbye")
  func full() async throws {
    // The streams are there before the first ping.
    let change: (inout Host.Configuration) -> Void = {
      $0.core.rates.peer = .init(perSecond: 100_000, burst: 100_000)
      $0.core.peering.firstPingDelay = .seconds(3)
      $0.core.peering.pingInterval = .milliseconds(200)
      $0.core.peering.missedPongsMaximum = 100
    }
    let (first, second) = try await makePair(change)
    try await eventually("the second knows the first") { await second.peers().count == 1 }
    var open: [PeerStream] = []
    for (here, there) in [(first, second), (second, first)] {
      await here.handle("/test/kept/1") { stream in for try await chunk in stream { try await stream.write(chunk) } }
      var isFull = false
      while !isFull {
        do { open.append(try await there.openStream(to: here.peerID, protocols: ["/test/kept/1"])) } catch {
          #expect((error as? HostError)?.code == .tryLater)
          isFull = true
        }
      }
    }
    for host in [first, second] {
      try await eventually("pings are answered") { await host.peers().first?.roundTrip != nil }
    }
    // Several intervals of pings go by: as many as would have ended the link.
    for host in [first, second] {
      for _ in 0..<10 {
        let before = await host.peers().first?.roundTrip
        try await eventually("another ping is answered") { await host.peers().first.map { $0.roundTrip != before } ?? true }
      }
      #expect(await host.peers().count == 1)
    }
    try await open[0].write([1, 2, 3])
    #expect(try await open[0].readExactly(3) == [1, 2, 3])
    await first.disconnect(second.peerID, reason: Reason(.operatorRequest, "lunch"))
    try await eventually("the second hears why") { try await counts(second).lost == [.operatorRequest: 1] }
    await close(first, second)
  }

  // MARK: Before the admission

  /// The core stands still between the handshake's begin and its end; meanwhile the link reads no more than its bound.
  @Test("before a link is admitted it takes a bounded number of bytes, and loses none")
  func heldBytes() async throws {
    let host = try await makeHost()
    let received = Counter()
    await host.serve("/test/sink/1", maximumBytes: 1 << 20) { _, bytes in
      received.add(bytes.count)
      return []
    }
    var configuration = Connection.Configuration()
    configuration.sendBufferMaximum = 64 << 20
    let (count, size) = (60, 330 << 10)
    let peer = try HandPeer(configuration) { peer, output in
      guard case .established = output else { return }
      for number in 1...UInt32(count) {
        let stream = peer.open(number, "/test/sink/1", .lengthPrefixed(maximumBytes: 1 << 20))
        peer.send([UInt8](repeating: 1, count: size), on: stream)
        peer.finish(stream)
      }
    }
    try await peer.dial(await host.address, begins: false)
    try await eventually("the core has accepted the link") { try await host.withCore { core, _ in core.peering.counts.accepted == 1 } }
    let hold = Gate()
    let stall = Task { try await host.withCore { _, _ in hold.pass() } }
    try await eventually("the core stands still") { hold.waiting == 1 }
    try await peer.begin()
    var (unsent, before, same) = (0, -1, 0)
    try await eventually("it stands still; \(unsent) bytes are left") {
      unsent = try await peer.unsentBytes()
      same = unsent == before ? same + 1 : 0
      before = unsent
      return same >= 20
    }
    #expect(unsent > 8 << 20)
    hold.open()
    try await stall.value
    try await eventually("all has come") { received.value == count * size }
    await peer.close()
    await host.close()
  }

  // MARK: Private networks

  @Test("a peer that waits for this side's nonce before it speaks gets in, whoever dials")
  func waitsForNonce() async throws {
    let key = NetworkKey(bytes: [UInt8](repeating: 9, count: 32))
    let host = try await makeHost { $0.swarm.connection.networkKey = key }
    var configuration = Connection.Configuration()
    configuration.networkKey = key
    let dialler = try HandPeer(configuration, waitsForNonce: true) { _, _ in }
    try await dialler.dial(await host.address)
    try await eventually("it is in") { await host.peers().map(\.peer) == [dialler.peerID] }
    let listener = try HandPeer(configuration, waitsForNonce: true) { _, _ in }
    #expect(try await within { try await host.connect(listener.listen()) } == listener.peerID)
    for peer in [dialler, listener] { await peer.close() }
    await host.close()
  }
}
