/// Why bytes are not a protobuf message of the expected shape.
public enum ProtobufError: Error, Hashable, Sendable {
  /// The message ends inside a field.
  case truncated
  /// A number has more than 64 bits.
  case overflow
  /// Field number 0, or a wire type that is unknown or a group.
  case badTag
  /// The field was read as another type than the one on the wire.
  case wrongType
  /// A string is not UTF-8.
  case notText
  /// A required field is absent, or a value is outside its range. The payload names the field.
  case badField(Int)
}

/// Reads a protobuf message in place, field by field, without a copy.
///
///     var reader = ProtobufReader(span)
///     while let field = try reader.nextField() {
///       switch field {
///       case 1: height = try reader.uint64()
///       case 2: hash = try reader.bytes()
///       default: try reader.skip()
///       }
///     }
///
/// After each field number exactly one of the reading methods is called. Nothing traps on bad input.
public struct ProtobufReader: ~Escapable {
  private let source: RawSpan
  private var offset = 0
  private var wireType: UInt8 = 0

  /// Makes a reader over a whole message.
  @_lifetime(copy span)
  public init(_ span: RawSpan) { source = span }

  /// The next field's number, or `nil` at the end of the message.
  @_lifetime(self: copy self)
  public mutating func nextField() throws(ProtobufError) -> Int? {
    if offset == source.byteCount { return nil }
    let tag = try varint()
    guard tag >> 3 != 0, tag >> 3 < 1 << 29 else { throw .badTag }
    wireType = UInt8(tag & 7)
    return Int(tag >> 3)
  }

  /// The field as a 64-bit number.
  @_lifetime(self: copy self)
  public mutating func uint64() throws(ProtobufError) -> UInt64 {
    guard wireType == 0 else { throw .wrongType }
    return try varint()
  }

  /// The field as a 32-bit number; `overflow` when it is larger.
  @_lifetime(self: copy self)
  public mutating func uint32() throws(ProtobufError) -> UInt32 {
    guard let value = UInt32(exactly: try uint64()) else { throw .overflow }
    return value
  }

  /// The field as a non-negative `Int`; `overflow` when it is larger.
  @_lifetime(self: copy self)
  public mutating func int() throws(ProtobufError) -> Int {
    guard let value = Int(exactly: try uint64()) else { throw .overflow }
    return value
  }

  /// The field as a two's-complement signed number (`int64`).
  @_lifetime(self: copy self)
  public mutating func int64() throws(ProtobufError) -> Int64 { Int64(bitPattern: try uint64()) }

  /// The field as a truth value.
  @_lifetime(self: copy self)
  public mutating func bool() throws(ProtobufError) -> Bool { try uint64() != 0 }

  /// The field as a slice of the message; use it before the message goes away.
  @_lifetime(copy self)
  public mutating func span() throws(ProtobufError) -> RawSpan {
    guard wireType == 2 else { throw .wrongType }
    let count = try varint()
    guard count <= UInt64(source.byteCount - offset) else { throw .truncated }
    let slice = source.extracting(offset..<offset + Int(count))
    offset += Int(count)
    return slice
  }

  /// The field as a copy of its bytes.
  @_lifetime(self: copy self)
  public mutating func bytes() throws(ProtobufError) -> [UInt8] { [UInt8](try span()) }

  /// The field as text.
  @_lifetime(self: copy self)
  public mutating func string() throws(ProtobufError) -> String {
    let slice = try span()
    guard let text = unsafe slice.withUnsafeBytes({ unsafe String(validating: $0, as: UTF8.self) }) else { throw .notText }
    return text
  }

  /// Passes over the field.
  @_lifetime(self: copy self)
  public mutating func skip() throws(ProtobufError) {
    switch wireType {
    case 0: _ = try varint()
    case 1: try advance(8)
    case 2: _ = try span()
    case 5: try advance(4)
    default: throw .badTag
    }
  }

  @_lifetime(self: copy self)
  private mutating func advance(_ count: Int) throws(ProtobufError) {
    guard source.byteCount - offset >= count else { throw .truncated }
    offset += count
  }

  @_lifetime(self: copy self)
  private mutating func varint() throws(ProtobufError) -> UInt64 {
    switch Varint.read(source, at: offset) {
    case .value(let value, let bytes):
      offset += bytes
      return value
    case .incomplete: throw .truncated
    case .overflow: throw .overflow
    }
  }
}

/// Writes a protobuf message into a byte array, in the order of the calls.
///
/// Plain calls write a field even when it is zero or empty, as libp2p's key messages need;
/// leave the call out to leave the field out.
public struct ProtobufWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8] = []

  /// Makes an empty writer with room for `capacity` bytes.
  public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// Writes a number.
  public mutating func uint64(_ field: Int, _ value: UInt64) {
    Varint.append(UInt64(field) << 3, to: &bytes)
    Varint.append(value, to: &bytes)
  }

  /// Writes a non-negative number.
  public mutating func int(_ field: Int, _ value: Int) { uint64(field, UInt64(value)) }

  /// Writes a signed number in two's complement (`int64`).
  public mutating func int64(_ field: Int, _ value: Int64) { uint64(field, UInt64(bitPattern: value)) }

  /// Writes a truth value.
  public mutating func bool(_ field: Int, _ value: Bool) { uint64(field, value ? 1 : 0) }

  /// Writes bytes.
  public mutating func data(_ field: Int, _ value: some Collection<UInt8>) {
    Varint.append(UInt64(field) << 3 | 2, to: &bytes)
    Varint.append(UInt64(value.count), to: &bytes)
    bytes.append(contentsOf: value)
  }

  /// Writes text.
  public mutating func string(_ field: Int, _ value: String) { data(field, value.utf8) }

  /// Writes a digest.
  public mutating func hash(_ field: Int, _ value: Hash256) {
    Varint.append(UInt64(field) << 3 | 2, to: &bytes)
    bytes.append(32)
    value.append(to: &bytes)
  }

  /// Writes a nested message.
  public mutating func message(_ field: Int, _ build: (inout ProtobufWriter) -> Void) {
    var nested = ProtobufWriter()
    build(&nested)
    data(field, nested.bytes)
  }
}
