import Wire

extension Simulation {
  /// Runs to the end and tells how it went.
  ///
  /// - Returns: the first property that was broken, or `nil`.
  public func run() -> Violation? {
    run(until: end)
    while !isOver, step() {}
    if oracle.violation == nil, isLongEnough { checkEnd() }
    return oracle.violation
  }
}
