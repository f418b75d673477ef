import Crypto
import Identity
import Wire

@testable import Gossip

let crypto = SystemCrypto()
let blocks: Topic = "/starling/test/blocks"

/// The key of a small number.
func nodeKey(_ number: Int) -> NodeKey {
  var seed = [UInt8](repeating: 0, count: 24)
  seed.appendBigEndian(UInt64(number))
  return NodeKey(seed: seed, crypto: crypto)
}

/// A name that nobody proves: a SHA-256 multihash, cheap to make.
func peer(_ number: Int) -> PeerID {
  var bytes: [UInt8] = [0x12, 0x20]
  var number8: [UInt8] = []
  number8.appendBigEndian(UInt64(number))
  crypto.sha256(number8).append(to: &bytes)
  guard let id = try? PeerID(bytes: bytes) else { preconditionFailure("a multihash is a PeerID") }
  return id
}

extension TopicConfiguration {
  /// What most of these tests are about: messages that are named by their content.
  static let unsigned = TopicConfiguration(signing: .strictNoSign)
}

extension Instant {
  static func at(_ seconds: Double) -> Instant { .zero + .nanoseconds(Int64(seconds * 1e9)) }
}

/// One router with a hand on its inputs; every step checks the invariants.
final class Bench {
  let gossip: Gossip
  var now = Instant.zero
  var broken: [String] = []

  init(_ configuration: Gossip.Configuration = .init(), key: NodeKey? = nil, seed: UInt64 = 1) {
    var configuration = configuration
    if key == nil { configuration.defaultTopic = .unsigned }
    gossip = Gossip(configuration: configuration, key: key, crypto: crypto, seed: seed, firstSequence: 100, now: .zero)
  }

  @discardableResult func input(_ input: Gossip.Input) -> [Gossip.Output] {
    let outputs = gossip.handle(input, now: now)
    if let fault = gossip.checkInvariants() { broken.append(fault) }
    return outputs
  }

  /// Connects a peer whose stream takes everything and that is subscribed to the topic.
  @discardableResult func join(
    _ id: PeerID, _ version: GossipProtocol = .meshsub12, _ direction: Direction = .outbound, topic: Topic? = blocks
  ) -> [Gossip.Output] {
    var outputs = input(.peerConnected(id, version, direction))
    outputs += input(.writable(id))
    if let topic { outputs += input(.received(id, rpc { $0.subscribe(topic) })) }
    return outputs
  }

  /// Lets time pass up to `seconds` after the start, with every timer in between.
  @discardableResult func run(to seconds: Double) -> [Gossip.Output] {
    var outputs: [Gossip.Output] = []
    while let deadline = gossip.nextDeadline, deadline <= .at(seconds) {
      now = max(now, deadline)
      outputs += input(.timer)
    }
    now = .at(seconds)
    return outputs
  }
}

/// Writes RPCs field by field, independently of the router's own encoder.
struct RPCWriter {
  var writer = ProtobufWriter()
  mutating func subscribe(_ topic: Topic, _ yes: Bool = true) {
    writer.message(1) {
      $0.bool(1, yes)
      $0.string(2, topic.name)
    }
  }
  mutating func publish(_ topic: Topic, _ data: [UInt8]) {
    writer.message(2) {
      $0.data(2, data)
      $0.string(4, topic.name)
    }
  }
  mutating func control(_ build: (inout ProtobufWriter) -> Void) { writer.message(3, build) }
  mutating func ihave(_ topic: Topic, _ ids: [[UInt8]]) {
    control {
      $0.message(1) {
        $0.string(1, topic.name)
        for id in ids { $0.data(2, id) }
      }
    }
  }
  mutating func iwant(_ ids: [[UInt8]]) { control { $0.message(2) { for id in ids { $0.data(1, id) } } } }
  mutating func graft(_ topic: Topic) { control { $0.message(3) { $0.string(1, topic.name) } } }
  mutating func prune(_ topic: Topic, backoff: UInt64? = nil, exchange: [(PeerID, [UInt8]?)] = []) {
    control {
      $0.message(4) {
        $0.string(1, topic.name)
        for (peer, record) in exchange {
          $0.message(2) {
            $0.data(1, peer.bytes)
            if let record { $0.data(2, record) }
          }
        }
        if let backoff { $0.uint64(3, backoff) }
      }
    }
  }
  mutating func dontWant(_ ids: [[UInt8]]) { control { $0.message(5) { for id in ids { $0.data(1, id) } } } }
}

func rpc(_ build: (inout RPCWriter) -> Void) -> [UInt8] {
  var writer = RPCWriter()
  build(&writer)
  return writer.writer.bytes
}

/// What an RPC says, as short words, so that tests can compare whole answers.
func words(_ bytes: [UInt8]) -> [String] {
  guard let rpc = try? RPC(bytes.rawSpan, limits: .init()) else { return ["unreadable"] }
  func text(_ range: Range<Int>?) -> String { range.map { String(decoding: bytes[$0], as: UTF8.self) } ?? "-" }
  var result: [String] = []
  for entry in rpc.subscriptions { result.append((entry.subscribes ? "sub " : "unsub ") + text(entry.topic)) }
  for message in rpc.messages { result.append("msg \(message.data?.count ?? 0)") }
  for have in rpc.ihave { result.append("ihave \(have.ids.count)") }
  if !rpc.iwant.isEmpty { result.append("iwant \(rpc.iwant.count)") }
  for graft in rpc.grafts { result.append("graft " + text(graft)) }
  for prune in rpc.prunes { result.append("prune " + text(prune.topic) + (prune.backoff.map { " \($0)s" } ?? "")) }
  if !rpc.dontWant.isEmpty { result.append("idontwant \(rpc.dontWant.count)") }
  return result
}

extension [Gossip.Output] {
  /// What was sent to a peer, in words.
  func sent(to peer: PeerID) -> [String] {
    flatMap { output in
      if case .send(peer, let bytes) = output { return words(bytes) }
      return []
    }
  }
  /// The peers that were sent a message, in order.
  var messageReceivers: [PeerID] {
    compactMap { output in
      if case .send(let peer, let bytes) = output, words(bytes).contains(where: { $0.hasPrefix("msg") }) { return peer }
      return nil
    }
  }
  var delivered: [[UInt8]] {
    compactMap { output in
      if case .deliver(let message) = output { return message.data }
      return nil
    }
  }
  var toValidate: [GossipMessage] {
    compactMap { output in
      if case .validate(let message) = output { return message }
      return nil
    }
  }
  var offences: [GossipOffence] {
    compactMap { output in
      if case .report(_, let offence) = output { return offence }
      return nil
    }
  }
}

/// Counts what happens in closures.
final class Counter: @unchecked Sendable {
  private(set) var count = 0
  func add() { count += 1 }
}
