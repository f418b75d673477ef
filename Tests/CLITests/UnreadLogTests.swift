import Foundation
import HTTPAPI
import TestKit
import Testing

/// A node whose output nobody reads goes on, answers and ends.
@Suite("Output that nobody reads") struct UnreadLogTests {
  /// A pipe that holds one page.
  private static func narrowPipe() -> Pipe {
    let pipe = Pipe()
    // F_SETPIPE_SZ
    #expect(fcntl(pipe.fileHandleForWriting.fileDescriptor, 1_031, 4_096) == 4_096)
    return pipe
  }

  private static func droppedLines(_ client: HTTPClient) throws -> Int {
    let text = String(decoding: try client.request("GET", "/metrics").body, as: UTF8.self)
    let line = text.split(separator: "\n").first { $0.hasPrefix("starling_log_lines_dropped_total ") }
    return try #require(line?.split(separator: " ").last.flatMap { Double($0) }.map { Int($0) })
  }

  @Test("a log that is not read holds up neither the API nor the end, and tells what is missing")
  func logIsNotRead() async throws {
    let folder = try Folder()
    let pipe = Self.narrowPipe()
    _ = try await Starling.run(["genesis", "--chain-id", "demo", "--authority", String(repeating: "ab", count: 32)], in: folder)
    let node = try RunningNode(
      ["--data-dir", "data", "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--http-port", "0", "--no-mdns", "--json"],
      in: folder, errors: pipe)
    let ready = try JSONSerialization.jsonObject(with: Data(try #require(try await node.line()).utf8)) as? [String: Any]
    let client = try HTTPClient(
      try #require(ready?["api"] as? String), token: try folder.text("data/admin.token").trimmingCharacters(in: .newlines),
      timeout: patience)
    // Each is a line of the log.
    func ban() throws {
      let body = BanRequest(subject: "203.0.113.7", reason: String(repeating: "\"", count: BanRequest.reasonBytesMaximum))
      let answer: OperationResponse = try client.post("/api/v1/node/bans", body)
      #expect(answer.result == "banned")
    }
    for number in 1...4_000 {
      try ban()
      if try number % 100 == 0 && Self.droppedLines(client) > 0 { break }
    }
    let dropped = try Self.droppedLines(client)
    #expect(dropped > 0)

    var text = ""
    var bytes = [UInt8](repeating: 0, count: 4_096)
    while !text.contains("lines are missing here") || !text.hasSuffix("\n") {
      // A handle's own methods wait for as much as they may bring.
      let count = read(pipe.fileHandleForReading.fileDescriptor, &bytes, bytes.count)
      try #require(count > 0)
      text += String(decoding: bytes[..<count], as: UTF8.self)
    }
    let told = text.split(separator: "\n").first { $0.contains("lines are missing here") }
    let missing = try #require(told?.split(separator: "=").last.flatMap { Int($0) })
    #expect(missing >= dropped, "\(told ?? "") of \(dropped)")

    // Nobody reads again, and it ends all the same.
    for _ in 1...20 { try ban() }
    kill(node.process.processIdentifier, SIGTERM)
    #expect(try await node.end() == 0)
    withExtendedLifetime(pipe) {}
  }

  @Test("a node ends although even its first line finds no room")
  func nothingIsRead() async throws {
    let folder = try Folder()
    let pipe = Self.narrowPipe()
    try pipe.fileHandleForWriting.write(contentsOf: Data(repeating: UInt8(ascii: "\n"), count: 4_096))
    _ = try await Starling.run(["genesis", "--chain-id", "demo", "--authority", String(repeating: "ab", count: 32)], in: folder)
    let process = Process()
    process.executableURL = Starling.executable
    process.arguments = ["node", "--data-dir", "data", "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--http-port", "0"]
    process.currentDirectoryURL = folder.url
    process.environment = [:]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = pipe
    process.standardError = pipe
    try process.start()
    defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
    // The last thing that the start makes.
    try await eventually("it has started") {
      !process.isRunning || FileManager.default.fileExists(atPath: folder.path("data/admin.token"))
    }
    kill(process.processIdentifier, SIGTERM)
    #expect(try await process.end() == 0)
    withExtendedLifetime(pipe) {}
  }
}
