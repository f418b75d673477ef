import Glibc
import Starling
import Testing

/// `count` bytes, each one more than the last.
private func ramp(_ count: Int) -> [UInt8] {
  var bytes = (0...255).map { UInt8($0) }
  while bytes.count < count { bytes += bytes }
  return Array(bytes.prefix(count))
}

@Suite("Backpressure") struct BackpressureTests {
  /// A host whose handler reads nothing until the gate is opened, and then all.
  private func makeLazyPair(_ received: Counter) async throws -> (Host, Host, open: @Sendable () -> Void) {
    let (first, second) = try await makePair()
    let (gate, opener) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let opened = Task { for await _ in gate { break } }
    await second.handle("/test/lazy") { stream in
      await opened.value
      let ramp = ramp((64 << 10) + 256)
      var total = 0
      for try await chunk in stream {
        // Each byte is one more than the last, so that nothing is lost, doubled or out of order.
        for start in stride(from: 0, to: chunk.count, by: 64 << 10) {
          let isRight = chunk.withUnsafeBytes { bytes in
            ramp.withUnsafeBytes {
              memcmp(bytes.baseAddress! + start, $0.baseAddress! + (total + start) % 256, min(64 << 10, bytes.count - start)) == 0
            }
          }
          guard isRight else { throw HostError(.badAnswer, "wrong bytes behind \(total)") }
        }
        total += chunk.count
        received.add(chunk.count)
      }
    }
    return (first, second, { opener.yield() })
  }

  /// Waits until a writer is under way and the link's thread has handled what it was given, some times over.
  private func settle(_ host: Host, _ peer: PeerID) async throws {
    try await eventually("a mebibyte is queued") { host.linkMemory.used > 1 << 20 }
    _ = try await host.ping(peer, count: 50)
  }

  @Test("what is being written goes out whole when another task finishes the stream")
  func finishDuringAWrite() async throws {
    let received = Counter()
    let (first, second, open) = try await makeLazyPair(received)
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/lazy"])
    let writer = Task { try await stream.write(ramp(8 << 20)) }
    try await settle(first, second.peerID)
    stream.finish()
    await #expect(throws: HostError.self) { try await stream.write([1]) }
    open()
    try await within { try await writer.value }
    try await eventually("all has come") { received.value == 8 << 20 }
    // The end came behind it: nothing more is read.
    #expect(try await within { try await stream.read() } == nil)
    await close(first, second)
  }

  @Test("one write of 40 MiB waits for a reader that does not read, keeps little, and arrives whole")
  func oneLargeWrite() async throws {
    let received = Counter()
    let (first, second, open) = try await makeLazyPair(received)
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/lazy"])
    let written = Counter()
    let writer = Task {
      try await stream.write(ramp(40 << 20))
      stream.finish()
      written.add()
    }
    try await settle(first, second.peerID)
    #expect(written.value == 0, "the write has returned")
    #expect(first.linkMemory.used < 3 << 20, "\(first.linkMemory.used) bytes are kept")
    open()
    try await within { try await writer.value }
    try await eventually("all has come") { received.value == 40 << 20 }
    await close(first, second)
  }

  /// 24 streams of a link that nobody reads: together more than the link may queue.
  @Test("writers of many streams wait rather than fail, and none is forgotten")
  func manyStreams() async throws {
    let received = Counter()
    let (first, second, open) = try await makeLazyPair(received)
    let count = 24
    let bytes = 3 << 20
    let written = Counter()
    let writers = Task {
      try await withThrowingTaskGroup { group in
        for _ in 0..<count {
          group.addTask {
            let stream = try await first.openStream(to: second.peerID, protocols: ["/test/lazy"])
            try await stream.write(ramp(bytes))
            stream.finish()
            written.add()
          }
        }
        try await group.waitForAll()
      }
    }
    try await settle(first, second.peerID)
    #expect(written.value == 0)
    // Meanwhile the link serves others.
    let stream = try await first.openStream(to: second.peerID, protocols: [echo])
    try await stream.write([1, 2])
    #expect(try await within { try await stream.readExactly(2) } == [1, 2])
    open()
    try await within { try await writers.value }
    try await eventually("all has come") { received.value == count * bytes }
    await close(first, second)
  }

  @Test("writes of several tasks go out whole, one after the other; a second reader is told that it is one")
  func together() async throws {
    let (first, second) = try await makePair()
    let stream = try await first.openStream(to: second.peerID, protocols: [echo])
    let reading = Task {
      while true {
        do { return try await stream.readExactly(40 * 100_000) } catch let error as HostError where error.code == .streamBusy {}
      }
    }
    try await eventually("the first reader has begun") { await code { _ = try await stream.readExactly(0) } == .streamBusy }
    #expect(await code { _ = try await stream.read() } == .streamBusy)
    #expect(await code { _ = try await stream.readToEnd(maximumBytes: 1) } == .streamBusy)
    try await withThrowingTaskGroup { group in
      for number in 0..<40 { group.addTask { try await stream.write([UInt8](repeating: UInt8(number), count: 100_000)) } }
      try await group.waitForAll()
    }
    let all = try await within { try await reading.value }
    var blocks: Set<UInt8> = []
    for start in stride(from: 0, to: all.count, by: 100_000) {
      let block = all[start..<start + 100_000]
      #expect(block.allSatisfy { $0 == block.first }, "a write was torn")
      blocks.insert(block[start])
    }
    #expect(blocks.count == 40)
    #expect(await code { _ = try await stream.readExactly(-1) } == .limitReached)
    await close(first, second)
  }

  @Test("a large write that is cancelled resets the stream, one that waits for its turn sends nothing")
  func cancelled() async throws {
    let received = Counter()
    let (first, second, open) = try await makeLazyPair(received)
    let stream = try await first.openStream(to: second.peerID, protocols: ["/test/lazy"])
    let large = Task { try await stream.write(ramp(40 << 20)) }
    try await settle(first, second.peerID)
    let behind = Task { try await stream.write([1]) }
    behind.cancel()
    await #expect(throws: CancellationError.self) { try await within { try await behind.value } }
    large.cancel()
    await #expect(throws: CancellationError.self) { try await within { try await large.value } }
    #expect(await code { try await stream.write([1]) } == .streamClosed)
    open()
    await close(first, second)
  }
}
