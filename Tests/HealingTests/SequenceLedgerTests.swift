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
    #expect(ledger.deliver(3))
    #expect(!ledger.deliver(3))
    #expect(!ledger.deliver(0))
    #expect(!ledger.deliver(.max))
  }

  @Test func remembersABoundedNumberOfRuns() {
    var ledger = SequenceLedger(runsMaximum: 2)
    #expect(ledger.deliver(3))
    #expect(ledger.deliver(5))
    #expect(!ledger.deliver(7), "a third run has no room, so that number stays missing")
    #expect(ledger.deliver(1), "the next in order always has room")
    #expect(ledger.missing() == [2...2, 4...4])
  }

  @Test(arguments: Array(1...10) as [UInt64]) func agreesWithASet(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var ledger = SequenceLedger()
    var model: Set<UInt64> = []
    for _ in 0..<400 {
      let number = UInt64(1 + generator.index(below: 200))
      #expect(ledger.deliver(number) == model.insert(number).inserted, "seed \(seed)")
      ledger.checkInvariants()
      let expected = (1...model.max()!).filter { !model.contains($0) }
      #expect(ledger.missing().flatMap { Array($0) } == expected, "seed \(seed)")
    }
  }
}
