/// A link's name, unique in the life of the process and never used twice: also the link's generation.
///
/// Outbound IDs are given by the core before the dial, inbound ones (top bit set) by the shell at accept.
public struct ConnectionID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt64

  /// Makes an ID.
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// The `number`th accepted connection.
  public static func inbound(_ number: UInt64) -> ConnectionID { ConnectionID(rawValue: number | 1 << 63) }

  /// The `number`th dial.
  public static func outbound(_ number: UInt64) -> ConnectionID { ConnectionID(rawValue: number & ~(1 << 63)) }

  /// Whether the remote opened the link.
  public var isInbound: Bool { rawValue >> 63 == 1 }

  /// By number: outbound links first.
  public static func < (left: ConnectionID, right: ConnectionID) -> Bool { left.rawValue < right.rawValue }
  /// `in#4` or `out#7`.
  public var description: String { isInbound ? "in#\(rawValue & ~(1 << 63))" : "out#\(rawValue)" }
}

/// Which side opened a link.
public enum Direction: String, Hashable, Sendable {
  /// The remote dialled.
  case inbound
  /// This side dialled.
  case outbound
}
