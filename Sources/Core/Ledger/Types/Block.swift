import Identity
import Wire

/// A header and the transactions that it commits to, as bytes that only the ledger understands.
///
///     message Block { BlockHeader header = 1; repeated bytes transactions = 2; }
public struct Block: Hashable, Sendable {
  /// The header.
  public let header: BlockHeader
  /// The transactions' canonical encodings, in the order of execution.
  public let transactions: [[UInt8]]

  /// Makes a block of its parts.
  public init(header: BlockHeader, transactions: [[UInt8]]) {
    self.header = header
    self.transactions = transactions
  }

  /// The canonical encoding.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 300 + transactions.reduce(0) { $0 + $1.count + 4 })
    writer.data(1, header.encoded)
    for transaction in transactions { writer.data(2, transaction) }
    return writer.bytes
  }

  /// The block's hash, which is its header's.
  public func hash(crypto: any CryptoSuite) -> Hash256 { header.hash(crypto: crypto) }

  /// The transactions' ids: SHA-256 of each.
  public func transactionIDs(crypto: any CryptoSuite) -> [Hash256] { transactions.map { crypto.sha256($0) } }

  /// Where transactions of these sizes stand in the encoding of a block of so many bytes: they are its end.
  static func ranges(ofTransactions sizes: some Sequence<Int>, inBlockOf bytes: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var end = 0
    for size in sizes {
      // A tag and a length before each.
      let start = end + 1 + Varint.size(UInt64(size))
      end = start + size
      ranges.append(start..<end)
    }
    let first = bytes - end
    return ranges.map { $0.lowerBound + first..<$0.upperBound + first }
  }

  /// Reads the canonical encoding. O(bytes).
  /// - Throws: `malformed` for any other bytes, `tooLarge` and `tooManyTransactions` beyond the limits, before anything is copied.
  public init(encoded span: RawSpan, limits: GenesisConfiguration.Limits = .init()) throws(BlockError) {
    guard span.byteCount <= limits.blockBytes else { throw .tooLarge(bytes: span.byteCount, limit: limits.blockBytes) }
    var transactions: [[UInt8]] = []
    var header: BlockHeader?
    var isFull = false
    /// What the canonical encoding has. Whatever is written in a longer form than need be makes the whole longer than that.
    var bytes = 0
    var isHeaderCanonical = false
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      try reader.expect(.bytes(1))
      let headerSpan = reader.span
      while let field = try reader.nextField() {
        guard field == .bytes(2) else { throw .badField(field.number) }
        if transactions.count == limits.blockTransactions {
          isFull = true
          break
        }
        transactions.append(reader.bytes)
        bytes += Self.fieldBytes(reader.span.byteCount)
      }
      do throws(BlockError) { header = try BlockHeader(encoded: headerSpan) } catch { throw ProtobufError.badField(1) }
      bytes += Self.fieldBytes(headerSpan.byteCount)
      isHeaderCanonical = header.map { headerSpan.elementsEqual($0.encoded) } ?? false
    } catch {
      throw .malformed("not a block (\(error))")
    }
    if isFull { throw .tooManyTransactions(limit: limits.blockTransactions) }
    guard let header else { throw .malformed("no header") }
    self.init(header: header, transactions: transactions)
    guard isHeaderCanonical, span.byteCount == bytes else { throw .malformed("the block is not in its canonical encoding") }
  }

  /// A tag, a length and so many bytes.
  private static func fieldBytes(_ count: Int) -> Int { 1 + Varint.size(UInt64(count)) + count }

  /// The header of an encoded block; what stands behind it is not read. O(1).
  /// - Throws: `malformed` when there is none.
  public static func header(of span: RawSpan) throws(BlockError) -> BlockHeader {
    var reader = ProtobufReader(span)
    do throws(ProtobufError) { try reader.expect(.bytes(1)) } catch { throw .malformed("not a block (\(error))") }
    return try BlockHeader(encoded: reader.span)
  }
}
