import Identity
import Wire

/// One chain of one node: validates blocks, chooses between forks, keeps pending transactions, produces, and says what to store.
///
/// A pure machine. Expensive parts leave it as ``Work`` values, which the shell runs in a pool and reports back; writes leave it as batches,
/// of which at most one is under way. A block's way: received → cheap checks → seal → signatures, execution and state root, in the pool →
/// the better chain becomes the *tip* → one atomic batch → `committed` → verdict, relay, `newHead`. What follows a batch is said only once
/// it is durable; meanwhile later blocks are executed on the tip and gather in the next batch.
///
/// Every block passes the same checks whatever its source, the node's own included. `now` never goes backwards; a spurious
/// `timerFired` is harmless; read ``nextDeadline`` again after each `handle`. Late or unknown results are ignored.
public struct Chain<L: Ledger, C: Consensus>: Sendable {
  /// What a chain is told.
  public enum Input: Sendable {
    /// A block from anywhere.
    case blockReceived([UInt8], ItemSource, ValidationToken)
    /// A transaction from anywhere.
    case transactionReceived([UInt8], ItemSource, ValidationToken)
    /// A piece of work is done.
    case workDone(WorkID, WorkResult)
    /// A piece of work was not taken and will never be done: the pool was full. It is handed out again a little later.
    case workRefused(WorkID)
    /// A batch is durable.
    case committed(CommitID)
    /// A batch was not written, nothing of it.
    case commitFailed(CommitID, StoreError)
    /// A batch was not taken and will not be written: the store's queue was full. It is handed out again a little later.
    case commitRefused(CommitID)
    /// The deadline has come.
    case timerFired
    /// The wall clock was set or corrected.
    case clock(WallClock)
    /// The key to produce with, or none.
    case setProducer(NodeKey?)
    /// Whether to produce: false until the node has caught up. False at first.
    case setProducing(allowed: Bool)
  }

  /// What a chain wants done.
  public enum Output: Sendable {
    /// Run it in the pool and report `workDone`.
    case work(WorkID, Work)
    /// Make it durable and report `committed` or `commitFailed`.
    case store(CommitID, WriteBatch)
    /// What became of a block.
    case blockVerdict(ValidationToken, BlockVerdict)
    /// What became of a transaction.
    case transactionVerdict(ValidationToken, TransactionVerdict)
    /// A valid block to announce to all but its source. Not said of blocks from sync.
    case relayBlock(Block, bytes: [UInt8], source: ItemSource)
    /// A valid transaction to announce to all but its source.
    case relayTransaction(Hash256, bytes: [UInt8], source: ItemSource)
    /// The durable chain ends here now; `reorgDepth` blocks were replaced.
    case newHead(ChainHead, reorgDepth: Int)
    /// A parent is missing; ask the source of its child first. `isRetry` when it was asked for before.
    case needBlock(Hash256, source: ItemSource, isRetry: Bool)
    /// For logs and metrics.
    case event(ChainEvent)
  }

  /// A validated block and what is behind it.
  struct Node: Sendable {
    let head: ChainHead
    let parent: Hash256
    /// `nil` for the genesis.
    let header: BlockHeader?
    let bytes: [UInt8]
    let transactions: [TransactionInfo]
    let state: L.State
    let changes: [StateChange]
  }

  /// A transaction that is being verified.
  struct Verifying: Sendable {
    let info: TransactionInfo
    let source: ItemSource
    let token: ValidationToken
  }

  /// Writes and what to say once they are durable.
  struct Commit: Sendable {
    var batch = WriteBatch()
    var followers: [Output] = []
    var blocks = 0
    var bytes = 0
    var isEmpty: Bool { batch.isEmpty && followers.isEmpty }
  }

  /// What transactions mean.
  public let ledger: L
  let consensus: C
  let store: any KeyValueStore
  let crypto: any CryptoSuite
  let configuration: ChainConfiguration

  /// The genesis hash: the chain's name.
  public let genesis: Hash256
  var clock: WallClock

  /// The validated blocks of the last `finalityDepth` heights, side branches included.
  var nodes: [Hash256: Node] = [:]
  var children: [Hash256: [Hash256]] = [:]
  var byHeight: [UInt64: [Hash256]] = [:]
  /// The chain's own blocks among them.
  var canonical: [UInt64: Hash256] = [:]
  var floor: UInt64 = 0
  var tipNode: Node
  /// The first two headers with a good seal of each producer and slot; none for engines that allow any number.
  var seals: RecentMap<SealKey, [BlockHeader]>

  var waiting: WaitingBlocks
  /// Blocks whose seal is to be checked, in the order of arrival.
  var unsealed: [Hash256] = []
  var sealing: (work: WorkID, hashes: [Hash256])?
  var ready: [Hash256] = []
  var orphanCheck: Instant?
  var executing: (work: WorkID, hash: Hash256)?
  var invalidBlocks: RecentMap<Hash256, BlockError>

  var pool: Mempool
  var verified: RecentMap<Hash256, Bool>
  var invalidTransactions: RecentMap<Hash256, LedgerError>
  var unverified: [Verifying] = []
  /// How many of them came from each peer, and from users.
  var unverifiedBySource: [PeerID?: Int] = [:]
  var verifyingIDs: Set<Hash256> = []
  /// Further copies of transactions that are being verified; they get their verdict with the first.
  var copies: [Hash256: [ValidationToken]] = [:]
  var verifications: [WorkID: [Verifying]] = [:]

