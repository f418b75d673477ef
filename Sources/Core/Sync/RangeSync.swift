import Identity
import Wire

/// The number of a batch of blocks that was asked for.
public struct BatchID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes an ID.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: BatchID, right: BatchID) -> Bool { left.rawValue < right.rawValue }
}

/// A block as it came from a peer, with what can be read of it without checking it.
public struct FetchedBlock: Hashable, Sendable {
  /// The encoded block.
  public let bytes: [UInt8]
  /// The height it claims.
  public let height: UInt64
  /// Its hash.
  public let hash: Hash256
  /// The hash of the block it stands on.
  public let parent: Hash256

  /// Makes a fetched block.
  public init(bytes: [UInt8], height: UInt64, hash: Hash256, parent: Hash256) {
    self.bytes = bytes
    self.height = height
    self.hash = hash
    self.parent = parent
  }
}

/// Where a node stands with its chain.
public enum SyncState: Hashable, Sendable {
  /// Just started: it asks who is there, and has peers show the heights that they claim.
  case searching
  /// Nobody answered: it goes on by itself and keeps looking.
  case standalone
  /// Behind: blocks up to `target`, a height that a peer has shown, are being fetched.
  case syncing(target: UInt64)
  /// Level with what its peers have shown, whatever they claim.
  case synced

  /// Whether the node may accept transactions and produce blocks.
  public var isCaughtUp: Bool { self == .synced || self == .standalone }
}

