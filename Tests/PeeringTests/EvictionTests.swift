import Identity
import TestKit
import Testing
import Wire

@testable import Peering

@Suite(.ownThread) struct EvictionTests {
  /// Forty links, the nth of the nth second and, unless said otherwise, of its own network.
  private func house(_ change: (Int, inout EvictionRule.Candidate) -> Void = { _, _ in }) -> [EvictionRule.Candidate] {
    (0..<40).map { number in
      var candidate = EvictionRule.Candidate(
        id: .inbound(UInt64(number)), group: .v4(UInt32(1_000 + number)), since: at(Double(number)))
      change(number, &candidate)
      return candidate
    }
  }

  private func evicted(_ house: [EvictionRule.Candidate], newcomer: UInt32 = 1, favour: @escaping (NetworkGroup) -> UInt64 = { $0.number })
    -> Int?
  {
    var sizes: [NetworkGroup: Int] = [:]
    for candidate in house { sizes[candidate.group, default: 0] += 1 }
    return EvictionRule.choose(house.reversed(), newcomer: .v4(newcomer), sizes: sizes, favour: favour).map { Int($0.rawValue & 0xffff) }
  }

  /// Of equals the youngest goes, unless it is the best at something.
  @Test func youngestButProtected() {
    #expect(evicted(house()) == 39)
    #expect(evicted(house { if $0 == 39 { $1.roundTrip = .milliseconds(1) } }) == 38)
    #expect(evicted(house { if $0 >= 38 { $1.lastBlock = at(100) } }) == 37)
    #expect(evicted(house { if $0 >= 36 { $1.lastTransaction = at(100) } }) == 35)
    #expect(evicted(house(), favour: { .max - $0.number }) == 35, "four favoured groups")
    // Nine are near, but eight of them protected: the farthest of the nine is not.
    #expect(evicted(house { if $0 >= 31 { $1.roundTrip = .milliseconds($0 == 35 ? 9 : 1) } }) == 35)
  }

  /// The worst score goes first, before anything protects it and whoever wants in.
  @Test func badScoresGoFirst() {
    let links = house {
      if $0 == 0 { $1.badScore = 9 }
      if $0 == 1 { ($1.badScore, $1.lastBlock, $1.roundTrip) = (11, at(100), .milliseconds(1)) }
    }
    #expect(evicted(links) == 1)
    #expect(evicted(links, newcomer: 1_005) == 1)
  }

  /// The biggest network loses its youngest, although others are younger.
  @Test func biggestGroup() {
    #expect(evicted(house { if (25...29).contains($0) { $1.group = .v4(7) } }) == 29)
    #expect(evicted(house { if (20...29).contains($0) { $1.group = .v4(7) } }, newcomer: 8) == 29)
  }

  /// A newcomer from a crowd as big as the biggest does not push anybody out: a full house of one network is closed to that network.
  @Test func crowdsDoNotChurn() {
    #expect(evicted(house { _, candidate in candidate.group = .v4(7) }, newcomer: 7) == nil)
    #expect(evicted(house { _, candidate in candidate.group = .v4(7) }, newcomer: 8) == 39)
    #expect(evicted(house { $1.group = .v4(UInt32($0 / 20)) }, newcomer: 0) == nil)
    // Among groups of one a second link of a group is not worth the first of another.
    #expect(evicted(house(), newcomer: 1_005) == nil)
  }

  @Test func smallHouses() {
    for size in 0...12 {
      let small = Array(house { $1.roundTrip = .milliseconds($0 + 1) }.prefix(size))
      #expect((evicted(small) == nil) == (size == 0), "\(size) links")
    }
  }

  /// An attacker holds all slots with distinct networks, comes back whenever he is evicted, and never serves anything: those that were there
  /// before him, are near or serve blocks stay.
  @Test func usefulPeersStay() {
    for seed in UInt64(1)...20 {
      var generator = SeededGenerator(seed: seed)
      var links = house { number, candidate in
        if number < 10 { candidate.roundTrip = .milliseconds(20 + number) }
        if (10..<14).contains(number) { candidate.lastBlock = at(Double(number)) }
      }.prefix(14).map { $0 }
      let honest = Set(links.map(\.id))
      var next: UInt64 = 1_000
      for second in 100..<2_000 {
        if links.count == 40 {
          var sizes: [NetworkGroup: Int] = [:]
          for link in links { sizes[link.group, default: 0] += 1 }
          let chosen = EvictionRule.choose(links, newcomer: .v4(UInt32(next)), sizes: sizes) { $0.number &* 0x9e37_79b9_7f4a_7c15 &+ seed }
          links.removeAll { $0.id == chosen }
        }
        if links.count < 40 {
          next += 1
          links.append(
            .init(
              id: .inbound(next), group: .v4(UInt32(next)), roundTrip: .milliseconds(30 + generator.index(below: 100)),
              since: at(Double(second))))
        }
      }
      #expect(honest.isSubset(of: links.map(\.id)), "seed \(seed)")
    }
  }

