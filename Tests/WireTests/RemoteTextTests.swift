import Testing
import Wire

@Suite struct RemoteTextTests {
  @Test(arguments: [
    ("plain text", "plain text"), ("", ""), ("Grüße 👩‍👩‍👧 دوست", "Grüße 👩‍👩‍👧 دوست"), ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
    ("a\nb\tc", "a\\u{a}b\\u{9}c"), ("\u{9b}31m", "\\u{9b}31m"), ("\u{7f}", "\\u{7f}"), ("ab\u{202e}dc", "ab\\u{202e}dc"),
    ("\u{2066}x\u{2069}\u{200f}\u{61c}", "\\u{2066}x\\u{2069}\\u{200f}\\u{61c}"), ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
    ("\u{feff}\u{200b}\u{ad}", "\\u{feff}\\u{200b}\\u{ad}"), ("\u{e0041}", "\\u{e0041}"),
  ])
  func printable(text: String, shown: String) {
    #expect(text.printable() == shown)
    #expect(shown.printable() == shown)
    let dotted = text.printable { _ in "·" }
    #expect(dotted.unicodeScalars.allSatisfy { $0.isPrintable })
  }

  @Test func jsonEscapes() {
    #expect("\u{1b}\u{202e}\u{e0041}".printable(\.jsonEscape) == "\\u001b\\u202e\\udb40\\udc41")
  }

  @Test func limitsCountBytesAndCutBetweenScalars() {
    #expect("abc".prefix(bytes: 3) == "abc" && "abcd".prefix(bytes: 3) == "abc" && "abc".prefix(bytes: 0) == "")
    #expect("äö".prefix(bytes: 3) == "ä" && "👍👍".prefix(bytes: 7) == "👍" && "👍".prefix(bytes: 3) == "")
    // One character, many bytes.
    let long = "e" + String(repeating: "\u{301}", count: 10_000)
    #expect(long.count == 1)
    #expect(long.prefix(bytes: 255).utf8.count == 255)
  }
}
