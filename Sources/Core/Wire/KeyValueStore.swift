/// A named ordered map inside a ``KeyValueStore``.
public struct StoreTable: Hashable, Sendable, ExpressibleByStringLiteral {
  /// The name; at most 64 ASCII letters.
  public let name: String

  /// Makes a table name.
  public init(_ name: String) { self.name = name }
  /// Makes a table name of a literal.
  public init(stringLiteral name: String) { self.name = name }
}

/// Writes that become durable together or not at all.
public struct WriteBatch: Sendable {
  /// One change; `value` is `nil` for a removal.
  public struct Operation: Hashable, Sendable {
    /// The map to change.
    public let table: StoreTable
    /// The key, 1 to 511 bytes.
    public let key: [UInt8]
    /// The new value, or `nil` to remove the key.
    public let value: [UInt8]?
  }

  /// The changes in order; a later one to the same key wins.
  public private(set) var operations: [Operation] = []

  /// Makes an empty batch.
  public init() {}

  /// Whether there is nothing to write.
  public var isEmpty: Bool { operations.isEmpty }

  /// Sets a key.
  public mutating func put(_ table: StoreTable, _ key: [UInt8], _ value: [UInt8]) {
    operations.append(Operation(table: table, key: key, value: value))
  }

  /// Removes a key; nothing happens if it is absent.
  public mutating func remove(_ table: StoreTable, _ key: [UInt8]) {
    operations.append(Operation(table: table, key: key, value: nil))
  }

  /// Adds another batch's changes behind this one's.
  public mutating func append(_ other: WriteBatch) { operations.append(contentsOf: other.operations) }
}

/// Why the store could not do what was asked.
public struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, in words for the operator.
  public let message: String
  /// What kind of thing went wrong.
  public let kind: Kind
  /// Kinds of failures, as far as somebody acts on them.
  public enum Kind: Hashable, Sendable {
    /// The store could not do it now: no room, no permission, a broken disk.
    case failed
    /// Nothing is wrong but that another process has the store.
    case inUse
    /// What is stored cannot be read, and will not be later.
    case damaged
  }
  /// Makes an error.
  public init(_ message: String, _ kind: Kind = .failed) {
    self.message = message
    self.kind = kind
  }
  /// The message, for the operator.
  public var description: String { "store: \(message)" }
}

/// A durable ordered byte map with several tables; the seam through which the core reads what it wrote earlier.
///
/// Reads may come from any thread. Core machines read through it and hand their writes to the shell as ``WriteBatch`` outputs.
public protocol KeyValueStore: AnyObject, Sendable {
  /// The value of a key, or `nil`.
  func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]?

  /// A part of the value of a key; `nil` when the key is absent or its value is shorter. An engine on a disk reads no more than the part.
  func get(_ table: StoreTable, _ key: [UInt8], in range: Range<Int>) throws(StoreError) -> [UInt8]?

  /// Up to `limit` entries with keys at or after `start`, in ascending byte order of keys, all of one moment.
  func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])]

  /// The same, and behind the first entry only while the values have `maximumBytes` in all at most. An engine on a disk reads no more.
  func scan(
    _ table: StoreTable, from start: [UInt8], limit: Int, maximumBytes: Int
  ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])]

  /// Makes the whole batch durable; on return it survives `kill -9`. On an error nothing of it was written.
  func commit(_ batch: WriteBatch) throws(StoreError)
}

// For stores in memory, which have whole values at hand.
extension KeyValueStore {
  public func get(_ table: StoreTable, _ key: [UInt8], in range: Range<Int>) throws(StoreError) -> [UInt8]? {
    guard let value = try get(table, key), range.lowerBound >= 0, range.upperBound <= value.count else { return nil }
    return Array(value[range])
  }

  public func scan(
    _ table: StoreTable, from start: [UInt8], limit: Int, maximumBytes: Int
  ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    let rows = try scan(table, from: start, limit: limit)
    var left = maximumBytes
    let fitting = rows.prefix {
      left -= $0.value.count
      return left >= 0
    }
    return Array(rows.prefix(max(1, fitting.count)))
  }
}
