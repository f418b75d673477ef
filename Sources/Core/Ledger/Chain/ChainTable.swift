import Wire

/// The tables of a chain's store and the shapes of their keys and values.
public enum ChainTable {
  /// `genesis`, `head`, `sealed`.
  public static let meta: StoreTable = "meta"
  /// Height (8 bytes, big endian) → block.
  public static let blocks: StoreTable = "blocks"
  /// Block hash → height.
  public static let heights: StoreTable = "heights"
  /// Transaction id → ``Place``.
  public static let transactions: StoreTable = "transactions"
  /// State key → value.
  public static let state: StoreTable = "state"
  /// Height → what the block changed, for the last blocks.
  public static let undo: StoreTable = "undo"
  /// Transaction id → pending transaction.
  public static let pool: StoreTable = "pool"

  static let genesisKey = Array("genesis".utf8)
  static let headKey = Array("head".utf8)
  static let sealedKey = Array("sealed".utf8)

  static func key(_ height: UInt64) -> [UInt8] {
    var key: [UInt8] = []
    key.appendBigEndian(height)
    return key
  }

  static func number(_ bytes: some Collection<UInt8>) -> UInt64? {
    bytes.count == 8 ? bytes.reduce(0) { $0 << 8 | UInt64($1) } : nil
  }

  /// Where a transaction stands: in which block, as which of its transactions, and where in the block's bytes.
  ///
  /// 8 bytes of height and 4 each of index, offset and length, big endian. Entries of stores that were written before have no offset and length;
  /// their blocks are read whole.
  struct Place: Hashable {
    let height: UInt64
    let index: Int
    let range: Range<Int>?

    init(height: UInt64, index: Int, range: Range<Int>?) {
      self.height = height
      self.index = index
      self.range = range
    }

    var encoded: [UInt8] {
      var value = key(height)
      value.appendBigEndian(UInt32(truncatingIfNeeded: index))
      if let range {
        value.appendBigEndian(UInt32(truncatingIfNeeded: range.lowerBound))
        value.appendBigEndian(UInt32(truncatingIfNeeded: range.count))
      }
      return value
    }

    init?(_ bytes: [UInt8]) {
      guard bytes.count == 12 || bytes.count == 20, let height = number(bytes[..<8]) else { return nil }
      func word(_ start: Int) -> Int { bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) } }
      self.init(height: height, index: word(8), range: bytes.count == 12 ? nil : word(12)..<word(12) + word(16))
    }
  }

  static func head(_ head: ChainHead) -> [UInt8] { head.hash.bytes + key(head.height) }

  static func head(_ bytes: [UInt8]) -> (hash: Hash256, height: UInt64)? {
    guard bytes.count == 40, let hash = Hash256(bytes[..<32]), let height = number(bytes[32...]) else { return nil }
    return (hash, height)
  }
}

/// What takes a block back after a restart.
///
///     message Undo { bytes work = 1; uint64 slot = 2; repeated Entry entries = 3; }
///     message Entry { bytes key = 1; bytes old = 2; }   // 2 is absent where the key was
struct UndoRecord {
  let weight: ChainWeight
  let changes: [StateChange]

  init(weight: ChainWeight, changes: [StateChange]) {
    self.weight = weight
    self.changes = changes
  }

  var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 32 + changes.count * 64)
    var work: [UInt8] = []
    work.appendBigEndian(weight.work)
    writer.data(1, work)
    writer.uint64(2, weight.slot)
    for change in changes {
      writer.message(3) {
        $0.hash(1, change.key)
        if let old = change.old { $0.data(2, old) }
      }
    }
    return writer.bytes
  }

  /// Reads a record; the changes' new values are not in it and come out as `nil`.
  init(encoded span: RawSpan) throws(ProtobufError) {
    var work: UInt128 = 0
    var slot: UInt64 = 0
    var changes: [StateChange] = []
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1):
        let bytes = reader.bytes
        guard bytes.count == 16 else { throw .badField(1) }
        work = bytes.reduce(0) { $0 << 8 | UInt128($1) }
      case .number(2): slot = reader.uint64
      case .bytes(3): changes.append(try UndoRecord.entry(reader.span))
      default: throw .badField(field.number)
      }
    }
    self.init(weight: ChainWeight(work: work, slot: slot), changes: changes)
  }

  private static func entry(_ span: RawSpan) throws(ProtobufError) -> StateChange {
    var reader = ProtobufReader(span)
    let key = try reader.hash(expected: 1)
    var old: [UInt8]?
    if let field = try reader.nextField() {
      guard field == .bytes(2) else { throw .badField(field.number) }
      old = reader.bytes
      try reader.expectEnd()
    }
    return StateChange(key: key, old: old, new: nil)
  }
}
