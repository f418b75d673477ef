import Identity
import Wire

/// How far this node's clock is off, as far as its peers' clocks tell.
public struct ClockComparison: Hashable, Sendable {
  /// How far this node's clock is ahead of the median of its peers'; negative when it is behind.
  public let ahead: Duration
  /// How far that may be off, for the time that messages take.
  public let uncertainty: Duration
  /// How many clocks were compared. Peers with one public IP address count as one.
  public let clocks: Int

  /// Whether the clocks differ by more than `tolerance` for certain.
  public func isBeyond(_ tolerance: Duration) -> Bool { ahead.magnitude - uncertainty > tolerance }

  /// In words, such as `this node's clock is 3600 s ahead of the median of 4 peers`.
  public var words: String {
    let peers = clocks == 1 ? "that of its only peer" : "the median of \(clocks) peers"
    return "this node's clock is \(Self.seconds(ahead.magnitude)) \(ahead < .zero ? "behind" : "ahead of") \(peers)"
  }

  /// Tenths of a second below 100 s, whole seconds above.
  private static func seconds(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    if seconds < 100 { return "\(seconds).\(attoseconds / 100_000_000_000_000_000) s" }
    return "\(seconds + (attoseconds < 500_000_000_000_000_000 ? 0 : 1)) s"
  }
}

/// Compares this node's clock with those of its peers, whose statuses carry their time.
///
/// The clock is never set by this: anyone with many links could move it. It only tells the operator, and says why blocks are refused.
public struct PeerClocks: Sendable {
  private struct Sample {
    /// The peer's wall time at the origin of this node's monotonic clock: what this node's own wall clock does meanwhile doesn't matter.
    let base: WallTime
    let uncertainty: Duration
    let origin: IPNetwork?
  }

  private var samples: [PeerID: Sample] = [:]

  /// No peer is known.
  public init() {}

  /// Notes what a peer's clock showed between two moments.
  ///
  /// - Parameter origin: the network whose peers count as one; `nil` when this peer counts for itself.
  public mutating func note(_ peer: PeerID, shows time: WallTime, asked: Instant, answered: Instant, origin: IPNetwork?) {
    let half = Duration.nanoseconds((answered - asked).nanoseconds / 2)
    samples[peer] = Sample(base: time + (.zero - (asked + half)), uncertainty: half, origin: origin)
  }

  /// The peers whose clocks were compared.
  public var peers: Set<PeerID> { Set(samples.keys) }

  /// Whether a peer's clock was compared.
  public func knows(_ peer: PeerID) -> Bool { samples[peer] != nil }

  /// The link to a peer is gone.
  public mutating func left(_ peer: PeerID) { samples[peer] = nil }

  /// The comparison by this node's present clock; `nil` without peers that show theirs. O(n log n) in peers.
  public func comparison(with clock: WallClock) -> ClockComparison? {
    let own = clock.time(at: .zero)
    var groups: [IPNetwork: [Sample]] = [:]
    var votes: [Sample] = []
    for sample in samples.values {
      if let origin = sample.origin { groups[origin, default: []].append(sample) } else { votes.append(sample) }
    }
    votes += groups.values.compactMap { Self.median($0, own) }
    guard let middle = Self.median(votes, own) else { return nil }
    let uncertainty = votes.map(\.uncertainty).sorted()[votes.count / 2]
    return ClockComparison(ahead: own - middle.base, uncertainty: uncertainty, clocks: votes.count)
  }

  /// The one in the middle; of two the one that is nearer to this node's clock.
  private static func median(_ samples: [Sample], _ own: WallTime) -> Sample? {
    let sorted = samples.sorted { ($0.base, $0.uncertainty) < ($1.base, $1.uncertainty) }
    guard !sorted.isEmpty else { return nil }
    let (low, high) = (sorted[(sorted.count - 1) / 2], sorted[sorted.count / 2])
    return (own - low.base).magnitude < (high.base - own).magnitude ? low : high
  }
}
