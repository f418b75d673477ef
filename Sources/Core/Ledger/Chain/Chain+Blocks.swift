import Identity
import Wire

/// Received blocks up to their execution.
extension Chain {
  /// How many more blocks would be taken now; what a syncing caller should not exceed.
  public var freeBlocks: Int { max(0, configuration.queuedBlocks - (waiting.count - orphans.count)) }

  /// Whether a block was validated or waits for it. Blocks below the final height are looked up in the store.
  public func isKnown(_ hash: Hash256) -> Bool {
    nodes[hash] != nil || waiting[hash] != nil || (try? store.get(ChainTable.heights, hash.bytes)) != nil
  }

  mutating func receive(_ bytes: [UInt8], _ source: ItemSource, _ token: ValidationToken?, _ now: Instant, _ outputs: inout [Output]) {
    do throws(BlockError) {
      let block = try Block(encoded: bytes.rawSpan, limits: ledger.limits)
      let verdict = try classify(block, bytes, source, token, now, &outputs)
      if let verdict, let token { outputs.append(.blockVerdict(token, verdict)) }
    } catch {
      if let token { outputs.append(.blockVerdict(token, .invalid(error))) }
      if source == .own { outputs.append(.event(.ownBlockRefused(error))) }
    }
  }

  /// Makes the cheap checks and queues the block; `nil` when the verdict comes later.
  private mutating func classify(
    _ block: Block, _ bytes: [UInt8], _ source: ItemSource, _ token: ValidationToken?, _ now: Instant, _ outputs: inout [Output]
  ) throws(BlockError) -> BlockVerdict? {
    let header = block.header
    let hash = header.hash(crypto: crypto)
    if let error = invalidBlocks[hash] { throw error }
    // From here on the hash stands for the whole block, body and seal: a bad twin under the same hash, were it even called known,
    // would be passed on in the good one's name.
    let ids = block.transactionIDs(crypto: crypto)
    guard MerkleTree.root(of: ids, crypto: crypto) == header.transactionRoot else { throw .wrongTransactionRoot }
    if waiting[hash]?.stage == .orphan {
      // Nothing is known of it but that it waits; this sender may have the parent that the first one lacked.
      if waiting[header.parent] == nil { outputs.append(.needBlock(header.parent, source: source)) }
      return .orphan(parent: header.parent)
    }
    if isKnown(hash) { return .known(hash) }
    guard header.version == 1 else { throw .wrongVersion(header.version) }
    guard header.chain == genesis else { throw .wrongChain }
    let ahead = header.time - clock.time(at: now)
    guard ahead <= consensus.futureTolerance else { return .future(ahead: ahead) }
    guard header.height > floor else { return .refused(.final(height: header.height, floor: floor)) }
    if invalidBlocks[header.parent] != nil {
      let error = BlockError.invalidAncestor(header.parent)
      invalidBlocks.insert(hash, error)
      throw error
    }

    var entry = Waiting(block: block, bytes: bytes, transactionIDs: ids, source: source, token: token, received: now, stage: .ready)
    if let parent = nodes[header.parent] {
      do throws(BlockError) { try check(header, parent.head) } catch {
        invalidBlocks.insert(hash, error)
        throw error
      }
    } else if let parent = waiting[header.parent] {
      entry.stage = parent.stage == .orphan ? .orphan : .held
    } else {
      entry.stage = .orphan
    }
    guard entry.stage == .orphan || waiting.count - orphans.count < configuration.queuedBlocks || source == .own,
      waitingBytes + bytes.count <= configuration.queuedBytes
    else { return .refused(.busy) }
    if entry.stage == .orphan { entry.token = nil }
    waiting[hash] = entry
    waitingBytes += bytes.count
    switch entry.stage {
    case .ready: ready.append(hash)
    case .held, .executing: waitingChildren[header.parent, default: []].append(hash)
    case .orphan:
      waitingChildren[header.parent, default: []].append(hash)
      addOrphan(hash, now, &outputs)
      if waiting[header.parent] == nil { outputs.append(.needBlock(header.parent, source: source)) }
      return .orphan(parent: header.parent)
    }
    return nil
  }

  /// The rules that need no state: height and the consensus engine's.
  private func check(_ header: BlockHeader, _ parent: ChainHead) throws(BlockError) {
    guard header.height == parent.height + 1 else { throw .wrongHeight(header.height, expected: parent.height + 1) }
    try consensus.check(header, parent: parent)
  }

  /// Whether so much waits for the store that execution pauses.
  var isStoreBehind: Bool { gathered.blocks >= configuration.uncommittedBlocks || gathered.bytes >= configuration.uncommittedBytes }

  mutating func startExecution(_ outputs: inout [Output]) {
    while executing == nil, !ready.isEmpty, !isStoreBehind {
      let hash = ready.removeFirst()
      guard var entry = waiting[hash] else { continue }
      guard let parent = nodes[entry.block.header.parent] else {
        refuse(hash, .final(height: entry.block.header.height, floor: floor), &outputs)
        continue
      }
      entry.stage = .executing
      waiting[hash] = entry
      let known = Set(entry.transactionIDs.filter { verified[$0] != nil })
      let work = nextWorkID()
      executing = (work, hash)
      outputs.append(
        .work(
          work,
          .verifyBlock(BlockWork(block: entry.block, parentState: parent.state, verified: known, ledger: ledger, consensus: consensus))))
    }
  }

