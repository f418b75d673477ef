import Wire

/// What a peer did wrong, with its weight in the score. Faults of the transport are no offences.
///
/// The score is the sum of the weights, halved every ten minutes. At 20 the peer is disconnected, at 50 banned for 12 hours (defaults).
public enum Offence: String, Hashable, Sendable, CaseIterable {
  /// Asked or sent more than the rate limit allows.
  case rateExceeded
  /// Answered with something that was not asked for, or not at all useful.
  case uselessAnswer
  /// Sent an answer that nobody asked for.
  case unsolicited
  /// Did not answer a request that it had promised to serve.
  case unanswered
  /// Sent a transaction that can never be valid.
  case invalidTransaction
  /// Sent a message that cannot be decoded.
  case malformedMessage
  /// Announced a message longer than allowed.
  case oversizedMessage
  /// Broke a rule of a protocol.
  case protocolViolation
  /// Sent addresses that nobody could dial.
  case junkAddresses
  /// Sent a block that can never be valid.
  case invalidBlock
  /// Sent a signature that does not verify.
  case invalidSignature
  /// Signed two contradicting statements, or proved false what it had claimed.
  case equivocation

  /// The weight. With the default thresholds: about twenty of weight 1, four of weight 5, two of weight 10 or one of weight 25
  /// within a few minutes lead to a disconnection; fifty, ten, five or two to a ban.
  public var weight: Double {
    switch self {
    case .rateExceeded, .uselessAnswer: 1
    case .unsolicited, .unanswered, .invalidTransaction, .junkAddresses: 5
    case .malformedMessage, .oversizedMessage, .protocolViolation: 10
    case .invalidBlock, .invalidSignature: 25
    case .equivocation: 100
    }
  }
}

/// A sum of weights that decays: 0 is spotless.
struct Score: Hashable, Sendable {
  private var value: Double
  private var since: Instant

  init(_ value: Double = 0, at now: Instant = .zero) {
    self.value = value
    since = now
  }

  /// The score at `now`: halved for each whole half-life, and in a straight line between two of them.
  func value(at now: Instant, halfLife: Duration) -> Double {
    guard value > 0, now > since, halfLife > .zero else { return value }
    let elapsed = (now - since).seconds / halfLife.seconds
    guard elapsed < 60 else { return 0 }
    let whole = Int(elapsed)
    return value / Double(1 << whole) * (1 - (elapsed - Double(whole)) / 2)
  }

  /// Adds a weight and returns the new score.
  mutating func add(_ weight: Double, at now: Instant, halfLife: Duration) -> Double {
    value = self.value(at: now, halfLife: halfLife) + weight
    since = now
    return value
  }
}
