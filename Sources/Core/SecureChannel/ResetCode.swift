/// Why a stream is given up, as the Yamux reset frame tells the other end (libp2p/specs `error-codes`, the same numbers as go-libp2p).
///
/// An open set: a number that this version does not know is kept and shown as it is. Older peers send and expect 0.
public struct ResetCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  /// The number on the wire.
  public let rawValue: UInt32
  /// Makes a code from its number.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// No reason is given: the stream is not wanted, or not any more.
  public static let unspecified = ResetCode(rawValue: 0)
  /// A limit of the sender's was reached: streams, queues or memory. Later it may go well.
  public static let resourceLimit = ResetCode(rawValue: 0x1002)
  /// Too much was asked in too short a time. Later it goes well.
  public static let rateLimited = ResetCode(rawValue: 0x1003)
  /// A rule of the protocol was broken, as by a message that is too long.
  public static let protocolViolation = ResetCode(rawValue: 0x1004)
  /// The protocol is not served to this peer, or not yet.
  public static let gated = ResetCode(rawValue: 0x1008)

  // From 0x2000 on the numbers are the applications' own, these are Starling's for requests.
  /// Whoever answers the request does not want to.
  public static let declined = ResetCode(rawValue: 0x2001)
  /// Whoever answers the request, or handles the stream, has failed.
  public static let handlerFailed = ResetCode(rawValue: 0x2002)
  /// The answer is longer than one of the two ends allows.
  public static let answerTooLarge = ResetCode(rawValue: 0x2003)

  /// A stable lower-case name, fit for a metric's label; `code-n` for an unknown number.
  public var description: String {
    switch self {
    case .unspecified: "unspecified"
    case .resourceLimit: "resource-limit"
    case .rateLimited: "rate-limited"
    case .protocolViolation: "protocol-violation"
    case .gated: "gated"
    case .declined: "declined"
    case .handlerFailed: "handler-failed"
    case .answerTooLarge: "answer-too-large"
    default: "code-\(rawValue)"
    }
  }

  /// Whether the same request may go well a little later.
  public var isTemporary: Bool { self == .resourceLimit || self == .rateLimited }
}

extension ChannelError {
  /// What the other end of a stream is told when the stream fails here.
  var resetCode: ResetCode {
    switch self {
    case .protocolViolation, .messageTooLarge: .protocolViolation
    case .limit: .resourceLimit
    default: .unspecified
    }
  }
}
