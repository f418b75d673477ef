import Conformance
import Foundation
import Store
import Testing
import Wire

/// A directory that disappears with the object.
final class TemporaryDirectory: Sendable {
  let path: String
  init() {
    path = NSTemporaryDirectory() + "starling-store-\(UUID().uuidString)"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Opens stores at fresh paths and opens them again.
final class Reopener {
  private let root = TemporaryDirectory()
  private let engine: (String) throws -> any KeyValueStore
  private var count = 0
  private var current = ""

  init(_ engine: @escaping (String) throws -> any KeyValueStore) { self.engine = engine }

  func make() throws -> any KeyValueStore {
    count += 1
    current = root.path + "/\(count)"
    return Handle(try engine(current))
  }

  func reopen(_ store: any KeyValueStore) throws -> (any KeyValueStore)? {
    (store as? Handle)?.store = nil
    return Handle(try engine(current))
  }
}

/// Lets a test drop the engine behind a reference that others still hold.
final class Handle: KeyValueStore, @unchecked Sendable {
  var store: (any KeyValueStore)?
  init(_ store: any KeyValueStore) { self.store = store }
  private func engine() throws(StoreError) -> any KeyValueStore {
    guard let store else { throw StoreError("closed") }
    return store
  }
  func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { try engine().get(table, key) }
  func get(_ table: StoreTable, _ key: [UInt8], in range: Range<Int>) throws(StoreError) -> [UInt8]? {
    try engine().get(table, key, in: range)
  }
  func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try engine().scan(table, from: start, limit: limit)
  }
  func scan(
    _ table: StoreTable, from start: [UInt8], limit: Int, maximumBytes: Int
  ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try engine().scan(table, from: start, limit: limit, maximumBytes: maximumBytes)
  }
  func commit(_ batch: WriteBatch) throws(StoreError) { try engine().commit(batch) }
}

@Suite struct StoreTests {
  @Test func memoryConforms() throws { try StoreConformance(make: { MemoryStore() }).run() }

  @Test func faultingConforms() throws {
    try StoreConformance(
      make: { FaultingStore() },
      reopen: { store in
        let faulting = try #require(store as? FaultingStore)
        faulting.sync()
        faulting.crash(.all)
        return faulting
      }
    ).run()
  }

  @Test func lmdbConforms() throws {
    let reopener = Reopener {
      var configuration = LMDBStore.Configuration()
      configuration.mapBytes = 1 << 30
      return try LMDBStore(dataDirectory: $0, configuration: configuration)
    }
    try StoreConformance(make: reopener.make, reopen: reopener.reopen).run()
  }

  @Test func journalConforms() throws {
    let reopener = Reopener { try JournalStore(path: $0) }
    try StoreConformance(make: reopener.make, reopen: reopener.reopen).run()
  }

  @Test func memoryHoldsManyKeysInOrder() throws {
    let store = MemoryStore()
    var generator = SeededGenerator(seed: 5)
    var keys: Set<[UInt8]> = []
    for _ in 0..<40 {
      var batch = WriteBatch()
      for _ in 0..<250 {
        let key = generator.bytes(4)
        keys.insert(key)
        batch.put("k", key, key)
      }
      try store.commit(batch)
    }
    let sorted = keys.sorted { $0.lexicographicallyPrecedes($1) }
    #expect(try store.scan("k", from: [], limit: .max).map(\.key) == sorted)
    var batch = WriteBatch()
    for key in sorted.prefix(9_000) { batch.remove("k", key) }
    try store.commit(batch)
    #expect(try store.scan("k", from: [], limit: 20_000).map(\.key) == Array(sorted.dropFirst(9_000)))
  }

  @Test func secondOpenNamesTheDirectory() throws {
    let directory = TemporaryDirectory()
    let store = try LMDBStore(dataDirectory: directory.path)
    let error = #expect(throws: StoreError.self) { try LMDBStore(dataDirectory: directory.path) }
    #expect(error?.message.contains(directory.path) == true)
    #expect(error?.message.contains("in use") == true)
    #expect(store.usedBytes > 0)
  }

  @Test func fullMapIsAnErrorAndKeepsWhatWasThere() throws {
    let directory = TemporaryDirectory()
    var configuration = LMDBStore.Configuration()
    configuration.mapBytes = 1 << 20
    let store = try LMDBStore(dataDirectory: directory.path, configuration: configuration)
    var small = WriteBatch()
    small.put("t", [1], [1])
    try store.commit(small)
    var big = WriteBatch()
    big.put("t", [1], [2])
    big.put("t", [2], Array(repeating: 0, count: 4 << 20))
    let error = #expect(throws: StoreError.self) { try store.commit(big) }
    #expect(error?.message.contains("full") == true)
    #expect(try store.get("t", [1]) == [1])
    try store.commit(small)
  }

  @Test func tooManyTables() throws {
    let directory = TemporaryDirectory()
    var configuration = LMDBStore.Configuration()
    configuration.tableMaximum = 2
    let store = try LMDBStore(dataDirectory: directory.path, configuration: configuration)
    var batch = WriteBatch()
    for name in ["a", "b", "c"] { batch.put(StoreTable(name), [1], [1]) }
    let error = #expect(throws: StoreError.self) { try store.commit(batch) }
    #expect(error?.message.contains("too many tables") == true)
    #expect(try store.get("a", [1]) == nil)
  }

