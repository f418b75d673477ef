import Identity
import Testing
import Wire

@testable import Gossip

@Suite struct CodecTests {
  static let sample: [UInt8] = rpc {
    $0.subscribe("a")
    $0.subscribe("b", false)
    $0.publish("a", [1, 2, 3])
    $0.ihave("a", [[1], [UInt8](repeating: 2, count: 32)])
    $0.iwant([[3]])
    $0.graft("a")
    $0.prune("b", backoff: 60, exchange: [(peer(1), [9, 9]), (peer(2), nil)])
    $0.dontWant([[4, 5]])
  }

  func read(_ bytes: [UInt8], _ limits: RPC.Limits = .init()) throws -> RPC { try RPC(bytes.rawSpan, limits: limits) }

  @Test func everyFieldIsRead() throws {
    let bytes = CodecTests.sample
    let result = try read(bytes)
    #expect(words(bytes) == ["sub a", "unsub b", "msg 3", "ihave 2", "iwant 1", "graft a", "prune b 60s", "idontwant 1"])
    #expect(result.messages[0].data.map { Array(bytes[$0]) } == [1, 2, 3])
    #expect(result.messages[0].isCanonical)
    #expect(result.ihave[0].ids == [MessageID([1])!, MessageID([UInt8](repeating: 2, count: 32))!])
    #expect(result.prunes[0].peers.count == 2)
    #expect(result.prunes[0].peers[0].record.map { Array(bytes[$0]) } == [9, 9])
    #expect(result.prunes[0].peers[1].record == nil)
    #expect(result.ignored == 0)
  }

  @Test func unknownFieldsAreSkipped() throws {
    var writer = ProtobufWriter()
    writer.uint64(9, 7)
    writer.data(10, [1, 2, 3])
    writer.message(2) {
      $0.data(2, [1])
      $0.string(4, "a")
      $0.uint64(12, 5)
    }
    writer.message(3) { $0.data(6, [1]) }
    let result = try read(writer.bytes)
    #expect(result.messages.count == 1)
    #expect(result.messages[0].isCanonical)
    #expect(Array(writer.bytes[result.messages[0].unknown]) == [0x60, 5])
  }

  /// Message by message, how each field came, and whether all stacks would write it so.
  @Test(arguments: [
    ("12016122016 1".replacing(" ", with: ""), true), ("220161", true),
    ("0a01011201611a0102220161 2a01033201046001".replacing(" ", with: ""), true),
    ("22016122 0162".replacing(" ", with: ""), false), ("2201611201 62".replacing(" ", with: ""), false), ("6001220161", false),
    ("1281006122 0161".replacing(" ", with: ""), false), ("9200016122 0161".replacing(" ", with: ""), false), ("1001220161", false),
    ("120161220161220162", false), ("2201616b6c", false), ("22016132006d01020304", true),
  ])
  func canonicalForm(text: String, isCanonical: Bool) throws {
    let body = Base16.decode(text)!
    let bytes = [0x12, UInt8(body.count)] + body
    let message = try #require(try read(bytes).messages.first)
    #expect(message.isCanonical == isCanonical)
    #expect(message.topic.map { Array(bytes[$0]) } == [UInt8(ascii: text.hasSuffix("220162") || text.hasSuffix("22 0162") ? "b" : "a")])
  }

  @Test func truncatedMessagesAreErrors() throws {
    // A cut between two top-level fields leaves a shorter RPC; every other cut is an error.
    let bytes = CodecTests.sample
    var whole = 0
    for end in 0..<bytes.count where (try? read(Array(bytes[..<end]))) != nil { whole += 1 }
    #expect(whole == 8)
  }

  @Test func limitsHold() throws {
    let many = rpc { writer in
      for _ in 0..<20 { writer.subscribe("a") }
      for _ in 0..<20 { writer.publish("a", [1]) }
      for _ in 0..<20 { writer.graft("a") }
      for _ in 0..<20 { writer.prune("a") }
      writer.ihave("a", (0..<20).map { [UInt8($0)] })
      writer.iwant((0..<20).map { [UInt8($0)] })
      writer.dontWant((0..<20).map { [UInt8($0)] })
    }
    let limits = RPC.Limits(subscriptions: 3, messages: 4, idsPerIHave: 5, ids: 12, grafts: 6, prunes: 7, exchangedPeers: 1)
    let result = try read(many, limits)
    #expect(result.subscriptions.count == 3)
    #expect(result.messages.count == 4)
    #expect(result.ihave[0].ids.count == 5)
    #expect(result.iwant.count == 7)
    #expect(result.dontWant.isEmpty)
    #expect(result.grafts.count == 6)
    #expect(result.prunes.count == 7)
    #expect(result.ignored > 0)
  }

  @Test(arguments: [0, 57, 200]) func idsOfImpossibleLengthArePassedOver(count: Int) throws {
    let result = try read(rpc { $0.iwant([[UInt8](repeating: 1, count: count), [7]]) })
    #expect(result.iwant == [MessageID([7])!])
  }

