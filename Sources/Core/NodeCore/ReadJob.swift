import Identity
import Ledger
import Peering
import Sync
import Wire

/// Names something that is read away from the core's thread; its result carries the name back.
public struct ReadID: Hashable, Sendable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// Something whose cost somebody else chooses: blocks and transactions to read from the store, messages with thousands of items to decode.
/// It is pure but for reads of the store: run it on any thread and report the result.
public struct ReadJob: Sendable {
  enum Wanted: Sendable {
    /// A peer's answer: blocks of the chain from a height on.
    case range(from: UInt64, count: Int, maximumBytes: Int)
    /// A peer's answer: one block, whose bytes may be at hand.
    case block(Hash256, bytes: [UInt8]?)
    /// A peer's answer: transactions, of which some are pending.
    case transactions(pending: [[UInt8]], others: [Hash256], maximumBytes: Int)
    /// A peer's answer: the IDs of pending transactions.
    case pendingIDs([Hash256])
    /// A user's block.
    case userBlock(Hash256, bytes: [UInt8]?)
    /// A user's block, by its height.
    case userBlockAt(UInt64)
    /// A user's transaction.
    case userTransaction(Hash256)
    /// The peers whose names a text may mean.
    case names(String, Set<PeerID>)
    /// Which of a peer's pending transactions this node lacks; `others` are those that are not pending here.
    case missing([Hash256])
    /// What a peer answered to a request for blocks.
    case answer([UInt8], GenesisConfiguration.Limits)
  }

  let wanted: Wanted
  let reader: ChainReader
  let crypto: any CryptoSuite

  /// Whether it is a user who waits, and not a peer.
  public var isUsers: Bool {
    switch wanted {
    case .userBlock, .userBlockAt, .userTransaction, .names: true
    case .range, .block, .transactions, .pendingIDs, .missing, .answer: false
    }
  }

  /// Does it.
  public func run() -> ReadResult {
    var reader = reader
    var value: ReadResult.Value
    do throws(StoreError) { value = try read(&reader) } catch { value = .failed(error) }
    var cost = reader.cost
    switch wanted {
    case .answer(let bytes, _): cost.bytes += bytes.count
    case .pendingIDs(let ids): cost.bytes += ids.count * 32
    default: break
    }
    return ReadResult(value: value, cost: cost)
  }

  private func read(_ reader: inout ChainReader) throws(StoreError) -> ReadResult.Value {
    switch wanted {
    case .range(let from, let count, let maximum):
      return .answer(BytesList(try reader.blocks(from: from, count: count, maximumBytes: maximum)).encoded)
    case .block(let hash, let bytes):
      return .answer(BytesList(try self.bytes(of: hash, atHand: bytes, &reader).map { [$0] } ?? []).encoded)
    case .transactions(let pending, let others, let maximum):
      let left = maximum - pending.reduce(0) { $0 + $1.count }
      let stored = left > 0 ? try reader.transactions(others, maximumBytes: left) : []
      return .answer(BytesList(pending + stored).encoded)
    case .pendingIDs(let ids):
      var writer = ProtobufWriter(capacity: ids.count * 34)
      for id in ids { writer.hash(1, id) }
      return .answer(writer.bytes)
    case .userBlock(let hash, let bytes):
      guard let bytes = try self.bytes(of: hash, atHand: bytes, &reader) else { return .notFound }
      return .block(hash, try reader.decoded(bytes))
    case .userBlockAt(let height):
      guard let bytes = try reader.blockBytes(at: height) else { return .notFound }
      let block = try reader.decoded(bytes)
      return .block(block.hash(crypto: crypto), block)
    case .userTransaction(let id):
      guard let status = try reader.transaction(id) else { return .notFound }
      return .transaction(id, status)
    case .names(let text, let peers): return .names(PeeringMachine.peers(named: text, among: peers))
    case .missing(let ids): return .missing(try reader.missing(ids))
    case .answer(let bytes, let limits): return fetched(bytes, limits).map { .fetched($0) } ?? .notFound
    }
  }

  private func bytes(of hash: Hash256, atHand bytes: [UInt8]?, _ reader: inout ChainReader) throws(StoreError) -> [UInt8]? {
    if let bytes { return bytes }
    return try reader.blockBytes(hash)
  }

  /// Reads what is needed to put blocks in order; `nil` when one cannot be read.
  private func fetched(_ bytes: [UInt8], _ limits: GenesisConfiguration.Limits) -> [FetchedBlock]? {
    guard let list = try? BytesList(encoded: bytes.rawSpan, maximum: BlocksRequest.maximumCount) else { return nil }
    var blocks: [FetchedBlock] = []
    blocks.reserveCapacity(list.items.count)
    for item in list.items {
      guard let block = try? Block(encoded: item.rawSpan, limits: limits) else { return nil }
      blocks.append(
        FetchedBlock(bytes: item, height: block.header.height, hash: block.hash(crypto: crypto), parent: block.header.parent))
    }
    return blocks
  }
}

/// What came of a ``ReadJob``.
public struct ReadResult: Sendable {
  enum Value: Sendable {
    /// The bytes of an answer to a peer.
    case answer([UInt8])
    case block(Hash256, Block)
    case transaction(Hash256, TransactionStatus)
    case names([PeerID])
    case missing([Hash256])
    case fetched([FetchedBlock])
    /// There is no such thing, or it cannot be read.
    case notFound
    case failed(StoreError)
  }

  let value: Value
  /// What it cost.
  public let cost: ReadCost
}
