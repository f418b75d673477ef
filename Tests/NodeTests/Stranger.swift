import Foundation
import Identity
import NodeCore
import Starling
import Sync
import Testing
import Wire

@testable import Node

/// A host that knows a node's chain, and says what it likes.
struct Stranger {
  let host: Starling.Host
  let node: Node
  let status: Status

  init(
    to node: Node, height: UInt64 = 0, from source: String? = nil, change: (inout Starling.Host.Configuration) -> Void = { _ in }
  ) async throws {
    var configuration = Starling.Host.Configuration(listen: [try Multiaddr("/ip4/127.0.0.1/tcp/0")])
    configuration.swarm.shards = 1
    configuration.core.peering.outboundMinimum = 0
    configuration.core.gossip?.maximumRPCBytes = 2 << 20
    if let source { configuration.swarm.dialSources = [try #require(IPAddress(source))] }
    change(&configuration)
    host = try await Starling.Host(configuration: configuration)
    try await host.start()
    self.node = node
    let chain = try node.chainInformation()
    status = Status(
      network: "main", chainID: chain.chainID, genesis: chain.genesis, height: height, head: chain.genesis, nodeType: "full")
  }

  func connect() async throws {
    try await host.connect(try node.information().addresses[0].withPeerID(node.peerID))
  }

  /// Connects and introduces itself; the node's answer.
  func enter(_ change: (inout Status) -> Void = { _ in }) async throws -> StatusAnswer {
    try await connect()
    var status = status
    change(&status)
    let answer = try await host.request(node.peerID, Self.protocols.status, status.encoded)
    return try StatusAnswer(encoded: answer.rawSpan)
  }

  func isActive() throws -> Bool { try node.activePeers().contains(host.peerID) }

  /// Whether both ends have seen the end of the link.
  func isOut() async throws -> Bool {
    let peers = await host.peers()
    return try peers.isEmpty && !isActive()
  }

  func story() throws -> String {
    guard case .story(let story) = try node.askAndWait(.explain(host.peerID)) else { throw Missing("no story") }
    return story.sentences.joined(separator: "\n")
  }

  /// What holds for the chain's topics.
  static let rules = TopicConfiguration(signing: .strictNoSign)
  static let protocols = Node.Core.Protocols(network: "main", partition: "flock")
}
