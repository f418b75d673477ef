import Discovery
import HostCore
import Identity
import Ledger
import NodeCore
import SecureChannel
import Sync
import Wire

/// What stands between a byzantine node's core and the network: it knows which stream is for what, and changes what leaves.
struct Mask {
  let behaviour: Behaviour
  private let protocols: Core.Protocols
  private let peers: ProtocolID
  private var names: [StreamRef: ProtocolID] = [:]
  private var generator: SeededGenerator
  /// Forged blocks that it answers with when asked for them.
  private var forged: [Hash256: [UInt8]] = [:]
  /// What goes out in place of declining a request.
  private var answers: [StreamRef: [UInt8]] = [:]
  /// Forged blocks that were asked for: they go out by gossip in the same moment.
  private var copies: [[UInt8]] = []
  /// Two blocks of the same length for one slot: every other peer gets the second for the first.
  var twins: (first: [UInt8], second: [UInt8])?

  init(_ behaviour: Behaviour, network: String, partition: String, seed: UInt64) {
    self.behaviour = behaviour
    protocols = Core.Protocols(network: network, partition: partition)
    peers = HostProtocols.peers(network)
    generator = SeededGenerator(seed: seed)
  }

  /// Notes what an input says of streams.
  mutating func note(_ input: HostCore.Input) {
    switch input {
    case .streamOpened(let stream, let name, _): names[stream] = name
    case .streamEnded(let stream, _):
      names[stream] = nil
      answers[stream] = nil
    case .message(let stream, let bytes, _):
      guard !forged.isEmpty, !stream.stream.isOutbound, names[stream] == protocols.blocks,
        case .hash(let hash)? = try? BlocksRequest(encoded: bytes.rawSpan), let block = forged[hash]
      else { return }
      answers[stream] = BytesList([block]).encoded
      copies.append(block)
    case .closed(let connection, _), .failed(let connection, _): names = names.filter { $0.key.connection != connection }
    default: break
    }
  }

  /// Takes in a forged block, to be given to those who ask for it.
  mutating func forge(_ hash: Hash256, _ block: [UInt8]) {
    if forged.count >= 16 { forged = [:] }
    forged[hash] = block
  }

  /// Forged blocks that are to go out by gossip now.
  mutating func takeCopies() -> [[UInt8]] {
    defer { copies = [] }
    return copies
  }

  /// What leaves instead.
  mutating func change(_ output: HostCore.Output) -> [HostCore.Output] {
    switch output {
    case .open(let stream, let offered): names[stream] = offered.first
    case .reset(let stream, _):
      if let answer = answers.removeValue(forKey: stream) { return [.send(stream, answer), .finish(stream)] }
      names[stream] = nil
    case .send(let stream, let bytes):
      guard let name = names[stream] else { return [output] }
      return change(stream, bytes, name).map { [$0] } ?? []
    default: break
    }
    return [output]
  }

  private mutating func change(_ stream: StreamRef, _ bytes: [UInt8], _ name: ProtocolID) -> HostCore.Output? {
    let isAnswer = !stream.stream.isOutbound
    let isGossip = name.name.hasPrefix("/meshsub/") || name.name.hasPrefix("/floodsub/")
    switch behaviour {
    case .height where name == protocols.status: return .send(stream, raised(bytes, isAnswer: isAnswer) { $0 + 1_000 })
    case .claims where name == protocols.status: return .send(stream, raised(bytes, isAnswer: isAnswer) { _ in 1 << 61 })
    case .claims where isAnswer && name == protocols.blocks: return nil
    case .silent where isGossip || name == peers || isAnswer && (name == protocols.blocks || name == protocols.transactions): return nil
    case .garbage where isGossip || isAnswer && name != protocols.status && name.name.hasPrefix("/starling/"):
      return .send(stream, generator.bytes(max(1, bytes.count)))
    // What is longer than a few control messages carries a block or transactions.
    case .withhold where isGossip && bytes.count > 200: return nil
    case .withhold where isAnswer && name == protocols.blocks: return .send(stream, BytesList([]).encoded)
    case .addresses where isAnswer && name == peers: return .send(stream, PeerListMessage.response(nobody()))
    case .equivocate where isGossip: return .send(stream, swapped(stream, bytes))
    case .answers where isAnswer && name == protocols.blocks: return .send(stream, twisted(bytes))
    default: return .send(stream, bytes)
    }
  }

  private func swapped(_ stream: StreamRef, _ bytes: [UInt8]) -> [UInt8] {
    guard let (first, second) = twins, first.count == second.count, stream.connection.rawValue & 1 == 1, bytes.count >= first.count,
      let place = (0...(bytes.count - first.count)).first(where: { bytes[$0..<($0 + first.count)].elementsEqual(first) })
    else { return bytes }
    return Array(bytes[..<place]) + second + bytes[(place + first.count)...]
  }

  private func raised(_ bytes: [UInt8], isAnswer: Bool, by raise: (UInt64) -> UInt64) -> [UInt8] {
    if isAnswer {
      guard case .status(var status)? = try? StatusAnswer(encoded: bytes.rawSpan) else { return bytes }
      status.height = raise(status.height)
      return StatusAnswer.status(status).encoded
    }
    guard var status = try? Status(encoded: bytes.rawSpan) else { return bytes }
    status.height = raise(status.height)
    return status.encoded
  }

  /// Peers that do not exist, at addresses where nobody is.
  private mutating func nobody() -> [PeerAddress] {
    (0..<100).compactMap { _ in
      var name: [UInt8] = [0x12, 0x20]
      name += generator.bytes(32)
      guard let peer = try? PeerID(bytes: name), let ip = IPAddress(bytes: [UInt8(64 + generator.index(below: 30))] + generator.bytes(3))
      else {
        return nil
      }
      return PeerAddress(peer: peer, address: Multiaddr(ip: ip, port: 4001))
    }
  }

  /// Blocks in another order than asked for, or one of them damaged.
  private mutating func twisted(_ bytes: [UInt8]) -> [UInt8] {
    guard var list = try? BytesList(encoded: bytes.rawSpan, maximum: 1_000), !list.items.isEmpty else { return bytes }
    if list.items.count > 1 && generator.unit() < 0.5 {
      list.items.reverse()
    } else {
      let index = generator.index(below: list.items.count)
      if !list.items[index].isEmpty { list.items[index][generator.index(below: list.items[index].count)] ^= 1 }
    }
    return list.encoded
  }
}
