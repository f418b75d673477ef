/// A keyed hash of short inputs: SipHash-2-4 (Aumasson and Bernstein 2012).
///
/// Nobody without the key can choose inputs that fall together, so tables filled by strangers use it. Not for signatures.
/// Feed it with ``combine(_:)``, then read ``value``; equal bytes give equal values however they were cut.
public struct SipHash: Sendable {
  /// The key of 128 bits.
  public struct Key: Hashable, Sendable {
    /// The first eight bytes, least significant first.
    public let low: UInt64
    /// The last eight bytes, least significant first.
    public let high: UInt64

    /// Makes a key of two words.
    public init(low: UInt64, high: UInt64) {
      self.low = low
      self.high = high
    }
  }

  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64
  /// The bytes that do not fill a word yet, least significant first.
  private var tail: UInt64 = 0
  private var count: UInt64 = 0

  /// Begins a hash.
  public init(_ key: Key) {
    v0 = key.low ^ 0x736f_6d65_7073_6575
    v1 = key.high ^ 0x646f_7261_6e64_6f6d
    v2 = key.low ^ 0x6c79_6765_6e65_7261
    v3 = key.high ^ 0x7465_6462_7974_6573
  }

  /// Adds one byte.
  public mutating func combine(_ byte: UInt8) {
    tail |= UInt64(byte) << (8 * (count & 7))
    count &+= 1
    if count & 7 == 0 {
      compress(tail)
      tail = 0
    }
  }

  /// Adds the eight bytes of a word, least significant first.
  public mutating func combine(_ word: UInt64) {
    let shift = 8 * (count & 7)
    compress(tail | word << shift)
    // A shift by the whole width gives 0.
    tail = word >> (64 - shift)
    count &+= 8
  }

  /// Adds bytes. O(n).
  public mutating func combine(_ bytes: RawSpan) { for index in 0..<bytes.byteCount { combine(bytes.byte(index)) } }

  /// The hash of what was added; more may be added afterwards.
  public var value: UInt64 {
    var last = self
    last.compress(tail | count << 56)
    last.v2 ^= 0xff
    for _ in 0..<4 { last.round() }
    return last.v0 ^ last.v1 ^ last.v2 ^ last.v3
  }

  private mutating func compress(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  private mutating func round() {
    func rotated(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
    v0 &+= v1
    v2 &+= v3
    v1 = rotated(v1, 13) ^ v0
    v3 = rotated(v3, 16) ^ v2
    v0 = rotated(v0, 32)
    v2 &+= v1
    v0 &+= v3
    v1 = rotated(v1, 17) ^ v2
    v3 = rotated(v3, 21) ^ v0
    v2 = rotated(v2, 32)
  }
}
