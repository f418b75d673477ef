import Identity
import Wire

/// Names one block or transaction handed to a ``Chain``; its verdict carries the same token. Chosen by the caller.
public struct ValidationToken: Hashable, Sendable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a token.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names one piece of work for the pool; the result carries it back.
public struct WorkID: Hashable, Sendable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Names one batch for the store; `committed` carries it back.
public struct CommitID: Hashable, Sendable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Where a block or transaction came from. All are validated alike; only what is relayed differs.
public enum ItemSource: Hashable, Sendable {
  /// A peer's gossip.
  case gossip(PeerID)
  /// A peer's answer to a request. Not relayed: others can ask as well.
  case sync(PeerID)
  /// A user of this node's interfaces.
  case local
  /// This node's own production.
  case own

  /// Whether this node wanted it: it asked for it, or made it.
  var isAskedFor: Bool {
    switch self {
    case .sync, .own: true
    case .gossip, .local: false
    }
  }

  /// The peer, if there is one.
  public var peer: PeerID? {
    switch self {
    case .gossip(let peer), .sync(let peer): peer
    case .local, .own: nil
    }
  }
}

/// What became of a block. Each token gets exactly one.
public enum BlockVerdict: Hashable, Sendable, CustomStringConvertible {
  /// Valid. On the chain and durable, or kept as a side branch.
  case accepted(Hash256)
  /// Valid, and seen before. A copy of a block that still waits gets that block's verdict, when there is one.
  case known(Hash256)
  /// The parent is missing; the block is kept for a while and no other verdict follows.
  case orphan(parent: Hash256)
  /// Against the rules: the sender is to blame.
  case invalid(BlockError)
  /// Its time lies too far ahead of this node's clock; it was dropped and may be offered again.
  case future(ahead: Duration)
  /// Not taken, without blame.
  case refused(BlockRefusal)

  /// In words for the operator.
  public var description: String {
    switch self {
    case .accepted(let hash): "block \(hash.short) accepted"
    case .known(let hash): "block \(hash.short) is known"
    case .orphan(let parent): "its parent \(parent.short) is missing"
    case .invalid(let error): error.description
    case .future(let ahead): "its time lies \(Int(ahead.milliseconds)) ms ahead of this node's clock"
    case .refused(let refusal): refusal.description
    }
  }
}

extension BlockVerdict {
  /// Why a block was not taken, in one word for counting.
  public enum Refusal: String, Hashable, Sendable, CaseIterable {
    /// It is against the rules.
    case invalid
    /// Its time lies ahead of this node's clock.
    case future
    /// The queue is full.
    case busy
    /// It forks below the final height.
    case final
    /// Two others of its producer and slot are known.
    case twin
  }

  /// Why it was not taken; `nil` for one that was, or waits.
  public var refusal: Refusal? {
    switch self {
    case .accepted, .known, .orphan: nil
    case .invalid: .invalid
    case .future: .future
    case .refused(.busy): .busy
    case .refused(.final): .final
    case .refused(.twin): .twin
    }
  }
}

/// Why a block was not taken though it may be valid.
public enum BlockRefusal: Hashable, Sendable, CustomStringConvertible {
  /// The queue is full; offer it again later.
  case busy
  /// It would change blocks that this node takes as final.
  case final(height: UInt64, floor: UInt64)
  /// Its producer made two others for the same slot, and nothing stands on this one.
  case twin(slot: UInt64)

  /// In words for the operator.
  public var description: String {
    switch self {
    case .busy: "the queue of blocks is full"
    case .final(let height, let floor): "height \(height) forks below the final height \(floor)"
    case .twin(let slot): "two other blocks of its producer for slot \(slot) are known"
    }
  }
}

/// What became of a transaction. Each token gets exactly one.
public enum TransactionVerdict: Hashable, Sendable {
  /// Verified, pending and durable.
  case accepted(Hash256)
  /// Pending, in verification or confirmed already.
  case known(Hash256)
  /// Not taken, without blame.
  case refused(TransactionRefusal)
  /// Against the rules in itself: the sender is to blame.
  case invalid(LedgerError)
}

/// Why a transaction was not taken though its bytes are good.
public enum TransactionRefusal: Hashable, Sendable, CustomStringConvertible {
  /// The state does not allow it.
  case ledger(LedgerError)
  /// The mempool does not take it.
  case pool(MempoolError)
  /// Too many wait for verification; offer it again later.
  case busy

  /// In words for the operator.
  public var description: String {
    switch self {
    case .ledger(let error): "\(error)"
    case .pool(let error): "\(error)"
    case .busy: "too many transactions wait for verification"
    }
  }
}

