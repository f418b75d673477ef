import Crypto
import Foundation
import Identity
import Ledger
import NodeCore
import Peering

@testable import Node

/// Whole nodes of one chain over loopback, started from the text of configuration files. No producer: only their links matter.
final class Flock {
  let folder = NSTemporaryDirectory() + "starling-flock-" + UUID().uuidString
  private(set) var nodes: [String: Node] = [:]
  private var logs: [String: Lines] = [:]

  init() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let authority = NodeKey(seed: [UInt8](repeating: 5, count: 32), crypto: SystemCrypto.shared)
    try GenesisFile(
      chainID: "flock", genesisTimeMilliseconds: 1_000, blockTimeMilliseconds: 1_000, authorities: [Address(authority.publicKey)!.hex],
      balances: [:]
    ).write(path: folder + "/genesis.json")
  }

  /// Starts a node under a name; a name that was used before has its store, its key and its log. `file` is named as the text's kind:
  /// `seeds.toml`, `node.yaml`.
  @discardableResult
  func start(
    _ name: String, _ file: String = "none.toml", _ text: String = "", rig: Node.Rig = .init(),
    change: (inout NodeConfiguration) -> Void = { _ in }
  )
    throws -> Node
  {
    var configuration = try NodeConfiguration.load(text: text, path: file)
    configuration.dataDirectory = folder + "/" + name
    configuration.genesisFile = folder + "/genesis.json"
    if configuration.sources["listen"] == nil { configuration.listen = ["/ip4/127.0.0.1/tcp/0"] }
    configuration.allowLoopback = true
    configuration.httpEnabled = false
    configuration.storeMapGiB = 1
    change(&configuration)
    let log = logs[name] ?? Lines()
    logs[name] = log
    let node = try Node(
      configuration: configuration, logger: Logger(level: .debug, format: .text, now: { Date() }, sink: { log.append($0 + "\n") }),
      rig: rig)
    try node.start()
    nodes[name] = node
    return node
  }

  func stop(_ name: String) { nodes.removeValue(forKey: name)?.stop() }

  func stop() {
    for node in nodes.values { node.stop() }
    try? FileManager.default.removeItem(atPath: folder)
  }

  /// What a node has logged so far.
  func log(_ name: String) -> String { logs[name]?.all ?? "" }

  /// When a node has logged a line first.
  func time(_ name: String, where isMeant: (Substring) -> Bool) -> Date? { times(name, where: isMeant).first }

  /// When a node has logged such lines.
  func times(_ name: String, where isMeant: (Substring) -> Bool) -> [Date] {
    let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
    return log(name).split(separator: "\n").filter(isMeant).compactMap { try? style.parse(String($0.prefix { $0 != " " })) }
  }

  /// The addresses of the dials that a node has begun, in order.
  func dials(_ name: String) -> [String] {
    log(name).split(separator: "\n").filter { $0.contains(" dialling ") }.compactMap {
      $0.split(separator: "address=").last.map { String($0.prefix { $0 != " " }) }
    }
  }
}

extension Node {
  /// The `host:port` at which this node listens.
  func hostPort() throws -> String {
    let address = try information().addresses[0]
    return "\(address.ipAddress!):\(address.tcpPort!)"
  }

  func counts() throws -> PeeringCounts {
    guard case .statistics(let statistics) = try askAndWait(.statistics) else { throw Missing("no statistics") }
    return statistics.peering
  }

  /// Whether the links in use are exactly those with `others`.
  func isLinked(exactlyTo others: Node...) throws -> Bool { try activePeers() == Set(others.map(\.peerID)) }

  func activePeers() throws -> Set<PeerID> {
    guard case .peers(let peers) = try askAndWait(.peers) else { throw Missing("no peers") }
    return Set(peers.filter { $0.link.state == .active }.compactMap(\.link.peer))
  }
}
