import Testing
import Wire

@testable import Gossip

/// The stream to a peer and the stream from it: what the end of one says of the other, namely nothing.
@Suite struct StreamLifeTests {
  private func bench(peers: Int = 1) -> Bench {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    for number in 1...peers {
      bench.join(peer(number))
      bench.input(.inboundOpened(peer(number)))
    }
    return bench
  }

  @Test func aPeerIsHeardWithoutAStreamToIt() {
    let bench = bench()
    #expect(bench.input(.outboundLost(peer(1))) == [.event(.pruned(peer(1), blocks, .streamEnded))])
    #expect(bench.gossip.topicPeers(blocks) == [peer(1)])
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [1]) })).delivered == [[1]])
    #expect(bench.input(.received(peer(1), rpc { $0.subscribe("other") })) == [.event(.peerSubscribed(peer(1), "other"))])
    // Nothing is sent, and nothing waits.
    #expect(bench.input(.publish(blocks, [2])).count == 1)
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })) == [])
    #expect(bench.run(to: 3).sent(to: peer(1)) == [])
    #expect(bench.gossip.statistics(of: peer(1))?.bytesQueued == 0)
    #expect(bench.input(.writable(peer(1))) == [])
    #expect(bench.broken == [])
  }

  @Test func theNextStreamStartsFromTheBeginning() {
    let bench = bench()
    bench.input(.outboundLost(peer(1)))
    bench.run(to: 5)
    let outputs = bench.input(.outboundOpened(peer(1), .inbound)) + bench.input(.writable(peer(1)))
    #expect(outputs.sent(to: peer(1)) == ["sub \(blocks)", "graft \(blocks)"])
    #expect(bench.gossip.meshPeers(blocks) == [peer(1)])
    #expect(bench.input(.outboundOpened(peer(1), .inbound)) == [], "it is open already")
    #expect(bench.broken == [])
  }

  /// In a full mesh too: the peer has not left it.
  @Test func theMeshIsJoinedAgain() {
    let bench = bench(peers: 9)
    let first = bench.gossip.meshPeers(blocks)[0]
    bench.input(.outboundLost(first))
    bench.run(to: 2)
    #expect(bench.gossip.meshPeers(blocks).count >= 5 && !bench.gossip.meshPeers(blocks).contains(first))
    bench.input(.outboundOpened(first, .outbound))
    #expect(bench.gossip.meshPeers(blocks).contains(first))
    // Unless it says otherwise meanwhile.
    bench.input(.outboundLost(first))
    bench.input(.received(first, rpc { $0.prune(blocks) }))
    bench.input(.outboundOpened(first, .outbound))
    #expect(!bench.gossip.meshPeers(blocks).contains(first))
    #expect(bench.broken == [])
  }

  /// What a peer says on a new stream takes the place of what it said before. It may have forgotten this side with its own stream, as
  /// go-libp2p does: it is told everything again.
  @Test func aPeersNextStreamStartsFromTheBeginning() {
    let bench = bench()
    bench.input(.received(peer(1), rpc { $0.subscribe("old") }))
    #expect(bench.input(.inboundOpened(peer(1))).sent(to: peer(1)) == ["sub \(blocks)"])
    #expect(bench.gossip.topicPeers("old") == [] && bench.gossip.topicPeers(blocks) == [])
    #expect(bench.input(.received(peer(1), rpc { $0.subscribe(blocks) })).sent(to: peer(1)) == ["graft \(blocks)"])
    #expect(bench.gossip.meshPeers(blocks) == [peer(1)])
    #expect(bench.broken == [])
  }

  /// A PRUNE that was lost with its stream binds nobody.
  @Test func aPeerIsNotHeldToWhatItMayNotHaveHeard() {
    let bench = bench()
    bench.input(.unsubscribe(blocks))
    bench.input(.subscribe(blocks, .unsigned))
    bench.input(.outboundLost(peer(1)))
    bench.input(.outboundOpened(peer(1), .outbound))
    bench.input(.writable(peer(1)))
    let outputs = bench.input(.received(peer(1), rpc { $0.graft(blocks) }))
    #expect(outputs.offences == [] && outputs.sent(to: peer(1)) == ["prune \(blocks) 60s"])
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })).offences == [.graftDuringBackoff(blocks)])
  }
}
