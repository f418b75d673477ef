import Conformance
import Identity
import Testing
import Wire

@testable import SecureChannel

@Suite struct NoiseTests {
  @Test func transcriptMatchesTheVectorByteForByte() throws {
    let vector = try noiseVector()
    let initiator = NoiseHandshake(
      isInitiator: true, staticKey: dialerStatic, ephemeralSecret: [UInt8](repeating: 5, count: 32), crypto: crypto)
    let responder = NoiseHandshake(
      isInitiator: false, staticKey: listenerStatic, ephemeralSecret: [UInt8](repeating: 6, count: 32), crypto: crypto)
    #expect(dialerStatic.payloadWithMuxer == vector["payload3"])
    #expect(listenerStatic.payloadWithMuxer == vector["payload2"])
    let first = try initiator.writeMessage(payload: [])
    #expect(first == vector["m1"])
    #expect(try responder.readMessage(first.rawSpan) == [])
    let second = try responder.writeMessage(payload: listenerStatic.payloadWithMuxer)
    #expect(second == vector["m2"])
    #expect(try initiator.readMessage(second.rawSpan) == vector["payload2"])
    let third = try initiator.writeMessage(payload: dialerStatic.payloadWithMuxer)
    #expect(third == vector["m3"])
    #expect(try responder.readMessage(third.rawSpan) == vector["payload3"])
    #expect(initiator.hash == vector["h"] && responder.hash == vector["h"])
    #expect(initiator.split().send == vector["initiator_send_key"])
    #expect(initiator.split().receive == vector["initiator_recv_key"])
    #expect(responder.split().receive == vector["initiator_send_key"])
  }

