import Discovery
import EventLoop
import Foundation
import HostCore
import HTTPAPI
import Identity
import Ledger
import SecureChannel
import Sync
import Wire

/// An attack of a peer that is introduced first.
final class Introduced: Misbehaviour {
  private let facts: ChainFacts
  private let height: UInt64
  private let act: (BarePeer) -> Void
  private let heard: (BarePeer, StreamID, [UInt8]) -> Void
  private var status: StreamID?
  private var isIn = false

  /// - Parameters:
  ///   - act: each 5 ms, once the node has answered.
  ///   - heard: messages of the node; on streams of its own that are not answered here, they are echoed.
  init(
    _ facts: ChainFacts, height: UInt64 = 0, heard: @escaping (BarePeer, StreamID, [UInt8]) -> Void = { _, _, _ in },
    act: @escaping (BarePeer) -> Void
  ) {
    self.facts = facts
    self.height = height
    self.heard = heard
    self.act = act
  }

  func begin() {
    status = nil
    isIn = false
  }

  func act(_ peer: BarePeer) {
    if status == nil {
      status = facts.introduce(peer, height: height)
      peer.onOutput = { [weak self] peer, output in
        guard let self, case .message(let stream, let bytes) = output else { return }
        if stream == status { isIn = true } else { heard(peer, stream, bytes) }
      }
    } else if isIn {
      act(peer)
    }
    peer.flush()
  }
}

/// Blocks that the producer never made, of its turns and at their times, with what costs nothing to forge.
final class Forger {
  private let facts: ChainFacts
  private let transactions: [[UInt8]]
  private let root: Hash256
  private var random = SystemRandomNumberGenerator()

  /// - Parameter bytes: how large a block is, about.
  init(_ facts: ChainFacts, bytes: Int) {
    self.facts = facts
    transactions = (0..<max(1, bytes / 8_000)).map { index in [UInt8](repeating: UInt8(index & 255), count: min(8_000, bytes)) }
    let crypto = BarePeer.crypto
    root = MerkleTree.root(of: transactions.map { crypto.sha256($0) }, crypto: crypto)
  }

  func block(on parent: Hash256? = nil, height: UInt64) -> Block {
    let slot = UInt64(max(1, (Platform.wallTime.milliseconds - facts.start) / 1_000))
    return Block(
      header: BlockHeader(
        chain: facts.genesis, parent: parent ?? hash(), height: height, time: WallTime(milliseconds: facts.start + Int64(slot) * 1_000),
        transactionRoot: root, stateRoot: hash(), producer: facts.producer, slot: slot, seal: [UInt8](repeating: 9, count: 64)),
      transactions: transactions)
  }

  private func hash() -> Hash256 {
    Hash256((0..<4).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }) ?? .zero
  }
}

/// Sends messages to the topic of blocks, as long as the link's queue has room.
final class GossipSender {
  private var stream: StreamID?
  private weak var peer: BarePeer?

  /// Opens the stream and subscribes to the blocks.
  func open(to peer: BarePeer) -> StreamID {
    let stream = peer.open("/meshsub/1.1.0", .lengthPrefixed(maximumBytes: 10 << 20))
    var writer = ProtobufWriter()
    writer.message(1) {
      $0.uint64(1, 1)
      $0.string(2, ChainFacts.blockTopic)
    }
    peer.send(writer.bytes, on: stream)
    return stream
  }

  func publish(_ data: [UInt8], to peer: BarePeer) -> Bool {
    if self.peer !== peer {
      self.peer = peer
      stream = open(to: peer)
    }
    guard let stream, peer.connection.queuedBytes(on: stream) < 1 << 20 else { return false }
    var writer = ProtobufWriter(capacity: data.count + 128)
    writer.message(2) {
      $0.data(2, data)
      $0.string(4, ChainFacts.blockTopic)
    }
    peer.send(writer.bytes, on: stream)
    return true
  }
}

extension Attack {
  /// Blocks of a mebibyte whose parents nobody has.
  func orphans(_ facts: ChainFacts) throws {
    try proven { attack in
      let forger = Forger(facts, bytes: 1_000_000)
      let sender = GossipSender()
      return Introduced(facts) { peer in
        if sender.publish(forger.block(height: 1_000).encoded, to: peer) { attack.messages += 1 }
      }
    }
  }

