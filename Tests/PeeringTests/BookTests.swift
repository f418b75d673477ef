import Identity
import Testing
import Wire

@testable import Peering

@Suite struct BookTests {
  /// A row is written when an outbound link is in use, not before, not for inbound links, never on hearsay.
  @Test func writtenOnSuccessOnly() {
    var bench = Bench(local: 5) { $0.introductionRequired = true }
    let heard = (0..<3).map { PeerAddress(peer: peer(UInt64(10 + $0)), address: publicAddress($0)) }
    var outputs = bench.send(.learned(heard, .discovery))
    #expect(outputs.book.isEmpty)
    let dial = outputs.dials[0]
    outputs = bench.prove(dial, 10 + UInt64(heard.firstIndex { $0.address == dial.address }!))
    #expect(outputs.book.isEmpty)
    let who = bench.machine.links(now: bench.now).first { $0.connection == dial.id }!.peer!
    outputs = bench.send(.introduced(who))
    #expect(outputs.rows.count == 1)
    _ = bench.enter(99, from: "/ip4/20.0.0.1/tcp/1")
    #expect(bench.send(.introduced(peer(99))).book.isEmpty)
  }

  /// Restart without any configuration: the stored peer is dialled.
  @Test func survivesRestart() {
    var bench = Bench(local: 5)
    var book = TestBook()
    let dial = bench.send(.dial(PeerAddress(peer: nil, address: publicAddress(1)), keep: true)).dials[0]
    book.apply(bench.prove(dial, 2))
    book.apply(bench.send(.closed(dial.id, .transport("outage")), at: 500))
    #expect(book.peers == 1, "a lost link deletes nothing")
    var again = Bench(local: 5, book: book.all, at: at(1_000))
    let outputs = again.send(.timerFired)
    #expect(outputs.dials.map(\.address) == [publicAddress(1)])
    #expect(outputs.contains { if case .dial(_, _, peer(2), _) = $0 { true } else { false } })
  }

