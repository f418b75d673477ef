import Starling
import Testing

@Suite("Streams") struct StreamTests {
  @Test("a hundred streams at once")
  func hundred() async throws {
    let (first, second) = try await makePair()
    try await withThrowingTaskGroup { group in
      for number in 0..<100 {
        group.addTask {
          let stream = try await first.openStream(to: second.peerID, protocols: [echo])
          let text = pattern(1000 + number)
          try await stream.write(text)
          #expect(try await stream.readExactly(text.count) == text)
          stream.finish()
          #expect(try await stream.read() == nil)
        }
      }
      try await group.waitForAll()
    }
    await close(first, second)
  }

  @Test("a link may have 256 streams of one side's; each further one is refused, told to both ends and counted")
  func tooMany() async throws {
    let (first, second) = try await makePair {
      $0.core.rates.peer = .init(perSecond: 100_000, burst: 100_000)
      // The stream of pings would take one of them, or be one that is refused.
      $0.core.peering.firstPingDelay = .seconds(3_600)
    }
    var codes: [HostError.Code?] = []
    var open: [PeerStream] = []
    for _ in 0..<300 {
      do { open.append(try await first.openStream(to: second.peerID, protocols: [echo])) } catch {
        codes.append((error as? HostError)?.code)
      }
    }
    // The links' own streams, as gossip's, count too.
    #expect((250...256).contains(open.count), "\(open.count)")
    #expect(codes.allSatisfy { $0 == .tryLater } && codes.count == 300 - open.count)
    let refused = UInt64(codes.count)
    try await eventually("each is counted", second.linkMemory.refusedStreams) { $0 == refused }
    open.removeLast().reset()
    try await eventually("there is room again") {
      do { open.append(try await first.openStream(to: second.peerID, protocols: [echo])) } catch { return false }
      return true
    }
    await close(first, second)
  }

  @Test("two megabytes come back unchanged, written while they are read")
  func large() async throws {
    let (first, second) = try await makePair()
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/unknown", echo])
    #expect(stream.protocolID == echo && stream.peer == second.peerID)
    let sent = pattern(2_000_000)
    async let written: Void = stream.write(sent)
    #expect(try await stream.readExactly(sent.count) == sent)
    try await written
    await close(first, second)
  }

  @Test("64 MiB go through a stream, and the half-closed side still answers")
  func transfer() async throws {
    let (first, second) = try await makePair()
    await second.handle("/test/sum/1") { stream in
      var count = 0
      var sum: UInt64 = 0
      for try await chunk in stream {
        count += chunk.count
        chunk.withUnsafeBytes { bytes in for index in stride(from: 0, to: bytes.count, by: 4096) { sum &+= UInt64(bytes[index]) } }
      }
      try await stream.write(Array("\(count)".utf8))
    }
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/sum/1"])
    let block = [UInt8](repeating: 7, count: 1 << 20)
    for _ in 0..<64 { try await stream.write(block) }
    stream.finish()
    #expect(String(decoding: try await stream.readToEnd(maximumBytes: 100), as: UTF8.self) == "\(64 << 20)")
    #expect(await code { try await stream.write([1]) } == .streamClosed)
    await close(first, second)
  }

  @Test("a protocol that the peer does not speak is refused, also after it stopped")
  func refused() async throws {
    let (first, second) = try await makePair()
    #expect(await code { _ = try await first.openStream(to: second.peerID, protocols: ["/test/none"]) } == .protocolNotSupported)
    await second.unhandle(echo)
    #expect(await code { _ = try await first.openStream(to: second.peerID, protocols: [echo]) } == .protocolNotSupported)
    await close(first, second)
  }

  @Test("a protocol is spoken from the moment that its handler is there, and not from the moment that it is gone")
  func atOnce() async throws {
    let (first, second) = try await makePair { $0.core.rates.peer = .init(perSecond: 100_000, burst: 100_000) }
    for number in 0..<300 {
      let name = ProtocolID("/test/at-once/\(number)")
      await second.handle(name) { _ in }
      _ = try await first.openStream(to: second.peerID, protocols: [name])
      await second.unhandle(name)
      #expect(await code { _ = try await first.openStream(to: second.peerID, protocols: [name]) } == .protocolNotSupported)
    }
    await close(first, second)
  }

