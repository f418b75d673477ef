import Identity
import Testing
import Wire

@testable import Peering

@Suite struct KeepAliveTests {
  @Test func pingsAndRoundTrip() {
    var bench = Bench()
    let link = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").id
    let ping = bench.run(to: 1, answeringPings: false).outputs.pings
    #expect(ping.map(\.id) == [link])
    bench.send(.pong(link, nonce: ping[0].nonce), at: 1.08)
    #expect(bench.machine.roundTrip(of: peer(1)) == .milliseconds(80))
    let second = bench.run(to: 31, answeringPings: false).outputs.pings
    bench.send(.pong(link, nonce: second[0].nonce), at: 31.16)
    #expect(bench.machine.roundTrip(of: peer(1)) == .milliseconds(90))
  }

  /// A peer that answers otherwise than with the echo lives; how far away it is remains unknown.
  @Test(arguments: [nil, 7] as [UInt64?]) func answersThatAreNoEcho(nonce: UInt64?) {
    var bench = Bench()
    let link = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").id
    for round in 0..<10 {
      let pings = bench.run(to: 1 + Double(round) * 30, answeringPings: false).outputs.pings
      #expect(pings.map(\.id) == [link])
      bench.send(.pong(link, nonce: nonce))
    }
    #expect(bench.machine.roundTrip(of: peer(1)) == nil && bench.machine.counts.active == 1)
    #expect(bench.machine.links(now: bench.now).map(\.missedPongs) == [0])
  }

  @Test func threeMissed() {
    var bench = Bench()
    let link = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").id
    let all = bench.run(to: 300, answeringPings: false)
    #expect(all.outputs.pings.count == 3)
    #expect(all.filter { ![$0.output].closed.isEmpty }.map(\.at) == [at(91)])
    #expect(all.outputs.closed.map(\.id) == [link])
    #expect(all.outputs.closed.map(\.code) == [.keepAliveTimeout])
  }

  /// One late answer, even to an earlier ping, proves life.
  @Test func lateAnswer() {
    var bench = Bench()
    let link = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").id
    let first = bench.run(to: 100, answeringPings: false).outputs.pings
    bench.send(.pong(link, nonce: first[0].nonce))
    #expect(bench.run(to: 200, answeringPings: false).outputs.closed.isEmpty)
  }

  /// The process sleeps for an hour: one missed answer is counted, one ping is sent, nobody is closed.
  @Test func noBurstAfterStall() {
    var bench = Bench()
    for number in 1...3 { _ = bench.enter(UInt64(number), from: "/ip4/20.0.0.\(number)/tcp/1") }
    bench.run(to: 2, answeringPings: false)
    let outputs = bench.send(.timerFired, at: 3_600)
    #expect(outputs.pings.count == 3 && outputs.closed.isEmpty)
    #expect(bench.send(.timerFired).isEmpty)
    #expect(bench.machine.links(now: bench.now).map(\.missedPongs) == [1, 1, 1])
  }

  /// All links fall silent at once: nobody is blamed for five minutes; a single silent one is closed.
  @Test func ownFault() {
    var bench = Bench()
    var ids: [ConnectionID] = []
    for number in 1...6 {
      ids.append(bench.enter(UInt64(number), from: "/ip4/20.0.0.\(number)/tcp/1").id)
      bench.run(to: Double(number) * 3)
    }
    bench.run(to: 100)
    let silent = bench.run(to: 300, answeringPings: false).outputs
    #expect(silent.closed.isEmpty)
    #expect(silent.events.contains { if case .ownFault = $0 { true } else { false } })
    bench.run(to: 400)
    #expect(bench.machine.counts.active == 6)
    // One alone falls silent.
    var closed: [ConnectionID] = []
    while let next = bench.machine.nextDeadline, next <= at(700) {
      bench.now = next
      let outputs = bench.send(.timerFired)
      for ping in outputs.pings where ping.id != ids[0] { bench.send(.pong(ping.id, nonce: ping.nonce)) }
      closed += outputs.closed.map(\.id)
    }
    #expect(closed == [ids[0]])
    // All silent for good: closed in the end.
    #expect(bench.run(to: 1_200, answeringPings: false).outputs.closed.count == 5)
  }

