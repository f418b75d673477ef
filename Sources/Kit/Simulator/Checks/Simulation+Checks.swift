import HostCore
import Identity
import Ledger
import NodeCore
import Wire

extension Simulation {
  /// Looks at the nodes now and again: counts for the report, invariants for safety.
  func sample() {
    oracle.now = now
    queue.schedule(.sample, at: now + sampleInterval)
    var heights: [UInt64] = []
    var links = 0
    var isolated = 0
    for node in nodes {
      guard let core = node.core, node.isHonest else { continue }
      heights.append(core.chain.head.height)
      let active = core.host.connectedPeers.count
      links += active
      if active == 0 { isolated += 1 }
    }
    heights.sort()
    measures.samples.append(
      .init(
        time: now, up: heights.count, lowest: heights.first ?? 0, median: heights.isEmpty ? 0 : heights[heights.count / 2],
        highest: heights.last ?? 0, links: links, isolated: isolated, bytes: nodes.reduce(0) { $0 + $1.bytesOut }))
    for node in nodes where node.isHonest { checkLevel(node) }
    // A few, each in its turn.
    let count = min(nodes.count, 4)
    let first = measures.samples.count * count % nodes.count
    for offset in 0..<count { check(nodes[(first + offset) % nodes.count]) }
  }

  var sampleInterval: Duration { nodes.count <= 100 ? .seconds(1) : .seconds(2) }

  /// Safety of one node.
  func check(_ node: SimulatedNode) {
    guard let core = node.core, !node.isSuspended else { return }
    core.chain.checkInvariants()
    if let broken = core.host.gossip?.checkInvariants() { oracle.violate(.invariants, node.index, broken) }
    core.host.peering.checkInvariants()
    if ledger.root(of: core.chain.tipState) != core.chain.tip.stateRoot {
      oracle.violate(.validity, node.index, "the state is not the tip's")
    }
    if let gone = core.keptOfPeers.subtracting(core.host.connectedPeers).min() {
      oracle.violate(.memory, node.index, "something is kept of \(gone), which has no link")
    }
    for end in node.ends.values where end.isAdmitted && end.isEstablished {
      let kept = core.host.streamCount(of: end.connection)
      let open = end.endpoint?.streamCount ?? 0
      if kept > open { oracle.violate(.memory, node.index, "\(kept) streams are kept of link \(end.connection), \(open) are open") }
    }
  }

  /// What must hold once faults and load have ended long enough ago.
  func checkEnd() {
    oracle.now = now
    let honest = nodes.filter(\.isHonest)
    for node in honest where !node.isUp { return oracle.violate(.connected, node.index, "it does not run at the end") }
    checkConnected(honest)
    checkSplits(honest)
    checkHeads(honest)
    for node in honest { if let state = node.core?.sync.state, !state.isCaughtUp { oracle.violate(.synced, node.index, "it is \(state)") } }
    checkTransactions(honest)
    checkSpeed()
  }

  private func checkSpeed() {
    for (kind, spreads) in [("blocks", measures.blocks), ("transactions", measures.transactions)] {
      func check(_ histogram: Histogram?, _ bound: Duration?, _ what: String) {
        guard let bound else { return }
        guard let median = histogram?.quantile(0.5) else { return oracle.violate(.speed, nil, "nothing was measured of \(kind), \(what)") }
        if Int64(median) * 1_000 >= bound.nanoseconds {
          oracle.violate(.speed, nil, "\(kind), \(what): the median is \(median / 1_000) ms, not below \(Int(bound.milliseconds)) ms")
        }
      }
      check(spreads.byHops.first, scenario.oneHopMaximum, "1 hop")
      check(spreads.byHops.dropFirst(2).first, scenario.threeHopsMaximum, "3 hops")
      check(spreads.reaching[2], scenario.networkMaximum, "99 % of the nodes")
    }
  }

  private func checkConnected(_ honest: [SimulatedNode]) {
    // The honest nodes must be one piece over links between them.
    guard let first = honest.first else { return }
    var seen: Set<Int> = [first.index]
    var waiting = [first]
    while let node = waiting.popLast() {
      for peer in node.core?.host.peering.activePeers ?? [] {
        if let index = nodeOf[peer], nodes[index].isHonest, seen.insert(index).inserted { waiting.append(nodes[index]) }
      }
    }
    if let lonely = honest.first(where: { !seen.contains($0.index) }) {
      oracle.violate(.connected, lonely.index, "it is not connected to \(first.name): \(seen.count) of \(honest.count) nodes are")
    }
  }

