import Foundation
import Identity
import Ledger
import NodeCore
import Testing
import Wire

@testable import Node

/// Whole nodes over real sockets and the real store, several in one process.
@Suite(.serialized) struct NodeNetworkTests {
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
    // Each block that came in by gossip is one announcement, however often it came; a transaction is none. Each was published once, but one
    // of a height that is made twice counts too.
    func statistics(_ node: Node) throws -> NodeStatistics {
      guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
      return statistics
    }
    let received = try network.nodes.map(statistics)
    let published = try network.nodes.map { try statistics($0).published }.reduce(0, +)
    for statistics in received {
      let lines = NodeMetrics(memory: { .init(limit: 0) }).render(statistics).split(separator: "\n")
      let line = try #require(lines.first { $0.hasPrefix("vision_p2p_announces_received ") })
      let count = try #require(Double(line.split(separator: " ")[1]))
      #expect(count <= Double(published), "\(count) announcements, \(statistics.duplicates) duplicates")
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
