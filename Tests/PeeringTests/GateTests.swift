import Identity
import Testing
import Wire

@testable import Peering

/// The one gate of all dials: nothing but an explicit word passes over a drop, a refusal or a wait, and nothing at all over a ban.
@Suite struct GateTests {
  private func item(_ number: UInt64, _ place: Int) -> PeerAddress { PeerAddress(peer: peer(number), address: publicAddress(place)) }

  /// A bench that opens no links by itself, with an active outbound link to peer 9.
  private func linked(_ change: (inout PeeringConfiguration) -> Void = { $0.outboundMinimum = 0 }) -> (Bench, ConnectionID) {
    var bench = Bench(local: 5, change)
    let dial = bench.send(.dial(item(9, 1), keep: false)).dials[0]
    bench.prove(dial, 9)
    return (bench, dial.id)
  }

  @Test func aDropBindsLookUps() {
    var (bench, _) = linked()
    bench.operate(.drop(peer(9)), at: 100)
    #expect(bench.machine.reach(of: peer(9), now: bench.now) == .unreachable)
    #expect(bench.send(.reach(peer(9))).dials.isEmpty)
    bench.run(to: 990)
    #expect(bench.send(.reach(peer(9))).dials.isEmpty)
    bench.run(to: 1_001)
    #expect(bench.send(.reach(peer(9))).dials.map(\.address) == [publicAddress(1)], "a drop lasts for the longest back-off")
    var (again, _) = linked()
    again.operate(.drop(peer(9)))
    #expect(again.operate(.add(item(9, 1), keep: false)).outputs.dials.count == 1, "an operator's word passes")
  }

  /// Whoever is told not to come back does not come back for a look-up either, whatever the link was before.
  @Test(arguments: [Reason.Code.operatorRequest, .banned, .notAllowed, .wrongGenesis])
  func aRefusalBindsLookUps(code: Reason.Code) {
    var (bench, id) = linked()
    bench.send(.closed(id, .goodbye(Reason(code))), at: 100)
    #expect(bench.machine.reach(of: peer(9), now: bench.now) == .unreachable)
    #expect(bench.send(.reach(peer(9)), at: 500).dials.isEmpty)
    #expect(bench.send(.reach(peer(9)), at: 1_001).dials.count == 1)
  }

  /// A link that was not needed any more is no failure.
  @Test(arguments: [Reason.Code.idle, .feeler, .duplicate]) func aLinkThatIsNotNeededIsMadeAgain(code: Reason.Code) {
    var (bench, id) = linked()
    bench.send(.closed(id, .goodbye(Reason(code))), at: 100)
    #expect(bench.send(.reach(peer(9))).dials.count == 1)
  }

  /// Nor is the first loss of a link, which a look-up's own answer may wait for; the second one is.
  @Test func aLinkThatIsLostAgainIsAFailure() {
    var (bench, id) = linked()
    bench.send(.closed(id, .remoteClosed), at: 10)
    let again = bench.send(.reach(peer(9))).dials
    #expect(again.count == 1)
    bench.prove(again[0], 9)
    bench.send(.closed(again[0].id, .remoteClosed))
    #expect(bench.send(.reach(peer(9))).dials.isEmpty)
  }

