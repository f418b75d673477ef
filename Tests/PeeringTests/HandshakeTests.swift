import Identity
import Testing
import Wire

@testable import Peering

@Suite struct HandshakeTests {
  private func reasons(_ outputs: [PeeringMachine.Output]) -> [Reason.Code] { outputs.closed.map(\.code) }

  @Test func anAddressHasFewHandshakesAtATime() {
    var bench = Bench {
      $0.perIPMaximum = 100
      $0.handshakesPerIPMaximum = 2
    }
    let first = bench.accept("/ip4/20.0.0.1/tcp/1")
    #expect(first.outputs.closed.isEmpty)
    #expect(reasons(bench.accept("/ip4/20.0.0.1/tcp/2").outputs).isEmpty)
    #expect(reasons(bench.accept("/ip4/20.0.0.1/tcp/3").outputs) == [.busy])
    #expect(reasons(bench.accept("/ip4/20.0.0.2/tcp/3").outputs).isEmpty)
    // One that is over makes room.
    bench.send(.closed(first.id, .remoteClosed))
    #expect(reasons(bench.accept("/ip4/20.0.0.1/tcp/4").outputs).isEmpty)
  }

  /// Whoever has one address of public IPv6 has the 2⁶⁴ of its /64: they count as one. Inside a site they are machines.
  @Test func aPrefixIsOneAddress() {
    func ends(_ bench: inout Bench, _ network: String, _ count: Int) -> [Reason.Code?] {
      (1...count).map { reasons(bench.accept("/ip6/\(network)::\($0)/tcp/1").outputs).first }
    }
    var bench = Bench { $0.handshakesPerIPMaximum = 2 }
    #expect(ends(&bench, "2600:1:2:3", 3) == [nil, nil, .busy] && ends(&bench, "2600:1:2:4", 1) == [nil])
    #expect(ends(&bench, "fd00:1:2:3", 6) == [nil, nil, nil, nil, nil, nil])
    var links = Bench()
    #expect(ends(&links, "2600:1:2:3", 4) == [nil, nil, nil, .tooManyFromIP] && ends(&links, "2600:1:2:4", 1) == [nil])
    let dials = (1...4).map { PeerAddress(peer: peer(UInt64($0)), address: address("/ip6/2600:1:2:3::\($0)/tcp/4001")) }
    #expect(links.send(.learned(dials, .discovery)).dials.isEmpty, "nor are more of them dialled")
    var lowly = Bench { $0.misdeedsPerIPMaximum = 1 }
    _ = lowly.enter(1, from: "/ip6/2600:1:2:3::1/tcp/1")
    #expect(reasons(lowly.send(.report(peer(1), .invalidBlock))) == [.lowScore])
    #expect(ends(&lowly, "2600:1:2:3", 2) == [.lowScore, .lowScore] && ends(&lowly, "2600:1:2:4", 1) == [nil])
  }

  /// Somebody who opens links and says nothing, from many addresses of one network, loses them to others and never wins any back.
  @Test func theSlowOfTheBiggestNetworkMakeRoom() {
    var bench = Bench {
      $0.handshakesMaximum = 8
      $0.handshakesPerSubnetMaximum = 100
      $0.totalMaximum = 200
    }
    let lorises = (0..<8).map { bench.accept("/ip4/20.0.0.\($0)/tcp/1", seconds: Double($0) / 100).id }
    // At once nobody goes: their handshakes may be on the way.
    #expect(reasons(bench.accept("/ip4/30.0.0.1/tcp/1", seconds: 1).outputs) == [.busy])
    let outputs = bench.accept("/ip4/30.0.0.1/tcp/1", seconds: 3).outputs
    #expect(outputs.closed.map(\.id) == [lorises[0]] && reasons(outputs) == [.busy])
    // Its own network's newcomers push nobody out.
    #expect(reasons(bench.accept("/ip4/20.0.0.99/tcp/1", seconds: 3).outputs) == [.busy])
    #expect(bench.machine.counts.accepted == 8)
  }

