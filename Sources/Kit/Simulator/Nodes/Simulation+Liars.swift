import Gossip
import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Wire

extension Simulation {
  /// What really leaves a node in place of what its core wanted.
  func masked(_ output: HostCore.Output, of node: SimulatedNode) -> [HostCore.Output] {
    guard node.mask != nil else { return [output] }
    let changed = node.mask!.change(output)
    for block in node.mask!.takeCopies() { if let core = node.core { publish(block, core.protocolNames.blockTopic, node) } }
    return changed
  }

  /// A byzantine node does something of its own accord.
  func misbehave(_ node: SimulatedNode) {
    guard let core = node.core, let behaviour = node.behaviour else { return }
    trace.note(now, node.index, .misbehaved)
    switch behaviour {
    case .blocks: if let bytes = badBlock(node, core) { publish(bytes, core.protocolNames.blockTopic, node) }
    case .transactions: publish(badTransaction(), core.protocolNames.transactionTopic, node)
    case .orphans: floodOrphans(node, core)
    case .twins: forge(node, core)
    case .equivocate: forgeSealed(node, core)
    case .links:
      for other in nodes where other !== node && generator.unit() < 0.2 {
        post(node.index, .host(.command(.dial(PeerAddress(peer: other.key.peerID, address: other.address), keep: true))))
      }
    case .claims: comeAgain(node, core)
    default: return
    }
    queue.schedule(.misbehave(node: node.index), at: now + .seconds(2) + generator.jitter(.seconds(4)))
  }

  /// Drops some of its links and dials everybody to whom it has none, so that many a claim comes over a new link.
  private func comeAgain(_ node: SimulatedNode, _ core: Core) {
    let linked = core.host.connectedPeers
    for peer in linked.sorted() where generator.unit() < 0.5 {
      post(node.index, .host(.command(.disconnect(peer, Reason(.shutdown)))))
    }
    for other in nodes where other !== node && !linked.contains(other.key.peerID) {
      post(node.index, .host(.command(.dial(PeerAddress(peer: other.key.peerID, address: other.address), keep: false))))
    }
  }

  func publish(_ bytes: [UInt8], _ topic: Topic, _ node: SimulatedNode) {
    post(node.index, .host(.command(.publish(topic, bytes))))
  }

  /// A block on the node's head that breaks one of the rules.
  private func badBlock(_ node: SimulatedNode, _ core: Core) -> [UInt8]? {
    guard let real = (try? core.chain.block(at: core.chain.head.height)) ?? nil else { return nil }
    var header = real.header
    var transactions = real.transactions
    switch generator.index(below: 5) {
    case 0: header.stateRoot = crypto.sha256(generator.bytes(8))
    case 1: header.seal = generator.bytes(64)
    case 2: header.height += 1 + UInt64(generator.index(below: 1_000))
    case 3: transactions.append(badTransaction())
    default:
      // Its own seal on a slot that is not its own.
      let parent = core.chain.head
      guard let own = Address(node.key.publicKey), let time = consensus.time(of: parent.slot + 1) else { return nil }
      header = BlockHeader(
        chain: header.chain, parent: parent.hash, height: parent.height + 1, time: time,
        transactionRoot: MerkleTree.root(of: [], crypto: crypto),
        stateRoot: parent.stateRoot, producer: own, slot: parent.slot + 1)
      header = consensus.seal(header, key: node.key, crypto: crypto) ?? header
      transactions = []
    }
    return Block(header: header, transactions: transactions).encoded
  }

  /// A transfer whose signature is nobody's.
  private func badTransaction() -> [UInt8] {
    guard let sender = Address(load.accounts[0].key.publicKey) else { return [] }
    return Transaction(
      chain: ledger.chain, sender: sender, nonce: UInt64(generator.index(below: 1_000)), fee: 1, payload: .transfer(to: sender, amount: 1),
      signature: generator.bytes(64)
    ).encoded
  }
}
