import Conformance
import Identity
import SecureChannel
import Testing
import Wire

@Suite struct StreamTests {
  let remoteFirst = StreamID(rawValue: 1)

  /// A link all of whose memory, or its thread's, is taken still pings and says goodbye.
  @Test func vitalStreamsWorkWithoutMemory() {
    let protocols = ProtocolTable([ping: .init(framing: .fixed(bytes: 32), isVital: true), raw: .init(framing: .raw)])
    let thread = MemoryScope(limit: 64 << 10, keptForLife: 4 << 10)
    let dialer = Connection(
      role: .dialer(expecting: nil), staticKey: dialerStatic, crypto: crypto, protocols: protocols, memory: thread, now: .zero)
    let listener = Connection(role: .listener, staticKey: listenerStatic, crypto: crypto, protocols: protocols, now: .zero)
    let pair = ConnectionPair(dialer: dialer, listener: listener)
    pair.run()
    for side in ConnectionPair.Side.allCases { _ = pair.takeOutputs(side) }
    while thread.reserve(1) {}
    _ = pair.open(.dialer, 1, [raw])
    let failed = pair.takeOutputs(.dialer).withoutRoundTrips
    #expect(failed == [.streamFailed(.outbound(1), .limit("memory for a stream"))])
    let stream = pair.open(.dialer, 2, [ping])
    pair.send(.dialer, [UInt8](repeating: 1, count: 32), on: stream)
    pair.run()
    #expect(pair.takeOutputs(.dialer).withoutRoundTrips == [.streamAccepted(stream, ping)])
    #expect(pair.takeOutputs(.listener).contains(.message(StreamID(rawValue: 1), [UInt8](repeating: 1, count: 32))))
    // The rest of what is kept is not had by sending on.
    for _ in 0..<1_000 { pair.send(.dialer, [UInt8](repeating: 1, count: 32), on: stream) }
    #expect(pair.takeOutputs(.dialer).contains(.streamFailed(stream, .limit("memory for bytes queued for sending"))))
  }

