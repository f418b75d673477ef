import Identity
import Wire

/// A record's place in the book. It is used again after the record has gone.
typealias RecordID = UInt32

/// Seconds on the machine's clock, as records keep them. Negative before the process began.
typealias BookSeconds = Int32

extension BookSeconds {
  /// Stands for something that has not happened.
  static let never = Int32.min

  init(at instant: Instant) {
    let (quotient, remainder) = instant.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    self = Int32(clamping: Swift.max(Int64(Int32.min) + 1, quotient - (remainder < 0 ? 1 : 0)))
  }

  /// How long ago something was, in seconds; very long for ``never``.
  func age(_ now: BookSeconds) -> Int { self == .never ? .max : Int(now) - Int(self) }

  /// The instant, at the beginning of the second; `nil` for ``never``.
  var instant: Instant? { self == .never ? nil : Instant(nanoseconds: Int64(self) * 1_000_000_000) }
}

/// One address of one peer, in 120 bytes: a million of them have to fit.
struct BookRecord: Sendable {
  struct Marks: OptionSet, Hashable, Sendable {
    let rawValue: UInt8
    /// In a bucket of the tried table; then in none of the new one.
    static let tried = Marks(rawValue: 1)
    /// The peer itself said that it listens there.
    static let selfDeclared = Marks(rawValue: 2)
    /// Configured without a PeerID, so that it outlives the peer that answered there.
    static let nameless = Marks(rawValue: 4)
    /// Kept even without a bucket, because the peer is at hand.
    static let pinned = Marks(rawValue: 8)
    /// An IPv6 address.
    static let v6 = Marks(rawValue: 16)
    /// Not simply an IP address and a TCP port: the address stands beside the records.
    static let other = Marks(rawValue: 32)
    /// Named by an operator, with its peer: nothing that happens takes it away.
    static let configured = Marks(rawValue: 64)
  }

  /// The peer, or `nil` while nobody is known to answer there.
  var peer: PeerID?
  var port: UInt16 = 0
  var marks: Marks = []
  /// Failed dials since the last success.
  var failures: UInt8 = 0
  /// How many of ``buckets`` count.
  var references: UInt8 = 0
  /// The IP address; an IPv4 one in the lowest bits.
  var high: UInt64 = 0
  var low: UInt64 = 0
  /// Whose word brought it in first.
  var source: NetworkGroup
  /// When it came into the book.
  var since: BookSeconds
  /// When it was last heard of or seen.
  var heard: BookSeconds
  var tried = BookSeconds.never
  var succeeded = BookSeconds.never
  /// When it answered for the first time.
  var firstSucceeded = BookSeconds.never
  /// The next record of the same peer, or ``none``; the next free place while it is free.
  var next: RecordID = none
  /// The buckets of the new table that hold it; one of the tried table when it is marked so.
  var buckets: InlineArray<8, UInt16> = .init(repeating: 0)

  static let none = RecordID.max
  static let referencesMaximum: UInt8 = 8

  /// Whether anything keeps it in the book.
  var isHeld: Bool { references > 0 || marks.contains(.pinned) }

  /// Whether an operator has named the address.
  var isConfigured: Bool { !marks.isDisjoint(with: [.configured, .nameless]) }

  var isTried: Bool { marks.contains(.tried) }

  mutating func drop(bucket: UInt16) {
    for index in 0..<Int(references) where buckets[index] == bucket {
      for later in index..<Int(references) - 1 { buckets[later] = buckets[later + 1] }
      references -= 1
      return
    }
  }

  mutating func add(bucket: UInt16) {
    buckets[Int(references)] = bucket
    references += 1
  }
}

/// The records in blocks, so that growth copies nothing, with a list of free places.
struct RecordStore: Sendable {
  private var blocks: [[BookRecord]] = []
  private var free = BookRecord.none
  private(set) var count = 0

  private static let blockBits: RecordID = 10

  subscript(_ id: RecordID) -> BookRecord {
    get { blocks[Int(id >> Self.blockBits)][Int(id & (1 << Self.blockBits - 1))] }
    _modify { yield &blocks[Int(id >> Self.blockBits)][Int(id & (1 << Self.blockBits - 1))] }
  }

  /// Changes each record, those that are free too. O(n).
  mutating func updateAll(_ change: (inout BookRecord) -> Void) {
    for block in blocks.indices { for place in blocks[block].indices { change(&blocks[block][place]) } }
  }

  mutating func insert(_ record: BookRecord) -> RecordID {
    count += 1
    if free != BookRecord.none {
      let id = free
      free = self[id].next
      self[id] = record
      return id
    }
    if blocks.last.map({ $0.count == 1 << Self.blockBits }) ?? true { blocks.append([]) }
    blocks[blocks.count - 1].append(record)
    return RecordID(blocks.count - 1) << Self.blockBits | RecordID(blocks[blocks.count - 1].count - 1)
  }

  mutating func remove(_ id: RecordID) {
    self[id] = BookRecord(source: .local, since: 0, heard: 0)
    self[id].next = free
    free = id
    count -= 1
  }
}
