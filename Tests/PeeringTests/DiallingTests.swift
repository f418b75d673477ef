import Identity
import Testing
import Wire

@testable import Peering

@Suite struct DiallingTests {
  func stored(_ numbers: [UInt64]) -> [(key: [UInt8], value: [UInt8])] {
    numbers.map { number in
      let last = UInt64(1_799_999_000_000 + number)
      let row = PeerRow(
        peer: peer(number), addresses: [.init(bytes: publicAddress(Int(number)).bytes, lastSuccess: last)], failures: 0, score: 0,
        scoredAt: 0)
      return (row.key, row.value)
    }
  }

  /// Stored peers first, seeds only when none of them connects, and then in the order of the list.
  @Test func seedsAfterStoredPeers() {
    var bench = Bench(book: stored([1, 2]))
    let seeds = [100, 101, 102].map { PeerAddress(peer: nil, address: publicAddress($0)) }
    let first = bench.send(.learned(seeds, .seed)).dials
    #expect(Set(first.map(\.address)) == [publicAddress(2), publicAddress(1)])
    #expect(bench.send(.dialFailed(first[0].id, .refused)).dials.isEmpty)
    let second = bench.send(.dialFailed(first[1].id, .refused)).dials
    #expect(second.map(\.address) == seeds.map(\.address))
  }

  /// A node without links takes three seeds at a time, the next one when one of them refuses.
  @Test func aFewSeedsAtATime() {
    var bench = Bench(local: 5)
    let seeds = (100..<110).map { PeerAddress(peer: nil, address: publicAddress($0)) }
    let first = bench.send(.learned(seeds, .seed)).dials
    #expect(first.map(\.address) == seeds.prefix(3).map(\.address))
    let next = bench.send(.dialFailed(first[1].id, .goodbye(Reason(.tooManyPeers)))).dials
    #expect(next.map(\.address) == [seeds[3].address])
  }

  @Test func noSeedsWhileAStoredPeerIsLinked() {
    var bench = Bench(book: stored([1]))
    let first = bench.send(.learned([PeerAddress(peer: nil, address: publicAddress(100))], .seed)).dials
    bench.prove(first[0], 1)
    #expect(bench.run(to: 59).outputs.dials.isEmpty)
    // An island of two asks its seeds after a minute, so that islands meet.
    #expect(bench.run(to: 61).outputs.dials.map(\.address) == [publicAddress(100)])
  }

  /// Addresses that never answer do not keep a node from its seeds.
  @Test func seedsInSpiteOfDeadAddresses() {
    var bench = Bench()
    _ = bench.enter(7, from: "/ip4/20.0.0.1/tcp/1")
    bench.send(.learned([PeerAddress(peer: nil, address: publicAddress(100))], .seed))
    let dead = (1...150).map { PeerAddress(peer: peer(2_000 + UInt64($0)), address: publicAddress($0 % 79, port: $0)) }
    var dials = bench.send(.learned(dead, .exchange(peer(7)))).dials
    var dialled: [Multiaddr] = []
    while bench.now < at(70) {
      dialled += dials.map(\.address)
      let open = dials
      bench.now += .seconds(1)
      dials = open.flatMap { bench.send(.dialFailed($0.id, .timedOut)).dials }
      let outputs = bench.send(.timerFired)
      for ping in outputs.pings { bench.send(.pong(ping.id, nonce: ping.nonce)) }
      dials += outputs.dials
    }
    #expect(dialled.count > 100)
    #expect(dialled.contains(publicAddress(100)))
  }

  @Test func silentStoredPeersDelaySeedsByPatienceOnly() {
    var bench = Bench(book: stored([1]))
    bench.send(.learned([PeerAddress(peer: nil, address: publicAddress(100))], .seed))
    let dials = bench.run(to: 11.5, answeringPings: false)
    #expect(dials.filter { [$0.output].dials.count == 1 }.map(\.at) == [at(11)])
  }