  mutating func executed(_ id: WorkID, _ result: Result<VerifiedBlock, BlockError>, _ now: Instant, _ outputs: inout [Output]) {
    guard let (work, hash) = executing, work == id else { return }
    executing = nil
    switch result {
    case .failure(let error): reject(hash, error, &outputs)
    case .success(let block):
      guard let entry = take(hash) else { return }
      let header = entry.block.header
      guard let parent = nodes[header.parent] else {
        if let token = entry.token {
          outputs.append(.blockVerdict(token, .refused(.final(height: header.height, floor: floor))))
        }
        refuseDescendants(of: hash, &outputs)
        return
      }
      for id in entry.transactionIDs { verified.insert(id, true) }
      let head = ChainHead(
        hash: hash, height: header.height, time: header.time, slot: header.slot, stateRoot: header.stateRoot,
        weight: consensus.weight(of: header, parent: parent.head.weight))
      let node = Node(
        head: head, parent: header.parent, header: header, bytes: entry.bytes, transactions: block.transactions,
        state: block.execution.state,
        changes: block.execution.changes)
      insert(node)
      reportDoubleSeal(header, &outputs)
      attach(node, entry, now, &outputs)
      connect(childrenOf: node, &outputs)
    }
  }

  /// Blocks that waited for this one become ready.
  private mutating func connect(childrenOf node: Node, _ outputs: inout [Output]) {
    for hash in waitingChildren.removeValue(forKey: node.head.hash) ?? [] {
      guard var entry = waiting[hash] else { continue }
      if entry.stage == .orphan { orphans.removeAll { $0 == hash } }
      entry.stage = .ready
      waiting[hash] = entry
      do throws(BlockError) {
        try check(entry.block.header, node.head)
        ready.append(hash)
      } catch {
        reject(hash, error, &outputs)
      }
    }
  }

  /// Remembers a block as invalid and, with it, all that wait on it.
  private mutating func reject(_ hash: Hash256, _ error: BlockError, _ outputs: inout [Output]) {
    var rejected: [(hash: Hash256, error: BlockError)] = [(hash, error)]
    while let (hash, error) = rejected.popLast() {
      invalidBlocks.insert(hash, error)
      guard let entry = take(hash) else { continue }
      if let token = entry.token { outputs.append(.blockVerdict(token, .invalid(error))) }
      if entry.source == .own { outputs.append(.event(.ownBlockRefused(error))) }
      for child in waitingChildren.removeValue(forKey: hash) ?? [] { rejected.append((child, .invalidAncestor(hash))) }
    }
  }

  private mutating func refuse(_ hash: Hash256, _ refusal: BlockRefusal, _ outputs: inout [Output]) {
    if let token = take(hash)?.token { outputs.append(.blockVerdict(token, .refused(refusal))) }
    refuseDescendants(of: hash, &outputs)
  }

  private mutating func refuseDescendants(of hash: Hash256, _ outputs: inout [Output]) {
    var parents = [hash]
    while let parent = parents.popLast() {
      for child in waitingChildren.removeValue(forKey: parent) ?? [] {
        guard let entry = take(child) else { continue }
        if let token = entry.token {
          outputs.append(.blockVerdict(token, .refused(.final(height: entry.block.header.height, floor: floor))))
        }
        parents.append(child)
      }
    }
  }

  /// Takes a block out of the tables, not out of its parent's list.
  private mutating func take(_ hash: Hash256) -> Waiting? {
    guard let entry = waiting.removeValue(forKey: hash) else { return nil }
    waitingBytes -= entry.bytes.count
    if entry.stage == .orphan { orphans.removeAll { $0 == hash } }
    return entry
  }

  // MARK: Orphans

  private mutating func addOrphan(_ hash: Hash256, _ now: Instant, _ outputs: inout [Output]) {
    if orphans.count >= configuration.orphans, let oldest = orphans.first { dropOrphan(oldest) }
    orphans.append(hash)
    if orphanCheck == nil { orphanCheck = now + configuration.orphanRetry }
  }

  private mutating func dropOrphan(_ hash: Hash256) {
    guard let entry = take(hash) else { return }
    let parent = entry.block.header.parent
    waitingChildren[parent]?.removeAll { $0 == hash }
    if waitingChildren[parent]?.isEmpty == true { waitingChildren[parent] = nil }
  }

  /// Drops old orphans and asks again for each missing parent.
  mutating func checkOrphans(_ now: Instant, _ outputs: inout [Output]) {
    for hash in orphans {
      guard let entry = waiting[hash] else { continue }
      if entry.received + configuration.orphanLifetime <= now || entry.block.header.height <= floor { dropOrphan(hash) }
    }
    var asked: Set<Hash256> = []
    for hash in orphans {
      guard let entry = waiting[hash], waiting[entry.block.header.parent] == nil else { continue }
      if asked.insert(entry.block.header.parent).inserted { outputs.append(.needBlock(entry.block.header.parent, source: entry.source)) }
    }
    orphanCheck = orphans.isEmpty ? nil : now + configuration.orphanRetry
  }

  private mutating func reportDoubleSeal(_ header: BlockHeader, _ outputs: inout [Output]) {
    guard consensus.sealsOncePerSlot else { return }
    for other in seals[header.slot] ?? [] {
      if let evidence = DoubleSeal(other, header) { return outputs.append(.event(.doubleSeal(evidence))) }
    }
    seals[header.slot, default: []].append(header)
  }
}
