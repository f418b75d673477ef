import Crypto
import Identity
import Testing
import Wire

@Suite struct EnvelopeTests {
  let crypto = SystemCrypto.shared
  let key = NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: SystemCrypto.shared)

  private func open(_ bytes: [UInt8]) throws -> PeerRecord { try PeerRecord(opening: bytes.rawSpan, crypto: crypto) }

  @Test func theSharedVector() throws {
    let bytes = try hex(SharedVectors.load().peerRecordEnvelope)
    let record = try open(bytes)
    #expect(record == PeerRecord(peer: key.peerID, sequence: 7, addresses: [try Multiaddr("/ip4/127.0.0.1/tcp/4001")]))
    #expect(record.sealed(by: key, crypto: crypto).encoded == bytes)
    for cut in 0..<bytes.count { #expect(throws: IdentityError.self) { try open(Array(bytes[..<cut])) } }
    for index in bytes.indices {
      var changed = bytes
      changed[index] ^= 1
      #expect(throws: IdentityError.self, "byte \(index)") { try open(changed) }
    }
  }

  /// A gossip message is signed as it is without signature and key, behind a prefix.
  @Test func theSharedGossipSignature() throws {
    let vector = try SharedVectors.load().gossipMessage
    let message = Array("libp2p-pubsub:".utf8) + hex(vector.unsigned)
    #expect(crypto.verify(hex(vector.signature), of: message, by: key.publicKey))
    #expect(key.sign(message, crypto: crypto) == hex(vector.signature))
    #expect(!crypto.verify(hex(vector.signature), of: hex(vector.unsigned), by: key.publicKey))
  }

  @Test func aSignatureCountsForItsOwnPurposeOnly() throws {
    let envelope = SignedEnvelope(sealing: [1, 2, 3], type: [9], domain: "purpose", by: key, crypto: crypto)
    let bytes = envelope.encoded
    #expect(try SignedEnvelope(opening: bytes.rawSpan, type: [9], domain: "purpose", crypto: crypto) == envelope)
    #expect(throws: IdentityError.self) { try SignedEnvelope(opening: bytes.rawSpan, type: [9], domain: "other", crypto: crypto) }
    #expect(throws: IdentityError.self) { try SignedEnvelope(opening: bytes.rawSpan, type: [8], domain: "purpose", crypto: crypto) }
  }

  @Test func aRecordAboutAnotherPeerIsRefused() throws {
    let other = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
    var payload = ProtobufWriter()
    payload.data(1, other.peerID.bytes)
    payload.uint64(2, 1)
    let bytes = SignedEnvelope(sealing: payload.bytes, type: PeerRecord.payloadType, domain: PeerRecord.domain, by: key, crypto: crypto)
      .encoded
    #expect(throws: IdentityError.badEnvelope("the record is about another peer than its signer")) { try open(bytes) }
  }

  @Test func unknownAddressesAreLeftOutAndTheirNumberIsBounded() throws {
    var payload = ProtobufWriter()
    payload.data(1, key.peerID.bytes)
    payload.uint64(2, 3)
    payload.message(3) { $0.data(1, [0x89, 0x06, 1, 2]) }
    payload.message(3) { $0.data(1, []) }
    payload.message(3) { _ in }
    for port in 0..<100 { payload.message(3) { $0.data(1, Multiaddr(ip: .loopback, port: UInt16(port)).bytes) } }
    let bytes = SignedEnvelope(sealing: payload.bytes, type: PeerRecord.payloadType, domain: PeerRecord.domain, by: key, crypto: crypto)
      .encoded
    let record = try open(bytes)
    #expect(record.addresses == (0..<64).map { Multiaddr(ip: .loopback, port: UInt16($0)) })
    #expect(record.sequence == 3)
  }

  @Test func longEnvelopesAreRefusedUnread() {
    let bytes = SignedEnvelope(sealing: [UInt8](repeating: 0, count: 33_000), type: [1], domain: "d", by: key, crypto: crypto).encoded
    #expect(throws: IdentityError.self) { try SignedEnvelope(opening: bytes.rawSpan, type: [1], domain: "d", crypto: crypto) }
  }

  @Test func fuzz() throws {
    let seed: UInt64 = 0xe17e
    var generator = SeededGenerator(seed: seed)
    let good = try hex(SharedVectors.load().peerRecordEnvelope)
    let record = try open(good)
    for round in 0..<20_000 {
      let bytes = round % 3 == 0 ? generator.bytes(generator.index(below: 200)) : mutated(good, &generator)
      // An unknown field may be added, and nothing else changed: the record then says what it said.
      if let opened = try? open(bytes) { #expect(opened == record, "seed \(seed), round \(round)") }
    }
  }
}