  /// A heard-of peer with the higher PeerID is dialled at once, one with the lower after the passive wait, all at once by a node with few.
  /// One link more for each wish, up to the maximum, and none is closed when the wish ends.
  @Test func moreAreSought() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 2
      $0.outboundMaximum = 4
      $0.feelerInterval = nil
    }
    var proven = 0
    func dialled(_ outputs: [PeeringMachine.Output]) {
      for dial in outputs.dials {
        let number = (1...20).first { publicAddress($0) == dial.address }!
        dialled(bench.prove(dial, UInt64(10 + number)))
        proven += 1
      }
    }
    dialled(bench.send(.learned((1...20).map { PeerAddress(peer: peer(UInt64(10 + $0)), address: publicAddress($0)) }, .exchange(peer(3)))))
    #expect(proven == 2)
    dialled(bench.send(.seekMore(1)))
    #expect(proven == 3)
    dialled(bench.send(.seekMore(9)))
    #expect(proven == 4, "the maximum")
    let outputs = bench.send(.seekMore(0))
    #expect(outputs.isEmpty && bench.machine.counts.active == 4)
  }

  @Test func passiveWait() {
    var bench = Bench(local: 50) { $0.patientFrom = 1 }
    let link = bench.enter(60, from: "/ip4/20.0.0.1/tcp/50000")
    let heard = [10, 70].map { PeerAddress(peer: peer(UInt64($0)), address: publicAddress($0)) }
    let dials = bench.send(.learned(heard, .exchange(peer(60)))).dials
    #expect(dials.map(\.address) == [publicAddress(70)])
    bench.prove(dials[0], 70)
    #expect(bench.run(to: 179.9).outputs.dials.isEmpty)
    #expect(bench.run(to: 180.1).outputs.dials.map(\.address) == [publicAddress(10)])
    _ = link
    var lonely = Bench(local: 50)
    _ = lonely.enter(60, from: "/ip4/20.0.0.1/tcp/50000")
    #expect(lonely.send(.learned(heard, .discovery)).dials.count == 2, "three more links are wanted before it is patient")
    var literal = Bench(local: 50) { $0.patientFrom = 0 }
    #expect(literal.send(.learned(heard, .discovery)).dials.map(\.address) == [publicAddress(70)])
  }

  /// Waits are drawn below 5, 10, 20 … s up to a cap, 15 min or 60 s for must-keep peers, which are dialled for ever.
  @Test(arguments: [PeerSource.bootstrap, .discovery])
  func backOff(source: PeerSource) throws {
    for seed in UInt64(1)...20 {
      var bench = Bench(local: 5, seed: seed)
      var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], source)).dials[0]
      let cap: Double = source == .bootstrap ? 60 : 900
      var longest: Double = 0
      for failures in 1...60 {
        let failedAt = bench.now
        bench.send(.dialFailed(dial.id, .refused))
        let nextDial = bench.nextDial(by: 1e6)
        dial = try #require(nextDial)
        let wait = (bench.now - failedAt).seconds
        let bound = min(cap, 5 * Double(1 << min(failures - 1, 20)))
        try #require(wait >= 0.999 && wait <= max(1, bound) + 0.001, "seed \(seed): \(wait) s after \(failures) failures")
        longest = max(longest, wait)
      }
      #expect(longest > cap * 0.6, "seed \(seed): the cap is never near")
      bench.prove(dial, 9)
      let lostAt = bench.now + .seconds(61)
      bench.run(to: Double(lostAt.nanoseconds) / 1e9)
      bench.send(.closed(dial.id, .remoteClosed))
      _ = bench.nextDial(by: 1e7)
      #expect((bench.now - lostAt).seconds <= 5.001, "seed \(seed): success resets the back-off")
    }
  }

  /// A remote that takes links and drops them at once is not dialled in a circle.
  @Test func shortLivesBackOff() throws {
    var bench = Bench(local: 5)
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    var count = 0
    while bench.now < at(3_600) {
      bench.prove(dial, 9)
      bench.send(.closed(dial.id, .remoteClosed))
      let nextDial = bench.nextDial(by: 1e6)
      dial = try #require(nextDial)
      count += 1
    }
    #expect(count < 30)
  }

  /// The next address follows at once; the round as a whole counts as one failure. A peer with several addresses gets less time for each.
  @Test func nextAddressAtOnce() {
    var bench = Bench(local: 5)
    let both = [1, 2].map { PeerAddress(peer: peer(9), address: publicAddress($0)) }
    let outputs = bench.send(.learned(both, .discovery))
    #expect(outputs.contains { if case .dial(_, _, peer(9), .seconds(3)) = $0 { true } else { false } })
    let first = outputs.dials[0]
    let second = bench.send(.dialFailed(first.id, .timedOut)).dials
    #expect(second.map(\.address) == [publicAddress(2)])
    #expect(bench.send(.dialFailed(second[0].id, .timedOut)).dials.isEmpty)
  }

  @Test func netgroupsComeFirst() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 3 }
    var heard = (1...10).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: address("/ip4/20.0.0.\($0)/tcp/4001")) }
    heard.append(PeerAddress(peer: peer(200), address: address("/ip4/30.0.0.1/tcp/4001")))
    heard.append(PeerAddress(peer: peer(201), address: address("/ip4/40.0.0.1/tcp/4001")))
    let groups = Set(bench.send(.learned(heard, .discovery)).dials.map { $0.address.ipAddress?.netgroup })
    #expect(groups.count == 3)
  }

  /// A shell that never answers: the machine gives dials up by itself, and late news are ignored.
  @Test func lostDialsEnd() {
    var bench = Bench(local: 5)
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    let outputs = bench.run(to: 22.1, answeringPings: false).outputs
    #expect(outputs.cancelled == [dial.id])
    #expect(bench.prove(dial, 9).closed.map(\.id) == [dial.id])
    #expect(bench.send(.dialFailed(dial.id, .refused)).isEmpty)
    #expect(bench.send(.closed(dial.id, .remoteClosed)).isEmpty)
  }

  /// Whom the node has reason to mistrust is dialled last.
  @Test(arguments: UInt64(1)...10) func badScoresAreDialledLast(seed: UInt64) {
    var bench = Bench(local: 5, seed: seed) {
      $0.outboundMinimum = 1
      $0.feelerInterval = nil
    }
    let link = bench.enter(10, from: "/ip4/60.0.0.1/tcp/1").id
    for _ in 1...10 { bench.send(.report(peer(10), .late)) }
    for number in 10...13 as ClosedRange<UInt64> {
      bench.send(.learned([PeerAddress(peer: peer(number), address: publicAddress(Int(number)))], .discovery))
    }
    bench.send(.closed(link, .remoteClosed))
    var dialled: [Multiaddr] = []
    var dial = bench.machine.links(now: bench.now).filter { $0.state == .dialling }.map { (id: $0.connection, address: $0.address) }.first
    bench.now += .seconds(10)
    while let next = dial, dialled.count < 4 {
      dialled.append(next.address)
      dial = bench.send(.dialFailed(next.id, .refused)).dials.first
    }
    #expect(dialled.count == 4 && dialled.last == publicAddress(10), "\(dialled)")
  }

  /// A look-up does not wait for the other side's turn, and heeds all else.
  @Test func lookUps() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 0
      $0.outboundMaximum = 1
    }
    #expect(bench.machine.reach(of: peer(2), now: bench.now) == .unreachable, "nobody has heard of it")
    for number in [2, 3] { bench.send(.learned([PeerAddress(peer: peer(UInt64(number)), address: publicAddress(number))], .discovery)) }
    #expect(bench.machine.reach(of: peer(2), now: bench.now) == .dialable)
    let dial = bench.send(.reach(peer(2))).dials
    #expect(dial.map(\.address) == [publicAddress(2)] && bench.machine.reach(of: peer(2), now: bench.now) == .connecting)
    #expect(bench.machine.reach(of: peer(3), now: bench.now) == .noSlot && bench.send(.reach(peer(3))).dials.isEmpty)
    bench.prove(dial[0], 2)
    #expect(bench.machine.reach(of: peer(2), now: bench.now) == .active && bench.machine.hasSpareOutbound)
    // A link that has done its service may be made again at once.
    bench.send(.disconnect(peer(2), Reason(.idle)))
    #expect(bench.machine.reach(of: peer(2), now: bench.now) == .dialable)
    let failing = bench.send(.reach(peer(3))).dials[0]
    bench.send(.dialFailed(failing.id, .refused))
    #expect(bench.machine.reach(of: peer(3), now: bench.now) == .unreachable, "it has failed a moment ago")
    bench.run(to: 6)
    #expect(bench.machine.reach(of: peer(3), now: bench.now) == .dialable)
    bench.send(.ban(.peer(peer(3)), for: nil, "test"))
    #expect(bench.machine.reach(of: peer(3), now: bench.now) == .unreachable)
    bench.send(.stop)
    #expect(bench.machine.reach(of: peer(2), now: bench.now) == .unreachable)
  }

  @Test func manualDials() {
    var bench = Bench(local: 5)
    let one = PeerAddress(peer: peer(2), address: publicAddress(1))
    let dial = bench.send(.dial(one, keep: false)).dials
    #expect(dial.count == 1)
    bench.send(.dialFailed(dial[0].id, .refused))
    #expect(bench.send(.dial(one, keep: false)).dials.count == 1, "the operator's word passes over back-off")
    #expect(bench.send(.dial(PeerAddress(peer: peer(5), address: publicAddress(3)), keep: false)).dials.isEmpty)
    bench.send(.ban(.peer(peer(7)), for: nil, "test"))
    let refused = bench.send(.dial(PeerAddress(peer: peer(7), address: publicAddress(3)), keep: true))
    #expect(refused.events.first == .dialRefused(peer(7), publicAddress(3), Reason(.banned, "test")) && refused.dials.isEmpty)
  }
}

