import Identity
import Wire

/// Received blocks up to their execution.
extension Chain {
  mutating func receive(_ bytes: [UInt8], _ source: ItemSource, _ token: ValidationToken?, _ now: Instant, _ outputs: inout [Output]) {
    do throws(BlockError) {
      let block = try Block(encoded: bytes.rawSpan, limits: ledger.limits)
      guard let verdict = try classify(block, bytes, source, token, now, &outputs) else { return }
      if let token { outputs.append(.blockVerdict(token, verdict)) }
      if source == .own { outputs.append(.event(.ownBlockLost(verdict))) }
    } catch {
      if let token { outputs.append(.blockVerdict(token, .invalid(error))) }
      if source == .own { outputs.append(.event(.ownBlockRefused(error))) }
    }
  }

  /// Makes the checks that cost next to nothing and lets the block wait for the check of its seal; `nil` when the verdict comes later. Blocks that
  /// are too old, too new, or the third of their slot are refused only once their seal is found good: such a refusal blames nobody, and whoever
  /// sends a forged block has to be blamed.
  private mutating func classify(
    _ block: Block, _ bytes: [UInt8], _ source: ItemSource, _ token: ValidationToken?, _ now: Instant, _ outputs: inout [Output]
  ) throws(BlockError) -> BlockVerdict? {
    let header = block.header
    let hash = header.hash(crypto: crypto)
    if let error = invalidBlocks[hash] { throw error }
    guard header.version == 1 else { throw .wrongVersion(header.version) }
    guard header.chain == genesis else { throw .wrongChain }
    // From here on the hash stands for the whole block, body and seal: a bad twin under the same hash, were it even called known,
    // would be passed on in the good one's name.
    let ids = block.transactionIDs(crypto: crypto)
    guard MerkleTree.root(of: ids, crypto: crypto) == header.transactionRoot else { throw .wrongTransactionRoot }
    if waiting[hash] != nil { return join(hash, source, token, &outputs) }
    if let verdict = known(hash, header.height, token) { return verdict == .later ? nil : .known(hash) }
    try checkHeader(header, hash)
    if source == .own, let verdict = reservation(header, now) { return verdict }

    let account: WaitingBlock.Account
    switch source {
    case .own: account = .own
    case .gossip(let peer):
      let used = waiting.unsealed(of: peer)
      guard used.blocks == 0 || used.blocks < configuration.unsealedBlocks && used.bytes + bytes.count <= configuration.unsealedBytes else {
        return .refused(.busy)
      }
      account = .unsealed(peer)
    case .sync, .local:
      guard hasRoom(for: bytes.count) else { return .refused(.busy) }
      account = .queue
    }
    let isOwn = source == .own
    waiting.insert(
      hash,
      WaitingBlock(
        block: block, bytes: bytes, transactionIDs: ids, source: source, received: now, stage: isOwn ? .ready : .sealing, account: account,
        askers: token.map { [WaitingBlock.Asker(token: $0, peer: source.peer)] } ?? []))
    // This node's own block has no stranger's before it, and was made on a validated parent.
    if isOwn { ready.insert(hash, at: 0) } else { unsealed.append(hash) }
    return nil
  }

  /// What a header shows without its seal: everything when the parent is validated, otherwise what needs no parent. A fault is remembered.
  private mutating func checkHeader(_ header: BlockHeader, _ hash: Hash256) throws(BlockError) {
    do throws(BlockError) {
      if invalidBlocks[header.parent] != nil { throw .invalidAncestor(header.parent) }
      if let parent = nodes[header.parent] { try check(header, parent.head) } else { try consensus.checkAlone(header) }
    } catch {
      invalidBlocks.insert(hash, error)
      throw error
    }
  }

  /// Why a block that may be valid is not taken: its time lies ahead, or it forks below the final height.
  private func reservation(_ header: BlockHeader, _ now: Instant) -> BlockVerdict? {
    let ahead = header.time - clock.time(at: now)
    guard ahead <= consensus.futureTolerance else { return .future(ahead: ahead) }
    if nodes[header.parent] != nil && header.height > floor { return nil }
    // All validated blocks from the final height on are here, and slots grow from block to block: what stands on none of them though it
    // would be the first above it, or has too early a slot to stand on it, forks below.
    let start = canonical[floor].flatMap { nodes[$0] }?.head.slot ?? 0
    let isAbove = header.height > floor && header.height - floor > 1 && header.slot >= start && header.slot - start >= header.height - floor
    return isAbove ? nil : .refused(.final(height: header.height, floor: floor))
  }

