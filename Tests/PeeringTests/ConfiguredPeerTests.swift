import Identity
import Testing
import Wire

@testable import Peering

/// What an operator configured is never dropped by what happened.
@Suite struct ConfiguredPeerTests {
  private func item(_ number: UInt64, _ place: Int) -> PeerAddress { PeerAddress(peer: peer(number), address: publicAddress(place)) }
  private func nameless(_ place: Int) -> PeerAddress { PeerAddress(peer: nil, address: publicAddress(place)) }

  /// For a while somebody else answers at the address: it is dialled again and again, the story says who it was, and the peer is found when
  /// it is back.
  @Test(arguments: [PeerSource.bootstrap, .manual, .seed]) func anotherPeerAnswers(source: PeerSource) throws {
    var bench = Bench(local: 5)
    var dial = bench.send(.learned([item(9, 1)], source)).dials[0]
    for _ in 1...30 {
      bench.send(.dialFailed(dial.id, .wrongPeer(peer(10))))
      let failedAt = bench.now
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      #expect(dial.address == publicAddress(1) && bench.now - failedAt <= .seconds(60))
    }
    #expect(bench.machine.explain(peer(9), now: bench.now).joined().contains(peer(10).description))
    bench.prove(dial, 9)
    #expect(bench.machine.activePeers == [peer(9)])
    #expect(bench.machine.known[.peer(peer(9))]?.role == (source == .seed ? .seed : .keep))
  }

  /// Hearsay is not worth a second dial; a stored peer's address counts a failed dial, as others do.
  @Test func whatWasNotConfigured() throws {
    var bench = Bench(local: 5)
    _ = bench.enter(7, from: "/ip4/90.0.0.1/tcp/1")
    let heard = bench.send(.learned([item(9, 1)], .exchange(peer(7)))).dials[0]
    bench.send(.dialFailed(heard.id, .wrongPeer(peer(10))))
    #expect(bench.machine.addresses(of: peer(9)).isEmpty)
    var dial = bench.send(.learned([item(11, 2)], .exchange(peer(7)))).dials[0]
    bench.prove(dial, 11)
    bench.send(.closed(dial.id, .remoteClosed), at: 100)
    for failure in 1...5 {
      #expect(bench.machine.isStored(peer(11)), "before failure \(failure)")
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      bench.send(.dialFailed(dial.id, .wrongPeer(peer(10))))
    }
    #expect(!bench.machine.isStored(peer(11)))
  }

  /// A ban keeps a configured peer out as long as it lasts, and no longer.
  @Test(arguments: [PeerSource.bootstrap, .seed, .manual]) func bannedWhenItWasConfigured(source: PeerSource) {
    var bench = Bench(local: 5)
    bench.operate(.ban(.peer(peer(9)), for: nil, "test"))
    #expect(bench.send(source == .manual ? .dial(item(9, 1), keep: true) : .learned([item(9, 1)], source)).dials.isEmpty)
    #expect(bench.run(to: 500).outputs.dials.isEmpty)
    #expect(bench.operate(.unban(.peer(peer(9)))).outputs.dials.map(\.address) == [publicAddress(1)])
  }

