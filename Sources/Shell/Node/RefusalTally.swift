import Threads
import Wire

/// Keeps a flood of refusals from becoming a flood of lines: in each period some are written, the others are summed up.
final class RefusalTally: @unchecked Sendable {
  private let lock = Lock()
  private var begin = Instant.zero
  private var written = 0
  private var others: [String: Int] = [:]
  private let period: Duration
  private let writtenMaximum: Int

  init(period: Duration = .seconds(1), writtenMaximum: Int = 10) {
    self.period = period
    self.writtenMaximum = writtenMaximum
  }

  /// What was refused and not written in the period that is over.
  struct Sum: Equatable {
    let count: Int
    /// As `busy 12, too-many-from-ip 3`.
    let reasons: String
  }

  /// Notes a refusal.
  ///
  /// - Returns: whether it gets a line, and what of the last period got none.
  func note(_ reason: String, _ now: Instant) -> (isWritten: Bool, others: Sum?) {
    lock.withLock {
      var sum: Sum?
      if now - begin >= period {
        if !others.isEmpty {
          let reasons = others.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
          sum = Sum(count: others.values.reduce(0, +), reasons: reasons)
        }
        begin = now
        written = 0
        others = [:]
      }
      let isWritten = written < writtenMaximum
      if isWritten { written += 1 } else { others[reason, default: 0] += 1 }
      return (isWritten, sum)
    }
  }
}