  private func checkHeads(_ honest: [SimulatedNode]) {
    guard let best = honest.compactMap(\.core).max(by: { $0.chain.head.weight < $1.chain.head.weight }) else { return }
    let highest = best.chain.head
    for node in honest {
      guard let core = node.core else { continue }
      // The newest block may be on its way.
      let fresh = now - max(born(highest.hash), began(highest)) < .seconds(5)
      let lag = highest.height - min(highest.height, core.chain.head.height)
      // Between two blocks of an authority for one slot the next block decides.
      let isTwin = core.chain.head.weight == highest.weight && now - began(highest) < scenario.blockTime * 3 + .seconds(5)
      if core.chain.head.hash != highest.hash, !((fresh && lag <= 1 || isTwin) && isLike(core, best, below: highest.height)) {
        return oracle.violate(
          .oneHead, node.index,
          "its head is \(core.chain.head.height) \(core.chain.head.hash.short), the best is \(highest.height) \(highest.hash.short); it is \(core.sync.state), \(core.health(now: now).status)"
        )
      }
    }
    let expected = UInt64(max(0, (now - .zero).seconds / scenario.blockTime.seconds * 0.2))
    if highest.height < expected { oracle.violate(.oneHead, nil, "the chain has grown to \(highest.height) only") }
  }

  /// Whether two nodes have one block below a height, or twins.
  private func isLike(_ one: Core, _ other: Core, below height: UInt64) -> Bool {
    guard height > 1, let one = (try? one.chain.block(at: height - 1)) ?? nil, let other = (try? other.chain.block(at: height - 1)) ?? nil
    else {
      return height <= 1
    }
    return one.header == other.header
      || one.header.parent == other.header.parent && one.header.slot == other.header.slot && one.header.producer == other.header.producer
  }

  /// When a block's slot began.
  private func began(_ head: ChainHead) -> Instant { Instant.zero + (head.time - Simulation.wallStart) }

  private func born(_ hash: Hash256) -> Instant { measures.blocks.births[hash] ?? .zero }

  private func checkTransactions(_ honest: [SimulatedNode]) {
    guard let first = honest.first, let core = first.core else { return }
    // Every node has this chain or lacks its last block, so that one walk tells what is in it, and how often.
    var seen: Set<Hash256> = []
    for height in stride(from: UInt64(1), through: core.chain.head.height, by: 1) {
      guard let block = (try? core.chain.block(at: height)) ?? nil else {
        return oracle.violate(.validity, first.index, "block \(height) is missing")
      }
      for id in block.transactionIDs(crypto: crypto) where !seen.insert(id).inserted {
        return oracle.violate(.transactions, first.index, "transaction \(id.short) is in the chain twice")
      }
    }
    for (id, origin) in oracle.transactions where !seen.contains(id) { check(id, acceptedAt: origin, first) }
    // The other nodes' own look-ups, by a sample of some five hundred.
    let step = max(1, oracle.transactions.count * min(honest.count, 100) / 500)
    for (turn, node) in honest.prefix(100).enumerated() {
      for place in stride(from: turn % step, to: oracle.transactions.count, by: step) {
        check(oracle.transactions[place].id, acceptedAt: oracle.transactions[place].node, node)
      }
    }
    replay(core)
  }

  /// Holds a node to a transaction that was accepted somewhere.
  private func check(_ id: Hash256, acceptedAt origin: Int, _ node: SimulatedNode) {
    switch try? node.core?.chain.transaction(id) {
    case .confirmed: break
    case .pending: oracle.violate(.transactions, node.index, "transaction \(id.short), accepted at n\(origin), still waits")
    case nil:
      let holders = nodes.filter { (try? $0.core?.chain.transaction(id)) ?? nil != nil }.map(\.name)
      let state = holders.isEmpty ? "is lost" : "is known at \(holders.joined(separator: ", ")) only"
      oracle.violate(.transactions, node.index, "transaction \(id.short), accepted at n\(origin), \(state)")
    }
  }

  /// Executes the whole chain again in an empty store.
  private func replay(_ core: Core) {
    let state: AccountState
    do {
      var current = ledger.genesis(crypto: crypto).state
      var height: UInt64 = 1
      while height <= core.chain.head.height, let block = try core.chain.block(at: height) {
        guard consensus.hasValidSeal(block.header, crypto: crypto) else {
          return oracle.violate(.validity, nil, "block \(height) has a bad seal")
        }
        let infos = try block.transactions.map { try ledger.inspect($0, crypto: crypto) }
        let context = BlockContext(height: height, time: block.header.time, producer: block.header.producer)
        current = try ledger.execute(infos, on: current, context: context, skippingInvalid: false, crypto: crypto).state
        guard ledger.root(of: current) == block.header.stateRoot else {
          return oracle.violate(.validity, nil, "block \(height) has a wrong state root")
        }
        height += 1
      }
      state = current
    } catch {
      return oracle.violate(.validity, nil, "the chain cannot be executed again: \(error)")
    }
    if ledger.root(of: state) != core.chain.head.stateRoot {
      oracle.violate(.validity, nil, "executed again the chain ends in another state")
    }
  }
}
