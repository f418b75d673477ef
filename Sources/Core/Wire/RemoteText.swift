// Text that somebody else wrote: cut by bytes, and made fit to be shown.

extension String {
  /// The longest beginning that takes at most `count` bytes of UTF-8, cut between two Unicode scalars.
  ///
  /// A limit on what a stranger sends counts bytes: one character can be made of any number of them.
  public func prefix(bytes count: Int) -> String {
    if utf8.count <= count { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: Swift.max(0, count))
    while end > utf8.startIndex && utf8[end] & 0xc0 == 0x80 { end = utf8.index(before: end) }
    return String(self[..<end])
  }

  /// The text as it may stand in a terminal, a table or a log: what steers a terminal, ends a line, turns the writing direction
  /// or is invisible becomes `escape`'s text, by default `\u{…}`.
  public func printable(_ escape: (Unicode.Scalar) -> String = { "\\u{\(String($0.value, radix: 16))}" }) -> String {
    guard unicodeScalars.contains(where: { !$0.isPrintable }) else { return self }
    var result = ""
    for scalar in unicodeScalars {
      if scalar.isPrintable { result.unicodeScalars.append(scalar) } else { result += escape(scalar) }
    }
    return result
  }
}

extension Unicode.Scalar {
  /// The scalar as a JSON string can hold it, whatever it is: `\uXXXX`, twice for one beyond 16 bits.
  public var jsonEscape: String {
    String(self).utf16.map { unit in
      let digits = String(unit, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
  }

  /// Whether the scalar can be shown as it is, whoever wrote it: no control, no line or paragraph separator, no invisible format
  /// character such as those that turn the writing direction. The joiners of emoji and of Indic and Arabic script can.
  public var isPrintable: Bool {
    if value < 0x7f { return value >= 0x20 }
    switch properties.generalCategory {
    case .control, .lineSeparator, .paragraphSeparator, .surrogate: return false
    case .format: return value == 0x200c || value == 0x200d
    default: return true
    }
  }
}
