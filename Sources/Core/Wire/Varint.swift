/// Unsigned LEB128 numbers as multiformats and protobuf write them (multiformats unsigned-varint).
public enum Varint {
  /// The most bytes that a 64-bit number takes.
  public static let maximumBytes = 10

  /// The number of bytes that `value` takes.
  @inlinable public static func size(_ value: UInt64) -> Int { value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7 }

  /// Appends `value`.
  @inlinable public static func append(_ value: UInt64, to buffer: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      buffer.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    buffer.append(UInt8(truncatingIfNeeded: rest))
  }

  /// What a look at the front of a buffer found.
  public enum Result: Hashable, Sendable {
    /// A whole number and the bytes it took.
    case value(UInt64, bytes: Int)
    /// The buffer ends inside the number.
    case incomplete
    /// More than ten bytes, or more than 64 bits.
    case overflow
  }

  /// Reads a number at `offset` of `span`. Padded forms (`80 00`) are accepted, as protobuf does.
  @inlinable public static func read(_ span: RawSpan, at offset: Int = 0) -> Result {
    var value: UInt64 = 0
    var index = 0
    while offset + index < span.byteCount {
      if index == maximumBytes { return .overflow }
      let byte = span.byte(offset + index)
      if index == 9 && byte > 1 { return .overflow }
      value |= UInt64(byte & 0x7f) << UInt64(7 * index)
      index += 1
      if byte < 0x80 { return .value(value, bytes: index) }
    }
    return index >= maximumBytes ? .overflow : .incomplete
  }
}
