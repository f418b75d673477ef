import Crypto
import Identity
import Ledger
import Node
import Wire

/// `starling keygen`
enum KeygenCommand {
  private struct Made: Encodable {
    let file: String
    let peerID: String
    let address: String

    enum CodingKeys: String, CodingKey {
      case file, address
      case peerID = "peer_id"
    }
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    let crypto = SystemCrypto.shared
    var seed = crypto.randomBytes(32)
    if let text = call["seed"] {
      guard let bytes = Base16.decode(text), bytes.count == 32 else { throw Failure.usage(call, "--seed must have 64 hexadecimal digits") }
      seed = bytes
    }
    let key = NodeKey(seed: seed, crypto: crypto)
    let file = call["out"] ?? "node.key"
    try KeyFile.write(key, to: file)
    let made = Made(file: file, peerID: key.peerID.description, address: Base16.encode(key.publicKey.data))
    if call.isOn("json") {
      Output.json(made)
    } else {
      Output.rows([
        ("Key", "\(file) (only you can read it; keep a copy, it cannot be recovered)"), ("PeerID", made.peerID), ("Address", made.address),
      ])
    }
    return ExitStatus.success
  }
}
