import Conformance
import Identity
import Testing
import Wire

@testable import SecureChannel

/// A remote that breaks rules, by plaintext given straight to the open muxer of a listener.
@Suite struct HostileTests {
  private func openListener(_ configuration: Connection.Configuration = .init()) -> ConnectionPair { makeOpenPair(listener: configuration) }

  private func feed(_ bytes: [UInt8], _ pair: ConnectionPair) -> [Connection.Output] {
    pair.on(.listener) { $0.receivePlaintext(bytes.rawSpan, into: &$1) }
    return pair.takeOutputs(.listener)
  }

  @Test func helloIsWhatTheFramesSay() {
    let hello = multistream("/multistream/1.0.0", echo.name)
    let pair = openListener()
    let bytes = frame(1, 1, 1, 0) + frame(0, 0, 1, UInt32(hello.count + 2), hello + [1, 9])
    #expect(feed(bytes, pair) == [.streamOpened(StreamID(rawValue: 1), echo), .message(StreamID(rawValue: 1), [9])])
    pair.run()
    // Byte by byte as well.
    let other = openListener()
    for byte in bytes { other.on(.listener) { $0.receivePlaintext([byte].rawSpan, into: &$1) } }
    #expect(other.takeOutputs(.listener) == [.streamOpened(StreamID(rawValue: 1), echo), .message(StreamID(rawValue: 1), [9])])
  }

  @Test(arguments: [
    (frame(0, 0, 1, 0, version: 1), "version 1"),
    (frame(4, 0, 1, 0), "frame type 4"),
    (frame(0, 1, 2, 0), "stream 2 opened by the dialer"),
    (frame(0, 1, 0, 0), "stream 0 opened by the dialer"),
    (frame(0, 0, 0, 0), "a stream frame without a stream"),
    (frame(1, 1, 1, 0) + frame(1, 1, 1, 0), "stream 1 opened twice"),
    (frame(0, 1, 1, 262_145), "262145 bytes of data for a window of 262144"),
    (frame(1, 1, 1, 0) + frame(1, 0, 1, .max), "a window beyond 4 GiB"),
  ])
  func violationsEndTheLinkWithAGoAway(bytes: [UInt8], rule: String) {
    let pair = openListener()
    #expect(feed(bytes, pair) == [.closed(.protocolViolation("yamux: \(rule)"))])
    pair.run()
    #expect(pair.listener.isDrained)
    #expect(pair.takeOutputs(.dialer) == [.closed(.remoteGoAway(1))])
  }

  @Test func windowIsCountedOverFrames() {
    let pair = openListener()
    pair.readsAtOnce = false
    let hello = multistream("/multistream/1.0.0", raw.name)
    var outputs = feed(frame(0, 1, 1, UInt32(hello.count), hello), pair)
    let rest = UInt32(262_144 - hello.count)
    outputs = feed(frame(0, 0, 1, rest, pattern(Int(rest))), pair)
    #expect(outputs.closed == nil)
    #expect(feed(frame(0, 0, 1, 1, [0]), pair).closed == .protocolViolation("yamux: 1 bytes of data for a window of 0"))
  }

