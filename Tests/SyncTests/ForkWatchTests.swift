import Identity
import Testing
import Wire

@testable import Sync

private func time(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
private func peer(_ number: UInt8) -> PeerID { try! PeerID(bytes: [0x12, 0x20] + [UInt8](repeating: number, count: 32)) }

/// A block of a chain: `own` below and above, `other` where somebody else's is another one.
private func point(_ height: UInt64, branch: UInt8) -> ChainPoint {
  var bytes = [UInt8](repeating: branch, count: 24)
  bytes.appendBigEndian(height)
  return ChainPoint(height: height, hash: Hash256(bytes)!)
}

private let (own, other): (UInt8, UInt8) = (0, 1)

@Suite struct ForkWatchTests {
  private static func view(floor: UInt64 = 200, isCaughtUp: Bool = true) -> ForkWatch.View {
    ForkWatch.View(floor: floor, depth: 60, isCaughtUp: isCaughtUp) { $0.bytes[0] == own }
  }

  private static func isRecent(_ point: ChainPoint) -> ForkWatch.Answer { .sealed(point, isRecent: true) }

  /// Head and final height, twice, twenty seconds apart: then it is said, once, and taken back when the peer is gone.
  @Test func aDeepSplitIsTold() throws {
    var watch = ForkWatch()
    #expect(watch.handle(.heard(peer(1), point(260, branch: other)), view: Self.view(), now: time(0)) == [])
    #expect(watch.nextDeadline == time(5))
    #expect(watch.handle(.timer, view: Self.view(), now: time(5)) == [.askBlock(peer(1), 260)])
    #expect(watch.nextDeadline == time(25) || watch.nextDeadline == nil)
    #expect(
      watch.handle(.answered(peer(1), Self.isRecent(point(260, branch: other))), view: Self.view(), now: time(5.1)) == [
        .askBlock(peer(1), 200)
      ])
    #expect(
      watch.handle(.answered(peer(1), .sealed(point(200, branch: other), isRecent: false)), view: Self.view(), now: time(5.2)) == [
        .askStatus(peer(1))
      ])
    #expect(watch.fork == nil, "a reorganisation may be under way")
    #expect(watch.handle(.heard(peer(1), point(280, branch: other)), view: Self.view(), now: time(5.3)) == [])
    #expect(watch.handle(.timer, view: Self.view(floor: 220), now: time(25.2)) == [.askBlock(peer(1), 280)])
    #expect(
      watch.handle(.answered(peer(1), Self.isRecent(point(280, branch: other))), view: Self.view(floor: 220), now: time(25.3)) == [
        .askBlock(peer(1), 220)
      ])
    let fork = Fork(head: point(280, branch: other), base: point(220, branch: other), peers: 1)
    #expect(
      watch.handle(.answered(peer(1), .sealed(point(220, branch: other), isRecent: false)), view: Self.view(floor: 220), now: time(25.4))
        == [.askStatus(peer(1)), .forked(fork)])
    #expect(watch.fork == fork)
    // It has lost, and follows this node's chain now.
    #expect(watch.handle(.heard(peer(1), point(290, branch: own)), view: Self.view(), now: time(40)) == [.forkEnded])
    #expect(watch.fork == nil && watch.nextDeadline == nil)
  }

  @Test func itEndsWithThePeer() {
    var watch = ForkWatch()
    Self.show(&watch, peer(1), from: 0)
    Self.show(&watch, peer(2), from: 1)
    #expect(watch.fork?.peers == 2)
    #expect(watch.handle(.peerGone(peer(2)), view: Self.view(), now: time(40)) == [])
    #expect(watch.handle(.peerGone(peer(1)), view: Self.view(), now: time(41)) == [.forkEnded])
  }

  /// Two sightings.
  private static func show(_ watch: inout ForkWatch, _ peer: PeerID, from: Double) {
    let head = point(260, branch: other)
    _ = watch.handle(.heard(peer, head), view: view(), now: time(from))
    for at in [from + 5, from + 25] {
      _ = watch.handle(.timer, view: view(), now: time(at))
      _ = watch.handle(.answered(peer, isRecent(head)), view: view(), now: time(at))
      _ = watch.handle(.answered(peer, isRecent(point(200, branch: other))), view: view(), now: time(at))
    }
  }

  /// A peer that is a block ahead, or on a branch that can still come together with ours, is nothing to tell of.
  @Test func whatHealsIsNotTold() {
    // The block arrives in the ordinary way.
    var watch = ForkWatch()
    var known: UInt8 = own
    func view() -> ForkWatch.View { ForkWatch.View(floor: 200, depth: 60, isCaughtUp: true) { $0.bytes[0] <= known } }
    _ = watch.handle(.heard(peer(1), point(261, branch: other)), view: view(), now: time(0))
    known = other
    #expect(watch.handle(.timer, view: view(), now: time(5)) == [] && watch.nextDeadline == nil)
    // Its chain has our final block.
    watch = ForkWatch()
    for round in 0..<5 {
      let now = time(Double(round) * 20 + 5)
      _ = watch.handle(.heard(peer(1), point(261, branch: other)), view: Self.view(), now: time(0))
      _ = watch.handle(.timer, view: Self.view(), now: now)
      _ = watch.handle(.answered(peer(1), Self.isRecent(point(261, branch: other))), view: Self.view(), now: now)
      _ = watch.handle(.answered(peer(1), .sealed(point(200, branch: own), isRecent: false)), view: Self.view(), now: now)
      #expect(watch.fork == nil)
    }
    // Nothing is asked while the node is behind, nor before anything is final.
    watch = ForkWatch()
    _ = watch.handle(.heard(peer(1), point(261, branch: other)), view: Self.view(), now: time(0))
    #expect(watch.handle(.timer, view: Self.view(isCaughtUp: false), now: time(5)) == [] && watch.nextDeadline == time(25))
    #expect(watch.handle(.timer, view: Self.view(floor: 0), now: time(25)) == [])
  }

  /// A peer that was cut off and made a few blocks of its own will follow this node once it hears of its chain, however far behind it is.
  @Test func whoIsBehindCanStillFollow() {
    for (height, base) in [(UInt64(199), UInt64(139)), (61, 1), (60, nil), (1, nil)] as [(UInt64, UInt64?)] {
      var watch = ForkWatch()
      for round in 0..<4 {
        let now = time(Double(round) * 20 + 5)
        _ = watch.handle(.heard(peer(1), point(height, branch: other)), view: Self.view(), now: time(0))
        _ = watch.handle(.timer, view: Self.view(), now: now)
        let asked = watch.handle(.answered(peer(1), Self.isRecent(point(height, branch: other))), view: Self.view(), now: now)
        guard let base else {
          #expect(asked == [.askStatus(peer(1))], "nothing is final at \(height)")
          continue
        }
        #expect(asked == [.askBlock(peer(1), base)])
        _ = watch.handle(.answered(peer(1), .sealed(point(base, branch: own), isRecent: false)), view: Self.view(), now: now)
        #expect(watch.fork == nil)
      }
    }
  }

  /// What a liar has: hashes out of the air, old blocks that lost their race, and time.
  @Test func aLiarCannotMakeANodeCryFork() {
    var watch = ForkWatch()
    for round in 0..<50 {
      let now = time(Double(round) * 20 + 5)
      _ = watch.handle(.heard(peer(1), point(1 << 61, branch: other)), view: Self.view(), now: time(0))
      for case .askBlock in watch.handle(.timer, view: Self.view(), now: now) {
        let old = ForkWatch.Answer.sealed(point(190, branch: other), isRecent: false)
        #expect(watch.handle(.answered(peer(1), round % 2 == 0 ? .nothing : old), view: Self.view(), now: now) == [.askStatus(peer(1))])
      }
    }
    #expect(watch.fork == nil)
  }

  /// A witness that falls silent counts no more after three questions.
  @Test func silenceEndsTheEvidence() {
    var watch = ForkWatch()
    Self.show(&watch, peer(1), from: 0)
    #expect(watch.fork != nil)
    var ended: [Int] = []
    for round in 1...3 {
      let now = time(25 + Double(round) * 20)
      _ = watch.handle(.timer, view: Self.view(), now: now)
      if watch.handle(.answered(peer(1), .nothing), view: Self.view(), now: now).contains(.forkEnded) { ended.append(round) }
    }
    #expect(ended == [3])
  }

  /// Two are asked at a time, and eight witnesses are enough.
  @Test func askingIsBounded() {
    var watch = ForkWatch()
    for number in UInt8(1)...20 { _ = watch.handle(.heard(peer(number), point(260, branch: other)), view: Self.view(), now: time(0)) }
    var asked: Set<PeerID> = []
    for second in 5..<200 {
      var outputs = watch.handle(.timer, view: Self.view(), now: time(Double(second)))
      var open = 0
      while let index = outputs.firstIndex(where: { if case .askBlock = $0 { true } else { false } }) {
        guard case .askBlock(let id, let height) = outputs.remove(at: index) else { break }
        open = max(open, 1 + outputs.count { if case .askBlock = $0 { true } else { false } })
        if watch.fork?.peers == 8 { #expect(asked.contains(id), "nobody new is asked") }
        asked.insert(id)
        outputs += watch.handle(.answered(id, Self.isRecent(point(height, branch: other))), view: Self.view(), now: time(Double(second)))
      }
      #expect(open <= 2)
    }
    #expect(watch.fork?.peers == 8)
  }

  /// Who passes strange blocks on is asked for its status, seldom.
  @Test func strangeBlocksAreAReasonToAsk() {
    var watch = ForkWatch()
    var asked = 0
    for tick in 0..<600 { asked += watch.handle(.strange(peer(1)), view: Self.view(), now: time(Double(tick) / 10)).count }
    #expect(asked == 3)
    #expect(watch.handle(.strange(peer(2)), view: Self.view(isCaughtUp: false), now: time(60)) == [])
  }
}
