/// The name of a stream protocol, such as `/ipfs/ping/1.0.0`.
public struct ProtocolID: Hashable, Sendable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The name as multistream-select writes it, without the newline. At most 200 bytes are accepted from the wire.
  public let name: String

  /// Makes a protocol name.
  public init(_ name: String) { self.name = name }

  /// Makes a protocol name of a literal.
  public init(stringLiteral name: String) { self.name = name }

  /// The order of the names.
  public static func < (left: ProtocolID, right: ProtocolID) -> Bool { left.name < right.name }

  /// The name.
  public var description: String { name }
}

/// How the bytes of a stream become messages.
public enum Framing: Hashable, Sendable {
  /// Bytes as they come; the reader grants the window (``Connection/consumed(_:on:)``).
  case raw
  /// A uvarint length before each message; a larger length resets the stream before anything is allocated.
  case lengthPrefixed(maximumBytes: Int)
  /// Messages of a fixed size without a length, as ping's 32 bytes.
  case fixed(bytes: Int)
}

/// The protocols that a host answers, with their framing. Shared by all its connections; a value, replaced as a whole.
public struct ProtocolTable: Sendable {
  /// What a protocol's streams look like and who serves them.
  public struct Entry: Hashable, Sendable {
    /// How its bytes become messages.
    public var framing: Framing
    /// Whether the application (the async API) reads the stream rather than the core.
    public var isApplication: Bool
    /// Whether the link itself lives by the protocol, as by ping: its streams have room in reserve on a link that has as many streams as it
    /// may have (``Connection/Configuration/vitalStreamsReserve``).
    public var isVital: Bool

    /// The most bytes of a message on a stream that the remote has opened, where those are requests and shorter than the answers that
    /// ``framing`` allows; `nil` for as many.
    public var inboundMaximumBytes: Int?

    /// Makes an entry.
    public init(framing: Framing, inboundMaximumBytes: Int? = nil, isApplication: Bool = false, isVital: Bool = false) {
      self.framing = framing
      self.inboundMaximumBytes = inboundMaximumBytes
      self.isApplication = isApplication
      self.isVital = isVital
    }
  }

  /// The entries by protocol.
  public var entries: [ProtocolID: Entry]

  /// Makes a table.
  public init(_ entries: [ProtocolID: Entry] = [:]) { self.entries = entries }

  /// The entry of a protocol that this host speaks, or `nil`.
  public subscript(_ id: ProtocolID) -> Entry? {
    get { entries[id] }
    set { entries[id] = newValue }
  }

  /// All names in order, as identify lists them.
  public var names: [ProtocolID] { entries.keys.sorted() }
}
