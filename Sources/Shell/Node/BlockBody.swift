import HTTPAPI
import Ledger
import NodeCore
import Wire

/// The answer with a block of many transactions, made while it is sent: whoever asks for it and does not read it has little made for it.
final class BlockBody: PiecewiseBody, @unchecked Sendable {
  private let hash: Hash256
  private let block: Block
  private let end: [UInt8]
  /// What stands before the first transaction, until it is sent.
  private var start: [UInt8]?
  private var index = 0
  private var isFirst = true
  private var isOver = false
  let keptBytes: Int

  /// The answer with a block: at once when it is short.
  static func response(_ hash: Hash256, _ block: Block) -> HTTPResponse {
    let bytes = block.transactions.reduce(0) { $0 + $1.count }
    guard bytes > shortBytes, let body = BlockBody(hash, block, bytes) else { return .success(BlockResponse(hash, block)) }
    return HTTPResponse(headers: [("Content-Type", "application/json")], pieces: body)
  }

  private init?(_ hash: Hash256, _ block: Block, _ bytes: Int) {
    let empty = HTTPResponse.success(BlockResponse(hash, Block(header: block.header, transactions: []))).body
    // Nothing else in it can look like this: all else are numbers and hexadecimal digits.
    let list = Array("\"transactions\":[".utf8)
    guard let place = empty.firstRange(of: list)?.lowerBound else { return nil }
    self.hash = hash
    self.block = block
    start = Array(empty[..<(place + list.count)])
    end = Array(empty[(place + list.count)...])
    keptBytes = bytes
  }

  func next() -> [UInt8]? {
    if isOver { return nil }
    var piece = start ?? []
    start = nil
    while piece.count < Self.pieceBytes {
      guard index < block.transactions.count else {
        isOver = true
        return piece + end
      }
      let response = TransactionResponse(block, at: index, of: hash)
      index += 1
      guard let response, let text = HTTPResponse.encoded(response) else { continue }
      if !isFirst { piece.append(0x2c) }
      isFirst = false
      piece += text
    }
    return piece
  }

  private static let shortBytes = 16_384
  private static let pieceBytes = 16_384
}

extension TransactionResponse {
  /// A transaction of a block; `nil` when its bytes are not one of the reference ledger.
  init?(_ block: Block, at index: Int, of hash: Hash256) {
    let bytes = block.transactions[index]
    self.init(Node.crypto.sha256(bytes), .confirmed(block: hash, height: block.header.height, index: index, bytes: bytes))
  }
}
