/// A 32-byte digest, kept as four words so that hashing and comparing it cost next to nothing.
public struct Hash256: Hashable, Comparable, Sendable, CustomStringConvertible {
  private let a: UInt64
  private let b: UInt64
  private let c: UInt64
  private let d: UInt64

  /// 32 zero bytes.
  public static let zero = Hash256(a: 0, b: 0, c: 0, d: 0)

  private init(a: UInt64, b: UInt64, c: UInt64, d: UInt64) {
    self.a = a
    self.b = b
    self.c = c
    self.d = d
  }

  /// Makes a digest of exactly 32 bytes; `nil` for any other count.
  public init?(_ bytes: some Collection<UInt8>) {
    // One look at the storage, since the loop over an unknown collection is slow.
    if let made = bytes.withContiguousStorageIfAvailable({ unsafe Hash256(UnsafeRawBufferPointer($0).bytes) }) {
      guard let made else { return nil }
      self = made
      return
    }
    let copy = Array(bytes)
    self.init(copy.rawSpan)
  }

  /// Makes a digest of four numbers, most significant first.
  public init(words: (UInt64, UInt64, UInt64, UInt64)) { self.init(a: words.0, b: words.1, c: words.2, d: words.3) }

  /// Makes a digest from a span of exactly 32 bytes; `nil` for any other count.
  public init?(_ span: RawSpan) {
    guard span.byteCount == 32 else { return nil }
    func word(_ offset: Int) -> UInt64 { unsafe span.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self).bigEndian }
    self.init(a: word(0), b: word(8), c: word(16), d: word(24))
  }

  /// Makes a digest from 64 hexadecimal digits.
  public init?(hex: String) {
    guard let bytes = Base16.decode(hex) else { return nil }
    self.init(bytes)
  }

  /// The 32 bytes.
  public var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(32)
    append(to: &result)
    return result
  }

  /// Appends the 32 bytes to `buffer`.
  public func append(to buffer: inout [UInt8]) {
    buffer.appendBigEndian(a)
    buffer.appendBigEndian(b)
    buffer.appendBigEndian(c)
    buffer.appendBigEndian(d)
  }

  /// The bytes as four numbers, most significant first; for tables that store digests without an array.
  public var words: (UInt64, UInt64, UInt64, UInt64) { (a, b, c, d) }

  /// The first eight bytes as a number; a ready-made hash value.
  public var prefix: UInt64 { a }

  /// The bit at `index`, counted from the most significant bit of the first byte.
  public func bit(_ index: Int) -> Bool {
    let word = index < 64 ? a : index < 128 ? b : index < 192 ? c : d
    return word >> UInt64(63 - index & 63) & 1 == 1
  }

  /// The four-bit digit at `index` in 0..<64, counted from the front.
  public func nibble(_ index: Int) -> Int {
    let word = index < 16 ? a : index < 32 ? b : index < 48 ? c : d
    return Int(word >> UInt64(60 - (index & 15) * 4) & 15)
  }

  /// The number of leading bits that are 0; 256 for ``zero``.
  public var leadingZeroBitCount: Int {
    if a != 0 { return a.leadingZeroBitCount }
    if b != 0 { return 64 + b.leadingZeroBitCount }
    if c != 0 { return 128 + c.leadingZeroBitCount }
    return 192 + d.leadingZeroBitCount
  }

  /// The bits in which two digests differ: their distance in Kademlia's metric.
  public static func ^ (left: Hash256, right: Hash256) -> Hash256 {
    Hash256(a: left.a ^ right.a, b: left.b ^ right.b, c: left.c ^ right.c, d: left.d ^ right.d)
  }

  /// 64 hexadecimal digits.
  public var hex: String { Base16.encode(bytes) }

  /// The first eight hexadecimal digits, for people.
  public var short: String { String(hex.prefix(8)) }

  /// 64 hexadecimal digits.
  public var description: String { hex }

  /// Byte order, which is also the order of the big-endian numbers.
  public static func < (left: Hash256, right: Hash256) -> Bool {
    (left.a, left.b, left.c, left.d) < (right.a, right.b, right.c, right.d)
  }
}
