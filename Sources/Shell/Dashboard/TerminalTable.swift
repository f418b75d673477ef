/// A table as text: columns that fit a width, styled cells.
public struct TerminalTable: Sendable {
  /// How a cell looks where colours are on.
  public enum Style: Hashable, Sendable {
    /// As the terminal's text.
    case plain
    /// Bold.
    case strong
    /// Faint.
    case faint
    /// Green.
    case good
    /// Yellow.
    case warning
    /// Red.
    case bad

    var code: String? {
      switch self {
      case .plain: nil
      case .strong: "1"
      case .faint: "2"
      case .good: "32"
      case .warning: "33"
      case .bad: "31"
      }
    }
  }

  /// One column.
  public struct Column: Hashable, Sendable {
    /// The title.
    public var title: String
    /// Whether cells stand at the right, as numbers do.
    public var alignedRight: Bool
    /// The narrowest that the column gets, in terminal columns, when space is short.
    public var minimumWidth: Int

    /// Makes a column.
    public init(_ title: String, alignedRight: Bool = false, minimumWidth: Int = 4) {
      self.title = title
      self.alignedRight = alignedRight
      self.minimumWidth = minimumWidth
    }
  }

  /// One cell.
  public struct Cell: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    /// The text; control characters are replaced.
    public var text: String
    /// The look.
    public var style: Style

    /// Makes a cell.
    public init(_ text: String, _ style: Style = .plain) {
      self.text = text
      self.style = style
    }
    /// Makes a plain cell.
    public init(stringLiteral text: String) { self.init(text) }
  }

  /// The columns.
  public var columns: [Column]
  /// The rows; missing cells are empty, surplus ones are dropped.
  public var rows: [[Cell]] = []

  /// Makes an empty table.
  public init(_ columns: [Column]) { self.columns = columns }

  /// The title line and one line a row, none wider than `width` terminal columns; O(cells).
  ///
  /// The widest columns give way first, down to their minimum; then whole columns are left out from the right.
  public func lines(width: Int, colours: Bool = false) -> [String] {
    let widths = fittedWidths(width)
    var lines = [line(columns.map { Cell($0.title, .strong) }, widths, colours)]
    for row in rows { lines.append(line(row, widths, colours)) }
    return lines
  }

  private func line(_ cells: [Cell], _ widths: [Int], _ colours: Bool) -> String {
    var parts: [String] = []
    for (index, width) in widths.enumerated() {
      let cell = index < cells.count ? cells[index] : ""
      var text = DisplayWidth.fit(cell.text, to: width, alignedRight: columns[index].alignedRight)
      // The last column needs no filling.
      if index == widths.count - 1, !columns[index].alignedRight { while text.hasSuffix(" ") { text.removeLast() } }
      if colours, let code = cell.style.code { text = "\u{1b}[\(code)m\(text)\u{1b}[0m" }
      parts.append(text)
    }
    return parts.joined(separator: Self.gap)
  }

  /// The widths of the columns that are shown.
  private func fittedWidths(_ width: Int) -> [Int] {
    var widths = columns.indices.map { index in
      rows.reduce(DisplayWidth.of(columns[index].title)) { max($0, index < $1.count ? DisplayWidth.of($1[index].text) : 0) }
    }
    func capped(_ cap: Int) -> [Int] { widths.indices.map { min(widths[$0], max(cap, columns[$0].minimumWidth, 1)) } }
    func fits(_ widths: [Int]) -> Bool { widths.reduce(0, +) + Self.gap.count * max(0, widths.count - 1) <= width }
    while widths.count > 1, !fits(capped(1)) { widths.removeLast() }
    guard widths.count > 1 else { return widths.map { min($0, max(1, width)) } }
    // The largest common cap that fits.
    var low = 1
    var high = max(1, widths.max() ?? 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if fits(capped(middle)) { low = middle } else { high = middle - 1 }
    }
    return capped(low)
  }

  private static let gap = "  "
}
