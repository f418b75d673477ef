import Wire

/// The slots that a producer has sealed, so that it never seals one of them twice, whatever its clock does.
///
/// Kept as spans of turns in sequence. A slot that lies between two spans was never sealed: when a clock that was ahead is set back, the producer
/// goes on where it stopped, and the slots far ahead stay closed to it.
struct SealedSlots: Hashable, Sendable {
  /// Ascending and apart from each other. A slot inside a span counts as sealed.
  private(set) var spans: [ClosedRange<UInt64>] = []

  /// None.
  init() {}

  /// The highest slot that was sealed.
  var last: UInt64? { spans.last?.upperBound }

  /// The span that a slot lies in.
  func span(around slot: UInt64) -> ClosedRange<UInt64>? { spans.first { $0.contains(slot) } }

  /// Notes a slot. `next` tells the producer's first turn behind a slot. O(spans).
  mutating func insert(_ slot: UInt64, next: (UInt64) -> UInt64?) {
    guard span(around: slot) == nil else { return }
    let place = spans.firstIndex { $0.lowerBound > slot } ?? spans.count
    var span = slot...slot
    if place < spans.count, next(slot) == spans[place].lowerBound { span = slot...spans.remove(at: place).upperBound }
    if place > 0, next(spans[place - 1].upperBound) == slot {
      spans[place - 1] = spans[place - 1].lowerBound...span.upperBound
    } else {
      spans.insert(span, at: place)
    }
    while spans.count > Self.spansMaximum { closeSmallestGap() }
  }

  /// The gap is given up and counts as sealed: that costs turns at most, and those of the smallest gap are the fewest.
  private mutating func closeSmallestGap() {
    let index = (1..<spans.count).min { gap($0) < gap($1) }
    guard let index else { return }
    spans[index - 1] = spans[index - 1].lowerBound...spans[index].upperBound
    spans.remove(at: index)
  }

  private func gap(_ index: Int) -> UInt64 { spans[index].lowerBound - spans[index - 1].upperBound }

  // MARK: Storing

  /// 16 bytes for each span: first and last slot, big endian.
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    for span in spans {
      bytes.appendBigEndian(span.lowerBound)
      bytes.appendBigEndian(span.upperBound)
    }
    return bytes
  }

  /// Reads what was stored. 8 bytes are the highest sealed slot alone, as it was stored before: all up to it count as sealed. `nil` for anything
  /// else that cannot be read.
  init?(encoded bytes: [UInt8]) {
    if bytes.count == 8, let last = ChainTable.number(bytes) {
      spans = [0...last]
      return
    }
    guard bytes.count % 16 == 0, bytes.count / 16 <= Self.spansMaximum else { return nil }
    for start in stride(from: 0, to: bytes.count, by: 16) {
      guard let first = ChainTable.number(bytes[start..<start + 8]), let last = ChainTable.number(bytes[start + 8..<start + 16]),
        first <= last, spans.last.map({ $0.upperBound < first }) ?? true
      else { return nil }
      spans.append(first...last)
    }
  }

  /// As many as jumps of the clock and missed turns are told apart; 16 make 256 bytes with each block of this node.
  private static let spansMaximum = 16
}
