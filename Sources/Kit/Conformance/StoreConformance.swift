import Wire

/// The checks that every ``KeyValueStore`` engine must pass, the in-memory twins included.
///
/// Each check gets a store of its own. Random checks print their seed in the failure.
public struct StoreConformance {
  /// A check that an engine didn't pass.
  public struct Failure: Error, CustomStringConvertible {
    /// The check and what differed.
    public let description: String
    init(_ description: String) { self.description = description }
  }

  private let make: () throws -> any KeyValueStore
  private let reopen: (any KeyValueStore) throws -> (any KeyValueStore)?
  private let seed: UInt64

  /// Makes the suite for one engine.
  ///
  /// - Parameters:
  ///   - seed: for the random check.
  ///   - make: an empty store each time.
  ///   - reopen: consumes the store and opens the same data again; `nil` where an engine keeps nothing.
  public init(
    seed: UInt64 = 1, make: @escaping () throws -> any KeyValueStore,
    reopen: @escaping (any KeyValueStore) throws -> (any KeyValueStore)? = { _ in nil }
  ) {
    self.seed = seed
    self.make = make
    self.reopen = reopen
  }

  /// Runs every check.
  ///
  /// - Throws: the first ``Failure``, or whatever the engine threw.
  public func run() throws {
    try emptiness()
    try batches()
    try limits()
    try order()
    try valueSizes()
    try parts()
    try scanBytes()
    try randomAgainstModel()
    try persistence()
  }

  private func emptiness() throws {
    let store = try make()
    try expect(try store.get("nothing", [1]) == nil, "a table that was never written has no value")
    try expect(try store.scan("nothing", from: [], limit: 10).isEmpty, "a table that was never written has no entries")
    try store.commit(WriteBatch())
    var batch = WriteBatch()
    batch.remove("nothing", [1])
    try store.commit(batch)
    try expect(try store.get("nothing", [1]) == nil, "removing what is absent changes nothing")
  }

  private func parts() throws {
    let store = try make()
    var batch = WriteBatch()
    batch.put("a", [1], Array(0..<200))
    try store.commit(batch)
    try expect(try store.get("a", [1], in: 10..<13) == [10, 11, 12], "a part of a value")
    try expect(try store.get("a", [1], in: 0..<200) == Array(0..<200), "the whole value as its part")
    try expect(try store.get("a", [1], in: 200..<200) == [], "an empty part at the end")
    try expect(try store.get("a", [1], in: 199..<201) == nil, "a part beyond the end is none")
    try expect(try store.get("a", [2], in: 0..<1) == nil, "an absent key has no part")
  }

  private func scanBytes() throws {
    let store = try make()
    var batch = WriteBatch()
    for key in 1...5 as ClosedRange<UInt8> { batch.put("a", [key], [UInt8](repeating: key, count: 100)) }
    try store.commit(batch)
    func keys(_ bytes: Int, limit: Int = 9) throws -> [UInt8] {
      try store.scan("a", from: [2], limit: limit, maximumBytes: bytes).map { $0.key[0] }
    }
    try expect(try keys(299) == [2, 3], "a scan ends before it has too many bytes")
    try expect(try keys(300) == [2, 3, 4], "a scan may have all of its bytes")
    try expect(try keys(1) == [2], "a scan has its first entry whatever its size")
    try expect(try keys(300, limit: 1) == [2], "a scan keeps both bounds")
    try expect(try keys(.max) == [2, 3, 4, 5], "a scan without a bound ends with the table")
  }

  private func batches() throws {
    let store = try make()
    var batch = WriteBatch()
    batch.remove("a", [1])
    batch.put("a", [1], [10])
    batch.put("b", [1], [20])
    batch.put("a", [1], [11])
    batch.put("a", [2], [])
    batch.put("a", [3], [30])
    batch.remove("a", [3])
    try store.commit(batch)
    try expect(try store.get("a", [1]) == [11], "the later change to a key wins")
    try expect(try store.get("b", [1]) == [20], "tables don't mix")
    try expect(try store.get("a", [2]) == [], "an empty value is a value")
    try expect(try store.get("a", [3]) == nil, "a removal behind a put wins")
  }

