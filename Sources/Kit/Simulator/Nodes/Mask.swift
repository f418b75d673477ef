import Discovery
import HostCore
import Identity
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

  init(_ behaviour: Behaviour, network: String, partition: String, seed: UInt64) {
    self.behaviour = behaviour
    protocols = Core.Protocols(network: network, partition: partition)
    peers = HostProtocols.peers(network)
    generator = SeededGenerator(seed: seed)
  }

  /// Notes what an input says of streams.
  mutating func note(_ input: HostCore.Input) {
    switch input {
    case .streamOpened(let stream, let name): names[stream] = name
    case .streamEnded(let stream, _): names[stream] = nil
    case .closed(let connection, _), .failed(let connection, _): names = names.filter { $0.key.connection != connection }
    default: break
    }
  }

  /// What leaves instead; `nil` for nothing.
  mutating func change(_ output: HostCore.Output) -> HostCore.Output? {
    switch output {
    case .open(let stream, let offered): names[stream] = offered.first
    case .reset(let stream, _): names[stream] = nil
    case .send(let stream, let bytes):
      guard let name = names[stream] else { return output }
      return change(stream, bytes, name)
    default: break
    }
    return output
  }

  private mutating func change(_ stream: StreamRef, _ bytes: [UInt8], _ name: ProtocolID) -> HostCore.Output? {
    let isAnswer = !stream.stream.isOutbound
    let isGossip = name.name.hasPrefix("/meshsub/") || name.name.hasPrefix("/floodsub/")
    switch behaviour {
    case .height where name == protocols.status: return .send(stream, raised(bytes, isAnswer: isAnswer))
    case .silent where isGossip || name == peers || isAnswer && (name == protocols.blocks || name == protocols.transactions): return nil
    case .garbage where isGossip || isAnswer && name != protocols.status && name.name.hasPrefix("/starling/"):
      return .send(stream, generator.bytes(max(1, bytes.count)))
    // What is longer than a few control messages carries a block or transactions.
    case .withhold where isGossip && bytes.count > 200: return nil
    case .withhold where isAnswer && name == protocols.blocks: return .send(stream, BytesList([]).encoded)
    case .addresses where isAnswer && name == peers: return .send(stream, PeerListMessage.response(nobody()))
    case .answers where isAnswer && name == protocols.blocks: return .send(stream, twisted(bytes))
    default: return .send(stream, bytes)
    }
  }

  private mutating func raised(_ bytes: [UInt8], isAnswer: Bool) -> [UInt8] {
    if isAnswer {
      guard case .status(var status)? = try? StatusAnswer(encoded: bytes.rawSpan) else { return bytes }
      status.height += 1_000
      return StatusAnswer.status(status).encoded
    }
    guard var status = try? Status(encoded: bytes.rawSpan) else { return bytes }
    status.height += 1_000
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
