import Wire

/// The number that a work hash may not exceed, in Bitcoin's compact form: the top byte is the target's length in bytes, the
/// other three its first digits, of which the first bit is clear.
///
/// Lengths of 20 to 32 bytes are allowed, which is from one hash in two to 2^105 hashes for a block.
public struct CompactTarget: Hashable, Sendable {
  /// The compact form.
  public let bits: UInt32

  /// Takes a compact form; `nil` for one out of range, and for any but the shortest form of a target.
  public init?(bits: UInt32) {
    let digits = bits & 0xff_ffff
    guard (20...32).contains(bits >> 24), (0x8000...0x7f_ffff).contains(digits) else { return nil }
    self.bits = bits
  }

  private init(size: Int, digits: UInt32) { bits = UInt32(size) << 24 | digits }

  /// About one hash in two.
  public static let easiest = CompactTarget(size: 32, digits: 0x7f_ffff)
  /// About one hash in 2^105.
  public static let hardest = CompactTarget(size: 20, digits: 0x8000)

  private var size: Int { Int(bits >> 24) }
  private var digits: UInt32 { bits & 0xff_ffff }

  /// Whether a hash, read as a big-endian number, does not exceed the target.
  public func accepts(_ hash: Hash256) -> Bool {
    var target = [UInt8](repeating: 0, count: 32)
    for index in 0..<3 { target[32 - size + index] = UInt8(truncatingIfNeeded: digits >> UInt32(16 - 8 * index)) }
    guard let limit = Hash256(target) else { return false }
    return hash <= limit
  }

  /// The hashes that a block of this target takes on average: 2^256 / target, at least 1.
  public var work: UInt128 { (UInt128(1) << UInt128(256 - 8 * (size - 3))) / UInt128(digits) }

  /// The target times 2^(`exponent` / 65,536), held between ``hardest`` and ``easiest``.
  ///
  /// The cubic that stands in for the power of two is aserti3-2d's (Bitcoin Cash, 2020): integers only, so all nodes agree.
  public func scaled(by exponent: Int128) -> CompactTarget {
    let whole = Int(clamping: exponent >> 16)
    guard whole.magnitude < 512 else { return whole > 0 ? .easiest : .hardest }
    let part = UInt64(truncatingIfNeeded: exponent & 0xffff)
    let cubic = 195_766_423_245_049 &* part &+ 971_821_376 &* part &* part &+ 5_127 &* part &* part &* part
    let factor = 65_536 + ((cubic &+ 1 << 47) >> 48)
    let product = UInt64(digits) * factor
    let shift = 8 * (size - 3) - 16 + whole
    let width = 64 - product.leadingZeroBitCount + shift
    // One bit more than the number has, so that the first digit's top bit is clear.
    let newSize = (width + 8) / 8
    guard newSize <= 32 else { return .easiest }
    guard newSize >= 20 else { return .hardest }
    let move = shift - 8 * (newSize - 3)
    return CompactTarget(size: newSize, digits: UInt32(truncatingIfNeeded: move >= 0 ? product << UInt64(move) : product >> UInt64(-move)))
  }
}
