import Identity
import Wire

/// The last events, kept to explain decisions. When full the oldest goes.
struct History {
  private var ring: [(at: Instant, event: PeeringEvent)] = []
  private var next = 0
  private let maximum: Int

  init(maximum: Int) { self.maximum = max(1, maximum) }

  mutating func record(_ event: PeeringEvent, at now: Instant) {
    if ring.count < maximum {
      ring.append((now, event))
    } else {
      ring[next] = (now, event)
      next = (next + 1) % maximum
    }
  }

  /// The events in order, oldest first. O(n).
  var events: [(at: Instant, event: PeeringEvent)] { Array(ring[next...] + ring[..<next]) }
}
