import Foundation
import HostCore
import Identity
import NodeCore
import Starling
import Sync
import Testing
import Wire

@testable import Node

/// A node among hosts that speak its protocols by hand: what it serves before it knows them, and what it thinks of them later.
@Suite(.serialized) struct StrangersTests {
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
    let unknown = try await good.host.request(node.peerID, Stranger.protocols.blocks, BlocksRequest.hash(.zero).encoded)
    #expect(unknown.isEmpty, "what it has not got is answered with nothing, not with a refusal")
    try await eventually("the silent one is told why it goes") {
      let heard = await silent.host.explain(node.peerID).joined()
      return try silent.story().contains("introduction-timeout") && heard.contains("introduction-timeout")
    }
    #expect(try good.isActive() && !silent.isActive() && !other.isActive())
    for stranger in [silent, other, good] { await stranger.host.close() }
  }

  /// Bad blocks cost the link for a while; what cannot be read costs less; being slow costs rank alone.
  @Test func badBlocksAgainstSlowLinks() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let slow = try await Stranger(to: node, height: 3)
    await slow.host.serve(Stranger.protocols.blocks) { _, _ in
      try await Task.sleep(for: patience * 10)
      return nil
    }
    _ = try await slow.enter()

    let unreadable = try await Stranger(to: node)
    _ = try await unreadable.enter()
    await #expect(throws: HostError.self) {
      try await unreadable.host.request(node.peerID, Stranger.protocols.blocks, [0xff])
    }
    try await eventually("what cannot be read is noted") { try unreadable.story().contains("offence malformedMessage, score 10") }
    #expect(try unreadable.isActive())

    let liar = try await Stranger(to: node)
    _ = try await liar.enter()
    try await eventually("the liar is heard") { await liar.host.topicPeers(Stranger.protocols.blockTopic) == [node.peerID] }
    try await liar.host.publish(Stranger.protocols.blockTopic, [1, 2, 3], rules: Stranger.rules)
    try await eventually("the liar is out") { try await liar.isOut() }
    #expect(try liar.story().contains(/offence invalidBlock \(.+\), score 25/))
    // It is not taken back before its score is below the threshold again, and both ends know why.
    await #expect(throws: HostError.self) { _ = try await liar.enter() }
    try await eventually("the liar is out again") { try await liar.isOut() }
    let story = try liar.story()
    #expect(story.contains("low-score") && story.contains("taken again below 18"), "\(story)")
    #expect(await liar.host.explain(node.peerID).joined().contains("low-score"))

    try await eventually("the slow one is noted") { try slow.story().contains("offence late, score 1") }
    #expect(try slow.isActive())
    for stranger in [slow, unreadable, liar] { await stranger.host.close() }
  }

  /// Who only ever came in has no row in the book: what it did is remembered all the same.
  @Test func scoresOutliveTheNode() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let port = try flock.start("node") { $0.network = "main" }.hostPort().split(separator: ":")[1]
    let liar = try await Stranger(to: flock.nodes["node"]!)
    _ = try await liar.enter()
    await #expect(throws: HostError.self) { try await liar.host.request(liar.node.peerID, Stranger.protocols.blocks, [0xff]) }
    try await eventually("it is noted") { try liar.story().contains("offence malformedMessage, score 10") }
    flock.stop("node")
    let again = try flock.start("node") {
      $0.network = "main"
      $0.listen = ["/ip4/127.0.0.1/tcp/\(port)"]
    }
    #expect(try again.counts().stored == 0)
    guard case .story(let story) = try again.askAndWait(.explain(liar.host.peerID)) else { throw Missing("no story") }
    #expect(story.sentences.contains { $0.hasPrefix("Score 9: the first to leave") || $0.hasPrefix("Score 10") }, "\(story.sentences)")
    await liar.host.close()
  }

  /// A search ends when its time is over, although the only server that there is says nothing, and tells that it is not complete.
  @Test func aSearchIsAnsweredInTime() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let mute = try await Stranger(to: node)
    await mute.host.handle(HostProtocols.kademlia("main")) { _ in try await Task.sleep(for: patience * 10) }
    _ = try await mute.enter()
    try await eventually("it is taken for a server") {
      guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
      return statistics.kademlia.servers == 1
    }
    let start = Date()
    guard case .found(let findings) = try node.askAndWait(.find(.service("blocks"))) else { throw Missing("no findings") }
    #expect(findings.items.isEmpty && !findings.isComplete)
    #expect(Date().timeIntervalSince(start) >= 3.5, "it left the server its time")
    await mute.host.close()
  }
}
