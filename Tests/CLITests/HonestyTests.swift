import Foundation
import HTTPAPI
import TestKit
import Testing

/// What the program was started with it keeps to, and it doesn't say that it did what it didn't.
@Suite("Signals, output and files") struct HonestyTests {
  @Test(
    "a command whose output cannot be written fails", arguments: [["--version"], ["--help"], ["genesis", "--help"], ["keygen", "--json"]])
  func output(words: [String]) async throws {
    let folder = try Folder()
    let process = Process()
    process.executableURL = Starling.executable
    process.arguments = words
    process.currentDirectoryURL = folder.url
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: "/dev/full"))
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    try errors.fileHandleForWriting.close()
    let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 1 && text == "starling: the output could not be written: no space left on device\n", "\(text)")
  }

  @Test("a hang-up and an interrupt that are ignored at the start stay so, as under nohup")
  func ignoredSignals() async throws {
    let folder = try Folder()
    _ = try await Starling.run(["genesis", "--chain-id", "demo", "--authority", String(repeating: "ab", count: 32)], in: folder)
    let node = try RunningNode(
      ["--data-dir", "data", "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--http-port", "0", "--no-mdns", "--json"],
      in: folder, shell: "trap '' HUP INT")
    let ready = try JSONSerialization.jsonObject(with: Data(try #require(try await node.line()).utf8)) as? [String: Any]
    let id = node.process.processIdentifier
    let line = try String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8).split(separator: "\n").first { $0.hasPrefix("SigIgn:") }
    let ignored = try #require(line?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
    #expect(ignored & 0b11 == 0b11, "\(line ?? "")")
    for signal in [SIGHUP, SIGINT] { kill(id, signal) }
    let client = try HTTPClient(try #require(ready?["api"] as? String), timeout: patience)
    #expect(try client.request("GET", "/api/v1/node/info").status == 200)
    kill(id, SIGTERM)
    #expect(try await node.end() == 0)
  }

  @Test("a folder in place of a file is told, and traps nothing")
  func folders() async throws {
    let folder = try Folder()
    try folder.write(String(repeating: "t", count: 20), to: "token")
    let outcome = try await Starling.run(["book", "import", "/", "--token-file", "token", "--api", "http://127.0.0.1:9"], in: folder)
    #expect(outcome.status == 1 && outcome.errors == "starling: / cannot be read: illegal operation on a directory\n", "\(outcome.errors)")
    for words in [["node", "--config", "/"], ["node", "--genesis", "/"], ["sim", "--scenario", "/"], ["node", "--node-key", "/"]] {
      let outcome = try await Starling.run(words, in: folder)
      #expect([1, 64, 78].contains(outcome.status) && outcome.errors.contains("/"), "\(words): \(outcome.status) \(outcome.errors)")
    }
  }

  @Test("a simulation too short for a block ends with a report", arguments: ["1s", "2s", "5s"])
  func shortSimulation(time: String) async throws {
    let outcome = try await Starling.run(["sim", "--for", time, "--nodes", "10", "--json"], in: try Folder())
    #expect([0, 1].contains(outcome.status) && !outcome.json.isEmpty && !outcome.errors.contains("precondition"), "\(outcome.errors)")
  }
}
