import Testing
import Wire

@testable import Gossip

/// How many topics peers may have, and what is said of them in how many RPCs.
@Suite struct TopicLimitTests {
  private func topics(_ count: Int) -> [Topic] {
    // As long as those of a consensus network.
    (0..<count).map { Topic("/eth2/4a26c58b/beacon_attestation_subnet_\($0)/ssz_snappy/padded") }
  }

  private func configuration(topicsOfAPeer count: Int) -> Gossip.Configuration {
    var configuration = Gossip.Configuration()
    configuration.maximumSubscriptionBytes = count * (Gossip.Configuration.subscriptionOverhead + 2)
    return configuration
  }

  /// Real networks have 162 topics; a peer with more is as good as any other.
  @Test func aPeerWithManyTopicsIsNotToBlame() {
    let bench = Bench()
    bench.join(peer(1), topic: nil)
    let all = topics(500)
    let outputs = bench.input(.received(peer(1), rpc { writer in for topic in all { writer.subscribe(topic) } }))
    #expect(outputs.offences == [] && bench.gossip.topics.count == 500)
    #expect(all.allSatisfy { bench.gossip.topicPeers($0) == [peer(1)] })
    #expect(bench.broken == [])
  }

  @Test func twoRoutersMeetInEachOf200Topics() {
    let (here, there) = (Bench(seed: 1), Bench(seed: 2))
    let all = topics(200)
    for topic in all { for bench in [here, there] { #expect(bench.input(.subscribe(topic, .unsigned)) == []) } }
    var offences: [GossipOffence] = []
    /// What one bench sends goes to the other.
    func pass(_ outputs: [Gossip.Output], from: Bench, to: Bench) {
      offences += outputs.offences
      for case .send(_, let bytes) in outputs {
        pass(to.input(.received(peer(from === here ? 1 : 2), bytes)), from: to, to: from)
      }
    }
    for (from, to, name) in [(here, there, 2), (there, here, 1)] {
      pass(from.input(.peerConnected(peer(name), .meshsub12, .outbound)), from: from, to: to)
    }
    for (from, to, name) in [(here, there, 2), (there, here, 1)] { pass(from.input(.writable(peer(name))), from: from, to: to) }
    #expect(offences == [])
    #expect(all.allSatisfy { here.gossip.meshPeers($0) == [peer(2)] && there.gossip.meshPeers($0) == [peer(1)] })
    #expect(here.broken + there.broken == [])
  }

  @Test func theExcessOfAPeerIsIgnored() {
    let bench = Bench(configuration(topicsOfAPeer: 4))
    bench.input(.subscribe("own", .unsigned))
    bench.join(peer(1), topic: nil)
    let names = (0..<6).map { Topic("t\($0)") } + ["own"]
    let outputs = bench.input(.received(peer(1), rpc { writer in for name in names { writer.subscribe(name) } }))
    #expect(outputs.offences == [] && bench.gossip.statistics.ignoredElements == 2)
    #expect(bench.gossip.topics.count == 5)
    #expect(bench.gossip.meshPeers("own") == [peer(1)], "what this side takes part in is never too much")
    bench.input(.received(peer(1), rpc { $0.subscribe("t0", false) }))
    #expect(bench.gossip.topics.count == 4)
    bench.input(.peerDisconnected(peer(1)))
    #expect(Set(bench.gossip.topics.keys) == ["own"])
    #expect(bench.broken == [])
  }

  @Test func changesAreBoundedInEachHeartbeat() {
    var configuration = Gossip.Configuration()
    configuration.maximumSubscriptionChanges = 10
    let bench = Bench(configuration)
    bench.join(peer(1), topic: nil)
    let outputs = bench.input(.received(peer(1), rpc { writer in for turn in 0..<30 { writer.subscribe("a", turn % 2 == 0) } }))
    #expect(outputs.count == 10 && bench.gossip.topicPeers("a") == [])
    bench.run(to: 1)
    bench.input(.received(peer(1), rpc { $0.subscribe("a") }))
    #expect(bench.gossip.topicPeers("a") == [peer(1)])
  }

  @Test func whatPeersWouldNotTakeNoteOfIsNotSubscribedTo() {
    let bench = Bench(configuration(topicsOfAPeer: 4))
    for name in ["t0", "t1", "t2", "t3"] as [Topic] { #expect(bench.input(.subscribe(name, .unsigned)) == []) }
    bench.join(peer(1), topic: nil)
    let limit = bench.gossip.configuration.maximumSubscriptionBytes
    let more = bench.input(.subscribe("t4", .unsigned))
    #expect(more == [.subscribeFailed("t4", .tooManyTopics(bytes: limit / 4 * 5, maximum: limit))])
    #expect(bench.gossip.subscriptions.count == 4 && bench.gossip.topics["t4"] == nil)
    #expect(bench.input(.subscribe("t3", .unsigned)) == [], "it is there already")
    bench.input(.unsubscribe("t0"))
    #expect(bench.input(.subscribe("t4", .unsigned)).sent(to: peer(1)) == ["sub t4"])
  }

  /// Others heed ten RPCs with announcements in a heartbeat, however many topics they speak of.
  @Test func announcementsOfAllTopicsAreOneRPC() {
    let bench = Bench()
    let names = (0..<20).map { Topic("t\($0)") }
    for name in names { bench.input(.subscribe(name, .unsigned)) }
    bench.join(peer(1), topic: nil)
    bench.input(.received(peer(1), rpc { writer in for name in names { writer.subscribe(name) } }))
    // Out of the meshes, so that it is told of messages rather than sent them.
    bench.input(.received(peer(1), rpc { writer in for name in names { writer.prune(name) } }))
    bench.join(peer(2), topic: nil)
    bench.input(.received(peer(2), rpc { writer in for name in names { writer.publish(name, Array(name.name.utf8)) } }))
    let frames = bench.run(to: 1.1).compactMap { if case .send(peer(1), let bytes) = $0 { words(bytes) } else { nil } }
    #expect(frames == [Array(repeating: "ihave 1", count: 20)])

    let ids = names.map { crypto.sha256(Array("of \($0)".utf8)).bytes }
    let announced = rpc { writer in for (name, id) in zip(names, ids) { writer.ihave(name, [id]) } }
    let outputs = bench.input(.received(peer(1), announced))
    #expect(outputs.sent(to: peer(1)) == ["iwant 20"] && outputs.offences == [])
    #expect(bench.broken == [])
  }
}
