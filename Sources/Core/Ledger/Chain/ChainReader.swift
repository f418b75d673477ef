import Identity
import Wire

/// What reads have cost: the unit in which those who cause them are charged.
public struct ReadCost: Hashable, Sendable {
  /// Look-ups in the store.
  public var lookUps = 0
  /// Bytes that were read, or decoded.
  public var bytes = 0

  /// No cost.
  public init() {}
}

/// Reads of a chain that any thread may make: of the durable chain, and of the applied blocks that are on their way to it.
///
/// A value, taken at one moment. What becomes durable later is found too; what a better branch has replaced meanwhile is not.
public struct ChainReader: Sendable {
  private let store: any KeyValueStore
  private let crypto: any CryptoSuite
  private let limits: GenesisConfiguration.Limits
  private let genesis: Hash256
  /// The transactions of applied blocks that were not durable when the reader was made.
  private let unwritten: [[TransactionInfo]]
  /// The same by their IDs, once somebody asks.
  private var onTheWay: [Hash256: TransactionInfo]?
  /// What this reader's reads have cost so far.
  public private(set) var cost = ReadCost()

  init(
    store: any KeyValueStore, crypto: any CryptoSuite, limits: GenesisConfiguration.Limits, genesis: Hash256,
    unwritten: [[TransactionInfo]]
  ) {
    self.store = store
    self.crypto = crypto
    self.limits = limits
    self.genesis = genesis
    self.unwritten = unwritten
  }

  // MARK: Blocks

  /// The encoded block at a height; `nil` above the head and for the genesis, which is not a block.
  public mutating func blockBytes(at height: UInt64) throws(StoreError) -> [UInt8]? {
    height == 0 ? nil : try get(ChainTable.blocks, ChainTable.key(height))
  }

  /// The block at a height.
  public mutating func block(at height: UInt64) throws(StoreError) -> Block? {
    guard let bytes = try blockBytes(at: height) else { return nil }
    return try decoded(bytes)
  }

  /// The height of a block of the chain; 0 for the genesis hash, `nil` for side blocks and unknown ones.
  public mutating func height(of hash: Hash256) throws(StoreError) -> UInt64? {
    if hash == genesis { return 0 }
    return try get(ChainTable.heights, hash.bytes).flatMap { ChainTable.number($0) }
  }

  /// An encoded block of the chain by its hash.
  public mutating func blockBytes(_ hash: Hash256) throws(StoreError) -> [UInt8]? {
    guard let height = try height(of: hash) else { return nil }
    return try blockBytes(at: height)
  }

  /// Encoded blocks of the chain from a height on, for a peer that catches up: at most `count` and, but for the first, `maximumBytes`. All are
  /// of one moment, so that each is the parent of the next.
  public mutating func blocks(from height: UInt64, count: Int, maximumBytes: Int) throws(StoreError) -> [[UInt8]] {
    let first = max(1, height)
    cost.lookUps += 1
    let rows = try store.scan(ChainTable.blocks, from: ChainTable.key(first), limit: count, maximumBytes: maximumBytes)
    var result: [[UInt8]] = []
    for (key, bytes) in rows {
      guard ChainTable.number(key) == first + UInt64(result.count) else { break }
      cost.bytes += bytes.count
      result.append(bytes)
    }
    return result
  }

  /// A block of its encoding, which the chain has checked.
  public mutating func decoded(_ bytes: [UInt8]) throws(StoreError) -> Block {
    cost.bytes += bytes.count
    do throws(BlockError) { return try Block(encoded: bytes.rawSpan, limits: limits) } catch {
      throw StoreError("a block is damaged: \(error)")
    }
  }

  // MARK: Transactions

  /// A transaction of an applied block; `nil` when there is none with this ID.
  public mutating func transaction(_ id: Hash256) throws(StoreError) -> TransactionStatus? {
    guard let place = try place(of: id) else { return onTheWay(id).map { .pending($0) } }
    guard let block = try block(at: place.height), block.transactions.indices.contains(place.index) else { return nil }
    return .confirmed(
      block: block.hash(crypto: crypto), height: place.height, index: place.index, bytes: block.transactions[place.index])
  }

  /// The encoded transactions of applied blocks that have these IDs, until they have `maximumBytes`: of each block only what is wanted
  /// is read. What is missing is left out.
  public mutating func transactions(_ ids: [Hash256], maximumBytes: Int) throws(StoreError) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var left = maximumBytes
    for id in ids {
      guard let bytes = try transactionBytes(id) else { continue }
      left -= bytes.count
      if left < 0 { break }
      result.append(bytes)
    }
    return result
  }

  private mutating func transactionBytes(_ id: Hash256) throws(StoreError) -> [UInt8]? {
    guard let place = try place(of: id) else { return onTheWay(id)?.bytes }
    if let range = place.range { return try get(ChainTable.blocks, ChainTable.key(place.height), in: range) }
    guard let block = try block(at: place.height), block.transactions.indices.contains(place.index) else { return nil }
    return block.transactions[place.index]
  }

  /// Those of the IDs that no applied block has.
  public mutating func missing(_ ids: [Hash256]) throws(StoreError) -> [Hash256] {
    var result: [Hash256] = []
    for id in ids where try place(of: id) == nil && onTheWay(id) == nil { result.append(id) }
    return result
  }

  private mutating func place(of id: Hash256) throws(StoreError) -> ChainTable.Place? {
    try get(ChainTable.transactions, id.bytes).flatMap { ChainTable.Place($0) }
  }

  /// A transaction in a block that is applied and not yet durable: it has left the pool, and the store does not have it.
  private mutating func onTheWay(_ id: Hash256) -> TransactionInfo? {
    if unwritten.isEmpty { return nil }
    if onTheWay == nil {
      onTheWay = Dictionary(unwritten.joined().map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }
    return onTheWay?[id]
  }

  // MARK: The store

  private mutating func get(_ table: StoreTable, _ key: [UInt8], in range: Range<Int>? = nil) throws(StoreError) -> [UInt8]? {
    cost.lookUps += 1
    let value = if let range { try store.get(table, key, in: range) } else { try store.get(table, key) }
    cost.bytes += value?.count ?? 0
    return value
  }
}
