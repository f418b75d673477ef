import Crypto
import Identity
import Testing
import Wire

@testable import Gossip

/// Signed messages on which stacks differ. The first three came from real stacks or were made for them.
@Suite struct SignatureTests {
  let topic: Topic = "signed"

  func bench(_ configuration: Gossip.Configuration = .init()) -> Bench {
    let bench = Bench(configuration)
    bench.input(.subscribe(topic, TopicConfiguration(signing: .strictSign)))
    for number in 1...3 { bench.join(peer(number), topic: topic) }
    return bench
  }

  /// A message signed over exactly `before` and `behind`: the fields up to the topic, and those behind signature and key.
  func message(
    _ key: NodeKey = nodeKey(7), number: UInt64 = 1, data: [UInt8]? = [1, 2], behind: [UInt8] = [], field6: [UInt8]? = nil,
    unsigned: [UInt8] = [], signature: (([UInt8]) -> [UInt8])? = nil
  ) -> [UInt8] {
    var before = ProtobufWriter()
    before.data(1, key.peerID.bytes)
    if let data { before.data(2, data) }
    var eight: [UInt8] = []
    eight.appendBigEndian(number)
    before.data(3, eight)
    before.string(4, topic.name)
    let proof = key.sign(Array("libp2p-pubsub:".utf8) + before.bytes + behind, crypto: crypto)
    var tail = ProtobufWriter()
    tail.data(5, signature?(proof) ?? proof)
    if let field6 { tail.data(6, field6) }
    var writer = ProtobufWriter()
    writer.data(2, before.bytes + tail.bytes + behind + unsigned)
    return writer.bytes
  }

  /// What came of a message from peer 1, and whether its bytes went on unchanged to the others.
  func outcome(_ bytes: [UInt8], _ bench: Bench? = nil) -> String {
    let outputs = (bench ?? self.bench()).input(.received(peer(1), bytes))
    for case .report(_, let offence) in outputs { return "blamed: \(offence)" }
    for case .event(.refused(_, let reason, _)) in outputs { return "\(reason)" }
    guard outputs.delivered.count == 1 else { return "nothing" }
    let sent = outputs.compactMap { if case .send(_, let frame) = $0 { frame } else { nil } }
    return sent.count == 2 && sent.allSatisfy { $0 == bytes } ? "forwarded" : "changed"
  }

  static let absentData =
    "127c0a2600240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b81a08000000000000000022067369676e65642a40a2bd7562b2cd1c6747db9c01592a311a973b67941c66bfbfe737642203c3176ae5a990246a0cd0d617d6ba0d629eb62b4b325e0531601442bb544ef3273aa20a"
  static let smallOrderAuthor =
    "127f0a26002408011220c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa1201781a08000000000000000022067369676e65642a40ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000"

  /// go-libp2p signs a message without data as it sends it: without field 2.
  @Test func absentDataIsSignedAsItCame() throws {
    let bytes = try #require(Base16.decode(Self.absentData))
    #expect(outcome(bytes) == "forwarded")
    #expect(bench().input(.received(peer(1), bytes)).delivered == [[]])
    #expect(outcome(message(data: nil)) == "forwarded")
    #expect(outcome(message(data: [])) == "forwarded")
  }

  /// An Ed25519 key of small order needs no secret. Of these two signatures go takes the second and libsodium none; who checks with the
  /// cofactor takes both.
  @Test func anAuthorOfSmallOrderIsJudgedAsGoDoes() throws {
    let first = try #require(Base16.decode(Self.smallOrderAuthor))
    let second = try #require(Base16.decode(Self.smallOrderAuthor.replacing("1a080000000000000000", with: "1a080000000000000001")))
    #expect(outcome(first) == "disputedSignature")
    #expect(outcome(second) == "forwarded")
  }

  /// The specification signs fields that nobody knows; py-libp2p and rust-libp2p check without them.
  @Test func unknownFieldsAreSignedAsTheyCame() {
    #expect(outcome(message(behind: [0x38, 1])) == "forwarded")
    #expect(outcome(message(behind: [0x42, 2, 9, 9, 0x6d, 1, 2, 3, 4])) == "forwarded")
    // Not every stack reads a group, or a tag in a longer form.
    #expect(outcome(message(behind: [0x6b, 0x6c])) == "ambiguousForm")
    #expect(outcome(message(behind: [0xb8, 0x80, 0x80, 0x80, 0x80, 0x00, 1])) == "ambiguousForm")
    #expect(outcome(message(behind: [0x38, 0x81, 0])) == "ambiguousForm")
    #expect(outcome(message(unsigned: [0x38, 1])) == "disputedSignature")
    #expect(outcome(message(behind: [0x38, 1], unsigned: [0x38, 1])) == "disputedSignature")
  }

