import Identity
import Testing
import Wire

@testable import Peering

@Suite struct OneLinkTests {
  /// existing dialled by us?, age in seconds, new dialled by us?, we are lower → choice
  @Test(arguments: [
    (true, 1.0, true, true, OneLinkRule.Choice.keepExisting), (true, 30, true, false, .takeNew),
    (false, 1, false, true, .wait), (false, 29.9, false, true, .wait), (false, 31, false, true, .takeNew),
    (false, 1, true, true, .takeNew), (false, 1, true, false, .keepExisting), (false, 26, true, false, .takeNew),
    (true, 1, false, true, .keepExisting), (true, 1, false, false, .takeNew), (true, 21, false, true, .wait),
    (true, 31, false, true, .takeNew),
  ])
  func rule(existing: Bool, age: Double, new: Bool, isLower: Bool, choice: OneLinkRule.Choice) {
    let found = OneLinkRule.choose(
      existing: existing ? .outbound : .inbound, age: .milliseconds(Int64(age * 1000)), new: new ? .outbound : .inbound, isLower: isLower,
      window: .seconds(25), margin: .seconds(5))
    #expect(found == choice)
  }

  /// Both ends dial at about the same time, a thousand times with random delays: one link stays, the same at both ends, and nobody has to
  /// dial twice.
  @Test(arguments: [("named", 1_000), ("nameless", 1_000), ("introduced", 1_000), ("mixed", 1_000)])
  func simultaneousDials(kind: String, count: UInt64) throws {
    for seed in UInt64(1)...count {
      var setting = World.Setting()
      setting.delay = 0.001...(seed % 2 == 0 ? 0.3 : 1.5)
      setting.configure = { $0.introductionRequired = kind == "introduced" || kind == "mixed" }
      let world = World(seed: seed, setting)
      let (a, b) = (world.add(peer(seed % 3 == 0 ? 9 : 1)), world.add(peer(5)))
      for (from, to) in [(a, b), (b, a)] {
        let isNamed = kind == "named" || kind == "introduced" || (kind == "mixed" && from == a)
        let wanted = PeerAddress(peer: isNamed ? world.nodes[to].peer : nil, address: world.nodes[to].address)
        let start = Instant.zero + world.generator.jitter(.milliseconds(seed % 5 == 0 ? 3_000 : 200))
        world.schedule(at: start) {
          world.send(from, .learned([wanted], .bootstrap))
          // Somebody also tells the same address with its name while the nameless dial is under way.
          if kind == "mixed" {
            world.send(from, .dial(PeerAddress(peer: world.nodes[to].peer, address: world.nodes[to].address), keep: false))
          }
        }
      }
      world.run(until: at(60))
      let early = world.sharedLinks
      world.run(until: at(400))
      let late = world.sharedLinks
      try #require(world.violations.isEmpty, "\(kind), seed \(seed): \(world.violations)")
      try #require(early.count == 1, "\(kind), seed \(seed): \(early.count) shared links after a minute")
      try #require(late.map(\.pipe) == early.map(\.pipe), "\(kind), seed \(seed): the link changed")
      for node in world.nodes {
        try #require(node.machine.links(now: world.now).count == 1, "\(kind), seed \(seed): other links are left")
        // One dial each, and a named one beside the nameless one.
        try #require(node.dials.count <= (kind == "mixed" ? 2 : 1), "\(kind), seed \(seed): \(node.dials.count) dials")
      }
    }
  }

  /// A peer that lost the link without this side noticing comes back and is let in.
  @Test func lostLinkIsReplaced() {
    var bench = Bench(local: 5)
    let old = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000")
    #expect(old.outputs.admitted == [old.id])
    bench.run(to: 300)
    let new = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50001")
    #expect(new.outputs.retired.map(\.id) == [old.id])
    #expect(new.outputs.retired.map(\.code) == [.replaced])
    #expect(new.outputs.admitted == [new.id])
    // News of the old link come late and change nothing.
    #expect(bench.send(.closed(old.id, .remoteClosed)).isEmpty)
    #expect(bench.machine.link(of: peer(9)) == new.id)
    #expect(bench.machine.isActive(peer(9)))
  }