@Suite struct SlotTests {
  /// Ten thousand known peers: eight dials, never more; all fail at once and the ledger stays within its bounds.
  @Test func outboundMinimumAndMaximum() {
    var bench = Bench(local: 5)
    let heard = (0..<199).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: publicAddress($0)) }
    let dials = bench.send(.learned(heard, .discovery)).dials
    #expect(dials.count == 8)
    for (index, dial) in dials.enumerated() {
      bench.prove(dial, UInt64(100) + UInt64(heard.firstIndex { $0.address == dial.address } ?? index))
    }
    #expect(bench.machine.counts.active == 8)
    let kept = (0..<8).map { PeerAddress(peer: peer(UInt64(1_000 + $0)), address: publicAddress($0, port: 5_000)) }
    #expect(bench.send(.learned(kept, .bootstrap)).dials.count == 8, "must-keep peers have the room up to the maximum of 16")
    #expect(bench.machine.counts.outbound == 16)
    let refused = bench.send(.dial(PeerAddress(peer: peer(5_000), address: publicAddress(50, port: 7)), keep: false))
    #expect(refused.dials.isEmpty && refused.events.count == 2)
  }

  @Test func fiftyFirstIsRefused() {
    var bench = Bench()
    for number in 1...50 { #expect(bench.enter(UInt64(number), from: "/ip4/127.0.0.1/tcp/\(40_000 + number)").outputs.admitted.count == 1) }
    let (id, outputs) = bench.accept("/ip4/127.0.0.1/tcp/50000")
    #expect(outputs.closed.map(\.code) == [.tooManyPeers])
    #expect(bench.send(.proven(id, peer(51), remote: address("/ip4/127.0.0.1/tcp/50000"), setUpTime: .zero)).isEmpty)
    #expect(bench.machine.counts.active == 50)
    bench.send(.closed(.inbound(1), .remoteClosed))
    #expect(bench.enter(51, from: "/ip4/127.0.0.1/tcp/50001").outputs.admitted.count == 1)
  }

  /// As long as there is somebody to dial, accepted links leave room for eight dials and a feeler.
  @Test func slotsAreKeptForDials() {
    var bench = Bench(local: 5_000) { $0.acceptBurst = 1_000 }
    bench.enter(4_000, from: "/ip4/127.0.0.1/tcp/39999").outputs.forEach { _ in }
    // Lower PeerIDs: not dialled yet, but candidates.
    bench.send(.learned((0..<20).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: publicAddress($0)) }, .discovery))
    var admitted = 1
    for number in 1...60 {
      admitted += bench.enter(UInt64(1_000 + number), from: "/ip4/127.0.0.1/tcp/\(40_000 + number)").outputs.admitted.count
    }
    #expect(admitted == 41)
    #expect(bench.run(to: 181).outputs.dials.count == 8)
  }

  @Test func perIPAndSubnet() {
    var bench = Bench { $0.perSubnetMaximum = 5 }
    var codes: [Reason.Code?] = []
    for number in 1...4 { codes.append(bench.accept("/ip4/20.0.0.1/tcp/\(number)").outputs.closed.first?.code) }
    for host in 2...4 { codes.append(bench.accept("/ip4/20.0.0.\(host)/tcp/1").outputs.closed.first?.code) }
    codes.append(bench.accept("/ip6/::ffff:20.0.0.1/tcp/9").outputs.closed.first?.code)
    for number in 1...4 { codes.append(bench.accept("/ip4/127.0.0.1/tcp/\(number)").outputs.closed.first?.code) }
    #expect(codes == [nil, nil, nil, .tooManyFromIP, nil, nil, .tooManyFromSubnet, .tooManyFromIP, nil, nil, nil, nil])
    var strict = Bench { $0.exemptsLoopback = false }
    #expect((1...4).map { strict.accept("/ip4/127.0.0.1/tcp/\($0)").outputs.closed.first?.code } == [nil, nil, nil, .tooManyFromIP])
  }

  /// Whoever has one address and many ports does not get all outbound links, nor all of them beside accepted ones. Loopback is exempt as at
  /// the accept, and so are must-keep peers; an operator is told why.
  @Test func perIPAndSubnetOfDials() {
    func peers(_ ip: String) -> [PeerAddress] {
      (0..<12).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: address("/ip4/\(ip)/tcp/\(4_000 + $0)")) }
    }
    var bench = Bench(local: 5)
    _ = bench.accept("/ip4/20.0.0.1/tcp/9")
    #expect(bench.send(.learned(peers("20.0.0.1"), .discovery)).dials.count == 2)
    #expect(bench.machine.reach(of: peer(111), now: bench.now) == .unreachable)
    #expect(bench.machine.explain(peer(111), now: bench.now).contains("Not dialled: too-many-from-ip (3 links per IP address)."))
    let refused = bench.send(.dial(PeerAddress(peer: peer(300), address: address("/ip4/20.0.0.1/tcp/1")), keep: false)).events
    #expect(refused == [.dialRefused(peer(300), address("/ip4/20.0.0.1/tcp/1"), Reason(.tooManyFromIP, "3 links per IP address"))])
    #expect(bench.send(.dial(PeerAddress(peer: peer(300), address: address("/ip4/20.0.0.1/tcp/1")), keep: true)).dials.count == 1)
    // As soon as one fails the next has its turn.
    let dial = bench.machine.links(now: bench.now).first { $0.state == .dialling && $0.cause != .mustKeep }!
    #expect(bench.send(.closed(.inbound(1), .remoteClosed)).dials.isEmpty)
    #expect(bench.send(.dialFailed(dial.connection, .refused)).dials.count == 1)

    var narrow = Bench(local: 5) { $0.perSubnetMaximum = 2 }
    let neighbours = (1...5).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: address("/ip4/20.0.0.\($0)/tcp/4001")) }
    #expect(narrow.send(.learned(neighbours, .discovery)).dials.count == 2)
    var local = Bench(local: 5) { $0.allowsPrivateAddresses = true }
    #expect(local.send(.learned(peers("127.0.0.1"), .discovery)).dials.count == 8)
    var strict = Bench(local: 5) {
      $0.allowsPrivateAddresses = true
      $0.exemptsLoopback = false
    }
    #expect(strict.send(.learned(peers("127.0.0.1"), .discovery)).dials.count == 3)
  }

  /// All ports of one peer at one address are tried, as one dial.
  @Test func aPeerWithManyPortsIsOneDial() {
    var bench = Bench(local: 5)
    let ports = (1...6).map { PeerAddress(peer: peer(9), address: address("/ip4/20.0.0.1/tcp/\($0)")) }
    var dials = bench.send(.learned(ports, .discovery)).dials.count
    dials += bench.run(to: 2.9).outputs.dials.count
    #expect(dials == 6)
  }

  @Test func handshakeBudget() {
    var bench = Bench { $0.handshakesMaximum = 4 }
    let codes = (1...5).map { bench.accept("/ip4/127.0.0.1/tcp/\($0)").outputs.closed.first?.code }
    #expect(codes == [nil, nil, nil, nil, .busy])
    #expect(bench.run(to: 12.1).outputs.closed.map(\.code) == Array(repeating: .handshakeTimeout, count: 4))
    var rate = Bench {
      $0.acceptBurst = 2
      $0.acceptsPerSecond = 1
    }
    #expect((1...3).map { rate.accept("/ip4/127.0.0.1/tcp/\($0)").outputs.closed.first?.code } == [nil, nil, .busy])
    #expect(rate.accept("/ip4/127.0.0.1/tcp/9", seconds: 1).outputs.isEmpty)
  }

  @Test func allowList() {
    var bench = Bench { $0.allowed = AllowList(peers: [peer(7)], networks: [IPNetwork("10.0.0.0/8")!]) }
    #expect(bench.enter(7, from: "/ip4/20.0.0.1/tcp/1").outputs.admitted.count == 1)
    #expect(bench.enter(8, from: "/ip4/20.0.0.1/tcp/2").outputs.closed.map(\.code) == [.notAllowed])
    #expect(bench.enter(8, from: "/ip4/10.1.0.1/tcp/2").outputs.admitted.count == 1)
    var closed = Bench { $0.allowed = AllowList(networks: [IPNetwork("10.0.0.0/8")!]) }
    #expect(closed.enter(9, from: "/ip4/20.0.0.1/tcp/1").outputs.closed.map(\.code) == [.notAllowed])
    // Nor is a stranger dialled.
    let outputs = closed.send(.learned([PeerAddress(peer: peer(2_000), address: publicAddress(1))], .bootstrap))
    #expect(outputs.dials.isEmpty)
    let refused = closed.send(.dial(PeerAddress(peer: peer(2_000), address: publicAddress(1)), keep: false)).events
    #expect(refused.contains { if case .dialRefused(_, _, let reason) = $0 { reason.code == .notAllowed } else { false } })
  }

  @Test func introduction() {
    var bench = Bench { $0.introductionRequired = true }
    let first = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    #expect(first.outputs.admitted == [first.id])
    #expect(bench.machine.activePeers.isEmpty)
    bench.send(.introduced(peer(1)))
    #expect(bench.machine.activePeers == [peer(1)])
    let second = bench.enter(2, from: "/ip4/20.0.0.1/tcp/2").id
    #expect(bench.send(.refused(peer(2), Reason(.wrongGenesis))).closed.map(\.code) == [.wrongGenesis])
    let third = bench.enter(3, from: "/ip4/20.0.0.1/tcp/3").id
    #expect(bench.run(to: 11).outputs.closed.map(\.id) == [third])
    _ = second
  }

  @Test func gracefulStop() {
    var bench = Bench(local: 5)
    bench.enter(7, from: "/ip4/20.0.0.1/tcp/1").outputs.forEach { _ in }
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .bootstrap)).dials[0]
    let outputs = bench.send(.stop)
    #expect(outputs.closed.map(\.code) == [.shutdown])
    #expect(outputs.cancelled == [dial.id])
    #expect(outputs.events.last == .stopped)
    #expect(bench.accept("/ip4/20.0.0.1/tcp/2").outputs.closed.map(\.code) == [.shutdown])
    #expect(bench.run(to: 4_000).isEmpty)
    #expect(bench.machine.nextDeadline == nil)
  }
}

