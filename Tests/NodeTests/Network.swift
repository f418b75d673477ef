import Crypto
import Foundation
import Identity
import Ledger
import NodeCore
import Wire

@testable import Node

/// Whole nodes of one chain over loopback, some of them its authorities, with a user who has money.
final class Network {
  static let crypto = SystemCrypto.shared

  let folder = NSTemporaryDirectory() + "starling-test-" + UUID().uuidString
  let authorities: [NodeKey]
  let user: NodeKey
  let others: [NodeKey]
  let genesis: GenesisFile
  var nodes: [Node] = []

  /// - Parameter others: users with money beside ``user``.
  init(authorities count: Int, others: Int = 0) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    authorities = (0..<count).map { NodeKey(seed: [UInt8](repeating: UInt8($0 + 1), count: 32), crypto: Self.crypto) }
    user = NodeKey(seed: [UInt8](repeating: 99, count: 32), crypto: Self.crypto)
    self.others = (0..<others).map { NodeKey(seed: [UInt8](repeating: UInt8($0 + 100), count: 32), crypto: Self.crypto) }
    let rich = [user] + self.others
    genesis = GenesisFile(
      chainID: "test", genesisTimeMilliseconds: Int64(Date().timeIntervalSince1970 * 1000) - 1000, blockTimeMilliseconds: 500,
      authorities: authorities.map { Address($0.publicKey)!.hex },
      balances: Dictionary(uniqueKeysWithValues: rich.map { (Address($0.publicKey)!.hex, 1_000_000) }))
    try genesis.write(path: folder + "/genesis.json")
  }

  func configuration(
    _ index: Int, seed: Node? = nil, change: (inout NodeConfiguration) -> Void = { _ in }
  ) throws -> NodeConfiguration {
    var configuration = NodeConfiguration()
    configuration.dataDirectory = folder + "/node\(index)"
    configuration.genesisFile = folder + "/genesis.json"
    configuration.listen = ["/ip4/127.0.0.1/tcp/0"]
    configuration.allowLoopback = true
    configuration.httpPort = 0
    configuration.storeMapGiB = 1
    if index < authorities.count {
      configuration.nodeType = .authority
      configuration.producerKeyFile = folder + "/producer\(index)"
      if !FileManager.default.fileExists(atPath: configuration.producerKeyFile) {
        try KeyFile.write(authorities[index], to: configuration.producerKeyFile)
      }
    }
    if let seed { configuration.bootstrapPeers = [try seed.information().addresses[0].description] }
    change(&configuration)
    return configuration
  }

  @discardableResult
  func start(_ configuration: NodeConfiguration, rig: Node.Rig = .init()) throws -> Node {
    let node = try Node(configuration: configuration, logger: Logger(level: .warning), rig: rig)
    try node.start()
    nodes.append(node)
    return node
  }

  /// What the user signs to give somebody so much.
  func transfer(of amount: Amount, nonce: UInt64, on genesis: Hash256, by key: NodeKey? = nil) -> Transaction {
    let payload = Transaction.Payload.transfer(to: Address([UInt8](repeating: 7, count: 32))!, amount: amount)
    return Transaction(
      chain: genesis, nonce: nonce, fee: GenesisConfiguration.Limits().sufficientFee(for: payload), payload: payload, key: key ?? user,
      crypto: Self.crypto)
  }

  func stop() {
    for node in nodes { node.stop() }
    try? FileManager.default.removeItem(atPath: folder)
  }
}