  /// Five failed dials take the row away; the peer stays known and is dialled on.
  @Test func fiveFailures() throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    _ = bench.enter(7, from: "/ip4/90.0.0.1/tcp/1")
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    book.apply(bench.send(.closed(dial.id, .remoteClosed), at: 100))
    for failure in 1...5 {
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      #expect(book.peers == 1, "before failure \(failure)")
      book.apply(bench.send(.dialFailed(dial.id, .refused)))
    }
    #expect(book.peers == 0)
    #expect(bench.nextDial(by: 1e6) != nil)
  }

  /// A live peer that is full, and so closes before the handshake or says so after it, keeps its row however often it refuses. It is dialled
  /// less and less.
  @Test(arguments: [DialFailure.turnedAway("it may be full"), .goodbye(Reason(.tooManyPeers))])
  func refusalsKeepTheRow(failure: DialFailure) throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    bench.send(.accepted(.inbound(1), remote: publicAddress(7)))
    bench.send(.proven(.inbound(1), peer(7), remote: publicAddress(7), setUpTime: .zero))
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    book.apply(bench.send(.closed(dial.id, .remoteClosed), at: 100))
    for _ in 1...12 {
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      book.apply(bench.send(.dialFailed(dial.id, failure)))
    }
    #expect(book.peers == 1 && bench.machine.known[.peer(peer(9))]?.failures == 0)
    #expect(bench.machine.known[.peer(peer(9))]?.streak == 12)
    #expect(bench.machine.score(of: peer(9), now: bench.now) == 0)
    #expect(bench.machine.reasonCounts.dialsFailed[failure.kind] == 12)
    #expect(bench.machine.explain(peer(9), now: bench.now).contains { $0.contains("failed: \(failure)") })
  }

  /// The node's own network is down: timeouts without any link do not empty the book.
  @Test func outageKeepsTheBook() throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    book.apply(bench.send(.closed(dial.id, .transport("down")), at: 100))
    for _ in 1...20 {
      let next = bench.nextDial(by: 1e6)
      book.apply(bench.send(.dialFailed(try #require(next).id, .unreachable)))
    }
    #expect(book.peers == 1)
  }

  /// The same while links look alive, as they do for minutes after the line is cut: nobody's count grows until something is heard again.
  @Test func silentLinksKeepTheBook() throws {
    var bench = Bench(local: 5) { $0.pingInterval = .seconds(1_000_000) }
    var book = TestBook()
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    let other = bench.enter(7, from: "/ip4/60.0.0.1/tcp/5").id
    book.apply(bench.send(.closed(dial.id, .transport("down"))))
    func failures() -> Int? { bench.machine.known[.peer(peer(9))]?.failures }
    for _ in 1...6 {
      let next = bench.nextDial(by: 1e6)
      dial = try #require(next)
      bench.now += .seconds(1)
      book.apply(bench.send(.dialFailed(dial.id, .timedOut)))
      #expect(bench.machine.counts.active == 1 && failures() == 0)
    }
    #expect(book.peers == 1)
    // Something comes while the dial is under way: now the peer is to blame.
    let next = bench.nextDial(by: 1e6)
    dial = try #require(next)
    bench.now += .seconds(1)
    bench.send(.useful(peer(7), .block))
    bench.send(.dialFailed(dial.id, .timedOut))
    #expect(bench.machine.link(of: peer(7)) == other && failures() == 1)
  }

  /// Those who only ever came in have no row: the worst of their scores are kept in one, written when one of them passes a threshold.
  @Test func scoresOfThoseWhoCameIn() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    var book = TestBook()
    _ = bench.enter(7, from: "/ip4/20.0.0.1/tcp/5")
    book.apply(bench.send(.report(peer(7), .unsolicited)))
    #expect(book.value(BookKeys.scores) == nil, "not for each offence")
    book.apply(bench.send(.report(peer(7), .unsolicited), at: 1))
    for number in 100..<400 {
      let id = bench.enter(UInt64(number), from: "/ip4/21.\(number / 200).\(number % 200).1/tcp/5").id
      book.apply(bench.send(.report(peer(UInt64(number)), .malformedMessage)))
      bench.send(.closed(id, .remoteClosed))
      bench.now += .seconds(1)
    }
    _ = bench.enter(8, from: "/ip4/22.0.0.1/tcp/5")
    for _ in 1...2 { book.apply(bench.send(.report(peer(8), .malformedMessage))) }
    #expect(book.peers == 0)

    var again = Bench(local: 5, book: book.all, at: bench.now + .seconds(600)) { $0.outboundMinimum = 0 }
    #expect(again.send(.timerFired).events.isEmpty)
    #expect((9.9...10).contains(again.machine.score(of: peer(8), now: again.now)), "half of it is left after a half-life")
    let kept = (100..<400).count { again.machine.score(of: peer(UInt64($0)), now: again.now) > 0 }
    #expect(kept == PeerFigures.maximum - 1)
    #expect(again.machine.score(of: peer(7), now: again.now) == 0, "others are worse")
    // An operator's pardon holds after a restart too.
    again.send(.ban(.peer(peer(8)), for: .seconds(60), "test"))
    book.apply(again.send(.unban(.peer(peer(8)))))
    var third = Bench(local: 5, book: book.all, at: again.now) { $0.outboundMinimum = 0 }
    #expect(third.machine.score(of: peer(8), now: third.now) == 0 && third.machine.score(of: peer(399), now: third.now) > 0)
    // Much later nothing is left of it.
    let last = Bench(local: 5, book: book.all, at: at(100_000)) { $0.outboundMinimum = 0 }
    #expect(last.machine.score(of: peer(399), now: last.now) == 0 && last.machine.counts.known == 0)
    _ = third.send(.timerFired)
  }

  @Test func unreadableRowsAreSetAside() {
    let good = PeerRow(peer: peer(9), addresses: [.init(bytes: publicAddress(1).bytes, lastSuccess: 7)], failures: 2, score: 3, scoredAt: 9)
    var book: [(key: [UInt8], value: [UInt8])] = [(good.key, good.value)]
    book.append(([], []))
    book.append(([UInt8(ascii: "p"), 1, 2, 3], good.value))
    book.append((PeerRow.key(peer(10)), [0xff, 0xff]))
    book.append(
      (
        PeerRow.key(peer(11)),
        PeerRow(peer: peer(11), addresses: [.init(bytes: [1, 2], lastSuccess: 0)], failures: 0, score: 0, scoredAt: 0).value
      ))
    book.append(([UInt8(ascii: "n"), 99, 1, 2, 3, 4], []))
    var bench = Bench(local: 5, book: book)
    let outputs = bench.send(.timerFired)
    #expect(outputs.events.filter { if case .bookRowUnreadable = $0 { true } else { false } }.count == 5)
    #expect(outputs.dials.map(\.address) == [publicAddress(1)])
    // They go, so that the next start has nothing to tell.
    let removed: [[UInt8]] = outputs.book.compactMap { if case .remove(let key) = $0 { key } else { nil } }
    #expect(removed == book.dropFirst().map(\.key))
  }

  @Test func rowsRoundTripAndNeverTrap() {
    let row = PeerRow(
      peer: peer(9), addresses: (1...3).map { .init(bytes: publicAddress($0).bytes, lastSuccess: UInt64($0)) }, failures: 2, score: 3.5,
      scoredAt: 9, firstSuccess: 7)
    #expect(PeerRow(key: row.key, value: row.value) == row)
    for subject in [BanSubject.peer(peer(3)), .network(IPNetwork("10.0.0.0/8")!), .network(IPNetwork("2001:db8::/32")!)] {
      let ban = BanRow(subject: subject, end: 12, detail: "why", isOperators: true)
      #expect(BanRow(key: BanRow.key(subject), value: ban.value) == ban)
    }
    for length in 0..<row.value.count { _ = PeerRow(key: row.key, value: Array(row.value.prefix(length))) }
    let seed: UInt64 = 77
    print("book fuzz seed \(seed)")
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<20_000 {
      var value = row.value
      for _ in 0...generator.index(below: 4) { value[generator.index(below: value.count)] = UInt8(truncatingIfNeeded: generator.next()) }
      _ = PeerRow(key: row.key, value: value)
      let key = generator.bytes(generator.index(below: 12))
      _ = PeerRow(key: [UInt8(ascii: "p")] + key, value: generator.bytes(20))
      _ = BanRow(key: [UInt8(ascii: "n")] + key, value: generator.bytes(20))
    }
  }
}

