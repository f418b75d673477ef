import Identity
import Wire

/// Making blocks in the node's own slots.
extension Chain {
  /// Starts a block when a slot of this node has come, or notes when to look again.
  mutating func produce(_ now: Instant, _ outputs: inout [Output]) {
    productionAt = nil
    guard let producer, mayProduce, building == nil else { return }
    let wall = clock.time(at: now)
    let tip = tipNode.head
    // A slot is sealed once only, on whatever parent: two blocks for one slot are an offence.
    let after = ChainHead(
      hash: tip.hash, height: tip.height, time: tip.time, slot: max(tip.slot, lastSealedSlot), stateRoot: tip.stateRoot, weight: tip.weight)
    guard let opportunity = consensus.opportunity(for: producer.address, after: after, at: wall) else { return }
    var start = opportunity.time
    let isBehind = sealing != nil || executing != nil || !ready.isEmpty || isStoreBehind
    if isBehind { start = start + configuration.productionPatience }
    guard start <= wall else {
      productionAt = clock.instant(of: start)
      return
    }
    let limits = ledger.limits
    let candidates = pool.select(maximumCount: limits.blockTransactions, maximumBytes: limits.blockBytes - headerRoom) {
      ledger.nextNonce(of: $0, in: tipNode.state, crypto: crypto)
    }
    let work = nextWorkID()
    building = (work, tip.hash, opportunity.slot)
    outputs.append(
      .work(
        work,
        .build(
          BuildWork(
            parent: tip, parentState: tipNode.state, candidates: candidates, opportunity: opportunity, chain: genesis, key: producer.key,
            producer: producer.address, ledger: ledger, consensus: consensus))))
  }

  /// Feeds a built block through the same checks as any other. One that a new tip has outrun is thrown away unpublished.
  mutating func built(_ id: WorkID, _ block: Block?, _ skipped: [Hash256], _ now: Instant, _ outputs: inout [Output]) {
    guard let (work, parent, slot) = building, work == id else { return }
    building = nil
    guard parent == tipNode.head.hash else { return }
    for id in skipped { pool.remove(id) }
    drop(skipped, .outdated, &outputs)
    guard let block, mayProduce, block.header.producer == producer?.address else { return }
    lastSealedSlot = max(lastSealedSlot, slot)
    receive(block.encoded, .own, nil, now, &outputs)
  }

  /// What a header takes of a block's bytes at most.
  private var headerRoom: Int { 640 }
}
