import Identity
import NodeCore
import Peering
import Testing

@testable import Node

/// A node whose slots are taken.
@Suite(.serialized) struct FullHouseTests {
  /// Twenty peers of one network have all the slots: one more of them is refused, and one of another network gets in for the youngest.
  @Test func aCrowdKeepsNobodyOut() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") {
      $0.network = "main"
      $0.maxPeers = 20
      $0.minOutbound = 0
    }
    var crowd: [Stranger] = []
    for number in 1...20 {
      let stranger = try await Stranger(to: node, from: "127.66.0.\(number)")
      _ = try await stranger.enter()
      crowd.append(stranger)
    }
    #expect(try node.counts().active == 20)

    let late = try await Stranger(to: node, from: "127.66.0.21")
    await #expect(throws: (any Error).self) { _ = try await late.enter() }
    #expect(await late.host.explain(node.peerID).joined().contains("too-many-peers, as the other end says"))
    #expect(flock.log("node").contains("too-many-peers"))
    #expect(try node.counts().active == 20)

    let other = try await Stranger(to: node, from: "127.77.0.1")
    _ = try await other.enter()
    #expect(try other.isActive() && node.counts().active == 20)
    let gone = try crowd.filter { try !$0.isActive() }
    #expect(gone.count == 1)
    for stranger in gone {
      try await eventually("it is told why") { await stranger.host.explain(node.peerID).joined().contains("evicted") }
      #expect(try stranger.story().contains("evicted"))
    }
    for stranger in crowd + [late, other] { await stranger.host.close() }
  }
}
