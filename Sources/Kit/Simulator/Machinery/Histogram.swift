/// How often each size was seen, in bounded memory: exact below 128, within 1 % above.
///
/// O(1) to add, O(buckets) to ask; at most about 7,000 buckets, made as they are needed.
struct Histogram {
  private var buckets: [UInt64] = []
  /// How many sizes were added.
  private(set) var count: UInt64 = 0
  /// The largest.
  private(set) var largest: UInt64 = 0
  /// Their sum.
  private(set) var sum: UInt64 = 0

  /// Adds one size.
  mutating func add(_ value: UInt64) {
    let bucket = Histogram.bucket(of: value)
    if bucket >= buckets.count { buckets += [UInt64](repeating: 0, count: bucket + 1 - buckets.count) }
    buckets[bucket] += 1
    count += 1
    largest = max(largest, value)
    sum &+= value
  }

  /// Adds all that another has seen.
  mutating func add(_ other: Histogram) {
    if other.buckets.count > buckets.count { buckets += [UInt64](repeating: 0, count: other.buckets.count - buckets.count) }
    for index in other.buckets.indices { buckets[index] += other.buckets[index] }
    count += other.count
    largest = max(largest, other.largest)
    sum &+= other.sum
  }

  /// The smallest size that at least this share of all does not exceed; `nil` when nothing was added.
  func quantile(_ share: Double) -> UInt64? {
    guard count > 0 else { return nil }
    let rank = max(1, min(count, UInt64((share * Double(count)).rounded(.up))))
    var passed: UInt64 = 0
    for index in buckets.indices {
      passed += buckets[index]
      if passed >= rank { return min(Histogram.upperBound(of: index), largest) }
    }
    return largest
  }

  /// The share of all that does not exceed a size, as far as buckets tell.
  func share(upTo value: UInt64) -> Double {
    guard count > 0 else { return 0 }
    let last = min(Histogram.bucket(of: value), buckets.count - 1)
    return Double(buckets[...last].reduce(0, +)) / Double(count)
  }

  // 128 sizes for each power of two.
  private static func bucket(of value: UInt64) -> Int {
    guard value >= 128 else { return Int(value) }
    let shift = 56 - value.leadingZeroBitCount
    return shift * 128 + Int(value >> UInt64(shift))
  }

  private static func upperBound(of bucket: Int) -> UInt64 {
    guard bucket >= 256 else { return UInt64(bucket) }
    let shift = UInt64(bucket / 128 - 1)
    let top = UInt64(bucket % 128 + 128)
    return (top << shift) + ((1 << shift) - 1)
  }
}
