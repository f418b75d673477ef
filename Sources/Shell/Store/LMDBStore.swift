import CLMDB
import Glibc
import Threads
import Wire

/// The durable store on LMDB: committed batches survive `kill -9`, a reopen takes under a millisecond.
///
/// One process at a time owns a data directory; inside it, reads may come from any thread and don't wait for the writer.
/// Commits are one at a time and return after `fdatasync`. A read copies the value, so nothing pins old pages.
public final class LMDBStore: KeyValueStore {
  /// The store's limits.
  public struct Configuration: Hashable, Sendable {
    /// The largest size of the data file, in bytes; default 64 GiB. It is reserved as address space, not as disk or memory.
    public var mapBytes: Int = 64 << 30
    /// How many tables may exist; default 64. Each costs about 100 bytes a transaction.
    public var tableMaximum: Int = 64
    /// How many reads may run at the same moment; default 126, as LMDB.
    public var readerMaximum: Int = 126

    /// Makes the default configuration.
    public init() {}
  }

  private let environment: Environment
  private let writing = Lock()
  private let opening = Lock()
  private let sharing = Lock()
  private nonisolated(unsafe) var handles: [StoreTable: MDB_dbi] = [:]
  /// Read transactions at rest (`mdb_txn_reset`): renewing one takes no lock inside LMDB.
  private nonisolated(unsafe) var resting: [OpaquePointer] = []

  /// Opens the store in the folder `store` of a data directory and makes both where they are missing.
  ///
  /// - Throws: a ``StoreError`` that names the directory: another process holds it, it can't be written, or its data is damaged.
  public init(dataDirectory: String, configuration: Configuration = .init()) throws(StoreError) {
    environment = try Environment(dataDirectory: dataDirectory, configuration: configuration)
  }

  deinit {
    for transaction in resting { mdb_txn_abort(transaction) }
  }

  /// Bytes of the data file that hold pages now.
  public var usedBytes: Int {
    var info = MDB_envinfo()
    mdb_env_info(environment.handle, &info)
    return (info.me_last_pgno + 1) * environment.pageBytes
  }

  /// A copy of a key's value, or `nil`; O(log n).
  public func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { try read(table, key) { Self.copy($0) } }

  /// A copy of a part of a key's value, or `nil`; the rest of the value is not touched.
  public func get(_ table: StoreTable, _ key: [UInt8], in range: Range<Int>) throws(StoreError) -> [UInt8]? {
    try read(table, key) { value in
      guard range.lowerBound >= 0, range.upperBound <= Int(value.mv_size), let data = value.mv_data else { return nil }
      return Array(UnsafeRawBufferPointer(start: data + range.lowerBound, count: range.count))
    }
  }

  private func read(
    _ table: StoreTable, _ key: [UInt8], _ take: (MDB_val) -> [UInt8]?
  ) throws(StoreError) -> [UInt8]? {
    try StoreLimits.check(table: table)
    try StoreLimits.check(key: key)
    guard let handle = try handle(table, create: false) else { return nil }
    return try reading { transaction throws(StoreError) in
      var result: [UInt8]?
      var value = MDB_val()
      let code = Self.withValue(key) { mdb_get(transaction, handle, &$0, &value) }
      if code == 0 { result = take(value) }
      if code != 0 && code != MDB_NOTFOUND { throw environment.error(code, "reading from \(table.name)") }
      return result
    }
  }

