import Foundation
import Identity
import Node
import Testing
import Wire

final class Lines: @unchecked Sendable {
  private let lock = NSLock()
  private var text = ""
  func append(_ line: String) { lock.withLock { text += line } }
  var all: String { lock.withLock { text } }
}

@Suite struct LoggerTests {
  private func logged(_ format: LogFormat, level: LogLevel = .info, _ body: (Logger) -> Void) -> String {
    let lines = Lines()
    body(Logger(level: level, format: format, now: { Date(timeIntervalSince1970: 1_704_556_800.25) }, sink: { lines.append($0) }))
    return lines.all
  }

  /// The four lines of S2's document.
  @Test func text() {
    let text = logged(.text) { logger in
      logger.info("peers", "Loaded 5 persisted peers from database")
      logger.info("peers", "Attempting to establish outbound connections", ["attempting_connections": 3])
      logger.info("peers", "Successfully established outbound connection", ["peer": "node1.example.com:7071"])
      logger.info("peers", "Received peer list from peer", ["peer": "node1.example.com:7071", "peer_count": 12, "share": 0.5, "new": true])
      logger.debug("peers", "dropped")
    }
    #expect(
      text == """
        2024-01-06T16:00:00.250Z INFO peers Loaded 5 persisted peers from database
        2024-01-06T16:00:00.250Z INFO peers Attempting to establish outbound connections attempting_connections=3
        2024-01-06T16:00:00.250Z INFO peers Successfully established outbound connection peer=node1.example.com:7071
        2024-01-06T16:00:00.250Z INFO peers Received peer list from peer peer=node1.example.com:7071 peer_count=12 share=0.5 new=true

        """)
  }

  /// People see short names; programs can join the lines of one peer.
  @Test func namesAreShortForPeopleAndWholeForPrograms() throws {
    let name = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
    let peer = try PeerID(text: name)
    let repeated: UInt64 = 0xabab_abab_abab_abab
    let hash = Hash256(words: (repeated, repeated, repeated, repeated))
    func write(_ logger: Logger) { logger.info("peers", "gone", ["peer": .init(peer), "hash": .init(hash)]) }
    #expect(logged(.text, write).hasSuffix(" gone peer=12D3…SUKPH5 hash=abababab\n"))
    let json = try #require(try JSONSerialization.jsonObject(with: Data(logged(.json, write).utf8)) as? [String: Any])
    #expect(json["peer"] as? String == name && json["hash"] as? String == String(repeating: "ab", count: 32))
  }

  @Test func remoteTextsForgeNothing() throws {
    let evil = "a\n2024-01-06T16:00:00.250Z ERROR x y\r\u{1b}[2J\u{2028}\u{202e}\" k=v \\"
    let text = logged(.text) { $0.warning("host", "bad \(evil)", ["agent": .text(evil), "empty": "", "plain": "a=b"]) }
    #expect(text.split(separator: "\n").count == 1)
    #expect(!text.contains("\u{1b}") && !text.contains("\r") && !text.contains("\u{2028}"))
    #expect(text.contains(#"agent="a\n2024-01-06T16:00:00.250Z ERROR x y\r\u{1b}[2J\u{2028}\u{202e}\" k=v \\""#))
    #expect(text.hasSuffix("empty=\"\" plain=\"a=b\"\n"))
    let json = logged(.json) {
      $0.error("host", evil, ["agent": .text(evil), "time": 1, "nan": .number(.nan), "long": .text(String(repeating: "x", count: 5_000))])
    }
    #expect(json.split(separator: "\n").count == 1)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect(object["agent"] as? String == evil)
    #expect(object["message"] as? String == evil)
    #expect(object["time"] as? String == "2024-01-06T16:00:00.250Z")
    #expect(object["time_"] as? Int == 1)
    #expect(object["level"] as? String == "error")
    #expect((object["long"] as? String)?.count == 1_025)
  }

  @Test func levelsAndLaziness() {
    var evaluated = false
    let text = logged(.text, level: .warning) { logger in
      func costly() -> String {
        evaluated = true
        return "x"
      }
      logger.info("a", costly())
      logger.error("a", "y")
    }
    #expect(!evaluated)
    #expect(text == "2024-01-06T16:00:00.250Z ERROR a y\n")
    #expect(LogLevel.debug < .info && LogLevel.warning < .error)
  }
}