@Suite struct KnownTests {
  @Test(arguments: [
    ("/ip4/20.0.0.1/tcp/4001", true), ("/ip4/20.0.0.1/tcp/0", false), ("/ip4/0.0.0.0/tcp/4001", false), ("/ip4/127.0.0.1/tcp/4001", false),
    ("/ip4/10.0.0.1/tcp/4001", false), ("/ip4/192.168.1.1/tcp/4001", false), ("/ip4/224.0.0.1/tcp/4001", false),
    ("/ip6/::1/tcp/4001", false),
    ("/ip4/20.0.0.1/udp/4001", false), ("/dns4/example.com/tcp/4001", false), ("/ip6/2600::1/tcp/4001", true),
    ("/ip4/20.0.0.9/tcp/1", false),
  ])
  func hygieneOfHearsay(text: String, isGood: Bool) {
    var bench = Bench(local: 5)
    bench.send(.listening([address("/ip4/20.0.0.9/tcp/1")]))
    bench.send(.learned([PeerAddress(peer: peer(9), address: address(text))], .exchange(peer(1))))
    #expect(bench.machine.counts.known == (isGood ? 1 : 0))
    #expect(bench.machine.reasonCounts.addressesRefused.values.reduce(0, +) == (isGood ? 0 : 1))
    var cluster = Bench(local: 5) { $0.allowsPrivateAddresses = true }
    cluster.send(.learned([PeerAddress(peer: peer(9), address: address("/ip4/127.0.0.1/tcp/1"))], .exchange(peer(1))))
    #expect(cluster.machine.counts.known == 1)
  }

  @Test func ownNameIsNotLearned() {
    var bench = Bench(local: 5)
    bench.send(.learned([PeerAddress(peer: peer(5), address: publicAddress(1))], .bootstrap))
    #expect(bench.machine.counts.known == 0 && bench.machine.reasonCounts.addressesRefused == [.own: 1])
  }

