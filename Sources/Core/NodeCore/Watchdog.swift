import Wire

/// Counts how long the chain has stood still: a strike for every three block times without a new head, and at most one in ten seconds.
///
/// Each strike widens the view, for all present peers may stand still, or hide something: one outbound link more is wanted, and every peer is
/// asked for its height (Bitcoin Core looks for one more peer when its tip is stale).
struct Watchdog {
  private let step: Duration
  /// How often it has struck since the head last moved.
  private(set) var strikes = 0
  /// When the next strike is due.
  private(set) var deadline: Instant

  init(blockTime: Duration, now: Instant) {
    step = max(blockTime * 3, .seconds(10))
    deadline = now + step
  }

  /// The head moved. Returns whether it had stood still.
  mutating func progressed(now: Instant) -> Bool {
    deadline = now + step
    defer { strikes = 0 }
    return strikes > 0
  }

  /// However late this comes, it is one strike.
  mutating func strike(now: Instant) {
    strikes += 1
    deadline = now + step
  }
}