  // MARK: In the machine

  /// Fifty links from many networks: the 51st of a new network is let in, and the one that goes is told why.
  @Test func fullHouse() {
    var bench = Bench { $0.acceptsPerSecond = 1_000 }
    var ids: [UInt64: ConnectionID] = [:]
    for number in UInt64(1)...50 {
      bench.now = bench.now + .seconds(1)
      let (id, outputs) = bench.enter(number, from: "/ip4/\(20 + number / 2).9.0.\(number)/tcp/9")
      #expect(outputs.admitted == [id])
      ids[number] = id
    }
    bench.send(.useful(peer(50), .block))
    bench.now = bench.now + .seconds(1)
    let newcomer = bench.accept("/ip4/99.1.0.1/tcp/9")
    #expect(newcomer.outputs.closed.count == 1 && newcomer.outputs.closed.first?.code == .evicted)
    #expect(newcomer.outputs.closed.first?.id != ids[50] && newcomer.outputs.closed.first?.id != newcomer.id)
    #expect(bench.machine.slots.total == 50)
    let gone = newcomer.outputs.events.compactMap { event -> PeerID? in
      if case .linkClosed(_, let peer, let reason, .thisSide) = event, reason.code == .evicted { peer } else { nil }
    }
    #expect(gone.count == 1 && gone[0] > peer(25), "one of the younger half: \(gone)")
    // Another at once has to wait.
    #expect(bench.accept("/ip4/98.1.0.1/tcp/9").outputs.closed.map(\.code) == [.tooManyPeers])
    bench.now = bench.now + .seconds(1)
    #expect(bench.accept("/ip4/98.1.0.1/tcp/9").outputs.closed.map(\.code) == [.evicted])
  }

  /// A peer that is late again and again, although it came first and serves blocks, is the one that makes room.
  @Test func latePeersGoFirst() {
    var bench = Bench { $0.acceptsPerSecond = 1_000 }
    for number in UInt64(1)...50 { _ = bench.enter(number, from: "/ip4/\(20 + number).9.0.1/tcp/9") }
    let late = bench.machine.link(of: peer(1))
    bench.send(.useful(peer(1), .block), at: 5)
    for _ in 1...8 { bench.send(.report(peer(1), .late)) }
    #expect(bench.accept("/ip4/99.1.0.1/tcp/9").outputs.closed.first?.id != late)
    for _ in 1...2 { bench.send(.report(peer(1), .late), at: 7) }
    let outputs = bench.accept("/ip4/98.1.0.1/tcp/9").outputs
    #expect(outputs.closed.map(\.id) == [late] && outputs.closed.map(\.code) == [.evicted])
  }

  /// Must-keep peers, dialled links and links of unknown peers are not evicted.
  @Test func whoIsNeverEvicted() {
    var bench = Bench(local: 5) {
      $0.totalMaximum = 10
      $0.outboundMinimum = 0
    }
    for number in UInt64(1)...10 {
      bench.send(.learned([PeerAddress(peer: peer(100 + number), address: routable(Int(number)))], .bootstrap))
      for link in bench.machine.links(now: bench.now) where link.state == .dialling { bench.send(.dialFailed(link.connection, .refused)) }
      _ = bench.enter(100 + number, from: "/ip4/\(20 + number).0.0.1/tcp/9")
    }
    bench.now = bench.now + .seconds(5)
    #expect(bench.accept("/ip4/99.1.0.1/tcp/9").outputs.closed.map(\.code) == [.tooManyPeers])
    #expect(bench.machine.counts.active == 10)
  }

