import Foundation
import Testing

@Suite("The chat example") struct ChatTests {
  @Test("two processes exchange a line")
  func chat() async throws {
    let first = try ChatProcess()
    defer { first.end() }
    let address = try await first.line { $0.hasPrefix("listening at ") }.dropFirst("listening at ".count)
    let second = try ChatProcess(String(address))
    defer { second.end() }
    _ = try await first.line { $0.hasSuffix("has joined") }
    _ = try await second.line { $0.hasSuffix("has joined") }
    try first.type("hello there")
    #expect(try await second.line { $0.hasSuffix(": hello there") }.count > 12)
    try second.type("and hello back")
    _ = try await first.line { $0.hasSuffix(": and hello back") }
    second.end()
    _ = try await first.line { $0.contains("has left: shutdown") }
  }
}

/// A running chat, typed to and listened to.
private struct ChatProcess {
  private let program: Program

  init(_ arguments: String...) throws {
    let tests = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    program = try Program(tests.deletingLastPathComponent().appending(path: "chat-example"), arguments, takesInput: true)
  }

  /// The next line that is wanted.
  func line(_ isWanted: (String) -> Bool) async throws -> String {
    try #require(try await program.line(where: isWanted), "the chat has ended")
  }

  func type(_ line: String) throws { try program.type(line) }

  /// Ends its input, upon which it leaves.
  func end() { program.closeInput() }
}
