/// Pieces of HTML, and numbers as people read them.
enum Markup {
  /// Text with what HTML takes for markup replaced.
  static func escape(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      default: result.append(character)
      }
    }
    return result
  }

  /// A number with so many places behind the point.
  static func number(_ value: Double, places: Int = 0) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "–" }
    var scale: Int64 = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = Int64((abs(value) * Double(scale)).rounded())
    var text = grouped(scaled / scale)
    if places > 0 {
      let fraction = String(scaled % scale)
      text += "." + String(repeating: "0", count: places - fraction.count) + fraction
    }
    return value < 0 && scaled > 0 ? "−" + text : text
  }

  /// A whole number with its thousands apart.
  static func number(_ value: Int) -> String { (value < 0 ? "−" : "") + grouped(Int64(value.magnitude)) }

  private static func grouped(_ value: Int64) -> String {
    let digits = String(value)
    var text = ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { text += "\u{2009}" }
      text.append(digit)
    }
    return text
  }

  /// A number of bytes with its unit.
  static func bytes(_ count: Double) -> String {
    switch count {
    case ..<1e3: "\(number(count)) B"
    case ..<1e6: "\(number(count / 1e3, places: 1)) KB"
    case ..<1e9: "\(number(count / 1e6, places: 1)) MB"
    default: "\(number(count / 1e9, places: 1)) GB"
    }
  }

  /// A time with its unit.
  static func milliseconds(_ value: Double) -> String {
    switch value {
    case ..<10: "\(number(value, places: 1)) ms"
    case ..<10_000: "\(number(value)) ms"
    default: "\(number(value / 1_000, places: 1)) s"
    }
  }

  static func percent(_ share: Double, places: Int = 0) -> String { number(share * 100, places: places) + " %" }

  /// A table; the cells of a row are HTML already. All columns but the first stand on the right when `isNumeric`.
  static func table(_ head: [String], _ rows: [[String]], isNumeric: Bool = true) -> String {
    var html = "<div class=\"scroll\"><table\(isNumeric ? " class=\"numbers\"" : "")><thead><tr>"
    for cell in head { html += "<th>\(cell)</th>" }
    html += "</tr></thead><tbody>\n"
    for row in rows {
      html += "<tr>"
      for cell in row { html += "<td>\(cell)</td>" }
      html += "</tr>\n"
    }
    return html + "</tbody></table></div>\n"
  }

  static func section(_ title: String, _ body: String) -> String { "<section><h2>\(escape(title))</h2>\n\(body)</section>\n" }
}
