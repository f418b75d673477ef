import Conformance
import Identity
import SecureChannel
import Testing
import Wire

@Suite struct FlowControlTests {
  let remoteFirst = StreamID(rawValue: 1)

  @Test func slowReaderBlocksTheWriterAtTheWindow() {
    let pair = makeOpenPair()
    pair.readsAtOnce = false
    let id = pair.open(.dialer, 1, [raw])
    pair.send(.dialer, pattern(1_000_000), on: id)
    pair.run()
    // The negotiation's bytes are part of the window and were consumed by the listener itself.
    let hello = multistream("/multistream/1.0.0", raw.name).count
    let first = pair.takeOutputs(.listener).data(remoteFirst)
    #expect(first.count == 256 * 1024 - hello)
    #expect(pair.dialer.queuedBytes(on: id) == 1_000_000 - first.count)
    // Less than half of the window grants nothing; half of it does.
    pair.listener.consumed(100_000, on: remoteFirst)
    pair.run()
    #expect(pair.takeOutputs(.listener).isEmpty)
    pair.listener.consumed(40_000, on: remoteFirst)
    pair.run()
    let second = pair.takeOutputs(.listener).data(remoteFirst)
    #expect(second.count == 140_000 + hello)
    let received: [UInt8] = first + second
    #expect(pattern(1_000_000).starts(with: received))
  }

  @Test func everythingArrivesInOrderThroughAnyCut() {
    for cut in [ConnectionPair.Cut.whole, .every(10_000), .random(seed: 9, maximum: 70_000)] {
      let pair = makeOpenPair(cut: cut)
      let id = pair.open(.dialer, 1, [raw])
      for _ in 0..<8 { pair.send(.dialer, pattern(500_001), on: id) }
      pair.dialer.finish(id)
      pair.run()
      let outputs = pair.takeOutputs(.listener)
      let all = (0..<8).flatMap { _ in pattern(500_001) }
      #expect(outputs.data(remoteFirst) == all)
      #expect(outputs.last == .streamFinished(remoteFirst))
    }
  }

  @Test func windowGrowsWhileTheReaderIsQuick() {
    let pair = makeOpenPair()
    pair.latency = .milliseconds(20)
    pair.produceMaximum = 64 << 20
    pair.listener.measureRoundTrip()
    pair.run()
    let id = pair.open(.dialer, 1, [raw])
    pair.run()
    var flights: [Int] = []
    for _ in 0..<24 {
      while pair.dialer.queuedBytes(on: id) < 4 << 20 { pair.send(.dialer, pattern(1 << 20), on: id) }
      _ = pair.takeOutputs(.listener)
      pair.run(rounds: 1)
      flights.append(pair.takeOutputs(.listener).data(remoteFirst).count)
    }
    #expect(flights[0] <= 256 << 10)
    #expect(flights.max()! >= 2 << 20, "\(flights)")

    // A reader with no room to grow stays at the first window.
    var limited = Connection.Configuration()
    limited.memoryMaximum = 500 << 10
    let small = makeOpenPair(listener: limited)
    small.latency = .milliseconds(20)
    small.produceMaximum = 64 << 20
    let other = small.open(.dialer, 1, [raw])
    small.send(.dialer, pattern(4 << 20), on: other)
    while small.dialer.queuedBytes(on: other) > 0 {
      small.run(rounds: 1)
      #expect(small.takeOutputs(.listener).data(remoteFirst).count <= 256 << 10)
    }
  }

  @Test func messageLargerThanTheWindowPasses() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, pattern(10 << 20), on: id)
    pair.run()
    #expect(pair.takeOutputs(.listener).messages(remoteFirst) == [pattern(10 << 20)])
    #expect(pair.listener.statistics.reassemblyBytes == 0)
  }

  @Test func watermarksPauseAndResumeTheWriter() {
    let pair = makeOpenPair()
    pair.readsAtOnce = false
    let id = pair.open(.dialer, 1, [raw])
    #expect(pair.send(.dialer, pattern(1 << 20), on: id) == 1 << 20)
    #expect(pair.send(.dialer, [1], on: id) == 1 << 20 + 1)
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.streamAccepted(id, raw)])
    var granted = 0
    while pair.dialer.queuedBytes(on: id) >= 256 << 10 {
      #expect(pair.takeOutputs(.dialer).isEmpty)
      let count = pair.takeOutputs(.listener).data(remoteFirst).count
      granted += count
      pair.listener.consumed(count, on: remoteFirst)
      pair.run()
    }
    #expect(pair.takeOutputs(.dialer) == [.writable(id)])
    #expect(granted > 0)
  }

  @Test func sendBufferIsBounded() {
    let pair = makeOpenPair()
    let first = pair.open(.dialer, 1, [raw])
    let second = pair.open(.dialer, 2, [raw])
    #expect(pair.send(.dialer, pattern(10 << 20), on: first) == 10 << 20)
    #expect(pair.send(.dialer, pattern(7 << 20), on: second) == 0)
    #expect(pair.takeOutputs(.dialer) == [.streamFailed(second, .limit("bytes queued for sending: 16777216"))])
    #expect(pair.dialer.bufferedBytes < 10 << 20 + 1024)
  }

  @Test func reassemblyIsBounded() {
    var limited = Connection.Configuration()
    limited.reassemblyMaximum = 1 << 20
    let pair = makeOpenPair(listener: limited)
    for number in 1...3 {
      let id = pair.open(.dialer, UInt32(number), [echo], framing: .raw)
      var bytes: [UInt8] = []
      Varint.append(1 << 20, to: &bytes)
      pair.send(.dialer, bytes + pattern(500_000), on: id)
    }
    pair.run()
    #expect(pair.listener.statistics.reassemblyBytes <= 1 << 20)
    let failures = pair.takeOutputs(.listener).filter { if case .streamFailed(_, .limit) = $0 { true } else { false } }
    #expect(failures.count == 1)
  }

  @Test func streamsShareTheLinkFairly() {
    let pair = makeOpenPair()
    let ids = (1...4).map { pair.open(.dialer, UInt32($0), [raw]) }
    for id in ids { pair.send(.dialer, pattern(200_000), on: id) }
    pair.deliver(pair.produce(.dialer), to: .listener)
    let outputs = pair.takeOutputs(.listener)
    for number in 1...3 { #expect(outputs.data(StreamID(rawValue: UInt32(number))).count > 10_000) }
  }

  @Test func smallOutputRequestsMakeProgress() {
    let pair = makeOpenPair()
    pair.produceMaximum = 1
    let id = pair.open(.dialer, 1, [raw])
    pair.send(.dialer, pattern(20_000), on: id)
    pair.run()
    #expect(pair.takeOutputs(.listener).data(remoteFirst) == pattern(20_000))
  }
}
