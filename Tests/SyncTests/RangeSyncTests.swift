import Crypto
import Identity
import Testing
import Wire

@testable import Sync

private func peer(_ number: UInt8) -> PeerID {
  let seed = [UInt8](repeating: number, count: 32)
  return NodeKey(seed: seed, crypto: SystemCrypto.shared).peerID
}

/// A chain whose block at height h has a hash made of its branch and height.
private func hash(_ height: UInt64, branch: UInt8 = 0) -> Hash256 {
  var bytes = [UInt8](repeating: branch, count: 24)
  bytes.appendBigEndian(height)
  return Hash256(bytes)!
}

private func block(_ height: UInt64, branch: UInt8 = 0) -> FetchedBlock {
  FetchedBlock(
    bytes: [UInt8(truncatingIfNeeded: height)], height: height, hash: hash(height, branch: branch), parent: hash(height - 1, branch: branch)
  )
}

private func time(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }

@Suite struct RangeSyncTests {
  @Test func aGapOfTenIsOneRequestAndLeavesTheNodeLevel() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    #expect(sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0.1)) == [.state(.synced)])
    #expect(sync.handle(.peerHeight(peer(1), 110), now: time(1)) == [], "what was shown is mostly on its way")
    #expect(sync.nextDeadline == time(1.5))
    let outputs = sync.handle(.timer, now: time(1.5))
    #expect(outputs == [.fetch(BatchID(rawValue: 1), peer(1), from: 101, count: 10)])
    #expect(sync.state == .synced)
  }

  @Test func whoeverHasShownAHeightIsNotAskedForIt() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    for number in UInt8(1)...2 { _ = sync.handle(.peerIntroduced(peer(number), height: 100), now: time(0)) }
    _ = sync.handle(.localHead(101), now: time(9))
    _ = sync.handle(.peerHeight(peer(1), 101), now: time(9))
    #expect(sync.handle(.timer, now: time(32.5)) == [.askStatus(peer(2))])
    #expect(sync.handle(.timer, now: time(38.9)) == [])
    #expect(sync.handle(.timer, now: time(41.5)) == [.askStatus(peer(1))])
  }

  /// A disk that takes nothing: the same block is asked for less and less often, and at once when the disk is well again.
  @Test func whatMakesNoProgressIsFetchedSeldom() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0))
    _ = sync.handle(.peerHeight(peer(1), 101), now: time(0.4))
    var fetches: [Double] = []
    for tick in 10..<1_000 {
      let now = time(Double(tick) / 10)
      for case .fetch(let id, let from, 101, _) in sync.handle(.timer, now: now) {
        fetches.append(Double(tick) / 10)
        _ = sync.handle(.fetched(id, from, [block(101)]), now: now)
        _ = sync.handle(.applied(id), now: now)
      }
    }
    #expect(fetches == [1, 2, 4, 8, 16, 32, 64, 96])
    _ = sync.handle(.localHead(101), now: time(100))
    _ = sync.handle(.peerHeight(peer(1), 102), now: time(100.1))
    #expect(sync.handle(.timer, now: time(100.7)).count == 1)
  }

  /// The chain knows the last block already, while its writing of those before it waits for the disk: what is taken is not asked for again.
  @Test func whatIsTakenBehindAStandstillIsFetchedOnce() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0))
    _ = sync.handle(.peerHeight(peer(1), 102), now: time(0.4))
    #expect(sync.handle(.timer, now: time(1)) == [.fetch(BatchID(rawValue: 1), peer(1), from: 101, count: 2)])
    _ = sync.handle(.fetched(BatchID(rawValue: 1), peer(1), [block(101), block(102)]), now: time(1))
    #expect(
      sync.handle(.peerHeight(peer(1), 103), now: time(1.1)) == [.fetch(BatchID(rawValue: 2), peer(1), from: 103, count: 1)])
    _ = sync.handle(.fetched(BatchID(rawValue: 2), peer(1), [block(103)]), now: time(1.2))
    #expect(sync.handle(.applied(BatchID(rawValue: 2)), now: time(1.2)) == [])
    for _ in 1...2 { #expect(sync.handle(.applied(BatchID(rawValue: 1)), now: time(1.3)) == []) }
    #expect(sync.nextDeadline == time(2.3), "it rests, like anybody whose chain does not grow")
  }

  @Test func aGapOfMoreThanTenIsBulkOnceItIsShown() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0.1))
    #expect(sync.handle(.peerHeight(peer(1), 130), now: time(1)) == [])
    #expect(sync.handle(.timer, now: time(1.5)) == [.askHead(peer(1), 130)])
    #expect(sync.handle(.headShown(peer(1), 130), now: time(1.6)) == [.fetch(BatchID(rawValue: 1), peer(1), from: 101, count: 30)])
    #expect(sync.handle(.fetched(BatchID(rawValue: 1), peer(1), (101...130).map { block($0) }), now: time(1.7)).count == 1)
    #expect(sync.state == .synced, "what the chain has not taken a block of does not make a node stop serving")
    _ = sync.handle(.localHead(101), now: time(1.8))
    #expect(sync.handle(.applied(BatchID(rawValue: 1)), now: time(1.8)) == [.state(.syncing(target: 130))])
    for height in 102...130 as ClosedRange<UInt64> {
      _ = sync.handle(.localHead(height), now: time(1.9))
      _ = sync.handle(.applied(BatchID(rawValue: 1)), now: time(1.9))
    }
    #expect(sync.state == .synced)
  }

  @Test func aLostLinkIsNotAskedAgainInTheSameBreath() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0.1))
    #expect(sync.handle(.peerHeight(peer(1), 105), now: time(1)) == [], "the blocks may be on their way")
    #expect(sync.handle(.timer, now: time(1.5)) == [.fetch(BatchID(rawValue: 1), peer(1), from: 101, count: 5)])
    #expect(sync.handle(.fetchFailed(BatchID(rawValue: 1), peer(1), .linkLost), now: time(1.5)) == [])
    #expect(sync.nextDeadline == time(2.5))
    #expect(sync.handle(.timer, now: time(2.5)) == [.fetch(BatchID(rawValue: 1), peer(1), from: 101, count: 5)])
  }

  @Test func aClaimThatIsNotShownKeepsNobodyFromWork() {
    var sync = RangeSync(localHeight: 0, seed: 1, now: .zero)
    #expect(sync.handle(.peerIntroduced(peer(1), height: 1_000), now: time(0.1)) == [.askHead(peer(1), 1_000)])
    #expect(sync.state == .searching && sync.target == 0 && sync.claimed == 1_000)
    #expect(sync.handle(.headNotShown(peer(1), .declined), now: time(0.2)) == [.blameUseless(peer(1)), .state(.synced)])
    // It says so again, and an honest peer shows a single block: no reason to stop.
    _ = sync.handle(.peerIntroduced(peer(2), height: 1), now: time(1))
    let outputs = sync.handle(.peerHeight(peer(1), 1_000), now: time(40))
    #expect(sync.state == .synced)
    var first: BatchID?
    for case .fetch(let id, peer(2), 1, 1) in outputs { first = id }
    if let first { _ = sync.handle(.fetched(first, peer(2), [block(1)]), now: time(41.1)) }
    #expect(first != nil && sync.state == .synced)
  }

  @Test func nobodyThereMeansStandaloneAfterTwoRounds() {
    var sync = RangeSync(localHeight: 0, seed: 1, now: .zero)
    #expect(sync.handle(.timer, now: time(2)) == [])
    #expect(sync.handle(.timer, now: time(4)) == [.state(.standalone)])
    #expect(sync.nextDeadline == nil)
  }

  @Test func aPeerWhoseLinkIsLostIsNotAskedAgainInTheSameMoment() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0.1))
    _ = sync.handle(.peerHeight(peer(1), 105), now: time(1))
    _ = sync.handle(.timer, now: time(1.5))
    #expect(sync.handle(.fetchFailed(BatchID(rawValue: 1), peer(1), .linkLost), now: time(1.5)) == [])
    #expect(sync.handle(.timer, now: time(2.4)) == [])
    #expect(sync.handle(.timer, now: time(2.5)) == [.fetch(BatchID(rawValue: 1), peer(1), from: 101, count: 5)])
  }

  @Test func allAreAskedWhenTheChainStandsStill() {
    var sync = RangeSync(localHeight: 100, seed: 1, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 100), now: time(0.1))
    _ = sync.handle(.peerIntroduced(peer(2), height: 100), now: time(0.1))
    #expect(sync.handle(.timer, now: time(2)) == [])
    #expect(sync.handle(.stoodStill, now: time(3)) == [.askStatus(peer(1)), .askStatus(peer(2))])
    #expect(sync.handle(.timer, now: time(4)) == [])
  }

  @Test func wrongRepliesCostTheSenderAndAnotherTakesOver() {
    var sync = RangeSync(localHeight: 0, seed: 3, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 5), now: time(0.1))
    _ = sync.handle(.peerIntroduced(peer(2), height: 5), now: time(0.2))
    let bad = [block(2), block(1)]
    let outputs = sync.handle(.fetched(BatchID(rawValue: 1), peer(1), bad), now: time(0.3))
    #expect(outputs.contains(.blameWrong(peer(1))))
    #expect(outputs.contains(.fetch(BatchID(rawValue: 1), peer(2), from: 1, count: 5)))
  }

  @Test func anAnswerFromTheWrongPeerIsIgnored() {
    var sync = RangeSync(localHeight: 0, seed: 3, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 5), now: time(0.1))
    #expect(sync.handle(.fetched(BatchID(rawValue: 1), peer(9), [block(1)]), now: time(0.3)) == [])
  }

  @Test func aForkStepsBackUntilTheBranchesMeet() {
    var sync = RangeSync(localHeight: 50, seed: 3, now: .zero)
    let first = sync.handle(.peerIntroduced(peer(1), height: 55), now: time(0.1))
    #expect(first.contains(.fetch(BatchID(rawValue: 1), peer(1), from: 51, count: 5)))
    _ = sync.handle(.fetched(BatchID(rawValue: 1), peer(1), (51...55).map { block($0, branch: 1) }), now: time(0.2))
    let second = sync.handle(.orphaned(BatchID(rawValue: 1)), now: time(0.3))
    #expect(second.contains(.fetch(BatchID(rawValue: 2), peer(1), from: 43, count: 13)))
    _ = sync.handle(.fetched(BatchID(rawValue: 2), peer(1), (43...55).map { block($0, branch: 1) }), now: time(0.4))
    let third = sync.handle(.orphaned(BatchID(rawValue: 2)), now: time(0.5))
    #expect(third.contains(.fetch(BatchID(rawValue: 3), peer(1), from: 19, count: 37)))
  }

  /// A chain that can't take a block now says nothing against its sender or its branch: the same range is fetched again a little later.
  @Test func aPostponedRangeIsFetchedAgainAfterARest() {
    var sync = RangeSync(localHeight: 50, seed: 3, now: .zero)
    _ = sync.handle(.peerIntroduced(peer(1), height: 55), now: time(0.1))
    _ = sync.handle(.fetched(BatchID(rawValue: 1), peer(1), (51...55).map { block($0, branch: 1) }), now: time(0.2))
    #expect(sync.handle(.postponed(BatchID(rawValue: 1)), now: time(0.3)) == [])
    #expect(sync.handle(.postponed(BatchID(rawValue: 1)), now: time(0.3)) == [], "the batch's other blocks")
    #expect(sync.nextDeadline == time(1.3))
    #expect(sync.handle(.timer, now: time(1.3)).contains(.fetch(BatchID(rawValue: 2), peer(1), from: 51, count: 5)))
  }

  /// Peers that are slow, short, silent, lying or gone at random: every block is still applied in order, once, up to the target.
  @Test(arguments: Array(1...30) as [UInt64]) func catchesUpUnderFaults(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var now = Instant.zero
    var sync = RangeSync(localHeight: 0, seed: seed, now: now)
    let goal: UInt64 = 3_000
    let peers = (1...5).map { peer(UInt8($0)) }
    let liar = peers[4]
    var applied: UInt64 = 0
    var queue: [(at: Instant, input: RangeSync.Input)] = []
    for id in peers { queue.append((now, .peerIntroduced(id, height: goal))) }

    var steps = 0
    while applied < goal && steps < 200_000 {
      steps += 1
      let deadline = sync.nextDeadline
      let due = queue.indices.min { queue[$0].at < queue[$1].at }
      var input = RangeSync.Input.timer
      if let due, deadline == nil || queue[due].at <= deadline! {
        now = max(now, queue[due].at)
        input = queue.remove(at: due).input
      } else if let deadline {
        now = max(now, deadline)
      } else {
        break
      }
      for output in sync.handle(input, now: now) {
        switch output {
        case .fetch(let batch, let from, from: let start, let count):
          let delay = now + .milliseconds(10) + generator.jitter(.milliseconds(200))
          let end = min(goal, start + UInt64(count) - 1)
          switch generator.index(below: from == liar ? 2 : 10) {
          case 0: queue.append((now + .seconds(10), .fetchFailed(batch, from, .late)))
          case 1 where from == liar: queue.append((delay, .fetched(batch, from, [block(start + 1)])))
          case 2 where end > start:
            queue.append((delay, .fetched(batch, from, (start...(start + end) / 2).map { block($0) })))
          default:
            queue.append(
              (delay, start > end ? .fetchFailed(batch, from, .declined) : .fetched(batch, from, (start...end).map { block($0) })))
          }
        case .apply(let batch, _, let blocks):
          for block in blocks {
            #expect(block.height == applied + 1, "seed \(seed)")
            applied = block.height
            queue.append((now, .localHead(applied)))
            queue.append((now, .applied(batch)))
          }
        case .askStatus(let id): queue.append((now, .peerHeight(id, id == liar ? 1_000_000 : goal)))
        case .askHead(let id, let height):
          queue.append((now + .milliseconds(50), height > goal ? .headNotShown(id, .late) : .headShown(id, height)))
        case .blameSlow, .blameUseless, .blameWrong, .state: break
        }
      }
    }
    #expect(applied == goal, "seed \(seed) after \(steps) steps at \(now)")
    #expect(now < time(600), "seed \(seed) took \(now)")
  }
}
