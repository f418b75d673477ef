import Testing
import Wire

@Suite struct RoundTripTests {
  /// RFC 6298, section 2: the first sample sets SRTT to itself and RTTVAR to half of it; then an eighth and a quarter count.
  @Test func smoothing() {
    var estimate = RoundTripEstimate(first: .milliseconds(100))
    #expect(estimate.smoothed == .milliseconds(100) && estimate.variation == .milliseconds(50) && estimate.limit == .milliseconds(300))
    estimate.add(.milliseconds(180))
    #expect(estimate.smoothed == .milliseconds(110) && estimate.variation == .microseconds(57_500))
    for _ in 0..<100 { estimate.add(.milliseconds(40)) }
    #expect(estimate.smoothed < .milliseconds(41) && estimate.limit >= .milliseconds(50) && estimate.limit < .milliseconds(52))
  }
}
