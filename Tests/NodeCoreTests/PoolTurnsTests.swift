import Identity
import Testing
import Wire

@testable import NodeCore

@Suite struct PoolTurnsTests {
  private let peers = (0..<3).map { number in
    try! PeerID(bytes: [0x12, 0x20] + [UInt8](repeating: UInt8(number + 1), count: 32))
  }.sorted()
  private func at(_ seconds: Double) -> Instant { .zero + .seconds(seconds) }

  @Test func newPeersThatHoldAnythingAreAskedOneAfterAnother() {
    var turns = PoolTurns(interval: .seconds(30), pause: .seconds(2), now: at(0))
    #expect(turns.deadline == at(30))
    for peer in peers { turns.joined(peer) }
    turns.left(peers[0])
    #expect(turns.deadline == at(0))
    #expect(turns.next(of: peers, now: at(0), holds: { $0 != peers[1] }) == peers[2])
    turns.joined(peers[1])
    #expect(turns.deadline == at(2))
    #expect(turns.next(of: peers, now: at(1), holds: { _ in true }) == nil)
    #expect(turns.next(of: peers, now: at(2), holds: { _ in true }) == peers[1])
    #expect(turns.deadline == at(32), "all have been asked")
  }

  @Test func afterThatThoseWhoHoldAnythingTakeTurns() {
    var turns = PoolTurns(interval: .seconds(30), pause: .seconds(2), now: at(0))
    let asked = (1...5).map { turns.next(of: peers, now: at(Double(30 * $0)), holds: { $0 != peers[1] }) }
    #expect(asked == [peers[0], peers[2], peers[0], peers[2], peers[0]])
    #expect(turns.next(of: peers, now: at(180), holds: { _ in false }) == nil)
    #expect(turns.deadline == at(210))
  }

  @Test func theTimeForTheNextIsNeverOver() {
    var turns = PoolTurns(interval: .seconds(30), pause: .seconds(2), now: at(0))
    turns.joined(peers[0])
    turns.wait(now: at(29))
    turns.left(peers[0])
    #expect(turns.deadline == at(31))
    #expect(turns.next(of: peers, now: at(31), holds: { _ in true }) == peers[0])
  }

  @Test func whoeverCannotAskYetKeepsNewPeersInMind() {
    var turns = PoolTurns(interval: .seconds(30), pause: .seconds(2), now: at(0))
    turns.joined(peers[0])
    turns.wait(now: at(0))
    #expect(turns.deadline == at(2))
    #expect(turns.next(of: peers, now: at(2), holds: { _ in true }) == peers[0])
  }
}
