import Identity
import Wire

/// What a block says about itself, sealed by its producer (`Docs/protocols/chain.md`, section Header).
///
/// Protobuf, every field present in ascending order; any other encoding is refused.
///
///     message BlockHeader {
///       uint64 version = 1;          // 1
///       bytes  chain = 2;            // genesis hash
///       bytes  parent = 3;           // hash of the block before; of the genesis for height 1
///       uint64 height = 4;           // the genesis is 0
///       uint64 time = 5;             // milliseconds since 1970
///       bytes  transactionRoot = 6;
///       bytes  stateRoot = 7;        // of the state after this block
///       bytes  producer = 8;         // Ed25519 public key
///       uint64 slot = 9;             // the consensus round
///       bytes  consensusData = 10;   // at most 128 bytes; empty under proof of authority
///       bytes  seal = 15;            // at most 128 bytes; under proof of authority the signature over 1 to 10
///     }
public struct BlockHeader: Hashable, Sendable {
  /// The format; always 1.
  public var version: UInt64 = 1
  /// The genesis hash.
  public var chain: Hash256
  /// The hash of the block before.
  public var parent: Hash256
  /// The number of blocks below this one, the genesis included.
  public var height: UInt64
  /// When the block's slot began.
  public var time: WallTime
  /// The Merkle root of the transactions' ids.
  public var transactionRoot: Hash256
  /// The root of the state behind this block.
  public var stateRoot: Hash256
  /// Who made the block and gets its fees.
  public var producer: Address
  /// The consensus round; grows from block to block.
  public var slot: UInt64
  /// What the consensus engine adds; at most 128 bytes.
  public var consensusData: [UInt8]
  /// The producer's seal; at most 128 bytes.
  public var seal: [UInt8]

  /// Makes a header of its parts.
  public init(
    chain: Hash256, parent: Hash256, height: UInt64, time: WallTime, transactionRoot: Hash256, stateRoot: Hash256, producer: Address,
    slot: UInt64, consensusData: [UInt8] = [], seal: [UInt8] = []
  ) {
    self.chain = chain
    self.parent = parent
    self.height = height
    self.time = time
    self.transactionRoot = transactionRoot
    self.stateRoot = stateRoot
    self.producer = producer
    self.slot = slot
    self.consensusData = consensusData
    self.seal = seal
  }

  /// The canonical encoding with the seal.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 280)
    write(to: &writer)
    writer.data(15, seal)
    return writer.bytes
  }

  /// What the seal is made over: a domain string and the fields 1 to 10.
  public var sealingBytes: [UInt8] {
    var writer = ProtobufWriter(capacity: 224)
    write(to: &writer)
    return BlockHeader.sealingDomain + writer.bytes
  }

  /// The block's hash: SHA-256 of the sealed encoding.
  public func hash(crypto: any CryptoSuite) -> Hash256 { crypto.sha256(encoded) }

  /// Reads the canonical encoding.
  /// - Throws: `malformed` for any other bytes.
  public init(encoded span: RawSpan) throws(BlockError) {
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      let version = try reader.uint64(expected: 1)
      let chain = try reader.hash(expected: 2)
      let parent = try reader.hash(expected: 3)
      let height = try reader.uint64(expected: 4)
      let time = try reader.uint64(expected: 5)
      guard height < UInt64.max / 2 else { throw .badField(4) }
      guard let milliseconds = Int64(exactly: time), milliseconds < BlockHeader.latestTime else { throw .badField(5) }
      let transactionRoot = try reader.hash(expected: 6)
      let stateRoot = try reader.hash(expected: 7)
      let producer = try reader.address(expected: 8)
      let slot = try reader.uint64(expected: 9)
      let consensusData = try reader.bytes(expected: 10, limit: 128)
      let seal = try reader.bytes(expected: 15, limit: 128)
      try reader.expectEnd()
      self.init(
        chain: chain, parent: parent, height: height, time: WallTime(milliseconds: milliseconds), transactionRoot: transactionRoot,
        stateRoot: stateRoot, producer: producer, slot: slot, consensusData: consensusData, seal: seal)
      self.version = version
    } catch {
      throw .malformed("not a block header (\(error))")
    }
    guard span.elementsEqual(encoded) else { throw .malformed("the header is not in its canonical encoding") }
  }

  private func write(to writer: inout ProtobufWriter) {
    writer.uint64(1, version)
    writer.hash(2, chain)
    writer.hash(3, parent)
    writer.uint64(4, height)
    writer.uint64(5, UInt64(clamping: time.milliseconds))
    writer.hash(6, transactionRoot)
    writer.hash(7, stateRoot)
    writer.address(8, producer)
    writer.uint64(9, slot)
    writer.data(10, consensusData)
  }

  /// Times at or behind this (the year 36,812) are refused, so that sums with durations stay in range.
  static let latestTime: Int64 = 1 << 50
  private static let sealingDomain = Array("starling-block-1\0".utf8)
}