  /// Frames without a body may be late; data comes only where a window admitted it.
  @Test func framesOfUnknownStreamsAreDiscarded() {
    let pair = openListener()
    #expect(feed(frame(1, 8, 9, 0) + frame(1, 0, 11, 5) + frame(0, 4, 13, 0), pair).isEmpty)
    #expect(pair.listener.bufferedBytes == 0)
    #expect(
      feed(frame(0, 0, 9, 1), pair) == [.closed(.protocolViolation("yamux: 1 bytes of data for no stream, where 0 may still come"))])
  }

  /// The remote may not have heard yet that its stream is gone: what its window admitted is taken and dropped, and no byte more.
  @Test(arguments: ["reset here", "refused", "reset there", "ended"]) func dataOfStreamsThatAreGone(how: String) {
    var configuration = Connection.Configuration()
    configuration.inboundStreamsMaximum = 1
    configuration.vitalStreamsReserve = 0
    let pair = openListener(configuration)
    let hello = multistream("/multistream/1.0.0", raw.name)
    let first = frame(0, 1, 1, UInt32(hello.count), hello)
    var rest = 262_144 - hello.count
    var wire: UInt32 = 1
    _ = feed(first, pair)
    switch how {
    case "reset here": pair.listener.reset(StreamID(rawValue: 1))
    case "refused":
      wire = 3
      _ = feed(frame(0, 1, 3, UInt32(hello.count), hello), pair)
    case "reset there": _ = feed(frame(1, 8, 1, 0), pair)
    default:
      _ = feed(frame(0, 4, 1, 0), pair)
      pair.listener.finish(StreamID(rawValue: 1))
      _ = pair.produce(.listener)
    }
    while rest > 0 {
      let part = min(rest, 100_000)
      #expect(feed(frame(0, 0, wire, UInt32(part), pattern(part)), pair).closed == nil)
      rest -= part
    }
    #expect(pair.listener.bufferedBytes < 100)
    #expect(
      feed(frame(0, 0, wire, 1, [0]), pair).closed == .protocolViolation("yamux: 1 bytes of data for no stream, where 0 may still come"))
  }

  /// Bytes that were announced after the end of a stream count as well.
  @Test func dataAfterTheEndIsBounded() {
    let pair = openListener()
    let hello = multistream("/multistream/1.0.0", raw.name)
    _ = feed(frame(0, 5, 1, UInt32(hello.count), hello), pair)
    #expect(
      feed(frame(0, 0, 1, 1 << 30), pair).closed
        == .protocolViolation("yamux: 1073741824 bytes of data for no stream, where \(262_144 - hello.count) may still come"))
  }

  @Test func pingIsAnsweredWithItsValue() {
    let pair = openListener()
    _ = feed(frame(2, 1, 0, 0xdead_beef), pair)
    #expect(pair.listener.control == frame(2, 2, 0, 0xdead_beef))
    // An answer that nobody asked for is nothing.
    #expect(feed(frame(2, 2, 0, 1), pair).isEmpty)
  }

  @Test func unreadAnswersAreBounded() {
    let pair = openListener()
    var outputs: [Connection.Output] = []
    for number in 0..<6000 where outputs.isEmpty {
      outputs = feed(frame(2, 1, 0, UInt32(number)), pair)
      #expect(pair.listener.control.count <= 65_536 + 12)
    }
    #expect(outputs.closed == .limit("unread answers: 65536 bytes"))
  }

  @Test func streamsOpenedAndResetWithoutReadingLeaveNothing() {
    let pair = openListener()
    let header = multistream("/multistream/1.0.0")
    var wire: UInt32 = 1
    for _ in 0..<20_000 {
      let bytes = frame(0, 1, wire, UInt32(header.count), header) + frame(1, 8, wire, 0)
      #expect(feed(bytes, pair).isEmpty)
      wire += 2
    }
    #expect(pair.listener.ready.count <= 200 && pair.listener.negotiating.count <= 200)
    #expect(pair.listener.bufferedBytes == 0 && pair.listener.statistics.streams == 0)
  }

  @Test func dataAfterTheEndResetsTheStream() {
    let pair = openListener()
    let id = StreamID(rawValue: 1)
    let hello = multistream("/multistream/1.0.0", raw.name)
    let outputs = feed(frame(0, 5, 1, UInt32(hello.count), hello) + frame(0, 0, 1, 2, [1, 2]), pair)
    #expect(
      outputs == [
        .streamOpened(id, raw), .streamFinished(id), .streamFailed(id, .protocolViolation("yamux: data after the end of the stream")),
      ])
  }

  @Test func finishMayRideOnAWindowUpdate() {
    let pair = openListener()
    let hello = multistream("/multistream/1.0.0", raw.name)
    let outputs = feed(frame(0, 1, 1, UInt32(hello.count), hello) + frame(1, 4, 1, 10), pair)
    #expect(outputs == [.streamOpened(StreamID(rawValue: 1), raw), .streamFinished(StreamID(rawValue: 1))])
  }

  // MARK: Fuzz

  /// Valid frames of every kind, mutated: the muxer never traps and stays inside its bounds.
  @Test func mutatedFramesNeverTrap() {
    let seed: UInt64 = 20_261_120
    var generator = SeededGenerator(seed: seed)
    var configuration = Connection.Configuration()
    configuration.inboundStreamsMaximum = 8
    configuration.reassemblyMaximum = 100_000
    var pair = openListener(configuration)
    var survivors = 0
    for round in 0..<10_000 {
      if pair.listener.isClosing || round % 50 == 0 {
        pair = openListener(configuration)
        _ = pair.open(.listener, 1, [echo])
        _ = pair.produce(.listener)
      }
      var bytes = validFrames(&generator)
      for _ in 0..<generator.index(below: 3) { mutate(&bytes, &generator) }
      let outputs = feed(bytes, pair)
      #expect(outputs.count <= bytes.count + 16, "seed \(seed), round \(round)")
      if let last = outputs.firstIndex(where: { if case .closed = $0 { true } else { false } }) {
        #expect(last == outputs.count - 1, "seed \(seed), round \(round): something follows the end")
      } else {
        survivors += 1
      }
      #expect(pair.listener.statistics.streams <= 9 && pair.listener.statistics.reassemblyBytes <= 100_000, "seed \(seed)")
      #expect(pair.listener.bufferedBytes <= 300_000, "seed \(seed)")
      checkCounts(pair.listener, seed)
      if generator.index(below: 4) == 0 { _ = pair.produce(.listener) }
      if generator.index(below: 10) == 0 { pair.listener.reset(StreamID(rawValue: UInt32(1 + generator.index(below: 9)))) }
    }
    #expect(survivors > 1000, "the mutations hardly ever leave a link alive")
  }

  private func checkCounts(_ connection: Connection, _ seed: UInt64) {
    guard !connection.isClosing else { return }
    let streams = Array(connection.byID.values)
    #expect(connection.statistics.queuedBytes == streams.reduce(0) { $0 + $1.queuedBytes }, "seed \(seed)")
    #expect(connection.statistics.reassemblyBytes == streams.reduce(0) { $0 + $1.message.count }, "seed \(seed)")
    // Every byte that is kept is reserved, and every one reserved is kept.
    let kept = streams.reduce(0) {
      $0 + ChannelStream.baseBytes + $1.queuedBytes + $1.message.count + max($1.windowSize - 262_144, $1.unread)
    }
    #expect(connection.memory.used == Connection.baseBytes + connection.bufferCharge + kept, "seed \(seed)")
    #expect(connection.inboundCount == streams.filter { !$0.id.isOutbound }.count, "seed \(seed)")
    #expect(connection.unacknowledged == streams.filter { $0.isReleased && !$0.isAcknowledged }.count, "seed \(seed)")
    for stream in streams {
      #expect(stream.receiveWindow >= 0 && stream.unconsumed >= 0 && stream.grantable >= 0 && stream.sendWindow >= 0, "seed \(seed)")
    }
  }

  private func validFrames(_ generator: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<1 + generator.index(below: 6) {
      let stream = UInt32(1 + 2 * generator.index(below: 6))
      switch generator.index(below: 10) {
      case 0, 1, 2:
        let name = [echo, raw, ping, "/none"][generator.index(below: 4)].name
        let hello = multistream("/multistream/1.0.0", name)
        // A stream that is open must first be reset.
        bytes += frame(1, 8, stream, 0) + frame(0, 1, stream, UInt32(hello.count), hello)
      case 3, 4, 5:
        var message: [UInt8] = []
        let body = generator.bytes(generator.index(below: 200))
        Varint.append(UInt64(body.count), to: &message)
        message += body
        bytes += frame(0, 0, stream, UInt32(message.count), message)
      case 6: bytes += frame(1, 0, stream, UInt32(generator.index(below: 100_000)))
      case 7: bytes += frame(0, 4, stream, 0)
      case 8: bytes += frame(2, UInt16(1 + generator.index(below: 2)), 0, UInt32(generator.index(below: 5)))
      default: bytes += frame(1, 2, 2, 0) + frame(0, 0, 2, 34, multistream("/multistream/1.0.0", echo.name))
      }
    }
    return bytes
  }

  private func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    guard !bytes.isEmpty else { return }
    let at = generator.index(below: bytes.count)
    switch generator.index(below: 5) {
    case 0: bytes[at] ^= 1 << UInt8(generator.index(below: 8))
    case 1: bytes[at] = UInt8(truncatingIfNeeded: generator.next())
    case 2: bytes.removeSubrange(at..<min(at + 1 + generator.index(below: 20), bytes.count))
    case 3: bytes.insert(contentsOf: generator.bytes(1 + generator.index(below: 20)), at: at)
    default: bytes.removeLast(bytes.count - at)
    }
  }

  /// Mutated flights of the set-up, on both sides, with both ways of agreeing on the muxer.
  @Test(arguments: [true, false]) func mutatedHandshakesNeverTrap(early: Bool) {
    let seed: UInt64 = early ? 11 : 12
    var generator = SeededGenerator(seed: seed)
    var configuration = Connection.Configuration()
    configuration.negotiatesMuxerEarly = early
    for round in 0..<1_000 {
      let pair = makePair(dialer: configuration, listener: configuration, cut: .random(seed: UInt64(round), maximum: 200))
      var flights = 0
      let target = generator.index(below: 4)
      let count = 1 + generator.index(below: 3)
      let box = Box(generator.split())
      pair.tamper = { _, bytes in
        if flights == target { for _ in 0..<count { self.mutate(&bytes, &box.value) } }
        flights += 1
      }
      #expect(pair.run(rounds: 30), "seed \(seed), round \(round)")
      pair.pass(.seconds(11))
      for side in ConnectionPair.Side.allCases {
        let outputs = pair.takeOutputs(side)
        // Either the mutation left the set-up alone, or the end is reported once and last.
        #expect(outputs.isEstablished || outputs.closed != nil, "seed \(seed), round \(round)")
        if outputs.closed != nil { #expect(outputs.last == .closed(outputs.closed!), "seed \(seed), round \(round)") }
        #expect(pair[side].bufferedBytes < 20_000)
      }
    }
  }

  /// Random bytes at a listener that waits for its first message, and after the negotiation.
  @Test func randomBytesNeverTrap() {
    let seed: UInt64 = 77
    var generator = SeededGenerator(seed: seed)
    for round in 0..<8_000 {
      let connection = round % 2 == 0 ? makeListener() : makeDialer()
      var outputs: [Connection.Output] = []
      if round % 4 >= 2 { connection.receive(multistream("/multistream/1.0.0", "/noise"), now: .zero, into: &outputs) }
      connection.receive(generator.bytes(generator.index(below: 300)), now: .zero, into: &outputs)
      connection.receiveEnd(now: .zero, into: &outputs)
      #expect(outputs.count == 1 && outputs.closed != nil, "seed \(seed), round \(round)")
    }
  }
}
