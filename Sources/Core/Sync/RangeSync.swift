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
  /// Just started: it asks who is there.
  case searching
  /// Nobody answered: it goes on by itself and keeps looking.
  case standalone
  /// Behind: blocks up to `target` are being fetched.
  case syncing(target: UInt64)
  /// Level with every peer that it knows.
  case synced

  /// Whether the node may accept transactions and produce blocks.
  public var isCaughtUp: Bool { self == .synced || self == .standalone }
}

/// Catches up with the network: decides from whom which heights are fetched, and hands them on in order.
///
/// Behind by more than ``Configuration/bulkThreshold``, ranges of 100 are fetched from several peers at once; a smaller gap
/// is one request. What comes late, short or wrong costs the peer that sent it, and another takes over. After a fork the
/// range starts below the own head, so that the heavier branch can be weighed. The claims of peers are only ever a reason to
/// ask: what is adopted is decided by the chain.
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

    /// The defaults.
    public init() {}
  }

  /// What the node tells.
  public enum Input: Sendable {
    /// A peer passed the status handshake.
    case peerIntroduced(PeerID, height: UInt64)
    /// A peer showed, by status or by a block it sent, that it has this height.
    case peerHeight(PeerID, UInt64)
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
  public enum FetchFailure: Hashable, Sendable {
    /// No answer in time.
    case late
    /// The peer does not have the blocks, or declined.
    case declined
    /// The answer is not what was asked for.
    case malformed
    /// The link was lost; nobody is to blame.
    case linkLost
  }

  /// What is to be done.
  public enum Output: Hashable, Sendable {
    /// Ask a peer for blocks.
    case fetch(BatchID, PeerID, from: UInt64, count: Int)
    /// Ask a peer for its status again.
    case askStatus(PeerID)
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

  private struct Peer {
    var height: UInt64
    var inFlight = 0
    var penalizedUntil = Instant.zero
    var nextStatus: Instant
    /// Late, short or wrong answers since the last good one.
    var failures = 0
    /// It claimed blocks that it did not deliver: until it delivers some, its claims keep nobody from work.
    var isDoubted = false
  }

  private enum Stage {
    case waiting
    case fetching(PeerID)
    case fetched(PeerID, [FetchedBlock])
    case applying(PeerID, left: Int)
    /// Taken by the chain. It stays for as long as one before it is under way: the heights behind that would be fetched again.
    case applied
  }

  private struct Batch {
    let id: BatchID
    let from: UInt64
    let count: Int
    var stage = Stage.waiting
    var tried: [PeerID] = []

    var last: UInt64 { from + UInt64(count) - 1 }
  }

  private let configuration: Configuration
  private var peers: [PeerID: Peer] = [:]
  private var order: [PeerID] = []
  private var batches: [Batch] = []
  private var nextBatch: UInt64 = 1
  private var generator: SeededGenerator
  /// The current state.
  public private(set) var state = SyncState.searching
  /// The own head.
  public private(set) var localHeight: UInt64
  private var searchDeadline: Instant?
  private var searchRounds = 0
  /// How far below the head the next fetch starts; grows while the peers' chain does not continue ours.
  private var stepBack: UInt64 = 0
  /// No peer is to be asked for its status before this.
  private var statusDeadline = Instant.distantFuture
  private var wakeUp: Instant?
  /// Since when the head has stood behind what peers show; begins anew with every block.
  private var gapSince: Instant?
  /// While blocks are taken that do not make the chain longer, nothing more is fetched until then; the longer it goes on, the longer.
  private var restUntil = Instant.zero
  private var rests = 0

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

  /// The highest height that a peer claims, or the own.
  public var target: UInt64 { max(localHeight, peers.values.map(\.height).max() ?? 0) }

  /// Takes one input; a spurious `timer` is harmless.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .peerIntroduced(let peer, let height):
      if peers[peer] == nil { order.append(peer) }
      let nextStatus = nextStatus(now)
      statusDeadline = min(statusDeadline, nextStatus)
      peers[peer] = Peer(height: height, nextStatus: nextStatus)
    case .peerHeight(let peer, let height):
      // A status may show a lower height after a reorg; a block only ever shows a higher one. Both are taken as said.
      // Whoever has just shown it need not be asked.
      let nextStatus = nextStatus(now)
      if let index = peers.index(forKey: peer) {
        peers.values[index].height = height
        peers.values[index].nextStatus = nextStatus
      }
    case .peerGone(let peer):
      peers[peer] = nil
      order.removeAll { $0 == peer }
      for index in batches.indices {
        if case .fetching(peer) = batches[index].stage { batches[index].stage = .waiting }
      }
    case .localHead(let height):
      localHeight = height
      gapSince = nil
      restUntil = .zero
      rests = 0
    case .fetched(let id, let peer, let blocks): fetched(id, peer, blocks, now: now, into: &outputs)
    case .fetchFailed(let id, let peer, let failure): fetchFailed(id, peer, failure, now: now, into: &outputs)
    case .applied(let id): applied(id, now: now)
    case .orphaned(let id): orphaned(id, now: now, into: &outputs)
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

  // MARK: Answers

  private mutating func fetched(_ id: BatchID, _ peer: PeerID, _ blocks: [FetchedBlock], now: Instant, into outputs: inout [Output]) {
    settle(peer)
    guard let index = batches.firstIndex(where: { $0.id == id }), case .fetching(peer) = batches[index].stage else { return }
    let batch = batches[index]
    guard !blocks.isEmpty, blocks.count <= batch.count, Self.isChain(blocks, from: batch.from) else {
      return failed(index, peer, blocks.isEmpty ? .declined : .malformed, now: now, into: &outputs)
    }
    peers[peer]?.failures = 0
    peers[peer]?.isDoubted = false
    batches[index].stage = .fetched(peer, blocks)
    if blocks.count < batch.count {
      // A short answer is good as far as it goes; the rest becomes a batch of its own.
      let rest = Batch(id: makeID(), from: batch.from + UInt64(blocks.count), count: batch.count - blocks.count)
      var first = Batch(id: batch.id, from: batch.from, count: blocks.count)
      first.stage = .fetched(peer, blocks)
      batches[index] = first
      batches.insert(rest, at: index + 1)
    }
  }

  private static func isChain(_ blocks: [FetchedBlock], from: UInt64) -> Bool {
    for (index, block) in blocks.enumerated() {
      guard block.height == from + UInt64(index) else { return false }
      if index > 0 && block.parent != blocks[index - 1].hash { return false }
    }
    return true
  }

  private mutating func fetchFailed(
    _ id: BatchID, _ peer: PeerID, _ failure: FetchFailure, now: Instant, into outputs: inout [Output]
  ) {
    settle(peer)
    guard let index = batches.firstIndex(where: { $0.id == id }), case .fetching(peer) = batches[index].stage else { return }
    failed(index, peer, failure, now: now, into: &outputs)
  }

  private mutating func failed(_ index: Int, _ peer: PeerID, _ failure: FetchFailure, now: Instant, into outputs: inout [Output]) {
    batches[index].stage = .waiting
    batches[index].tried.append(peer)
    switch failure {
    case .late:
      outputs.append(.blameSlow(peer))
      penalize(peer, now)
    case .declined:
      outputs.append(.blameUseless(peer))
      penalize(peer, now)
      peers[peer]?.isDoubted = true
    case .malformed:
      outputs.append(.blameWrong(peer))
      penalize(peer, now)
      peers[peer]?.isDoubted = true
    case .linkLost:
      if let until = peers[peer]?.penalizedUntil { peers[peer]?.penalizedUntil = max(until, now + configuration.lostLinkPause) }
    }
  }

  private mutating func settle(_ peer: PeerID) {
    guard let inFlight = peers[peer]?.inFlight else { return }
    peers[peer]?.inFlight = max(0, inFlight - 1)
  }

  private mutating func penalize(_ peer: PeerID, _ now: Instant) {
    guard var state = peers[peer] else { return }
    state.failures += 1
    state.penalizedUntil = now + configuration.penaltyTime * (1 << min(state.failures - 1, 6))
    // What it claims and does not deliver is not worth waiting for; the next status may claim it again.
    if state.failures >= 2 {
      state.height = min(state.height, localHeight)
      state.isDoubted = true
    }
    state.nextStatus = max(state.nextStatus, state.penalizedUntil)
    peers[peer] = state
  }

  private mutating func applied(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying(let peer, let left) = batches[index].stage else { return }
    batches[index].stage = left > 1 ? .applying(peer, left: left - 1) : .applied
    let done = batches.prefix { if case .applied = $0.stage { true } else { false } }
    guard let height = done.last?.last else { return }
    batches.removeFirst(done.count)
    if height >= localHeight { stepBack = 0 }
    if height > localHeight {
      // A disk that takes nothing, or a branch that is not better yet: the same blocks again would not change that.
      rest(now)
    }
  }

  private mutating func rest(_ now: Instant) {
    restUntil = now + configuration.restTime * (1 << min(rests, 5))
    rests += 1
  }

  private mutating func postponed(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying = batches[index].stage else { return }
    abandonAll()
    rest(now)
  }

  private mutating func orphaned(_ id: BatchID, now: Instant, into outputs: inout [Output]) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying(let peer, _) = batches[index].stage else { return }
    abandonAll()
    if stepBack < min(configuration.forkDepth, localHeight) {
      // The peers' chain leaves ours below the range: start lower, at most as deep as a reorg may go.
      stepBack = stepBack == 0 ? 8 : min(stepBack * 4, configuration.forkDepth)
    } else {
      // Its chain leaves ours deeper than that: it is of no use, and no fault is proven.
      stepBack = 0
      penalize(peer, now)
      peers[peer]?.height = localHeight
    }
  }

  private mutating func refused(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying(let peer, _) = batches[index].stage else { return }
    // Whoever has the chain told of the bad block has blamed its sender.
    penalize(peer, now)
    peers[peer]?.height = localHeight
    // What was fetched behind a refused block may stand on it.
    abandonAll()
  }

  private mutating func abandonAll() {
    batches.removeAll()
  }

  // MARK: Planning

  private mutating func plan(_ now: Instant, into outputs: inout [Output]) {
    let target = self.target
    if isPatient(target, now) { return }
    if batches.isEmpty && restUntil > now {
      if target > localHeight { wakeUp = restUntil }
      return
    }
    let start = localHeight > stepBack ? localHeight - stepBack + 1 : 1
    var next = batches.map { $0.last + 1 }.max() ?? start
    while batches.count < configuration.batchesMaximum && next <= target {
      let count = min(UInt64(configuration.batchBlocks), target - next + 1)
      batches.append(Batch(id: makeID(), from: next, count: Int(count)))
      next += count
      // A small gap is one request; whatever comes meanwhile is the next one.
      if target - localHeight <= configuration.bulkThreshold { break }
    }
    for index in batches.indices {
      guard case .waiting = batches[index].stage, let peer = choosePeer(for: batches[index], now) else { continue }
      batches[index].stage = .fetching(peer)
      peers[peer]?.inFlight += 1
      outputs.append(.fetch(batches[index].id, peer, from: batches[index].from, count: batches[index].count))
    }
    if batches.contains(where: { if case .waiting = $0.stage { true } else { false } }) {
      // Nobody is free or trusted: look again when a penalty ends.
      wakeUp = peers.values.map(\.penalizedUntil).filter { $0 > now }.min()
    }
  }

  /// Whether a level node waits a moment for a block that it was shown and has not yet got in the ordinary way.
  private mutating func isPatient(_ target: UInt64, _ now: Instant) -> Bool {
    guard state.isCaughtUp, batches.isEmpty, target > localHeight, target - localHeight <= configuration.bulkThreshold else { return false }
    let since = gapSince ?? now
    gapSince = since
    let due = since + configuration.gapPatience
    if due > now { wakeUp = due }
    return due > now
  }

  /// The peer with the fewest requests that has the range; ties go round. Those that failed this batch come last.
  private mutating func choosePeer(for batch: Batch, _ now: Instant) -> PeerID? {
    var best: (score: Int, peer: PeerID)?
    let offset = generator.index(below: order.count)
    for step in order.indices {
      let id = order[(step + offset) % order.count]
      guard let peer = peers[id], peer.height >= batch.from, peer.inFlight < configuration.perPeerMaximum, peer.penalizedUntil <= now else {
        continue
      }
      let score = peer.inFlight + (peer.height < batch.last ? 4 : 0) + (batch.tried.contains(id) ? 100 : 0)
      if best == nil || score < best!.score { best = (score, id) }
    }
    return best?.peer
  }

  /// Hands fetched batches on in order.
  private mutating func release(into outputs: inout [Output]) {
    for index in batches.indices.prefix(configuration.applyingMaximum) {
      switch batches[index].stage {
      case .applying, .applied: continue
      case .fetched(let peer, let blocks):
        batches[index].stage = .applying(peer, left: blocks.count)
        outputs.append(.apply(batches[index].id, peer, blocks))
      case .waiting, .fetching: return
      }
    }
  }

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

  private mutating func updateState(_ now: Instant, into outputs: inout [Output]) {
    let next: SyncState
    let believed = max(shownHeight, peers.values.lazy.filter { !$0.isDoubted }.map(\.height).max() ?? 0)
    if peers.isEmpty {
      next = searchDeadline != nil ? .searching : .standalone
    } else if believed > localHeight, !state.isCaughtUp || shownHeight > localHeight + configuration.bulkThreshold {
      // A node that was level stays so while it fetches the odd block, and whatever is merely claimed.
      next = .syncing(target: believed)
    } else {
      next = .synced
    }
    if next != state {
      state = next
      outputs.append(.state(next))
    }
  }

  /// The highest height of which a peer has shown a block, rather than only claimed it; the own one at least.
  private var shownHeight: UInt64 {
    batches.reduce(localHeight) { highest, batch in
      switch batch.stage {
      case .fetched, .applying, .applied: max(highest, batch.last)
      case .waiting, .fetching: highest
      }
    }
  }

  private mutating func makeID() -> BatchID {
    defer { nextBatch += 1 }
    return BatchID(rawValue: nextBatch)
  }
}
