/// Why an HTTP peer is not added or not active any more, or why something that one told is of no use.
public struct WebFault: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind.
  public enum Code: String, Hashable, Sendable, CaseIterable {
    /// No answer in time.
    case silent
    /// No connection, or it broke.
    case unreachable
    /// An answer with another status than 200.
    case status
    /// An answer that cannot be read, or is too long.
    case unreadable
    /// It is this node itself.
    case own
    /// As many are known, or wait to be verified, as may be.
    case full
    /// A told URL or address that cannot be read or may not be called, as a private one on a public network.
    case unusable
    /// This node had too much else to do.
    case busy
  }

  /// The kind.
  public let code: Code
  /// What exactly, for people.
  public let detail: String
  /// The detail.
  public var description: String { detail }

  /// Makes a fault.
  public init(_ code: Code, _ detail: String) {
    self.code = code
    self.detail = detail
  }
}