  /// One liar's word is taken up to a budget that coming back does not renew, and fills only its part of the tables; whom the node has
  /// met stays.
  @Test func budgetAndBound() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 1
      $0.toldBurst = 100
      $0.toldPerSecond = 1
      $0.book.newBuckets = 8
    }
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    bench.prove(dial, 9)
    func lies(_ liar: Int) -> [PeerAddress] {
      (0..<150).map { PeerAddress(peer: peer(UInt64(10_000 * liar + $0)), address: address("/ip4/\(20 + liar).\($0).9.9/tcp/4001")) }
    }
    let first = bench.enter(1, from: "/ip4/60.0.0.1/tcp/5").id
    bench.send(.learned(lies(1), .exchange(peer(1))))
    let known = bench.machine.counts.known
    #expect((60...102).contains(known), "\(known) of 100")
    bench.send(.closed(first, .remoteClosed))
    _ = bench.enter(2, from: "/ip4/60.0.9.9/tcp/5")
    bench.send(.learned(lies(2), .exchange(peer(2))))
    #expect(bench.machine.counts.known == known, "another name in the same network earns nothing")
    bench.send(.learned(lies(2), .exchange(peer(2))), at: 50)
    #expect(bench.machine.counts.known > known, "time does")
    for liar in 3...40 {
      _ = bench.enter(UInt64(liar), from: "/ip4/\(60 + liar).0.0.1/tcp/5")
      bench.send(.learned(lies(liar), .exchange(peer(UInt64(liar)))))
    }
    #expect(bench.machine.book.count <= 8 * 64 + 1)
    #expect(bench.machine.isStored(peer(9)))
    let many = (0..<30).map { PeerAddress(peer: peer(77), address: publicAddress($0)) }
    bench.send(.learned(many, .bootstrap))
    #expect(bench.machine.addresses(of: peer(77)).count == 8)
  }

  /// HTTP peers share one budget, and take no entry at hand for what the tables refuse.
  @Test func budgetOfWebPeers() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 0
      $0.toldBurst = 100
      $0.book.newBuckets = 1
    }
    let told = (0..<250).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: address("/ip4/20.\($0).9.9/tcp/4001")) }
    bench.send(.learned(told, .web))
    #expect((30...64).contains(bench.machine.counts.known), "\(bench.machine.counts.known) of 64 places")
    #expect(told.count { !bench.machine.addresses(of: $0.peer!).isEmpty } == bench.machine.counts.known)
    #expect(told.suffix(150).allSatisfy { bench.machine.addresses(of: $0.peer!).isEmpty }, "the budget is used up")
    let refused = bench.machine.reasonCounts.addressesRefused
    #expect(refused[.overBudget] == 150 && refused[.noPlace] == UInt64(100 - bench.machine.counts.known), "\(refused)")
  }

  /// What was only heard is never passed on; what was dialled is, and what linked peers say of themselves.
  @Test func shareable() {
    var bench = Bench(local: 5)
    let heard = (0..<20).map { PeerAddress(peer: peer(UInt64(10 + $0)), address: publicAddress($0)) }
    let dials = bench.send(.learned(heard, .exchange(peer(3)))).dials
    #expect(bench.machine.shareableAddresses(now: bench.now).isEmpty)
    let index = heard.firstIndex { $0.address == dials[0].address }!
    bench.prove(dials[0], UInt64(10 + index))
    #expect(bench.machine.shareableAddresses(now: bench.now) == [heard[index]])
    _ = bench.enter(50, from: "/ip4/60.0.0.1/tcp/50000")
    let own = PeerAddress(peer: peer(50), address: address("/ip4/60.0.0.1/tcp/4001"))
    bench.send(.learned([own, PeerAddress(peer: peer(51), address: publicAddress(99))], .identify(peer(50))))
    #expect(bench.machine.shareableAddresses(now: bench.now) == [heard[index], own])
    bench.send(.closed(.inbound(1), .remoteClosed))
    #expect(bench.machine.shareableAddresses(now: bench.now) == [heard[index]])
  }

  /// An ephemeral port is never an identity: the peer that dialled in is one entry, whatever its ports, and is never dialled there.
  @Test func ephemeralPorts() {
    var bench = Bench(local: 5)
    for port in 50_000..<50_005 {
      let id = bench.enter(2, from: "/ip4/20.0.0.1/tcp/\(port)").id
      #expect(bench.machine.links(now: bench.now).count == 1)
      bench.send(.closed(id, .remoteClosed))
    }
    #expect(bench.run(to: 10_000).outputs.dials.isEmpty)
  }

  @Test func explains() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    bench.prove(dial, 9)
    bench.send(.report(peer(9), .invalidSignature), at: 10)
    bench.send(.ban(.peer(peer(9)), for: .seconds(600), "test"), at: 20)
    let text = bench.machine.explain(peer(9), now: at(80)).joined(separator: "\n")
    for part in [
      "Banned for another 9 min: test.", "must-keep", "70 s ago: offence invalidSignature, score 25.", "low-score",
      "heard of through the bootstrap list",
    ] {
      #expect(text.contains(part), "\(part) in\n\(text)")
    }
    #expect(bench.machine.explain(peer(3), now: at(80)).count == 1)
  }

  /// What stood against somebody at the peer's address before he could prove who he is belongs to the peer's story; others' refusals don't.
  @Test func explainsRefusalsAtTheDoor() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery))
    bench.send(.ban(.network(IPNetwork("20.0.0.0/8")!), for: nil, "noise"))
    _ = bench.accept("/ip4/20.0.0.1/tcp/7777", seconds: 3)
    let ip = publicAddress(1).ipAddress!
    bench.send(.unban(.network(IPNetwork("20.0.0.0/8")!)))
    bench.send(.ban(.network(IPNetwork(ip, prefixLength: 32)), for: nil, "noise"))
    _ = bench.accept("/ip4/\(ip)/tcp/8888", seconds: 5)
    let text = bench.machine.explain(peer(9), now: at(10)).joined(separator: "\n")
    #expect(text.contains("from /ip4/\(ip)/tcp/8888 refused: banned (noise)") && !text.contains("7777"), "\(text)")
    // With another peer at the address nobody knows which of the two it was; the address's own story has it.
    bench.send(.learned([PeerAddress(peer: peer(10), address: publicAddress(1, port: 9_001))], .bootstrap), at: 11)
    let mixed = bench.machine.explain(peer(9), now: at(12)).joined(separator: "\n")
    #expect(!mixed.contains("8888") && mixed.contains("which other peers have too") && mixed.contains(": banned 1."), "\(mixed)")
    #expect(bench.machine.story(at: publicAddress(1), now: at(12)).sentences.joined().contains("8888"))
  }

  @Test func reasonCodec() throws {
    for code in Reason.Code.known {
      let reason = Reason(code, "détail")
      #expect(try Reason(encoded: reason.encoded.rawSpan) == reason)
      #expect(!code.description.hasPrefix("code-"))
    }
    #expect(Reason(.duplicate).encoded == [0x08, 0x02])
    #expect(Reason(.banned, "x").encoded == [0x08, 0x11, 0x12, 0x01, 0x78])
    let long = Reason(.banned, String(repeating: "é", count: 500) + "\u{1b}[31m")
    #expect(long.detail.utf8.count == 200 && long.encoded.count <= Reason.maximumBytes)
    #expect(Reason(.banned, "a\u{1b}\nb").detail == "a??b")
    let unknown = try Reason(encoded: [0x08, 0xe7, 0x07].rawSpan)
    #expect(unknown.code.description == "code-999")
    #expect(throws: ProtobufError.badField(1)) { try Reason(encoded: [UInt8]().rawSpan) }
    #expect(throws: ProtobufError.badField(0)) { try Reason(encoded: [UInt8](repeating: 0, count: 257).rawSpan) }
    let whole = Reason(.banned, "because").encoded
    for length in 0..<whole.count where length != 2 {
      #expect(throws: ProtobufError.self, "cut at \(length)") { try Reason(encoded: Array(whole.prefix(length)).rawSpan) }
    }
    let seed: UInt64 = 31
    print("reason fuzz seed \(seed)")
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<20_000 { _ = try? Reason(encoded: generator.bytes(generator.index(below: 40)).rawSpan) }
  }
}
