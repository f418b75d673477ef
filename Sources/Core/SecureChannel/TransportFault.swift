/// How a link's transport failed: the kind, which decisions are made on, and the system's text, which is for people.
public struct TransportFault: Hashable, Sendable, CustomStringConvertible {
  /// What the core tells apart.
  public enum Kind: Hashable, Sendable {
    /// Nobody listens at the address.
    case refused
    /// Nothing was heard in time.
    case timedOut
    /// No route leads there.
    case unreachable
    /// Anything else, a reset among them.
    case other
  }

  /// The kind.
  public let kind: Kind
  /// The text.
  public let description: String

  /// Makes a fault.
  public init(_ description: String, kind: Kind = .other) {
    self.kind = kind
    self.description = description
  }

  /// Nobody listens at the address.
  public static let refused = TransportFault("connection refused", kind: .refused)
  /// The other end ended the connection without closing it.
  public static let reset = TransportFault("connection reset by peer")
}
