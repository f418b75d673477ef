import Identity
import Testing
import Wire

@testable import Sync

private func time(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
private func home(_ number: UInt32) -> IPNetwork { IPAddress.v4(number << 8 | 1).home }
private func peer(_ number: UInt8) -> PeerID { try! PeerID(bytes: [0x12, 0x20] + [UInt8](repeating: number, count: 32)) }

private func block(_ height: UInt64, bytes: Int = 1) -> FetchedBlock {
  func hash(_ height: UInt64) -> Hash256 {
    var bytes = [UInt8](repeating: 0, count: 24)
    bytes.appendBigEndian(height)
    return Hash256(bytes)!
  }
  return FetchedBlock(bytes: [UInt8](repeating: 0, count: bytes), height: height, hash: hash(height), parent: hash(height - 1))
}

/// Claims are a reason to ask, never a reason to wait.
@Suite struct ClaimTests {
  private static let mad: UInt64 = 1 << 61

  /// Liars that come and go over new links, each from an address of its own, and answer nothing.
  @Test func rotatingLiarsHoldAStartingNodeForTenSecondsInAll() {
    var sync = RangeSync(localHeight: 0, seed: 1, now: .zero)
    var synced: Double?
    for step in 0..<400 {
      let now = time(Double(step) / 10)
      if step % 20 == 0 {
        _ = sync.handle(.peerIntroduced(peer(UInt8(step / 20 + 1)), height: Self.mad, origin: home(UInt32(step))), now: now)
        _ = sync.handle(.peerGone(peer(UInt8(step / 20))), now: now)
      }
      let outputs = sync.handle(.timer, now: now)
      #expect(!outputs.contains { if case .fetch = $0 { true } else { false } }, "no range is asked of who has shown nothing")
      #expect(sync.target == 0)
      if sync.state == .synced && synced == nil { synced = Double(step) / 10 }
      if synced != nil { #expect(sync.state == .synced) }
    }
    #expect(synced == 10)
  }

  /// The same beside an honest peer: the node catches up with it, and is level when it has what that one has shown.
  @Test func amongLiarsAnHonestPeerIsCaughtUpWith() {
    var sync = RangeSync(localHeight: 0, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: Self.mad, origin: home(1)), now: time(0))
    _ = sync.handle(.peerIntroduced(peer(2), height: Self.mad, origin: home(2)), now: time(0))
    #expect(sync.handle(.peerIntroduced(peer(3), height: 40, origin: home(3)), now: time(0)) == [.askHead(peer(3), 40)])
    let outputs = sync.handle(.headShown(peer(3), 40), now: time(0.1))
    #expect(outputs == [.fetch(BatchID(rawValue: 1), peer(3), from: 1, count: 40), .state(.syncing(target: 40))])
    _ = sync.handle(.fetched(BatchID(rawValue: 1), peer(3), (1...40).map { block($0) }), now: time(0.2))
    for height in 1...40 as ClosedRange<UInt64> {
      _ = sync.handle(.localHead(height), now: time(0.3))
      _ = sync.handle(.applied(BatchID(rawValue: 1)), now: time(0.3))
    }
    #expect(sync.state == .searching, "the two may still show what they claim")
    for number in UInt8(1)...2 { _ = sync.handle(.headNotShown(peer(number), .late), now: time(5)) }
    #expect(sync.state == .synced)
  }

  /// A peer that is honestly far ahead is asked to show it, is not doubted, and holds a starting node back until its blocks are there.
  @Test func whoIsFarAheadIsNotDoubted() {
    var sync = RangeSync(localHeight: 50, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 5_000, origin: home(1)), now: time(0))
    let outputs = sync.handle(.headShown(peer(1), 5_000), now: time(0.1))
    #expect(outputs.contains(.state(.syncing(target: 5_000))))
    #expect(outputs.contains(.fetch(BatchID(rawValue: 1), peer(1), from: 51, count: 100)))
    // Its chain has grown meanwhile: it need not show every block.
    _ = sync.handle(.peerHeight(peer(1), 5_007), now: time(1))
    #expect(!sync.handle(.timer, now: time(12)).contains { if case .askHead = $0 { true } else { false } })
    #expect(sync.doubts.isEmpty)
    _ = sync.handle(.timer, now: time(59.9))
    #expect(sync.state == .syncing(target: 5_000))
    #expect(sync.handle(.timer, now: time(60)).contains(.state(.synced)), "a height without blocks does not hold for ever")
  }

  /// A block whose slot is ahead of this node's clock says nothing of the peer that showed it.
  @Test func nobodyIsToBlameForABlockAheadOfTheClock() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: Self.mad, origin: home(1)), now: time(0))
    #expect(sync.handle(.headNotShown(peer(1), .ahead), now: time(5)).isEmpty)
    #expect(sync.doubts.isEmpty)
    #expect(!"\(RangeSync.FetchFailure.ahead)".contains("link"))
  }

  /// Doubt stays with the address when the link is gone, and ends.
  @Test func doubtOutlivesTheLink() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: Self.mad, origin: home(1)), now: time(0))
    #expect(sync.handle(.headNotShown(peer(1), .late), now: time(5)) == [.blameSlow(peer(1)), .state(.synced)])
    _ = sync.handle(.peerGone(peer(1)), now: time(6))
    // Somebody else from there, and an honest peer, both tell of a small gap.
    _ = sync.handle(.peerIntroduced(peer(2), height: 100, origin: home(1)), now: time(7))
    _ = sync.handle(.peerIntroduced(peer(3), height: 100, origin: home(3)), now: time(7))
    for seed in 0..<20 {
      var copy = sync
      copy.generator = SeededGenerator(seed: UInt64(seed))
      _ = copy.handle(.peerHeight(peer(2), 103), now: time(8))
      _ = copy.handle(.peerHeight(peer(3), 103), now: time(8))
      let outputs = copy.handle(.timer, now: time(8.5))
      #expect(outputs == [.askHead(peer(2), 103), .fetch(BatchID(rawValue: 1), peer(3), from: 101, count: 3)])
    }
    // Alone it is believed once it has shown what it tells, however little.
    _ = sync.handle(.peerGone(peer(3)), now: time(9))
    _ = sync.handle(.peerHeight(peer(2), 103), now: time(9))
    #expect(sync.handle(.timer, now: time(9.5)) == [.askHead(peer(2), 103)])
    #expect(sync.handle(.headShown(peer(2), 103), now: time(9.6)) == [])
    #expect(sync.handle(.timer, now: time(10.1)) == [.fetch(BatchID(rawValue: 1), peer(2), from: 101, count: 3)])
    _ = sync.handle(.peerIntroduced(peer(4), height: 100, origin: home(1)), now: time(606))
    #expect(sync.peers[peer(4)]?.isDoubted == false, "doubt ends")
  }

  /// However many addresses liars have, what is kept of them is bounded.
  @Test func doubtIsBounded() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    for number in 0..<1_000 as Range<UInt32> {
      let now = time(Double(number) / 10)
      _ = sync.handle(.peerIntroduced(peer(1), height: Self.mad, origin: home(number)), now: now)
      _ = sync.handle(.headNotShown(peer(1), .malformed), now: now)
      _ = sync.handle(.peerGone(peer(1)), now: now)
    }
    #expect(sync.doubts.count == 256)
    #expect(sync.isDoubted(home(999), time(100)) && !sync.isDoubted(home(0), time(100)), "the oldest went")
  }

  /// Whoever claims to have a range and drips it is passed over, and another is asked for the rest.
  @Test func aShortAnswerWithoutNeedCosts() {
    var sync = RangeSync(localHeight: 0, seed: 1, now: .zero)
    for number in UInt8(1)...2 {
      _ = sync.handle(.peerIntroduced(peer(number), height: 50, origin: home(UInt32(number))), now: time(0))
    }
    var dripper = peer(0)
    for case .fetch(_, let id, 1, 50) in sync.handle(.headShown(peer(1), 50), now: time(0.1)) { dripper = id }
    #expect(dripper == peer(1))
    _ = sync.handle(.headShown(peer(2), 50), now: time(0.1))
    let outputs = sync.handle(.fetched(BatchID(rawValue: 1), dripper, [block(1)]), now: time(1))
    #expect(outputs.contains(.blameUseless(dripper)))
    #expect(outputs.contains(.apply(BatchID(rawValue: 1), dripper, [block(1)])), "what it sent is good as far as it goes")
    #expect(outputs.contains(.fetch(BatchID(rawValue: 2), peer(2), from: 2, count: 49)))
    #expect(sync.peers[dripper]?.isDoubted == true && sync.peers[dripper]?.penalizedUntil == time(31))
  }

  @Test func aShortAnswerWithNeedCostsNothing() {
    // The answer is full.
    var sync = RangeSync(localHeight: 0, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 50), now: time(0))
    _ = sync.handle(.headShown(peer(1), 50), now: time(0.1))
    let big = (1...8).map { block($0, bytes: 1 << 20) }
    let outputs = sync.handle(.fetched(BatchID(rawValue: 1), peer(1), big), now: time(1))
    #expect(outputs == [.fetch(BatchID(rawValue: 2), peer(1), from: 9, count: 42), .apply(BatchID(rawValue: 1), peer(1), big)])
    // The peer had no more when it was asked, and has told of more since.
    sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 103), now: time(0))
    _ = sync.handle(.peerHeight(peer(1), 104), now: time(0.1))
    #expect(
      sync.handle(.fetched(BatchID(rawValue: 1), peer(1), (101...103).map { block($0) }), now: time(0.2)).contains(.blameUseless(peer(1)))
        == false)
  }

  /// A peer on another chain is as right as this node: it costs no score and keeps nobody from work.
  @Test func aChainThatCannotBeFollowedHoldsNobodyBack() {
    var sync = RangeSync(localHeight: 200, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 230), now: time(0))
    var outputs = sync.handle(.headShown(peer(1), 230), now: time(0.1))
    #expect(outputs.contains(.state(.syncing(target: 230))))
    var rounds = 0
    while case .fetch(let id, _, let from, let count)? = outputs.first(where: { if case .fetch = $0 { true } else { false } }) {
      rounds += 1
      _ = sync.handle(.fetched(id, peer(1), (from..<from + UInt64(count)).map { block($0) }), now: time(1))
      outputs = sync.handle(.orphaned(id), now: time(1))
    }
    #expect(rounds == 4, "eight blocks below, 32, 64")
    #expect(outputs == [.state(.synced)])
    #expect(sync.peers[peer(1)]?.isDoubted == false && sync.doubts.isEmpty)
  }
}
