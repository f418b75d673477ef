/// Why bytes are not a protobuf message of the expected shape.
public enum ProtobufError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The message ends inside a field.
  case truncated
  /// A number has more than ten bytes.
  case overflow
  /// Field number 0 or above 2^29 - 1, an unknown wire type, or a group that does not end, ends without beginning, or nests too deep.
  case badTag
  /// A string is not UTF-8.
  case notText
  /// A required field is absent, or a value is outside its range. The payload names the field.
  case badField(Int)

  /// What is wrong, in words.
  public var description: String {
    switch self {
    case .truncated: "it ends inside a field"
    case .overflow: "a number has more than ten bytes"
    case .badTag: "a field begins with a number or type that is not allowed"
    case .notText: "a string is not UTF-8"
    case .badField(0): "its length is wrong"
    case .badField(let number): "field \(number) is missing or out of range"
    }
  }
}

/// Reads a protobuf message in place, field by field, without a copy.
///
///     var reader = ProtobufReader(span)
///     while let field = try reader.nextField() {
///       switch field {
///       case .number(1): height = reader.uint64
///       case .bytes(2): hash = reader.bytes
///       case .bytes(3): address = try? Multiaddr(bytes: reader.span)
///       default: break
///       }
///     }
///
/// ``nextField()`` alone reads the wire: it takes a whole field, and throws where there is none. The properties give the value of the
/// field that it named and cannot fail, so nothing that looks at a value can hide a fault of the wire or lose its place. A field that
/// is not looked at, unknown or with another wire type than expected, is passed over, as protobuf demands. Nothing traps on bad input.
public struct ProtobufReader: ~Escapable {
  /// A field's number and how its value is written.
  public enum Field: Hashable, Sendable {
    /// A varint: numbers, truth values and enumerations.
    case number(Int)
    /// Bytes behind their length: strings, bytes and messages.
    case bytes(Int)
    /// Four or eight bytes; not used by any message here.
    case fixed(Int)
    /// A group of fields, an old form of a message; not used by any message here, and not read by every stack.
    case group(Int)

    /// The field's number.
    public var number: Int {
      switch self {
      case .number(let number), .bytes(let number), .fixed(let number), .group(let number): number
      }
    }
  }

  private let source: RawSpan
  private let end: Int
  /// Where the next field begins in the source.
  public private(set) var offset: Int
  /// The present field's value, where it is a number.
  private var value: UInt64 = 0
  /// Where the present field's bytes are in the source.
  public private(set) var range: Range<Int> = 0..<0

  /// Makes a reader over a whole message.
  @_lifetime(copy span)
  public init(_ span: RawSpan) { self.init(span, in: 0..<span.byteCount) }

  /// Makes a reader over the message that is a part of `span`; ``range`` counts from the beginning of `span`.
  @_lifetime(copy span)
  public init(_ span: RawSpan, in range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= span.byteCount, "a message outside its bytes")
    source = span
    offset = range.lowerBound
    end = range.upperBound
  }

  /// Takes the next field, or returns `nil` at the end of the message.
  @_lifetime(self: copy self)
  public mutating func nextField() throws(ProtobufError) -> Field? {
    if offset == end { return nil }
    value = 0
    let (number, wireType) = try tag()
    if wireType == 2 {
      let count = try varint()
      guard count <= UInt64(end - offset) else { throw .truncated }
      range = offset..<offset + Int(count)
      offset = range.upperBound
      return .bytes(number)
    }
    let start = offset
    if wireType == 0 {
      value = try varint()
      range = offset..<offset
      return .number(number)
    }
    try pass(number, wireType, depth: 0)
    range = start..<offset
    return wireType == 3 ? .group(number) : .fixed(number)
  }

  /// The field as a 64-bit number; 0 when it is none.
  public var uint64: UInt64 { value }

  /// The field's lower 32 bits (`uint32`), as protobuf reads a larger number.
  public var uint32: UInt32 { UInt32(truncatingIfNeeded: value) }

  /// The field as an `Int`, the largest when it is larger.
  public var int: Int { Int(clamping: value) }

  /// The field as a two's-complement signed number (`int64`).
  public var int64: Int64 { Int64(bitPattern: value) }

  /// The field as a truth value.
  public var bool: Bool { value != 0 }

  /// The field as a slice of the message; use it before the message goes away. Empty when the field is a number.
  public var span: RawSpan {
    @_lifetime(copy self)
    get { source.extracting(range) }
  }

  /// The field as a copy of its bytes.
  public var bytes: [UInt8] { [UInt8](span) }

  /// The field as text; `nil` when it is not UTF-8.
  public var text: String? { unsafe span.withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) } }

  /// The field as text that has to be UTF-8.
  public func string() throws(ProtobufError) -> String {
    guard let text else { throw .notText }
    return text
  }

  /// The field as text for people, of at most `maximum` bytes: what is beyond is cut off, and what is no UTF-8 is replaced.
  public func text(maximumBytes maximum: Int) -> String {
    let span = span.extracting(first: Swift.min(range.count, maximum + 4))
    return unsafe span.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }.prefix(bytes: maximum)
  }

  @_lifetime(self: copy self)
  private mutating func tag() throws(ProtobufError) -> (number: Int, wireType: UInt8) {
    let tag = try varint()
    guard tag >> 3 != 0, tag >> 3 < 1 << 29 else { throw .badTag }
    return (Int(tag >> 3), UInt8(tag & 7))
  }

  /// Passes over a value that nobody reads. A group is passed over with everything in it, to the depth to which protobuf's decoders go.
  @_lifetime(self: copy self)
  private mutating func pass(_ number: Int, _ wireType: UInt8, depth: Int) throws(ProtobufError) {
    switch wireType {
    case 0: _ = try varint()
    case 1: try advance(8)
    case 2: try advance(try varint())
    case 3:
      guard depth < ProtobufReader.depthMaximum else { throw .badTag }
      while true {
        if offset == end { throw .truncated }
        let (inner, innerType) = try tag()
        if innerType == 4 {
          guard inner == number else { throw .badTag }
          return
        }
        try pass(inner, innerType, depth: depth + 1)
      }
    case 5: try advance(4)
    default: throw .badTag
    }
  }

  @_lifetime(self: copy self)
  private mutating func advance(_ count: UInt64) throws(ProtobufError) {
    guard count <= UInt64(end - offset) else { throw .truncated }
    offset += Int(count)
  }

  @_lifetime(self: copy self)
  private mutating func varint() throws(ProtobufError) -> UInt64 {
    switch Varint.readProtobuf(source, at: offset) {
    case .value(let value, let bytes):
      // The number may reach beyond a message that is a part of the source.
      guard bytes <= end - offset else { throw .truncated }
      offset += bytes
      return value
    case .incomplete: throw .truncated
    case .invalid: throw offset + 10 <= end ? .overflow : .truncated
    }
  }

  private static let depthMaximum = 100
}
