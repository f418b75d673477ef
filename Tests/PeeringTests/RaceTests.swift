import Identity
import Testing
import Wire

@testable import Peering

/// A dial races all addresses of a peer for one slot.
@Suite struct RaceTests {
  /// A machine that has just begun to dial peer 9 at these addresses, and its first attempts.
  func begin(_ addresses: [Multiaddr], _ change: (inout PeeringConfiguration) -> Void = { _ in }) -> (
    bench: Bench, first: [(id: ConnectionID, address: Multiaddr, timeout: Duration)]
  ) {
    var bench = Bench(local: 5, change)
    let outputs = bench.send(.learned(addresses.map { PeerAddress(peer: peer(9), address: $0) }, .discovery))
    return (bench, outputs.timedDials)
  }

  /// Nobody answers: an address joins every 250 ms, has 3 s, and the last of them what is left of the 10 s. All are one dial.
  @Test func blackHoles() {
    let addresses = (1...4).map { publicAddress($0) }
    var (bench, first) = begin(addresses)
    var dials = first.map { (at: at(0), $0.address, $0.timeout) }
    for (time, output) in bench.run(to: 1, answeringPings: false) { dials += [output].timedDials.map { (time, $0.address, $0.timeout) } }
    #expect(dials.map(\.at) == [at(0), at(0.25), at(0.5), at(0.75)])
    #expect(dials.map(\.1) == addresses)
    #expect(dials.map(\.2) == [.seconds(3), .seconds(3), .seconds(3), .milliseconds(9_250)])
    #expect(bench.machine.counts.dialling == 1 && bench.machine.counts.outbound == 1)
    #expect(bench.machine.links(now: bench.now).count == 4)
    #expect(bench.machine.counts.dials[.heard].begun == 4)
  }

  /// A dead address in front of a good one costs a quarter of a second; the loser is cancelled, and why stands in the history.
  @Test func firstProvenWins() {
    var (bench, first) = begin([1, 2, 3].map { publicAddress($0) })
    let second = bench.run(to: 0.25, answeringPings: false).outputs.dials[0]
    bench.now = at(0.3)
    let outputs = bench.prove(second, 9)
    #expect(outputs.cancelled == [first[0].id] && outputs.admitted == [second.id])
    #expect(bench.machine.counts.outbound == 1 && bench.machine.counts.dialling == 0)
    #expect(bench.run(to: 20).outputs.dials.isEmpty, "the third is not needed any more")
    let reason = Reason(.duplicate, "\(publicAddress(2)) was faster")
    #expect(bench.machine.recentEvents.contains { $0.event == .dialCancelled(first[0].id, peer(9), publicAddress(1), reason) })
    #expect(bench.machine.explain(peer(9), now: bench.now).contains { $0.contains("dial of \(publicAddress(1)) given up: duplicate") })
    // Next time the good one goes first, whatever was told first.
    #expect(bench.machine.addresses(of: peer(9)) == [2, 1, 3].map { publicAddress($0) })
    let late = bench.send(.proven(first[0].id, peer(9), remote: first[0].address, setUpTime: .zero))
    #expect(late.retired.map(\.id) == [first[0].id], "the remote may use it for a while")
  }

  /// A failure brings the next address forward, and the pause counts from there.
  @Test func failuresHurryTheNext() {
    var (bench, first) = begin((1...4).map { publicAddress($0) })
    bench.now = at(0.1)
    let second = bench.send(.dialFailed(first[0].id, .refused)).dials
    #expect(second.map(\.address) == [publicAddress(2)])
    let dials = bench.run(to: 0.4, answeringPings: false).filter { ![$0.output].dials.isEmpty }
    #expect(dials.map(\.at) == [at(0.35)])
    bench.now = at(0.4)
    #expect(bench.send(.dialFailed(second[0].id, .timedOut)).dials.map(\.address) == [publicAddress(4)])
    #expect(bench.machine.counts.dialling == 1)
  }

