import Identity
import Wire

/// Where a transaction stands.
public enum TransactionStatus: Hashable, Sendable {
  /// In the mempool.
  case pending(TransactionInfo)
  /// In a durable block of the chain.
  case confirmed(block: Hash256, height: UInt64, index: Int, bytes: [UInt8])
}

/// Reads of the durable chain. They go to the store, on the caller's thread, and may be called between inputs only.
extension Chain {
  /// The end of the validated chain, part of which may still be on its way to the store.
  public var tip: ChainHead { tipNode.head }

  /// The state behind the tip: what new transactions are judged by.
  public var tipState: L.State { tipNode.state }

  /// The lowest height that a better branch can fork from.
  public var finalHeight: UInt64 { floor }

  /// How many blocks below a head no branch is replaced any more.
  public var finalityDepth: UInt64 { UInt64(max(0, configuration.finalityDepth)) }

  /// Tells whether an encoded block is certainly forged by what its header shows without any state: the turn, the time, the seal. It costs a
  /// signature at most, however long the block. For any thread.
  public var forgeryTest: @Sendable (RawSpan) -> Bool {
    { [consensus, crypto] block in
      guard let header = try? Block.header(of: block), (try? consensus.checkAlone(header)) != nil else { return true }
      return consensus.judgeSeal(header, crypto: crypto) == .bad
    }
  }

  /// The pending transactions.
  public var mempool: Mempool { pool }

  /// Whether a validated block is among the newest, so that others may not have it yet. O(1).
  public func isNew(_ hash: Hash256) -> Bool { nodes[hash].map { $0.head.height + 8 > tipNode.head.height } ?? false }

  /// How far ahead of this node's clock a block's time may lie.
  public var futureTolerance: Duration { consensus.futureTolerance }

  /// Counts for metrics and health.
  public var statistics: ChainStatistics {
    ChainStatistics(
      queuedBlocks: waiting.count - waiting.orphans.count, orphans: waiting.orphans.count, sideBlocks: nodes.count - canonical.count,
      pendingTransactions: pool.count, pendingBytes: pool.bytes, verifyingTransactions: verifyingIDs.count,
      uncommittedBlocks: gathered.blocks + (underWay?.commit.blocks ?? 0), storeFault: storeFault)
  }

  /// Whose verdict waits for the store alone. O(what waits).
  public var tokensAwaitingStore: Set<ValidationToken> {
    var tokens: Set<ValidationToken> = []
    for follower in (underWay?.commit.followers ?? []) + gathered.followers {
      switch follower {
      case .transactionVerdict(let token, _), .blockVerdict(let token, _): tokens.insert(token)
      default: break
      }
    }
    return tokens
  }

  /// Reads of the chain that may be made on any thread: what a stranger or a user asks for is not read on the chain's own. O(blocks that are
  /// on their way to the store).
  public var reader: ChainReader {
    var unwritten: [[TransactionInfo]] = []
    if head.height < tipNode.head.height {
      for height in (head.height + 1)...tipNode.head.height {
        if let node = canonical[height].flatMap({ nodes[$0] }) { unwritten.append(node.transactions) }
      }
    }
    return ChainReader(store: store, crypto: crypto, limits: ledger.limits, genesis: genesis, unwritten: unwritten)
  }

  /// The bytes of a block that is at hand: one that a better branch may still replace, or one beside the chain.
  public func recentBlockBytes(_ hash: Hash256) -> [UInt8]? {
    guard let node = nodes[hash], node.header != nil else { return nil }
    return node.bytes
  }

  /// The encoded block at a height; `nil` above the head and for the genesis, which is not a block.
  public func blockBytes(at height: UInt64) throws(StoreError) -> [UInt8]? {
    try read { r throws(StoreError) in try r.blockBytes(at: height) }
  }

  /// The block at a height.
  public func block(at height: UInt64) throws(StoreError) -> Block? { try read { r throws(StoreError) in try r.block(at: height) } }

  /// The height of a block of the chain; 0 for the genesis hash, `nil` for side blocks and unknown ones.
  public func height(of hash: Hash256) throws(StoreError) -> UInt64? { try read { r throws(StoreError) in try r.height(of: hash) } }

  /// The hash at a height of the chain.
  public func hash(at height: UInt64) throws(StoreError) -> Hash256? {
    if height == 0 { return genesis }
    if let hash = canonical[height], height <= head.height { return hash }
    return try block(at: height)?.hash(crypto: crypto)
  }

