import Identity
import Wire

/// A block of somebody's chain, by height and hash.
public struct ChainPoint: Hashable, Sendable {
  /// The height.
  public let height: UInt64
  /// The hash.
  public let hash: Hash256

  /// Makes a point.
  public init(height: UInt64, hash: Hash256) {
    self.height = height
    self.hash = hash
  }
}

/// A split that no node can heal by itself: peers follow a valid chain that leaves this node's below what it takes as final.
public struct Fork: Hashable, Sendable {
  /// The newest block that was seen of the other chain.
  public let head: ChainPoint
  /// A block of the other chain that is final there, at or below this node's final height, where this node's chain has another one.
  public let base: ChainPoint
  /// Peers that show the other chain.
  public let peers: Int
}

/// Finds out whether peers follow a chain that this node can never follow, nor they its own.
///
/// A peer whose head stays unknown for ``Configuration/patience`` is asked for the block at its head and then for the one at the
/// lower of the two final heights, its own and this node's. When both are sealed, the head is recent and the lower one is not this node's, and when
/// that is still so ``Configuration/interval`` later, after every reorganisation that could come, the chains are split for good. A head that merely
/// is not known proves nothing, and neither does an old block that lost its race: the seals of authorities that are at work now are what a liar
/// lacks. A peer that is behind, on a branch of a few blocks of its own, can still follow this node.
///
/// Nobody is blamed here: the peer is as right as this node is.
public struct ForkWatch: Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// How long a peer's head may stay unknown before anything is asked. Default 5 s.
    public var patience = Duration.seconds(5)
    /// The time between two looks at one peer. Default 20 s: a reorganisation, as deep as it may be, is over by then.
    public var interval = Duration.seconds(20)
    /// How often a peer in sequence may fail to answer before nothing is held to be known of it. Default 3.
    public var missesMaximum = 3
    /// Peers that are asked at a time; each answer may have two blocks. Default 2.
    public var askingMaximum = 2
    /// Peers that are kept as witnesses of a fork; the others are not asked meanwhile. Default 8.
    public var witnessesMaximum = 8

    /// The defaults.
    public init() {}
  }

  /// What the node tells.
  public enum Input: Sendable {
    /// A peer's status names this head.
    case heard(PeerID, ChainPoint)
    /// A peer passed a block on whose parent this node lacks, or that it can't take for its depth.
    case strange(PeerID)
    /// The link to a peer is gone.
    case peerGone(PeerID)
    /// The answer to a question.
    case answered(PeerID, Answer)
    /// `nextDeadline` may have passed.
    case timer
  }

  /// What a peer showed at a height of its chain.
  public enum Answer: Hashable, Sendable {
    /// A sealed block; whether it was made of late.
    case sealed(ChainPoint, isRecent: Bool)
    /// Nothing that proves anything.
    case nothing
  }

  /// What is to be done.
  public enum Output: Hashable, Sendable {
    /// Ask a peer for its status.
    case askStatus(PeerID)
    /// Ask a peer for the block at a height of its chain and what proves its seal; report `answered`.
    case askBlock(PeerID, UInt64)
    /// The network is split for good, as far as this node can see.
    case forked(Fork)
    /// No peer shows another chain any more.
    case forkEnded
  }

  /// This node's own chain, as it stands at an input.
  public struct View {
    let floor: UInt64
    let depth: UInt64
    let isCaughtUp: Bool
    let isOwn: (Hash256) -> Bool

    /// Makes a view.
    ///
    /// - Parameters:
    ///   - floor: the final height.
    ///   - depth: how many blocks below its head a chain is final, this node's and everybody's.
    ///   - isCaughtUp: whether the node has what its peers have shown; before that unknown heads are what it expects.
    ///   - isOwn: whether a block is on the node's chain, or valid beside it.
    public init(floor: UInt64, depth: UInt64, isCaughtUp: Bool, isOwn: @escaping (Hash256) -> Bool) {
      self.floor = floor
      self.depth = depth
      self.isCaughtUp = isCaughtUp
      self.isOwn = isOwn
    }
  }

  private enum Stage: Equatable {
    case watched
    case headAsked
    case baseAsked(head: ChainPoint)
  }

  private struct Suspect {
    /// The first head that was not known.
    let first: ChainPoint
    /// The newest one.
    var head: ChainPoint
    var due: Instant
    var stage = Stage.watched
    var misses = 0
    /// Looks in sequence that found another chain.
    var sightings = 0
    /// What it showed, once that counts.
    var evidence: (head: ChainPoint, base: ChainPoint)?
  }

  private let configuration: Configuration
  private var suspects: [PeerID: Suspect] = [:]
  /// When peers that pass strange blocks on were last asked for their status.
  private var statusAsked: [PeerID: Instant] = [:]

  /// The split, while there is one.
  public private(set) var fork: Fork?
  /// When `timer` is wanted.
  public private(set) var nextDeadline: Instant?

  /// Makes a machine.
  public init(configuration: Configuration = .init()) { self.configuration = configuration }

  /// Takes one input; a spurious `timer` is harmless. O(suspects).
  public mutating func handle(_ input: Input, view: View, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .heard(let peer, let head): heard(peer, head, view, now)
    case .strange(let peer):
      guard view.isCaughtUp, suspects[peer] == nil, statusAsked[peer].map({ $0 + configuration.interval <= now }) ?? true else { return }
      statusAsked[peer] = now
      outputs.append(.askStatus(peer))
    case .peerGone(let peer):
      suspects[peer] = nil
      statusAsked[peer] = nil
    case .answered(let peer, let answer): answered(peer, answer, view, now, &outputs)
    case .timer: break
    }
    look(view, now, &outputs)
    conclude(&outputs)
    nextDeadline = isBusy ? nil : suspects.values.lazy.filter { $0.stage == .watched }.map(\.due).min()
  }

  /// Takes one input and returns what it led to.
  public mutating func handle(_ input: Input, view: View, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, view: view, now: now, into: &outputs)
    return outputs
  }

  /// The peers that are watched.
  public var peers: Set<PeerID> { Set(suspects.keys).union(statusAsked.keys) }

  /// Whether a peer has shown that it is on the other side of a split.
  public func isWitness(_ peer: PeerID) -> Bool { suspects[peer]?.evidence != nil }

  private var isBusy: Bool { suspects.values.count { $0.stage != .watched } >= configuration.askingMaximum }

  private mutating func heard(_ peer: PeerID, _ head: ChainPoint, _ view: View, _ now: Instant) {
    if view.isOwn(head.hash) {
      suspects[peer] = nil
    } else if suspects[peer] != nil {
      suspects[peer]?.head = head
    } else {
      suspects[peer] = Suspect(first: head, head: head, due: now + configuration.patience)
    }
  }

  private mutating func look(_ view: View, _ now: Instant, _ outputs: inout [Output]) {
    let due = suspects.filter { $0.value.stage == .watched && $0.value.due <= now }
    for (peer, suspect) in due.sorted(by: { ($0.value.due, $0.key) < ($1.value.due, $1.key) }) where !isBusy {
      if view.isOwn(suspect.first.hash) || view.isOwn(suspect.head.hash) {
        suspects[peer] = nil
      } else if !view.isCaughtUp || view.floor == 0 || suspect.evidence == nil && hasWitnesses {
        suspects[peer]?.due = now + configuration.interval
      } else {
        suspects[peer]?.stage = .headAsked
        outputs.append(.askBlock(peer, suspect.head.height))
      }
    }
  }

  private mutating func answered(_ peer: PeerID, _ answer: Answer, _ view: View, _ now: Instant, _ outputs: inout [Output]) {
    guard var suspect = suspects[peer], suspect.stage != .watched else { return }
    let stage = suspect.stage
    suspect.stage = .watched
    suspect.due = now + configuration.interval
    switch (answer, stage) {
    case (.sealed(let point, _), .headAsked) where view.isOwn(point.hash):
      // It follows this node's chain by now.
      suspects[peer] = nil
      return
    case (.sealed(let point, true), .headAsked) where point.height > view.depth:
      suspect.stage = .baseAsked(head: point)
      suspects[peer] = suspect
      return outputs.append(.askBlock(peer, min(view.floor, point.height - view.depth)))
    case (.sealed(let point, _), .baseAsked(let head)) where !view.isOwn(point.hash): sighted(&suspect, head: head, base: point)
    case (.nothing, _):
      suspect.misses += 1
      if suspect.misses >= configuration.missesMaximum { (suspect.sightings, suspect.evidence) = (0, nil) }
    case (.sealed, _):
      // An old head, one with nothing final below it, or one whose chain has this node's block where both are final.
      (suspect.sightings, suspect.evidence) = (0, nil)
    }
    suspects[peer] = suspect
    // The next look is at what it has then.
    outputs.append(.askStatus(peer))
  }

  private func sighted(_ suspect: inout Suspect, head: ChainPoint, base: ChainPoint) {
    suspect.misses = 0
    suspect.sightings += 1
    if suspect.sightings >= 2 { suspect.evidence = (head, base) }
  }

  private var witnesses: Int { suspects.values.count { $0.evidence != nil } }

  /// Whether those who have shown another chain, and those who are being asked for it, are enough.
  private var hasWitnesses: Bool {
    suspects.values.count { $0.evidence != nil || $0.stage != .watched } >= configuration.witnessesMaximum
  }

  private mutating func conclude(_ outputs: inout [Output]) {
    let best = suspects.values.compactMap(\.evidence).max { ($0.head.height, $0.head.hash) < ($1.head.height, $1.head.hash) }
    let before = fork
    fork = best.map { Fork(head: $0.head, base: $0.base, peers: witnesses) }
    if before == nil, let fork { outputs.append(.forked(fork)) }
    if before != nil && fork == nil { outputs.append(.forkEnded) }
  }
}
