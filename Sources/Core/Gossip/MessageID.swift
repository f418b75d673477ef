import Wire

/// A message's name: what peers compare to see whether they have it already. 1 to 56 bytes, kept inline.
///
/// Longer ids cannot come from the functions of ``MessageIdentification`` and are passed over on the wire.
public struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The most bytes that an id may have: a 44-byte PeerID and an 8-byte sequence number fit.
  public static let maximumBytes = 56

  private let words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
  private let count: UInt8

  /// The first `bytes` (20 or 32) bytes of a digest.
  init(_ hash: Hash256, bytes: Int) {
    let digest = hash.words
    if bytes == 20 {
      words = (digest.0, digest.1, digest.2 & 0xffff_ffff_0000_0000, 0, 0, 0, 0)
      count = 20
    } else {
      words = (digest.0, digest.1, digest.2, digest.3, 0, 0, 0)
      count = 32
    }
  }

  /// Reads an id; `nil` when it is empty or longer than ``maximumBytes``.
  public init?(_ span: RawSpan) {
    guard span.byteCount > 0, span.byteCount <= MessageID.maximumBytes else { return nil }
    func word(_ index: Int) -> UInt64 {
      let start = index * 8
      if start + 8 <= span.byteCount { return unsafe span.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self).bigEndian }
      var value: UInt64 = 0
      for offset in start..<start + 8 { value = value << 8 | (offset < span.byteCount ? UInt64(span.byte(offset)) : 0) }
      return value
    }
    words = (word(0), word(1), word(2), word(3), word(4), word(5), word(6))
    count = UInt8(span.byteCount)
  }

  /// Reads an id; `nil` when it is empty or longer than ``maximumBytes``.
  public init?(_ bytes: [UInt8]) { self.init(bytes.rawSpan) }

  /// The id as bytes.
  public var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(MessageID.maximumBytes)
    append(to: &result)
    return result
  }

  /// The number of bytes.
  public var byteCount: Int { Int(count) }

  /// Appends the id's bytes.
  func append(to buffer: inout [UInt8]) {
    var rest = Int(count)
    func add(_ word: UInt64, _ buffer: inout [UInt8]) {
      var shift = 56
      while rest > 0 && shift >= 0 {
        buffer.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
        shift -= 8
        rest -= 1
      }
    }
    add(words.0, &buffer)
    add(words.1, &buffer)
    add(words.2, &buffer)
    add(words.3, &buffer)
    add(words.4, &buffer)
    add(words.5, &buffer)
    add(words.6, &buffer)
  }

  /// Whether both have the same bytes.
  public static func == (left: MessageID, right: MessageID) -> Bool {
    left.words.0 == right.words.0 && left.words.1 == right.words.1 && left.words.2 == right.words.2 && left.words.3 == right.words.3
      && left.words.4 == right.words.4 && left.words.5 == right.words.5 && left.words.6 == right.words.6 && left.count == right.count
  }

  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    if count <= 16 { return }
    hasher.combine(words.2)
    hasher.combine(words.3)
    if count <= 32 { return }
    hasher.combine(words.4)
    hasher.combine(words.5)
    hasher.combine(words.6)
  }

  /// The order of the bytes.
  public static func < (left: MessageID, right: MessageID) -> Bool {
    if left.words.0 != right.words.0 { return left.words.0 < right.words.0 }
    if left.words.1 != right.words.1 { return left.words.1 < right.words.1 }
    if left.words.2 != right.words.2 { return left.words.2 < right.words.2 }
    if left.words.3 != right.words.3 { return left.words.3 < right.words.3 }
    if left.words.4 != right.words.4 { return left.words.4 < right.words.4 }
    if left.words.5 != right.words.5 { return left.words.5 < right.words.5 }
    if left.words.6 != right.words.6 { return left.words.6 < right.words.6 }
    return left.count < right.count
  }

  /// Hexadecimal digits.
  public var description: String { Base16.encode(bytes) }
}
