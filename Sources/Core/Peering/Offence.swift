import Wire

/// What a peer did wrong, with its weight in the score. Losing a link is no offence.
///
/// The score is the sum of the weights, halved every ten minutes. From 9 on the peer is the first to leave a full house and the last to be
/// dialled, at 18 it is disconnected and has no link until the score is below that again, at 45 banned for 12 hours (defaults).
public enum Offence: String, Hashable, Sendable, CaseIterable {
  /// Asked or sent more than the rate limit allows.
  case rateExceeded
  /// Answered too late, or did not send what it had announced: as likely the network's fault as the peer's.
  case late
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
  /// Passed on a block and, asked at once for its parent, did not have it: whoever has validated a block has its parent.
  case missingParent
  /// Sent addresses that nobody could dial.
  case junkAddresses
  /// Sent a block that can never be valid.
  case invalidBlock
  /// Sent a signature that does not verify.
  case invalidSignature
  /// Signed two contradicting statements, or proved false what it had claimed.
  case equivocation

  /// Its name and what it was about.
  func words(_ detail: String) -> String { detail.isEmpty ? rawValue : "\(rawValue) (\(detail))" }

  /// The weight. With the default thresholds: eighteen of weight 1, four of weight 5, two of weight 10 or one of weight 25
  /// within a minute or two lead to a disconnection; 45, nine, five or two to a ban.
  public var weight: Double {
    switch self {
    case .rateExceeded, .late, .uselessAnswer: 1
    case .unsolicited, .unanswered, .invalidTransaction, .missingParent, .junkAddresses: 5
    case .malformedMessage, .oversizedMessage, .protocolViolation: 10
    case .invalidBlock, .invalidSignature: 25
    case .equivocation: 100
    }
  }

  /// The score beyond which the offence adds nothing, or `nil`. What may be the network's fault ranks a peer lower, by
  /// ``PeeringConfiguration/evictFirstScore``; by itself it never disconnects or bans.
  public var scoreMaximum: Double? { self == .late ? 10 : nil }
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

  /// The wall clock went forward by `step` beside the machine's: the score is so much older.
  mutating func move(by step: Duration, now: Instant) { since = min(now, since - step) }

  /// Adds an offence and returns the new score.
  mutating func add(_ offence: Offence, at now: Instant, halfLife: Duration) -> Double {
    let present = self.value(at: now, halfLife: halfLife)
    value = max(present, min(present + offence.weight, offence.scoreMaximum ?? .infinity))
    since = now
    return value
  }
}
