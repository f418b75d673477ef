import Wire

/// The name of a stream of messages that peers subscribe to; 1 to 256 bytes of UTF-8.
///
/// Two names are equal when their bytes are: unlike `String`, canonically equivalent spellings stay different topics,
/// as they are on the wire.
public struct Topic: Hashable, Comparable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The most bytes that a name may have.
  public static let maximumBytes = 256

  /// The name.
  public let name: String

  /// Makes a topic of a name chosen by this side; traps when it is empty or longer than ``maximumBytes``. For a name from outside there is
  /// ``init(validating:)``.
  public init(_ name: String) {
    precondition(!name.isEmpty && name.utf8.count <= Topic.maximumBytes, "a topic has 1 to 256 bytes, not \(name.utf8.count)")
    self.name = name
  }

  /// Makes a topic of a name from outside; `nil` when it is empty or longer than ``maximumBytes``.
  public init?(validating name: String) {
    guard !name.isEmpty, name.utf8.count <= Topic.maximumBytes else { return nil }
    self.name = name
  }

  /// Makes a topic of a name; traps as ``init(_:)`` does.
  public init(stringLiteral name: String) { self.init(name) }

  /// Reads a topic from the wire; `nil` when it is empty, too long or not UTF-8.
  init?(_ span: RawSpan) {
    guard span.byteCount > 0, span.byteCount <= Topic.maximumBytes else { return nil }
    guard let text = unsafe span.withUnsafeBytes({ unsafe String(validating: $0, as: UTF8.self) }) else { return nil }
    name = text
  }

  /// Whether both names have the same bytes.
  public static func == (left: Topic, right: Topic) -> Bool {
    unsafe left.name.utf8Span.span.bytes.elementsEqual(right.name.utf8Span.span.bytes)
  }

  /// The order of the names' bytes.
  public static func < (left: Topic, right: Topic) -> Bool { left.name.utf8.lexicographicallyPrecedes(right.name.utf8) }

  /// Hashes the name's bytes.
  public func hash(into hasher: inout Hasher) {
    let bytes = unsafe name.utf8Span.span.bytes
    unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
  }

  /// The name.
  public var description: String { name }
}