  var producer: (key: NodeKey, address: Address)?
  var mayProduce = false
  var building: (work: WorkID, parent: Hash256, slot: UInt64)?
  /// The slots that this node has sealed.
  var sealed = SealedSlots()
  /// Since when blocks are made with the key.
  var producerSince: WallTime?
  /// What was last told to keep this node from its turns.
  var toldObstacle: ProductionStatus.Obstacle?
  var productionAt: Instant?

  /// No work is handed out before: the pool refused some.
  var workAt: Instant?
  /// Whether the shell's pools are full, as far as is known.
  var isRefused = false

  var underWay: (id: CommitID, commit: Commit)?
  var gathered = Commit()
  var retryAt: Instant?
  var retryDelay = Duration.seconds(1)
  /// Why the last batch was not written; `nil` once one is.
  var storeFault: StoreError?
  var lastNumber: UInt64 = 0

  /// The end of the durable chain: what peers and users are told.
  public internal(set) var head: ChainHead

  init(
    ledger: L, consensus: C, store: any KeyValueStore, crypto: any CryptoSuite, configuration: ChainConfiguration, genesis: Hash256,
    clock: WallClock,
    root: Node
  ) {
    self.ledger = ledger
    self.consensus = consensus
    self.store = store
    self.crypto = crypto
    self.configuration = configuration
    self.genesis = genesis
    self.clock = clock
    tipNode = root
    head = root.head
    floor = root.head.height
    seals = RecentMap(capacity: configuration.sealsRemembered)
    waiting = WaitingBlocks(orphanChargeMinimum: configuration.orphanBytesMinimum)
    invalidBlocks = RecentMap(capacity: configuration.invalidRemembered)
    invalidTransactions = RecentMap(capacity: configuration.invalidRemembered)
    verified = RecentMap(capacity: configuration.verifiedRemembered)
    pool = Mempool(configuration.mempool)
    insert(root)
    canonical[root.head.height] = root.head.hash
  }

  /// Takes an input and appends what is to be done.
  // Generic code is several times slower unless the compiler knows the types that this package runs it with.
  @_specialize(where L == AccountLedger, C == ProofOfAuthority)
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .blockReceived(let bytes, let source, let token): receive(bytes, source, token, now, &outputs)
    case .transactionReceived(let bytes, let source, let token): receiveTransaction(bytes, source, token, &outputs)
    case .workDone(let id, let result): finish(id, result, now, &outputs)
    case .workRefused(let id): workRefused(id, now, &outputs)
    case .committed(let id): committed(id, &outputs)
    case .commitFailed(let id, let error): commitFailed(id, error, now, &outputs)
    case .commitRefused(let id): commitRefused(id, now, &outputs)
    case .timerFired: break
    case .clock(let clock): self.clock = clock
    case .setProducer(let key):
      producer = key.flatMap { key in Address(key.publicKey).map { (key, $0) } }
      producerSince = producer.map { _ in clock.time(at: now) }
    case .setProducing(let allowed): mayProduce = allowed
    }
    expire(now, &outputs)
    handOutWork(now, &outputs)
    flush(now, &outputs)
    nextDeadline = earliestDeadline
  }

  /// Takes an input and returns what is to be done.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// When to send `timerFired` next. Kept, because the shell asks after every input of any machine.
  public private(set) var nextDeadline: Instant?

  private var earliestDeadline: Instant? {
    var earliest = Instant.distantFuture
    if let workAt { earliest = min(earliest, workAt) }
    if let productionAt { earliest = min(earliest, productionAt) }
    if let orphanCheck { earliest = min(earliest, orphanCheck) }
    if let retryAt { earliest = min(earliest, retryAt) }
    if let expiry = pool.nextExpiry { earliest = min(earliest, expiry) }
    return earliest == .distantFuture ? nil : earliest
  }

  mutating func finish(_ id: WorkID, _ result: WorkResult, _ now: Instant, _ outputs: inout [Output]) {
    isRefused = false
    switch result {
    case .seals(let verdicts): sealsChecked(id, verdicts, now, &outputs)
    case .block(let result): executed(id, result, now, &outputs)
    case .transactions(let results): verifiedTransactions(id, results, now, &outputs)
    case .built(let block, let skipped): built(id, block, skipped, now, &outputs)
    }
  }

  private mutating func expire(_ now: Instant, _ outputs: inout [Output]) {
    if let at = pool.nextExpiry, at <= now {
      drop(pool.expire(now: now), .expired, &outputs)
    }
    if let at = orphanCheck, at <= now { checkOrphans(now, &outputs) }
  }

  /// Writes the removal of transactions that left the pool unconfirmed.
  mutating func drop(_ ids: [Hash256], _ reason: ChainEvent.DropReason, _ outputs: inout [Output]) {
    guard !ids.isEmpty else { return }
    for id in ids { gathered.batch.remove(ChainTable.pool, id.bytes) }
    outputs.append(.event(.transactionsDropped(count: ids.count, reason)))
  }

  mutating func nextWorkID() -> WorkID {
    lastNumber += 1
    return WorkID(rawValue: lastNumber)
  }
}
