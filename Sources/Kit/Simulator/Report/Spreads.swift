import Wire

/// How things of one kind spread: how long each took to reach the nodes that ran when it was born, and over how many hops.
///
/// Only what is under way is kept for each thing, a byte for each node; what is done is in histograms. Times are microseconds.
struct Spreads {
  /// One thing under way.
  private struct Spread {
    let born: Instant
    /// How many nodes it should reach; its origin is not among them.
    let awaited: Int
    var reached = 0
    /// How far each node is from the origin, or one of the marks below.
    var hops: [UInt8]
  }

  private enum Mark {
    static let awaited: UInt8 = 255
    static let absent: UInt8 = 254
    static let unknown: UInt8 = 253
    static let farthest: UInt8 = 252
  }

  /// Things born in this time count.
  let window: ClosedRange<Instant>
  /// When each thing was born.
  private(set) var births: [Hash256: Instant] = [:]
  private var live: [Hash256: Spread] = [:]
  /// Every delivery.
  private(set) var delays = Histogram()
  /// Deliveries by the number of hops; the first is one hop.
  private(set) var byHops: [Histogram] = []
  /// For each of ``shares``, when each thing had reached that share of its nodes.
  private(set) var reaching: [Histogram]
  private(set) var complete = 0

  /// The shares of the network whose times are kept.
  static let shares = [0.5, 0.9, 0.99, 1]
  /// The most things that are followed at a time.
  private static let liveMaximum = 4_096

  init(window: ClosedRange<Instant>) {
    self.window = window
    reaching = Spreads.shares.map { _ in Histogram() }
  }

  /// Things that were followed.
  var followed: Int { complete + live.count }

  /// Deliveries that have not happened.
  var missing: Int { live.values.reduce(0) { $0 + $1.awaited - $1.reached } }

  /// Something was born. `isAwaited` says which nodes it should reach.
  mutating func begin(_ id: Hash256, at time: Instant, origin: Int, nodes: Int, isAwaited: (Int) -> Bool) {
    guard births[id] == nil else { return }
    births[id] = time
    guard window.contains(time), live.count < Spreads.liveMaximum else { return }
    var hops = [UInt8](repeating: Mark.absent, count: nodes)
    var awaited = 0
    for node in 0..<nodes where node != origin && isAwaited(node) {
      hops[node] = Mark.awaited
      awaited += 1
    }
    hops[origin] = 0
    if awaited > 0 { live[id] = Spread(born: time, awaited: awaited, hops: hops) }
  }

  /// It reached a node, from another one when that is known.
  mutating func reach(_ id: Hash256, _ node: Int, from sender: Int?, at now: Instant) {
    guard let slot = live.index(forKey: id), live.values[slot].hops[node] >= Mark.absent else { return }
    let before = sender.map { live.values[slot].hops[$0] } ?? Mark.unknown
    let hops = before < Mark.farthest ? before + 1 : Mark.unknown
    let isAwaited = live.values[slot].hops[node] == Mark.awaited
    live.values[slot].hops[node] = hops
    guard isAwaited else { return }
    let delay = UInt64(max(0, (now - live.values[slot].born).nanoseconds) / 1_000)
    delays.add(delay)
    if hops != Mark.unknown {
      while byHops.count < Int(hops) { byHops.append(Histogram()) }
      byHops[Int(hops) - 1].add(delay)
    }
    live.values[slot].reached += 1
    let (reached, awaited) = (live.values[slot].reached, live.values[slot].awaited)
    for index in Spreads.shares.indices where reached == Int((Spreads.shares[index] * Double(awaited)).rounded(.up)) {
      reaching[index].add(delay)
    }
    if reached == awaited {
      complete += 1
      live.remove(at: slot)
    }
  }
}
