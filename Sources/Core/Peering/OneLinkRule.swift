import Identity
import Wire

/// Which of two proven links to one peer is kept (`Docs/decisions/one-link-rule.md`).
///
/// Both ends must come to the same answer though each proves the two links at other times and in another order. Therefore
/// - within the window of a simultaneous dial the link that the lower PeerID dialled is kept, which both ends know;
/// - two links dialled by the same side are that side's business: it keeps the first, and the other end waits to see which;
/// - beyond the window the dialler has evidently lost the old link: the new one is kept;
/// - near the edge of the window, where clocks may disagree, the end that did not dial the new link waits for the other's choice.
enum OneLinkRule {
  enum Choice: Hashable { case keepExisting, takeNew, wait }

  /// - Parameters:
  ///   - existing: who dialled the admitted link.
  ///   - age: how long ago it was proven.
  ///   - new: who dialled the link that has just been proven.
  ///   - isLower: whether this side has the lower PeerID.
  ///   - window: how far apart the proofs of simultaneous dials can be.
  ///   - margin: by how much the two ends may differ about the age.
  static func choose(existing: Direction, age: Duration, new: Direction, isLower: Bool, window: Duration, margin: Duration) -> Choice {
    switch (existing, new) {
    case (.outbound, .outbound): age <= window ? .keepExisting : .takeNew
    case (.inbound, .inbound): age > window + margin ? .takeNew : .wait
    case (.inbound, .outbound): age <= window ? (isLower ? .takeNew : .keepExisting) : .takeNew
    case (.outbound, .inbound):
      if age <= window - margin { isLower ? .keepExisting : .takeNew } else if age > window + margin { .takeNew } else { .wait }
    }
  }
}

/// How long to wait before the next dial of a peer.
enum BackOff {
  /// The bound doubles with each failure up to a cap, and the wait is drawn evenly below it. A peer that `hurries` has the cap of a must-keep
  /// one: while nobody at all can be reached, that are seeds and stored peers, so that the node is back soon after an outage.
  static func delay(
    _ entry: KnownPeer, isLasting: Bool, hurries: Bool, _ configuration: PeeringConfiguration, _ generator: inout SeededGenerator
  ) -> Duration {
    if isLasting { return cap(entry, configuration) }
    let bound = bound(entry, configuration)
    return max(configuration.backOffMinimum, generator.jitter(hurries ? min(bound, configuration.backOffKeepMaximum) : bound))
  }

  /// The longest wait after so many failures.
  static func bound(_ entry: KnownPeer, _ configuration: PeeringConfiguration) -> Duration {
    let exponent = min(max(entry.streak, entry.shortLives, 1) - 1, 30)
    let (scaled, overflow) = configuration.backOffBase.nanoseconds.multipliedReportingOverflow(by: 1 << exponent)
    let cap = cap(entry, configuration)
    return overflow ? cap : min(cap, .nanoseconds(scaled))
  }

  private static func cap(_ entry: KnownPeer, _ configuration: PeeringConfiguration) -> Duration {
    entry.role == .keep ? configuration.backOffKeepMaximum : configuration.backOffMaximum
  }
}