  /// All links fall silent but a new one is proven: the line works, so the silent ones are dead and go after three pings.
  @Test func aNewLinkShowsThatTheOldOnesAreDead() {
    var bench = Bench(local: 5)
    let ids = (11...16).map { bench.enter(UInt64($0), from: "/ip4/20.0.0.\($0)/tcp/1").id }
    bench.run(to: 40)
    let first = bench.run(to: 155, answeringPings: false).outputs
    #expect(first.closed.isEmpty)
    #expect(first.events.contains { if case .ownFault = $0 { true } else { false } })
    // Lower peers are not waited for now.
    let dials = bench.send(.learned([PeerAddress(peer: peer(3), address: publicAddress(3))], .discovery)).dials
    guard let probe = dials.first else { return #expect(Bool(false), "no dial finds out whether the line works") }
    bench.prove(probe, 3)
    var closed: [ConnectionID] = []
    while let next = bench.machine.nextDeadline, next <= at(250) {
      bench.now = next
      let outputs = bench.send(.timerFired)
      for ping in outputs.pings where ping.id == probe.id { bench.send(.pong(ping.id, nonce: ping.nonce)) }
      closed += outputs.closed.map(\.id)
    }
    #expect(Set(closed) == Set(ids))
  }

  /// All links that this side dialled died without a word, and nobody else can be dialled: one is given up and dialled anew.
  @Test func oneSilentPeerIsDialledAnew() {
    var bench = Bench(local: 5)
    var numbers: [ConnectionID: UInt64] = [:]
    for number in 11...16 as ClosedRange<UInt64> {
      for dial in bench.send(.learned([PeerAddress(peer: peer(number), address: publicAddress(Int(number)))], .discovery)).dials {
        bench.prove(dial, number)
        numbers[dial.id] = number
      }
    }
    #expect(numbers.count == 6)
    bench.run(to: 100)
    let silent = bench.run(to: 215, answeringPings: false).outputs
    #expect(silent.closed.map(\.code) == [.keepAliveTimeout], "one is given up, the others are kept")
    guard let given = silent.closed.first.flatMap({ numbers[$0.id] }), let dial = silent.dials.last ?? bench.nextDial(by: 230) else {
      return #expect(Bool(false), "no dial finds out whether the line works")
    }
    #expect(dial.address == publicAddress(Int(given)))
    bench.prove(dial, given)
    var closed: Set<ConnectionID> = []
    while let next = bench.machine.nextDeadline, next <= at(290) {
      bench.now = next
      let outputs = bench.send(.timerFired)
      for ping in outputs.pings where ping.id == dial.id { bench.send(.pong(ping.id, nonce: ping.nonce)) }
      closed.formUnion(outputs.closed.map(\.id).filter { numbers[$0] != nil })
    }
    #expect(closed.count == 5, "the line works: those that are silent are dead")
  }

  /// Two virtual days of answered pings: not one link changes.
  @Test func noCycling() {
    var bench = Bench()
    for number in 1...4 { _ = bench.enter(UInt64(number), from: "/ip4/20.0.\(number).1/tcp/1") }
    let outputs = bench.run(to: 2 * 86_400).outputs
    #expect(outputs.count == outputs.pings.count)
    #expect(bench.machine.counts.active == 4)
  }
}

@Suite struct ScoreTests {
  @Test func weightsAndThresholds() {
    for offence in Offence.allCases where offence.scoreMaximum == nil {
      var bench = Bench()
      let link = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").id
      var count = 0
      var closed: [Reason.Code] = []
      while closed.isEmpty {
        count += 1
        closed = bench.send(.report(peer(1), offence)).closed.map(\.code)
      }
      #expect(Double(count) == (18 / offence.weight).rounded(.up), "\(offence)")
      #expect(closed == [offence.weight >= 45 ? .banned : .lowScore])
      while bench.machine.bans(now: bench.now).isEmpty {
        count += 1
        bench.send(.report(peer(1), offence))
      }
      #expect(Double(count) == (45 / offence.weight).rounded(.up), "\(offence)")
      _ = link
    }
  }

  /// Who lost its link for its score has none until that is below the threshold again: what it sends then would go unheard, and fill the line.
  @Test func aLowScoreOutlivesTheLink() {
    var bench = Bench()
    _ = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    #expect(bench.send(.report(peer(1), .invalidBlock)).closed.map(\.code) == [.lowScore])
    #expect(bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").outputs.closed.map(\.code) == [.lowScore])
    // 25 points are 17.5 after six tenths of the half-life.
    let later = bench.accept("/ip4/20.0.0.1/tcp/1", seconds: 361).id
    #expect(bench.prove((later, address("/ip4/20.0.0.1/tcp/1")), 1).admitted == [later])
  }

