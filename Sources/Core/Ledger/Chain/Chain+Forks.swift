import Identity
import Wire

/// Validated blocks: which chain counts, and what changes when another one does.
extension Chain {
  mutating func insert(_ node: Node) {
    nodes[node.head.hash] = node
    byHeight[node.head.height, default: []].append(node.head.hash)
    children[node.parent, default: []].append(node.head.hash)
  }

  /// Puts a new node on the chain when its branch is better, and beside it otherwise.
  mutating func attach(_ node: Node, _ entry: WaitingBlock, _ now: Instant, _ outputs: inout [Output]) {
    if entry.source == .own {
      // Durable before the block leaves this node: after a crash it must not seal the same slot again.
      gathered.batch.put(ChainTable.meta, ChainTable.sealedKey, sealed.encoded)
    }
    let isBetter = consensus.isBetter(node.head, than: tipNode.head)
    if isBetter { advance(to: node, now, &outputs) }
    var followers: [Output] = []
    for (index, asker) in entry.askers.enumerated() {
      followers.append(.blockVerdict(asker.token, index == 0 ? .accepted(node.head.hash) : .known(node.head.hash)))
    }
    if case .sync = entry.source {} else { followers.append(.relayBlock(entry.block, bytes: entry.bytes, source: entry.source)) }
    if entry.source == .own {
      followers.append(
        .event(
          .blockProduced(hash: node.head.hash, height: node.head.height, slot: node.head.slot, transactions: node.transactions.count)))
    }
    if isBetter || entry.source == .own {
      gathered.followers += followers
    } else {
      outputs += followers
      outputs.append(.event(.sideBlockKept(hash: node.head.hash, height: node.head.height)))
    }
    prune()
    dropExcessSideBlock()
  }

  /// Makes `node` the tip: takes back what is not under it and applies what is, in one batch.
  private mutating func advance(to node: Node, _ now: Instant, _ outputs: inout [Output]) {
    var branch: [Node] = []
    var cursor = node
    while canonical[cursor.head.height] != cursor.head.hash {
      branch.append(cursor)
      guard let parent = nodes[cursor.parent] else { preconditionFailure("a validated block's parent \(cursor.parent) is gone") }
      cursor = parent
    }
    let fork = cursor.head.height
    let old = tipNode.head
    var undone: [Node] = []
    while tipNode.head.height > fork {
      undone.append(tipNode)
      undo(tipNode)
      guard let parent = nodes[tipNode.parent] else { preconditionFailure("the tip's parent \(tipNode.parent) is gone") }
      tipNode = parent
    }
    for node in branch.reversed() {
      apply(node)
      tipNode = node
    }
    updatePool(undone: undone, applied: branch, now, &outputs)
    gathered.batch.put(ChainTable.meta, ChainTable.headKey, ChainTable.head(tipNode.head))
    gathered.blocks += branch.count
    gathered.bytes += branch.reduce(0) { $0 + $1.bytes.count }
    for node in branch.reversed() {
      gathered.followers.append(
        .event(.blockApplied(hash: node.head.hash, height: node.head.height, transactions: node.transactions.count)))
    }
    for node in undone {
      guard let header = node.header, isOwnProducer(header) else { continue }
      gathered.followers.append(.event(.ownBlockReplaced(hash: node.head.hash, height: header.height, slot: header.slot)))
    }
    if !undone.isEmpty { gathered.followers.append(.event(.reorganised(depth: undone.count, from: old.hash, to: tipNode.head.hash))) }
    gathered.followers.append(.newHead(tipNode.head, reorgDepth: undone.count))
  }

  private mutating func apply(_ node: Node) {
    let height = ChainTable.key(node.head.height)
    canonical[node.head.height] = node.head.hash
    gathered.batch.put(ChainTable.blocks, height, node.bytes)
    gathered.batch.put(ChainTable.heights, node.head.hash.bytes, height)
    let ranges = Block.ranges(ofTransactions: node.transactions.lazy.map(\.bytes.count), inBlockOf: node.bytes.count)
    for (index, transaction) in node.transactions.enumerated() {
      let place = ChainTable.Place(height: node.head.height, index: index, range: ranges[index])
      gathered.batch.put(ChainTable.transactions, transaction.id.bytes, place.encoded)
    }
    for change in node.changes { write(change.key, change.new) }
    gathered.batch.put(ChainTable.undo, height, UndoRecord(weight: node.head.weight, changes: node.changes).encoded)
    if node.head.height > UInt64(configuration.finalityDepth) {
      gathered.batch.remove(ChainTable.undo, ChainTable.key(node.head.height - UInt64(configuration.finalityDepth) - 1))
    }
  }