  @Test(arguments: Array(1...56)) func idsKeepTheirBytes(count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 1) }
    let id = MessageID(bytes)
    #expect(id?.bytes == bytes)
    #expect(id?.byteCount == count)
    #expect(MessageID(Array(bytes.dropLast()) + [0]) != id)
  }

  @Test func splitRPCsFitAndLoseNothing() throws {
    let ids = (0..<5_000).map { MessageID(crypto.sha256([UInt8($0 & 255), UInt8($0 >> 8)]), bytes: 32) }
    let frames = RPCEncoder.ihave(RPCEncoder.announcements(ids, topic: blocks, maximum: 10_000), maximum: 10_000)
    #expect(frames.allSatisfy { $0.count <= 10_000 })
    #expect(try frames.flatMap { try read($0).ihave.flatMap(\.ids) } == ids)

    let topics = (0..<300).map { Topic("topic-\($0)") }
    let subscriptions = RPCEncoder.subscriptions(topics, subscribes: true, maximum: 1_000)
    #expect(subscriptions.allSatisfy { $0.count <= 1_000 } && subscriptions.count > 3)
    #expect(subscriptions.flatMap(words) == topics.map { "sub \($0.name)" })
    let grafts = RPCEncoder.meshChanges(grafts: topics, prunes: topics.map { ($0, .seconds(60)) }, maximum: 1_000)
    #expect(grafts.allSatisfy { $0.count <= 1_000 })
    #expect(grafts.flatMap(words).count == 600)
  }

  @Test func publishIsWrittenAsOthersWriteIt() {
    let data: [UInt8] = [1, 2, 3]
    let (frame, range) = RPCEncoder.publish(topic: Array("abc".utf8), data: data.rawSpan)
    #expect(frame == rpc { $0.publish("abc", data) })
    #expect(Array(frame[range]) == data)
  }

  @Test func theGoldenMessageIsSignedTheSameWay() throws {
    let unsigned = Base16.decode(
      "0a260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c120568656c6c6f1a08000000000000002a2205746f706963")!
    let signature = Base16.decode(
      "fd6629476a1b23f3e519985488f005b1b2081c85f15f550d607454b33c0ad46733baa19843474d35e82d9f2541075970e3c3bc94b77c23f937312016d83bba09")!
    let from = Array(unsigned[2..<40])
    let signed = RPCEncoder.signedBytes(
      topic: Array("topic".utf8), data: Array("hello".utf8).rawSpan, from: from, sequence: [0, 0, 0, 0, 0, 0, 0, 42])
    #expect(signed == Array("libp2p-pubsub:".utf8) + unsigned)

    // The whole way: a router that gets this message accepts it.
    var message = ProtobufWriter()
    message.data(2, unsigned + [0x2a, 64] + signature)
    let bench = Bench()
    bench.input(.subscribe("topic", TopicConfiguration(signing: .strictSign)))
    bench.join(peer(1), topic: "topic")
    let outputs = bench.input(.received(peer(1), message.bytes))
    #expect(outputs.delivered == [Array("hello".utf8)])
    guard case .deliver(let delivered)? = outputs.last else {
      Issue.record("not delivered")
      return
    }
    #expect(delivered.author == (try PeerID(bytes: from)))
    #expect(delivered.sequence == 42)
    #expect(delivered.id.bytes == from + [0, 0, 0, 0, 0, 0, 0, 42])
  }

  /// Bytes from noise and from damaged real RPCs: errors and reports, never a trap, and the router stays sound.
  @Test func fuzz() {
    let seed: UInt64 = 0x5eed_0001
    var generator = SeededGenerator(seed: seed)
    let bench = Bench(key: nodeKey(1))
    bench.input(.subscribe("a", TopicConfiguration(signing: .strictNoSign, validation: .application)))
    bench.input(.subscribe("b", TopicConfiguration(signing: .strictSign)))
    for number in 1...4 { bench.join(peer(number), topic: "a") }
    var readable = 0
    for round in 0..<20_000 {
      var bytes = round % 2 == 0 ? CodecTests.sample : generator.bytes(generator.index(below: 80))
      for _ in 0..<generator.index(below: 4) where !bytes.isEmpty {
        let place = generator.index(below: bytes.count)
        switch generator.index(below: 3) {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
        case 1: bytes.remove(at: place)
        default: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
        }
      }
      if (try? read(bytes)) != nil { readable += 1 }
      bench.now += .milliseconds(1)
      var outputs = bench.gossip.handle(.received(peer(1 + round % 4), bytes), now: bench.now)
      if round % 1_000 == 0 { bench.gossip.handle(.timer, now: bench.now, into: &outputs) }
      if round % 100 == 0, let fault = bench.gossip.checkInvariants() { Issue.record("seed \(seed) round \(round): \(fault)") }
    }
    #expect(readable > 2_000, "the seed \(seed) gives too few readable RPCs to mean anything")
  }
}