  @Test func lazyNegotiationTakesOneFlight() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, [1, 2, 3], on: id)
    pair.send(.dialer, [], on: id)
    pair.deliver(pair.produce(.dialer), to: .listener)
    #expect(
      pair.takeOutputs(.listener) == [.streamOpened(remoteFirst, echo), .message(remoteFirst, [1, 2, 3]), .message(remoteFirst, [])])
    pair.send(.listener, [4], on: remoteFirst)
    pair.deliver(pair.produce(.listener), to: .dialer)
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(id, echo), .message(id, [4])])
  }

  @Test func listenerOpensToo() {
    let pair = makeOpenPair()
    let id = pair.open(.listener, 1, [ping])
    pair.send(.listener, pattern(32), on: id)
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.streamOpened(remoteFirst, ping), .message(remoteFirst, pattern(32))])
  }

  @Test func refusedProtocolFailsTheStreamOnly() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, ["/unknown/1"])
    pair.send(.dialer, pattern(5000), on: id)
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.streamFailed(id, .negotiationFailed("the remote speaks none of /unknown/1"))])
    #expect(pair.takeOutputs(.listener).isEmpty)
    #expect(pair.dialer.statistics.streams == 0 && pair.listener.statistics.streams == 0)
    #expect(pair.send(.dialer, [1], on: id) == 0)
    let second = pair.open(.dialer, 2, [echo])
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(second, echo)])
  }

  @Test func severalProposalsChooseTheFirstThatIsSpoken() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, ["/echo/3", "/echo/2", echo], framing: .lengthPrefixed(maximumBytes: 100))
    pair.send(.dialer, [7], on: id)
    pair.on(.dialer) { connection, _ in connection.finish(id) }
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(id, echo)])
    #expect(pair.takeOutputs(.listener) == [.streamOpened(remoteFirst, echo), .message(remoteFirst, [7]), .streamFinished(remoteFirst)])
  }

  @Test func halfCloseBothWays() {
    for first in ConnectionPair.Side.allCases {
      let pair = makeOpenPair()
      let id = pair.open(.dialer, 1, [echo])
      pair.run()
      _ = pair.takeOutputs(.dialer)
      _ = pair.takeOutputs(.listener)
      let ids: [ConnectionPair.Side: StreamID] = [.dialer: id, .listener: remoteFirst]
      let (near, far) = (ids[first]!, ids[first.other]!)
      pair.send(first, [1], on: near)
      pair[first].finish(near)
      #expect(pair.send(first, [2], on: near) == 0)
      pair.run()
      #expect(pair.takeOutputs(first.other) == [.message(far, [1]), .streamFinished(far)])
      #expect(pair.takeOutputs(first).isEmpty)
      // The other direction still works.
      pair.send(first.other, [3], on: far)
      pair[first.other].finish(far)
      pair.run()
      #expect(pair.takeOutputs(first) == [.message(near, [3]), .streamFinished(near), .streamClosed(near)])
      #expect(pair.takeOutputs(first.other) == [.streamClosed(far)])
      #expect(pair.dialer.statistics.streams == 0 && pair.listener.statistics.streams == 0)
    }
  }

  @Test func resetEndsBothEnds() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [raw])
    pair.run()
    _ = pair.takeOutputs(.listener)
    pair.send(.dialer, pattern(100), on: id)
    pair.dialer.reset(id, code: .rateLimited)
    pair.run()
    #expect(pair.takeOutputs(.listener) == [.streamFailed(remoteFirst, .streamReset(.rateLimited))])
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(id, raw)])
    // A stream that was never announced vanishes without a trace.
    let unseen = pair.open(.dialer, 2, [raw])
    pair.dialer.reset(unseen)
    pair.run()
    #expect(pair.takeOutputs(.listener).isEmpty && pair.takeOutputs(.dialer).isEmpty)
  }

  @Test(arguments: [1, 5, 100, 1_000_000]) func hundredStreamsAtOnce(piece: Int) {
    let pair = makeOpenPair(cut: .every(piece))
    let ids = (1...100).map { pair.open(.dialer, UInt32($0), [echo]) }
    for (index, id) in ids.enumerated() {
      pair.send(.dialer, pattern(index * 3), on: id)
      pair.dialer.finish(id)
    }
    pair.run()
    var answers: [StreamID: [UInt8]] = [:]
    for output in pair.takeOutputs(.listener) {
      if case .message(let id, let bytes) = output { answers[id] = bytes }
      if case .streamFinished(let id) = output {
        pair.send(.listener, answers[id]!, on: id)
        pair.listener.finish(id)
      }
    }
    pair.run()
    let outputs = pair.takeOutputs(.dialer)
    for (index, id) in ids.enumerated() { #expect(outputs.messages(id) == [pattern(index * 3)]) }
    #expect(outputs.filter { if case .streamClosed = $0 { true } else { false } }.count == 100)
    #expect(pair.dialer.statistics.streams == 0 && pair.listener.statistics.streams == 0)
    #expect(pair.dialer.bufferedBytes == 0 && pair.listener.bufferedBytes == 0)
  }

  @Test func messagesOfAllSizesInAnyCut() {
    let sizes = [0, 1, 127, 128, 16_383, 16_384, 65_506, 65_507, 65_519, 65_520, 300_000, 2_097_152]
    for cut in [ConnectionPair.Cut.whole, .every(65_537), .random(seed: 5, maximum: 9_000)] {
      let pair = makeOpenPair(cut: cut)
      let id = pair.open(.dialer, 1, [echo])
      for size in sizes { pair.send(.dialer, pattern(size), on: id) }
      pair.run()
      #expect(pair.takeOutputs(.listener).messages(remoteFirst).map(\.count) == sizes)
    }
  }

  @Test func oversizedLengthIsRefusedFromItsPrefix() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo], framing: .raw)
    var bytes: [UInt8] = []
    Varint.append(10 << 20 + 1, to: &bytes)
    pair.send(.dialer, bytes, on: id)
    pair.run()
    let tooLarge = ChannelError.messageTooLarge(bytes: 10 << 20 + 1, maximum: 10 << 20)
    #expect(pair.takeOutputs(.listener) == [.streamOpened(remoteFirst, echo), .streamFailed(remoteFirst, tooLarge)])
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(id, echo), .streamFailed(id, .streamReset(.protocolViolation))])
    #expect(pair.listener.bufferedBytes == 0)

    // A length that is allowed costs nothing before its bytes arrive.
    let second = pair.open(.dialer, 2, [echo], framing: .raw)
    bytes = []
    Varint.append(10 << 20, to: &bytes)
    pair.send(.dialer, bytes + [1, 2], on: second)
    pair.run()
    #expect(pair.listener.statistics.reassemblyBytes == 2)

    let third = pair.open(.dialer, 3, [echo], framing: .raw)
    pair.send(.dialer, [UInt8](repeating: 0xff, count: 12), on: third)
    pair.run()
    #expect(
      pair.takeOutputs(.listener).last
        == .streamFailed(StreamID(rawValue: 3), .protocolViolation("framing: a length of more than nine bytes")))
  }

  /// One length has one form, however its bytes are cut into reads.
  @Test(arguments: [[0x85, 0x00], [0x80, 0x00], [0x85, 0x80, 0x80, 0x00]] as [[UInt8]])
  func paddedLengthsAreRefused(prefix: [UInt8]) {
    for cut in 0...prefix.count {
      let pair = makeOpenPair()
      let id = pair.open(.dialer, 1, [echo], framing: .raw)
      for part in [prefix[..<cut], prefix[cut...] + pattern(5)] {
        pair.send(.dialer, Array(part), on: id)
        pair.run()
      }
      let refused = ChannelError.protocolViolation("framing: a length that is not in its shortest form")
      #expect(pair.takeOutputs(.listener).last == .streamFailed(remoteFirst, refused), "cut at \(cut)")
    }
  }

  @Test func ownOversizedMessageFailsTheStream() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo], framing: .lengthPrefixed(maximumBytes: 10))
    #expect(pair.send(.dialer, pattern(11), on: id) == 0)
    #expect(pair.takeOutputs(.dialer) == [.streamFailed(id, .limit("a message of 11 bytes to send, where 10 are allowed"))])
  }

  @Test func streamEndingInsideAMessageFails() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo], framing: .raw)
    pair.send(.dialer, [5, 1, 2], on: id)
    pair.dialer.finish(id)
    pair.run()
    #expect(
      pair.takeOutputs(.listener).last == .streamFailed(remoteFirst, .protocolViolation("framing: the stream ended inside a message")))
  }

  @Test func inboundStreamsOverTheMaximumAreReset() {
    var limited = Connection.Configuration()
    limited.inboundStreamsMaximum = 3
    let pair = makeOpenPair(listener: limited)
    let ids = (1...5).map { pair.open(.dialer, UInt32($0), [echo]) }
    pair.run()
    #expect(
      pair.takeOutputs(.dialer) == [
        .streamFailed(ids[3], .streamReset(.resourceLimit)), .streamFailed(ids[4], .streamReset(.resourceLimit)),
        .streamAccepted(ids[0], echo),
        .streamAccepted(ids[1], echo), .streamAccepted(ids[2], echo),
      ])
    #expect(pair.listener.statistics.refusedStreams == 2)
    // A free place is used again.
    pair.dialer.reset(ids[0])
    let sixth = pair.open(.dialer, 6, [echo])
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(sixth, echo)])
  }

  @Test func unacknowledgedStreamsWaitForTheirTurn() {
    var limited = Connection.Configuration()
    limited.unacknowledgedStreamsMaximum = 4
    limited.outboundStreamsMaximum = 9
    let pair = makeOpenPair(dialer: limited)
    let ids = (1...10).map { pair.open(.dialer, UInt32($0), [echo]) }
    for id in ids { pair.send(.dialer, [1], on: id) }
    #expect(pair.takeOutputs(.dialer) == [.streamFailed(ids[9], .limit("outbound streams: 9"))])
    pair.deliver(pair.produce(.dialer), to: .listener)
    #expect(pair.listener.statistics.streams == 4)
    pair.run()
    #expect(pair.takeOutputs(.dialer) == ids[..<9].map { .streamAccepted($0, echo) })
    #expect(pair.listener.statistics.streams == 9)
  }

  @Test func streamThatNamesNoProtocolIsResetInTime() {
    let pair = makeOpenPair()
    // The listener's answer is lost in a full socket: the dialer's stream stays unanswered.
    let id = pair.open(.dialer, 1, [echo])
    _ = pair.produce(.dialer)
    #expect(pair.dialer.nextDeadline == .zero + .seconds(10))
    pair.pass(.milliseconds(9_999))
    #expect(pair.takeOutputs(.dialer).isEmpty)
    pair.pass(.milliseconds(1))
    #expect(pair.takeOutputs(.dialer) == [.streamFailed(id, .negotiationTimeout(.seconds(10)))])
    #expect(pair.dialer.nextDeadline == nil)
  }

  @Test func closeSaysGoAway() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, [1], on: id)
    pair.on(.dialer) { $0.close(.closedLocally("over"), code: 5, into: &$1) }
    #expect(pair.takeOutputs(.dialer) == [.closed(.closedLocally("over"))])
    #expect(pair.dialer.isClosing && !pair.dialer.isDrained)
    pair.run()
    #expect(pair.dialer.isDrained)
    #expect(pair.takeOutputs(.listener) == [.closed(.remoteGoAway(5))])
  }

  @Test func closeWithFlushSendsWhatIsQueuedFirst() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, pattern(100_000), on: id)
    pair.on(.dialer) { $0.close(.closedLocally("over"), flush: true, into: &$1) }
    pair.run()
    #expect(pair.dialer.isDrained)
    #expect(pair.takeOutputs(.listener) == [.streamOpened(remoteFirst, echo), .message(remoteFirst, pattern(100_000))])
    // A normal go-away becomes the reason once the transport ends; until then it only refuses new streams.
    #expect(pair.takeOutputs(.dialer) == [.closed(.closedLocally("over"))])
    let refused = pair.open(.listener, 1, [echo])
    pair.on(.listener) { $0.receiveEnd(now: pair.now, into: &$1) }
    #expect(pair.takeOutputs(.listener) == [.streamFailed(refused, .remoteGoAway(0)), .closed(.remoteGoAway(0))])
  }

  /// However many streams there are, those that the link lives by have room, on both sides.
  @Test func vitalStreamsHaveRoomInReserve() {
    var table = table
    table[ping] = .init(framing: .fixed(bytes: 32), isVital: true)
    var limited = Connection.Configuration()
    limited.inboundStreamsMaximum = 4
    limited.outboundStreamsMaximum = 6
    limited.unacknowledgedStreamsMaximum = 6
    limited.vitalStreamsReserve = 2
    let pair = makeOpenPair(dialer: limited, listener: limited)
    pair.dialer.protocols = table
    pair.listener.protocols = table
    let ids = (1...5).map { pair.open(.dialer, UInt32($0), [echo]) }
    for id in ids { pair.send(.dialer, [1], on: id) }
    pair.run()
    var outputs = pair.takeOutputs(.dialer)
    // The fifth is taken until it says what it wants; it is never accepted first and refused then.
    #expect(
      outputs.withoutRoundTrips.filter { if case .streamAccepted = $0 { true } else { false } }
        == ids[..<4].map { .streamAccepted($0, echo) })
    #expect(outputs.contains(.streamFailed(ids[4], .streamReset(.resourceLimit))) && pair.listener.statistics.refusedStreams == 1)
    #expect(pair.takeOutputs(.listener).messages(StreamID(rawValue: 5)).isEmpty)
    let vital = (6...7).map { pair.open(.dialer, UInt32($0), [ping]) }
    pair.run()
    #expect(pair.takeOutputs(.dialer).withoutRoundTrips == vital.map { .streamAccepted($0, ping) })
    // The reserve has an end as well.
    let last = pair.open(.dialer, 8, [ping])
    pair.run()
    #expect(pair.takeOutputs(.dialer).withoutRoundTrips == [.streamFailed(last, .streamReset(.resourceLimit))])
    for id in vital { pair.dialer.reset(id) }
    pair.run()
    // On the side that opens them, and without a wait for those that the remote has not acknowledged.
    _ = pair.open(.dialer, 9, [echo])
    _ = pair.open(.dialer, 10, [echo])
    outputs = pair.takeOutputs(.dialer)
    let tooMany = pair.open(.dialer, 11, [echo])
    #expect(pair.takeOutputs(.dialer) == [.streamFailed(tooMany, .limit("outbound streams: 6"))])
    pair.listener.reset(StreamID(rawValue: 1))
    let late = pair.open(.dialer, 12, [ping])
    pair.run()
    #expect(pair.takeOutputs(.dialer).contains(.streamAccepted(late, ping)))
  }
}
