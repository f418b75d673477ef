import Conformance
import Crypto
import Identity
import SecureChannel
import Testing
import Wire

@Suite struct NetworkKeyTests {
  static let bytes = [UInt8](0..<32)

  /// The three encodings, with and without the end of the line; what is no key file is said.
  @Test func files() throws {
    let base16 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    for end in ["", "\n", "\r\n"] {
      #expect(try NetworkKey(file: Array("/key/swarm/psk/1.0.0/\n/base16/\n\(base16)\(end)".utf8)).bytes == Self.bytes)
      let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
      #expect(try NetworkKey(file: Array("/key/swarm/psk/1.0.0/\n/base64/\n\(base64)\(end)".utf8)).bytes == Self.bytes)
    }
    #expect(
      try NetworkKey(file: Array("/key/swarm/psk/1.0.0/\n/base64/\n//////////////////////////////////////////8=".utf8)).bytes
        == [UInt8](repeating: 255, count: 32))
    // Raw bytes may hold line ends of their own.
    var raw = Self.bytes
    raw[3] = 0x0a
    #expect(try NetworkKey(file: Array("/key/swarm/psk/1.0.0/\n/bin/\n".utf8) + raw).bytes == raw)
    let key = try #require(NetworkKey(bytes: Self.bytes))
    #expect(try NetworkKey(file: Array(key.file.utf8)) == key && !"\(key)".contains("0102"))
    #expect(NetworkKey(bytes: [1]) == nil)
  }

  @Test(arguments: [
    ("", NetworkKey.FileError.notAKeyFile), ("/key/swarm/psk/2.0.0/\n/base16/\n00", .notAKeyFile),
    ("/key/swarm/psk/1.0.0/", .unknownEncoding("")), ("/key/swarm/psk/1.0.0/\n/base32/\n00", .unknownEncoding("/base32/")),
    ("/key/swarm/psk/1.0.0/\n/base16/\n0001", .badKey), ("/key/swarm/psk/1.0.0/\n/base16/\nzz", .badKey),
    ("/key/swarm/psk/1.0.0/\n/bin/\nshort", .badKey), ("/key/swarm/psk/1.0.0/\n/base64/\n", .badKey),
  ]) func faults(text: String, fault: NetworkKey.FileError) {
    #expect(throws: fault) { try NetworkKey(file: Array(text.utf8)) }
  }
}

@Suite struct PrivateNetworkTests {
  static func configuration(_ byte: UInt8?) -> Connection.Configuration {
    var configuration = Connection.Configuration()
    configuration.networkKey = byte.flatMap { NetworkKey(bytes: [UInt8](repeating: $0, count: 32)) }
    return configuration
  }

  /// With one key a link works as any other, however its bytes are cut, and nothing of it is in the clear.
  @Test(arguments: [ConnectionPair.Cut.whole, .every(1), .every(7), .random(seed: 3, maximum: 50)])
  func members(cut: ConnectionPair.Cut) throws {
    let pair = makePair(dialer: Self.configuration(1), listener: Self.configuration(1), cut: cut)
    let header = Array("/multistream/1.0.0".utf8)
    var passed: [UInt8] = []
    pair.tamper = { _, bytes in passed += bytes }
    pair.run()
    #expect(pair.dialer.isEstablished && pair.listener.isEstablished)
    #expect(passed.count > 300)
    #expect(!(0..<passed.count - header.count).contains { passed[$0..<$0 + header.count].elementsEqual(header) })
    let stream = pair.open(.dialer, 1, [echo])
    let text = pattern(100_000)
    pair.send(.dialer, text, on: stream)
    pair.run()
    let got = pair.takeOutputs(.listener).compactMap { if case .message(_, let bytes) = $0 { bytes } else { nil } }
    #expect(got == [text])
  }

  /// Two links never use one stream twice: the nonces differ.
  @Test func noncesDiffer() {
    let first = makePair(dialer: Self.configuration(1), listener: Self.configuration(1))
    let second = makePair(dialer: Self.configuration(1), listener: Self.configuration(1))
    let flights = [first, second].map { $0.produce(.dialer) }
    #expect(flights[0].prefix(24) != flights[1].prefix(24) && flights[0].dropFirst(24).prefix(20) != flights[1].dropFirst(24).prefix(20))
  }

  /// A remote may wait for the nonce before it says anything: it comes at once, from the end that has nothing to say as well.
  @Test func theNonceWaitsForNothing() {
    let listener = makeListener(Self.configuration(1))
    var (bytes, outputs): ([UInt8], [Connection.Output]) = ([], [])
    #expect(listener.hasPendingOutput && listener.produce(into: &bytes, maximumBytes: 1 << 16, now: .zero, outputs: &outputs))
    #expect(bytes.count == 24 && !listener.hasPendingOutput)
    // One that is closed before says nothing any more.
    let closed = makeListener(Self.configuration(1))
    closed.close(.closedLocally("over"), into: &outputs)
    #expect(closed.isDrained)
  }

  /// Whoever has another key or none is named for what he is, by the end that has one; nobody is established.
  @Test(arguments: [(1, 2), (1, nil), (nil, 1)] as [(UInt8?, UInt8?)])
  func strangers(dialer: UInt8?, listener: UInt8?) {
    for cut in [ConnectionPair.Cut.whole, .every(1)] {
      let pair = makePair(dialer: Self.configuration(dialer), listener: Self.configuration(listener), cut: cut)
      pair.run()
      // The transport ends where either end has closed.
      for side in ConnectionPair.Side.allCases where pair[side.other].isClosing {
        pair.on(side) { $0.receiveEnd(now: pair.now, into: &$1) }
      }
      pair.pass(.seconds(11))
      for side in ConnectionPair.Side.allCases where pair[side.other].isClosing {
        pair.on(side) { $0.receiveEnd(now: pair.now, into: &$1) }
      }
      for (side, key) in [(ConnectionPair.Side.dialer, dialer), (.listener, listener)] {
        let outputs = pair.takeOutputs(side)
        #expect(!outputs.isEstablished)
        guard let error = outputs.closed else {
          Issue.record("\(side) did not end")
          continue
        }
        let isNamed = error.description.contains("not of this private network")
        #expect(isNamed == (key != nil), "\(side) with \(key.map(String.init) ?? "none"): \(error)")
      }
    }
  }

  /// A remote that closes without a word, resets, or stays silent.
  @Test func silentStrangers() {
    func end(_ body: (Connection, inout [Connection.Output]) -> Void) -> ChannelError? {
      let connection = makeListener(Self.configuration(1))
      var outputs: [Connection.Output] = []
      body(connection, &outputs)
      return outputs.closed
    }
    #expect(end { $0.receiveEnd(now: .zero, into: &$1) } == .notInNetwork("the other end closed before it had shown the network's key"))
    #expect(
      end { $0.receiveEnd(.transport(.reset), now: .zero, into: &$1) }
        == .notInNetwork("the other end closed before it had shown the network's key"))
    #expect(
      end { $0.handleTimer(now: .zero + .seconds(11), into: &$1) } == .notInNetwork("the other end did not show the network's key in time"))
    #expect(end { $0.receive([1, 2, 3], now: .zero, into: &$1) } == nil, "less than a nonce says nothing")
  }
}
