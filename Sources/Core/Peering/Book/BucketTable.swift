import Wire

/// Buckets of 64 positions each. Memory goes with what is in them; a random bucket with something in it is found in one step.
struct BucketTable: Sendable {
  /// What is in each bucket: the position in the lowest six bits, the record's ID above.
  private var buckets: [[UInt32]]
  /// The buckets that hold something, in no order that means anything, and where each stands there.
  private var filled: [UInt16] = []
  private var places: [UInt16]
  /// All that is in the buckets.
  private(set) var count = 0

  static let bucketSize = 64
  static let bucketsMaximum = 1 << 16
  static let recordsMaximum = 1 << 26

  init(buckets count: Int) {
    precondition(count >= 1 && count <= Self.bucketsMaximum, "\(count) buckets")
    buckets = Array(repeating: [], count: count)
    places = Array(repeating: 0, count: count)
  }

  /// Who stands at a position. O(bucket).
  func record(at bucket: UInt16, _ position: UInt8) -> RecordID? {
    for slot in buckets[Int(bucket)] where UInt8(slot & 63) == position { return slot >> 6 }
    return nil
  }

  /// Fills an empty position.
  mutating func put(_ id: RecordID, at bucket: UInt16, _ position: UInt8) {
    let index = Int(bucket)
    if buckets[index].isEmpty {
      places[index] = UInt16(filled.count)
      filled.append(bucket)
    }
    buckets[index].append(id << 6 | UInt32(position))
    count += 1
  }

  /// Empties the position where a record stands. Nothing happens when it is not there.
  mutating func remove(_ id: RecordID, from bucket: UInt16) {
    let index = Int(bucket)
    guard let place = buckets[index].firstIndex(where: { $0 >> 6 == id }) else { return }
    buckets[index].swapAt(place, buckets[index].count - 1)
    buckets[index].removeLast()
    count -= 1
    if buckets[index].isEmpty {
      buckets[index] = []
      let last = filled[filled.count - 1]
      filled[Int(places[index])] = last
      places[Int(last)] = places[index]
      filled.removeLast()
    }
  }

  /// A random record of a random bucket: a crowded bucket weighs no more than a sparse one.
  func draw(using generator: inout SeededGenerator) -> RecordID? {
    guard !filled.isEmpty else { return nil }
    let bucket = buckets[Int(filled[generator.index(below: filled.count)])]
    return bucket[generator.index(below: bucket.count)] >> 6
  }

  /// What is in a bucket.
  func records(in bucket: Int) -> [RecordID] { buckets[bucket].map { $0 >> 6 } }

  /// How many buckets there are.
  var bucketCount: Int { buckets.count }

  /// How many of them hold something.
  var filledCount: Int { filled.count }

  /// All that is in the table, by bucket; a record with several references several times. O(n).
  var records: [RecordID] {
    var result: [RecordID] = []
    result.reserveCapacity(count)
    for bucket in filled { for slot in buckets[Int(bucket)] { result.append(slot >> 6) } }
    return result
  }

  /// Traps when the lists disagree. O(n).
  func checkInvariants() {
    var total = 0
    for (place, bucket) in filled.enumerated() {
      precondition(Int(places[Int(bucket)]) == place && !buckets[Int(bucket)].isEmpty, "a listed bucket is empty or listed elsewhere")
      var positions: UInt64 = 0
      for slot in buckets[Int(bucket)] {
        precondition(positions >> UInt64(slot & 63) & 1 == 0, "a position is taken twice")
        positions |= 1 << UInt64(slot & 63)
        total += 1
      }
    }
    precondition(total == count, "\(total) places are taken, \(count) counted")
  }
}
