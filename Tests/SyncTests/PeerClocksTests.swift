import Identity
import Testing
import Wire

@testable import Sync

@Suite struct PeerClocksTests {
  private static let start = WallTime(milliseconds: 1_800_000_000_000)
  private let clock = WallClock(now: .zero, wall: Self.start)

  private func peer(_ number: Int) -> PeerID { try! PeerID(bytes: [0x12, 0x20] + [UInt8](repeating: UInt8(number), count: 32)) }
  private func at(_ seconds: Double) -> Instant { .zero + .milliseconds(Int(seconds * 1_000)) }

  /// Notes peers whose clocks are off by so many seconds, each asked at 10 s and answering 200 ms later.
  private func clocks(_ offsets: [Double], origin: IPNetwork? = nil) -> PeerClocks {
    var clocks = PeerClocks()
    add(offsets, origin, to: &clocks)
    return clocks
  }

  private func add(_ offsets: [Double], _ origin: IPNetwork?, to clocks: inout PeerClocks) {
    for (index, offset) in offsets.enumerated() {
      let shows = clock.time(at: at(10.1)) + .milliseconds(Int(offset * 1_000))
      clocks.note(peer((origin == nil ? 1 : 100) + index), shows: shows, asked: at(10), answered: at(10.2), origin: origin)
    }
  }

  @Test func theMedianCounts() {
    func ahead(_ offsets: [Double]) -> Double? { clocks(offsets).comparison(with: clock)?.ahead.seconds }
    #expect(ahead([]) == nil)
    #expect(ahead([-3_600]) == 3_600)
    #expect(ahead([0.1, -3_600, 0]) == 0)
    #expect(ahead([60, 61, 62, 1_000_000]) == -61)
    // Of two the nearer one: one liar must not make an alarm.
    #expect(ahead([0.5, 3_600]) == -0.5 && ahead([-3_600, 0.5]) == -0.5)
    let comparison = clocks([-3_600, -3_601, -3_600]).comparison(with: clock)
    #expect(comparison?.uncertainty == .milliseconds(100) && comparison?.clocks == 3)
    #expect(comparison?.words == "this node's clock is 3600 s ahead of the median of 3 peers")
    #expect(clocks([2.5]).comparison(with: clock)?.words == "this node's clock is 2.5 s behind that of its only peer")
  }

  /// What a clock is set to counts at once, by what the peers showed before.
  @Test func thePresentClockIsCompared() {
    let clocks = clocks([0, 0, 0])
    let ahead = WallClock(now: at(100), wall: clock.time(at: at(100)) + .seconds(30))
    #expect(clocks.comparison(with: ahead)?.ahead == .seconds(30))
    #expect(clocks.comparison(with: clock)?.ahead == .zero)
  }

  @Test func whatMessagesTakeIsNoDifference() {
    var clocks = PeerClocks()
    clocks.note(peer(1), shows: clock.time(at: at(10)), asked: at(10), answered: at(14), origin: nil)
    let comparison = clocks.comparison(with: clock)
    #expect(comparison?.ahead == .seconds(2) && comparison?.uncertainty == .seconds(2))
    #expect(comparison?.isBeyond(.milliseconds(500)) == false)
    #expect(self.clocks([-0.7]).comparison(with: clock)?.isBeyond(.milliseconds(500)) == true)
  }

  /// Many peers at one public address are one voice.
  @Test func oneAddressIsOneVoice() {
    var clocks = clocks([0, 0, 0])
    add([500, 500, 500, 500, 500, 500, 500], IPNetwork("203.0.113.7/32"), to: &clocks)
    #expect(clocks.comparison(with: clock)?.ahead == .zero && clocks.comparison(with: clock)?.clocks == 4)
    for index in 0..<3 { clocks.left(peer(1 + index)) }
    #expect(clocks.comparison(with: clock)?.ahead == .seconds(-500) && clocks.comparison(with: clock)?.clocks == 1)
  }

  /// A peer may show any time that the wire can carry.
  @Test func extremesAreHeld() throws {
    for milliseconds in [Int64.max, .min, 1 << 53] {
      var clocks = PeerClocks()
      clocks.note(peer(1), shows: WallTime(milliseconds: milliseconds), asked: at(1), answered: at(2), origin: nil)
      let comparison = clocks.comparison(with: clock)
      #expect(comparison?.isBeyond(.seconds(1)) == true && comparison?.words.isEmpty == false)
    }
    var status = Status(network: "n", chainID: "c", genesis: .zero, height: 1, head: .zero, nodeType: "full", time: Self.start)
    #expect(try Status(encoded: status.encoded.rawSpan).time == Self.start)
    for milliseconds in [1 << 53, -1, 0] as [Int64] {
      status.time = WallTime(milliseconds: milliseconds)
      #expect(try Status(encoded: status.encoded.rawSpan).time == nil)
    }
  }
}
