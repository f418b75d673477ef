/// A sorted byte map in chunks: two binary searches for a look-up, a small shift for an insertion.
///
/// A copy shares its chunks with the original until one of them is changed. Look-up is O(log n); insertion and removal
/// are O(log n + n / 512).
struct OrderedBytesMap: Sendable {
  typealias Entry = (key: [UInt8], value: [UInt8])

  /// Never holds an empty chunk.
  private var chunks: [[Entry]] = []
  private(set) var count = 0

  init() {}

  subscript(key: [UInt8]) -> [UInt8]? {
    get {
      guard let chunk = chunkIndex(key) else { return nil }
      let index = Self.lowerBound(chunks[chunk], key)
      guard index < chunks[chunk].count, chunks[chunk][index].key == key else { return nil }
      return chunks[chunk][index].value
    }
    set {
      if let newValue { put(key, newValue) } else { remove(key) }
    }
  }

  /// Up to `limit` entries from `start` on.
  func scan(from start: [UInt8], limit: Int) -> [Entry] {
    var result: [Entry] = []
    guard limit > 0, !chunks.isEmpty else { return result }
    var chunk = chunkIndex(start) ?? 0
    var index = Self.lowerBound(chunks[chunk], start)
    while chunk < chunks.count, result.count < limit {
      let end = min(chunks[chunk].count, index + limit - result.count)
      result.append(contentsOf: chunks[chunk][index..<end])
      chunk += 1
      index = 0
    }
    return result
  }

  private mutating func put(_ key: [UInt8], _ value: [UInt8]) {
    guard !chunks.isEmpty else {
      chunks = [[(key, value)]]
      count = 1
      return
    }
    let chunk = chunkIndex(key) ?? 0
    let index = Self.lowerBound(chunks[chunk], key)
    if index < chunks[chunk].count, chunks[chunk][index].key == key {
      chunks[chunk][index].value = value
      return
    }
    chunks[chunk].insert((key, value), at: index)
    count += 1
    if chunks[chunk].count > Self.chunkMaximum {
      // An appending writer leaves full chunks behind; any other pattern leaves halves.
      let appended = chunk == chunks.count - 1 && index == chunks[chunk].count - 1
      let middle = appended ? chunks[chunk].count - 1 : chunks[chunk].count / 2
      let upper = Array(chunks[chunk][middle...])
      chunks[chunk].removeSubrange(middle...)
      chunks.insert(upper, at: chunk + 1)
    }
  }

  private mutating func remove(_ key: [UInt8]) {
    guard let chunk = chunkIndex(key) else { return }
    let index = Self.lowerBound(chunks[chunk], key)
    guard index < chunks[chunk].count, chunks[chunk][index].key == key else { return }
    chunks[chunk].remove(at: index)
    count -= 1
    if chunks[chunk].isEmpty { chunks.remove(at: chunk) }
  }

  /// The last chunk whose first key is at or before `key`; `nil` when `key` is before everything.
  private func chunkIndex(_ key: [UInt8]) -> Int? {
    var low = 0
    var high = chunks.count
    while low < high {
      let middle = (low + high) / 2
      if Self.precedes(key, chunks[middle][0].key) { high = middle } else { low = middle + 1 }
    }
    return low == 0 ? nil : low - 1
  }

  private static func lowerBound(_ entries: [Entry], _ key: [UInt8]) -> Int {
    var low = 0
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if precedes(entries[middle].key, key) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.withUnsafeBufferPointer { left in
      right.withUnsafeBufferPointer { right in
        let shared = min(left.count, right.count)
        for index in 0..<shared where left[index] != right[index] { return left[index] < right[index] }
        return left.count < right.count
      }
    }
  }

  private static let chunkMaximum = 512
}