/// What operators and metrics are told.
public enum ChainEvent: Hashable, Sendable {
  /// A block became part of the chain and is durable.
  case blockApplied(hash: Hash256, height: UInt64, transactions: Int)
  /// A valid block was kept beside the chain.
  case sideBlockKept(hash: Hash256, height: UInt64)
  /// Blocks were replaced by a better branch.
  case reorganised(depth: Int, from: Hash256, to: Hash256)
  /// An authority made two blocks for one slot.
  case doubleSeal(DoubleSeal)
  /// This node made a block.
  case blockProduced(hash: Hash256, height: UInt64, slot: UInt64, transactions: Int)
  /// What keeps this node from its turns has changed.
  case productionChanged(ProductionStatus)
  /// A better branch took the place of a block of this node.
  case ownBlockReplaced(hash: Hash256, height: UInt64, slot: UInt64)
  /// A peer passed on a block with the seal of this node's producer, for a slot that this node did not seal: another machine has its key.
  case sealedElsewhere(slot: UInt64, from: PeerID)
  /// A sealed block was not taken, because its time lies ahead of this node's clock.
  case blockAhead(producer: Address, slot: UInt64, by: Duration, from: PeerID?)
  /// This node's own block was refused: its rules or its clock changed under it.
  case ownBlockRefused(BlockError)
  /// This node's own block broke no rule and was not taken.
  case ownBlockLost(BlockVerdict)
  /// Pending transactions left without being confirmed.
  case transactionsDropped(count: Int, DropReason)
  /// The store failed; the same batch is tried again.
  case storeFailed(StoreError, retryIn: Duration)
  /// A pool of the shell is full and did not take a piece of work or a batch, which are handed out again until it does.
  case workRefused(retryIn: Duration)

  /// Why transactions left the mempool.
  public enum DropReason: String, Hashable, Sendable {
    /// They waited too long.
    case expired
    /// Dearer ones needed the room, or replaced them.
    case displaced
    /// The state has moved on: nonce used or balance gone.
    case outdated
  }
}

/// Bounds and periods of a ``Chain``.
public struct ChainConfiguration: Hashable, Sendable {
  /// How many blocks a better branch may replace; 64 by default. That many states and blocks are kept in memory (shared where
  /// equal; at most 64 MiB of full blocks) and their undo records in the store. Deeper forks are refused.
  public var finalityDepth = 64
  /// Blocks that stand on a known one, or were asked for, and wait for execution; 512 by default. More are refused as busy; this node's
  /// own never are.
  public var queuedBlocks = 512
  /// Their bytes; 64 MiB by default.
  public var queuedBytes = 64 << 20
  /// Blocks that one peer passed on and whose seal is not checked yet; 64 by default, which takes 3 ms of a core. More are refused as busy.
  public var unsealedBlocks = 64
  /// Their bytes; 4 MiB by default, and always one block.
  public var unsealedBytes = 4 << 20
  /// Seals in one piece of work; 64 by default.
  public var sealBatch = 64
  /// Bytes of all blocks that wait for a parent, each charged ``orphanBytesMinimum`` at least; 16 MiB by default. For a new one the oldest
  /// of the peer that sent most is dropped.
  public var orphanBytes = 16 << 20
  /// The same of one peer; 4 MiB by default, and always one block. For a new one the peer's own oldest is dropped.
  public var orphanBytesOfPeer = 4 << 20
  /// What an orphan is charged at least; 256 KiB by default, which makes 64 orphans at most, 16 of a peer.
  public var orphanBytesMinimum = 256 << 10
  /// How long an orphan waits; 2 min by default.
  public var orphanLifetime: Duration = .seconds(120)
  /// How often a missing parent is asked for again; 5 s by default.
  public var orphanRetry: Duration = .seconds(5)
  /// Valid blocks beside the chain; 256 by default. The leaf of least weight is dropped for a new one.
  public var sideBlocks = 256
  /// Hashes of invalid blocks and transactions to remember, each; 4,096 by default.
  public var invalidRemembered = 4096
  /// Slots and producers of which good seals are remembered; 4,096 by default, 4 MB when each has sealed twice.
  public var sealsRemembered = 4096
  /// Ids of transactions whose signature was verified to remember; 32,768 by default (about 3 MB), a few full blocks and the pool.
  public var verifiedRemembered = 32_768
  /// Transactions of peers that wait for verification, and as many of users; 4,096 by default. More are refused as busy.
  public var queuedTransactions = 4096
  /// Those of one peer; 1,024 by default, which take 40 ms of a core.
  public var queuedTransactionsOfPeer = 1024
  /// Copies of one block or transaction that may wait for the first one's verdict; 64 by default. More are refused as busy.
  public var copiesWaiting = 64
  /// Copies of one block that one peer may have waiting: by gossip, in a range, asked for by hash; 4 by default. More are refused as busy.
  public var copiesOfPeer = 4
  /// Transactions in one piece of work; 64 by default, about 2.5 ms of a core.
  public var verificationBatch = 64
  /// Pieces of transaction work under way at once; 4 by default.
  public var verificationsInFlight = 4
  /// Applied blocks that may wait for the store; 256 by default. Beyond that execution pauses.
  public var uncommittedBlocks = 256
  /// Bytes of applied blocks that may wait for the store; 32 MiB by default. Beyond that execution pauses.
  public var uncommittedBytes = 32 << 20
  /// When work or a batch that the shell did not take is handed out again; 50 ms by default, long before a peer or user gives up.
  public var refusalRetry: Duration = .milliseconds(50)
  /// How long production waits for received blocks that are still being executed; 500 ms by default.
  public var productionPatience: Duration = .milliseconds(500)
  /// The mempool's bounds.
  public var mempool = Mempool.Configuration()

  /// The defaults.
  public init() {}
}