  /// A block by its hash, also one beside the chain, encoded.
  public func blockBytes(_ hash: Hash256) throws(StoreError) -> [UInt8]? {
    if let bytes = recentBlockBytes(hash) { return bytes }
    return try read { r throws(StoreError) in try r.blockBytes(hash) }
  }

  /// Encoded blocks of the chain from a height on, for a peer that catches up: at most `count` and, but for the first, `maximumBytes`.
  public func blocks(from height: UInt64, count: Int, maximumBytes: Int) throws(StoreError) -> [[UInt8]] {
    try read { r throws(StoreError) in try r.blocks(from: height, count: count, maximumBytes: maximumBytes) }
  }

  /// Where a transaction stands; `nil` when it is neither pending nor confirmed.
  public func transaction(_ id: Hash256) throws(StoreError) -> TransactionStatus? {
    if let info = pool[id] { return .pending(info) }
    return try read { r throws(StoreError) in try r.transaction(id) }
  }

  private func read<Value>(_ body: (inout ChainReader) throws(StoreError) -> Value) throws(StoreError) -> Value {
    var reader = reader
    return try body(&reader)
  }

  /// Whether a transaction is pending, being verified, or known to be bad; nobody needs to be asked for it. Of those on the chain
  /// ``ChainReader/missing(_:)`` tells. O(1).
  public func isAtHand(transaction id: Hash256) -> Bool {
    pool[id] != nil || verifyingIDs.contains(id) || invalidTransactions[id] != nil
  }

  /// The receipt of a confirmed transaction: the header and the Merkle path to its transaction root.
  public func receipt(_ id: Hash256) throws(StoreError) -> (header: BlockHeader, proof: MerkleProof)? {
    guard case .confirmed(_, let height, let index, _) = try transaction(id), let block = try block(at: height),
      let proof = MerkleTree.proof(of: index, in: block.transactionIDs(crypto: crypto), crypto: crypto)
    else { return nil }
    return (block.header, proof)
  }

  /// Traps when the tables disagree or a bound is passed. O(everything in memory); for tests.
  @_specialize(where L == AccountLedger, C == ProofOfAuthority)
  public func checkInvariants() {
    pool.checkInvariants()
    waiting.checkInvariants()
    precondition(
      waiting.orphanCharge <= max(configuration.orphanBytes, waiting.charge(ledger.limits.blockBytes)),
      "\(waiting.orphanCharge) B of orphans")
    for hash in waiting.hashes {
      guard let entry = waiting[hash] else { continue }
      precondition(nodes[hash] == nil, "a validated block waits")
      switch entry.stage {
      case .sealing: precondition(unsealed.contains(hash) || sealing?.hashes.contains(hash) == true, "nobody checks a seal")
      case .parked: precondition(nodes[entry.parent] == nil, "a block waits for a validated parent")
      case .ready: precondition(ready.contains(hash), "a block is ready and not in the queue")
      case .executing: precondition(executing?.hash == hash, "a block is not executed")
      }
    }
    precondition(nodes.count - canonical.count <= configuration.sideBlocks, "too many side blocks")
    precondition(canonical[tipNode.head.height] == tipNode.head.hash, "the tip is not on the chain")
    precondition(
      canonical.count == Int(tipNode.head.height - floor) + 1, "\(canonical.count) blocks from \(floor) to \(tipNode.head.height)")
    for (height, hash) in canonical where height > floor {
      guard let node = nodes[hash] else { preconditionFailure("block \(height) is gone") }
      precondition(node.head.height == height && canonical[height - 1] == node.parent, "the chain is broken at \(height)")
    }
    for node in nodes.values {
      precondition(node.head.height >= floor && (node.head.height == floor || nodes[node.parent] != nil), "block \(node.head.height) hangs")
      precondition(
        node.head.hash == tipNode.head.hash || !consensus.isBetter(node.head, than: tipNode.head), "a better block is not the tip")
    }
    precondition(byHeight.values.reduce(0) { $0 + $1.count } == nodes.count, "heights are off")
  }
}

/// Counts of a ``Chain``.
public struct ChainStatistics: Hashable, Sendable {
  /// Blocks that wait for execution.
  public let queuedBlocks: Int
  /// Blocks that wait for a parent.
  public let orphans: Int
  /// Valid blocks beside the chain.
  public let sideBlocks: Int
  /// Transactions in the mempool.
  public let pendingTransactions: Int
  /// Their bytes.
  public let pendingBytes: Int
  /// Transactions whose signature is being verified.
  public let verifyingTransactions: Int
  /// Blocks applied in memory that the store does not have yet.
  public let uncommittedBlocks: Int
  /// Why the last batch was not written; it is tried again. `nil` once one is.
  public let storeFault: StoreError?
}