  /// Copies of up to `limit` entries from `start` on, in byte order.
  public func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try scan(table, from: start, limit: limit, maximumBytes: .max)
  }

  /// The same, up to so many bytes of values; what lies behind is not touched.
  public func scan(
    _ table: StoreTable, from start: [UInt8], limit: Int, maximumBytes: Int
  ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try StoreLimits.check(table: table)
    guard limit > 0, start.count <= StoreLimits.keyMaximum, let handle = try handle(table, create: false) else { return [] }
    return try reading { transaction throws(StoreError) in
      var cursor: OpaquePointer?
      var code = mdb_cursor_open(transaction, handle, &cursor)
      guard code == 0, let cursor else { throw environment.error(code, "scanning \(table.name)") }
      defer { mdb_cursor_close(cursor) }
      var result: [(key: [UInt8], value: [UInt8])] = []
      var key = MDB_val()
      var value = MDB_val()
      if start.isEmpty {
        code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)
      } else {
        code = Self.withValue(start) { bound in
          let code = mdb_cursor_get(cursor, &bound, &value, MDB_SET_RANGE)
          key = bound
          return code
        }
      }
      var left = maximumBytes
      while code == 0 {
        left -= Int(value.mv_size)
        if left < 0 && !result.isEmpty { return result }
        result.append((Self.copy(key), Self.copy(value)))
        if result.count >= limit { return result }
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
      }
      if code != MDB_NOTFOUND { throw environment.error(code, "scanning \(table.name)") }
      return result
    }
  }

  /// Makes the whole batch durable or nothing of it; waits for other commits and for the disk.
  public func commit(_ batch: WriteBatch) throws(StoreError) {
    try StoreLimits.check(batch)
    guard !batch.isEmpty else { return }
    try writing.withLock { () throws(StoreError) in
      var targets: [MDB_dbi?] = []
      targets.reserveCapacity(batch.operations.count)
      for operation in batch.operations { targets.append(try handle(operation.table, create: operation.value != nil)) }
      var transaction: OpaquePointer?
      var code = mdb_txn_begin(environment.handle, nil, 0, &transaction)
      guard code == 0, let transaction else { throw environment.error(code, "beginning a commit") }
      for (operation, target) in zip(batch.operations, targets) {
        // A table that a later operation of this batch makes has nothing to remove yet.
        guard let target else { continue }
        if let bytes = operation.value {
          code = Self.withValue(operation.key) { key in Self.withValue(bytes) { mdb_put(transaction, target, &key, &$0, 0) } }
        } else {
          code = Self.withValue(operation.key) { mdb_del(transaction, target, &$0, nil) }
          if code == MDB_NOTFOUND { code = 0 }
        }
        if code != 0 {
          mdb_txn_abort(transaction)
          throw environment.error(code, "writing to \(operation.table.name)")
        }
      }
      // On an error the transaction is freed too, and nothing of it is visible.
      code = mdb_txn_commit(transaction)
      if code != 0 { throw environment.error(code, "making a commit durable") }
    }
  }

  /// The table's handle; `nil` when it doesn't exist and `create` is false.
  private func handle(_ table: StoreTable, create: Bool) throws(StoreError) -> MDB_dbi? {
    if let known = sharing.withLock({ handles[table] }) { return known }
    // LMDB allows one transaction of the process at a time to open handles.
    return try opening.withLock { () throws(StoreError) in
      if let known = sharing.withLock({ handles[table] }) { return known }
      var transaction: OpaquePointer?
      var code = mdb_txn_begin(environment.handle, nil, create ? 0 : UInt32(MDB_RDONLY), &transaction)
      guard code == 0, let transaction else { throw environment.error(code, "opening the table \(table.name)") }
      var handle = MDB_dbi()
      code = mdb_dbi_open(transaction, table.name, create ? UInt32(MDB_CREATE) : 0, &handle)
      guard code == 0 else {
        mdb_txn_abort(transaction)
        if code == MDB_NOTFOUND { return nil }
        throw environment.error(code, "opening the table \(table.name)")
      }
      code = mdb_txn_commit(transaction)
      guard code == 0 else { throw environment.error(code, "opening the table \(table.name)") }
      sharing.withLock { handles[table] = handle }
      return handle
    }
  }

  private func reading<R>(_ body: (OpaquePointer) throws(StoreError) -> R) throws(StoreError) -> R {
    var transaction = sharing.withLock { resting.popLast() }
    var code: Int32
    if let transaction {
      code = mdb_txn_renew(transaction)
      if code != 0 { mdb_txn_abort(transaction) }
    } else {
      code = mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &transaction)
    }
    guard code == 0, let transaction else { throw environment.error(code, "beginning a read") }
    defer {
      mdb_txn_reset(transaction)
      sharing.withLock { resting.append(transaction) }
    }
    return try body(transaction)
  }

  private static func withValue(_ bytes: [UInt8], _ body: (inout MDB_val) -> Int32) -> Int32 {
    bytes.withUnsafeBytes { buffer in
      // LMDB takes non-const pointers and doesn't write through those of keys and values that it is given.
      var value = MDB_val(mv_size: buffer.count, mv_data: UnsafeMutableRawPointer(mutating: buffer.baseAddress))
      return body(&value)
    }
  }

  private static func copy(_ value: MDB_val) -> [UInt8] {
    guard value.mv_size > 0, let data = value.mv_data else { return [] }
    return Array(UnsafeRawBufferPointer(start: data, count: value.mv_size))
  }
}