  /// The rules that need no state: height and the consensus engine's.
  private func check(_ header: BlockHeader, _ parent: ChainHead) throws(BlockError) {
    guard header.height == parent.height + 1 else { throw .wrongHeight(header.height, expected: parent.height + 1) }
    try consensus.check(header, parent: parent)
  }

  private func hasRoom(for bytes: Int) -> Bool {
    waiting.queued.blocks < configuration.queuedBlocks && waiting.queued.bytes + bytes <= configuration.queuedBytes
  }

  private enum Known { case already, later }

  /// Whether the block was validated; blocks below the final height are looked up in the store. Known is a promise like accepted:
  /// while the block is on its way to the store, the answer waits for it.
  private mutating func known(_ hash: Hash256, _ height: UInt64, _ token: ValidationToken?) -> Known? {
    if nodes[hash] != nil {
      guard let token, height > head.height, canonical[height] == hash else { return .already }
      gathered.followers.append(.blockVerdict(token, .known(hash)))
      return .later
    }
    return (try? store.get(ChainTable.heights, hash.bytes)) != nil ? .already : nil
  }

  /// A copy of a block that waits: nothing is known of the block yet, so that the copy waits for the same verdict.
  private mutating func join(_ hash: Hash256, _ source: ItemSource, _ token: ValidationToken?, _ outputs: inout [Output]) -> BlockVerdict? {
    guard let entry = waiting[hash] else { return nil }
    if entry.isOrphan, !isConnected(entry.parent) {
      // This sender may have the parent that the first one lacked.
      if waiting[entry.parent] == nil { outputs.append(.needBlock(entry.parent, source: source, isRetry: false)) }
      return .orphan(parent: entry.parent)
    }
    guard let token else { return nil }
    let ofPeer = entry.askers.count { $0.peer == source.peer }
    guard entry.askers.count <= configuration.copiesWaiting, ofPeer < configuration.copiesOfPeer else { return .refused(.busy) }
    waiting.append(WaitingBlock.Asker(token: token, peer: source.peer), to: hash)
    return nil
  }

  /// Whether a block is validated, or stands on one with nothing but waiting blocks between them.
  private func isConnected(_ hash: Hash256) -> Bool { waiting.root(below: hash).map { nodes[$0] != nil } ?? true }

  // MARK: Seals

  /// Has the seals of what has come checked, one piece of work at a time, in the order of arrival: parents before children.
  mutating func startSealing(_ outputs: inout [Output]) {
    guard sealing == nil, !unsealed.isEmpty else { return }
    let batch = Array(unsealed.prefix(configuration.sealBatch))
    unsealed.removeFirst(batch.count)
    let work = nextWorkID()
    sealing = (work, batch)
    outputs.append(.work(work, .checkSeals(batch.compactMap { waiting[$0]?.block.header }, consensus)))
  }

  mutating func sealsChecked(_ id: WorkID, _ verdicts: [SealVerdict], _ now: Instant, _ outputs: inout [Output]) {
    guard let (work, batch) = sealing, work == id else { return }
    sealing = nil
    precondition(batch.count == verdicts.count, "\(verdicts.count) verdicts on \(batch.count) seals")
    for (hash, verdict) in zip(batch, verdicts) { sealChecked(hash, verdict, now, &outputs) }
  }

