import Identity
import Wire

/// Making blocks in the node's own slots.
extension Chain {
  /// Starts a block when a slot of this node has come, or notes when to look again.
  mutating func produce(_ now: Instant, _ outputs: inout [Output]) {
    productionAt = nil
    guard let producer else { return }
    let wall = clock.time(at: now)
    let plan = plan(of: producer.address, at: wall)
    tellObstacle(plan, &outputs)
    // While a block of this node waits, as for the store, another one on the same parent would only be thrown away.
    guard mayProduce, building == nil, waiting.own.blocks == 0, let opportunity = plan.opportunity else { return }
    let tip = tipNode.head
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
    if consensus.sealsOncePerSlot {
      var sealed = sealed
      sealed.insert(slot) { turn(of: block.header.producer, after: $0)?.slot }
      self.sealed = sealed
    }
    receive(block.encoded, .own, nil, now, &outputs)
  }

  // MARK: Turns

  /// The next turn, and what stands against it.
  private struct Plan {
    let opportunity: ProductionOpportunity?
    let obstacle: ProductionStatus.Obstacle?
  }

  private func plan(of address: Address, at wall: WallTime) -> Plan {
    guard let first = consensus.opportunity(for: address, after: head(slot: 0), at: wall),
      let onTip = consensus.opportunity(for: address, after: tipNode.head, at: wall)
    else { return Plan(opportunity: nil, obstacle: .notProducer) }
    // A slot is sealed once only, on whatever parent: two blocks for one slot are an offence.
    var chosen = onTip
    var closed: UInt64?
    while consensus.sealsOncePerSlot, let end = lastSealed(from: chosen.slot, address) {
      guard let next = consensus.opportunity(for: address, after: head(slot: max(end, tipNode.head.slot)), at: wall), next.slot > end else {
        // No slot is left, as after damage to what was stored.
        return Plan(opportunity: nil, obstacle: sealed(through: end, of: address, wall))
      }
      closed = end
      chosen = next
    }
    if let storeFault { return Plan(opportunity: chosen, obstacle: .storeFailing(storeFault)) }
    if !mayProduce { return Plan(opportunity: chosen, obstacle: .catchingUp) }
    // What the clock alone would bring next, the present slot used up.
    let regular = first.time <= wall ? turn(of: address, after: first.slot) : .init(slot: first.slot, time: first.time)
    guard consensus.sealsOncePerSlot, let regular, chosen.slot > regular.slot else { return Plan(opportunity: chosen, obstacle: nil) }
    if let closed, onTip.slot < chosen.slot {
      return Plan(opportunity: chosen, obstacle: sealed(through: closed, of: address, wall))
    }
    return Plan(opportunity: chosen, obstacle: .headAhead(.init(slot: tipNode.head.slot, time: tipNode.head.time)))
  }

  private func sealed(through slot: UInt64, of address: Address, _ wall: WallTime) -> ProductionStatus.Obstacle {
    .sealed(through: turn(of: address, after: slot - 1) ?? .init(slot: slot, time: wall))
  }

  /// Up to where the producer's slots count as sealed from `slot` on, if that one does: by this node, or by somebody who has its key.
  private func lastSealed(from slot: UInt64, _ address: Address) -> UInt64? {
    sealed.span(around: slot)?.upperBound ?? (seals[SealKey(slot: slot, producer: address)] == nil ? nil : slot)
  }

  /// The producer's first turn behind a slot.
  private func turn(of address: Address, after slot: UInt64) -> ProductionStatus.Turn? {
    consensus.opportunity(for: address, after: head(slot: slot), at: WallTime(milliseconds: .min)).map {
      .init(slot: $0.slot, time: $0.time)
    }
  }

  /// The tip, as if it had another slot.
  private func head(slot: UInt64) -> ChainHead {
    let tip = tipNode.head
    return ChainHead(hash: tip.hash, height: tip.height, time: tip.time, slot: slot, stateRoot: tip.stateRoot, weight: tip.weight)
  }

  /// Says what keeps this node from its turns when that changes.
  private mutating func tellObstacle(_ plan: Plan, _ outputs: inout [Output]) {
    guard plan.obstacle != toldObstacle else { return }
    toldObstacle = plan.obstacle
    guard let address = producer?.address else { return }
    outputs.append(.event(.productionChanged(status(plan, address))))
  }

  private func status(_ plan: Plan, _ address: Address) -> ProductionStatus {
    ProductionStatus(
      last: sealed.last.flatMap { $0 > 0 ? turn(of: address, after: $0 - 1) : nil },
      next: plan.opportunity.map { .init(slot: $0.slot, time: $0.time) }, obstacle: plan.obstacle)
  }

  /// When this node makes its next block and what stands against that; `nil` without a producer's key.
  public func production(now: Instant) -> ProductionStatus? {
    producer.map { status(plan(of: $0.address, at: clock.time(at: now)), $0.address) }
  }

  /// Whether somebody else has sealed a block with this node's key since the key is used here. What was sealed before may be this node's own, from a
  /// store that was lost.
  func isSealedElsewhere(_ header: BlockHeader) -> Bool {
    consensus.sealsOncePerSlot && isOwnProducer(header) && sealed.span(around: header.slot) == nil
      && producerSince.map { header.time > $0 } ?? false
  }

  /// Whether a header carries the name of this node's own producer.
  func isOwnProducer(_ header: BlockHeader) -> Bool { header.producer == producer?.address }

  /// What a header takes of a block's bytes at most.
  private var headerRoom: Int { 640 }
}