  /// Who embeds the machine may switch the thresholds off: a peer's story is told all the same.
  @Test func thresholdsMayBeBeyondEveryScore() {
    var bench = Bench {
      $0.disconnectScore = .infinity
      $0.banScore = .infinity
    }
    _ = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    bench.send(.report(peer(1), .invalidBlock))
    let story = bench.machine.explain(peer(1), now: bench.now).joined(separator: "\n")
    #expect(story.contains("Score 25: the first to leave a full house, disconnected at inf, banned at inf."), "\(story)")
  }

  @Test func decay() {
    var score = Score()
    #expect(score.add(.equivocation, at: at(0), halfLife: .seconds(600)) == 100)
    #expect(score.value(at: at(600), halfLife: .seconds(600)) == 50)
    #expect(score.value(at: at(900), halfLife: .seconds(600)) == 37.5)
    #expect(score.value(at: at(1_200), halfLife: .seconds(600)) == 25)
    #expect(score.value(at: at(1e9), halfLife: .seconds(600)) == 0)
    #expect(score.add(.rateExceeded, at: at(1_200), halfLife: .seconds(600)) == 26)
  }

  /// However often a peer is late, it is only ranked lower; and being late hides nothing worse.
  @Test func latenessAloneNeverDisconnects() {
    var bench = Bench()
    _ = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    for _ in 0..<200 { #expect(bench.send(.report(peer(1), .late)).closed.isEmpty) }
    #expect(bench.machine.score(of: peer(1), now: bench.now) == 10)
    #expect(bench.send(.report(peer(1), .protocolViolation)).closed.map(\.code) == [.lowScore])
    bench.send(.report(peer(1), .late))
    #expect(bench.machine.score(of: peer(1), now: bench.now) == 20)
  }

  /// Slow links, resets, failed dials and lost pongs cost nothing.
  @Test func transportFaultsNeverScore() {
    var bench = Bench(local: 5)
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    for round in 0..<40 {
      if round % 2 == 0 {
        bench.send(.dialFailed(dial.id, .transport("reset")))
      } else {
        bench.prove(dial, 9)
        bench.send(.closed(dial.id, .transport("reset")))
      }
      guard let next = bench.nextDial(by: 1e6) else { break }
      dial = next
    }
    #expect(bench.machine.score(of: peer(9), now: bench.now) == 0)
    #expect(bench.machine.bans(now: bench.now).isEmpty)
  }

  @Test func bansEndAndPersist() {
    var bench = Bench(local: 5)
    var book = TestBook()
    let network = IPNetwork("20.0.0.0/24")!
    let link = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1").id
    let outputs = bench.send(.ban(.network(network), for: .seconds(3_600), "noise"))
    #expect(outputs.closed.map(\.id) == [link])
    book.apply(outputs)
    book.apply(bench.send(.ban(.peer(peer(2)), for: nil, "for good")))
    #expect(bench.accept("/ip4/20.0.0.9/tcp/1").outputs.closed.map(\.code) == [.banned])
    #expect(bench.enter(2, from: "/ip4/21.0.0.1/tcp/1").outputs.closed.map(\.code) == [.banned])
    // Restart half way.
    var again = Bench(local: 5, book: book.all, at: at(1_800))
    #expect(again.machine.bans(now: again.now).map(\.subject) == [.peer(peer(2)), .network(network)])
    #expect(again.accept("/ip4/20.0.0.9/tcp/1").outputs.closed.map(\.code) == [.banned])
    let ended = again.run(to: 3_601).outputs
    #expect(ended.events.contains(.unbanned(.network(network))))
    #expect(again.accept("/ip4/20.0.0.9/tcp/2").outputs.isEmpty)
    book.apply(ended)
    book.apply(again.send(.unban(.peer(peer(2)))))
    #expect(book.all.isEmpty)
    #expect(again.enter(2, from: "/ip4/21.0.0.1/tcp/1").outputs.admitted.count == 1)
  }

  /// The computer sleeps, or somebody sets its clock: bans, scores and persisted times go by the wall clock.
  @Test func theWallClockCounts() throws {
    func clock(_ step: Double, at now: Instant) -> PeeringMachine.Input {
      .clock(WallClock(now: now, wall: testClock.time(at: now) + .milliseconds(Int64(step * 1_000))))
    }
    var bench = Bench(local: 5)
    var book = TestBook()
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    _ = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    bench.send(.report(peer(1), .protocolViolation))
    book.apply(bench.send(.closed(dial.id, .remoteClosed), at: 10))
    bench.send(.ban(.peer(peer(2)), for: .seconds(3_600), "x"))
    #expect(bench.send(clock(0.5, at: at(10)), at: 10).isEmpty && bench.machine.bans(now: bench.now).first?.left == .seconds(3_600))
    // Half an hour asleep.
    bench.send(clock(1_800, at: at(10)))
    #expect(bench.machine.bans(now: bench.now).map(\.left) == [.seconds(1_800)])
    #expect(bench.machine.score(of: peer(1), now: bench.now) < 1.3)
    // What was reached before is persisted with the time that it was then.
    book.apply(bench.send(.report(peer(9), .rateExceeded)))
    let value = try #require(book.value(PeerRow.key(peer(9))))
    let row = try #require(PeerRow(key: PeerRow.key(peer(9)), value: value))
    #expect(row.scoredAt == 1_800_001_810_000 && row.addresses.map(\.lastSuccess) == [1_800_000_010_000])
    #expect(bench.run(to: 1_811).outputs.events.contains(.unbanned(.peer(peer(2)))))
    // Set back by an hour: a ban has its time all the same, and nothing lies in the future.
    bench.send(.report(peer(1), .protocolViolation))
    let score = bench.machine.score(of: peer(1), now: bench.now)
    book.apply(bench.send(.ban(.peer(peer(3)), for: .seconds(7_200), "y")))
    book.apply(bench.send(clock(-1_800, at: bench.now)))
    #expect(bench.machine.bans(now: bench.now).map(\.left) == [.seconds(10_800)])
    #expect(bench.machine.score(of: peer(1), now: bench.now) == score)
    let again = Bench(local: 5, book: book.all, at: bench.now + .seconds(5_400))
    #expect(again.machine.bans(now: again.now).map(\.left) == [.seconds(3_600)])
  }

  /// A must-keep peer is closed, not banned.
  @Test func mustKeepIsNeverBanned() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    bench.prove(dial, 9)
    #expect(bench.send(.report(peer(9), .equivocation)).closed.map(\.code) == [.lowScore])
    #expect(bench.machine.bans(now: bench.now).isEmpty)
    #expect(bench.nextDial(by: 100) != nil)
  }

