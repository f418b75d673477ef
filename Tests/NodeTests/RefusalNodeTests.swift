import Identity
import NodeCore
import Peering
import Testing

@testable import Node

/// What one node has said to another binds both, also where a look-up would like a link.
@Suite(.serialized) struct RefusalNodeTests {
  /// After a drop neither end dials the other for a look-up, though both know where the other is.
  @Test func aDropBindsLookUps() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (one, other, _, _) = try Self.linked(flock)
      guard case .operated(.dropped) = try one.askAndWait(.operate(.drop(other.peerID))) else { throw Missing("not dropped") }
      try waitUntil("both saw the end") { try !one.activePeers().contains(other.peerID) && !other.activePeers().contains(one.peerID) }
      let before = (try Self.dials(of: other, by: one), try Self.dials(of: one, by: other))
      for _ in 1...5 {
        for (seeker, sought) in [(one, other), (other, one)] { _ = try seeker.askAndWait(.find(.peer(sought.peerID))) }
      }
      #expect(try Self.dials(of: other, by: one) == before.0, "the node that dropped dials")
      #expect(try Self.dials(of: one, by: other) == before.1, "the node that was dropped dials")
      #expect(try !one.activePeers().contains(other.peerID) && !other.activePeers().contains(one.peerID))
    }
  }

  /// A drop lasts for its quarter of an hour, though the node that dropped is started again meanwhile.
  @Test func aDropOutlivesTheNode() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (one, other, hub, bootstrap) = try Self.linked(flock)
      guard case .operated(.dropped) = try one.askAndWait(.operate(.drop(other.peerID))) else { throw Missing("not dropped") }
      flock.stop("one")
      let again = try flock.start("one", "node.yaml", bootstrap)
      try waitUntil("it knows the hub again") { try again.activePeers().contains(hub.peerID) }
      for _ in 1...5 { _ = try again.askAndWait(.find(.peer(other.peerID))) }
      #expect(try Self.dials(of: other, by: again) == 0)
      guard case .story(let story) = try again.askAndWait(.explain(other.peerID)) else { throw Missing("no story") }
      #expect(story.sentences.contains { $0.hasSuffix("dropped by an operator.") }, "\(story.sentences)")
    }
  }

  /// Who asks too much learns what for, and so does the operator, from the log and the story.
  @Test func whatWasTooMuchIsNamed() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") {
      $0.network = "main"
      $0.requestsPerSecond = 1
    }
    let stranger = try await Stranger(to: node)
    let events = stranger.host.events
    let name = Stranger.protocols.status
    func ask() async { _ = try? await stranger.host.request(node.peerID, name, stranger.status.encoded) }
    try await stranger.connect()
    // What the two hosts ask of each other at the beginning counts as well.
    try await eventually("it is let in") {
      await ask()
      return try stranger.isActive()
    }
    while try stranger.isActive() { await ask() }
    let reason = try await within { () -> Reason? in
      for await event in events { if case .linkClosed(_, let reason, local: false) = event { return reason } }
      return nil
    }
    #expect(reason?.code == .lowScore && reason?.detail.contains("rateExceeded (requests of \(name))") == true, "\(reason as Any)")
    #expect(try stranger.story().contains("offence rateExceeded (requests of \(name)), score"))
    #expect(flock.log("node").contains(" what=rateExceeded for=\"requests of \(name)\""))
    await stranger.host.close()
  }

  /// Two nodes that know each other through a hub and are linked, the hub, and the two's configuration.
  private static func linked(_ flock: Flock) throws -> (one: Node, other: Node, hub: Node, configuration: String) {
    let hub = try flock.start("hub")
    let bootstrap = "bootstrap_peers: [\"\(try hub.hostPort())\"]\nmin_outbound: 1\n"
    let (one, other) = (try flock.start("one", "node.yaml", bootstrap), try flock.start("other", "node.yaml", bootstrap))
    try waitUntil("both know the hub") { try one.activePeers().contains(hub.peerID) && other.activePeers().contains(hub.peerID) }
    let place = PeerAddress(peer: other.peerID, address: try other.information().addresses[0])
    _ = try one.askAndWait(.operate(.add(place, keep: false)))
    try waitUntil("the two are linked") { try one.activePeers().contains(other.peerID) && other.activePeers().contains(one.peerID) }
    return (one, other, hub, bootstrap)
  }

  private static func dials(of peer: Node, by node: Node) throws -> Int {
    guard case .story(let story) = try node.askAndWait(.explain(peer.peerID)) else { throw Missing("no story") }
    return story.steps.count { $0.event.kind == "dialling" }
  }
}