  private mutating func undo(_ node: Node) {
    let height = ChainTable.key(node.head.height)
    canonical[node.head.height] = nil
    gathered.batch.remove(ChainTable.blocks, height)
    gathered.batch.remove(ChainTable.heights, node.head.hash.bytes)
    for transaction in node.transactions { gathered.batch.remove(ChainTable.transactions, transaction.id.bytes) }
    for change in node.changes { write(change.key, change.old) }
    gathered.batch.remove(ChainTable.undo, height)
  }

  private mutating func write(_ key: Hash256, _ value: [UInt8]?) {
    if let value { gathered.batch.put(ChainTable.state, key.bytes, value) } else { gathered.batch.remove(ChainTable.state, key.bytes) }
  }

  /// Confirmed transactions leave the pool, those of replaced blocks return, and what the new state outdates goes.
  private mutating func updatePool(undone: [Node], applied: [Node], _ now: Instant, _ outputs: inout [Output]) {
    var confirmed: Set<Hash256> = []
    var senders: Set<Address> = []
    for node in applied {
      for transaction in node.transactions {
        confirmed.insert(transaction.id)
        senders.insert(transaction.sender)
        guard pool[transaction.id] != nil else { continue }
        pool.remove(transaction.id)
        gathered.batch.remove(ChainTable.pool, transaction.id.bytes)
      }
    }
    var displaced: [Hash256] = []
    for node in undone.reversed() {
      for transaction in node.transactions where !confirmed.contains(transaction.id) {
        senders.insert(transaction.sender)
        guard (try? ledger.admit(transaction, on: tipNode.state, crypto: crypto)) != nil else { continue }
        let next = ledger.nextNonce(of: transaction.sender, in: tipNode.state, crypto: crypto)
        let spendable = ledger.spendable(by: transaction.sender, in: tipNode.state, crypto: crypto)
        guard let removed = try? pool.insert(transaction, nextNonce: next, spendable: spendable, now: now, isReturning: true) else {
          continue
        }
        displaced += removed
        gathered.batch.put(ChainTable.pool, transaction.id.bytes, transaction.bytes)
      }
    }
    drop(displaced, .displaced, &outputs)
    guard pool.count > 0 else { return }
    var outdated: [Hash256] = []
    let (ledger, state, crypto) = (ledger, tipNode.state, crypto)
    for sender in senders.sorted() {
      let next = ledger.nextNonce(of: sender, in: state, crypto: crypto)
      let spendable = ledger.spendable(by: sender, in: state, crypto: crypto)
      outdated += pool.settle(sender, nextNonce: next, spendable: spendable) { (try? ledger.admit($0, on: state, crypto: crypto)) != nil }
    }
    drop(outdated, .outdated, &outputs)
  }

  /// Forgets what lies below the final height, and side branches that start there.
  private mutating func prune() {
    let depth = UInt64(configuration.finalityDepth)
    let newFloor = tipNode.head.height > depth ? tipNode.head.height - depth : 0
    guard newFloor > floor else { return }
    for height in floor...newFloor {
      for hash in byHeight[height] ?? [] {
        if canonical[height] == hash {
          if height < newFloor { forget(hash) }
        } else {
          forgetBranch(hash)
        }
      }
      if height < newFloor { canonical[height] = nil }
    }
    floor = newFloor
  }

  private mutating func forgetBranch(_ root: Hash256) {
    var branch = [root]
    while let hash = branch.popLast() {
      branch += children[hash] ?? []
      forget(hash)
    }
  }

  private mutating func forget(_ hash: Hash256) {
    guard let node = nodes.removeValue(forKey: hash) else { return }
    children[hash] = nil
    children[node.parent]?.removeAll { $0 == hash }
    if children[node.parent]?.isEmpty == true { children[node.parent] = nil }
    byHeight[node.head.height]?.removeAll { $0 == hash }
    if byHeight[node.head.height]?.isEmpty == true { byHeight[node.head.height] = nil }
  }

  /// Side blocks are bounded: the leaf of least weight goes.
  private mutating func dropExcessSideBlock() {
    guard nodes.count - canonical.count > configuration.sideBlocks else { return }
    var worst: ChainHead?
    for node in nodes.values where canonical[node.head.height] != node.head.hash && children[node.head.hash] == nil {
      guard let other = worst else {
        worst = node.head
        continue
      }
      let (weight, hash) = (node.head.weight, node.head.hash)
      if weight != other.weight ? weight < other.weight : hash > other.hash { worst = node.head }
    }
    if let worst { forget(worst.hash) }
  }
}