  /// Small blocks with forged parents, which are sent too, and given when they are asked for.
  func forgedParents(_ facts: ChainFacts) throws {
    try proven { attack in
      let forger = Forger(facts, bytes: 200)
      let sender = GossipSender()
      var last: Block?
      return Introduced(
        facts,
        heard: { peer, stream, _ in
          guard !stream.isOutbound, let last else { return }
          peer.send(BytesList([last.encoded]).encoded, on: stream)
          peer.connection.finish(stream)
        },
        act: { peer in
          for _ in 0..<10 {
            let parent = forger.block(height: 1_000)
            last = parent
            let child = forger.block(on: parent.hash(crypto: BarePeer.crypto), height: 1_001)
            if sender.publish(child.encoded, to: peer), sender.publish(parent.encoded, to: peer) { attack.messages += 2 }
          }
        })
    }
  }

  /// A thousand IDs of one full block in each request.
  func identifiers(_ facts: ChainFacts) throws {
    let client = try HTTPClient("http://127.0.0.1:\(facts.api)", token: nil, timeout: .seconds(10))
    let block: BlockResponse = try client.get("/api/v1/block/height/\(facts.fullHeight)")
    let ids = block.transactions.compactMap { Base16.decode($0.hash) }
    let request = BytesList((0..<1_000).map { ids[$0 % ids.count] }).encoded
    try proven { attack in
      Introduced(facts) { peer in
        guard peer.connection.statistics.streams < 20 else { return }
        let stream = peer.open(ChainFacts.protocolID("transactions/1"), .lengthPrefixed(maximumBytes: 10 << 20))
        peer.send(request, on: stream)
        peer.connection.finish(stream)
        attack.messages += 1
      }
    }
  }

  /// Asks for the full block as JSON, from many addresses, and does not read.
  func json(_ facts: ChainFacts) {
    let target = SocketAddress("127.0.0.1", port: facts.api)!
    let request = Array("GET /api/v1/block/height/\(facts.fullHeight) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
    var sockets: [(descriptor: Int32, asked: Int)] = []
    while Platform.now < end {
      for _ in 0..<5 where sockets.count < 100 { if let socket = connect(to: target) { sockets.append((socket, 0)) } }
      sockets = sockets.compactMap { descriptor, asked in
        if asked < 20, send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count {
          messages += 1
          return (descriptor, asked + 1)
        }
        guard isOver(descriptor) || asked >= 20 && Int.random(in: 0..<50) == 0 else { return (descriptor, asked) }
        close(descriptor)
        closed += 1
        return nil
      }
      usleep(20_000)
    }
    for socket in sockets { close(socket.descriptor) }
  }

  /// Throwaway identities that provide one key at sixteen long addresses, and ask who does.
  func providers(_ facts: ChainFacts) throws {
    let name = String(repeating: "a", count: 1_000)
    let addresses = (0..<16).compactMap { try? Multiaddr("/dns4/\(name)/tcp/\(1 + $0)") }
    let key = [0x12, 0x20] + [UInt8](repeating: 5, count: 32)
    try proven { attack in
      var sent = 0
      let introduced = Introduced(facts) { peer in
        guard peer.connection.statistics.streams < 20 else { return }
        let me = KademliaMessage.Peer(id: peer.peer, addresses: addresses)
        for message in [KademliaMessage(.addProvider, key: key, providers: [me]), KademliaMessage(.getProviders, key: key)] {
          let stream = peer.open(HostProtocols.kademlia(ChainFacts.network), .lengthPrefixed(maximumBytes: KademliaMessage.maximumBytes))
          peer.send(message.encoded, on: stream)
          peer.connection.finish(stream)
          attack.messages += 1
        }
        sent += 1
        // The next identity.
        if sent % 10 == 0 { peer.close() }
      }
      return introduced
    }
  }

  /// Claims a height that nobody can have, answers nothing, and comes back under another name ten times a second.
  func heights(_ facts: ChainFacts) throws {
    try proven { attack in
      var beats = 0
      return Introduced(facts, height: 1 << 61) { peer in
        beats += 1
        guard beats % 20 == 0 else { return }
        attack.messages += 1
        peer.close()
      }
    }
  }
}