  /// The round fails when its last address has, as one failure; every reason is remembered.
  @Test func oneFailureForTheRound() {
    var (bench, first) = begin([1, 2].map { publicAddress($0) })
    let second = bench.run(to: 0.25, answeringPings: false).outputs.dials[0]
    let early = bench.send(.dialFailed(first[0].id, .refused)).events
    #expect(early == [.dialFailed(first[0].id, peer(9), publicAddress(1), .refused, retryIn: .zero)])
    let late = bench.send(.dialFailed(second.id, .timedOut)).events
    guard case .dialFailed(second.id, _, _, .timedOut, let wait) = late.first else {
      Issue.record("no failure: \(late)")
      return
    }
    #expect(wait >= .seconds(1) && wait <= .seconds(5))
    #expect(bench.machine.counts.outbound == 0)
  }

  /// The peer has spoken: what it said is not asked again at its other addresses.
  @Test func refusalsEndTheRound() {
    var (bench, first) = begin((1...3).map { publicAddress($0) })
    let second = bench.run(to: 0.25, answeringPings: false).outputs.dials[0]
    let outputs = bench.send(.dialFailed(second.id, .goodbye(Reason(.tooManyPeers))))
    #expect(outputs.dials.isEmpty && outputs.cancelled == [first[0].id])
    #expect(bench.machine.counts.outbound == 0)
  }

  /// Another peer answers at one address: the others are still this peer's.
  @Test func impostorsDoNotEndIt() {
    var (bench, first) = begin((1...2).map { publicAddress($0) })
    let outputs = bench.prove((first[0].id, first[0].address), 66)
    #expect(outputs.cancelled == [first[0].id])
    #expect(outputs.dials.map(\.address) == [publicAddress(2)])
    #expect(bench.prove(outputs.dials[0], 9).admitted.count == 1)
    #expect(bench.machine.addresses(of: peer(9)) == [publicAddress(2)])
  }

  /// Nobody gets longer than 10 s in all: an address whose turn comes later is left out.
  @Test func theWholeIsLimited() {
    var (bench, _) = begin((1...8).map { publicAddress($0) }) { $0.raceStagger = .seconds(2) }
    let dials = bench.run(to: 40, answeringPings: false)
    let later = dials.filter { ![$0.output].dials.isEmpty && $0.at <= at(10) }
    #expect(later.map(\.at) == [at(2), at(4), at(6), at(8)])
    let timeouts = later.outputs.timedDials.map(\.timeout)
    #expect(timeouts == [.seconds(3), .seconds(3), .seconds(3), .seconds(2)])
  }

  /// An operator's address goes first, whatever the order; a ban takes its addresses out.
  @Test func whatGoesFirst() {
    var (bench, first) = begin([1, 2].map { publicAddress($0) })
    bench.send(.disconnect(peer(9), Reason(.operatorRequest)))
    bench.send(.ban(.network(IPNetwork(publicAddress(1).ipAddress!, prefixLength: 32)), for: nil, "test"))
    let dials = bench.send(.dial(PeerAddress(peer: peer(9), address: publicAddress(3)), keep: false)).dials
    #expect(dials.map(\.address) == [publicAddress(3)] && first.count == 1)
    #expect(bench.run(to: 1, answeringPings: false).outputs.dials.map(\.address) == [publicAddress(2)])
  }

