import Identity
import Testing
import Wire

@testable import Gossip

@Suite struct MeshTests {
  @Test func helloTellsTheSubscriptionsOnceTheStreamIsWritable() {
    let bench = Bench()
    bench.input(.subscribe("b", .unsigned))
    bench.input(.subscribe("a", .unsigned))
    #expect(bench.input(.peerConnected(peer(1), .meshsub12, .inbound)) == [])
    #expect(bench.input(.writable(peer(1))).sent(to: peer(1)) == ["sub a", "sub b"])
    #expect(bench.input(.unsubscribe("a")).sent(to: peer(1)) == ["unsub a"])
    #expect(bench.input(.subscribe("c", .unsigned)).sent(to: peer(1)) == ["sub c"])
  }

  @Test func subscribingGraftsTheDegree() {
    let bench = Bench()
    for number in 1...20 { bench.join(peer(number)) }
    let outputs = bench.input(.subscribe(blocks, .unsigned))
    let mesh = bench.gossip.meshPeers(blocks)
    #expect(mesh.count == 6)
    #expect(bench.gossip.topicPeers(blocks) == (1...20).map(peer).sorted())
    for number in 1...20 {
      let expected = mesh.contains(peer(number)) ? ["sub \(blocks)", "graft \(blocks)"] : ["sub \(blocks)"]
      #expect(outputs.sent(to: peer(number)) == expected)
    }
    #expect(bench.broken == [])
  }