extension DiallingTests {
  /// A node that reaches nobody tries seeds and stored peers every minute at least, heard-of peers ever more rarely.
  @Test(arguments: [(PeerSource.seed, 60.0), (.discovery, 900.0)]) func aloneNodesHurry(source: PeerSource, cap: Double) throws {
    var bench = Bench(local: 5)
    var dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], source)).dials[0]
    var longest = 0.0
    for _ in 1...60 {
      let failedAt = bench.now
      bench.send(.dialFailed(dial.id, .timedOut))
      let nextDial = bench.nextDial(by: 1e6)
      dial = try #require(nextDial)
      longest = max(longest, (bench.now - failedAt).seconds)
    }
    #expect(longest <= cap + 0.001 && longest > cap * 0.6)
  }

  /// Why seeds are asked is told once, and what was dialled is counted by where it came from.
  @Test func seedCauses() {
    let seed = [PeerAddress(peer: nil, address: publicAddress(100))]
    func causes(_ outputs: [PeeringMachine.Output]) -> [SeedCause] {
      outputs.events.compactMap { if case .seedsAsked(let cause) = $0 { cause } else { nil } }
    }
    var empty = Bench()
    #expect(causes(empty.send(.learned(seed, .seed))) == [.nobodyStored])
    var slow = Bench(book: stored([1]))
    slow.send(.learned(seed, .seed))
    #expect(causes(slow.run(to: 11.5, answeringPings: false).outputs) == [.storedAreSlow])
    var dead = Bench(book: stored([1]))
    let dial = dead.send(.learned(seed, .seed)).dials[0]
    let outputs = dead.send(.dialFailed(dial.id, .refused))
    #expect(causes(outputs) == [.noStoredConnects] && dead.machine.counts.seedCause == .noStoredConnects)
    dead.prove(outputs.dials[0], 100)
    #expect(dead.machine.counts.seedCause == nil)
    #expect((dead.machine.counts.dials[.stored].begun, dead.machine.counts.dials[.stored].succeeded) == (1, 0))
    #expect((dead.machine.counts.dials[.seed].begun, dead.machine.counts.dials[.seed].succeeded) == (1, 1))
    var island = Bench(book: stored([1]))
    let first = island.send(.learned(seed, .seed)).dials
    island.prove(first[0], 1)
    #expect(causes(island.run(to: 301).outputs) == [.tooFewPeers])
  }
}
