extension String {
  /// The line in lines of at most `width` characters, broken between words; a longer word has a line of its own.
  ///
  /// What follows begins where the line's text does: behind its leading spaces, or in its second column, which two spaces or more part from
  /// the first, unless that lies in the right half. O(n).
  public func wrapped(to width: Int) -> [String] {
    let characters = Array(self)
    guard characters.count > width else { return [self] }
    var indent = characters.prefix { $0 == " " }.count
    guard indent < characters.count else { return [""] }
    for place in indent..<characters.count - 1 where characters[place] == " " && characters[place + 1] == " " {
      let column = place + characters[place...].prefix { $0 == " " }.count
      if column <= width / 2 { indent = column }
      break
    }
    var lines: [String] = []
    var line = characters[..<indent]
    for word in characters[indent...].split(separator: " ") {
      if line.count > indent, line.count + 1 + word.count > width {
        lines.append(String(line))
        line = ArraySlice(repeating: " ", count: indent)
      }
      if line.count > indent { line.append(" ") }
      line.append(contentsOf: word)
    }
    lines.append(String(line))
    return lines
  }
}
