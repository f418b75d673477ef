import Testing
import Wire

@testable import Ledger

@Suite struct SealedSlotsTests {
  /// Turns of one of three producers.
  private func next(_ slot: UInt64) -> UInt64? { slot + 3 - slot % 3 + 1 }

  private func sealed(_ slots: [UInt64]) -> SealedSlots {
    var sealed = SealedSlots()
    for slot in slots { sealed.insert(slot, next: next) }
    return sealed
  }

  @Test func turnsInSequenceAreOneSpan() {
    #expect(sealed([1, 4, 7, 7]).spans == [1...7])
    #expect(sealed([1, 7]).spans == [1...1, 7...7], "a missed turn is free")
    #expect(sealed([1, 7, 4]).spans == [1...7])
    #expect(sealed([10, 1]).spans == [1...1, 10...10])
    #expect(sealed([10, 13, 7]).spans == [7...13])
  }

  /// However the clock jumps, what was sealed counts as sealed, also through the store; the room is bounded.
  @Test(arguments: [1, 2, 3] as [UInt64]) func nothingSealedIsEverFree(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    var sealed = SealedSlots()
    var all: Set<UInt64> = []
    var slot: UInt64 = 1
    for _ in 0..<2_000 {
      slot = generator.index(below: 10) == 0 ? UInt64(generator.index(below: 1 << 30)) * 3 + 1 : next(slot)!
      guard sealed.span(around: slot) == nil else { continue }
      #expect(all.insert(slot).inserted)
      sealed.insert(slot, next: next)
      #expect(sealed.spans.count <= 16 && sealed.encoded.count <= 256)
      sealed = try #require(SealedSlots(encoded: sealed.encoded))
    }
    #expect(all.allSatisfy { sealed.span(around: $0) != nil } && sealed.last == all.max())
    for (left, right) in zip(sealed.spans, sealed.spans.dropFirst()) { #expect(left.upperBound < right.lowerBound) }
  }

  /// The least is given up: a clock that was far ahead must not close what lies between.
  @Test func theSmallestGapGoes() {
    let sealed = sealed((0..<16).map { 1 + $0 * 6 } + [1_000_003, 1_000_009])
    #expect(sealed.spans.count == 16 && sealed.spans[15] == 1_000_009...1_000_009)
    #expect(sealed.span(around: 500_002) == nil)
  }

  @Test func whatWasStoredBeforeClosesAllUpToIt() {
    #expect(SealedSlots(encoded: ChainTable.key(7))?.spans == [0...7])
    #expect(SealedSlots(encoded: [])?.spans == [])
    for bytes in [[1], [UInt8](repeating: 0, count: 17), ChainTable.key(7) + ChainTable.key(6), [UInt8](repeating: 9, count: 16 * 17)] {
      #expect(SealedSlots(encoded: bytes) == nil)
    }
  }
}
