import Dashboard
import Testing

@Suite struct DashboardTests {
  private var table: TerminalTable {
    var table = TerminalTable([.init("node"), .init("height", alignedRight: true, rank: 1), .init("head", rank: 2)])
    table.rows = [
      ["one", "7", .init("deadbeefdeadbeef", short: "dea…eef")], [.init("two", .bad), "1234"], ["three", "8", "ab", "surplus"],
    ]
    return table
  }

  @Test func layout() {
    #expect(
      table.lines(width: 80) == ["node   height  head", "one         7  deadbeefdeadbeef", "two      1234  ", "three       8  ab"])
    // First short forms, then whole columns by their rank; what is shown is never cut.
    #expect(table.lines(width: 22) == ["node   height  head", "one         7  dea…eef", "two      1234  ", "three       8  ab"])
    #expect(table.lines(width: 21) == ["node   height", "one         7", "two      1234", "three       8"])
    #expect(table.lines(width: 12) == ["node", "one", "two", "three"])
    #expect(table.lines(width: 2) == ["n…", "o…", "t…", "t…"])
    #expect(table.lines(width: 0).allSatisfy { $0.count <= 1 })
    #expect(TerminalTable([]).lines(width: 10) == [""])
  }

  @Test func theHighestRankGoesFirst() {
    var table = TerminalTable([.init("a"), .init("b", rank: 1), .init("c", rank: 3), .init("d", rank: 2)])
    table.rows = [["11111", "22222", "33333", "44444"]]
    let shown = [26, 25, 18, 11].map { table.lines(width: $0)[0].split(separator: " ").joined() }
    #expect(shown == ["abcd", "abd", "ab", "a"])
  }

  @Test func coloursOnlyWhenAsked() {
    #expect(!table.lines(width: 80).joined().contains("\u{1b}"))
    #expect(table.lines(width: 80, colours: true)[2].hasPrefix("\u{1b}[31mtwo  \u{1b}[0m  "))
  }

  @Test func linesNeverPassTheWidth() {
    for width in 1..<60 {
      for line in table.lines(width: width) { #expect(DisplayWidth.of(line) <= width) }
    }
  }

  @Test func hugeCellsAreQuick() {
    var table = TerminalTable([.init("a"), .init("b")])
    table.rows = [[.init(String(repeating: "x", count: 300_000)), .init(String(repeating: "y", count: 299_000))]]
    #expect(table.lines(width: 22)[1] == "xxxxxxxxx…  yyyyyyyyy…")
  }

  @Test(arguments: [
    ("abc", 5, "abc  "), ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日… "),
    ("日本語", 1, "…"), ("e\u{301}te\u{301}", 3, "e\u{301}te\u{301}"), ("👩‍👩‍👧x", 3, "👩‍👩‍👧x"), ("🇳🇱🇳🇱", 3, "🇳🇱…"), ("❤️a", 3, "❤️a"), ("", 2, "  "),
    ("a\u{1b}[2Jb\n\u{9b}c\u{202e}", 20, "a·[2Jb··c·          "), ("x", 0, ""),
  ])
  func fitting(text: String, width: Int, wanted: String) {
    #expect(DisplayWidth.fit(text, to: width) == wanted)
    #expect(DisplayWidth.of(DisplayWidth.fit(text, to: width)) == width)
  }

  @Test func alignment() { #expect(DisplayWidth.fit("7", to: 3, alignedRight: true) == "  7") }

  @Test func framesReplaceEachOther() {
    var written: [String] = []
    let live = LiveTable(terminal: { .init(isInteractive: true, colours: false, width: 40, height: 24) }) { written.append($0) }
    live.show(title: ["net\u{7}"], table)
    live.show(table, footer: ["end"])
    live.finish()
    live.finish()
    live.show(table)
    let line = "\u{1b}[K\r\n"
    #expect(written.count == 3)
    #expect(written[0].hasPrefix("\u{1b}[?25l\u{1b}[2J\u{1b}[Hnet·\(line)node   height  head\(line)"))
    #expect(written[1].hasPrefix("\u{1b}[Hnode") && written[1].hasSuffix("end\(line)\u{1b}[J"))
    #expect(!written[1].contains("\u{1b}[2J"))
    #expect(written[2] == "\u{1b}[?25h")
  }

  @Test func framesFitTheHeight() {
    for height in 1..<8 {
      var frame = ""
      let live = LiveTable(terminal: { .init(isInteractive: true, colours: false, width: 40, height: height) }) { frame = $0 }
      live.show(title: ["t"], table, footer: ["f"])
      #expect(frame.split(separator: "\r\n").count - 1 <= max(1, height - 1))
      if height == 6 { #expect(frame.contains("… 2 more")) }
    }
  }

  @Test func plainOutputAppends() {
    var written = ""
    let live = LiveTable(terminal: { .init(isInteractive: false, colours: false, width: 200, height: .max) }) { written += $0 }
    live.show(title: ["net"], table)
    live.show(title: ["net"], table)
    live.finish()
    let frame = "net\nnode   height  head\none         7  deadbeefdeadbeef\ntwo      1234\nthree       8  ab\n"
    #expect(written == frame + frame)
  }

  @Test func aFileIsNoTerminal() { #expect(!LiveTable.Terminal.of(-1).isInteractive) }
}