  /// A second link from the same side soon after the first waits for that side's choice; silence means the newer one.
  @Test func sameDiallerTwice() {
    for choice in 0..<3 {
      var bench = Bench(local: 5)
      let first = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000")
      bench.run(to: 1)
      let second = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50001")
      #expect(second.outputs.admitted.isEmpty && second.outputs.closed.isEmpty)
      switch choice {
      case 0:
        bench.send(.closed(second.id, .goodbye(Reason(.duplicate))))
        #expect(bench.machine.link(of: peer(9)) == first.id)
      case 1:
        #expect(bench.send(.closed(first.id, .remoteClosed)).admitted == [second.id])
      default:
        let outputs = bench.run(to: 7).outputs
        #expect(outputs.retired.map(\.id) == [first.id] && outputs.closed.isEmpty)
        #expect(outputs.admitted == [second.id])
      }
    }
  }

  /// A link that gave way keeps its slot until it is closed, by either end. There is one for each peer.
  @Test func aLosingLinkDrains() throws {
    var bench = Bench(local: 5) { $0.totalMaximum = 3 }
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    bench.prove(dial, 9)
    let losers = (0..<2).map { bench.enter(9, from: "/ip4/20.0.0.1/tcp/5000\($0)") }
    #expect(losers.map { $0.outputs.retired.map(\.id) } == losers.map { [$0.id] })
    #expect(losers[1].outputs.closed.map(\.id) == [losers[0].id], "the second takes the first one's place")
    #expect(bench.machine.counts.draining == 1 && bench.machine.counts.active == 1 && bench.machine.counts.outbound == 1)
    #expect(bench.machine.link(of: peer(9)) == dial.id)
    let told = bench.machine.recentEvents.count { if case .linkClosed = $0.event { true } else { false } }
    #expect(told == 2)
    // Its time is over.
    #expect(bench.run(to: 11).outputs.closed.map(\.id) == [losers[1].id])
    #expect(bench.machine.counts.draining == 0)
    #expect(bench.send(.closed(losers[1].id, .remoteClosed)).isEmpty)
    #expect(bench.machine.recentEvents.count { if case .linkClosed = $0.event { true } else { false } } == told, "its end is told once")
    // The remote ends it.
    let third = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50003")
    #expect(bench.send(.closed(third.id, .goodbye(Reason(.duplicate)))).isEmpty && bench.machine.counts.draining == 0)
    #expect(bench.machine.isActive(peer(9)))
  }

  /// Nobody is refused for a link that is not needed any more.
  @Test func drainingLinksMakeRoom() {
    var bench = Bench(local: 5) {
      $0.totalMaximum = 3
      $0.outboundMinimum = 1
    }
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    bench.prove(dial, 9)
    let loser = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000")
    _ = bench.enter(10, from: "/ip4/30.0.0.1/tcp/50000")
    let newcomer = bench.enter(11, from: "/ip4/40.0.0.1/tcp/50000")
    #expect(newcomer.outputs.admitted == [newcomer.id] && bench.machine.counts.draining == 0)
    #expect(bench.send(.closed(loser.id, .remoteClosed)).isEmpty)
    #expect(bench.machine.activePeers == [peer(9), peer(10), peer(11)])
  }

  /// A second link that breaks while the first is in use is no failure of the peer's.
  @Test func aSecondLinkThatBreaksIsNobodysFault() {
    var bench = Bench(local: 5)
    _ = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000")
    bench.run(to: 1)
    let second = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50001")
    bench.send(.closed(second.id, .transport("reset")))
    #expect(bench.machine.known[.peer(peer(9))]?.streak == 0)
    bench.machine.checkInvariants()
  }

  /// What is known of a peer that only ever came in outlives the change of its links: it can be scored and banned on the new one.
  @Test func aNewLinkIsNoNewName() {
    var bench = Bench(local: 5)
    _ = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000")
    bench.send(.report(peer(9), .malformedMessage), at: 40)
    let second = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50001")
    #expect(second.outputs.retired.map(\.code) == [.replaced] && second.outputs.admitted == [second.id])
    let ends = bench.send(.report(peer(9), .malformedMessage)).closed
    #expect(ends.contains { $0.id == second.id && $0.code == .lowScore })
  }

