/// Text that writes bytes as one big number, leading zero bytes as leading zero digits: base58 and base36.
///
/// Work grows with the square of the length, so callers bound untrusted text first.
struct PositionalBase: Sendable {
  private let digits: [UInt8]
  private let values: [UInt8]

  init(digits text: String, ignoringCase: Bool = false) {
    digits = Array(text.utf8)
    var values = [UInt8](repeating: 0xff, count: 256)
    for (value, digit) in digits.enumerated() {
      values[Int(digit)] = UInt8(value)
      if ignoringCase, digit >= 0x61, digit <= 0x7a { values[Int(digit - 0x20)] = UInt8(value) }
    }
    self.values = values
  }

  func encode(_ bytes: some Collection<UInt8>) -> String {
    let zeros = bytes.prefix { $0 == 0 }.count
    // Digits of the number, least significant first.
    var number: [UInt8] = []
    number.reserveCapacity(bytes.count * 2)
    for byte in bytes.dropFirst(zeros) {
      var carry = Int(byte)
      for index in number.indices {
        carry += Int(number[index]) << 8
        number[index] = UInt8(carry % digits.count)
        carry /= digits.count
      }
      while carry > 0 {
        number.append(UInt8(carry % digits.count))
        carry /= digits.count
      }
    }
    var text = [UInt8](repeating: digits[0], count: zeros)
    for digit in number.reversed() { text.append(digits[Int(digit)]) }
    return String(decoding: text, as: UTF8.self)
  }

  func decode(_ text: some StringProtocol) -> [UInt8]? {
    let characters = text.utf8
    let zeros = characters.prefix { $0 == digits[0] }.count
    // Bytes of the number, least significant first.
    var number: [UInt8] = []
    number.reserveCapacity(characters.count)
    for character in characters.dropFirst(zeros) {
      let value = values[Int(character)]
      if value == 0xff { return nil }
      var carry = Int(value)
      for index in number.indices {
        carry += Int(number[index]) * digits.count
        number[index] = UInt8(carry & 0xff)
        carry >>= 8
      }
      while carry > 0 {
        number.append(UInt8(carry & 0xff))
        carry >>= 8
      }
    }
    return [UInt8](repeating: 0, count: zeros) + number.reversed()
  }
}

/// Base58 text with Bitcoin's alphabet (multibase `z`), which leaves out the characters that people confuse.
public enum Base58 {
  /// The text of `bytes`. O(n²): meant for identifiers.
  public static func encode(_ bytes: some Collection<UInt8>) -> String { base.encode(bytes) }

  /// The bytes of `text`; `nil` when a character is none of the 58. O(n²): bound untrusted text first.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? { base.decode(text) }

  private static let base = PositionalBase(digits: "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
}

/// Base36 text (multibase `k`): lower case out, either case in.
public enum Base36 {
  /// The text of `bytes`. O(n²): meant for identifiers.
  public static func encode(_ bytes: some Collection<UInt8>) -> String { base.encode(bytes) }

  /// The bytes of `text`; `nil` when a character is neither a letter nor a digit. O(n²): bound untrusted text first.
  public static func decode(_ text: some StringProtocol) -> [UInt8]? { base.decode(text) }

  private static let base = PositionalBase(digits: "0123456789abcdefghijklmnopqrstuvwxyz", ignoringCase: true)
}
