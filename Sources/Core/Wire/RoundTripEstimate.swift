/// A smoothed round-trip time and how much it varies, as TCP keeps them (RFC 6298, section 2).
public struct RoundTripEstimate: Hashable, Sendable {
  /// SRTT: each sample counts for an eighth.
  public private(set) var smoothed: Duration
  /// RTTVAR: each deviation counts for a quarter.
  public private(set) var variation: Duration

  /// Begins with a first sample, which may be off by half.
  public init(first sample: Duration) {
    smoothed = sample
    variation = sample / 2
  }

  /// Takes in a further sample.
  public mutating func add(_ sample: Duration) {
    let deviation = sample > smoothed ? sample - smoothed : smoothed - sample
    variation = (variation * 3 + deviation) / 4
    smoothed = (smoothed * 7 + sample) / 8
  }

  /// RTO before its bounds: the time by which an answer that was sent at once has come, but for one in many.
  public var limit: Duration { smoothed + max(variation * 4, .milliseconds(10)) }
}
