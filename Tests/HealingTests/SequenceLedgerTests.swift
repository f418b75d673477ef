import Healing
import Testing
import Wire

@Suite struct SequenceLedgerTests {
  @Test func namesExactHoles() {
    var ledger = SequenceLedger()
    for number in [1, 2, 5, 6, 9] as [UInt64] { ledger.deliver(number) }
    ledger.noteProduced(12)
    #expect(ledger.missing() == [3...4, 7...8, 10...12])
    #expect(ledger.missing(limit: 2) == [3...4, 7...8])
    #expect(ledger.deliveredThrough == 2)
  }

  @Test func aSecondDeliveryIsNone() {
    var ledger = SequenceLedger()
    #expect(([3, 3, 0, .max] as [UInt64]).map { ledger.deliver($0) } == [true, false, false, false])
  }

  @Test func remembersABoundedNumberOfRuns() {
    var ledger = SequenceLedger(runsMaximum: 2)
    // A third run has no room, so that number stays missing; the next in order always has room.
    #expect(([3, 5, 7, 1] as [UInt64]).map { ledger.deliver($0) } == [true, true, false, true])
    #expect(ledger.missing() == [2...2, 4...4])
  }

  @Test(arguments: Array(1...10) as [UInt64]) func agreesWithASet(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var ledger = SequenceLedger()
    var model: Set<UInt64> = []
    for _ in 0..<400 {
      let number = UInt64(1 + generator.index(below: 200))
      let isNew = ledger.deliver(number)
      #expect(isNew == model.insert(number).inserted, "seed \(seed)")
      ledger.checkInvariants()
      let expected = (1...model.max()!).filter { !model.contains($0) }
      #expect(ledger.missing().flatMap { Array($0) } == expected, "seed \(seed)")
    }
  }
}
