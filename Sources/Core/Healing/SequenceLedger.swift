import Wire

/// What one destination has received of a source's numbered messages.
///
/// Numbers start at 1. Delivery may come in any order; what is missing is derived from the state each time it is asked for and
/// never kept in a queue of its own, so that nothing can be lost from such a queue (level-triggered healing).
public struct SequenceLedger: Hashable, Sendable {
  /// The highest number that the source is known to have produced.
  public private(set) var produced: UInt64 = 0

  /// Everything up to here has been delivered.
  public private(set) var deliveredThrough: UInt64 = 0

  /// Delivered runs beyond ``deliveredThrough``, ascending, neither touching nor overlapping.
  private var runs: [ClosedRange<UInt64>] = []

  /// The most separate runs that are remembered beyond the first hole.
  public let runsMaximum: Int

  /// Makes an empty ledger; 4,096 runs take 64 KiB.
  public init(runsMaximum: Int = 4_096) { self.runsMaximum = runsMaximum }

  /// The source has produced everything up to `number`. A lower number than before changes nothing.
  public mutating func noteProduced(_ number: UInt64) { produced = max(produced, number) }

  /// A message has arrived. O(log n + moved runs).
  ///
  /// - Returns: false when it was delivered before, or when it lies beyond so many holes that it cannot be remembered; it will
  ///   then be seen as missing and be asked for again.
  @discardableResult
  public mutating func deliver(_ number: UInt64) -> Bool {
    guard number > deliveredThrough, number < .max else { return false }
    // The first run that does not end below the number's left neighbour.
    var low = 0
    var high = runs.count
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].upperBound + 1 < number { low = middle + 1 } else { high = middle }
    }
    if low < runs.count && runs[low].contains(number) { return false }
    let joinsLeft = low < runs.count && runs[low].upperBound + 1 == number
    let right = joinsLeft ? low + 1 : low
    let joinsRight = right < runs.count && runs[right].lowerBound == number + 1
    switch (joinsLeft, joinsRight) {
    case (true, true):
      runs[low] = runs[low].lowerBound...runs[right].upperBound
      runs.remove(at: right)
    case (true, false): runs[low] = runs[low].lowerBound...number
    case (false, true): runs[right] = number...runs[right].upperBound
    case (false, false):
      guard runs.count < runsMaximum || number == deliveredThrough + 1 else { return false }
      runs.insert(number...number, at: low)
    }
    if let first = runs.first, first.lowerBound == deliveredThrough + 1 {
      deliveredThrough = first.upperBound
      runs.removeFirst()
    }
    produced = max(produced, number)
    return true
  }

  /// Whether a message has been delivered. O(log n).
  public func isDelivered(_ number: UInt64) -> Bool {
    number <= deliveredThrough || runs.contains { $0.contains(number) }
  }

  /// The exact ranges of numbers that were produced and not delivered, ascending, at most `limit` of them.
  public func missing(limit: Int = .max) -> [ClosedRange<UInt64>] {
    var holes: [ClosedRange<UInt64>] = []
    var next = deliveredThrough + 1
    for run in runs {
      if holes.count == limit { return holes }
      holes.append(next...run.lowerBound - 1)
      next = run.upperBound + 1
    }
    if next <= produced && holes.count < limit { holes.append(next...produced) }
    return holes
  }

  /// Traps when the runs are not ascending, separate and beyond the first hole.
  public func checkInvariants() {
    var last = deliveredThrough
    for run in runs {
      precondition(run.lowerBound > last + 1, "run \(run) touches \(last)")
      last = run.upperBound
    }
    precondition(produced >= last, "delivered \(last) of \(produced) produced")
  }
}