  @Test func unusableDirectories() throws {
    let directory = TemporaryDirectory()
    try Data("x".utf8).write(to: URL(fileURLWithPath: directory.path + "/file"))
    #expect(throws: StoreError.self) { try LMDBStore(dataDirectory: directory.path + "/file") }
    #expect(throws: StoreError.self) { try LMDBStore(dataDirectory: directory.path + "/missing/deeper") }
    try FileManager.default.createDirectory(atPath: directory.path + "/junk/store", withIntermediateDirectories: true)
    try Data(repeating: 0x5a, count: 32_768).write(to: URL(fileURLWithPath: directory.path + "/junk/store/data.mdb"))
    let error = #expect(throws: StoreError.self) { try LMDBStore(dataDirectory: directory.path + "/junk") }
    #expect(error?.message.contains("damaged") == true)
  }

  /// A cut-off data file must be refused with an error: reading past its end would kill the process.
  @Test(arguments: [0.1, 0.5, 0.9, 0.99]) func truncatedFileIsRefused(share: Double) throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/store/data.mdb"
    do {
      let store = try LMDBStore(dataDirectory: directory.path)
      for number in UInt8(0)..<40 {
        var batch = WriteBatch()
        batch.put("blocks", [number], Array(repeating: number, count: 10_000))
        try store.commit(batch)
      }
    }
    let handle = try #require(FileHandle(forUpdatingAtPath: path))
    let size = try handle.seekToEnd()
    try handle.truncate(atOffset: UInt64(Double(size) * share))
    try handle.close()
    for _ in 0..<2 {
      let error = #expect(throws: StoreError.self) { try LMDBStore(dataDirectory: directory.path) }
      #expect(error?.message.contains("damaged") == true)
    }
  }

  @Test func readsFromManyThreadsDuringWrites() async throws {
    let directory = TemporaryDirectory()
    let store = try LMDBStore(dataDirectory: directory.path)
    try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        for number in UInt8(1)...60 {
          var batch = WriteBatch()
          batch.put("left", [1], [number])
          batch.put("right", [1], [number])
          try store.commit(batch)
        }
        return 0
      }
      for _ in 0..<8 {
        group.addTask {
          var last: UInt8 = 0
          for _ in 0..<500 {
            // The left value is read first, so the right one may only be newer.
            let left = try store.get("left", [1])?.first ?? 0
            let right = try store.get("right", [1])?.first ?? 0
            if right < left || left < last { return 1 }
            last = left
          }
          return 0
        }
      }
      for try await wrong in group { #expect(wrong == 0) }
    }
    #expect(try store.get("right", [1]) == [60])
  }
}

@Suite struct FaultingStoreTests {
  private func filled(_ count: UInt8) throws -> FaultingStore {
    let store = FaultingStore()
    for number in 1...count {
      var batch = WriteBatch()
      batch.put("t", [1], [number])
      batch.put("t", [2], [number])
      try store.commit(batch)
    }
    return store
  }

  @Test func crashKeepsAPrefix() throws {
    let store = try filled(5)
    #expect(store.unsyncedCount == 5)
    #expect(store.crash(.keeping(3)) == 3)
    #expect(try store.get("t", [1]) == [3])
    #expect(store.crash(.all) == 0)
    #expect(try store.get("t", [1]) == [3])
    #expect(store.statistics.lostCommits == 2)
  }

  @Test func syncSurvivesEveryLoss() throws {
    for loss in [FaultingStore.Loss.all, .keeping(0), .seeded(7), .torn(7)] {
      let store = try filled(4)
      store.sync()
      store.crash(loss)
      #expect(try store.get("t", [2]) == [4])
    }
  }

  @Test func seededLossIsWholeAndRepeats() throws {
    var outcomes: Set<UInt8> = []
    for seed in UInt64(0)..<40 {
      let first = try filled(5)
      let second = try filled(5)
      first.crash(.seeded(seed))
      second.crash(.seeded(seed))
      let value = try first.get("t", [1])
      #expect(value == (try second.get("t", [1])))
      #expect(value == (try first.get("t", [2])))
      outcomes.insert(value?.first ?? 0)
    }
    #expect(outcomes == [0, 1, 2, 3, 4, 5])
  }

  @Test func tornLossShowsHalfABatch() throws {
    var torn = 0
    for seed in UInt64(0)..<40 {
      let store = try filled(5)
      store.crash(.torn(seed))
      if try store.get("t", [1]) != store.get("t", [2]) { torn += 1 }
    }
    #expect(torn > 5)
  }

  @Test func injectedErrorsWriteNothing() throws {
    let store = try filled(1)
    store.failCommits(2)
    store.failReads()
    var batch = WriteBatch()
    batch.put("t", [1], [9])
    for _ in 0..<2 { #expect(throws: StoreError("the disk is full")) { try store.commit(batch) } }
    #expect(throws: StoreError.self) { try store.get("t", [1]) }
    #expect(try store.get("t", [1]) == [1])
    try store.commit(batch)
    #expect(try store.get("t", [1]) == [9])
    #expect(store.statistics.failures == 3)
  }

  @Test func immediateDurability() throws {
    let store = FaultingStore(durability: .immediate)
    var batch = WriteBatch()
    batch.put("t", [1], [1])
    try store.commit(batch)
    store.crash(.all)
    #expect(try store.get("t", [1]) == [1])
  }
}
