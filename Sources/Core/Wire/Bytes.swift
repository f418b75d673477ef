extension [UInt8] {
  /// Appends the number's bytes, most significant first.
  @inlinable public mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
    var shift = T.bitWidth - 8
    while shift >= 0 {
      append(UInt8(truncatingIfNeeded: value >> T(truncatingIfNeeded: shift)))
      shift -= 8
    }
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
    return unsafe withUnsafeBytes { unsafe $0.elementsEqual(other) }
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
