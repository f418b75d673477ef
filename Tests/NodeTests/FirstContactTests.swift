import Foundation
import NodeCore
import Peering
import Testing

@testable import Node

/// How a node finds its first peers: the book, `--peer`, bootstrap peers and seeds.
@Suite(.serialized) struct FirstContactTests {
  /// S2's file: seeds are tried in their order past one that is dead, and only as many as wanted; an empty list is a node that waits.
  @Test func seedsAreTriedInOrder() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (first, second) = (try flock.start("first"), try flock.start("second"))
      let seeds = ["127.0.0.1:1", try second.hostPort(), try first.hostPort()]
      let joiner = try flock.start(
        "joiner", "seed_peers.toml",
        """
        # Bootstrap peers (not authorities!)
        seed_peers = \(seeds)
        min_outbound_connections = 1
        max_outbound_connections = 2
        connection_timeout_seconds = 5
        reconnection_interval_seconds = 20
        """)
      try waitUntil("the joiner has a peer") { try joiner.isLinked(exactlyTo: second) }
      #expect(flock.dials("joiner").prefix(2) == ["/ip4/127.0.0.1/tcp/1", try second.information().addresses[0].description])
      #expect(flock.log("joiner").contains("asking seeds why=\"no peer is stored\""))
      let counts = try joiner.counts()
      #expect(counts.dials[.seed].begun == 2 && counts.dials[.seed].succeeded == 1)
      let quiet = try flock.start("quiet", "empty.toml", "seed_peers = []")
      #expect(try quiet.counts().dialling == 0 && flock.dials("quiet").isEmpty)
    }
  }

  /// A and C know B only, and nothing but B's list tells them of each other: heard of, then dialled, then stored.
  @Test func twoMeetThroughAThird() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      func start(_ name: String, _ text: String = "") throws -> Node {
        try flock.start(name, "node.yaml", text) {
          $0.kademlia = false
          $0.mdns = false
        }
      }
      let hub = try start("hub")
      let bootstrap = "bootstrap_peers: [\"\(try hub.hostPort())\"]\n"
      let (one, other) = (try start("one", bootstrap), try start("other", bootstrap))
      try waitUntil("both are linked to both") { try one.isLinked(exactlyTo: hub, other) && other.isLinked(exactlyTo: hub, one) }
      let stories = try zip([one, other], [other, one]).map { node, peer in
        guard case .story(let story) = try node.askAndWait(.explain(peer.peerID)) else { throw Missing("no story") }
        return story.sentences.joined(separator: "\n")
      }
      // One of the two has dialled.
      #expect(stories.contains { $0.contains("heard of through a peer's list") && $0.contains("stored") }, "\(stories)")
    }
  }

  /// S4's file: a bootstrap peer that is killed is dialled again for ever, and found when it is back.
  @Test func aLostBootstrapPeerIsDialledAgain() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let address = try flock.start("hub").hostPort()
      let joiner = try flock.start(
        "joiner", "node.yaml",
        """
        p2p_port: 1
        p2p_bind_addr: "127.0.0.1"
        bootstrap_peers:
          - "\(address)"
        max_peers: 5
        """
      ) {
        $0.listen = ["/ip4/127.0.0.1/tcp/0"]
        $0.reconnectionInterval = .seconds(2)
      }
      let hub = try #require(flock.nodes["hub"])
      try waitUntil("linked") { try joiner.isLinked(exactlyTo: hub) }
      let port = address.split(separator: ":").last!
      for _ in 0..<2 {
        flock.stop("hub")
        try waitUntil("the loss is seen") { try joiner.activePeers().isEmpty }
        let before = try joiner.counts().dials[.configured].begun
        try waitUntil("it is dialled again and again") { try joiner.counts().dials[.configured].begun >= before + 3 }
        let revived = try flock.start("hub") { $0.listen = ["/ip4/127.0.0.1/tcp/\(port)"] }
        try waitUntil("linked again") { try joiner.isLinked(exactlyTo: revived) }
      }
      Self.checkPauses(of: "joiner", in: flock, maximum: 2)
      #expect(joiner.configuration.listen == ["/ip4/127.0.0.1/tcp/0"] && joiner.configuration.maxPeers == 5)
    }
  }

  /// Only one dial of a peer at a time, and none before its back-off, which is one to `maximum` seconds.
  private static func checkPauses(of name: String, in flock: Flock, maximum: Int) {
    let kinds = [" dialling ", " dial failed ", " Successfully established outbound connection "]
    let lines = flock.log(name).split(separator: "\n").compactMap { line in kinds.first { line.contains($0) }.map { (kind: $0, line: line) }
    }
    let times = flock.times(name) { line in kinds.contains { line.contains($0) } }
    #expect(lines.count == times.count && lines.count { $0.kind == " dial failed " } >= 4)
    for ((before, after), (start, end)) in zip(zip(lines, lines.dropFirst()), zip(times, times.dropFirst())) {
      #expect(before.kind != " dialling " || after.kind != " dialling ", "two at once:\n\(before.line)\n\(after.line)")
      guard before.kind == " dial failed " else { continue }
      let wait = Int(before.line.split(separator: "retry_s=").last ?? "") ?? 0
      #expect((1...maximum).contains(wait), "\(before.line)")
      if after.kind == " dialling " { #expect(end.timeIntervalSince(start) >= 0.99, "\(before.line)\n\(after.line)") }
    }
  }

  /// `--peer` is dialled at once and stored on success: a start without the flag finds the peer again, before any seed.
  @Test func aNamedPeerIsStored() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (friend, seed) = (try flock.start("friend"), try flock.start("seed"))
      let (friendAddress, seedAddress) = (try friend.hostPort(), try seed.hostPort())
      var node = try flock.start("node") { $0.peers = [friendAddress] }
      try waitUntil("linked") { try node.isLinked(exactlyTo: friend) && node.counts().stored == 1 }
      let dials = try node.counts().dials[.configured]
      #expect(dials.begun == 1 && dials.succeeded == 1)
      flock.stop("node")

      node = try flock.start("node", "seeds.toml", "seed_peers = [\"\(seedAddress)\"]\nmin_outbound = 1")
      try waitUntil("linked with the stored peer") { try node.isLinked(exactlyTo: friend) }
      let counts = try node.counts()
      #expect(counts.dials[.stored].succeeded == 1 && counts.dials[.seed].begun == 0 && counts.seedCause == nil)
    }
  }

  /// The last good outbound peer is dialled first after a restart, as an anchor.
  @Test func anAnchorIsDialledFirst() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let friend = try flock.start("friend")
      let node = try flock.start("node", "seeds.toml", "seed_peers = [\"\(try friend.hostPort())\"]")
      try waitUntil("linked through the seed") { try node.isLinked(exactlyTo: friend) }
      flock.stop("node")
      let again = try flock.start("node")
      try waitUntil("linked again") { try again.isLinked(exactlyTo: friend) }
      let dials = flock.log("node").split(separator: "\n").filter { $0.contains(" dialling ") }
      #expect(dials.count == 2 && dials[0].contains("why=seed") && dials[1].contains("why=anchor"), "\(dials)")
    }
  }

  /// Stored peers, then `--peer`, then seeds, which are asked only when no stored peer connects.
  @Test func seedsComeLast() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (friend, seed) = (try flock.start("friend"), try flock.start("seed"))
      let (friendAddress, seedAddress) = (try friend.hostPort(), try seed.hostPort())
      var node = try flock.start("node") { $0.peers = [friendAddress] }
      try waitUntil("stored") { try node.counts().stored == 1 }
      flock.stop("node")
      flock.stop("friend")
      node = try flock.start("node", "seeds.toml", "seed_peers = [\"\(seedAddress)\"]") { $0.peers = ["127.0.0.1:1"] }
      try waitUntil("linked with the seed") { try node.isLinked(exactlyTo: seed) }
      let (stored, named) = ("/ip4/127.0.0.1/tcp/" + friendAddress.split(separator: ":")[1], "/ip4/127.0.0.1/tcp/1")
      let fallback = "/ip4/127.0.0.1/tcp/" + seedAddress.split(separator: ":")[1]
      let order = flock.dials("node").suffix(from: 1).uniqued().prefix(3)
      #expect(order == [stored, named, fallback])
      #expect(flock.log("node").contains("asking seeds why=\"no stored peer connects\""))
      let counts = try node.counts()
      #expect(counts.dials[.stored].begun >= 1 && counts.dials[.stored].succeeded == 0 && counts.dials[.seed].succeeded == 1)
    }
  }
}

extension Sequence where Element == String {
  /// The first of equal ones, in order.
  fileprivate func uniqued() -> [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