/// Catches up with the network: decides from whom which heights are fetched, and hands them on in order.
///
/// Behind by more than ``Configuration/bulkThreshold``, ranges of 100 are fetched from several peers at once; a smaller gap
/// is one request. What comes late, short or wrong costs the peer that sent it, and another takes over. After a fork the
/// range starts below the own head, so that the heavier branch can be weighed.
///
/// The claims of peers are only ever a reason to ask; what is adopted is decided by the chain. A peer that claims to be far ahead must first
/// *show* the block at that height, sealed (``Output/askHead(_:_:)``): until then no range is asked of it, and its claim keeps a starting
/// node from work for ``Configuration/claimPatience`` at most, counted from the first peer and not from each. A peer that showed less than it
/// claimed is *doubted*, and so is who comes from the same address next, for ``Configuration/doubtTime``: it is asked last, after it has
/// shown what it claims, however little that is.
public struct RangeSync: Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// Gaps beyond this many blocks are fetched in bulk (seed S4: 10).
    public var bulkThreshold: UInt64 = 10
    /// Blocks in one request (seed S4: 100).
    public var batchBlocks = 100
    /// Batches fetched or waiting to be applied at a time; bounds memory to this many answers of at most 10 MB.
    public var batchesMaximum = 6
    /// Batches that the chain works on at a time; keeps its queue of blocks below what it takes.
    public var applyingMaximum = 3
    /// Requests to one peer at a time.
    public var perPeerMaximum = 2
    /// How long a peer is passed over after a late, short or wrong answer.
    public var penaltyTime = Duration.seconds(30)
    /// How long a peer is passed over when a request could not go out or its link was lost, without blame. The host may say so at once:
    /// asking the same peer again in the same moment would never end.
    public var lostLinkPause = Duration.seconds(1)
    /// How long a node waits before it fetches again when what it fetched was taken and did not make its chain longer. Default 1 s, doubling
    /// up to 32 times that.
    public var restTime = Duration.seconds(1)
    /// How often peers' heights are asked for again while this node is behind. Default 10 s.
    public var statusInterval = Duration.seconds(10)
    /// The same once it has caught up, so that small gaps close on a quiet network. Default 30 s for each peer.
    public var quietStatusInterval = Duration.seconds(30)
    /// How long a starting node waits for a first peer, twice, before it goes on alone (seed S1: retry after 2 s).
    public var searchTime = Duration.seconds(2)
    /// How long a small gap may last before it is fetched: the block is mostly on its way, or being executed.
    public var gapPatience = Duration.milliseconds(500)
    /// How far below the own head a fetch starts when the peers' chain does not continue it.
    public var forkDepth: UInt64 = 64
    /// How long claims that nobody has shown keep a starting node from work: from its first peer on, and after the last range that it took.
    /// Default 10 s, twice the time in which a peer must show a block.
    public var claimPatience = Duration.seconds(10)
    /// The same for heights that peers have shown, when no range comes. Default 60 s: the longest that one range may take.
    public var shownPatience = Duration.seconds(60)
    /// How long peers from an address are doubted after one of them showed less than it had claimed. Default 10 min.
    public var doubtTime = Duration.seconds(600)
    /// Addresses whose peers are doubted; the one whose doubt ends first makes room. Default 256, some 10 KB.
    public var doubtsMaximum = 256
    /// Peers that are asked to show their heads at a time; each answer may have two blocks. Default 8.
    public var headsMaximum = 8
    /// An answer of so many bytes may end before the range does: the next block might not have found room. Default 7 MiB.
    public var fullAnswerBytes = 7 << 20

    /// The defaults.
    public init() {}
  }

  /// What the node tells.
  public enum Input: Sendable {
    /// A peer passed the status handshake; `origin` is what it cannot change at will: its address.
    case peerIntroduced(PeerID, height: UInt64, origin: IPNetwork? = nil)
    /// A peer claims, by status or by a block it sent, that it has this height.
    case peerHeight(PeerID, UInt64)
    /// A peer has shown the sealed block at a height that it was asked for.
    case headShown(PeerID, UInt64)
    /// A peer has not shown it.
    case headNotShown(PeerID, FetchFailure)
    /// The link to a peer is gone.
    case peerGone(PeerID)
    /// The chain's head moved.
    case localHead(UInt64)
    /// The answer to a request.
    case fetched(BatchID, PeerID, [FetchedBlock])
    /// A request brought nothing usable.
    case fetchFailed(BatchID, PeerID, FetchFailure)
    /// The chain took a block of a batch, or had it already.
    case applied(BatchID)
    /// The chain does not know the block's parent.
    case orphaned(BatchID)
    /// The chain can't take a block of a batch now; neither the block nor its sender is to blame.
    case postponed(BatchID)
    /// The chain refused a block of a batch; its sender is blamed by whoever tells this.
    case refused(BatchID)
    /// The head has not moved for too long: what peers show may be old.
    case stoodStill
    /// `nextDeadline` may have passed.
    case timer
  }

  /// Why a request brought nothing.
  public enum FetchFailure: Error, Hashable, Sendable {
    /// No answer in time.
    case late
    /// The peer does not have the blocks, or declined.
    case declined
    /// The answer is not what was asked for.
    case malformed
    /// The link was lost; nobody is to blame.
    case linkLost
    /// The block's slot is ahead of this node's clock, which may be behind; nobody is to blame.
    case ahead
  }

  /// What is to be done.
  public enum Output: Hashable, Sendable {
    /// Ask a peer for blocks.
    case fetch(BatchID, PeerID, from: UInt64, count: Int)
    /// Ask a peer for its status again.
    case askStatus(PeerID)
    /// Ask a peer for the block at a height that it claims, with what proves that it is sealed; report `headShown` or `headNotShown`.
    case askHead(PeerID, UInt64)
    /// Give these blocks to the chain, in this order, behind everything given before.
    case apply(BatchID, PeerID, [FetchedBlock])
    /// A peer's answer was late.
    case blameSlow(PeerID)
    /// A peer has not got what it had claimed.
    case blameUseless(PeerID)
    /// A peer's answer is not what was asked for.
    case blameWrong(PeerID)
    /// The state changed.
    case state(SyncState)
  }

  struct Peer {
    /// What it claims.
    var height: UInt64
    /// The highest block that it has shown to be sealed, or delivered and the chain took.
    var shown: UInt64 = 0
    let origin: IPNetwork?
    var inFlight = 0
    var penalizedUntil = Instant.zero
    var nextStatus: Instant
    /// Late, short or wrong answers since the last good one.
    var failures = 0
    /// It, or somebody from its address, showed less than it had claimed.
    var isDoubted: Bool
    /// Its chain leaves ours below what the chain takes as final: true or not, what it shows cannot be caught up with.
    var isForeign = false
    /// Whether it is being asked to show its head.
    var isShowing = false
    /// It is not asked to show its head before this.
    var nextHead = Instant.zero
  }

  enum Stage {
    case waiting
    /// Asked of a peer, which by its claim has so many of the blocks.
    case fetching(PeerID, expected: Int)
    case fetched(PeerID, [FetchedBlock])
    case applying(PeerID, left: Int)
    /// Taken by the chain. It stays for as long as one before it is under way: the heights behind that would be fetched again.
    case applied
  }

  struct Batch {
    let id: BatchID
    let from: UInt64
    let count: Int
    var stage = Stage.waiting
    var tried: [PeerID] = []

    var last: UInt64 { from + UInt64(count) - 1 }
    var isWaiting: Bool { if case .waiting = stage { true } else { false } }
    /// The peer that it is being fetched from.
    var source: PeerID? { if case .fetching(let peer, _) = stage { peer } else { nil } }
  }

  let configuration: Configuration
  var peers: [PeerID: Peer] = [:]
  /// The peers, first come first.
  var order: [PeerID] = []
  var batches: [Batch] = []
  private var nextBatch: UInt64 = 1
  var generator: SeededGenerator
  /// The current state.
  public internal(set) var state = SyncState.searching
  /// The own head.
  public private(set) var localHeight: UInt64
  private var searchDeadline: Instant?
  private var searchRounds = 0
  /// How far below the head the next fetch starts; grows while the peers' chain does not continue ours.
  var stepBack: UInt64 = 0
  /// No peer is to be asked for its status before this.
  private var statusDeadline = Instant.distantFuture
  var wakeUp: Instant?
  /// Since when the head has stood behind what peers show; begins anew with every block.
  var gapSince: Instant?
  /// While blocks are taken that do not make the chain longer, nothing more is fetched until then; the longer it goes on, the longer.
  var restUntil = Instant.zero
  var rests = 0
  /// Addresses whose peers are doubted, and until when.
  var doubts: [IPNetwork: Instant] = [:]
  /// When the first peer came, or the chain took the last range that was more than a small gap.
  var progress: Instant?
  /// Up to where ranges have been taken.
  var progressHeight: UInt64 = 0

  /// Makes a machine for a node whose head is at `localHeight`.
  public init(configuration: Configuration = .init(), localHeight: UInt64, seed: UInt64, now: Instant) {
    self.configuration = configuration
    self.localHeight = localHeight
    generator = SeededGenerator(seed: seed)
    searchDeadline = now + configuration.searchTime
    nextDeadline = searchDeadline
  }

  /// When `timer` is wanted.
  public private(set) var nextDeadline: Instant?

  private var earliestDeadline: Instant? {
    [searchDeadline, wakeUp, peers.isEmpty ? nil : statusDeadline].compactMap { $0 }.min()
  }

  var isSearching: Bool { searchDeadline != nil }

  /// Takes one input; a spurious `timer` is harmless.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .peerIntroduced(let peer, let height, let origin):
      if peers[peer] == nil { order.append(peer) }
      if progress == nil { progress = now }
      let nextStatus = nextStatus(now)
      statusDeadline = min(statusDeadline, nextStatus)
      peers[peer] = Peer(height: height, origin: origin, nextStatus: nextStatus, isDoubted: isDoubted(origin, now))
    case .peerHeight(let peer, let height):
      // A status may tell a lower height after a reorg; a block only ever a higher one. Both are taken as said.
      // Whoever has just told it need not be asked.
      let nextStatus = nextStatus(now)
      if let index = peers.index(forKey: peer) {
        let hadToShow = mustShow(peers.values[index])
        peers.values[index].height = height
        if !hadToShow { peers.values[index].nextHead = max(peers.values[index].nextHead, patience(now)) }
        peers.values[index].nextStatus = nextStatus
      }
    case .headShown(let peer, let height): headShown(peer, height)
    case .headNotShown(let peer, let failure): headNotShown(peer, failure, now: now, into: &outputs)
    case .peerGone(let peer):
      peers[peer] = nil
      order.removeAll { $0 == peer }
      for index in batches.indices where batches[index].source == peer { batches[index].stage = .waiting }
    case .localHead(let height):
      localHeight = height
      gapSince = nil
      restUntil = .zero
      rests = 0
    case .fetched(let id, let peer, let blocks): fetched(id, peer, blocks, now: now, into: &outputs)
    case .fetchFailed(let id, let peer, let failure): fetchFailed(id, peer, failure, now: now, into: &outputs)
    case .applied(let id): applied(id, now: now)
    case .orphaned(let id): orphaned(id, now: now)
    case .postponed(let id): postponed(id, now: now)
    case .refused(let id): refused(id, now: now)
    case .stoodStill:
      statusDeadline = now
      for peer in order { peers[peer]?.nextStatus = now }
    case .timer: break
    }
    wakeUp = nil
    askStatuses(now, into: &outputs)
    search(now)
    askHeads(now, into: &outputs)
    plan(now, into: &outputs)
    release(into: &outputs)
    updateState(now, into: &outputs)
    nextDeadline = earliestDeadline
  }

  /// Takes one input and returns what it led to.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  // MARK: Statuses

  private mutating func nextStatus(_ now: Instant) -> Instant {
    now + (state.isCaughtUp ? configuration.quietStatusInterval : configuration.statusInterval) + generator.jitter(.seconds(2))
  }

  private mutating func askStatuses(_ now: Instant, into outputs: inout [Output]) {
    guard statusDeadline <= now else { return }
    statusDeadline = .distantFuture
    for id in order {
      guard let index = peers.index(forKey: id) else { continue }
      if peers.values[index].nextStatus <= now {
        peers.values[index].nextStatus = nextStatus(now)
        outputs.append(.askStatus(id))
      }
      statusDeadline = min(statusDeadline, peers.values[index].nextStatus)
    }
  }

  private mutating func search(_ now: Instant) {
    if !peers.isEmpty { searchDeadline = nil }
    guard let deadline = searchDeadline, deadline <= now else { return }
    searchRounds += 1
    searchDeadline = searchRounds < 2 ? now + configuration.searchTime : nil
  }

  mutating func makeID() -> BatchID {
    defer { nextBatch += 1 }
    return BatchID(rawValue: nextBatch)
  }
}
