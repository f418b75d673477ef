import Threads
import Wire

/// A store in memory with the semantics of the durable engine: the twin for tests and the simulator, and what a ``JournalStore`` reads from.
///
/// Safe for use from any thread. Reads are O(log n). Nothing survives the object.
public final class MemoryStore: KeyValueStore {
  private let lock = Lock()
  private nonisolated(unsafe) var tables: Tables

  /// Makes an empty store.
  public init() { tables = Tables() }

  /// The value of a key, or `nil`.
  public func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
    try StoreLimits.check(table: table)
    try StoreLimits.check(key: key)
    return lock.withLock { tables.maps[table]?[key] }
  }

  /// Up to `limit` entries from `start` on, in byte order.
  public func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try StoreLimits.check(table: table)
    return lock.withLock { tables.maps[table]?.scan(from: start, limit: limit) ?? [] }
  }

  /// Applies the whole batch at once.
  public func commit(_ batch: WriteBatch) throws(StoreError) {
    try StoreLimits.check(batch)
    apply(batch.operations)
  }

  /// Applies operations that were checked before, at once.
  func apply(_ operations: [WriteBatch.Operation]) {
    lock.withLock {
      for operation in operations { tables.apply(operation) }
    }
  }

  /// What is there now.
  var snapshot: Tables { lock.withLock { tables } }
}

/// The maps of an in-memory engine; a value, so that a copy is a snapshot.
struct Tables: Sendable {
  var maps: [StoreTable: OrderedBytesMap] = [:]

  mutating func apply(_ operation: WriteBatch.Operation) {
    maps[operation.table, default: OrderedBytesMap()][operation.key] = operation.value
  }
}

/// What every engine refuses in the same words, before anything is written.
enum StoreLimits {
  /// LMDB's default for `mdb_env_get_maxkeysize`.
  static let keyMaximum = 511
  static let tableNameMaximum = 64

  static func check(table: StoreTable) throws(StoreError) {
    let name = table.name.utf8
    guard !name.isEmpty, name.count <= tableNameMaximum, name.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw StoreError("a table's name has 1 to \(tableNameMaximum) printable ASCII letters")
    }
  }

  static func check(key: [UInt8]) throws(StoreError) {
    guard !key.isEmpty, key.count <= keyMaximum else {
      throw StoreError("a key has 1 to \(keyMaximum) bytes, this one has \(key.count)")
    }
  }

  static func check(_ batch: WriteBatch) throws(StoreError) {
    for operation in batch.operations {
      try check(table: operation.table)
      try check(key: operation.key)
    }
  }
}