  private mutating func sealChecked(_ hash: Hash256, _ verdict: SealVerdict, _ now: Instant, _ outputs: inout [Output]) {
    guard let entry = waiting[hash] else { return }
    let header = entry.block.header
    switch verdict {
    case .bad: return reject(hash, .badSeal, &outputs)
    case .good: waiting.setSealed(hash)
    case .undecided: break
    }
    if verdict == .good, let peer = entry.source.peer, isSealedElsewhere(header) {
      outputs.append(.event(.sealedElsewhere(slot: header.slot, from: peer)))
    }
    // The chain may have moved on meanwhile.
    do throws(BlockError) { try checkHeader(header, hash) } catch { return reject(hash, error, &outputs) }
    if let reservation = reservation(header, now) {
      if case .future(let ahead) = reservation, verdict == .good {
        outputs.append(.event(.blockAhead(producer: header.producer, slot: header.slot, by: ahead, from: entry.source.peer)))
      }
      return refuse(hash, reservation, &outputs)
    }
    if verdict == .good, !record(header, hash, entry.source, &outputs) { return refuse(hash, .refused(.twin(slot: header.slot)), &outputs) }
    guard isConnected(header.parent) else { return park(orphan: hash, now, &outputs) }
    guard entry.account == .queue || hasRoom(for: entry.bytes.count) else { return refuse(hash, .refused(.busy), &outputs) }
    if nodes[header.parent] != nil {
      waiting.move(hash, to: .ready, .queue)
      ready.append(hash)
    } else {
      waiting.move(hash, to: .parked, .queue)
    }
    // Those who waited for it are no orphans any more.
    for descendant in waiting.descendants(of: hash) where waiting[descendant]?.isOrphan == true {
      waiting.move(descendant, to: .parked, .queue)
    }
  }

  /// The headers with a good seal that are known of a producer and slot: two at most.
  private func sealed(_ header: BlockHeader) -> [BlockHeader] {
    consensus.sealsOncePerSlot ? seals[SealKey(header)] ?? [] : []
  }

  /// Remembers a good seal. False for a third one of a producer and slot that nothing needs: two are evidence enough, and an authority
  /// must not make work without limit.
  mutating func record(_ header: BlockHeader, _ hash: Hash256, _ source: ItemSource, _ outputs: inout [Output]) -> Bool {
    guard consensus.sealsOncePerSlot else { return true }
    let others = sealed(header)
    if others.contains(header) { return true }
    guard others.count < 2 else { return source.isAskedFor || waiting.isWanted(hash) }
    seals.insert(SealKey(header), others + [header])
    if let first = others.first, let evidence = DoubleSeal(first, header) { outputs.append(.event(.doubleSeal(evidence))) }
    return true
  }

  // MARK: Execution

  /// Whether so much waits for the store that execution pauses.
  var isStoreBehind: Bool { gathered.blocks >= configuration.uncommittedBlocks || gathered.bytes >= configuration.uncommittedBytes }

  mutating func startExecution(_ outputs: inout [Output]) {
    while executing == nil, !ready.isEmpty, !isStoreBehind {
      let hash = ready.removeFirst()
      guard let entry = waiting[hash] else { continue }
      guard let parent = nodes[entry.parent] else {
        refuse(hash, .refused(.final(height: entry.block.header.height, floor: floor)), &outputs)
        continue
      }
      waiting.move(hash, to: .executing)
      let known = Set(entry.transactionIDs.filter { verified[$0] != nil })
      let work = nextWorkID()
      executing = (work, hash)
      outputs.append(
        .work(
          work,
          .verifyBlock(
            BlockWork(
              block: entry.block, isSealed: entry.isSealed, parentState: parent.state, verified: known, ledger: ledger, consensus: consensus
            ))
        ))
    }
  }

  mutating func executed(_ id: WorkID, _ result: Result<VerifiedBlock, BlockError>, _ now: Instant, _ outputs: inout [Output]) {
    guard let (work, hash) = executing, work == id else { return }
    executing = nil
    switch result {
    case .failure(let error): reject(hash, error, &outputs)
    case .success(let block):
      guard let entry = waiting[hash] else { return }
      let header = entry.block.header
      guard let parent = nodes[header.parent] else { return refuse(hash, .refused(.final(height: header.height, floor: floor)), &outputs) }
      waiting.remove(hash)
      for id in entry.transactionIDs { verified.insert(id, true) }
      let head = ChainHead(
        hash: hash, height: header.height, time: header.time, slot: header.slot, stateRoot: header.stateRoot,
        weight: consensus.weight(of: header, parent: parent.head.weight))
      let node = Node(
        head: head, parent: header.parent, header: header, bytes: entry.bytes, transactions: block.transactions,
        state: block.execution.state,
        changes: block.execution.changes)
      insert(node)
      if !entry.isSealed { _ = record(header, hash, entry.source, &outputs) }
      attach(node, entry, now, &outputs)
      connect(childrenOf: node, &outputs)
    }
  }

