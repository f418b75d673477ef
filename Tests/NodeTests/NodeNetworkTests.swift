import Crypto
import Foundation
import Identity
import Ledger
import NodeCore
import Testing
import Wire

@testable import Node

/// Whole nodes over real sockets and the real store, several in one process.
@Suite(.serialized) struct NodeNetworkTests {
  private static let crypto = SystemCrypto.shared

  private final class Network {
    let folder = NSTemporaryDirectory() + "starling-test-" + UUID().uuidString
    let authorities: [NodeKey]
    let user: NodeKey
    let genesis: GenesisFile
    var nodes: [Node] = []

    init(authorities count: Int) throws {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      authorities = (0..<count).map { NodeKey(seed: [UInt8](repeating: UInt8($0 + 1), count: 32), crypto: crypto) }
      user = NodeKey(seed: [UInt8](repeating: 99, count: 32), crypto: crypto)
      genesis = GenesisFile(
        chainID: "test", genesisTimeMilliseconds: Int64(Date().timeIntervalSince1970 * 1000) - 1000, blockTimeMilliseconds: 500,
        authorities: authorities.map { Address($0.publicKey)!.hex }, balances: [Address(user.publicKey)!.hex: 1_000_000])
      try genesis.write(path: folder + "/genesis.json")
    }

    func configuration(_ index: Int, seed: Node? = nil) throws -> NodeConfiguration {
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
      return configuration
    }

    func start(_ configuration: NodeConfiguration) throws -> Node {
      let node = try Node(configuration: configuration, logger: Logger(level: .warning))
      try node.start()
      nodes.append(node)
      return node
    }

    /// What the user signs to give somebody so much.
    func transfer(of amount: Amount, nonce: UInt64, on genesis: Hash256) -> Transaction {
      Transaction(
        chain: genesis, nonce: nonce, fee: 1, payload: .transfer(to: Address([UInt8](repeating: 7, count: 32))!, amount: amount), key: user,
        crypto: crypto)
    }

    func stop() {
      for node in nodes { node.stop() }
      try? FileManager.default.removeItem(atPath: folder)
    }
  }

  @Test func threeAuthoritiesAndALateJoinerAgree() async throws { try await onOwnThread { try Self.agreementBody() } }

  private static func agreementBody() throws {
    let network = try Network(authorities: 3)
    defer { network.stop() }
    let first = try network.start(network.configuration(0))
    let others = try [network.start(network.configuration(1, seed: first)), network.start(network.configuration(2, seed: first))]
    try waitUntil("all heads at 4") { try ([first] + others).allSatisfy { try $0.information().head.height >= 4 } }

    let transaction = network.transfer(of: 5, nonce: 0, on: try first.chainInformation().genesis)
    let answer = try others[0].askAndWait(.submit(transaction.encoded))
    guard case .submitted(let hash) = answer else {
      Issue.record("not accepted: \(answer)")
      return
    }
    let joiner = try network.start(network.configuration(3, seed: first))
    try waitUntil("the transaction is confirmed everywhere") {
      try network.nodes.allSatisfy {
        if case .transaction(_, .confirmed) = try $0.askAndWait(.transaction(hash)) { true } else { false }
      }
    }
    try waitUntil("the joiner is level") {
      let target = try first.information().head.height
      return try joiner.information().head.height + 1 >= target && joiner.information().sync == .synced
    }
    try waitUntil("everyone is connected to everyone, once") {
      try network.nodes.allSatisfy { node in
        guard case .peers(let peers) = try node.askAndWait(.peers) else { return false }
        let active = peers.filter { $0.link.state == .active }.compactMap(\.link.peer)
        return active.count == 3 && Set(active).count == 3
      }
    }
  }

  /// The three know each other as servers, and hold each other's word on the two services of their chain.
  @Test func servicesAreToldToTheNetwork() async throws { try await onOwnThread { try Self.servicesBody() } }

  private static func servicesBody() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let first = try network.start(network.configuration(0))
    let second = try network.start(network.configuration(1, seed: first))
    var configuration = try network.configuration(2, seed: first)
    configuration.kademlia = false
    let without = try network.start(configuration)
    func kademlia(_ node: Node) throws -> (servers: Int, providers: Int) {
      guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
      return (statistics.kademlia.servers, statistics.kademlia.providers)
    }
    try waitUntil("both have told each other") { try [first, second].allSatisfy { try kademlia($0) == (1, 4) } }
    #expect(try kademlia(without) == (0, 0))
  }

  /// A newcomer whose seed tells it of nobody finds another server of its chain by what that one told the network, and links with it.
  @Test func aServerIsFoundByItsService() async throws { try await onOwnThread { try Self.finderBody() } }

  private static func finderBody() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let hub = try network.start(network.configuration(0))
    let server = try network.start(network.configuration(1, seed: hub))
    func providers() throws -> Int {
      guard case .statistics(let statistics) = try hub.askAndWait(.statistics) else { throw Missing("no statistics") }
      return statistics.kademlia.providers
    }
    try waitUntil("the server has told what it serves") { try providers() == 4 }
    // The hub passes on whom it is linked with, so it must not be.
    _ = try hub.askAndWait(.operate(.ban(.peer(server.peerID), for: .seconds(600), "a test")))
    try waitUntil("they are apart") { try hub.activePeers().isEmpty && server.activePeers().isEmpty }
    let newcomer = try network.start(network.configuration(2, seed: hub))
    try waitUntil("the newcomer has found the server") { try newcomer.activePeers() == [hub.peerID, server.peerID] }
  }

  /// Whoever asked a node is answered, once, although the node ends before it can tell; what it called accepted is there at the next start.
  @Test func everyQuestionIsAnswered() async throws { try await onOwnThread { try Self.questionsBody() } }

  private static func questionsBody() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let configuration = try network.configuration(0)
    var node = try network.start(configuration)
    try waitUntil("it takes transactions") { try node.information().head.height >= 1 }
    let genesis = try node.chainInformation().genesis
    let answers = Lines()
    for nonce in 0..<64 as Range<UInt64> {
      node.ask(.submit(network.transfer(of: 1, nonce: nonce, on: genesis).encoded)) { answer in
        if case .submitted(let hash) = answer { answers.append("submitted \(hash.hex)\n") } else { answers.append("\(answer)\n") }
      }
    }
    node.stop()
    let lines = answers.all.split(separator: "\n")
    #expect(lines.count == 64, "\(lines.count) answers")
    network.nodes = []
    node = try network.start(configuration)
    for line in lines where line.hasPrefix("submitted ") {
      let hash = try #require(Hash256(hex: String(line.dropFirst(10))))
      guard case .transaction = try node.askAndWait(.transaction(hash)) else {
        Issue.record("\(hash) is lost")
        continue
      }
    }
  }

  @Test func aNodeComesBackWithWhatItHad() async throws { try await onOwnThread { try Self.restartBody() } }

  private static func restartBody() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let configuration = try network.configuration(0)
    let node = try network.start(configuration)
    try waitUntil("height 3") { try node.information().head.height >= 3 }
    node.stop()
    network.nodes = []
    let again = try network.start(configuration)
    #expect(again.peerID == node.peerID)
    #expect(try again.information().head.height >= 3)
    try waitUntil("it goes on") { try again.information().head.height >= 5 }
  }
}
