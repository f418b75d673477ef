import Foundation
import HTTPAPI
import Identity
import Ledger
import Testing
import Wire

@testable import Node

@Suite struct BlockBodyTests {
  /// A block's answer says the same whether it is made at once or while it is sent; what is no transaction is left out.
  @Test(arguments: [0, 1, 30, 400]) func sameAnswerInPieces(count: Int) throws {
    let crypto = Node.crypto
    let key = NodeKey(seed: [UInt8](repeating: 7, count: 32), crypto: crypto)
    var transactions = (0..<count).map { index in
      Transaction(
        chain: .zero, nonce: UInt64(index), fee: Amount(5),
        payload: .setData(key: [1, UInt8(index & 255)], value: [UInt8](repeating: UInt8(index & 255), count: 600)), key: key, crypto: crypto
      ).encoded
    }
    if count > 1 { transactions.insert([1, 2, 3], at: count / 2) }
    let header = BlockHeader(
      chain: .zero, parent: .zero, height: 9, time: WallTime(milliseconds: 9_000), transactionRoot: .zero, stateRoot: .zero,
      producer: try #require(Address(key.publicKey)), slot: 9, seal: [UInt8](repeating: 3, count: 64))
    let block = Block(header: header, transactions: transactions)
    let hash = crypto.sha256([UInt8](repeating: 1, count: 3))
    let response = BlockBody.response(hash, block)
    #expect((response.pieces == nil) == (count < 30))
    var bytes = response.body
    var pieces = 0
    while let piece = response.pieces?.next() {
      #expect(!piece.isEmpty)
      bytes += piece
      pieces += 1
    }
    let decoded = try JSONSerialization.jsonObject(with: Data(bytes)) as? NSDictionary
    let wanted = try JSONSerialization.jsonObject(with: Data(HTTPResponse.success(BlockResponse(hash, block)).body)) as? NSDictionary
    #expect(decoded != nil && decoded == wanted)
    // No piece holds more than one transaction beyond its measure.
    #expect(pieces * 20_000 >= (response.pieces == nil ? 0 : bytes.count))
  }
}
