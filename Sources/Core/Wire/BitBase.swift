/// Text in which each character stands for a fixed number of bits (RFC 4648), without padding.
struct BitBase: Sendable {
  private let bits: Int
  private let digits: [UInt8]
  private let values: [UInt8]

  init(bits: Int, digits text: String, ignoringCase: Bool) {
    self.bits = bits
    digits = Array(text.utf8)
    var values = [UInt8](repeating: 0xff, count: 256)
    for (value, digit) in digits.enumerated() {
      values[Int(digit)] = UInt8(value)
      if ignoringCase, digit >= 0x61, digit <= 0x7a { values[Int(digit - 0x20)] = UInt8(value) }
    }
    self.values = values
  }

  func encode(_ bytes: some Collection<UInt8>) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count * 8 + bits - 1) / bits)
    var pending: UInt = 0
    var pendingBits = 0
    let mask = UInt(1) << UInt(bits) - 1
    for byte in bytes {
      pending = pending << 8 | UInt(byte)
      pendingBits += 8
      while pendingBits >= bits {
        pendingBits -= bits
        text.append(digits[Int(pending >> UInt(pendingBits) & mask)])
      }
      pending &= UInt(1) << UInt(pendingBits) - 1
    }
    if pendingBits > 0 { text.append(digits[Int(pending << UInt(bits - pendingBits) & mask)]) }
    return String(decoding: text, as: UTF8.self)
  }

  /// Refuses a last character whose unused bits are set, and a length that no bytes have: each value has one text.
  func decode(_ text: some StringProtocol) -> [UInt8]? {
    var bytes: [UInt8] = []
    var pending: UInt = 0
    var pendingBits = 0
    for character in text.utf8 {
      let value = values[Int(character)]
      if value == 0xff { return nil }
      pending = pending << UInt(bits) | UInt(value)
      pendingBits += bits
      if pendingBits >= 8 {
        pendingBits -= 8
        bytes.append(UInt8(truncatingIfNeeded: pending >> UInt(pendingBits)))
      }
      pending &= UInt(1) << UInt(pendingBits) - 1
    }
    return pending == 0 && pendingBits < bits ? bytes : nil
  }
}

/// Base32 text (RFC 4648 section 6, multibase `b`): lower case and unpadded out, either case in.
public enum Base32 {
  /// Eight characters for each five bytes.
  public static func encode(_ bytes: some Collection<UInt8>) -> String { base.encode(bytes) }

  /// The bytes of unpadded text; `nil` for a foreign character, an impossible length or stray bits at the end.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? { base.decode(text) }

  private static let base = BitBase(bits: 5, digits: "abcdefghijklmnopqrstuvwxyz234567", ignoringCase: true)
}

/// Base64 text for URLs (RFC 4648 section 5, multibase `u`), unpadded.
public enum Base64URL {
  /// Four characters for each three bytes.
  public static func encode(_ bytes: some Collection<UInt8>) -> String { base.encode(bytes) }

  /// The bytes of unpadded text; `nil` for a foreign character, an impossible length or stray bits at the end.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? { base.decode(text) }

  private static let base = BitBase(
    bits: 6, digits: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", ignoringCase: false)
}

/// Text whose first character names its base (multiformats multibase).
public enum Multibase {
  /// The bytes of base16 `f`, base32 `b`, base36 `k`, base58btc `z` or base64url `u` text; `nil` for another base or bad text.
  /// O(n²) for base36 and base58: bound untrusted text first.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? {
    let rest = text.dropFirst()
    return switch text.utf8.first {
    case UInt8(ascii: "f"), UInt8(ascii: "F"): Base16.decode(rest)
    case UInt8(ascii: "b"), UInt8(ascii: "B"): Base32.decode(rest)
    case UInt8(ascii: "k"), UInt8(ascii: "K"): Base36.decode(rest)
    case UInt8(ascii: "z"): Base58.decode(rest)
    case UInt8(ascii: "u"): Base64URL.decode(rest)
    default: nil
    }
  }
}
