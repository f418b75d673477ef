import Identity
import Testing
import Wire

@testable import Peering

/// Two machines with one key: each is told, and neither takes the other for itself.
@Suite struct TwinTests {
  private func twins(_ events: [PeeringEvent]) -> [(peer: PeerID?, reason: String?)] {
    events.filter { $0.kind == "identity-shared" }.map { ($0.peer, $0.reasonName) }
  }

  /// Somebody comes in with this node's own key, and no dial of this node's was under way.
  @Test func theOtherMachineComesIn() {
    var bench = Bench(local: 5)
    let outputs = bench.enter(5, from: "/ip4/90.0.0.1/tcp/50000").outputs
    #expect(outputs.closed.map(\.code) == [.selfConnection])
    #expect(twins(outputs.events).map(\.reason) == ["proven"] && twins(outputs.events)[0].peer == peer(5))
    #expect(bench.machine.explain(peer(5), now: bench.now).joined().contains("another machine uses this node's key"))
    #expect(twins(bench.enter(5, from: "/ip4/90.0.0.1/tcp/50001").outputs.events).isEmpty, "said once for a while")
  }

  /// A configured address leads to the other machine: it is no address of this node's own and is dialled on.
  @Test(arguments: [true, false]) func theOtherMachineAnswers(isNamed: Bool) throws {
    var bench = Bench(local: 5)
    let place = PeerAddress(peer: isNamed ? peer(9) : nil, address: publicAddress(1))
    let dial = bench.send(.learned([place], .bootstrap)).dials[0]
    let outputs = isNamed ? bench.send(.dialFailed(dial.id, .wrongPeer(peer(5)))) : bench.prove(dial, 5)
    #expect(twins(outputs.events).map(\.reason) == ["proven"])
    let next = bench.nextDial(by: 100)
    #expect(try #require(next).address == publicAddress(1))
    bench.prove(try #require(next), 9)
    #expect(bench.machine.activePeers == [peer(9)])
  }

  /// A real link to oneself has both ends here, whichever is proven first.
  @Test(arguments: [true, false]) func onesOwnEnds(isListenerFirst: Bool) {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: nil, address: publicAddress(1))], .bootstrap)).dials[0]
    let inbound = bench.accept("/ip4/21.0.0.1/tcp/50000", seconds: 1).id
    var outputs: [PeeringMachine.Output] = []
    if !isListenerFirst { outputs += bench.prove(dial, 5) }
    outputs += bench.send(.proven(inbound, peer(5), remote: publicAddress(1), setUpTime: .zero))
    if isListenerFirst { outputs += bench.prove(dial, 5) }
    #expect(twins(outputs.events).isEmpty)
    #expect(bench.run(to: 4_000).outputs.dials.isEmpty)
  }

  /// One `replaced` may be a race of this node's own links; several, without a link of its own, are somebody else's.
  @Test func peersSpeakOfNewerLinks() throws {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    var said: [String?] = []
    var waits: [Double] = []
    for _ in 1...6 {
      said += twins(bench.prove(dial, 9).events).map(\.reason)
      bench.run(to: Double(bench.now.nanoseconds) / 1e9 + 10)
      bench.send(.closed(dial.id, .goodbye(Reason(.replaced))))
      let end = bench.now
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      waits.append((bench.now - end).seconds)
    }
    #expect(said == ["replaced"])
    #expect(waits.allSatisfy { $0 <= 60.001 } && waits.max() ?? 0 > 5, "the two let each other have a while: \(waits)")
    // The newer link is this node's own.
    var race = Bench(local: 50) { $0.outboundMinimum = 0 }
    for round in 0..<6 {
      let second = Double(round) * 100
      race.now = at(second)
      let old = race.enter(9, from: "/ip4/90.0.0.1/tcp/50000").id
      let new = race.accept("/ip4/90.0.0.1/tcp/50001", seconds: second + 40).id
      race.send(.closed(old, .goodbye(Reason(.replaced))), at: second + 41)
      let proven = race.send(.proven(new, peer(9), remote: address("/ip4/90.0.0.1/tcp/50001"), setUpTime: .zero))
      #expect(twins(proven.events).isEmpty)
      race.send(.closed(new, .remoteClosed), at: second + 60)
    }
  }

  /// The whole story in virtual time: two machines with one key at one hub. Both are told within some minutes, the hub too, and the two change
  /// places ever more seldom.
  @Test(arguments: UInt64(1)...10) func bothAreTold(seed: UInt64) {
    let world = World(seed: seed)
    for name in [peer(7), peer(20), peer(20)] { world.add(name) }
    let hub = PeerAddress(peer: peer(7), address: world.nodes[0].address)
    world.send(1, .learned([hub], .bootstrap))
    world.schedule(at: at(30)) { world.send(2, .learned([hub], .bootstrap)) }
    world.run(until: at(900))
    for index in 1...2 {
      let told = world.nodes[index].events.filter { $0.event.kind == "identity-shared" }
      #expect(told.first.map { $0.at < at(600) } ?? false, "seed \(seed): node \(index) is not told")
      #expect(told.allSatisfy { $0.event.peer == peer(20) })
    }
    #expect(world.nodes[0].events.contains { $0.event.kind == "identity-shared" && $0.event.peer == peer(20) })
    let swaps = world.nodes[0].events.count { if case .peerActive = $0.event { $0.at > at(600) } else { false } }
    #expect(swaps <= 30, "seed \(seed): \(swaps) links in five minutes")
    #expect(world.violations.isEmpty)
  }
}