  /// Near ones first where the other is near, last where not; both families in turn, IPv6 first; a name stands with the public ones.
  @Test(arguments: [
    (["/ip4/20.0.0.7/tcp/1"], ["/ip4/1.1.1.1/tcp/1", "/ip4/2.2.2.2/tcp/1", "/ip6/2600::1/tcp/1"], [2, 0, 1]),
    (["/ip4/20.0.0.7/tcp/1"], ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip4/1.1.1.1/tcp/1"], [2, 0, 1]),
    (["/ip4/192.168.7.7/tcp/1"], ["/ip4/127.0.0.1/tcp/1", "/ip4/1.1.1.1/tcp/1", "/ip4/192.168.1.2/tcp/1"], [2, 1, 0]),
    (["/ip4/20.0.0.7/tcp/1"], ["/ip4/20.0.0.7/tcp/2", "/ip4/127.0.0.1/tcp/2"], [1, 0]),
    (["/ip4/127.0.0.1/tcp/1"], ["/ip4/20.0.0.7/tcp/2", "/ip4/127.0.0.1/tcp/2"], [1, 0]),
    (["/ip4/20.0.0.7/tcp/1"], ["/dns4/a.example/tcp/1", "/ip6/2600::1/tcp/1", "/ip6/2600::2/tcp/1"], [1, 0, 2]),
  ]) func order(own: [String], told: [String], expected: [Int]) {
    var bench = Bench(local: 5) {
      $0.allowsPrivateAddresses = true
      $0.outboundMinimum = 0
    }
    bench.send(.listening(own.map { address($0) }))
    bench.send(.learned(told.map { PeerAddress(peer: peer(9), address: address($0)) }, .local))
    #expect(bench.machine.addresses(of: peer(9)) == expected.map { address(told[$0]) })
  }

  /// Peers with many addresses, random answers, timers and operators: each attempt ends once, and the ledger keeps its bounds.
  @Test(arguments: UInt64(1)...60) func everyAttemptEndsOnce(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var bench = Bench(local: 50, seed: seed) {
      $0.outboundMinimum = 3
      $0.outboundMaximum = 5
      $0.historyMaximum = 1 << 16
    }
    var open: [ConnectionID: (Multiaddr, UInt64)] = [:]
    var inbound: UInt64 = 1_000
    func name(_ number: Int) -> Multiaddr { publicAddress(number % 79, port: 4_000 + number) }
    for _ in 0..<400 {
      let number = UInt64(generator.index(below: 12)) * 10 + 1
      var outputs: [PeeringMachine.Output]
      switch generator.index(below: 10) {
      case 0: outputs = bench.send(.learned([PeerAddress(peer: peer(number), address: name(generator.index(below: 300)))], .discovery))
      case 1: outputs = bench.send(.dial(PeerAddress(peer: peer(number), address: name(generator.index(below: 300))), keep: false))
      case 2:
        inbound += 1
        bench.send(.accepted(.inbound(inbound), remote: name(1)))
        outputs = bench.send(.proven(.inbound(inbound), peer(number), remote: name(1), setUpTime: .zero))
      case 3: outputs = bench.send(.disconnect(peer(number), Reason(.operatorRequest)))
      case 4, 5:
        bench.now += .milliseconds(Int64(generator.index(below: 2_000)))
        outputs = bench.send(.timerFired)
      default:
        let ids = open.keys.sorted()
        guard !ids.isEmpty else { continue }
        let id = ids[generator.index(below: ids.count)]
        let (address, peerNumber) = open[id]!
        switch generator.index(below: 5) {
        case 0: outputs = bench.send(.proven(id, peer(peerNumber), remote: address, setUpTime: .zero))
        case 1: outputs = bench.send(.proven(id, peer(777), remote: address, setUpTime: .zero))
        case 2: outputs = bench.send(.dialFailed(id, .goodbye(Reason(.busy))))
        default: outputs = bench.send(.dialFailed(id, .timedOut))
        }
      }
      for case .dial(let id, let address, let expected, _) in outputs {
        open[id] = (address, (1...130).first { peer($0) == expected } ?? 0)
      }
      open = open.filter { id, _ in bench.machine.links(now: bench.now).contains { $0.connection == id && $0.state == .dialling } }
    }
    bench.send(.stop)
    var begun: Set<ConnectionID> = []
    var ended: [ConnectionID: Int] = [:]
    for (_, event) in bench.machine.recentEvents {
      switch event {
      case .dialling(let id, _, _, _): begun.insert(id)
      case .dialFailed(let id, _, _, _, _), .dialCancelled(let id, _, _, _): ended[id, default: 0] += 1
      case .proven(let id, _, .outbound): ended[id, default: 0] += 1
      default: break
      }
    }
    #expect(begun.count > 20 && begun == Set(ended.keys) && ended.values.allSatisfy { $0 == 1 }, "seed \(seed)")
    #expect(bench.machine.counts.outbound == 0 && bench.machine.links(now: bench.now).isEmpty)
  }
}

extension [PeeringMachine.Output] {
  var timedDials: [(id: ConnectionID, address: Multiaddr, timeout: Duration)] {
    compactMap { if case .dial(let id, let address, _, let timeout) = $0 { (id, address, timeout) } else { nil } }
  }
}