  private func limits() throws {
    let store = try make()
    var good = WriteBatch()
    good.put("t", Array(repeating: 7, count: 511), [1])
    try store.commit(good)
    try expect(try store.get("t", Array(repeating: 7, count: 511)) == [1], "a key of 511 bytes is allowed")
    for key in [[], Array(repeating: 1, count: 512)] as [[UInt8]] {
      var batch = WriteBatch()
      batch.put("t", [9], [9])
      batch.put("t", key, [1])
      try expectError("a key of \(key.count) bytes is refused") { try store.commit(batch) }
      try expect(try store.get("t", [9]) == nil, "nothing of a refused batch is written")
      try expectError("a look-up with a key of \(key.count) bytes is refused") { _ = try store.get("t", key) }
    }
    for name in ["", String(repeating: "n", count: 65), "a b", "ä"] {
      try expectError("the table name '\(name)' is refused") { _ = try store.get(StoreTable(name), [1]) }
    }
    try expect(try store.scan("t", from: [], limit: 0).isEmpty, "a limit of 0 gives nothing")
    try expect(try store.scan("t", from: [], limit: -1).isEmpty, "a negative limit gives nothing")
  }

  private func order() throws {
    let store = try make()
    let keys: [[UInt8]] = [[0], [0, 0], [0, 1], [1], [1, 255], [2], [127], [128], [255], [255, 0], [255, 255]]
    var batch = WriteBatch()
    for key in keys.reversed() { batch.put("o", key, key) }
    try store.commit(batch)
    try expect(try store.scan("o", from: [], limit: 100).map(\.key) == keys, "a scan gives unsigned byte order")
    try expect(try store.scan("o", from: [1], limit: 3).map(\.key) == [[1], [1, 255], [2]], "a scan starts at its bound")
    try expect(try store.scan("o", from: [1, 1], limit: 1).map(\.key) == [[1, 255]], "a bound needs not exist")
    try expect(try store.scan("o", from: [255, 255, 0], limit: 5).isEmpty, "a bound behind everything gives nothing")
  }

  private func valueSizes() throws {
    let store = try make()
    for size in [0, 1, 100, 2_000, 4_079, 4_080, 4_096, 70_000, 1 << 20] {
      let value = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      var batch = WriteBatch()
      batch.put("v", [1], value)
      try store.commit(batch)
      try expect(try store.get("v", [1]) == value, "a value of \(size) bytes comes back")
    }
  }

  private func randomAgainstModel() throws {
    var store = try make()
    var generator = SeededGenerator(seed: seed)
    var model: [[UInt8]: [UInt8]] = [:]
    for step in 0..<120 {
      var batch = WriteBatch()
      for _ in 0..<generator.index(below: 40) {
        let length = 1 + generator.index(below: 3)
        let key = generator.bytes(length).map { $0 & 15 }
        if generator.index(below: 3) == 0 {
          batch.remove("m", key)
          model[key] = nil
        } else {
          let count = generator.index(below: 50)
          let value = generator.bytes(count)
          batch.put("m", key, value)
          model[key] = value
        }
      }
      try store.commit(batch)
      if step == 60, let reopened = try reopen(store) { store = reopened }
      let start = generator.bytes(1).map { $0 & 15 }
      let limit = generator.index(below: 60)
      let expected = model.filter { !$0.key.lexicographicallyPrecedes(start) }.sorted { $0.key.lexicographicallyPrecedes($1.key) }.prefix(
        limit)
      let found = try store.scan("m", from: start, limit: limit)
      try expect(
        found.map(\.key) == expected.map(\.key) && found.map(\.value) == expected.map(\.value),
        "scan differs from the model at step \(step), seed \(seed)")
      let probe = generator.bytes(1 + generator.index(below: 3)).map { $0 & 15 }
      try expect(try store.get("m", probe) == model[probe], "get differs from the model at step \(step), seed \(seed)")
    }
  }

  private func persistence() throws {
    let store = try make()
    var batch = WriteBatch()
    batch.put("p", [1], [1])
    batch.put("q", [2], [2])
    try store.commit(batch)
    guard let reopened = try reopen(store) else { return }
    try expect(try reopened.get("p", [1]) == [1], "a committed batch survives a reopen")
    try expect(try reopened.scan("q", from: [], limit: 5).map(\.value) == [[2]], "every table survives a reopen")
  }

  private func expect(_ holds: Bool, _ claim: String) throws {
    if !holds { throw Failure(claim) }
  }

  private func expectError(_ claim: String, _ body: () throws -> Void) throws {
    do { try body() } catch is StoreError { return }
    throw Failure(claim)
  }
}
