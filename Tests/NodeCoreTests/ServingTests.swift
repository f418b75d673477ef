import HostCore
import Identity
import Ledger
import SecureChannel
import Testing
import Wire

@testable import NodeCore

@Suite struct ServingTests {
  private let peers = (0..<2).map { number in
    try! PeerID(bytes: [0x12, 0x20] + [UInt8](repeating: UInt8(number + 1), count: 32))
  }
  private func at(_ seconds: Double) -> Instant { .zero + .milliseconds(Int64(seconds * 1_000)) }
  private func item(_ number: UInt32) -> Serving.Item {
    .init(stream: StreamRef(connection: .inbound(1), stream: StreamID(rawValue: number)), wish: .transactions([]))
  }
  private func cost(_ bytes: Int) -> ReadCost {
    var cost = ReadCost()
    cost.bytes = bytes
    return cost
  }

  /// One request of a peer is read at a time, in their order; other peers do not wait for it.
  @Test func eachPeerHasALineOfItsOwn() {
    var serving = Serving(.init())
    func next(_ peer: Int, unsent: Int = 0) -> UInt32? {
      serving.next(of: peers[peer], unsent: unsent, now: at(0), isWanted: { $0.stream.rawValue != 3 })?.stream.stream.rawValue
    }
    for number in [1, 3, 5] as [UInt32] { serving.add(item(number), of: peers[0], isWanted: { _ in true }) }
    serving.add(item(7), of: peers[1], isWanted: { _ in true })
    #expect(next(0) == 1 && next(0) == nil && next(1) == 7)
    serving.done(peers[0], cost(1), now: at(0))
    // Its answers have not left yet; the one that nobody waits for any more is passed over.
    #expect(next(0, unsent: 5 << 20) == nil && next(0, unsent: 4 << 20) == 5)
    serving.left(peers[0])
    serving.done(peers[0], cost(1), now: at(0))
    #expect(next(0) == nil && serving.deadline == .distantFuture)
  }

  /// A peer whose reads have cost more than it may waits; others do not, and it is read again without anybody asking.
  @Test func whatWasReadIsPaidForBeforeTheNext() {
    var serving = Serving(.init(bytesPerSecond: 1_000, burstBytes: 10_000, lookUpBytes: 100))
    func next(_ peer: Int, _ now: Instant) -> Bool { serving.next(of: peers[peer], unsent: 0, now: now, isWanted: { _ in true }) != nil }
    for _ in 0..<3 { for peer in peers { serving.add(item(1), of: peer, isWanted: { _ in true }) } }
    #expect(next(0, at(0)) && next(1, at(0)))
    serving.done(peers[0], cost(15_000), now: at(0))
    var small = cost(1_000)
    small.lookUps = 20
    serving.done(peers[1], small, now: at(0))
    #expect(!next(0, at(0)) && next(1, at(0)))
    #expect(serving.deadline > at(4.9) && serving.deadline < at(5.1))
    #expect(serving.popReady(at(4)) == nil)
    #expect(serving.popReady(at(5.1)) == peers[0] && next(0, at(5.1)) && serving.deadline == .distantFuture)
    // A debt outlives the link.
    serving.done(peers[0], cost(20_000), now: at(5.1))
    serving.left(peers[0])
    serving.add(item(1), of: peers[0], isWanted: { _ in true })
    #expect(!next(0, at(6)) && serving.deadline > at(20))
  }

  @Test func whatNobodyWaitsForIsNotKept() {
    var serving = Serving(.init())
    serving.add(item(0), of: peers[0], isWanted: { _ in true })
    #expect(serving.next(of: peers[0], unsent: 0, now: at(0), isWanted: { _ in true }) != nil)
    for number in 1...10_000 as ClosedRange<UInt32> { serving.add(item(number), of: peers[0], isWanted: { _ in false }) }
    #expect(serving.waitingCount(of: peers[0]) <= 65)
  }
}