  @Test("a handler that throws resets, one that returns finishes, a stream let go of is reset, a finished one is not")
  func ends() async throws {
    let (first, second) = try await makePair()
    let handled = Counter()
    await second.handle("/test/throws") { stream in
      _ = try await stream.read()
      throw HostError(.badAnswer)
    }
    await second.handle("/test/returns") { stream in try await stream.write([1, 2, 3]) }
    await second.handle("/test/counts") { stream in
      var count = 0
      do { for try await chunk in stream { count += chunk.count } } catch { count = -1 }
      handled.add(count)
    }
    let throwing = try await first.openStream(to: second.peerID, protocols: ["/test/throws"])
    try await throwing.write([0])
    #expect(await code { _ = try await throwing.read() } == .handlerFailed)

    let returning = try await first.openStream(to: second.peerID, protocols: ["/test/returns"])
    #expect(try await returning.readToEnd(maximumBytes: 10) == [1, 2, 3])
    #expect(await code { _ = try await first.openStream(to: second.peerID, protocols: ["/test/returns"]).readExactly(4) } == .unexpectedEnd)

    do { _ = try await first.openStream(to: second.peerID, protocols: ["/test/counts"]) }
    try await eventually("the handler saw the reset") { handled.value == -1 }
    do {
      let stream = try await first.openStream(to: second.peerID, protocols: ["/test/counts"])
      try await stream.write([UInt8](repeating: 1, count: 500_000))
      stream.finish()
    }
    try await eventually("the handler got it all") { handled.value == 499_999 }
    await close(first, second)
  }

  @Test("a reader that does not read holds its writer back")
  func slowReader() async throws {
    let (first, second) = try await makePair()
    let (gate, opener) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let received = Counter()
    await second.handle("/test/slow") { stream in
      for await _ in gate { break }
      for try await chunk in stream { received.add(chunk.count) }
    }
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/slow"])
    let written = Counter()
    let total = 32 << 20
    let writer = Task {
      let block = [UInt8](repeating: 1, count: 64 << 10)
      while written.value < total {
        try await stream.write(block)
        written.add(block.count)
      }
      stream.finish()
    }
    // Other streams of the link go on, and measure the time until the writer stands still.
    var before = -1
    while written.value != before {
      before = written.value
      _ = try await first.ping(second.peerID, count: 50)
    }
    #expect(before < 6 << 20, "\(before) bytes were taken for a reader that does not read")
    #expect(received.value == 0)
    opener.yield()
    try await within { try await writer.value }
    try await eventually("all has come") { received.value == total }
    await close(first, second)
  }

  @Test("a cancelled read ends, and the stream goes on")
  func cancelledRead() async throws {
    let (first, second) = try await makePair()
    let stream = try await first.openStream(to: second.peerID, protocols: [echo])
    let reading = Task { try await stream.read() }
    reading.cancel()
    await #expect(throws: CancellationError.self) { _ = try await within { try await reading.value } }
    try await stream.write([5])
    #expect(try await stream.readExactly(1) == [5])
    await close(first, second)
  }

  @Test("more streams than handlers are reset")
  func handlerLimit() async throws {
    let (first, second) = try await makePair { $0.handlersMaximum = 2 }
    var held: [PeerStream] = []
    for _ in 0..<2 {
      let stream = try await first.openStream(to: second.peerID, protocols: [echo])
      try await stream.write([1])
      _ = try await stream.readExactly(1)
      held.append(stream)
    }
    let third = try await first.openStream(to: second.peerID, protocols: [echo])
    #expect(await code { _ = try await third.read() } == .tryLater)
    held[0].finish()
    #expect(try await held[0].read() == nil)
    try await eventually("there is room again") {
      let stream = try await first.openStream(to: second.peerID, protocols: [echo])
      return await code {
        try await stream.write([1])
        _ = try await stream.readExactly(1)
      } == nil
    }
    await close(first, second)
  }

  @Test("requests are answered, declined, too large, unanswered or unknown")
  func requests() async throws {
    let (first, second) = try await makePair()
    let (gate, opener) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    await second.serve("/test/reverse", maximumBytes: 1000) { peer, bytes in peer == first.peerID ? Array(bytes.reversed()) : nil }
    await second.serve("/test/decline") { _, _ in nil }
    await second.serve("/test/never") { _, _ in
      for await _ in gate { break }
      return []
    }
    #expect(try await first.request(second.peerID, "/test/reverse", [1, 2, 3]) == [3, 2, 1])
    #expect(try await first.request(second.peerID, "/test/reverse", []) == [])
    #expect(await code { _ = try await first.request(second.peerID, "/test/reverse", pattern(2000)) } == .badRequest)
    #expect(await code { _ = try await first.request(second.peerID, "/test/decline", []) } == .declined)
    #expect(await code { _ = try await first.request(second.peerID, "/test/none", []) } == .protocolNotSupported)
    #expect(await code { _ = try await first.request(second.peerID, "/test/never", [], timeout: .milliseconds(50)) } == .timedOut)
    #expect(await code { _ = try await first.request(NodeKey.generate().peerID, "/test/reverse", []) } == .notConnected)
    opener.yield()
    await close(first, second)
  }
}
