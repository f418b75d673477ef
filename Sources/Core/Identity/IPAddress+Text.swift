import Wire

extension IPAddress: LosslessStringConvertible {
  /// Reads `1.2.3.4` (four decimal numbers without leading zeros) or an IPv6 address in any form of RFC 4291 section 2.2,
  /// without brackets or zone; `nil` for anything else. `::ffff:1.2.3.4` is read as the IPv4 address.
  public init?(_ text: String) { self.init(text: text) }

  /// Reads an address from any kind of text.
  public init?(text: some StringProtocol) {
    guard text.utf8.count <= 45 else { return nil }
    if text.utf8.contains(UInt8(ascii: ":")) {
      guard let words = Self.words(text) else { return nil }
      func half(_ range: Range<Int>) -> UInt64 { words[range].reduce(0) { $0 << 16 | UInt64($1) } }
      self = .v6(high: half(0..<4), low: half(4..<8))
    } else {
      guard let number = Self.dottedDecimal(text) else { return nil }
      self = .v4(number)
    }
  }

  /// `1.2.3.4`, or the canonical IPv6 text of RFC 5952.
  public var description: String {
    switch value {
    case .v4(let number): return Self.dotted(number)
    case .v6(let high, let low):
      let words = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 & 3))) }
      let zeros = Self.longestZeros(words)
      func text(_ range: Range<Int>) -> String { words[range].map { String($0, radix: 16) }.joined(separator: ":") }
      // A single zero word is written out (RFC 5952 section 4.2.2).
      if zeros.count < 2 { return text(0..<8) }
      return text(0..<zeros.lowerBound) + "::" + text(zeros.upperBound..<8)
    }
  }

  private static func dotted(_ number: UInt32) -> String {
    "\(number >> 24).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
  }

  /// The first of the longest runs of zero words.
  private static func longestZeros(_ words: [UInt16]) -> Range<Int> {
    var best = 0..<0
    var start = 0
    while start < words.count {
      var end = start
      while end < words.count, words[end] == 0 { end += 1 }
      if end - start > best.count { best = start..<end }
      start = end + 1
    }
    return best
  }

  private static func dottedDecimal(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var number: UInt32 = 0
    for part in parts {
      guard let value = Decimal.parse(part, maximum: 255), part.count == 1 || !part.hasPrefix("0") else { return nil }
      number = number << 8 | UInt32(value)
    }
    return number
  }

  private static func words(_ text: some StringProtocol) -> [UInt16]? {
    var front: [UInt16] = []
    var back: [UInt16]?
    var rest = Substring(text)
    if rest.hasPrefix("::") {
      back = []
      rest = rest.dropFirst(2)
    }
    while !rest.isEmpty {
      let piece = rest.prefix { $0 != ":" }
      rest = rest.dropFirst(piece.count)
      var words: [UInt16] = []
      if piece.contains(".") {
        guard rest.isEmpty, let number = dottedDecimal(piece) else { return nil }
        words = [UInt16(number >> 16), UInt16(number & 0xffff)]
      } else {
        guard (1...4).contains(piece.utf8.count), piece.utf8.allSatisfy({ $0 < 0x80 && Character(UnicodeScalar($0)).isHexDigit }),
          let word = UInt16(piece, radix: 16)
        else { return nil }
        words = [word]
      }
      if back == nil { front += words } else { back? += words }
      if rest.hasPrefix("::") {
        if back != nil { return nil }
        back = []
        rest = rest.dropFirst(2)
      } else if rest.hasPrefix(":") {
        rest = rest.dropFirst()
        if rest.isEmpty { return nil }
      }
    }
    guard let back else { return front.count == 8 ? front : nil }
    // The two colons stand for one zero word at least.
    let missing = 8 - front.count - back.count
    return missing >= 1 ? front + [UInt16](repeating: 0, count: missing) + back : nil
  }
}

/// Decimal numbers as addresses hold them: digits only, no sign.
enum Decimal {
  static func parse(_ text: some StringProtocol, maximum: Int) -> Int? {
    guard (1...5).contains(text.utf8.count) else { return nil }
    var value = 0
    for digit in text.utf8 {
      guard digit >= 0x30, digit <= 0x39 else { return nil }
      value = value * 10 + Int(digit - 0x30)
    }
    return value <= maximum ? value : nil
  }
}
