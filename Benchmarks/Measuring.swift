import Foundation

/// Nanoseconds of this thread's CPU time for one call of `work`: the median of five rounds of about 100 ms each, and the spread
/// between the best and the worst in per cent of it.
func nanosecondsPerCall(_ work: () -> Void) -> (median: Double, spreadPercent: Double) {
  func time(_ count: Int) -> Double {
    let start = threadNanoseconds()
    for _ in 0..<count { work() }
    return Double(threadNanoseconds() - start)
  }
  var count = 1
  while time(count) < 20_000_000 { count *= 2 }
  let rounds = (0..<5).map { _ in time(count * 5) / Double(count * 5) }.sorted()
  return (rounds[2], (rounds[4] - rounds[0]) / rounds[2] * 100)
}

private func threadNanoseconds() -> Int {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Prints one line of a table.
func report(_ name: String, _ value: String, _ spreadPercent: Double) {
  let label = name.padding(toLength: 40, withPad: " ", startingAt: 0)
  print("\(label) \(value)  (spread \(Int(spreadPercent)) %)")
}

/// Keeps the optimiser from dropping the work whose result is given.
@inline(never) func consume<T>(_ value: T) {}
