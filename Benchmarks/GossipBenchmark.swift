import Crypto
import Foundation
import Gossip
import Identity
import Wire

/// What the gossip router costs for each message: received, forwarded to six mesh peers, delivered; and for each duplicate.
enum GossipBenchmark {
  static func run(_ arguments: [String]) {
    for (name, rules) in [
      ("unsigned", TopicConfiguration(signing: .strictNoSign)),
      ("unsigned, validated by the application", TopicConfiguration(signing: .strictNoSign, validation: .application)),
      ("signed", TopicConfiguration(signing: .strictSign)),
    ] {
      for bytes in [64, 1_024, 32_768] {
        var first: [Double] = []
        var duplicate: [Double] = []
        for round in 0..<5 {
          let count = rules.signing == .strictSign ? 4_000 : 20_000
          let alone = measure(rules, bytes: bytes, count: count, duplicates: 0, seed: UInt64(round))
          let together = measure(rules, bytes: bytes, count: count, duplicates: 5, seed: UInt64(round))
          first.append(alone)
          duplicate.append((together - alone) / 5)
        }
        print(
          "gossip \(name), \(bytes) B: \(Int(median(first))) ns a message to 6 peers (\(Int(first.min() ?? 0))-\(Int(first.max() ?? 0))), "
            + "\(Int(median(duplicate))) ns a duplicate")
      }
    }
  }

  /// Nanoseconds for each message that comes once and then `duplicates` times from other peers.
  private static func measure(_ rules: TopicConfiguration, bytes: Int, count: Int, duplicates: Int, seed: UInt64) -> Double {
    let crypto = SystemCrypto.shared
    let topic: Topic = "/starling/benchmark/blocks"
    let frames = makeFrames(rules, topic, bytes: bytes, count: count, crypto)
    let gossip = Gossip(crypto: crypto, seed: seed, now: .zero)
    var outputs: [Gossip.Output] = []
    outputs.reserveCapacity(64)
    gossip.handle(.subscribe(topic, rules), now: .zero, into: &outputs)
    let peers = (0..<7).map { name($0, crypto) }
    for peer in peers {
      gossip.handle(.peerConnected(peer, .meshsub12, .outbound), now: .zero, into: &outputs)
      gossip.handle(.writable(peer), now: .zero, into: &outputs)
      gossip.handle(.received(peer, subscription(topic)), now: .zero, into: &outputs)
    }
    // The seventh is outside the mesh: its messages go to all six.
    let mesh = gossip.meshPeers(topic)
    let source = peers.first { !mesh.contains($0) } ?? peers[0]
    let others = peers.filter { $0 != source }

    var sent = 0
    var now = Instant.zero
    func step(_ input: Gossip.Input) {
      outputs.removeAll(keepingCapacity: true)
      gossip.handle(input, now: now, into: &outputs)
      var verdicts: [(MessageID, Topic)] = []
      for output in outputs {
        if case .send = output { sent += 1 }
        if case .validate(let message) = output { verdicts.append((message.id, message.topic)) }
      }
      for (id, topic) in verdicts { step(.validated(id, topic: topic, .accept)) }
    }
    let start = threadTime()
    for (index, frame) in frames.enumerated() {
      now += .microseconds(100)
      step(.received(source, frame))
      for copy in 0..<duplicates { step(.received(others[copy], frame)) }
      if index % 1_000 == 999 { step(.timer) }
    }
    let end = threadTime()
    precondition(sent >= count * mesh.count, "only \(sent) copies of \(count) messages were sent")
    return Double(end - start) / Double(count)
  }

  private static func makeFrames(
    _ rules: TopicConfiguration, _ topic: Topic, bytes: Int, count: Int, _ crypto: SystemCrypto
  ) -> [[UInt8]] {
    let key = NodeKey(seed: [UInt8](repeating: 3, count: 32), crypto: crypto)
    let author = Gossip(key: key, crypto: crypto, seed: 0, now: .zero)
    var outputs: [Gossip.Output] = []
    author.handle(.configure(topic, rules), now: .zero, into: &outputs)
    let reader = name(1_000, crypto)
    author.handle(.peerConnected(reader, .meshsub12, .inbound), now: .zero, into: &outputs)
    author.handle(.writable(reader), now: .zero, into: &outputs)
    author.handle(.received(reader, subscription(topic)), now: .zero, into: &outputs)
    var data = [UInt8](repeating: 0, count: bytes)
    for index in 0..<count {
      for place in 0..<4 { data[place] = UInt8(truncatingIfNeeded: index >> (8 * place)) }
      author.handle(.publish(topic, data), now: .zero, into: &outputs)
    }
    return outputs.compactMap { output in
      if case .send(_, let frame) = output { return frame }
      return nil
    }
  }

  private static func name(_ number: Int, _ crypto: SystemCrypto) -> PeerID {
    var seed = [UInt8](repeating: 9, count: 24)
    seed.appendBigEndian(UInt64(number))
    return NodeKey(seed: seed, crypto: crypto).peerID
  }

  private static func subscription(_ topic: Topic) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) {
      $0.bool(1, true)
      $0.string(2, topic.name)
    }
    return writer.bytes
  }

  private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  private static func threadTime() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}
