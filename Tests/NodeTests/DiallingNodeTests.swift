import Crypto
import Foundation
import Identity
import NodeCore
import Peering
import Testing

@testable import Node

/// Who dials whom and when, and what failed dials cost, with whole nodes.
@Suite(.serialized) struct DiallingNodeTests {
  /// The lower PeerID is to dial, and cannot: nobody gets to the higher one. That one leaves it its time, then dials itself, and its link
  /// stays although it goes the other way.
  @Test func theFirewalledSide() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      // With fewer than four peers a node waits for nobody.
      let hubs = try (0..<PeeringConfiguration().patientFrom).map { try flock.start("hub\($0)").hostPort() }
      let meeting = try flock.start("meeting")
      let keys = (1...2).map { NodeKey(seed: [UInt8](repeating: $0, count: 32), crypto: SystemCrypto.shared) }.sorted {
        $0.peerID < $1.peerID
      }
      func start(_ name: String, _ key: NodeKey, _ text: String) throws -> Node {
        let file = "\(flock.folder)/\(name).key"
        try KeyFile.write(key, to: file)
        return try flock.start(name, "node.yaml", "node_key: \(file)\nkeep_alive: 200ms\nkeep_alive_missed: 100\nkademlia: false\n" + text)
      }
      let walled = try start("walled", keys[1], "bootstrap_peers: \(hubs)\nlisten: []\npassive_wait: 4s")
      try waitUntil("the one has four peers") { try walled.activePeers().count == hubs.count }
      let open = try start(
        "open", keys[0],
        "bootstrap_peers: [\"\(try meeting.hostPort())\"]\nseed_peers: [/ip4/127.0.0.1/tcp/1/p2p/\(keys[1].peerID)]")
      try waitUntil("the other has tried to reach it") {
        try open.isLinked(exactlyTo: meeting)
          && flock.log("open").split(separator: "\n").contains { $0.contains("dial failed") && $0.contains("/ip4/127.0.0.1/tcp/1") }
      }
      let place = PeerAddress(peer: meeting.peerID, address: try meeting.information().addresses[0])
      guard case .operated(.dialling) = try walled.askAndWait(.operate(.add(place, keep: true))) else { throw Missing("no dial") }
      func link(_ node: Node, with other: Node) throws -> PeerInfo? {
        guard case .peers(let peers) = try node.askAndWait(.peers) else { throw Missing("no peers") }
        return peers.map(\.link).first { $0.state == .active && $0.peer == other.peerID }
      }
      try waitUntil("the two are linked") { try link(walled, with: open) != nil && link(open, with: walled) != nil }
      let kept = try #require(try link(walled, with: open))
      #expect(kept.direction == .outbound && kept.cause == .heard)
      let heard = try #require(flock.time("walled") { $0.contains("heard of through") && $0.contains(open.peerID.short) })
      let dialled = try #require(flock.time("walled") { $0.contains(" dialling ") && $0.contains("why=heard") })
      #expect(dialled.timeIntervalSince(heard) >= 2.9, "it is the other one's turn for four seconds, counted in whole ones")
      var (pings, trip) = (0, kept.roundTrip)
      try waitUntil("ten pings have passed; there were \(pings)") {
        let now = try #require(try link(walled, with: open), "the link was given up")
        try #require(now.connection == kept.connection, "the link was replaced")
        if now.roundTrip != trip { pings += 1 }
        trip = now.roundTrip
        return pings >= 10
      }
    }
  }

  /// A stored peer is stored no more after so many failed dials in a row; the loss of its link alone takes nothing away.
  @Test func failedDialsTakeTheRow() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (stays, goes) = (try flock.start("stays"), try flock.start("goes"))
      let goner = goes.peerID
      let node = try flock.start(
        "node", "n.toml",
        """
        seed_peers = \([try stays.hostPort(), try goes.hostPort()])
        max_failed_dials = 2
        """)
      try waitUntil("both are stored") { try node.isLinked(exactlyTo: stays, goes) && node.counts().stored == 2 }
      flock.stop("goes")
      try waitUntil("the loss is seen") { try node.isLinked(exactlyTo: stays) }
      #expect(try node.counts().stored == 2, "a lost link is no reason")
      try waitUntil("two dials have failed") { try node.counts().stored == 1 }
      let log = flock.log("node").split(separator: "\n")
      let place = try #require(log.firstIndex { $0.contains("row removed from the book") && $0.contains(goner.short) })
      #expect(log[..<place].count { $0.contains("dial failed") && $0.contains(goner.short) } == 2)
      guard case .story(let story) = try node.askAndWait(.explain(goner)) else { throw Missing("no story") }
      #expect(story.sentences.contains { $0.hasPrefix("Known as") }, "it is still known: \(story.sentences)")
    }
  }
}
