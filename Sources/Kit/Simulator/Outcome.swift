import Wire

extension Simulation {
  /// Runs to the end and tells how it went.
  ///
  /// - Returns: the first property that was broken, or `nil`.
  public func run() -> Violation? {
    run(until: end)
    while !isOver, step() {}
    if oracle.violation == nil { checkEnd() }
    return oracle.violation
  }
}

extension Simulation {
  /// One line of figures.
  public var summary: String {
    let last = measures.samples.last
    var blockDelays: [Double] = []
    for id in measures.blocks.order { blockDelays += measures.blocks.of[id]!.reached.map { $0.after.milliseconds } }
    blockDelays.sort()
    func p(_ q: Double) -> String {
      blockDelays.isEmpty ? "-" : "\(Int(blockDelays[min(blockDelays.count - 1, Int(q * Double(blockDelays.count)))]))"
    }
    return
      "heights \(last?.lowest ?? 0)-\(last?.highest ?? 0), links \(last?.links ?? 0), isolated \(last?.isolated ?? 0), accepted \(load.accepted), refused \(load.refused), blocks \(measures.blocks.order.count), p50 \(p(0.5)) p99 \(p(0.99)) max \(p(1)) ms, reorgs \(measures.reorganisations), closes \(measures.closes.sorted { $0.key < $1.key }), bans \(measures.bans.count)"
  }
}
