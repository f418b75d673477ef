import Crypto
import Foundation
import HTTPAPI
import Identity
import Ledger
import Node
import Wire

/// `starling send`
enum SendCommand {
  private struct Sent: Encodable {
    let transactionHash: String
    let nonce: UInt64
    let fee: UInt64
    let status: String
    let height: UInt64?

    enum CodingKeys: String, CodingKey {
      case nonce, fee, status, height
      case transactionHash = "transaction_hash"
    }
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    guard let file = call["key"] else { throw Failure.usage(call, "--key is missing") }
    let payload = try payload(call)
    let givenFee = try Parse.unsigned(call, "fee").map { Amount($0) }
    let nonce = try Parse.unsigned(call, "nonce")
    let api = try NodeAPI(call)
    let crypto = SystemCrypto.shared
    let key = try KeyFile.read(file, crypto: crypto)
    let info = try api.chain()
    guard let chain = Hash256(hex: info.genesisHash) else { throw Failure("\(api.url) tells no genesis hash") }
    let next = try nonce ?? api.account(Base16.encode(key.publicKey.data)).nextNonce
    let fee = try givenFee ?? sufficientFee(for: payload, info)
    let transaction = Transaction(chain: chain, nonce: next, fee: fee, payload: payload, key: key, crypto: crypto)
    let hash = try submit(transaction.encoded, api, patiently: call.isOn("wait"))
    var status = "submitted"
    var height: UInt64?
    if call.isOn("wait") {
      height = try wait(for: hash, api)
      status = "confirmed"
    }
    if call.isOn("json") {
      Output.json(Sent(transactionHash: hash, nonce: next, fee: fee.units, status: status, height: height))
    } else {
      Output.rows(
        [
          ("Transaction", hash), ("Nonce", "\(next)"), ("Fee", "\(fee.units)"),
          ("Status", height.map { "in block \($0)" } ?? "accepted; add --wait to see it in a block"),
        ])
    }
    return ExitStatus.success
  }

  private static func payload(_ call: ParsedCommand) throws -> Transaction.Payload {
    let given = ["to", "set", "delete"].filter { call[$0] != nil }
    guard given.count == 1 else {
      throw Failure.usage(
        call, given.isEmpty ? "give one of --to, --set and --delete" : "--\(given[0]) and --\(given[1]) exclude each other")
    }
    let amount = try Parse.unsigned(call, "amount")
    if let text = call["to"] {
      guard let address = Address(hex: text) else {
        throw Failure.usage(call, "--to: '\(text)' is not an address of 64 hexadecimal digits")
      }
      guard let amount else { throw Failure.usage(call, "--to needs --amount") }
      return .transfer(to: address, amount: Amount(amount))
    }
    guard amount == nil else { throw Failure.usage(call, "--amount is for --to") }
    if let key = call["delete"] { return .deleteData(key: Array(key.utf8)) }
    let parts = (call["set"] ?? "").split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else { throw Failure.usage(call, "--set needs KEY=VALUE") }
    return .setData(key: Array(parts[0].utf8), value: Array(parts[1].utf8))
  }

  /// What is enough whatever the chain's state is, by the fees that the node tells. It may tell any: a user is asked first about one that is far
  /// above what is usual.
  private static func sufficientFee(for payload: Transaction.Payload, _ chain: ChainInfoResponse) throws -> Amount {
    var limits = GenesisConfiguration.Limits()
    let usual = limits.sufficientFee(for: payload)
    limits.minimumFee = Amount(chain.minimumFee)
    limits.stateByteFee = Amount(chain.stateByteFee)
    let fee = limits.sufficientFee(for: payload)
    guard fee.units / unusual < max(1, usual.units) else {
      throw Failure("the node asks for a fee of \(fee.units), where \(usual.units) is usual; if you agree, give it: --fee \(fee.units)")
    }
    return fee
  }

  /// How many times the usual fee is paid without being asked for.
  private static let unusual: UInt64 = 100

  /// Sends the transaction; `patiently` also while the node catches up.
  private static func submit(_ transaction: [UInt8], _ api: NodeAPI, patiently: Bool) throws -> String {
    let deadline = ContinuousClock.now + .seconds(60)
    while true {
      do throws(HTTPClientError) { return try api.submit(transaction).transactionHash } catch {
        guard patiently, error.status == 503, ContinuousClock.now < deadline else { throw error }
        usleep(200_000)
      }
    }
  }

  /// The height of the block that the transaction gets into.
  private static func wait(for hash: String, _ api: NodeAPI) throws -> UInt64 {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
      if let transaction = try api.transaction(hash), transaction.status == .confirmed, let height = transaction.height { return height }
      usleep(200_000)
    }
    throw Failure("transaction \(hash) is accepted, but in no block after a minute; 'starling status' tells how the node does")
  }
}
