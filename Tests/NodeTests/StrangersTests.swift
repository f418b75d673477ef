import Foundation
import Identity
import NodeCore
import Starling
import Sync
import Testing
import Wire

@testable import Node

/// A node among hosts that speak its protocols by hand: what it serves before it knows them, and what it thinks of them later.
@Suite(.serialized) struct StrangersTests {
  /// A host that knows a node's chain, and says what it likes.
  private struct Stranger {
    let host: Starling.Host
    let node: Node
    let status: Status

    init(to node: Node, height: UInt64 = 0) async throws {
      var configuration = Starling.Host.Configuration(listen: [try Multiaddr("/ip4/127.0.0.1/tcp/0")])
      configuration.swarm.shards = 1
      configuration.core.peering.outboundMinimum = 0
      host = try await Starling.Host(configuration: configuration)
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

    func story() throws -> String {
      guard case .story(let story) = try node.askAndWait(.explain(host.peerID)) else { throw Missing("no story") }
      return story.sentences.joined(separator: "\n")
    }

    static let protocols = Node.Core.Protocols(network: "main", partition: "flock")
  }

  /// Nothing but the status is served before the status; who says nothing is told so after its time; another version is refused by name.
  @Test func theStatusComesFirst() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let silent = try await Stranger(to: node)
    try await silent.connect()
    await #expect(throws: HostError.self) {
      try await silent.host.request(node.peerID, Stranger.protocols.blocks, BlocksRequest.range(from: 1, count: 1).encoded)
    }
    let other = try await Stranger(to: node)
    guard case .refusal(let code, let text) = try await other.enter({ $0.version = 99 }) else { throw Missing("it was let in") }
    #expect(code == UInt64(Reason.Code.wrongVersion.rawValue) && text.contains("99"))
    let good = try await Stranger(to: node)
    guard case .status(let theirs) = try await good.enter() else { throw Missing("it was refused") }
    #expect(theirs.chainID == "flock" && theirs.genesis == good.status.genesis)
    _ = try await good.host.request(node.peerID, Stranger.protocols.blocks, BlocksRequest.range(from: 1, count: 1).encoded)
    try await until("the silent one is told why it goes") {
      let heard = await silent.host.explain(node.peerID).joined()
      return try silent.story().contains("introduction-timeout") && heard.contains("introduction-timeout")
    }
    #expect(try good.isActive() && !silent.isActive() && !other.isActive())
    for stranger in [silent, other, good] { await stranger.host.close() }
  }

  /// Bad blocks cost the link, then everything for a while; what cannot be read costs less; being slow costs rank alone.
  @Test func badBlocksAgainstSlowLinks() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let slow = try await Stranger(to: node, height: 3)
    await slow.host.serve(Stranger.protocols.blocks) { _, _ in
      try await Task.sleep(for: .seconds(30))
      return nil
    }
    _ = try await slow.enter()

    let unreadable = try await Stranger(to: node)
    _ = try await unreadable.enter()
    await #expect(throws: HostError.self) {
      try await unreadable.host.request(node.peerID, Stranger.protocols.blocks, [0xff])
    }
    try await until("what cannot be read is noted") { try unreadable.story().contains("offence malformedMessage, score 10") }
    #expect(try unreadable.isActive())

    let liar = try await Stranger(to: node)
    _ = try await liar.enter()
    try await until("the liar is heard") { await liar.host.topicPeers(Stranger.protocols.blockTopic) == [node.peerID] }
    try await liar.host.publish(Stranger.protocols.blockTopic, [1, 2, 3])
    try await until("the liar is out") { try !liar.isActive() }
    #expect(try liar.story().contains("offence invalidBlock, score 25"))
    // It comes back, with its score, until it is banned.
    for _ in 1...3 {
      _ = try await liar.enter()
      await #expect(throws: HostError.self) { try await liar.host.request(node.peerID, Stranger.protocols.blocks, [0xff]) }
      try await until("the liar is out again") { try !liar.isActive() }
    }
    await #expect(throws: HostError.self) { _ = try await liar.enter() }
    let story = try liar.story()
    #expect(story.contains("low-score") && story.contains("Banned for another 11 h: score"), "\(story)")
    #expect(await liar.host.explain(node.peerID).joined().contains("banned"))

    try await until("the slow one is noted") { try slow.story().contains("offence late, score 1") }
    #expect(try slow.isActive())
    for stranger in [slow, unreadable, liar] { await stranger.host.close() }
  }

  private func until(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = Date().addingTimeInterval(40)
    while try await !condition() {
      guard Date() < deadline else {
        Issue.record("not in 40 s: \(what)")
        return
      }
      try await Task.sleep(for: .milliseconds(50))
    }
  }
}