  /// Handshakes and first messages that another implementation made (`Tests/Fixtures/Public`).
  @Test func publicVectorsMatchByteForByte() throws {
    struct Message: Decodable {
      let payload: String
      let ciphertext: String
    }
    struct Vector: Decodable {
      let initiator: String
      let responder: String
      let initiatorEphemeral: String
      let responderEphemeral: String
      let messages: [Message]
    }
    let vectors = try fixture("Public/noise-xx.json", as: [Vector].self)
    #expect(vectors.count == 2)
    for vector in vectors {
      let bytes = { (text: String) throws in try #require(Base16.decode(text)) }
      let initiator = NoiseHandshake(
        isInitiator: true, staticKey: NoiseStaticKey(dialerKey, crypto: crypto, secret: try bytes(vector.initiator)),
        ephemeralSecret: try bytes(vector.initiatorEphemeral), crypto: crypto)
      let responder = NoiseHandshake(
        isInitiator: false, staticKey: NoiseStaticKey(listenerKey, crypto: crypto, secret: try bytes(vector.responder)),
        ephemeralSecret: try bytes(vector.responderEphemeral), crypto: crypto)
      for (index, message) in vector.messages.prefix(3).enumerated() {
        let (writer, reader) = index == 1 ? (responder, initiator) : (initiator, responder)
        let payload = try bytes(message.payload)
        let written = try writer.writeMessage(payload: payload)
        #expect(written == (try bytes(message.ciphertext)))
        #expect(try reader.readMessage(written.rawSpan) == payload)
      }
      // Behind the handshake the two take turns again, the initiator first.
      for (index, message) in vector.messages.dropFirst(3).enumerated() {
        let keys = index.isMultiple(of: 2) ? initiator.split() : responder.split()
        let cipher = crypto.makeCipher(key: keys.send)
        let payload = try bytes(message.payload)
        var frame = payload + [UInt8](repeating: 0, count: 16)
        frame.withUnsafeMutableBytes { memory in
          guard let base = memory.baseAddress else { return }
          cipher.seal(base, count: payload.count, counter: UInt64(index / 2), associatedData: [])
        }
        #expect(frame == (try bytes(message.ciphertext)), "message \(index + 3)")
      }
    }
  }

  @Test func connectionsProduceTheVector() throws {
    let vector = try noiseVector()
    let pair = ConnectionPair(
      dialer: makeDialer(ephemeral: [UInt8](repeating: 5, count: 32)), listener: makeListener(ephemeral: [UInt8](repeating: 6, count: 32)))
    func framed(_ name: String) -> [UInt8] {
      let message = vector[name] ?? []
      return [UInt8(message.count >> 8), UInt8(message.count & 255)] + message
    }
    let hello = multistream("/multistream/1.0.0", "/noise")
    let first = pair.produce(.dialer)
    #expect(first == hello + framed("m1"))
    pair.deliver(first, to: .listener)
    let second = pair.produce(.listener)
    #expect(second == hello + framed("m2"))
    pair.deliver(second, to: .dialer)
    // The dialer is done now; behind the third message comes its first Noise message, a ping.
    let third = pair.produce(.dialer)
    #expect(third.starts(with: framed("m3")))
    #expect(third.count == framed("m3").count + 2 + 12 + 16)
    pair.deliver(third, to: .listener)
    #expect(pair.takeOutputs(.listener).isEstablished)
  }

  @Test func eachAlteredByteOfTheHandshakeIsRefused() throws {
    // Every byte of the flights after the clear-text negotiation, one at a time.
    for side in ConnectionPair.Side.allCases {
      let length = side == .dialer ? 2 + 32 : 2 + 200
      for index in stride(from: 28, to: 28 + length, by: 3) {
        let pair = makePair()
        pair.tamper = { [hit = Box(false)] sender, bytes in
          guard sender == side, !hit.value, index < bytes.count else { return }
          hit.value = true
          bytes[index] ^= 1
        }
        pair.run()
        let outputs = [pair.takeOutputs(.dialer), pair.takeOutputs(.listener)]
        // A longer length field makes the victim wait: the time limit ends that.
        if outputs.allSatisfy({ $0.closed == nil }) { pair.pass(.seconds(10)) }
        let closed = outputs.contains { $0.closed != nil } || !pair.takeOutputs(.dialer).isEmpty || !pair.takeOutputs(.listener).isEmpty
        #expect(closed, "byte \(index) of the \(side)")
        #expect(!outputs[1].isEstablished)
      }
    }
  }

  @Test func lowOrderPointIsRefused() {
    let listener = makeListener()
    var outputs: [Connection.Output] = []
    let point = [UInt8](repeating: 0, count: 32)
    listener.receive(multistream("/multistream/1.0.0", "/noise") + [0, 32] + point, now: .zero, into: &outputs)
    #expect(outputs == [.closed(.protocolViolation("noise: a low-order X25519 key"))])
  }

  @Test func signatureOfAnotherKeyIsRefused() {
    // The payload names the listener's identity, but the dialer's key signed it.
    var writer = ProtobufWriter()
    writer.data(1, listenerKey.publicKey.encoded)
    writer.data(2, dialerKey.sign(NoisePayload.signedBytes(staticKey: dialerStatic.publicKey), crypto: crypto))
    let initiator = NoiseHandshake(isInitiator: true, staticKey: dialerStatic, ephemeralSecret: nil, crypto: crypto)
    #expect(shake(initiator, payload: writer.bytes) == .badSignature)
    #expect(shake(initiator2(), payload: [0xff]) == .protocolViolation("noise: a malformed payload (it ends inside a field)"))
    #expect(shake(initiator2(), payload: []) == .protocolViolation("noise: a payload without key or signature"))
    #expect(shake(initiator2(), payload: dialerStatic.payload) == nil)
  }

  private func initiator2() -> NoiseHandshake {
    NoiseHandshake(isInitiator: true, staticKey: dialerStatic, ephemeralSecret: nil, crypto: crypto)
  }

  /// Plays the dialer by hand against a listener; returns why the listener closed.
  private func shake(_ initiator: NoiseHandshake, payload: [UInt8]) -> ChannelError? {
    let listener = makeListener()
    var outputs: [Connection.Output] = []
    var answer: [UInt8] = []
    func framed(_ message: [UInt8]) -> [UInt8] { [UInt8(message.count >> 8), UInt8(message.count & 255)] + message }
    guard let first = try? initiator.writeMessage(payload: []) else { return nil }
    listener.receive(multistream("/multistream/1.0.0", "/noise") + framed(first), now: .zero, into: &outputs)
    listener.produce(into: &answer, maximumBytes: 4096, now: .zero, outputs: &outputs)
    let second = Array(answer[(28 + 2)...])
    guard (try? initiator.readMessage(second.rawSpan)) != nil, let third = try? initiator.writeMessage(payload: payload) else { return nil }
    listener.receive(framed(third), now: .zero, into: &outputs)
    return outputs.closed
  }

  @Test func wrongPeerIsNamed() {
    let pair = ConnectionPair(dialer: makeDialer(expecting: dialerKey.peerID), listener: makeListener())
    pair.run()
    #expect(pair.takeOutputs(.dialer) == [.closed(.wrongPeer(expected: dialerKey.peerID, actual: listenerKey.peerID))])
    #expect(pair.dialer.isDrained)
    #expect(pair.takeOutputs(.listener).isEmpty)
  }

  @Test func alteredTransportMessageEndsTheLink() {
    let pair = makeOpenPair()
    let id = pair.open(.dialer, 1, [echo])
    pair.send(.dialer, [1, 2, 3], on: id)
    pair.tamper = { _, bytes in bytes[bytes.count - 1] ^= 1 }
    pair.run()
    #expect(pair.takeOutputs(.listener) == [.closed(.decryptionFailed)])
  }
}

/// A value that closures share.
final class Box<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}
