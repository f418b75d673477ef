import HostCore
import Identity
import Ledger
import NodeCore
import Wire

/// Liars of the chain: blocks that cost others room or work, or that are to bring an honest node to pass on what is bad.
extension Simulation {
  /// Orphans as large as the line bears, each on a parent that nobody has, under a seal that is nobody's, of any age.
  func floodOrphans(_ node: SimulatedNode, _ core: Core) {
    let room = min(900_000, Int(scenario.uploadBytes / 100))
    for _ in 0..<4 {
      guard let real = generator.unit() < 0.7 ? newestBlock(core) : anyBlock(core) else { return }
      let transactions = (0..<max(1, room / 8_000)).map { _ in generator.bytes(8_000) }
      var header = real.header
      header.parent = crypto.sha256(generator.bytes(8))
      header.height += UInt64(generator.index(below: 3))
      header.transactionRoot = MerkleTree.root(of: transactions.map { crypto.sha256($0) }, crypto: crypto)
      header.seal = generator.bytes(64)
      publish(Block(header: header, transactions: transactions).encoded, core.protocolNames.blockTopic, node)
    }
  }

  /// A forged child, whose forged parent follows twice in one moment, as the answer to the question for it and by gossip; or a good block's
  /// header with another body; or a good block that everybody has.
  func forge(_ node: SimulatedNode, _ core: Core) {
    guard let real = newestBlock(core) else { return }
    if generator.unit() < 0.2, let old = anyBlock(core) { return publish(old.encoded, core.protocolNames.blockTopic, node) }
    if generator.unit() < 0.3 {
      return publish(
        Block(header: real.header, transactions: real.transactions + [generator.bytes(100)]).encoded, core.protocolNames.blockTopic, node)
    }
    var parent = real.header
    parent.stateRoot = crypto.sha256(generator.bytes(8))
    if generator.unit() < 0.5 { parent.seal = generator.bytes(64) }
    publishForged(parent: Block(header: parent, transactions: real.transactions), sealing: { _ in }, node, core)
  }

  /// An authority's forged parent and child, with good seals of its own slots: only execution shows that they are bad.
  func forgeSealed(_ node: SimulatedNode, _ core: Core) {
    let tip = core.chain.tip
    guard let key = node.producer, let own = Address(key.publicKey),
      let opportunity = consensus.opportunity(for: own, after: tip, at: wallClock(node).time(at: now))
    else { return }
    // The newest slot of its own that has begun, or the one before for the parent.
    let turns = UInt64(genesis.authorities.count)
    guard opportunity.slot > 2 * turns, let time = consensus.time(of: opportunity.slot - 2 * turns),
      opportunity.slot - 2 * turns > tip.height
    else { return }
    var header = BlockHeader(
      chain: core.chain.genesis, parent: tip.hash, height: tip.height + 1, time: time,
      transactionRoot: MerkleTree.root(of: [], crypto: crypto), stateRoot: crypto.sha256(generator.bytes(8)), producer: own,
      slot: opportunity.slot - 2 * turns)
    guard header.slot > tip.slot || generator.unit() < 0.5 else { return }
    header = consensus.seal(header, key: key, crypto: crypto) ?? header
    publishForged(
      parent: Block(header: header, transactions: []),
      sealing: { child in
        child.slot += turns
        child.time = self.consensus.time(of: child.slot) ?? child.time
        child = self.consensus.seal(child, key: key, crypto: self.crypto) ?? child
      }, node, core)
  }

  private func publishForged(parent: Block, sealing seal: (inout BlockHeader) -> Void, _ node: SimulatedNode, _ core: Core) {
    var child = parent.header
    child.parent = parent.hash(crypto: crypto)
    child.height += 1
    child.transactionRoot = MerkleTree.root(of: [], crypto: crypto)
    seal(&child)
    node.mask?.forge(child.parent, parent.encoded)
    publish(Block(header: child, transactions: []).encoded, core.protocolNames.blockTopic, node)
  }

  /// An authority that is about to make a block seals others for the same slot: one of two for each of its peers, sometimes a third for all.
  func equivocate(_ node: SimulatedNode) {
    guard let core = node.core, let key = node.producer, let own = Address(key.publicKey) else { return }
    let tip = core.chain.tip
    guard let opportunity = consensus.opportunity(for: own, after: tip, at: wallClock(node).time(at: now)) else { return }
    let nonce = ledger.nextNonce(of: own, in: core.chain.tipState, crypto: crypto)
    func twin(_ amount: UInt64) -> [UInt8]? {
      let transaction = Transaction(
        chain: core.chain.genesis, nonce: nonce, fee: 1, payload: .transfer(to: own, amount: Amount(amount)), key: key, crypto: crypto)
      let context = BlockContext(height: tip.height + 1, time: opportunity.time, producer: own)
      guard let info = try? ledger.inspect(transaction.encoded, crypto: crypto),
        let execution = try? ledger.execute([info], on: core.chain.tipState, context: context, skippingInvalid: false, crypto: crypto)
      else { return nil }
      let header = BlockHeader(
        chain: core.chain.genesis, parent: tip.hash, height: tip.height + 1, time: opportunity.time,
        transactionRoot: MerkleTree.root(of: [info.id], crypto: crypto), stateRoot: ledger.root(of: execution.state), producer: own,
        slot: opportunity.slot)
      return consensus.seal(header, key: key, crypto: crypto).map { Block(header: $0, transactions: [transaction.encoded]).encoded }
    }
    guard let first = twin(1), let second = twin(2) else { return }
    node.mask?.twins = (first, second)
    publish(first, core.protocolNames.blockTopic, node)
    if generator.unit() < 0.5, let third = twin(3) { publish(third, core.protocolNames.blockTopic, node) }
  }

  private func anyBlock(_ core: Core) -> Block? {
    (try? core.chain.block(at: 1 + UInt64(generator.index(below: max(1, Int(core.chain.head.height)))))) ?? nil
  }

  private func newestBlock(_ core: Core) -> Block? { (try? core.chain.block(at: core.chain.head.height)) ?? nil }
}