  @Test func leavingPrunesWithTheShortBackoff() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2), .meshsub10)
    let outputs = bench.input(.unsubscribe(blocks))
    #expect(outputs.sent(to: peer(1)) == ["unsub \(blocks)", "prune \(blocks) 10s"])
    // v1.0 knows no backoff.
    #expect(outputs.sent(to: peer(2)) == ["unsub \(blocks)", "prune \(blocks)"])
    #expect(bench.gossip.meshPeers(blocks) == [])
    // The backoff binds this side too: back at once, the old peers are not grafted before 10 s and the slack.
    bench.input(.subscribe(blocks, .unsigned))
    #expect(bench.gossip.meshPeers(blocks) == [])
    bench.run(to: 10.9)
    #expect(bench.gossip.meshPeers(blocks) == [])
    bench.run(to: 12.1)
    #expect(bench.gossip.meshPeers(blocks).count == 2)
    #expect(bench.broken == [])
  }

  @Test func aPrunedPeerIsLeftAloneForItsBackoff() {
    for (told, wait) in [(nil as UInt64?, 60.0), (20, 20.0), (1 << 62, 3_600.0)] {
      let bench = Bench()
      bench.input(.subscribe(blocks, .unsigned))
      bench.join(peer(1))
      #expect(bench.gossip.meshPeers(blocks) == [peer(1)])
      let outputs = bench.input(.received(peer(1), rpc { $0.prune(blocks, backoff: told) }))
      #expect(outputs == [.event(.pruned(peer(1), blocks, .byPeer))])
      #expect(bench.run(to: wait + 0.9).sent(to: peer(1)) == [])
      #expect(bench.run(to: wait + 2.1).sent(to: peer(1)) == ["graft \(blocks)"])
    }
  }

  @Test func aPeerThatCameBackIsNotHeldToABackoffItForgot() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.input(.received(peer(1), rpc { $0.prune(blocks, backoff: 30) }))
    bench.input(.peerDisconnected(peer(1)))
    bench.join(peer(1))
    let first = bench.input(.received(peer(1), rpc { $0.graft(blocks) }))
    #expect(first.offences == [])
    #expect(first.sent(to: peer(1)) == ["prune \(blocks) 60s"], "it is told again")
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })).offences == [.graftDuringBackoff(blocks)])
  }

  @Test func graftDuringBackoffIsRefusedAndReported() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.input(.received(peer(1), rpc { $0.prune(blocks, backoff: 30) }))
    bench.run(to: 10)
    let outputs = bench.input(.received(peer(1), rpc { $0.graft(blocks) }))
    #expect(outputs.offences == [.graftDuringBackoff(blocks)])
    #expect(outputs.sent(to: peer(1)) == ["prune \(blocks) 60s"])
    #expect(bench.gossip.meshPeers(blocks) == [])
    // The backoff starts anew.
    bench.run(to: 60)
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })).offences.count == 1)
    bench.run(to: 120.5)
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })).offences == [])
    #expect(bench.gossip.meshPeers(blocks) == [peer(1)])
  }

  @Test func graftsAreJudgedByTopicScoreAndRoom() {
    var configuration = Gossip.Configuration()
    configuration.directPeers = [peer(100)]
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, .unsigned))
    // Unknown topics are not answered.
    bench.join(peer(1), topic: nil)
    #expect(bench.input(.received(peer(1), rpc { $0.graft("other") })) == [])
    // A GRAFT speaks for a subscription.
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })).contains(.event(.grafted(peer(1), blocks))))
    #expect(bench.gossip.topicPeers(blocks) == [peer(1)])
    // A bad score.
    bench.join(peer(2), topic: nil)
    bench.input(.score(peer(2), -1))
    #expect(bench.input(.received(peer(2), rpc { $0.graft(blocks) })).sent(to: peer(2)) == ["prune \(blocks) 60s"])
    // A direct peer.
    bench.join(peer(100))
    #expect(bench.input(.received(peer(100), rpc { $0.graft(blocks) })).sent(to: peer(100)) == ["prune \(blocks) 60s"])
    // A full mesh takes only those that this side dialled.
    for number in 3...13 {
      bench.join(peer(number), .meshsub11, .inbound, topic: nil)
      bench.input(.received(peer(number), rpc { $0.graft(blocks) }))
    }
    #expect(bench.gossip.meshPeers(blocks).count == 12)
    bench.join(peer(20), .meshsub11, .inbound, topic: nil)
    #expect(bench.input(.received(peer(20), rpc { $0.graft(blocks) })).sent(to: peer(20)) == ["prune \(blocks) 60s"])
    bench.join(peer(21), .meshsub11, .outbound, topic: nil)
    bench.input(.received(peer(21), rpc { $0.graft(blocks) }))
    #expect(bench.gossip.meshPeers(blocks).contains(peer(21)))
    #expect(bench.broken == [])
  }

  @Test func theHeartbeatPrunesToTheDegreeAndKeepsBestAndOutbound() {
    for seed in 1...20 {
      let bench = Bench(seed: UInt64(seed))
      bench.input(.subscribe(blocks, .unsigned))
      for number in 1...16 {
        bench.join(peer(number), .meshsub11, number <= 4 ? .outbound : .inbound, topic: nil)
        if number >= 13 { bench.input(.score(peer(number), Double(number))) }
      }
      // Twelve inbound ones first, then the outbound ones that may come on top.
      for number in (1...16).reversed() { bench.input(.received(peer(number), rpc { $0.graft(blocks) })) }
      #expect(bench.gossip.meshPeers(blocks).count == 16)
      bench.run(to: 1)
      let mesh = bench.gossip.meshPeers(blocks)
      #expect(mesh.count == 6)
      #expect(Set(mesh).isSuperset(of: (13...16).map(peer)), "the best by score stay")
      #expect(mesh.count { (1...4).map(peer).contains($0) } == 2, "with both other places for outbound peers")
      #expect(bench.broken == [])
    }
  }

  @Test func theHeartbeatFillsUpWithOutboundPeers() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    for number in 1...8 {
      bench.join(peer(number), .meshsub11, .inbound, topic: nil)
      bench.input(.received(peer(number), rpc { $0.graft(blocks) }))
    }
    for number in 11...15 { bench.join(peer(number), .meshsub11, .outbound) }
    #expect(bench.gossip.meshPeers(blocks).count == 8)
    bench.run(to: 1)
    #expect(bench.gossip.meshPeers(blocks).count == 10)
  }

  @Test func scoresDecideWhatAPeerMayDo() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2))
    bench.input(.score(peer(1), -1))
    let outputs = bench.run(to: 1)
    #expect(outputs.contains(.event(.pruned(peer(1), blocks, .score))))
    #expect(bench.gossip.meshPeers(blocks) == [peer(2)])
    // Own messages still reach it, until the score is below the publish threshold.
    #expect(bench.input(.publish(blocks, [1])).messageReceivers.contains(peer(1)))
    bench.input(.score(peer(1), -5))
    #expect(bench.input(.publish(blocks, [2])).messageReceivers == [peer(2)])
    // Below the graylist threshold nothing is heard.
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [3]) })).delivered == [[3]])
    bench.input(.score(peer(1), -9))
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [4]) })) == [])
    #expect(bench.gossip.statistics.graylisted == 1)
  }

  @Test func opportunisticGraftingBettersAPoorMesh() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    for number in 1...5 { bench.join(peer(number)) }
    for number in 6...10 {
      bench.join(peer(number))
      bench.input(.score(peer(number), 50))
    }
    let before = bench.gossip.meshPeers(blocks).count
    bench.run(to: 58)
    #expect(bench.gossip.meshPeers(blocks).count == before)
    bench.run(to: 61)
    #expect(bench.gossip.meshPeers(blocks).count == before + 2)
  }

  @Test func suggestionsAreHeededOnlyFromGoodPeers() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    let prune = rpc { $0.prune(blocks, backoff: 60, exchange: [(peer(50), [1, 2]), (peer(1), nil), (peer(51), nil)]) }
    #expect(!bench.input(.received(peer(1), prune)).contains { if case .suggested = $0 { true } else { false } })
    bench.input(.score(peer(1), 100))
    #expect(
      bench.input(.received(peer(1), prune)) == [
        .suggested(
          blocks, [SuggestedPeer(peer: peer(50), record: [1, 2]), SuggestedPeer(peer: peer(51), record: nil)], by: peer(1))
      ])
  }

  @Test func floodingAndDirectPeersAreServedOutsideTheMesh() {
    var configuration = Gossip.Configuration()
    configuration.directPeers = [peer(2)]
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1), .floodsub)
    bench.join(peer(2))
    bench.join(peer(3))
    #expect(bench.gossip.meshPeers(blocks) == [peer(3)])
    bench.input(.score(peer(2), -99))
    #expect(Set(bench.input(.received(peer(3), rpc { $0.publish(blocks, [1]) })).messageReceivers) == [peer(1), peer(2)])
    #expect(bench.input(.received(peer(2), rpc { $0.publish(blocks, [2]) })).delivered == [[2]])
    // Control from a flooding peer means nothing.
    #expect(bench.input(.received(peer(1), rpc { $0.graft(blocks) })) == [])
    #expect(bench.broken == [])
  }

  @Test func publishingWithoutSubscriptionUsesAFanoutThatExpires() {
    var configuration = Gossip.Configuration()
    configuration.floodsOwnMessages = false
    let bench = Bench(configuration)
    for number in 1...20 { bench.join(peer(number)) }
    let first = bench.input(.publish(blocks, [1])).messageReceivers
    #expect(first.count == 6)
    bench.run(to: 30)
    #expect(bench.input(.publish(blocks, [2])).messageReceivers == first)
    for gone in first.prefix(2) { bench.input(.peerDisconnected(gone)) }
    bench.run(to: 40)
    #expect(bench.input(.publish(blocks, [3])).messageReceivers.count == 6)
    bench.run(to: 101.5)
    #expect(bench.gossip.topics[blocks]?.fanout.isEmpty == true)
    // Subscribing keeps the fanout's peers as the mesh.
    let third = bench.input(.publish(blocks, [4])).messageReceivers
    bench.input(.subscribe(blocks, .unsigned))
    #expect(bench.gossip.meshPeers(blocks) == third)
    #expect(bench.broken == [])
  }

  @Test func aPeerThatLeavesIsForgottenButNotItsBackoff() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.input(.received(peer(1), rpc { $0.prune(blocks) }))
    #expect(bench.input(.peerDisconnected(peer(1))) == [])
    bench.join(peer(1))
    #expect(bench.gossip.meshPeers(blocks) == [])
    bench.join(peer(2))
    #expect(bench.input(.peerDisconnected(peer(2))) == [.event(.pruned(peer(2), blocks, .disconnected))])
    #expect(bench.input(.received(peer(2), rpc { $0.publish(blocks, [1]) })) == [])
    #expect(bench.broken == [])
  }
}