  /// While our own dial, which would win, is under way, the other side's link is not used; when the dial fails it is.
  @Test func heldUntilOwnDialFails() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    let inbound = bench.enter(9, from: "/ip4/21.0.0.1/tcp/50000")
    #expect(inbound.outputs.admitted.isEmpty)
    #expect(bench.machine.counts.held == 1)
    #expect(bench.send(.dialFailed(dial.id, .timedOut)).admitted == [inbound.id])
  }

  /// The side whose dial would lose gives it up for the other's proven link.
  @Test func losingDialIsCancelled() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: peer(2), address: publicAddress(1))], .bootstrap)).dials[0]
    let inbound = bench.enter(2, from: "/ip4/21.0.0.1/tcp/50000")
    #expect(inbound.outputs.contains(.yieldDial(dial.id)))
    #expect(inbound.outputs.admitted == [inbound.id])
    #expect(bench.machine.counts.outbound == 0 && bench.machine.counts.draining == 0)
    // It came through at the same moment: the remote may use it.
    #expect(bench.prove(dial, 2).retired.map(\.id) == [dial.id] && bench.machine.counts.draining == 1)
    #expect(bench.run(to: 11).outputs.closed.map(\.id) == [dial.id] && bench.machine.isActive(peer(2)))
    #expect(bench.prove(dial, 3).closed.map(\.id) == [dial.id], "nobody that is linked")
  }

  @Test func selfConnection() {
    var bench = Bench(local: 5)
    let own = publicAddress(1)
    let dial = bench.send(.learned([PeerAddress(peer: nil, address: own)], .bootstrap)).dials[0]
    let inbound = bench.accept("/ip4/21.0.0.1/tcp/50000").id
    let listener = bench.send(.proven(inbound, peer(5), remote: own, setUpTime: .zero))
    #expect(listener.closed.map(\.code) == [.selfConnection])
    let dialler = bench.prove(dial, 5)
    #expect(dialler.closed.map(\.code) == [.selfConnection])
    #expect(dialler.events.contains(.selfConnection(own)))
    var nothing = PeeringCounts()
    nothing.dials[.configured].begun = 1
    nothing.known = 1
    #expect(bench.machine.counts == nothing)
    #expect(bench.send(.learned([PeerAddress(peer: nil, address: own)], .bootstrap)).dials.isEmpty)
    #expect(bench.run(to: 4_000).outputs.dials.isEmpty)
    #expect(bench.machine.bans(now: bench.now).isEmpty)
  }

  /// Another peer answers at an address that was heard of: the address is no longer that peer's.
  @Test func wrongPeer() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    bench.send(.dialFailed(dial.id, .wrongPeer(peer(10))))
    #expect(bench.machine.addresses(of: peer(9)).isEmpty)
    #expect(bench.run(to: 4_000).outputs.dials.isEmpty)
  }

  /// A bootstrap address without a name whose peer changes its key is found again under the new name.
  @Test func namelessAddressSurvivesNewKey() throws {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: nil, address: publicAddress(1))], .bootstrap)).dials[0]
    bench.prove(dial, 9)
    bench.send(.closed(dial.id, .remoteClosed), at: 100)
    let secondDial = bench.nextDial(by: 200)
    let second = try #require(secondDial)
    bench.send(.dialFailed(second.id, .wrongPeer(peer(10))))
    let thirdDial = bench.nextDial(by: 300)
    let third = try #require(thirdDial)
    #expect(third.address == publicAddress(1))
    bench.prove(third, 10)
    #expect(bench.machine.activePeers == [peer(10)])
  }

  /// After a restart the configuration's address and the book's peer at it are one: a single dial, of a must-keep peer. Should another peer
  /// answer there by now, the address has no name again.
  @Test(arguments: [PeerSource.bootstrap, .manual, .seed]) func oneDialForAddressAndName(source: PeerSource) throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    let nameless = PeerAddress(peer: nil, address: publicAddress(1))
    let first = bench.send(.learned([nameless], source)).dials[0]
    book.apply(bench.prove(first, 9))
    book.apply(bench.send(.stop))

    var again = Bench(local: 5, book: book.all, at: at(100))
    let outputs = again.send(.learned([nameless], source))
    #expect(outputs.dials.count == 1)
    #expect(
      outputs.contains { if case .dial(_, publicAddress(1), peer(9), _) = $0 { true } else { false } }, "it is expected to be the one")
    #expect(again.machine.known[.peer(peer(9))]?.role == (source == .seed ? .seed : .keep))
    var other = again
    again.prove(outputs.dials[0], 9)
    #expect(again.run(to: 1_000).outputs.dials.isEmpty && again.machine.activePeers == [peer(9)])

    other.send(.dialFailed(outputs.dials[0].id, .wrongPeer(peer(10))))
    let next = other.nextDial(by: 1_000)
    let dial = try #require(next)
    #expect(dial.address == publicAddress(1))
    other.prove(dial, 10)
    #expect(other.machine.activePeers == [peer(10)] && other.machine.addresses(of: peer(9)).isEmpty)
    #expect(other.machine.known[.peer(peer(10))]?.role == (source == .seed ? .seed : .keep))
  }
}
