import Crypto
import EventLoop
import Identity
import Ledger
import Node

/// `starling genesis`
enum GenesisCommand {
  private struct Made: Encodable {
    let file: String
    let genesisHash: String

    enum CodingKeys: String, CodingKey {
      case file
      case genesisHash = "genesis_hash"
    }
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    guard let chainID = call["chain-id"] else { throw Failure.usage(call, "--chain-id is missing") }
    let authorities = call.all("authority")
    guard !authorities.isEmpty else { throw Failure.usage(call, "--authority is missing; 'starling keygen' prints an address") }
    for text in authorities where Address(hex: text) == nil {
      throw Failure.usage(call, "--authority: '\(text)' is not an address of 64 hexadecimal digits")
    }
    var balances: [String: UInt64] = [:]
    for text in call.all("balance") {
      let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, Address(hex: parts[0]) != nil, let amount = UInt64(parts[1]) else {
        throw Failure.usage(call, "--balance: '\(text)' must be ADDRESS=AMOUNT: 64 hexadecimal digits, '=' and a whole number")
      }
      guard balances.updateValue(amount, forKey: parts[0].lowercased()) == nil else {
        throw Failure.usage(call, "--balance: \(parts[0]) is given twice")
      }
    }
    let blockTime = try Parse.duration(call, "block-time", default: .seconds(5), in: .milliseconds(10)...(.seconds(3_600)))
    var time = Platform.wallTime.milliseconds
    if let text = call["time"], text != "now" {
      guard let value = Int64(text), value >= 0 else {
        throw Failure.usage(call, "--time: '\(text)' is neither 'now' nor milliseconds since 1970")
      }
      time = value
    }
    let fees = GenesisConfiguration.Limits()
    let limits = GenesisFile.Limits(
      minimumFee: try Parse.unsigned(call, "minimum-fee") ?? fees.minimumFee.units,
      stateByteFee: try Parse.unsigned(call, "state-byte-fee") ?? fees.stateByteFee.units)
    let genesis = GenesisFile(
      chainID: chainID, genesisTimeMilliseconds: time, blockTimeMilliseconds: Int64(blockTime.milliseconds), authorities: authorities,
      balances: balances, limits: limits)
    let file = call["out"] ?? "genesis.json"
    do throws(ConfigurationError) { try genesis.write(path: file) } catch { throw Failure("the genesis was not written: \(error)") }
    let made = Made(file: file, genesisHash: genesis.configuration.hash(crypto: SystemCrypto.shared).hex)
    if call.isOn("json") { Output.json(made) } else { Output.rows([("Genesis", file), ("Hash", made.genesisHash)]) }
    return ExitStatus.success
  }
}
