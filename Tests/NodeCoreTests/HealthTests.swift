import NodeCore
import Testing
import Wire

@testable import Sync

@Suite struct HealthTests {
  /// A height that nobody has shown is told as a claim, and a fork with both heads.
  @Test func reasonsSayWhatIsKnownAndNoMore() throws {
    #expect(
      Health.starting(height: 3, claimed: 1 << 61).reason == "just started at height 3: peers claim 2305843009213693952, none has shown it")
    #expect(Health.starting(height: 3, claimed: 3).reason == "just started at height 3: looking for peers")
    #expect(Health.starting(height: 3, claimed: 9).status == "syncing")
    func point(_ height: UInt64, _ byte: UInt8) throws -> ChainPoint {
      ChainPoint(height: height, hash: try #require(Hash256([UInt8](repeating: byte, count: 32))))
    }
    let (own, other) = (try point(120, 1), try point(125, 2))
    let forked = Health.forked(own: own, Fork(head: other, base: try point(56, 3), peers: 4))
    #expect(forked.status == "forked")
    #expect(
      forked.reason
        == "the network is split at or below height 56: this node's head is 120 \(own.hash.short), that of another valid chain, seen at peers (4), "
        + "is 125 \(other.hash.short), and neither can follow the other; decide which to keep")
  }
}
