import Identity
import TestKit
import Testing
import Wire

@testable import Peering

/// How the machine dials from its book, and what it persists of it.
@Suite(.ownThread) struct BookOfMachineTests {
  private func heard(_ count: Int, from first: UInt64 = 100) -> [PeerAddress] {
    (0..<count).map { PeerAddress(peer: peer(first + UInt64($0)), address: routable($0)) }
  }

  /// Proves every dial among the outputs as the peer that it expects.
  private func answer(_ bench: inout Bench, _ outputs: [PeeringMachine.Output], _ book: inout TestBook) {
    for output in outputs {
      guard case .dial(let id, let address, let expected?, _) = output else { continue }
      let more = bench.send(.proven(id, expected, remote: address, setUpTime: .zero))
      book.apply(more)
      answer(&bench, more, &book)
    }
  }

  // MARK: Diversity

  /// A thousand addresses in two networks and eight in others: no network gets two links. With nothing but one network it gets all eight.
  @Test func oneLinkForEachNetwork() {
    for seed in UInt64(1)...6 {
      var bench = Bench(local: 5, seed: seed)
      bench.send(.stop)
      bench = Bench(local: 5, seed: seed) { $0.parallelDialsMaximum = 0 }
      var crowd = (0..<1_000).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: routable($0 % 2, $0)) }
      crowd += (0..<8).map { PeerAddress(peer: peer(UInt64(5_000 + $0)), address: routable(10 + $0)) }
      var book = TestBook()
      book.apply(bench.send(.learned(crowd, .discovery)))
      book.apply(bench.send(.stop))
      var again = Bench(local: 5, book: book.all, seed: seed)
      let groups = again.send(.timerFired).dials.map { $0.address.ipAddress!.netgroup }
      #expect(groups.count == 8 && Set(groups).count == 8, "seed \(seed): \(groups)")
    }
    var lonely = Bench(local: 5)
    let same = (0..<100).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: routable(1, $0)) }
    #expect(lonely.send(.learned(same, .discovery)).dials.count == 8)
  }

  /// Twenty nodes on one machine: each gets its eight links although all share an address.
  @Test func localNetworksAreNotStrangled() {
    var bench = Bench(local: 5) { $0.allowsPrivateAddresses = true }
    let cluster = (1...20).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: address("/ip4/127.0.0.1/tcp/\(4000 + $0)")) }
    #expect(bench.send(.learned(cluster, .discovery)).dials.count == 8)
    #expect(bench.machine.counts.known == 20)
  }

  /// Of peers that are equally good those known as such for longer are preferred, also after a restart.
  @Test func oldFriendsFirst() {
    let rows = (0..<200).map { number in
      let row = PeerRow(
        peer: peer(UInt64(100 + number)), addresses: [.init(bytes: routable(number).bytes, lastSuccess: 1_799_999_000_000)], failures: 0,
        score: 0, scoredAt: 0, firstSuccess: number < 100 ? 1_700_000_000_000 : 1_799_000_000_000)
      return (key: row.key, value: row.value)
    }
    var old = 0
    for seed in UInt64(1)...50 {
      var bench = Bench(local: 5, book: rows, seed: seed)
      for case .dial(_, _, let expected?, _) in bench.send(.timerFired) where expected < peer(200) { old += 1 }
    }
    #expect((270...330).contains(old), "\(old) of 400: three quarters, not all")
  }

  // MARK: Anchors

  /// The outbound peers of the last life are dialled first after a restart, before any other stored peer.
  @Test func anchorsFirst() throws {
    for seed in UInt64(1)...10 {
      var book = TestBook()
      var bench = Bench(local: 5, seed: seed)
      // Thirty stored peers of earlier days.
      let outputs = bench.send(.learned(heard(60), .discovery))
      answer(&bench, outputs, &book)
      for number in 0..<30 {
        let row = PeerRow(
          peer: peer(UInt64(500 + number)), addresses: [.init(bytes: routable(100 + number).bytes, lastSuccess: 1_799_999_000_000)],
          failures: 0, score: 0, scoredAt: 0)
        book.put(row.key, row.value)
      }
      let links = Set(bench.machine.activePeers)
      try #require(links.count == 8)
      book.apply(bench.send(.stop))
      var again = Bench(local: 5, book: book.all, seed: seed + 50, at: at(3_600))
      let dialled = again.send(.timerFired).compactMap { output -> PeerID? in
        if case .dial(_, _, let expected, _) = output { expected } else { nil }
      }
      #expect(Set(dialled) == links, "seed \(seed)")
    }
  }

  /// Losing all links, as in an outage, does not lose the anchors; new links take their places.
  @Test func anchorsOutliveOutages() {
    var book = TestBook()
    var bench = Bench(local: 5)
    let outputs = bench.send(.learned(heard(30), .discovery))
    answer(&bench, outputs, &book)
    let first = bench.machine.anchors
    #expect(first.count == 8)
    for link in bench.machine.links(now: bench.now) { book.apply(bench.send(.closed(link.connection, .transport("down")), at: 100)) }
    #expect(bench.machine.anchors == first)
    #expect(PeersRow.read(book.value(BookKeys.anchors) ?? []) == first)
    let keep = bench.send(.learned([PeerAddress(peer: peer(99), address: routable(99))], .bootstrap))
    answer(&bench, keep, &book)
    #expect(!bench.machine.anchors.contains(peer(99)), "peers of the configuration are dialled anyway")
  }

  // MARK: Feelers

  /// With all links up, about every two minutes one heard-of address is tried, told why the link ends, and remembered as good.
  @Test func feelers() {
    var book = TestBook()
    var bench = Bench(local: 5)
    let outputs = bench.send(.learned(heard(120), .discovery))
    answer(&bench, outputs, &book)
    let before = bench.machine.counts.stored
    var feelers = 0
    for _ in 0..<30 {
      guard let dial = bench.nextDial(by: 1e6) else { break }
      let expected = bench.machine.links(now: bench.now).first { $0.connection == dial.id }?.peer
      let result = bench.send(.proven(dial.id, expected!, remote: dial.address, setUpTime: .zero))
      book.apply(result)
      #expect(result.closed.map(\.code) == [.feeler])
      #expect(!result.events.contains { if case .peerActive = $0 { true } else { false } })
      feelers += 1
    }
    #expect(feelers == 30)
    #expect((40.0...80).contains((bench.now - .zero).seconds / 60), "\(bench.now) for 30 feelers")
    #expect(bench.machine.counts.active == 8)
    #expect(bench.machine.counts.stored >= before + 28, "but for those that found their place held")
    #expect(book.peers == bench.machine.counts.stored)
  }

  /// No feelers while links are missing, for a host that opens none by itself, or when they are switched off.
  @Test(arguments: ["short", "idle", "off"])
  func noFeelers(kind: String) {
    var bench = Bench(local: 5) {
      if kind == "idle" { $0.outboundMinimum = 0 }
      if kind == "off" { $0.feelerInterval = nil }
      if kind == "short" { $0.outboundMinimum = 40 }
      $0.parallelDialsMaximum = 40
      $0.outboundMaximum = 40
    }
    var book = TestBook()
    let outputs = bench.send(.learned(heard(kind == "short" ? 20 : 60), .discovery))
    answer(&bench, outputs, &book)
    let more = bench.run(to: 3_000).outputs
    #expect(more.dials.isEmpty)
    #expect(bench.machine.counts.active == (kind == "idle" ? 0 : kind == "off" ? 8 : 20))
  }

  /// A feeler whose place is needed when it comes through stays.
  @Test func feelerStaysWhenALinkIsMissing() throws {
    var book = TestBook()
    var bench = Bench(local: 5) { $0.parallelDialsMaximum = 8 }
    let outputs = bench.send(.learned(heard(30), .discovery))
    answer(&bench, outputs, &book)
    let found = bench.nextDial(by: 1_000)
    let dial = try #require(found)
    let expected = try #require(bench.machine.links(now: bench.now).first { $0.connection == dial.id }?.peer)
    let lost = try #require(bench.machine.links(now: bench.now).first { $0.state == .active })
    let refill = bench.send(.closed(lost.connection, .remoteClosed)).dials
    for other in refill { bench.send(.dialFailed(other.id, .refused)) }
    let result = bench.send(.proven(dial.id, expected, remote: dial.address, setUpTime: .zero))
    if bench.machine.slots.lasting >= 8 && result.closed.isEmpty {
      #expect(bench.machine.isActive(expected))
    } else {
      // Another dial has taken the place already.
      #expect(result.closed.map(\.code) == [.feeler])
    }
  }

  /// The other end of a feeler blames nobody and forgets a peer that it knows no address of.
  @Test func feelerOnTheOtherSide() {
    var bench = Bench(local: 5)
    let id = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000").id
    bench.send(.closed(id, .goodbye(Reason(.feeler))))
    #expect(bench.machine.counts == PeeringCounts())
    bench.send(.learned([PeerAddress(peer: peer(2), address: routable(1))], .discovery))
  }

  // MARK: Persistence

  /// What was heard comes back after a restart: written in parts within the interval, or all at once at the end.
  @Test(arguments: [false, true])
  func heardAddressesPersist(stops: Bool) {
    var book = TestBook()
    var bench = Bench(local: 5) { $0.parallelDialsMaximum = 0 }
    book.apply(bench.send(.learned(heard(500), .exchange(peer(3)))))
    let known = bench.machine.counts.known
    #expect(known > 400)
    if stops {
      book.apply(bench.send(.stop))
    } else {
      book.apply(bench.run(to: 1_000).outputs)
      let idle = bench.run(to: 10_000).outputs.book
      #expect(idle.isEmpty, "a table that does not change is written once")
    }
    var again = Bench(local: 5, book: book.all, seed: 2, at: at(20)) { $0.parallelDialsMaximum = 0 }
    #expect(again.machine.counts.known == known)
    #expect(again.machine.counts.stored == 0)
    #expect(again.send(.timerFired).events.isEmpty)
    #expect(again.machine.book.secret == bench.machine.book.secret)
  }

  /// Rows that came off a broken disk are told and removed.
  @Test func unreadableRows() {
    let rows: [(key: [UInt8], value: [UInt8])] = [
      (BookKeys.secret, [1, 2]), (BookKeys.anchors, [0xff]), ([BookKeys.heard, 3], [1, 9, 9, 9]), ([BookKeys.heard, 99], [1]),
      ([BookKeys.heard, 4], []), (BookKeys.scores, [10, 2, 16, 1]),
    ]
    var bench = Bench(local: 5, book: rows)
    let outputs = bench.send(.timerFired)
    #expect(outputs.events.filter { if case .bookRowUnreadable = $0 { true } else { false } }.count == 6)
    let removed: [[UInt8]] = outputs.book.compactMap { if case .remove(let key) = $0 { key } else { nil } }
    #expect(removed == rows.map(\.key))
  }

  /// Who has lost his place among the tried, because another holds it, has no row either.
  @Test func rowsFollowTheTable() {
    var book = TestBook()
    var bench = Bench(local: 5) {
      $0.book.triedBuckets = 1
      $0.feelerInterval = .seconds(60)
    }
    var outputs = bench.send(.learned(heard(400), .discovery))
    answer(&bench, outputs, &book)
    while bench.now < at(12_000), let dial = bench.nextDial(by: 12_000) {
      let link = bench.machine.links(now: bench.now).first { $0.connection == dial.id }
      let expected = link?.peer ?? peer(1)
      // A third of them is gone by now.
      outputs =
        expected.bytes.last! % 3 == 0
        ? bench.send(.dialFailed(dial.id, .refused)) : bench.send(.proven(dial.id, expected, remote: dial.address, setUpTime: .zero))
      book.apply(outputs)
    }
    #expect(bench.machine.counts.stored > 20)
  }

  /// Pings do not give away the generator that the next choices come from, and differ between lives.
  @Test func noncesDoNotRepeat() {
    func nonces(_ seed: UInt64) -> [UInt64] {
      var bench = Bench(local: 5, seed: seed)
      let id = bench.enter(9, from: "/ip4/20.0.0.1/tcp/50000").id
      _ = id
      return bench.run(to: 300).outputs.pings.map(\.nonce)
    }
    #expect(Set(nonces(1) + nonces(2)).count == 20)
  }
}
