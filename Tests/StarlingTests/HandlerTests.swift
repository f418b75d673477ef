import Starling
import Testing

@Suite("Handlers that fail") struct HandlerTests {
  struct Broken: Error, Equatable {}

  /// The failures that a host tells, as they come.
  private func failures(_ events: HostEvents, _ count: Int) async throws -> [(PeerID, ProtocolID, any Error)] {
    try await within {
      var failures: [(PeerID, ProtocolID, any Error)] = []
      for await event in events {
        guard case .handlerFailed(let peer, let name, let error) = event else { continue }
        failures.append((peer, name, error))
        if failures.count == count { break }
      }
      return failures
    }
  }

  @Test("what a handler throws is told to its program, and its kind to the peer")
  func thrown() async throws {
    let (first, second) = try await makePair()
    let events = second.events
    let codes: [(any Error, HostError.Code)] = [
      (Broken(), .handlerFailed), (HostError(.tryLater, "full"), .tryLater), (HostError(.declined), .declined),
      (HostError(.badRequest), .badRequest), (HostError(.notFound), .handlerFailed),
    ]
    for (index, (thrown, expected)) in codes.enumerated() {
      let name = ProtocolID("/test/throws/\(index)")
      await second.serve(name) { _, _ in throw thrown }
      #expect(await code { _ = try await first.request(second.peerID, name, [1]) } == expected)
    }
    await second.handle("/test/stream") { stream in
      _ = try await stream.read()
      throw Broken()
    }
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/stream"])
    try await stream.write([1])
    #expect(await code { _ = try await stream.read() } == .handlerFailed)

    let told = try await failures(events, 6)
    #expect(told.allSatisfy { $0.0 == first.peerID })
    #expect(told.map(\.1.name) == (0..<5).map { "/test/throws/\($0)" } + ["/test/stream"])
    #expect(told[0].2 is Broken && (told[1].2 as? HostError)?.message == "full" && told[5].2 is Broken)
    // Nobody was blamed.
    #expect(try await first.withCore { core, _ in core.peering.reasonCounts.offences.isEmpty })
    #expect(try await second.withCore { core, _ in core.peering.reasonCounts.offences.isEmpty })
    await close(first, second)
  }

  @Test("an answer that is too long is a typed error at both ends, whoever's limit it breaks")
  func tooLong() async throws {
    let (first, second) = try await makePair()
    let events = second.events
    await second.serve("/test/long", maximumBytes: 1_000) { _, bytes in bytes + [UInt8](repeating: 0, count: 1_000) }
    #expect(try await first.request(second.peerID, "/test/long", []).count == 1_000)
    #expect(await code { _ = try await first.request(second.peerID, "/test/long", [1]) } == .answerTooLarge)
    // Here the asker takes less than is given. The answer has left by then: its giver is done with it.
    await first.serve("/test/long", maximumBytes: 100) { _, _ in nil }
    #expect(await code { _ = try await first.request(second.peerID, "/test/long", []) } == .answerTooLarge)
    let told = try await failures(events, 1)
    #expect(told[0].0 == first.peerID && told[0].1 == "/test/long" && (told[0].2 as? HostError)?.code == .answerTooLarge)
    #expect((told[0].2 as? HostError)?.message.contains("1001 bytes, where 1000 are allowed") == true, "\(told[0].2)")
    // A request that is too long.
    await first.serve("/test/short", maximumBytes: 100) { _, _ in [] }
    #expect(await code { _ = try await second.request(first.peerID, "/test/short", pattern(101)) } == .badRequest)
    #expect(await code { _ = try await second.request(first.peerID, "/test/short", pattern(101)) } == .badRequest)
    // What their programs do to each other's limits is no offence: both could go on like this for ever.
    for host in [first, second] { #expect(try await host.withCore { core, _ in core.peering.reasonCounts.offences.isEmpty }) }
    #expect(await first.peers().count == 1)
    await close(first, second)
  }

  @Test("an answer that its peer does not want is told to the program that gave it")
  func unwanted() async throws {
    let (first, second) = try await makePair()
    let events = second.events
    await second.serve("/test/unwanted") { _, _ in [UInt8](repeating: 0, count: 1 << 20) }
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/unwanted"])
    try await stream.write([1, 7])
    // More than the window admits is still to come.
    _ = try await stream.readExactly(1)
    stream.reset(.declined)
    let told = try await failures(events, 1)
    #expect(told[0].0 == first.peerID && told[0].1 == "/test/unwanted" && (told[0].2 as? HostError)?.code == .declined, "\(told)")
    await close(first, second)
  }

  @Test("a foreign client that does not know the framing is refused, and keeps its link")
  func foreignFraming() async throws {
    let (first, second) = try await makePair()
    await second.serve("/test/framed", maximumBytes: 1_000) { _, bytes in bytes }
    for _ in 0..<10 {
      let stream = try await first.openStream(to: second.peerID, protocols: ["/test/framed"])
      try await stream.write(Array("GET / HTTP/1.1\r\n".utf8))
      stream.finish()
      #expect(await code { _ = try await stream.readToEnd(maximumBytes: 100) } == .badRequest)
    }
    // By hand: a length, the message, the end.
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/framed"])
    try await stream.write([3, 7, 8, 9])
    stream.finish()
    #expect(try await stream.readToEnd(maximumBytes: 100) == [3, 7, 8, 9])
    #expect(try await second.withCore { core, _ in core.peering.reasonCounts.offences.isEmpty })
    await close(first, second)
  }

  @Test("events that a slow reader misses are counted, and it is told how many")
  func missed() async throws {
    let (first, second) = try await makePair { $0.eventsMaximum = 4 }
    let (slow, quick) = (second.events, second.events)
    await second.serve("/test/throws") { _, _ in throw Broken() }
    let failures = Counter()
    let reader = Task { for await event in quick { if case .handlerFailed = event { failures.add() } } }
    for number in 0..<20 {
      #expect(await code { _ = try await first.request(second.peerID, "/test/throws", [1]) } == .handlerFailed)
      try await eventually("the quick reader has it") { failures.value == number + 1 }
    }
    await second.close()
    await reader.value
    var seen: [String] = []
    var missed = 0
    for await event in slow {
      if case .missed(let count) = event { missed += count }
      seen.append("\(event)")
    }
    // All the last ones, behind the word of how many went before.
    #expect(seen.count == 5 && seen[0] == "missed(\(missed))" && missed >= 16 && slow.droppedCount == missed, "\(seen)")
    await first.close()
  }
}