  /// The holder of a place in the book is tested for those who wait for it, but not after it was dropped.
  @Test func aDropBindsFeelers() throws {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 1
      $0.book.triedBuckets = 1
      $0.book.triedBucketsPerGroup = 1
    }
    func meet(_ number: Int, stays: Bool = false) {
      guard let dial = bench.send(.dial(item(UInt64(100 + number), number), keep: false)).dials.first else { return }
      bench.prove(dial, UInt64(100 + number))
      if !stays { bench.send(.closed(dial.id, .remoteClosed)) }
    }
    meet(1, stays: true)
    for number in 2...40 { meet(number) }
    // What has answered within four hours needs no test.
    bench.run(to: 18_000)
    var number = 41
    while bench.machine.book.pending.isEmpty, number < 160 {
      meet(number)
      number += 1
    }
    var generator = SeededGenerator(seed: 1)
    let holder = try #require(bench.machine.book.holderToTest(using: &generator))
    let (target, address) = (bench.machine.book.target(of: holder), bench.machine.book.endpoint(of: holder).multiaddr)
    bench.operate(.drop(try #require(target.peer)))
    let end = bench.now + .seconds(890)
    let dials = bench.run(to: Double(end.nanoseconds) / 1e9).outputs.dials.map(\.address)
    #expect(!dials.contains(address), "\(dials)")
  }

  /// A peer that had come in by itself leaves no address; what is heard of it soon after it was dropped is not dialled.
  @Test func aDropIsRememberedWithoutAnAddress() {
    var bench = Bench(local: 5) { $0.feelerInterval = nil }
    _ = bench.enter(30, from: "/ip4/90.0.0.1/tcp/50000")
    _ = bench.enter(31, from: "/ip4/91.0.0.1/tcp/50000")
    bench.operate(.drop(peer(30)))
    #expect(bench.send(.learned([item(30, 3)], .exchange(peer(31)))).dials.isEmpty)
    #expect(bench.send(.learned([item(30, 3)], .discovery)).dials.isEmpty && bench.send(.reach(peer(30))).dials.isEmpty)
    #expect(bench.run(to: 890).outputs.dials.isEmpty)
    #expect(!bench.run(to: 1_000).outputs.dials.isEmpty)
  }

  /// The configuration's names are looked up again and again: that makes nobody a must-keep peer whom an operator has dropped.
  @Test func aDropBindsTheConfiguration() {
    var bench = Bench(local: 5) { $0.outboundMinimum = 0 }
    let first = bench.send(.learned([item(9, 1), PeerAddress(peer: nil, address: publicAddress(2))], .bootstrap)).dials
    bench.prove(first[0], 9)
    bench.prove(first[1], 10)
    bench.operate(.drop(peer(9)))
    bench.operate(.drop(peer(10)))
    #expect(bench.send(.learned([item(9, 1), PeerAddress(peer: nil, address: publicAddress(2))], .bootstrap)).dials.isEmpty)
    #expect(bench.run(to: 4_000).outputs.dials.isEmpty)
    #expect(bench.operate(.add(item(9, 1), keep: true)).outputs.dials.count == 1)
    #expect(bench.machine.links(now: bench.now).map(\.role) == [.mustKeep])
  }

  /// A ban that is lifted leaves what else stood against a dial.
  @Test func liftedBansOpenNothingElse() {
    var (bench, _) = linked()
    bench.operate(.drop(peer(9)))
    bench.operate(.ban(.peer(peer(9)), for: nil, "test"))
    bench.operate(.unban(.peer(peer(9))))
    #expect(bench.send(.reach(peer(9))).dials.isEmpty)
    var (other, id) = linked()
    other.send(.closed(id, .goodbye(Reason(.banned))))
    other.operate(.ban(.network(IPNetwork("0.0.0.0/0")!), for: nil, "test"))
    other.operate(.unban(.network(IPNetwork("0.0.0.0/0")!)))
    #expect(other.send(.reach(peer(9))).dials.isEmpty, "the other end's ban still holds")
  }

  /// Where a name leads is judged by the address that was reached.
  @Test func namesLeadNowhereElse() {
    let named = PeerAddress(peer: peer(9), address: address("/dns4/example.org/tcp/4001"))
    for isBanned in [true, false] {
      var bench = Bench(local: 5) {
        if !isBanned { $0.allowed = AllowList(networks: [IPNetwork("30.0.0.0/8")!]) }
      }
      if isBanned { bench.operate(.ban(.network(IPNetwork("21.0.0.0/8")!), for: nil, "test")) }
      let dials = bench.send(.learned([named], .bootstrap)).dials
      #expect(dials.count == 1, "who answers at a name may be allowed")
      guard let dial = dials.first else { continue }
      var good = bench
      let bad = bench.send(.proven(dial.id, peer(9), remote: address("/ip4/21.0.0.1/tcp/4001"), setUpTime: .zero))
      #expect(bad.closed.map(\.code) == [isBanned ? .banned : .notAllowed])
      let fine = good.send(.proven(dial.id, peer(9), remote: address("/ip4/30.0.0.1/tcp/4001"), setUpTime: .zero))
      #expect(fine.admitted == [dial.id])
    }
  }
}
