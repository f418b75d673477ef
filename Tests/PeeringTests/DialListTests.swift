import Identity
import Testing
import Wire

@testable import Peering

/// What an operator sees of dials: whom, what went wrong last, when next, and what stands in the way.
@Suite struct DialListTests {
  private func item(_ number: UInt64, _ place: Int) -> PeerAddress { PeerAddress(peer: peer(number), address: publicAddress(place)) }
  private func nameless(_ place: Int) -> PeerAddress { PeerAddress(peer: nil, address: publicAddress(place)) }

  /// Configured peers and addresses that have never answered are listed, with what went wrong, and can be asked about by their address.
  @Test func whatHasNeverAnswered() throws {
    var bench = Bench(local: 5)
    #expect(bench.machine.dialList(now: bench.now).isEmpty)
    let dials = bench.send(.learned([item(9, 1), nameless(2)], .bootstrap)).dials + bench.send(.learned([nameless(3)], .seed)).dials
    #expect(dials.count == 3 && bench.machine.dialList(now: bench.now).map(\.state) == [.dialling, .dialling, .dialling])
    bench.send(.dialFailed(dials[0].id, .wrongPeer(peer(10))), at: 1)
    bench.send(.dialFailed(dials[1].id, .refused))
    bench.send(.dialFailed(dials[2].id, .timedOut))
    bench.now = at(1.5)
    let list = bench.machine.dialList(now: bench.now)
    #expect(list.map(\.role) == [.mustKeep, .mustKeep, .seed] && list.map(\.state) == [.waiting, .waiting, .waiting])
    #expect(list.map(\.peer) == [peer(9), nil, nil] && list.map(\.addresses) == [1, 2, 3].map { [publicAddress($0)] })
    #expect(list.map(\.failures) == [1, 1, 1] && list.map { $0.last?.kind } == ["wrong-peer", "refused", "timed-out"])
    #expect(list[0].last?.answered == peer(10) && list.allSatisfy { $0.last?.ago == .milliseconds(500) })
    #expect(list.allSatisfy { ($0.next ?? .zero) > .zero })

    let story = bench.machine.story(at: publicAddress(2), now: bench.now)
    #expect(story.peer == nil && story.address == publicAddress(2))
    #expect(story.present.contains { $0.contains("must-keep") } && story.present.contains { $0.contains("connection refused") })
    #expect(story.steps.map(\.event.kind) == ["dialling", "dial-failed"])
    #expect(bench.machine.story(at: publicAddress(1), now: bench.now).peer == peer(9), "whose address it is")
    #expect(bench.machine.story(at: publicAddress(1).withPeerID(peer(9)), now: bench.now).peer == peer(9))
    let stranger = bench.machine.story(at: publicAddress(50), now: bench.now)
    #expect(stranger.steps.isEmpty && stranger.present == ["Not remembered: nobody is known at this address."])
  }

  @Test func whatStandsInTheWay() {
    var bench = Bench(local: 5)
    bench.send(.listening([publicAddress(1)]))
    bench.send(.learned([nameless(1), item(9, 2)], .bootstrap))
    bench.operate(.ban(.peer(peer(9)), for: nil, "spam"))
    let list = bench.machine.dialList(now: bench.now)
    #expect(list.map(\.state) == [.barred, .barred])
    #expect(list.map(\.detail) == ["it leads to this node itself", "banned by an operator: spam"])
    #expect(bench.machine.story(at: publicAddress(2), now: bench.now).present.contains("Not dialled: banned by an operator: spam."))
  }

  /// Of those that were merely heard of, whom an operator dropped and who failed lately are listed; what works is not.
  @Test func othersThatWait() {
    var bench = Bench(local: 5) {
      $0.outboundMinimum = 2
      $0.feelerInterval = nil
    }
    let dials = bench.send(.learned([item(9, 1), item(10, 2)], .discovery)).dials
    for dial in dials { bench.prove(dial, dial.address == publicAddress(1) ? 9 : 10) }
    #expect(bench.machine.dialList(now: bench.now).isEmpty)
    bench.operate(.drop(peer(9)), at: 100)
    let list = bench.machine.dialList(now: bench.now)
    #expect(list.map(\.peer) == [peer(9)] && list.map(\.role) == [.stored] && list.map(\.detail) == ["dropped by an operator"])
    #expect(list[0].next == .seconds(900))
  }

  /// The cause of having no peer is named: nobody known, what most have in common, what the other ends say.
  @Test func whyAlone() throws {
    var bench = Bench(local: 5) { $0.introductionRequired = true }
    #expect(bench.machine.whyAlone(now: bench.now).contains("bootstrap_peers"))
    let dials = bench.send(.learned([item(9, 1), item(10, 2), item(11, 3)], .bootstrap)).dials
    #expect(bench.machine.whyAlone(now: bench.now) == "3 are being dialled for the first time")
    bench.send(.dialFailed(dials[0].id, .timedOut))
    for (dial, number) in zip(dials.dropFirst(), [10, 11] as [UInt64]) {
      bench.prove(dial, number)
      bench.send(.refusedBy(peer(number), Reason(.wrongGenesis, "this node follows 12ab")))
    }
    #expect(
      bench.machine.whyAlone(now: bench.now)
        == "2 of 3 fail alike: it closed the link: wrong-genesis (it says: \"this node follows 12ab\"), at \(publicAddress(2))")
  }

  /// Many dead addresses that others told of do not hide why the configured peer has no link.
  @Test func whyAloneNamesTheConfiguredPeersTroubleFirst() throws {
    var bench = Bench(local: 5) { $0.introductionRequired = true }
    let dials = bench.send(.learned([item(9, 1)], .bootstrap)).dials + bench.send(.learned([item(10, 2), item(11, 3)], .discovery)).dials
    #expect(dials.count == 3)
    for dial in dials where dial.address != publicAddress(1) { bench.send(.dialFailed(dial.id, .refused)) }
    bench.prove(try #require(dials.first { $0.address == publicAddress(1) }), 9)
    bench.send(.refusedBy(peer(9), Reason(.banned, "spam")))
    #expect(bench.machine.whyAlone(now: bench.now) == "it closed the link: banned (it says: \"spam\"), at \(publicAddress(1))")
  }
}