  /// The peer's own words do not push out the address at which an operator knows it.
  @Test func aTalkativePeer() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([item(9, 1)], .bootstrap)).dials[0]
    bench.send(.dialFailed(dial.id, .refused))
    _ = bench.enter(9, from: "/ip4/90.0.0.1/tcp/50000")
    bench.send(.learned((2...12).map { item(9, $0) }, .identify(peer(9))))
    #expect(bench.machine.addresses(of: peer(9)).contains(publicAddress(1)))
  }

  /// Whoever stood in for a while at a configured address without a name is nobody's must-keep peer, also when it is linked elsewhere later.
  @Test func anImpostorIsNotKept() throws {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    _ = bench.enter(7, from: "/ip4/90.0.0.1/tcp/1")
    let first = bench.send(.learned([nameless(1)], .bootstrap)).dials[0]
    bench.prove(first, 10)
    bench.send(.closed(first.id, .remoteClosed), at: 100)
    var elsewhere = bench

    let next = bench.nextDial(by: 200)
    bench.send(.dialFailed(try #require(next).id, .wrongPeer(peer(9))))
    let found = bench.nextDial(by: 300)
    bench.prove(try #require(found), 9)
    #expect(bench.machine.activePeers == [peer(7), peer(9)])
    #expect(bench.machine.known[.peer(peer(10))]?.role != .keep)

    // It is gone from there and comes in by itself: the address is still wanted, whoever is to be found there.
    let gone = elsewhere.nextDial(by: 200)
    elsewhere.send(.dialFailed(try #require(gone).id, .refused))
    _ = elsewhere.enter(10, from: "/ip4/91.0.0.1/tcp/50000")
    let again = elsewhere.nextDial(by: 300)
    #expect(try #require(again).address == publicAddress(1))
    elsewhere.prove(try #require(again), 9)
    #expect(elsewhere.machine.activePeers == [peer(7), peer(9), peer(10)])
  }

  // MARK: Oneself

  /// One list of all nodes for all nodes is a common thing: the own entry is said once and not dialled.
  @Test func oneselfByConfiguration() {
    for isListeningFirst in [true, false] {
      var bench = Bench(local: 5)
      var outputs: [PeeringMachine.Output] = []
      if isListeningFirst { outputs += bench.send(.listening([publicAddress(1)])) }
      outputs += bench.send(.learned([nameless(1), item(5, 2)], .bootstrap))
      if !isListeningFirst { outputs += bench.send(.listening([publicAddress(1)])) }
      let said = outputs.events.filter { $0.kind == "dial-refused" && $0.reasonName == "self-connection" }.compactMap(\.address)
      #expect(Set(said) == [publicAddress(1), publicAddress(2)] && said.count == 2)
      #expect(outputs.dials.isEmpty == isListeningFirst)
    }
  }

  /// An address that an operator wants kept and that leads to this node itself is taken back, so that the next start does not dial it.
  @Test func aKeptAddressOfOneself() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    var book = TestBook()
    let added = bench.operate(.add(nameless(1), keep: true))
    book.apply(added.outputs)
    let inbound = bench.accept("/ip4/21.0.0.1/tcp/50000").id
    book.apply(bench.prove(added.outputs.dials[0], 5))
    bench.send(.proven(inbound, peer(5), remote: publicAddress(1), setUpTime: .zero))
    #expect(bench.machine.rules(now: bench.now).kept.isEmpty)
    #expect(bench.run(to: 4_000).outputs.dials.isEmpty)
    var again = Bench(local: 5, book: book.all) { $0.outboundMinimum = 0 }
    #expect(again.send(.timerFired).dials.isEmpty)
  }

  // MARK: Slots and rows

  /// A node without any link forgets nobody, however often its peers refuse the connection: they may all be starting again.
  @Test func aLoneNodeForgetsNobody() throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    var dial = bench.send(.learned([item(9, 1)], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    book.apply(bench.send(.closed(dial.id, .remoteClosed), at: 100))
    for _ in 1...20 {
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      book.apply(bench.send(.dialFailed(dial.id, .refused)))
    }
    #expect(book.peers == 1)
    // Nor do those failures count once there is a link.
    _ = bench.enter(7, from: "/ip4/90.0.0.1/tcp/1")
    for failure in 1...5 {
      #expect(book.peers == 1, "before failure \(failure)")
      let next = bench.nextDial(by: 1e6)
      book.apply(bench.send(.dialFailed(try #require(next).id, .refused)))
    }
    #expect(book.peers == 0)
  }

  /// A lost outbound link is made up for in the same turn: by who is known, and by a seed where nobody else is left.
  @Test func aLostLinkIsMadeUpFor() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 3
      $0.feelerInterval = nil
    }
    let dials = bench.send(.learned((1...6).map(nameless), .seed)).dials
    #expect(dials.count == 3)
    for (index, dial) in dials.enumerated() { bench.prove(dial, UInt64(11 + index)) }
    var other = bench
    other.send(.learned([item(20, 20)], .discovery))
    let known = other.send(.closed(dials[0].id, .transport("reset")), at: 1_000)
    #expect(known.dials.map(\.address) == [publicAddress(20)], "who is known goes before seeds")
    let lost = bench.send(.closed(dials[0].id, .transport("reset")), at: 1_000)
    #expect(lost.dials.map(\.address) == [publicAddress(4)], "an unused seed at once")
    if lost.dials.isEmpty { return }
    let next = bench.send(.dialFailed(lost.dials[0].id, .refused))
    #expect(next.dials.map(\.address) == [publicAddress(5)])
    bench.prove(next.dials[0], 15)
    #expect(bench.machine.activePeers.count == 3)
    let second = bench.send(.closed(dials[1].id, .transport("reset")), at: 1_100)
    #expect(second.dials.map(\.address) == [publicAddress(1)], "a stored peer goes first")
  }

  /// One lost link of a house that was never full is one seed more, not all that are missing.
  @Test func oneSeedForOneLostLink() {
    var bench = Bench(local: 5) { $0.feelerInterval = nil }
    _ = bench.enter(7, from: "/ip4/90.0.0.1/tcp/1")
    let dial = bench.send(.learned([item(9, 1)], .discovery)).dials[0]
    bench.prove(dial, 9)
    #expect(bench.send(.learned((2...9).map(nameless), .seed)).dials.isEmpty, "a minute's patience before seeds are asked")
    let dials = bench.send(.closed(dial.id, .transport("reset")), at: 10).dials
    #expect(dials.map(\.address) == [publicAddress(2)])
  }
}
