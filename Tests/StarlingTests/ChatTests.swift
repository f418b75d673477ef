import Foundation
import Starling
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
private final class ChatProcess: @unchecked Sendable {
  private let process = Process()
  private let input = Pipe()
  private let lines: AsyncStream<String>

  init(_ arguments: String...) throws {
    let output = Pipe()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appending(path: "chat-example")
    process.arguments = arguments
    process.standardInput = input
    process.standardOutput = output
    let (lines, continuation) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(1000))
    self.lines = lines
    try process.run()
    Thread.detachNewThread {
      var rest = Data()
      while true {
        let part = output.fileHandleForReading.availableData
        if part.isEmpty { break }
        rest += part
        while let end = rest.firstIndex(of: 10) {
          continuation.yield(String(decoding: rest[..<end], as: UTF8.self))
          rest = Data(rest[(end + 1)...])
        }
      }
      continuation.finish()
    }
  }

  /// The next line that is wanted.
  func line(_ isWanted: @escaping @Sendable (String) -> Bool) async throws -> String {
    let line = try await within("the chat prints a line that is wanted") { [lines] in await lines.first(where: isWanted) }
    return try #require(line, "the chat has ended")
  }

  func type(_ line: String) throws { try input.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8)) }

  /// Ends its input, upon which it leaves.
  func end() { try? input.fileHandleForWriting.close() }
}