  /// A must-keep peer gets its slot although others hold all for opened links: one of them ends for it. Until it is linked the slot is kept
  /// free, but no further link ends for a peer that does not answer.
  @Test func mustKeepPeersGetAnOpenedSlot() throws {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 0
      $0.outboundMaximum = 2
    }
    for number in UInt64(11)...14 {
      bench.send(.learned([PeerAddress(peer: peer(number), address: publicAddress(Int(number)))], .discovery))
    }
    for number in UInt64(11)...12 { bench.prove(bench.send(.reach(peer(number))).dials[0], number) }
    #expect(bench.machine.reach(of: peer(13), now: bench.now) == .noSlot)
    let kept = [PeerAddress(peer: peer(99), address: publicAddress(99))]
    let outputs = bench.send(.learned(kept, .bootstrap), at: 5)
    #expect(outputs.closed.map(\.code) == [.evicted] && outputs.dials.map(\.address) == [publicAddress(99)])
    bench.prove(outputs.dials[0], 99)
    var dial = bench.send(.closed(outputs.dials[0].id, .remoteClosed), at: 100).dials.first ?? bench.nextDial(by: 1e4)!
    for _ in 1...5 {
      #expect(bench.send(.dialFailed(dial.id, .refused)).closed.isEmpty)
      #expect(bench.machine.counts.active == 1 && bench.machine.reach(of: peer(13), now: bench.now) == .noSlot)
      let next = bench.nextDial(by: 1e4)
      dial = try #require(next)
      #expect(dial.address == publicAddress(99))
    }
    bench.prove(dial, 99)
    #expect(bench.machine.isActive(peer(99)) && bench.machine.counts.active == 2)
  }

  /// The same in a house full of accepted links.
  @Test func mustKeepPeersGetASlotOfAFullHouse() throws {
    var bench = Bench(local: 5) {
      $0.totalMaximum = 8
      $0.outboundMinimum = 0
    }
    for number in UInt64(11)...18 { _ = bench.enter(number, from: "/ip4/\(number).0.0.1/tcp/9") }
    #expect(bench.machine.slots.total == 8)
    let first = bench.send(.learned([PeerAddress(peer: peer(99), address: publicAddress(99))], .bootstrap), at: 5)
    #expect(first.closed.map(\.code) == [.evicted] && first.dials.count == 1)
    bench.prove(first.dials[0], 99)
    // It goes, and is not dialled for a minute. A newcomer takes an accepted link's place; the peer itself may come in.
    bench.send(.closed(first.dials[0].id, .goodbye(Reason(.notAllowed))), at: 6)
    #expect(bench.accept("/ip4/50.0.0.1/tcp/9", seconds: 7).outputs.closed.map(\.code) == [.evicted])
    #expect(bench.accept("/ip4/51.0.0.1/tcp/9", seconds: 7.5).outputs.closed.map(\.code) == [.tooManyPeers])
    #expect(bench.machine.slots.total == 7)
    let ip = try #require(publicAddress(99).ipAddress)
    #expect(bench.accept("/ip4/\(ip)/tcp/9", seconds: 8).outputs.closed.isEmpty)
  }

  /// One network can't take all handshakes.
  @Test func handshakesOfOneNetwork() {
    var bench = Bench { $0.perIPMaximum = 100 }
    let codes = (1...9).map { bench.accept("/ip4/20.0.0.\($0)/tcp/1").outputs.closed.first?.code }
    #expect(codes == Array(repeating: nil, count: 8) + [.busy])
    #expect(bench.accept("/ip4/20.0.1.1/tcp/1").outputs.closed.isEmpty)
  }

  /// In the machine of an attacked node: newcomers of one network come every second for an hour, and nobody of another leaves.
  @Test func oneNetworkCannotEmptyTheHouse() {
    var bench = Bench {
      $0.acceptsPerSecond = 1_000
      $0.perSubnetMaximum = 1_000
      $0.pingInterval = .seconds(100_000)
    }
    for number in UInt64(1)...50 { _ = bench.enter(number, from: "/ip4/\(20 + number).9.0.1/tcp/9") }
    for number in UInt64(1_000)...1_300 {
      bench.now = bench.now + .seconds(1)
      _ = bench.enter(number, from: "/ip4/99.9.\(number / 200).\(number % 200)/tcp/9")
    }
    let honest = bench.machine.activePeers.filter { $0 <= peer(50) }.count
    #expect(honest == 49)
  }

  /// A second link to one peer, which waits for the decision, is no other peer that is linked already: no slot comes of it.
  @Test func aHeldLinkMakesNoRoom() {
    var bench = Bench {
      $0.totalMaximum = 2
      $0.outboundMinimum = 1
      $0.outboundMaximum = 1
      $0.feelerInterval = nil
    }
    _ = bench.enter(9, from: "/ip4/20.0.0.1/tcp/1")
    bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(0))], .identify(peer(9))))
    _ = bench.enter(9, from: "/ip4/20.0.0.1/tcp/2")
    #expect(bench.machine.counts.held == 1)
    #expect(bench.accept("/ip4/20.0.0.7/tcp/1").outputs.closed.map(\.code) == [.tooManyPeers])
  }
}
