import Wire

/// How long a request waits for its answer.
public enum RequestTimeout: Hashable, Sendable {
  /// One small message each way that the peer has at hand.
  case quick
  /// A message that takes the peer some work.
  case standard
  /// An answer of megabytes.
  case heavy
  /// Whatever the round trip is.
  case exactly(Duration)
}

/// The classes of timeouts, and how each follows the peer's round trip: the one place where requests get theirs.
///
/// A class leaves the peer a time for its work, and adds so many round trips as the exchange takes at worst, each with the slack of RFC 6298.
/// After each answer that did not come the next request to that peer has twice the time, up to the bound, until one comes (section 5.5 there).
public struct RequestTimeouts: Hashable, Sendable {
  /// One class.
  public struct Span: Hashable, Sendable {
    /// What the peer has for its work; no timeout is shorter.
    public var least: Duration
    /// The timeout while nothing is known of the round trip.
    public var unmeasured: Duration
    /// No timeout is longer.
    public var most: Duration
    /// Round trips that the exchange may take.
    public var roundTrips: Int

    /// Makes a class.
    public init(least: Duration, unmeasured: Duration, most: Duration, roundTrips: Int) {
      self.least = least
      self.unmeasured = unmeasured
      self.most = most
      self.roundTrips = roundTrips
    }
  }

  /// Default 2 s, from 1 to 10 s: a lost segment that TCP sends again, and a busy peer.
  public var quick = Span(least: .seconds(1), unmeasured: .seconds(2), most: .seconds(10), roundTrips: 2)
  /// Default 5 s, from 2.5 to 20 s.
  public var standard = Span(least: .milliseconds(2_500), unmeasured: .seconds(5), most: .seconds(20), roundTrips: 4)
  /// Default 10 s, from there to 60 s: 8 MiB through a window that starts with 256 KiB and doubles take five round trips, and as many more
  /// for what is lost on the way.
  public var heavy = Span(least: .seconds(10), unmeasured: .seconds(10), most: .seconds(60), roundTrips: 10)

  /// The defaults.
  public init() {}

  /// The timeout of the next request to a peer.
  ///
  /// - Parameters:
  ///   - measured: the round trip, from pings.
  ///   - setUpTime: how long the handshake took, which is a round trip at least: as long as none is measured it can only lengthen.
  ///   - lateAnswers: requests in a row that brought no answer in time.
  public func duration(
    _ timeout: RequestTimeout, measured: RoundTripEstimate?, setUpTime: Duration?, lateAnswers: Int
  ) -> Duration {
    let span: Span
    switch timeout {
    case .exactly(let duration): return duration
    case .quick: span = quick
    case .standard: span = standard
    case .heavy: span = heavy
    }
    func adapted(_ estimate: RoundTripEstimate) -> Duration { span.least + estimate.limit * span.roundTrips }
    let rough = setUpTime.map { max(span.unmeasured, adapted(RoundTripEstimate(first: $0))) } ?? span.unmeasured
    let time = measured.map(adapted) ?? rough
    return min(span.most, time * (1 << min(max(0, lateAnswers), 6)))
  }
}