  /// Nobody signs `key`, so that anybody can append it. Go refuses any but the author's, rust passes over those that it cannot read.
  @Test func theKeyIsTheAuthorsOrAbsent() {
    #expect(outcome(message(field6: nodeKey(7).publicKey.encoded)) == "forwarded")
    #expect(outcome(message(field6: [])) == "wrongKey")
    #expect(outcome(message(field6: [1, 2, 3])) == "wrongKey")
    #expect(outcome(message(field6: nodeKey(8).publicKey.encoded)) == "wrongKey")
  }

  /// Other stacks write such a message anew before they check it; here it can be neither checked nor forwarded as it came.
  @Test func otherFormsBlameNobody() throws {
    let good = message()
    let body = Array(good[3...])
    func framed(_ body: [UInt8]) -> [UInt8] {
      var writer = ProtobufWriter()
      writer.data(2, body)
      return writer.bytes
    }
    #expect(outcome(framed(body)) == "forwarded")
    #expect(outcome(framed([0x38, 1] + body)) == "ambiguousForm")
    #expect(outcome(framed(body + body.suffix(66))) == "ambiguousForm")
    #expect(outcome(framed(body + [0x10, 1])) == "ambiguousForm")
    // A longer form of the first field's length.
    #expect(outcome(framed([0x0a, body[1] | 0x80, 0] + body[2...])) == "ambiguousForm")
    // py-libp2p still sends several topics.
    #expect(outcome(framed(body + [0x22, 1, 0x78])) == "nothing")
  }

  @Test func whatNoStackFindsGoodIsTheForwardersFault() {
    let blamed = "blamed: invalidMessage(signed, Gossip.RejectionReason.badSignature)"
    #expect(outcome(message { $0.dropLast() }) == blamed)
    #expect(outcome(message { _ in [] }) == blamed)
    let other = nodeKey(9).sign([1, 2, 3], crypto: crypto)
    #expect(outcome(message { _ in other }) == blamed)
    #expect(outcome(message(data: nil) { _ in other }) == "disputedSignature")
    #expect(outcome(message(field6: nodeKey(7).publicKey.encoded) { _ in other }) == "disputedSignature")
    // S + L: lax verifiers take it.
    #expect(outcome(message { Array($0[..<32]) + addingGroupOrder($0[32...]) }) == "disputedSignature")
    // R of small order.
    #expect(outcome(message { [1] + [UInt8](repeating: 0, count: 31) + $0[32...] }) == "disputedSignature")
  }

  /// A peer that sends what it should not forward costs a bounded time, and what it sends is heard again after the heartbeat.
  @Test func checksInVainAreBounded() {
    var configuration = Gossip.Configuration()
    configuration.maximumFailedChecks = 5
    let bench = bench(configuration)
    let bad = message(unsigned: [0x38, 1])
    for _ in 0..<5 { #expect(outcome(bad, bench) == "disputedSignature") }
    #expect(outcome(bad, bench) == "tooManyFailedChecks")
    #expect(outcome(message(), bench) == "tooManyFailedChecks")
    #expect(bench.input(.received(peer(2), message())).delivered.count == 1)
    bench.run(to: 1.5)
    #expect(outcome(message(number: 2), bench) == "forwarded")
    #expect(bench.broken == [])
  }

  /// What was announced and came counts as sent, whether it is of use here or not.
  @Test func aRefusedMessageKeepsItsPromise() throws {
    let bench = bench()
    let bad = message(unsigned: [0x38, 1])
    let id = nodeKey(7).peerID.bytes + [0, 0, 0, 0, 0, 0, 0, 1]
    #expect(bench.input(.received(peer(1), rpc { $0.ihave(topic, [id]) })).sent(to: peer(1)) == ["iwant 1"])
    #expect(outcome(bad, bench) == "disputedSignature")
    #expect(bench.run(to: 10).offences == [])
  }

  @Test func unknownFieldsCountToTheSize() {
    let bench = Bench()
    bench.input(.subscribe(topic, TopicConfiguration(signing: .strictSign, maximumMessageBytes: 10)))
    bench.join(peer(1), topic: topic)
    #expect(outcome(message(data: [1, 2], behind: [0x42, 6] + [UInt8](repeating: 0, count: 6)), bench) == "changed")
    #expect(outcome(message(number: 2, data: [1, 2], behind: [0x42, 7] + [UInt8](repeating: 0, count: 7)), bench) == "tooLarge")
  }

  /// Adds the order of Ed25519's group to a scalar, least significant byte first.
  private func addingGroupOrder(_ scalar: ArraySlice<UInt8>) -> [UInt8] {
    let order: [UInt8] = [
      0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
      0,
      0, 0x10,
    ]
    var carry = 0
    return zip(scalar, order).map { left, right in
      carry += Int(left) + Int(right)
      defer { carry >>= 8 }
      return UInt8(truncatingIfNeeded: carry)
    }
  }
}
