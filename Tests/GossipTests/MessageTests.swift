import Identity
import Testing
import Wire

@testable import Gossip

@Suite struct MessageTests {
  let data: [UInt8] = Array("a block".utf8)

  /// A router on `blocks` with three mesh peers, 1 to 3.
  func bench(_ rules: TopicConfiguration = .unsigned, _ configuration: Gossip.Configuration = .init(), key: NodeKey? = nil) -> Bench {
    let bench = Bench(configuration, key: key)
    bench.input(.subscribe(blocks, rules))
    for number in 1...3 { bench.join(peer(number)) }
    return bench
  }

  @Test func aMessageIsDeliveredOnceAndForwardedToAllButTheSender() {
    let bench = bench()
    let message = rpc { $0.publish(blocks, data) }
    let outputs = bench.input(.received(peer(2), message))
    #expect(outputs.delivered == [data])
    #expect(Set(outputs.messageReceivers) == [peer(1), peer(3)])
    for output in outputs { if case .send(_, let bytes) = output { #expect(bytes == message) } }
    for _ in 0..<100 { #expect(bench.input(.received(peer(3), message)) == []) }
    #expect(bench.gossip.statistics.duplicates == 100)
    #expect(bench.gossip.statistics.messagesDelivered == 1)
    #expect(bench.gossip.statistics(of: peer(3))?.duplicates == 100)
    #expect(bench.broken == [])
  }

  @Test func theContentHashIsTheID() {
    for bytes in [20, 32] {
      let bench = bench(TopicConfiguration(signing: .strictNoSign, identification: .contentHash(bytes: bytes)))
      let outputs = bench.input(.received(peer(1), rpc { $0.publish(blocks, data) }))
      guard case .deliver(let message)? = outputs.last else {
        Issue.record("not delivered")
        return
      }
      #expect(message.id.bytes == Array(crypto.sha256(data).bytes.prefix(bytes)))
      #expect(message.author == nil && message.sequence == nil && message.receivedFrom == peer(1))
    }
  }

  /// What the application calls forged at a quick look is refused, and blamed, before it is hashed; short messages and copies of what was looked
  /// at are not looked at.
  @Test func forgedLongMessagesAreRefusedAtAQuickLook() {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application))
    let looks = Counter()
    bench.gossip.screen = Gossip.Screen(minimumBytes: 100) { topic, data in
      looks.add()
      return topic == blocks && data.byte(0) == 9
    }
    let forged = rpc { $0.publish(blocks, [UInt8](repeating: 9, count: 100)) }
    #expect(bench.input(.received(peer(1), forged)) == [.report(peer(1), .invalidMessage(blocks, .forged))])
    #expect(looks.count == 1)
    let good = rpc { $0.publish(blocks, [UInt8](repeating: 1, count: 100)) }
    #expect(bench.input(.received(peer(1), good)).contains { if case .validate = $0 { true } else { false } })
    #expect(bench.input(.received(peer(2), good)).isEmpty && looks.count == 2)
    let short = rpc { $0.publish(blocks, [UInt8](repeating: 9, count: 99)) }
    #expect(bench.input(.received(peer(1), short)).contains { if case .validate = $0 { true } else { false } })
    #expect(looks.count == 2 && bench.broken == [])
  }

  @Test func freightOfUnknownFieldsIsNotForwarded() {
    var writer = ProtobufWriter()
    writer.message(2) {
      $0.data(9, [UInt8](repeating: 0, count: 500))
      $0.data(2, data)
      $0.string(4, blocks.name)
    }
    let outputs = bench().input(.received(peer(1), writer.bytes))
    #expect(outputs.delivered == [data])
    for output in outputs { if case .send(_, let bytes) = output { #expect(bytes == rpc { $0.publish(blocks, data) }) } }
  }

  @Test func severalMessagesInOneRPCAreForwardedOneByOne() {
    let outputs = bench().input(
      .received(
        peer(1),
        rpc {
          $0.publish(blocks, [1])
          $0.publish("elsewhere", [2])
          $0.publish(blocks, [3, 3])
        }))
    #expect(outputs.delivered == [[1], [3, 3]])
    #expect(outputs.sent(to: peer(2)) == ["msg 1", "msg 2"])
  }

  @Test(arguments: [1, 3, 5, 6]) func strictNoSignRefusesEachForbiddenField(field: Int) {
    // Empty is not absent.
    for content in [[], [UInt8](repeating: 1, count: 8)] {
      var writer = ProtobufWriter()
      writer.message(2) {
        if field == 1 { $0.data(1, content) }
        $0.data(2, data)
        if field == 3 { $0.data(3, content) }
        $0.string(4, blocks.name)
        if field > 4 { $0.data(field, content) }
      }
      let bench = bench()
      let outputs = bench.input(.received(peer(1), writer.bytes))
      #expect(outputs == [.event(.refused(blocks, .forbiddenField, from: peer(1)))])
      // The good twin still passes.
      #expect(bench.input(.received(peer(2), rpc { $0.publish(blocks, data) })).delivered == [data])
    }
  }

  @Test func aMessageAboveTheMaximumIsRefused() {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, maximumMessageBytes: 10))
    #expect(
      bench.input(.received(peer(1), rpc { $0.publish(blocks, [UInt8](repeating: 0, count: 11)) }))
        == [.event(.refused(blocks, .tooLarge, from: peer(1)))])
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [UInt8](repeating: 0, count: 10)) })).delivered.count == 1)
    #expect(
      bench.input(.publish(blocks, [UInt8](repeating: 1, count: 11))) == [.publishFailed(blocks, .tooLarge(bytes: 11, maximum: 10))])
  }

  @Test func rpcsAboveTheMaximumAreRefused() {
    var configuration = Gossip.Configuration()
    configuration.maximumRPCBytes = 1_000
    let bench = bench(.unsigned, configuration)
    let large = rpc { $0.publish(blocks, [UInt8](repeating: 0, count: 1_000)) }
    #expect(bench.input(.received(peer(1), large)) == [.report(peer(1), .oversizedRPC(large.count))])
    #expect(bench.input(.received(peer(1), [0xff])) == [.report(peer(1), .malformedRPC)])
    guard case .publishFailed(_, .tooLarge)? = bench.input(.publish(blocks, [UInt8](repeating: 0, count: 1_000))).first else {
      Issue.record("published above the limit")
      return
    }
  }

  @Test func tenMebibytesPassWhenConfigured() {
    var configuration = Gossip.Configuration()
    configuration.maximumRPCBytes = 11 << 20
    let bench = bench(TopicConfiguration(signing: .strictNoSign, maximumMessageBytes: 10 << 20), configuration)
    let large = [UInt8](repeating: 7, count: 10 << 20)
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, large) })).delivered.first?.count == large.count)
  }

  // MARK: Signed topics

  /// The RPC of a message signed by `key`, with parts replaced at will.
  func signed(
    _ key: NodeKey, _ number: UInt64, _ data: [UInt8], claims: PeerID? = nil, signature: [UInt8]? = nil, field6: [UInt8]? = nil,
    omit: Int = 0
  ) -> [UInt8] {
    let from = (claims ?? key.peerID).bytes
    var eight: [UInt8] = []
    eight.appendBigEndian(number)
    let proof = key.sign(
      RPCEncoder.signedBytes(topic: Array(blocks.name.utf8), data: data.rawSpan, from: from, sequence: eight), crypto: crypto)
    var writer = ProtobufWriter()
    writer.message(2) {
      if omit != 1 { $0.data(1, from) }
      $0.data(2, data)
      if omit != 3 { $0.data(3, eight) }
      $0.string(4, blocks.name)
      if omit != 5 { $0.data(5, signature ?? proof) }
      if let field6 { $0.data(6, field6) }
    }
    return writer.bytes
  }

  @Test func signedMessagesTravelAndForgedOnesDoNot() {
    let author = nodeKey(7)
    let other = nodeKey(8)
    let good = signed(author, 1, data)
    let table: [(name: String, bytes: [UInt8], reason: RejectionReason)] = [
      ("no signature", signed(author, 1, data, omit: 5), .missingField),
      ("no author", signed(author, 1, data, omit: 1), .missingField),
      ("no number", signed(author, 1, data, omit: 3), .missingField),
      ("noise for a signature", signed(author, 1, data, signature: [UInt8](repeating: 1, count: 64)), .disputedSignature),
      ("a short signature", signed(author, 1, data, signature: [1]), .badSignature),
      ("another's hand", signed(other, 1, data, claims: author.peerID), .badSignature),
      ("other data", signed(author, 1, [9], signature: Array(good.suffix(64))), .badSignature),
      ("another's key", signed(other, 1, data, claims: author.peerID, field6: other.publicKey.encoded), .wrongKey),
      ("noise for a key", signed(author, 1, data, field6: [1, 2, 3]), .wrongKey),
      ("no key for a digest", signed(author, 1, data, claims: peer(50)), .wrongKey),
    ]
    for row in table {
      let bench = bench(TopicConfiguration(signing: .strictSign))
      let refused: Gossip.Output =
        row.reason.isForwardersFault
        ? .report(peer(1), .invalidMessage(blocks, row.reason)) : .event(.refused(blocks, row.reason, from: peer(1)))
      #expect(bench.input(.received(peer(1), row.bytes)) == [refused], Comment(rawValue: row.name))
      // A forgery doesn't mask the real one, which has the same id.
      let outputs = bench.input(.received(peer(2), good))
      #expect(outputs.delivered == [data], Comment(rawValue: row.name))
      #expect(Set(outputs.messageReceivers) == [peer(1), peer(3)])
      #expect(bench.input(.received(peer(3), good)).delivered == [])
      #expect(bench.broken == [])
    }
  }

  @Test func aKeyThatMatchesIsAccepted() {
    let author = nodeKey(7)
    let outputs = bench(TopicConfiguration(signing: .strictSign)).input(
      .received(peer(1), signed(author, 5, data, field6: author.publicKey.encoded)))
    #expect(outputs.delivered == [data])
  }

  @Test func ownSignedMessagesAreAcceptedByOthersAndNotTakenBack() {
    let key = nodeKey(9)
    let sender = bench(TopicConfiguration(signing: .strictSign), key: key)
    let published = sender.input(.publish(blocks, data))
    guard case .send(_, let frame)? = published.first else {
      Issue.record("nothing sent")
      return
    }
    #expect(published.messageReceivers == [peer(1), peer(2), peer(3)].sorted())
    #expect(bench(TopicConfiguration(signing: .strictSign)).input(.received(peer(1), frame)).delivered == [data])
    #expect(sender.input(.received(peer(1), frame)) == [])
    // A number that was never used by this life of the node: somebody replays an older one.
    #expect(sender.input(.received(peer(1), signed(key, 3, data))) == [])
    // Equal data is another message.
    #expect(sender.input(.publish(blocks, data)).messageReceivers.count == 3)
  }

  @Test func publishingWithoutAKeyOrTwiceFails() {
    #expect(bench(TopicConfiguration(signing: .strictSign)).input(.publish(blocks, data)) == [.publishFailed(blocks, .noKey)])
    let bench = bench()
    let id = MessageID(crypto.sha256(data), bytes: 32)
    #expect(bench.input(.publish(blocks, data)).last == .published(blocks, id))
    #expect(bench.input(.publish(blocks, data)) == [.publishFailed(blocks, .duplicate(id))])
  }

  // MARK: Validation by the application

  @Test(arguments: [ValidationVerdict.accept, .reject, .ignore]) func theVerdictDecides(verdict: ValidationVerdict) {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application))
    let message = rpc { $0.publish(blocks, data) }
    let asked = bench.input(.received(peer(1), message))
    #expect(asked.toValidate.map(\.data) == [data])
    #expect(asked.count == 1)
    #expect(bench.input(.received(peer(2), message)) == [])
    let id = asked.toValidate[0].id
    let outputs = bench.input(.validated(id, topic: blocks, verdict))
    switch verdict {
    case .accept:
      // Peer 2 sent it meanwhile, so only peer 3 gets it.
      #expect(outputs.messageReceivers == [peer(3)])
      #expect(outputs.delivered == [data])
    case .reject:
      let offence = GossipOffence.invalidMessage(blocks, .refusedByApplication)
      #expect(outputs == [.report(peer(1), offence), .report(peer(2), offence)])
    case .ignore, .postpone: #expect(outputs == [])
    }
    // Equal bytes need no second verdict, and a late word changes nothing.
    #expect(bench.input(.received(peer(3), message)) == [])
    #expect(bench.input(.validated(id, topic: blocks, .accept)) == [])
    #expect(bench.broken == [])
  }

  /// What could not be judged was not seen: the next copy is looked at, from anybody, and passed on when it is good.
  @Test func aPostponedMessageMayComeAgain() {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application))
    let message = rpc { $0.publish(blocks, data) }
    for sender in 1...2 {
      let asked = bench.input(.received(peer(sender), message)).toValidate
      #expect(asked.map(\.data) == [data])
      #expect(bench.input(.validated(asked[0].id, topic: blocks, .postpone)) == [])
    }
    let asked = bench.input(.received(peer(1), message)).toValidate
    #expect(bench.input(.validated(asked[0].id, topic: blocks, .accept)).delivered == [data])
    #expect(bench.gossip.statistics.ignored == 2)
  }

  @Test func aRefusedSignedMessageDoesNotMaskAnotherUnderItsID() {
    let author = nodeKey(7)
    let bench = bench(TopicConfiguration(signing: .strictSign, validation: .application))
    let bad = bench.input(.received(peer(1), signed(author, 1, [0]))).toValidate
    bench.input(.validated(bad[0].id, topic: blocks, .reject))
    let good = bench.input(.received(peer(2), signed(author, 1, data))).toValidate
    #expect(good.map(\.id) == bad.map(\.id))
    #expect(bench.input(.validated(good[0].id, topic: blocks, .accept)).delivered == [data])
  }

  /// Or it would be asked for again with each announcement.
  @Test func anIgnoredSignedMessageIsNotJudgedAgain() {
    let author = nodeKey(7)
    let bench = bench(TopicConfiguration(signing: .strictSign, validation: .application))
    let asked = bench.input(.received(peer(1), signed(author, 1, data))).toValidate
    bench.input(.validated(asked[0].id, topic: blocks, .ignore))
    #expect(bench.input(.received(peer(2), signed(author, 1, data))).toValidate.isEmpty)
  }

  @Test func theSameBytesOnAnotherTopicDoNotMask() {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application))
    bench.input(.subscribe("other", TopicConfiguration(signing: .strictNoSign, validation: .application)))
    let bad = bench.input(.received(peer(1), rpc { $0.publish("other", data) })).toValidate
    bench.input(.validated(bad[0].id, topic: "other", .reject))
    let good = bench.input(.received(peer(1), rpc { $0.publish(blocks, data) })).toValidate
    #expect(bench.input(.validated(good[0].id, topic: blocks, .accept)).delivered == [data])
  }

  @Test func aVerdictThatIsLateCountsAsIgnoredAndTheMessageMayComeAgain() {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application))
    let message = rpc { $0.publish(blocks, data) }
    let id = bench.input(.received(peer(1), message)).toValidate[0].id
    #expect(!bench.run(to: 4.9).contains(.event(.validationExpired(id, blocks))))
    #expect(bench.run(to: 5.1).contains(.event(.validationExpired(id, blocks))))
    #expect(bench.gossip.statistics.ignored == 1)
    #expect(bench.input(.received(peer(2), message)).toValidate.map(\.id) == [id])
  }

  @Test func waitingMessagesAreBounded() {
    var configuration = Gossip.Configuration()
    configuration.maximumPendingValidations = 3
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application), configuration)
    for byte in 0..<5 { bench.input(.received(peer(1 + byte % 3), rpc { $0.publish(blocks, [UInt8(byte)]) })) }
    #expect(bench.gossip.statistics.validationDropped == 2)
    bench.input(.validated(MessageID(crypto.sha256([0]), bytes: 32), topic: blocks, .accept))
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [4]) })).toValidate.count == 1)
    #expect(bench.broken == [])
  }

  @Test func theSeenCacheForgetsTheOldest() {
    var configuration = Gossip.Configuration()
    configuration.maximumSeen = 100
    let bench = bench(.unsigned, configuration)
    for byte in 0..<200 { bench.input(.received(peer(1), rpc { $0.publish(blocks, [UInt8(byte)]) })) }
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [199]) })).delivered == [])
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [150]) })).delivered == [])
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [0]) })).delivered == [[0]])
    #expect(bench.broken == [])
  }

  @Test func whatWasSeenIsForgottenAfterItsTime() {
    let bench = bench()
    let message = rpc { $0.publish(blocks, data) }
    bench.input(.received(peer(1), message))
    bench.run(to: 119)
    #expect(bench.input(.received(peer(2), message)).delivered == [])
    bench.run(to: 245)
    #expect(bench.input(.received(peer(2), message)).delivered == [data])
  }
}
