import Identity
import Wire

/// The entries that this node keeps alive: stored anew before they end.
struct OwnEntries: Sendable {
  enum Name: Hashable, Comparable, Sendable {
    case provided([UInt8])
    case value([UInt8])

    private var rank: (Int, [UInt8]) {
      switch self {
      case .provided(let key): (0, key)
      case .value(let key): (1, key)
      }
    }
    static func < (left: Name, right: Name) -> Bool {
      let (a, b) = (left.rank, right.rank)
      return a.0 != b.0 ? a.0 < b.0 : a.1.lexicographicallyPrecedes(b.1)
    }
  }

  private var values: [[UInt8]: [UInt8]] = [:]
  /// At how many servers each was stored last.
  private var holders: [Name: Int] = [:]
  private(set) var due = DeadlineQueue<Name>()
  private var providedCount: Int { due.count - values.count }

  var count: Int { due.count }
  var next: Instant? { due.next }

  /// Takes in a provided key, or moves its time; false when there are too many.
  mutating func provide(_ key: [UInt8], at time: Instant, maximum: Int) -> Bool {
    guard due[.provided(key)] != nil || providedCount < maximum else { return false }
    due.set(.provided(key), time)
    return true
  }

  mutating func put(_ key: [UInt8], _ value: [UInt8], at time: Instant, maximum: Int) -> Bool {
    guard values[key] != nil || values.count < maximum else { return false }
    values[key] = value
    due.set(.value(key), time)
    return true
  }

  mutating func stopProviding(_ key: [UInt8]) {
    due.remove(.provided(key))
    holders[.provided(key)] = nil
  }

  /// What is due, as a look-up, and when it is tried again should nobody hear of its end.
  mutating func takeDue(_ now: Instant, retry: Duration) -> Kademlia.Query? {
    guard let name = due.popExpired(now) else { return nil }
    due.set(name, now + retry)
    switch name {
    case .provided(let key): return .provide(key)
    case .value(let key): return values[key].map { .putValue(key, $0) }
    }
  }

  /// A look-up that stores an entry has ended: the entry's next turn.
  mutating func settle(_ query: Kademlia.Query, stored: Int, next: Instant) {
    let name: Name
    switch query {
    case .provide(let key): name = .provided(key)
    case .putValue(let key, _): name = .value(key)
    default: return
    }
    guard due[name] != nil else { return }
    holders[name] = stored
    due.set(name, next)
  }

  /// Entries that fewer servers hold than could are due soon. O(n log n).
  mutating func hasten(below count: Int, to time: Instant) {
    for (name, held) in holders where held < count { if let turn = due[name], turn > time { due.set(name, time) } }
  }

  /// What servers hold of provided keys has become wrong: they are due at this time at the latest. O(n log n).
  mutating func provideAnew(at time: Instant) {
    for case .provided(let key) in holders.keys { if let turn = due[.provided(key)], turn > time { due.set(.provided(key), time) } }
  }

  /// Nothing is due before this time. O(n log n).
  mutating func postpone(to time: Instant) {
    for name in holders.keys { if let turn = due[name], turn < time { due.set(name, time) } }
  }

  func checkInvariants() {
    for name in holders.keys { precondition(due[name] != nil, "an own entry has no turn") }
    for key in values.keys { precondition(due[.value(key)] != nil, "an own value has no turn") }
  }
}