  /// Blocks that waited for this one become ready.
  private mutating func connect(childrenOf node: Node, _ outputs: inout [Output]) {
    for hash in waiting.children(of: node.head.hash) {
      guard let entry = waiting[hash] else { continue }
      do throws(BlockError) {
        try check(entry.block.header, node.head)
        waiting.move(hash, to: .ready, entry.isOrphan ? .queue : nil)
        ready.append(hash)
      } catch {
        reject(hash, error, &outputs)
      }
    }
  }

  // MARK: Verdicts against a block

  /// Remembers a block as invalid and, with it, all that wait on it.
  private mutating func reject(_ hash: Hash256, _ error: BlockError, _ outputs: inout [Output]) {
    var rejected: [(hash: Hash256, error: BlockError)] = [(hash, error)]
    while let (hash, error) = rejected.popLast() {
      invalidBlocks.insert(hash, error)
      for child in waiting.children(of: hash) { rejected.append((child, .invalidAncestor(hash))) }
      guard let entry = waiting.remove(hash) else { continue }
      for asker in entry.askers { outputs.append(.blockVerdict(asker.token, .invalid(error))) }
      if entry.source == .own { outputs.append(.event(.ownBlockRefused(error))) }
    }
  }

  /// Lets go of a block without blame, and of those that wait on it: they come again.
  private mutating func refuse(_ hash: Hash256, _ verdict: BlockVerdict, _ outputs: inout [Output]) {
    for hash in [hash] + waiting.descendants(of: hash) {
      guard let entry = waiting.remove(hash) else { continue }
      for asker in entry.askers { outputs.append(.blockVerdict(asker.token, verdict)) }
      if entry.source == .own { outputs.append(.event(.ownBlockLost(verdict))) }
    }
  }

  // MARK: Orphans

  /// Keeps a block whose parent is missing, and asks for the parent. What has to make room are orphans of whoever sent most.
  private mutating func park(orphan hash: Hash256, _ now: Instant, _ outputs: inout [Output]) {
    guard let entry = waiting[hash] else { return }
    let peer = entry.source.peer
    while let victim = waiting.orphanToDrop(
      for: peer, entry.bytes.count, limit: configuration.orphanBytes, share: configuration.orphanBytesOfPeer)
    { dropOrphan(victim, &outputs) }
    waiting.move(hash, to: .parked, .orphan(peer))
    // Copies of its descendants may have come while it seemed to stand on a known block.
    for hash in [hash] + waiting.descendants(of: hash) {
      guard let parent = waiting[hash]?.parent else { continue }
      for asker in waiting.takeAskers(hash) { outputs.append(.blockVerdict(asker.token, .orphan(parent: parent))) }
    }
    if orphanCheck == nil { orphanCheck = now + configuration.orphanRetry }
    if waiting[entry.parent] == nil { outputs.append(.needBlock(entry.parent, source: entry.source, isRetry: false)) }
  }

  private mutating func dropOrphan(_ hash: Hash256, _ outputs: inout [Output]) {
    for asker in waiting.remove(hash)?.askers ?? [] { outputs.append(.blockVerdict(asker.token, .refused(.busy))) }
  }

  /// Drops old orphans and asks again for each missing parent.
  mutating func checkOrphans(_ now: Instant, _ outputs: inout [Output]) {
    for hash in waiting.orphans {
      guard let entry = waiting[hash] else { continue }
      if entry.received + configuration.orphanLifetime <= now || entry.block.header.height <= floor { dropOrphan(hash, &outputs) }
    }
    var asked: Set<Hash256> = []
    for hash in waiting.orphans {
      guard let entry = waiting[hash], waiting[entry.parent] == nil else { continue }
      if asked.insert(entry.parent).inserted { outputs.append(.needBlock(entry.parent, source: entry.source, isRetry: true)) }
    }
    orphanCheck = waiting.orphans.isEmpty ? nil : now + configuration.orphanRetry
  }
}

/// A producer's slot.
struct SealKey: Hashable, Sendable {
  let slot: UInt64
  let producer: Address

  init(slot: UInt64, producer: Address) {
    self.slot = slot
    self.producer = producer
  }

  init(_ header: BlockHeader) { self.init(slot: header.slot, producer: header.producer) }
}
