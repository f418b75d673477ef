import Identity
import Testing
import Wire

@testable import Peering

@Suite struct NearnessTests {
  /// Eight links chosen by chance at 100 ms; then feelers at the given set-up times. Which of them stay.
  func kept(_ times: [Int], _ change: (inout PeeringConfiguration) -> Void = { _ in }) throws -> (kept: [Bool], bench: Bench) {
    var bench = Bench(local: 5) {
      $0.feelerInterval = .seconds(120)
      change(&$0)
    }
    let heard = (0..<60).map { PeerAddress(peer: peer(UInt64(100 + $0)), address: publicAddress($0)) }
    let first = bench.send(.learned(heard, .discovery)).dials
    func prove(_ dial: (id: ConnectionID, address: Multiaddr), _ milliseconds: Int) -> [PeeringMachine.Output] {
      let number = 100 + heard.firstIndex { $0.address == dial.address }!
      return bench.send(.proven(dial.id, peer(UInt64(number)), remote: dial.address, setUpTime: .milliseconds(milliseconds)))
    }
    for dial in first { _ = prove(dial, 100) }
    var kept: [Bool] = []
    for time in times {
      let next = bench.nextDial(by: 100_000)
      let dial = try #require(next)
      let outputs = prove(dial, time)
      kept.append(!outputs.closed.contains { $0.code == .feeler })
    }
    return (kept, bench)
  }

  /// A feeler at less than half the usual distance stays, up to four of them; all others are closed as ever.
  @Test func neighboursStay() throws {
    let (all, bench) = try kept([100, 51, 49, 10, 80, 10, 10, 10, 10])
    #expect(all == [false, false, true, true, false, true, true, false, false])
    #expect(bench.machine.counts.active == 12 && bench.machine.counts.outbound == 12)
    #expect(try kept([1, 1, 1]) { $0.neighboursMaximum = 0 }.kept == [false, false, false])
    #expect(try kept([1, 1]) { $0.outboundMaximum = 11 }.kept == [true, true])
  }
}
