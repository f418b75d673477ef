import Wire

/// The last events, kept to explain decisions. When full the oldest goes; refusals of strangers have a quarter of the room to themselves, so
/// that a flood of them drives out nothing else.
struct History {
  private struct Ring {
    var items: [(at: Instant, number: UInt64, event: PeeringEvent)] = []
    var next = 0
    let maximum: Int

    mutating func record(_ item: (Instant, UInt64, PeeringEvent)) {
      if items.count < maximum {
        items.append(item)
      } else {
        items[next] = item
        next = (next + 1) % maximum
      }
    }
  }

  private var peers: Ring
  private var strangers: Ring
  private var number: UInt64 = 0

  init(maximum: Int) {
    let quarter = max(1, maximum / 4)
    peers = Ring(maximum: max(1, maximum - quarter))
    strangers = Ring(maximum: quarter)
  }

  mutating func record(_ event: PeeringEvent, at now: Instant) {
    number += 1
    if case .refused = event { strangers.record((now, number, event)) } else { peers.record((now, number, event)) }
  }

  /// The events in order, oldest first. O(n log n).
  var events: [(at: Instant, event: PeeringEvent)] {
    (peers.items + strangers.items).sorted { $0.number < $1.number }.map { ($0.at, $0.event) }
  }
}
