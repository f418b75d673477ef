import Starling
import Testing

@Suite("Cancellation") struct CancellationTests {
  static let slow: ProtocolID = "/test/slow/1"

  @Test("cancelled requests end at once, their streams are reset, and others have their places")
  func requests() async throws {
    let (first, second) = try await makePair {
      $0.core.gossip = nil
      $0.core.exchangesPeers = false
    }
    // The host's own requests count too.
    try await eventually("identify is over") { try await first.withCore { core, _ in core.identity(of: second.peerID) != nil } }
    let asked = Counter()
    await second.serve(Self.slow) { _, bytes in
      asked.add()
      if bytes == [0] { try await Task.sleep(for: .seconds(3_600)) }
      return bytes
    }
    // As many as may wait.
    let tasks = (0..<64).map { _ in Task { try await first.request(second.peerID, Self.slow, [0], timeout: .seconds(3_600)) } }
    try await eventually("all wait") { asked.value == 64 }
    #expect(await code { _ = try await first.request(second.peerID, Self.slow, [1]) } == .limitReached)
    for task in tasks { task.cancel() }
    for task in tasks { await #expect(throws: CancellationError.self) { try await within { try await task.value } } }
    #expect(try await first.request(second.peerID, Self.slow, [1]) == [1])
    try await eventually("the other end waits for none of them") { try await second.withCore { core, _ in core.memory.used } == 0 }
    // One that is cancelled before it has begun.
    let late = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await first.request(second.peerID, Self.slow, [1])
    }
    await #expect(throws: CancellationError.self) { try await within { try await late.value } }
    await close(first, second)
  }

  @Test("a cancelled opening of a stream ends at once, however silent the peer is, and takes no place")
  func opening() async throws {
    // Proves itself, and answers nothing from then on.
    let frozen = Gate()
    let silent = try HandPeer { peer, output in
      guard case .established = output else { return }
      peer.freeze()
      frozen.open()
    }
    let host = try await makeHost {
      $0.core.gossip = nil
      $0.core.peering.firstPingDelay = .seconds(3_600)
      $0.swarm.connection.streamNegotiationTimeout = .seconds(3_600)
    }
    try await host.connect(silent.listen())
    // What comes in one piece with the proof is answered.
    await frozen.pass()
    let before = host.linkMemory.used
    // More than a link may have, all in all.
    for _ in 0..<3 {
      let tasks = (0..<200).map { _ in Task { try await host.openStream(to: silent.peerID, protocols: [echo, "/test/other"]) } }
      try await eventually("all are open as far as this side goes") { host.linkMemory.used >= before + 150 << 10 }
      for task in tasks { task.cancel() }
      for task in tasks { await #expect(throws: CancellationError.self) { _ = try await within { try await task.value } } }
      try await eventually("nothing is kept of them") { host.linkMemory.used <= before + 20 << 10 }
    }
    // One that is cancelled before it has begun.
    let late = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await host.openStream(to: silent.peerID, protocols: [echo])
    }
    await #expect(throws: CancellationError.self) { _ = try await within { try await late.value } }
    await host.close()
    await silent.close()
  }

  @Test("who answers neither identify nor pings is given up after the time that the program gave")
  func limits() async throws {
    let (first, second) = (try await makeHost(), try await makeHost())
    for name in [HostProtocols.identify, HostProtocols.ping] {
      await second.handle(name) { _ in try await Task.sleep(for: .seconds(3_600)) }
    }
    try await first.connect(second.address)
    let peer = second.peerID
    #expect(await code { _ = try await within { try await first.identify(peer, timeout: .milliseconds(50)) } } == .timedOut)
    #expect(await code { _ = try await within { try await first.ping(peer, timeout: .milliseconds(50)) } } == .timedOut)
    await close(first, second)
  }

  @Test("handlers are cancelled with their host")
  func handlers() async throws {
    let (first, second) = try await makePair()
    let (running, cancelled) = (Counter(), Counter())
    @Sendable func wait() async throws {
      running.add()
      do { try await Task.sleep(for: .seconds(3_600)) } catch {
        cancelled.add()
        throw error
      }
    }
    await second.handle("/test/stream") { _ in try await wait() }
    await second.serve("/test/request") { _, _ in
      try await wait()
      return nil
    }
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/stream"])
    let request = Task { try await first.request(second.peerID, "/test/request", [], timeout: .seconds(3_600)) }
    let judged = try await second.subscribe(
      "test",
      .init { _ in
        try? await wait()
        return .ignore
      })
    #expect(judged.droppedCount == 0)
    try await eventually("the topic is known") { await first.topicPeers("test") == [second.peerID] }
    try await first.publish("test", [1])
    try await eventually("all run") { running.value == 3 }
    let events = second.events
    try await within { await second.close() }
    try await eventually("all were cancelled") { cancelled.value == 3 }
    // That is no failure to be told.
    for await event in events { if case .handlerFailed = event { Issue.record("\(event)") } }
    await #expect(throws: HostError.self) { try await within { try await stream.read() } }
    await #expect(throws: HostError.self) { try await within { try await request.value } }
    await first.close()
  }
}