  /// What the table of weights says has to hold for offences that lie a minute apart, too: scores decay meanwhile.
  @Test func offencesAMinuteApartCount() {
    var bench = Bench()
    _ = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    #expect(bench.send(.report(peer(1), .malformedMessage), at: 1).closed.isEmpty)
    #expect(bench.send(.report(peer(1), .malformedMessage), at: 61).closed.map(\.code) == [.lowScore])
    _ = bench.enter(2, from: "/ip4/20.1.0.1/tcp/1")
    bench.send(.report(peer(2), .invalidBlock), at: 62)
    bench.send(.report(peer(2), .invalidBlock), at: 122)
    #expect(bench.machine.bans(now: bench.now).map(\.subject) == [.peer(peer(2))])
  }

  @Test func banListIsBounded() {
    var bench = Bench { $0.bansMaximum = 10 }
    bench.send(.ban(.peer(peer(1)), for: .seconds(1), "operator"))
    for number in 2...50 {
      _ = bench.enter(UInt64(number), from: "/ip4/127.0.0.1/tcp/\(number)")
      bench.send(.report(peer(UInt64(number)), .equivocation), at: Double(number) / 100)
    }
    let bans = bench.machine.bans(now: bench.now).map(\.subject)
    #expect(bans.count == 10 && bans.contains(.peer(peer(1))) && bans.contains(.peer(peer(50))))
  }
}

/// One peer that is late is blamed; when most are, the fault is taken for this side's own.
@Suite struct LatenessTests {
  @Test func mostAreLate() {
    var bench = Bench()
    for number in UInt64(1)...6 { _ = bench.enter(number, from: "/ip4/20.0.0.\(number)/tcp/1") }
    func isBlamed(_ number: UInt64) -> Bool {
      bench.send(.report(peer(number), .late)).events.contains { if case .offence = $0 { true } else { false } }
    }
    #expect((UInt64(1)...3).allSatisfy(isBlamed), "three of six may be at fault themselves")
    #expect(!isBlamed(4) && !isBlamed(5) && !isBlamed(1))
    #expect(bench.machine.recentEvents.filter { if case .ownFault = $0.event { true } else { false } }.count == 1)
    #expect(bench.send(.report(peer(6), .malformedMessage)).events.count == 1, "only lateness can be the line's fault")
    bench.run(to: 61)
    #expect(isBlamed(4), "a minute later the others have answered")
  }
}
