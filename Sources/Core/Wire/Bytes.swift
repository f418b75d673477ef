extension [UInt8] {
  /// Appends the number's bytes, most significant first.
  @inlinable public mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append(contentsOf: $0) }
  }

  /// Appends the span's bytes.
  @inlinable public mutating func append(contentsOf span: RawSpan) {
    unsafe span.withUnsafeBytes { unsafe append(contentsOf: $0) }
  }

  /// Copies the span's bytes.
  @inlinable public init(_ span: RawSpan) {
    self = unsafe span.withUnsafeBytes { unsafe Array($0) }
  }
}

extension RawSpan {
  /// Whether the bytes equal `other`'s. O(n).
  @inlinable public func elementsEqual(_ other: [UInt8]) -> Bool {
    guard byteCount == other.count else { return false }
    return unsafe other.withUnsafeBytes { unsafe elementsEqual($0.bytes) }
  }

  /// Whether the bytes equal `other`'s, eight at a time. O(n).
  @inlinable public func elementsEqual(_ other: RawSpan) -> Bool {
    guard byteCount == other.byteCount else { return false }
    var offset = 0
    while offset + 8 <= byteCount {
      let left = unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
      let right = unsafe other.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
      if left != right { return false }
      offset += 8
    }
    while offset < byteCount {
      if byte(offset) != other.byte(offset) { return false }
      offset += 1
    }
    return true
  }

  /// The byte at `offset`; traps outside the span.
  @inlinable public func byte(_ offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount, "offset \(offset) outside a span of \(byteCount) bytes")
    return unsafe unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
  }
}

extension Array where Element == UInt8 {
  /// The array's bytes as a span, for decoders.
  public var rawSpan: RawSpan {
    @_lifetime(borrow self) borrowing get { unsafe span.bytes }
  }
}
