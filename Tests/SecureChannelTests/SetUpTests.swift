import Conformance
import Identity
import SecureChannel
import Testing
import Wire

@Suite struct SetUpTests {
  /// Each combination of early muxer negotiation and of an early handshake, with each way of cutting.
  @Test(arguments: [1, 2, 3, 7, 64, 1000], [0, 1, 2, 3, 4, 5, 6, 7])
  func everyVariantIsEstablished(piece: Int, bits: Int) {
    var dialer = Connection.Configuration()
    var listener = Connection.Configuration()
    dialer.negotiatesMuxerEarly = bits & 1 == 0
    listener.negotiatesMuxerEarly = bits & 2 == 0
    dialer.sendsHandshakeEarly = bits & 4 == 0
    let pair = makePair(dialer: dialer, listener: listener, cut: .every(piece))
    pair.latency = .milliseconds(10)
    #expect(pair.run())
    let ends = [pair.takeOutputs(.dialer), pair.takeOutputs(.listener)]
    #expect(pair.dialer.remoteIdentity?.peer == listenerKey.peerID)
    #expect(pair.dialer.remoteIdentity?.publicKey == listenerKey.publicKey)
    #expect(pair.listener.remoteIdentity?.peer == dialerKey.peerID)
    #expect(pair.dialer.remoteIdentity?.muxer == "/yamux/1.0.0")
    // Two round trips at most for each negotiation that is not folded into another.
    let roundTrips = 1 + (bits & 4 == 0 ? 0 : 1) + (bits & 3 == 0 ? 0 : 1)
    #expect(pair.dialer.remoteIdentity?.setUpTime == .milliseconds(20 * roundTrips))
    for outputs in ends {
      #expect(outputs.isEstablished && outputs.closed == nil)
      #expect(outputs.contains(.roundTrip(.milliseconds(20))))
    }
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, [9], on: id)
    #expect(pair.run())
    #expect(pair.takeOutputs(.listener) == [.streamOpened(StreamID(rawValue: 1), echo), .message(StreamID(rawValue: 1), [9])])
  }

  @Test func everySplitPointOfTheFlights() {
    for split in 1..<330 {
      let pair = makePair(cut: .whole)
      for side in [ConnectionPair.Side.dialer, .listener, .dialer] {
        let bytes = pair.produce(side)
        let at = min(split, bytes.count)
        pair.deliver(Array(bytes[..<at]), to: side.other)
        pair.deliver(Array(bytes[at...]), to: side.other)
      }
      #expect(pair.takeOutputs(.dialer).isEstablished && pair.takeOutputs(.listener).isEstablished, "split at \(split)")
    }
  }

  @Test func streamOpenedBeforeTheHandshakeLeavesWithIt() {
    let pair = makePair()
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, [1, 2], on: id)
    pair.run()
    #expect(pair.takeOutputs(.listener).messages(StreamID(rawValue: 1)) == [[1, 2]])
    #expect(pair.takeOutputs(.dialer).contains(.streamAccepted(id, echo)))
  }

  @Test func silenceEndsAtTheTimeLimit() {
    // After nothing, after the proposal, after the first Noise message.
    for stage in [0, 28, 40, 61] {
      let pair = makePair()
      let flight = pair.produce(.dialer)
      pair.deliver(Array(flight[..<min(stage, flight.count)]), to: .listener)
      #expect(pair.listener.nextDeadline == .zero + .seconds(10))
      pair.pass(.milliseconds(9_999))
      #expect(pair.takeOutputs(.listener).isEmpty)
      pair.pass(.milliseconds(1))
      #expect(pair.takeOutputs(.listener) == [.closed(.handshakeTimeout)])
      #expect(pair.takeOutputs(.dialer) == [.closed(.handshakeTimeout)])
      #expect(pair.listener.nextDeadline == nil)
    }
  }

  @Test func refusedSecurityIsNamed() {
    var outputs: [Connection.Output] = []
    let dialer = makeDialer()
    dialer.receive(multistream("/multistream/1.0.0", "na"), now: .zero, into: &outputs)
    #expect(outputs == [.closed(.negotiationFailed("the remote speaks none of /noise"))])
  }

  @Test func listenerRefusesWhatItDoesNotSpeakAndGoesOn() {
    var outputs: [Connection.Output] = []
    var bytes: [UInt8] = []
    let listener = makeListener()
    listener.receive(multistream("/multistream/1.0.0", "/tls/1.0.0", "ls", "/noise"), now: .zero, into: &outputs)
    listener.produce(into: &bytes, maximumBytes: 4096, now: .zero, outputs: &outputs)
    #expect(bytes == multistream("/multistream/1.0.0", "na", "na", "/noise"))
    #expect(outputs.isEmpty)
  }

  @Test(
    arguments: [
      ([0x00], "multistream: an empty message"),
      ([0x80, 0x80], "multistream: a message longer than 1,024 bytes"),
      ([0x81, 0x08], "multistream: a message of 1025 bytes, more than 1,024"),
      ([0x93, 0x00], "multistream: a length that is not in its shortest form"),
      ([0x93, 0x80, 0x00], "multistream: a message longer than 1,024 bytes"),
      ([0x02, 0x61, 0x62], "multistream: a message without its newline"),
      ([0x02, 0xff, 0x0a], "multistream: a message that is not text"),
      (Array("GET / HTTP/1.1\r\n\r\n".utf8), "it speaks HTTP, not libp2p; is this the right port?"),
      (Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), "it speaks HTTP, not libp2p; is this the right port?"),
      (Array("<!DOCTYPE HTML>\n<html lang=\"en\">".utf8), "it speaks HTTP, not libp2p; is this the right port?"),
      (Array("SSH-2.0-OpenSSH_9.2p1\r\n".utf8), "it speaks SSH, not libp2p; is this the right port?"),
      ([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46], "it speaks TLS, not libp2p; is this the right port?"),
      (
        Array("PROXY TCP4 192.0.2.7 192.0.2.1 5000 9000\r\n".utf8),
        "it speaks the PROXY protocol of load balancers, not libp2p; is this the right port?"
      ),
      (multistream("GET / HTTP/1.1"), "multistream: the first message is not /multistream/1.0.0"),
      (multistream("/multistream/1.0.0", "/noise") + [0x40, 0x01], "noise: a handshake message of 16385 bytes"),
      (multistream("/multistream/1.0.0", "/noise") + [0x00, 0x02, 0, 0], "noise: handshake message 1 is too short"),
    ] as [([UInt8], String)])
  func garbageIsNamed(bytes: [UInt8], rule: String) {
    for piece in [1, 1000] {
      let pair = makePair(cut: .every(piece))
      pair.deliver(bytes, to: .listener)
      #expect(pair.takeOutputs(.listener) == [.closed(.protocolViolation(rule))])
    }
  }

  @Test func endOfTransportIsReportedOnce() {
    let pair = makeOpenPair()
    _ = pair.open(.dialer, 1, [echo])
    pair.on(.dialer) { $0.receiveEnd(now: pair.now, into: &$1) }
    pair.on(.dialer) { $0.receiveEnd(now: pair.now, into: &$1) }
    #expect(pair.takeOutputs(.dialer) == [.closed(.endOfFile)])
    #expect(pair.dialer.isDrained && !pair.dialer.hasPendingOutput)
    pair.on(.listener) { $0.receiveEnd(.transport(.reset), now: pair.now, into: &$1) }
    #expect(pair.takeOutputs(.listener) == [.closed(.transport(.reset))])
  }

  /// A listener that closes without a byte had no slot, perhaps; a dialer that does so has nothing to be told apart from.
  @Test func whoClosesWithoutAByteTurnsTheDialerAway() {
    for error in [ChannelError.endOfFile, .transport(.reset)] {
      let pair = makePair()
      for side in ConnectionPair.Side.allCases { pair.on(side) { $0.receiveEnd(error, now: pair.now, into: &$1) } }
      #expect(pair.takeOutputs(.dialer) == [.closed(.turnedAway("it may be full, busy, closed to this address, or no libp2p peer"))])
      #expect(pair.takeOutputs(.listener) == [.closed(error)])
    }
  }

  // MARK: Turning away

  private static func turnedAway(_ reason: String) -> [Connection.Output] {
    [.closed(.turnedAway("\(reason), as the other end says, which nothing proves", reason: reason))]
  }

  /// Whoever takes no link says why before the end, however it is cut into reads, in a private network too.
  @Test(arguments: [nil, NetworkKey(bytes: [UInt8](repeating: 5, count: 32))])
  func aListenerNamesItsReason(key: NetworkKey?) {
    var configuration = Connection.Configuration()
    configuration.networkKey = key
    for piece in [1, 1_000] {
      let pair = makePair(dialer: configuration, listener: configuration, cut: .every(piece))
      pair.deliver(TurnAway(networkKey: key, crypto: crypto).bytes("too-many-peers"), to: .dialer)
      pair.on(.dialer) { $0.receiveEnd(.transport(.reset), now: pair.now, into: &$1) }
      #expect(pair.takeOutputs(.dialer) == Self.turnedAway("too-many-peers"))
    }
  }

  /// A listener that has a connection may still say so until both have agreed on Noise; a dialler never does.
  @Test func aBegunNegotiationMayEndWithTheReason() {
    for (begun, isTold) in [([], true), (["/multistream/1.0.0"], true), (["/multistream/1.0.0", "/noise"], false)] as [([String], Bool)] {
      let pair = makePair()
      for text in begun { pair.deliver(multistream(text), to: .listener) }
      pair.on(.listener) { $0.close(.closedLocally("busy"), telling: "busy", into: &$1) }
      let said = pair.produce(.listener)
      #expect(pair.listener.isDrained)
      #expect(said == (isTold ? multistream("/multistream/1.0.0", "/starling/turned-away/1/busy") : []))
    }
    let pair = makePair()
    pair.on(.dialer) { $0.close(.closedLocally("busy"), telling: "busy", into: &$1) }
    #expect(pair.produce(.dialer).isEmpty)
  }

  /// What could not be shown as it is, or comes in another place, is no reason.
  @Test func onlyANameIsAReason() {
    for name in ["", "Too many", "\u{1b}[2J", String(repeating: "a", count: 41)] {
      let pair = makePair()
      pair.deliver(multistream("/multistream/1.0.0", "/starling/turned-away/1/\(name)"), to: .dialer)
      #expect(pair.takeOutputs(.dialer) == [.closed(.protocolViolation("multistream: an answer that was not proposed"))], "\(name)")
    }
    let pair = makePair()
    pair.deliver(multistream("/starling/turned-away/1/busy"), to: .dialer)
    #expect(pair.takeOutputs(.dialer) == [.closed(.protocolViolation("multistream: the first message is not /multistream/1.0.0"))])
  }

  @Test func memoryBeforeAuthenticationIsBounded() {
    // A remote that announces the largest handshake message and trickles it, and one that proposes for ever.
    let listener = makeListener()
    var outputs: [Connection.Output] = []
    listener.receive(multistream("/multistream/1.0.0", "/noise") + [0x40, 0x00], now: .zero, into: &outputs)
    listener.receive([UInt8](repeating: 7, count: 16_383), now: .zero, into: &outputs)
    #expect(outputs.isEmpty)
    #expect(listener.bufferedBytes <= 16_386 + 2048)

    let other = makeListener()
    other.receive(multistream("/multistream/1.0.0"), now: .zero, into: &outputs)
    for _ in 0..<40 { other.receive(multistream("/x"), now: .zero, into: &outputs) }
    #expect(outputs == [.closed(.negotiationFailed("more than 32 refused proposals"))])
    #expect(other.bufferedBytes < 2048)
  }
}
