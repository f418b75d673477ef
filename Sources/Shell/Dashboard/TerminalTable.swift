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
    /// When space is short the column with the highest rank is left out first; one with rank 0 never is.
    public var rank: Int

    /// Makes a column.
    public init(_ title: String, alignedRight: Bool = false, rank: Int = 0) {
      self.title = title
      self.alignedRight = alignedRight
      self.rank = rank
    }
  }

  /// One cell.
  public struct Cell: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    /// The text; control characters are replaced.
    public var text: String
    /// What stands for the text when space is short.
    public var short: String?
    /// The look.
    public var style: Style

    /// Makes a cell.
    public init(_ text: String, _ style: Style = .plain, short: String? = nil) {
      self.text = text
      self.short = short
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
  /// When space is short, cells take their short form, then whole columns are left out by their rank. A cell is cut only when the columns of
  /// rank 0 alone are too wide: the widest ones give way first.
  public func lines(width: Int, colours: Bool = false) -> [String] {
    let layout = layout(width)
    var lines = [line(columns.map { Cell($0.title, .strong) }, layout, colours)]
    for row in rows { lines.append(line(row, layout, colours)) }
    return lines
  }

  /// The columns that are shown, their widths, and whether cells take their short form.
  private struct Layout {
    var shown: [Int]
    var widths: [Int]
    var isShort: Bool
  }

  private func line(_ cells: [Cell], _ layout: Layout, _ colours: Bool) -> String {
    var parts: [String] = []
    for (index, width) in zip(layout.shown, layout.widths) {
      let cell = index < cells.count ? cells[index] : ""
      var text = DisplayWidth.fit(Self.text(of: cell, layout.isShort), to: width, alignedRight: columns[index].alignedRight)
      // The last column needs no filling.
      if index == layout.shown.last, !columns[index].alignedRight { while text.hasSuffix(" ") { text.removeLast() } }
      if colours, let code = cell.style.code { text = "\u{1b}[\(code)m\(text)\u{1b}[0m" }
      parts.append(text)
    }
    return parts.joined(separator: Self.gap)
  }

  private func layout(_ width: Int) -> Layout {
    var layout = Layout(shown: Array(columns.indices), widths: naturalWidths(isShort: false), isShort: false)
    func fits(_ widths: [Int]) -> Bool { widths.reduce(0, +) + Self.gap.count * max(0, widths.count - 1) <= width }
    if fits(layout.widths) { return layout }
    layout.isShort = true
    layout.widths = naturalWidths(isShort: true)
    while !fits(layout.widths) {
      guard let place = layout.shown.indices.max(by: { columns[layout.shown[$0]].rank < columns[layout.shown[$1]].rank }),
        columns[layout.shown[place]].rank > 0
      else { break }
      layout.shown.remove(at: place)
      layout.widths.remove(at: place)
    }
    if fits(layout.widths) { return layout }
    while layout.shown.count > 1, !fits(layout.widths.map { min($0, 1) }) {
      layout.shown.removeLast()
      layout.widths.removeLast()
    }
    // The largest common cap that fits.
    var low = 1
    var high = max(1, layout.widths.max() ?? 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if fits(layout.widths.map { min($0, middle) }) { low = middle } else { high = middle - 1 }
    }
    layout.widths = layout.widths.map { min($0, low) }
    return layout
  }

  private func naturalWidths(isShort: Bool) -> [Int] {
    columns.indices.map { index in
      rows.reduce(DisplayWidth.of(columns[index].title)) {
        max($0, index < $1.count ? DisplayWidth.of(Self.text(of: $1[index], isShort)) : 0)
      }
    }
  }

  private static func text(of cell: Cell, _ isShort: Bool) -> String { isShort ? cell.short ?? cell.text : cell.text }

  private static let gap = "  "
}
