/// Unsigned LEB128 numbers: as multiformats reads them (multiformats unsigned-varint), and as protobuf does.
///
/// Both write them alike. Multiformats has one form for each number, of nine bytes at most; protobuf reads padded forms and ten
/// bytes too, so each has a reader of its own.
public enum Varint {
  /// Appends `value` in its shortest form. At most ten bytes; multiformats reads values below 2^63.
  @inlinable public static func append(_ value: UInt64, to buffer: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      buffer.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    buffer.append(UInt8(truncatingIfNeeded: rest))
  }

  /// The number of bytes that `value` takes.
  @inlinable public static func size(_ value: UInt64) -> Int { value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7 }

  /// What a look at the front of a buffer found.
  public enum Result: Hashable, Sendable {
    /// A whole number and the bytes it took.
    case value(UInt64, bytes: Int)
    /// The buffer ends inside the number.
    case incomplete
    /// No further byte makes it a number.
    case invalid(Fault)
  }

  /// Why bytes are not a number.
  public enum Fault: Hashable, Sendable, CustomStringConvertible {
    /// More bytes than a number may have.
    case tooLong
    /// The last byte adds nothing: the number has a shorter form.
    case padded

    /// What is wrong, to follow "a length" or "a number".
    public var description: String {
      switch self {
      case .tooLong: "of more than nine bytes"
      case .padded: "that is not in its shortest form"
      }
    }
  }

  /// Reads one multiformats number byte by byte, so that the verdict does not depend on how the bytes were cut into reads.
  public struct Decoder: Hashable, Sendable {
    private var value: UInt64 = 0
    /// The bytes taken so far.
    public private(set) var count = 0

    /// Makes a decoder at a number's first byte.
    public init() {}

    /// Takes the next byte. After anything but ``Varint/Result/incomplete`` the decoder is used up.
    public mutating func take(_ byte: UInt8) -> Result {
      value |= UInt64(byte & 0x7f) << UInt64(7 * count)
      count += 1
      if byte >= 0x80 { return count == Varint.maximumBytes ? .invalid(.tooLong) : .incomplete }
      return byte == 0 && count > 1 ? .invalid(.padded) : .value(value, bytes: count)
    }
  }

  /// Reads a multiformats number at `offset` of `span`.
  public static func read(_ span: RawSpan, at offset: Int = 0) -> Result {
    var decoder = Decoder()
    var offset = offset
    while offset < span.byteCount {
      let result = decoder.take(span.byte(offset))
      if result != .incomplete { return result }
      offset += 1
    }
    return .incomplete
  }

  /// Reads a protobuf number at `offset` of `span`: up to ten bytes, padded or not; bits above the 64th are dropped, as protobuf's own
  /// decoders do.
  @inlinable public static func readProtobuf(_ span: RawSpan, at offset: Int) -> Result {
    var value: UInt64 = 0
    var index = 0
    while offset + index < span.byteCount {
      let byte = span.byte(offset + index)
      value |= UInt64(byte & 0x7f) << UInt64(7 * index)
      index += 1
      if byte < 0x80 { return .value(value, bytes: index) }
      if index == 10 { return .invalid(.tooLong) }
    }
    return .incomplete
  }

  /// The most bytes that a multiformats number takes.
  public static let maximumBytes = 9
}
