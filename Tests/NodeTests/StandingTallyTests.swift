import Sync
import Testing
import Wire

@testable import Node

@Suite struct StandingTallyTests {
  /// A node that catches up told its state 316 times in four seconds: how far it is is no news each time.
  @Test func targetsAreNoNews() {
    let tally = StandingTally()
    var written = 0
    for number in 0..<400 {
      if tally.note(.syncing(target: UInt64(100 + number)), .zero + .milliseconds(100 * number)) { written += 1 }
    }
    #expect(written == 4, "one at the beginning, then one in ten seconds")
    let changes = [SyncState.synced, .synced, .syncing(target: 1), .searching, .standalone].map { tally.note($0, .zero + .seconds(40)) }
    #expect(changes == [true, false, true, true, true])
    #expect(SyncState.syncing(target: 7).words == "syncing to height 7" && SyncState.synced.words == "synced")
  }
}
