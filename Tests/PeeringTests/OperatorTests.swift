import Identity
import Testing
import Wire

@testable import Peering

@Suite struct OperatorTests {
  private func id(_ number: UInt64) -> OperationID { OperationID(rawValue: number) }

  private func item(_ number: UInt64, _ place: Int) -> PeerAddress { PeerAddress(peer: peer(number), address: publicAddress(place)) }

  private func network(_ text: String) -> BanSubject { .network(IPNetwork(text)!) }

  // MARK: Add and drop

  @Test func addTellsWhatHappened() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 0
      $0.outboundMaximum = 1
    }
    #expect(bench.operate(.add(PeerAddress(peer: peer(5), address: publicAddress(1)), keep: false)).answer == .refused(.isSelf))
    let added = bench.operate(.add(item(9, 1), keep: false))
    let dial = added.outputs.dials[0]
    #expect(added.answer == .dialling(dial.id))
    bench.prove(dial, 9)
    #expect(bench.operate(.add(item(9, 1), keep: false)).answer == .linked(dial.id))
    // The only slot is taken: what is not to be kept is refused. What is gets the slot, and the next such one waits.
    guard case .refused(.notDialled(let reason)) = bench.operate(.add(item(10, 2), keep: false)).answer else {
      Issue.record("not refused")
      return
    }
    #expect(reason.code == .tooManyPeers)
    let kept = bench.operate(.add(item(11, 3), keep: true))
    #expect(kept.outputs.closed.map(\.id) == [dial.id] && kept.outputs.closed.map(\.code) == [.evicted])
    #expect(kept.answer == .dialling(kept.outputs.dials[0].id))
    bench.prove(kept.outputs.dials[0], 11)
    guard case .waiting(let later) = bench.operate(.add(item(13, 4), keep: true)).answer else {
      Issue.record("not waiting")
      return
    }
    #expect(later.code == .tooManyPeers)
    let freed = bench.send(.closed(kept.outputs.dials[0].id, .remoteClosed)).dials.map(\.address)
    #expect(freed == [publicAddress(4)], "the slot goes to whom the operator wants kept")
    bench.operate(.ban(network("22.0.0.0/8"), for: nil, "no"))
    guard case .refused(.notDialled(let banned)) = bench.operate(.add(item(12, 2), keep: true)).answer else {
      Issue.record("a banned address is dialled")
      return
    }
    #expect(banned == Reason(.banned, "no"))
    #expect(bench.machine.rules(now: bench.now).kept == [item(11, 3), item(13, 4)])
  }

  @Test func keptPeersSurviveRestartsUntilDropped() throws {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    var book = TestBook()
    let nameless = PeerAddress(peer: nil, address: publicAddress(4))
    for item in [item(9, 1), nameless] { book.apply(bench.operate(.add(item, keep: true)).outputs) }
    var again = Bench(local: 5, book: book.all) { $0.outboundMinimum = 0 }
    let dials = again.send(.timerFired).dials
    #expect(dials.map(\.address) == [publicAddress(1), publicAddress(4)])
    #expect(again.machine.links(now: again.now).allSatisfy { $0.role == .mustKeep && $0.cause == .mustKeep })

    // The one without a name has answered: it is dropped by its name then.
    again.prove(dials[1], 8)
    let dropped = again.operate(.drop(peer(8)))
    #expect(dropped.answer == .dropped(links: 1, wasMustKeep: true))
    #expect(dropped.outputs.closed.map(\.code) == [.operatorRequest])
    book.apply(dropped.outputs)
    // The other's dial ends with it.
    let other = again.operate(.drop(peer(9)))
    #expect(other.answer == .dropped(links: 1, wasMustKeep: true))
    #expect(other.outputs.cancelled == [dials[0].id])
    book.apply(other.outputs)
    #expect(again.run(to: 800).outputs.dials.isEmpty, "nothing is dialled for the longest back-off")
    #expect(again.operate(.drop(peer(77))).answer == .refused(.unknown))
    var last = Bench(local: 5, book: book.all) { $0.outboundMinimum = 0 }
    #expect(last.send(.timerFired).dials.isEmpty)
  }

  /// A drop lasts as long as it was said to, whatever is restarted meanwhile; an operator's next word ends it.
  @Test func aDropOutlivesARestart() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    var book = TestBook()
    for number in 9...10 as ClosedRange<UInt64> {
      let added = bench.operate(.add(item(number, Int(number)), keep: false))
      book.apply(added.outputs)
      book.apply(bench.prove(added.outputs.dials[0], number))
      book.apply(bench.operate(.drop(peer(number))).outputs)
    }
    func restarted(at seconds: Double) -> Bench { Bench(local: 5, book: book.all, at: at(seconds)) { $0.outboundMinimum = 0 } }
    var again = restarted(at: 600)
    #expect(again.machine.reach(of: peer(9), now: again.now) == .unreachable && again.send(.reach(peer(9))).dials.isEmpty)
    #expect(again.machine.explain(peer(9), now: again.now).contains("Not dialled for another 5 min: dropped by an operator."))
    #expect(again.send(.reach(peer(9)), at: 901).dials.count == 1)
    var late = restarted(at: 901)
    #expect(late.send(.reach(peer(9))).dials.count == 1)
    // One is wanted again.
    again = restarted(at: 600)
    let added = again.operate(.add(item(9, 9), keep: false)).outputs
    #expect(added.dials.count == 1)
    book.apply(added)
    var last = restarted(at: 700)
    #expect(last.send(.reach(peer(9))).dials.count == 1 && last.send(.reach(peer(10))).dials.isEmpty)
  }

  @Test func dropsAreBounded() {
    var settings = OperatorSettings()
    for number in 1...1_000 as ClosedRange<UInt64> { settings.drop(peer(number), until: at(Double(900 + number)), now: at(0)) }
    #expect(settings.drops.count == PeerFigures.maximum && settings.drops[peer(1_000)] != nil && settings.drops[peer(1)] == nil)
    let items = (1...3 as ClosedRange<UInt64>).map { PeerFigures(peer: peer($0), first: $0) }
    let row = PeerFigures.row(items)
    #expect(PeerFigures.read(row) == items && PeerFigures.read([0x0a, 0x02, 0x0a, 0x05]) == nil)
    for length in 1..<row.count { _ = PeerFigures.read(Array(row.prefix(length))) }
  }

  @Test func anAddressThatNeverAnsweredIsDroppedByItself() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    let address = publicAddress(1)
    bench.operate(.add(PeerAddress(peer: nil, address: address), keep: true))
    let dropped = bench.operate(.dropAddress(address))
    #expect(dropped.answer == .dropped(links: 1, wasMustKeep: true))
    #expect(dropped.outputs.cancelled.count == 1)
    #expect(bench.run(to: 2_000).outputs.dials.isEmpty)
    #expect(bench.operate(.dropAddress(address)).answer == .refused(.unknown))
  }

  @Test func theListOfKeptPeersIsBounded() {
    var bench = Bench(local: 5) {
      $0.configuredMaximum = 2
      $0.outboundMinimum = 0
    }
    for number in 0..<2 { bench.operate(.add(item(UInt64(10 + number), number), keep: true)) }
    #expect(bench.operate(.add(item(20, 9), keep: true)).answer == .refused(.listFull(maximum: 2)))
    #expect(bench.machine.rules(now: bench.now).kept.count == 2)
  }

  // MARK: Bans

  @Test func aBannedNetworkIsClosedAndComesBackWhenLifted() throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    let dial = bench.send(.learned([item(9, 1)], .discovery)).dials[0]
    bench.prove(dial, 9)
    let inside = bench.enter(30, from: "/ip4/21.0.0.7/tcp/1").id
    let outside = bench.enter(31, from: "/ip4/90.0.0.1/tcp/1").id
    let banned = bench.operate(.ban(network("21.0.0.0/8"), for: .seconds(3_600), "spam\u{1b}"), at: 100)
    book.apply(banned.outputs)
    #expect(banned.answer == .banned(links: 2, endedTrust: false))
    #expect(Set(banned.outputs.closed.map(\.id)) == [dial.id, inside])
    #expect(bench.machine.links(now: bench.now).map(\.connection) == [outside])
    #expect(bench.accept("/ip4/21.9.9.9/tcp/5").outputs.closed.map(\.code) == [.banned])
    #expect(bench.run(to: 200).outputs.dials.isEmpty)
    let story = bench.machine.story(of: peer(9), now: bench.now)
    #expect(story.present.contains("Its network 21.0.0.0/8 is banned for another 58 min: spam?."), "\(story.present)")
    #expect(story.steps.last { $0.event.kind == "closed" }?.event.reasonName == "banned")
    #expect(story.steps.contains { $0.event.kind == "banned" })

    #expect(bench.operate(.unban(network("21.0.0.0/16"))).answer == .refused(.notBanned(coveredBy: [IPNetwork("21.0.0.0/8")!])))
    #expect(bench.operate(.unban(.peer(peer(9)))).answer == .refused(.notBanned(coveredBy: [IPNetwork("21.0.0.0/8")!])))
    var again = Bench(local: 5, book: book.all, at: at(200))
    #expect(again.accept("/ip4/21.9.9.9/tcp/5").outputs.closed.map(\.code) == [.banned], "a ban survives a restart")
    let lifted = bench.operate(.unban(network("21.0.0.0/8")))
    #expect(lifted.answer == .unbanned)
    #expect(lifted.outputs.dials.map(\.address) == [publicAddress(1)], "it is dialled at once: being banned was no failure")
    #expect(bench.operate(.unban(network("21.0.0.0/8"))).answer == .refused(.notBanned(coveredBy: [])))
  }

  @Test func anOperatorsBanIsNotShortenedByAScore() {
    var bench = Bench(local: 5) { $0.bansMaximum = 1 }
    #expect(bench.operate(.ban(.peer(peer(5)), for: nil, "")).answer == .refused(.isSelf))
    bench.operate(.ban(.peer(peer(9)), for: nil, "for ever"))
    bench.send(.learned([item(9, 1)], .bootstrap))
    for _ in 0..<5 { bench.send(.report(peer(9), .equivocation)) }
    let bans = bench.machine.rules(now: bench.now).bans
    #expect(bans.count == 1 && bans[0].end == nil && bans[0].detail == "for ever" && bans[0].isOperators)
    #expect(bench.operate(.ban(network("9.0.0.0/8"), for: nil, "")).answer == .refused(.listFull(maximum: 1)))
    // Longer than the clock reaches.
    #expect(bench.operate(.ban(.peer(peer(9)), for: .seconds(9_000_000_000), "")).answer == .banned(links: 0, endedTrust: false))
  }

  // MARK: Trust

  @Test func aTrustedPeerIsNotScoredOut() {
    var bench = Bench(local: 5)
    let id = bench.enter(9, from: "/ip4/21.0.0.1/tcp/1").id
    #expect(bench.operate(.trust(peer(9))).answer == .trusted(liftedBan: false))
    for _ in 0..<5 { #expect(bench.send(.report(peer(9), .equivocation)).closed.isEmpty) }
    #expect(bench.machine.score(of: peer(9), now: bench.now) == 500)
    #expect(bench.machine.links(now: bench.now).map(\.isTrusted) == [true])
    #expect(bench.operate(.distrust(peer(9))).answer == .distrusted)
    #expect(bench.operate(.distrust(peer(9))).answer == .refused(.notTrusted))
    #expect(bench.send(.report(peer(9), .late)).closed.map(\.id) == [id])
  }

  @Test func theLatestWordCounts() {
    var bench = Bench(local: 5) { $0.trustedMaximum = 2 }
    var book = TestBook()
    book.apply(bench.operate(.trust(peer(9))).outputs)
    #expect(bench.operate(.ban(.peer(peer(9)), for: nil, "")).answer == .banned(links: 0, endedTrust: true))
    #expect(!bench.machine.isTrusted(peer(9)))
    #expect(bench.operate(.trust(peer(9))).answer == .trusted(liftedBan: true))
    #expect(bench.machine.rules(now: bench.now).bans.isEmpty)
    bench.operate(.trust(peer(10)))
    #expect(bench.operate(.trust(peer(11))).answer == .refused(.listFull(maximum: 2)))
    #expect(bench.operate(.trust(peer(5))).answer == .refused(.isSelf))
    let again = Bench(local: 5, book: book.all)
    #expect(again.machine.isTrusted(peer(9)) && !again.machine.isTrusted(peer(10)))
  }

  /// Each limit stands against a stranger and not against a trusted peer's address; a stranger at that address is found out at the proof.
  @Test(arguments: ["ip", "house", "handshakes", "rate"])
  func aTrustedPeerComesInOverLimits(limit: String) throws {
    var bench = Bench(local: 5) {
      $0.feelerInterval = nil
      $0.outboundMinimum = 0
      switch limit {
      case "ip": $0.perIPMaximum = 1
      case "house": $0.totalMaximum = 12
      case "handshakes": $0.handshakesMaximum = 1
      default:
        $0.acceptBurst = 2
        $0.acceptsPerSecond = 0.001
      }
    }
    bench.send(.learned([PeerAddress(peer: peer(9), address: address("/ip4/21.0.0.1/tcp/4001"))], .discovery))
    switch limit {
    case "ip": _ = bench.enter(20, from: "/ip4/21.0.0.1/tcp/1")
    case "house": for number in 0..<12 { _ = bench.enter(UInt64(20 + number), from: "/ip4/21.0.1.\(number)/tcp/1") }
    case "handshakes": _ = bench.accept("/ip4/90.0.0.1/tcp/1")
    default: for number in 0..<2 { _ = bench.accept("/ip4/90.0.\(number).1/tcp/1") }
    }
    bench.now = at(10)
    let stranger = bench.accept("/ip4/21.0.0.1/tcp/2").outputs.closed
    let code = try #require(stranger.first?.code)
    #expect(code != .banned)
    bench.operate(.trust(peer(9)))
    if limit != "ip" {
      #expect(bench.accept("/ip4/21.0.0.2/tcp/2").outputs.closed.map(\.code) == [code], "elsewhere the limit holds")
    }
    let (id, outputs) = bench.enter(9, from: "/ip4/21.0.0.1/tcp/3")
    #expect(outputs.admitted == [id], "\(bench.machine.recentEvents.suffix(3))")
    #expect(bench.machine.links(now: bench.now).first { $0.connection == id }?.cause == .trusted)
    bench.now = at(20)
    let other = bench.enter(40, from: "/ip4/21.0.0.1/tcp/4")
    #expect(other.outputs.closed.map(\.id).contains(other.id) && other.outputs.admitted.isEmpty)
    #expect(other.outputs.closed.last?.code == code)
  }

  /// A private network's list stands against strangers, once they are proven, and not against a trusted peer.
  @Test func aTrustedPeerNeedsNoListing() {
    var bench = Bench(local: 5) {
      $0.feelerInterval = nil
      $0.outboundMinimum = 0
      $0.allowed = AllowList(networks: [IPNetwork("90.0.0.0/8")!])
    }
    #expect(bench.enter(9, from: "/ip4/21.0.0.1/tcp/1").outputs.closed.map(\.code) == [.notAllowed])
    bench.operate(.trust(peer(9)))
    #expect(bench.enter(9, from: "/ip4/21.0.0.1/tcp/2").outputs.admitted.count == 1)
    #expect(bench.enter(10, from: "/ip4/21.0.0.1/tcp/3").outputs.closed.map(\.code) == [.notAllowed])
  }

  /// Whoever shares a trusted peer's address can hold four handshakes there beyond the limits, not more.
  @Test func handshakesOnTrustAreBounded() {
    var bench = Bench(local: 5) {
      $0.perIPMaximum = 1
      $0.outboundMinimum = 0
    }
    bench.send(.learned([PeerAddress(peer: peer(9), address: address("/ip4/21.0.0.1/tcp/4001"))], .discovery))
    bench.operate(.trust(peer(9)))
    let closed = (0..<10).map { bench.accept("/ip4/21.0.0.1/tcp/\(100 + $0)").outputs.closed.count }
    #expect(closed.reduce(0, +) == 10 - 1 - PeeringMachine.waivedHandshakesMaximum, "\(closed)")
  }

  /// A full house of which every other peer is trusted: newcomers of other networks push out strangers only.
  @Test func trustedPeersAreNeverEvicted() {
    var bench = Bench(local: 5) {
      $0.totalMaximum = 40
      $0.outboundMinimum = 0
      $0.perIPMaximum = 100
      $0.perSubnetMaximum = 100
      $0.acceptBurst = 1_000
    }
    for number in 0..<40 {
      _ = bench.enter(UInt64(100 + number), from: "/ip4/21.0.0.1/tcp/\(number + 1)")
      if number.isMultiple(of: 2) { bench.operate(.trust(peer(UInt64(100 + number)))) }
    }
    var evicted = 0
    for number in 0..<30 {
      bench.now = at(Double(10 + 2 * number))
      let outputs = bench.accept("/ip4/\(30 + number).0.0.1/tcp/1").outputs
      for close in outputs.closed where close.code == .evicted { evicted += 1 }
    }
    #expect(evicted > 0)
    let trusted = bench.machine.links(now: bench.now).count { $0.isTrusted }
    #expect(trusted == 20)
  }

  // MARK: The book

  @Test func importedAddressesAreHearsay() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    var items = (0..<5_000).map { PeerAddress(peer: peer(UInt64(10_000 + $0)), address: publicAddress($0)) }
    items.append(PeerAddress(peer: peer(5), address: publicAddress(6_000)))
    items.append(PeerAddress(peer: nil, address: address("/ip4/10.0.0.1/tcp/1")))
    items.append(PeerAddress(peer: nil, address: address("/dns4/example.org/tcp/1")))
    guard case .imported(let added, let known, let refused) = bench.operate(.importBook(items)).answer else {
      Issue.record("no answer")
      return
    }
    #expect(added + known + refused == items.count && known == 0 && refused >= 3 && added > 4_000, "\(added) \(refused)")
    let summary = bench.machine.bookSummary()
    #expect(summary.tried == 0 && summary.addresses == added && summary.new == added)
    #expect(bench.machine.counts.stored == 0 && bench.machine.counts.known == added)
    #expect(bench.machine.links(now: bench.now).isEmpty)
    guard case .imported(_, let again, _) = bench.operate(.importBook(items)).answer else { return }
    #expect(again >= added)
  }

  /// Every address comes once, in whichever portions; also those that stand in no table.
  @Test(arguments: [1, 7, 100, 10_000]) func pagesOfTheBook(limit: Int) throws {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    let items = (0..<300).map { PeerAddress(peer: peer(UInt64(10_000 + $0)), address: publicAddress($0)) }
    bench.operate(.importBook(items))
    // Told by a second one, some stand in two buckets.
    bench.send(.learned(items, .discovery))
    let dial = bench.operate(.add(item(9, 400), keep: true)).outputs.dials[0]
    bench.prove(dial, 9)
    bench.operate(.add(item(8, 401), keep: true))
    var seen: [Multiaddr: AddressBook.List?] = [:]
    var start: Int? = 0
    var pages = 0
    while let from = start {
      let page = bench.machine.bookEntries(from: from, limit: limit)
      for entry in page.entries {
        #expect(seen[entry.address] == nil, "\(entry.address) comes twice")
        seen[entry.address] = .some(entry.table)
      }
      start = page.next
      pages += 1
      #expect(start.map { $0 > from } ?? true)
    }
    #expect(seen.count == bench.machine.bookSummary().addresses)
    #expect(seen[publicAddress(400)] == .some(.tried))
    #expect(seen[publicAddress(401)] == .some(nil))
    #expect(pages > 1 || limit > 300)
    #expect(bench.machine.bookEntries(from: .max, limit: 1).next == nil)
    #expect(bench.machine.bookSummary().anchors.isEmpty)
  }

  // MARK: Reasons

  @Test func reasonsAreCounted() throws {
    var bench = Bench(local: 5) { $0.outboundMinimum = 1 }
    let dial = bench.send(.learned([item(9, 1)], .discovery)).dials[0]
    bench.prove(dial, 9)
    bench.send(.report(peer(9), .late))
    bench.send(.closed(dial.id, .goodbye(Reason(.init(rawValue: 4_711)))))
    let next = bench.nextDial(by: 1e5)
    bench.send(.closed(try #require(next).id, .transport("broken")))
    let inbound = bench.enter(20, from: "/ip4/90.0.0.1/tcp/1").id
    bench.operate(.ban(.peer(peer(20)), for: nil, ""))
    bench.send(.closed(bench.accept("/ip4/91.0.0.1/tcp/1").id, .goodbye(Reason(.init(rawValue: 4_712)))))
    bench.operate(.ban(network("91.0.0.0/8"), for: nil, ""))
    _ = bench.accept("/ip4/91.0.0.1/tcp/1")
    bench.operate(.add(PeerAddress(peer: nil, address: address("/ip4/91.0.0.1/tcp/1")), keep: false))
    let counts = bench.machine.reasonCounts
    #expect(counts.chosen == [.heard: 1, .accepted: 1])
    #expect(counts.closed == [.banned: 1], "\(inbound)")
    #expect(counts.lost == [ReasonCounts.unknownCode: 1])
    #expect(counts.refused == [ReasonCounts.unknownCode: 1, .banned: 1])
    #expect(counts.dialsRefused == [.banned: 1])
    #expect(counts.dialsFailed == ["transport-error": 1])
    #expect(counts.offences == [.late: 1])
    #expect(counts.bansByOperator == 2 && counts.bansByScore == 0)
  }

  @Test func peersAreFoundByTheBeginningOfTheirNames() throws {
    var bench = Bench(local: 5)
    _ = bench.enter(9, from: "/ip4/90.0.0.1/tcp/1")
    bench.operate(.trust(peer(7_777_777)))
    let (nine, trusted) = (peer(9).description, peer(7_777_777).description)
    #expect(bench.machine.peers(named: nine) == [peer(9)])
    #expect(bench.machine.peers(named: String(trusted.dropLast(1))) == [peer(7_777_777)])
    #expect(bench.machine.peers(named: "\(nine.prefix(2))…\(nine.suffix(2))") == [peer(9)])
    #expect(Set(bench.machine.peers(named: String(nine.prefix(1)))) == [peer(9), peer(7_777_777)])
    #expect(bench.machine.peers(named: "zzz").isEmpty)
    for number in 100..<120 { bench.operate(.trust(peer(UInt64(number)))) }
    #expect(bench.machine.peers(named: "").count == 5)
  }

  /// Commands of all kinds in any order, with links that come and go: invariants hold, each gets one answer, and a restart has what was set.
  @Test(arguments: 1...20) func anyOrder(seed: Int) {
    var generator = SeededGenerator(seed: UInt64(seed))
    var bench = Bench(local: 50, seed: UInt64(seed)) {
      $0.totalMaximum = 6
      $0.outboundMinimum = 2
      $0.outboundMaximum = 3
      $0.configuredMaximum = 3
      $0.trustedMaximum = 3
      $0.bansMaximum = 3
      $0.perIPMaximum = 2
    }
    var book = TestBook()
    for step in 0..<300 {
      bench.now = bench.now + .milliseconds(generator.index(below: 20_000))
      let number = UInt64(generator.index(below: 8))
      let place = PeerAddress(peer: generator.index(below: 4) == 0 ? nil : peer(number), address: publicAddress(Int(number)))
      let command: OperatorCommand =
        switch generator.index(below: 9) {
        case 0, 1: .add(place, keep: generator.index(below: 2) == 0)
        case 2: .drop(peer(number))
        case 3: .dropAddress(place.address)
        case 4: .ban(.peer(peer(number)), for: generator.index(below: 2) == 0 ? nil : .seconds(60), "x")
        case 5: .ban(network("\(20 + number).0.0.0/8"), for: .seconds(60), "y")
        case 6: .unban(generator.index(below: 2) == 0 ? .peer(peer(number)) : network("\(20 + number).0.0.0/8"))
        case 7: .trust(peer(number))
        default: .distrust(peer(number))
        }
      let outputs = bench.send(.operate(id(UInt64(step)), command))
      book.apply(outputs)
      #expect(outputs.filter { if case .operated(id(UInt64(step)), _) = $0 { true } else { false } }.count == 1)
      for dial in outputs.dials where generator.index(below: 2) == 0 { book.apply(bench.prove(dial, number)) }
      if generator.index(below: 2) == 0 { book.apply(bench.enter(number, from: "/ip4/\(20 + number).0.0.1/tcp/\(step + 1)").outputs) }
    }
    let (before, after) = (
      bench.machine.rules(now: bench.now), Bench(local: 50, book: book.all, at: bench.now).machine.rules(now: bench.now)
    )
    #expect(before.trusted == after.trusted && before.kept == after.kept, "seed \(seed)")
    #expect(before.bans.map(\.subject) == after.bans.map(\.subject), "seed \(seed)")
  }

  @Test func rowsThatAreNotOnesAreSetAside() {
    for value: [UInt8] in [[0xff], [0x0a, 0x02, 0x12, 0x00], [0x0a, 0x04, 0x0a, 0x02, 9, 9]] {
      var bench = Bench(local: 5, book: [(BookKeys.kept, value)])
      let unreadable = bench.send(.timerFired).events.contains { if case .bookRowUnreadable = $0 { true } else { false } }
      #expect(unreadable, "\(value)")
    }
    let settings = OperatorSettings(kept: [item(9, 1), PeerAddress(peer: nil, address: publicAddress(2))])
    let row = settings.keptRow
    #expect(OperatorSettings.readKept(row) == settings.kept)
    for length in 1..<row.count { _ = OperatorSettings.readKept(Array(row.prefix(length))) }
  }
}

extension Bench {
  @discardableResult
  mutating func operate(_ command: OperatorCommand, at seconds: Double? = nil) -> (
    answer: OperatorAnswer?, outputs: [PeeringMachine.Output]
  ) {
    let id = OperationID(rawValue: 1)
    let outputs = send(.operate(id, command), at: seconds)
    let answers = outputs.compactMap { if case .operated(id, let answer) = $0 { answer } else { nil } }
    precondition(answers.count == 1, "\(answers.count) answers")
    return (answers.first, outputs)
  }
}