  @Test func acceptsHaveARate() {
    var bench = Bench {
      $0.acceptsPerSecond = 2
      $0.acceptBurst = 3
      $0.handshakesMaximum = 1_000
      $0.totalMaximum = 1_000
    }
    let first = (1...5).map { reasons(bench.accept("/ip4/20.\($0).0.1/tcp/1").outputs) }
    #expect(first == [[], [], [], [.busy], [.busy]])
    #expect(reasons(bench.accept("/ip4/20.6.0.1/tcp/1", seconds: 0.5).outputs).isEmpty)
    #expect(reasons(bench.accept("/ip4/20.7.0.1/tcp/1", seconds: 0.5).outputs) == [.busy])
  }

  /// Names are free: an address whose peers were closed for their score, one after another, has to wait.
  @Test func misdeedsCountForTheAddress() {
    var bench = Bench { $0.misdeedsPerIPMaximum = 2 }
    for number in 1...2 as ClosedRange<UInt64> {
      _ = bench.enter(number, from: "/ip4/20.0.0.1/tcp/1")
      #expect(reasons(bench.send(.report(peer(number), .invalidBlock))) == [.lowScore])
    }
    #expect(reasons(bench.accept("/ip4/20.0.0.1/tcp/1").outputs) == [.lowScore])
    #expect(reasons(bench.accept("/ip4/20.0.0.2/tcp/1").outputs).isEmpty)
    // By then the silent one before has run out of time.
    #expect(reasons(bench.accept("/ip4/20.0.0.1/tcp/1", seconds: 61).outputs) == [.handshakeTimeout])
  }

  /// Whoever has a network has all its addresses. Inside a site, where the machines of many are in one, each answers for itself.
  @Test(arguments: [
    ("/ip4/20.0.0.", "/ip4/20.0.1.1", true), ("/ip6/2600:1:2:", "/ip6/2600:1:3::1", true), ("/ip4/10.0.0.", "/ip4/10.0.1.1", false),
  ])
  func misdeedsCountForTheNetwork(network: String, other: String, counts: Bool) {
    var bench = Bench { $0.misdeedsPerSubnetMaximum = 4 }
    func address(_ number: UInt64) -> String { network.hasPrefix("/ip6") ? "\(network)\(number)::1/tcp/1" : "\(network)\(number)/tcp/1" }
    for number in 1...4 as ClosedRange<UInt64> {
      _ = bench.enter(number, from: address(number))
      #expect(reasons(bench.send(.report(peer(number), .invalidBlock))) == [.lowScore])
    }
    #expect(reasons(bench.accept(address(5)).outputs) == (counts ? [.lowScore] : []))
    #expect(reasons(bench.accept("\(other)/tcp/1").outputs).isEmpty)
    // Four of them come back in three minutes, where an address has one a minute.
    #expect(!reasons(bench.accept(address(6), seconds: 61).outputs).contains(.lowScore))
  }

  /// A peer that came in by itself is forgotten when its link ends, but not what it did to end it.
  @Test func aViolationThatEndsTheLinkIsScored() {
    var bench = Bench()
    let (id, _) = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    bench.send(.closed(id, .protocolViolation("yamux")))
    #expect(bench.machine.score(of: peer(1), now: bench.now) == 10)
  }

  /// A flood of refusals drives nothing else out of the history.
  @Test func refusedStrangersDoNotEraseHistory() {
    var bench = Bench {
      $0.historyMaximum = 100
      $0.perIPMaximum = 1
    }
    _ = bench.enter(1, from: "/ip4/20.0.0.1/tcp/1")
    for port in 1...1_000 { _ = bench.accept("/ip4/20.0.0.1/tcp/\(port)") }
    let events = bench.machine.history.events.map(\.event)
    #expect(events.contains { if case .peerActive(_, peer(1), _) = $0 { true } else { false } })
    #expect(events.count { if case .refused = $0 { true } else { false } } == 25)
  }
}
