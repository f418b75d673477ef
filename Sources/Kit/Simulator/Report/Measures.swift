import Wire

/// What is counted while a simulation runs.
struct Measures {
  /// How one block or transaction spread.
  struct Spread {
    let origin: Int
    let born: Instant
    /// Nodes that have it, with the time since it was born and the hops it took.
    var reached: [(node: Int, after: Duration, hops: Int)] = []
    var hopsOf: [Int: Int] = [:]
  }

  /// What spread of one kind of thing.
  struct Spreads {
    var of: [Hash256: Spread] = [:]
    var order: [Hash256] = []

    /// Something was born.
    mutating func note(_ id: Hash256, at now: Instant, origin: Int) {
      guard of[id] == nil, order.count < maximum else { return }
      order.append(id)
      of[id] = Spread(origin: origin, born: now)
      of[id]!.hopsOf[origin] = 0
    }

    /// It reached a node.
    mutating func reach(_ id: Hash256, _ node: Int, from: Int?, at now: Instant) {
      guard of[id] != nil, of[id]!.hopsOf[node] == nil else { return }
      let hops = from.flatMap { of[id]!.hopsOf[$0] }.map { $0 + 1 } ?? 0
      of[id]!.hopsOf[node] = hops
      of[id]!.reached.append((node, now - of[id]!.born, hops))
    }
  }

  var blocks = Spreads()
  var transactions = Spreads()
  var submittedAt: [Hash256: Instant] = [:]
  var late: Set<Int> = []
  var bans: [Ban] = []
  var closes: [String: Int] = [:]
  var reorganisations = 0
  var deepestReorganisation = 0
  var samples: [Sample] = []
  /// The most spreads that are kept of each kind.
  static let maximum = 4_096

  struct Ban {
    let time: Instant
    let by: Int
    let of: Int?
    let reason: String
  }

  struct Sample {
    let time: Instant
    let up: Int
    let lowest: UInt64
    let median: UInt64
    let highest: UInt64
    let links: Int
    let isolated: Int
    let bytes: UInt64
  }

  mutating func submitted(_ id: Hash256, at time: Instant) { if submittedAt[id] == nil { submittedAt[id] = time } }
}
