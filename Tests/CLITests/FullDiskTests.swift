import Foundation
import HTTPAPI
import TestKit
import Testing

/// Writes that find no room, played with the process's own limit for files: nothing is called done that is not on the disk.
@Suite("A full disk") struct FullDiskTests {
  private static let words = [
    "--data-dir", "data", "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--http-port", "0", "--no-mdns", "--json",
  ]

  private static func prepared() async throws -> Folder {
    let folder = try Folder()
    _ = try await Starling.run(["genesis", "--chain-id", "demo", "--authority", String(repeating: "ab", count: 32)], in: folder)
    return folder
  }

  private static func client(_ node: RunningNode, in folder: Folder) async throws -> HTTPClient {
    let ready = try JSONSerialization.jsonObject(with: Data(try #require(try await node.line()).utf8)) as? [String: Any]
    return try HTTPClient(
      try #require(ready?["api"] as? String), token: try folder.text("data/admin.token").trimmingCharacters(in: .newlines),
      timeout: patience)
  }

  @Test("a ban that is answered as done outlives the node, and one that is not stored is told so")
  func bans() async throws {
    let folder = try await Self.prepared()
    let first = try RunningNode(Self.words, in: folder)
    _ = try await Self.client(first, in: folder)
    kill(first.process.processIdentifier, SIGTERM)
    #expect(try await first.end() == 0)
    let sizes = try ["data/store/data.mdb", "data/store/lock.mdb", "data/book"].map {
      try #require(try FileManager.default.attributesOfItem(atPath: folder.path($0))[.size] as? Int)
    }
    let node = try RunningNode(Self.words, in: folder, shell: "ulimit -S -f \(try #require(sizes.max()) / 1_024 + 8)")
    let client = try await Self.client(node, in: folder)
    var (done, refused): ([String], [String]) = ([], [])
    for number in 0..<4_000 where refused.count < 10 {
      let subject = "10.\(number / 256).\(number % 256).1"
      do {
        let answer: OperationResponse = try client.post(
          "/api/v1/node/bans", BanRequest(subject: subject, reason: String(repeating: "r", count: BanRequest.reasonBytesMaximum)))
        #expect(answer.result == "banned")
        done.append(subject)
      } catch {
        #expect(error.status == 507 && error.reason == "not_stored", "\(error)")
        refused.append(subject)
      }
    }
    #expect(done.count > 10 && refused.count == 10, "\(done.count) done, \(refused.count) refused")
    kill(node.process.processIdentifier, SIGKILL)
    _ = try await node.end()

    let again = try RunningNode(Self.words, in: folder)
    let rules: RulesResponse = try await Self.client(again, in: folder).get("/api/v1/node/rules")
    let kept = Set(rules.bans.map { $0.subject.split(separator: "/").first.map(String.init) ?? "" })
    #expect(done.filter { !kept.contains($0) } == [])
    #expect(refused.filter { kept.contains($0) } == [])
    kill(again.process.processIdentifier, SIGTERM)
    #expect(try await again.end() == 0)
  }

  @Test("a first start without room ends with a sentence, and a second one with room is a first one")
  func firstStart() async throws {
    let folder = try await Self.prepared()
    for blocks in [1, 4, 8, 12, 16, 20, 24] {
      let errors = Pipe()
      let node = try RunningNode(Self.words, in: folder, shell: "ulimit -S -f \(blocks)", errors: errors)
      if try await node.line()?.contains("\"event\":\"ready\"") ?? false {
        #expect(blocks > 16, "\(blocks) KiB are room enough")
        kill(node.process.processIdentifier, SIGTERM)
      }
      let status = try await node.end()
      try errors.fileHandleForWriting.close()
      let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
      #expect(node.process.terminationReason == .exit && (status == 1 || blocks > 16 && status == 0), "\(blocks): \(status) \(text)")
      if status == 1 { #expect(text.contains("starling: "), "\(blocks): \(text)") }
    }
    let node = try RunningNode(Self.words, in: folder)
    _ = try await Self.client(node, in: folder)
    kill(node.process.processIdentifier, SIGTERM)
    #expect(try await node.end() == 0)
  }

  /// A file with holes that is mapped into memory: the room is found missing by a fatal signal.
  @Test("a first start on a file system without room ends with a sentence", .enabled(if: canMount))
  func fullFileSystem() async throws {
    let folder = try await Self.prepared()
    try FileManager.default.createDirectory(at: folder.url.appending(path: "data"), withIntermediateDirectories: true)
    for pages in 1...16 {
      // The key and the store's own first files take the room in turn.
      let script =
        "mount -t tmpfs -o size=\(pages * 4)k none data && exec timeout -s KILL 120 \"$0\" node --data-dir data --genesis genesis.json"
        + " --listen /ip4/127.0.0.1/tcp/0 --no-http --no-mdns --until-stdin-closes < /dev/null"
      let end = try Starling.end(of: "/usr/bin/unshare", ["-m", "/bin/bash", "-c", script, Starling.executable.path], in: folder)
      #expect(!end.isTrap && [0, 1].contains(end.status) && (end.status == 0 || end.errors.contains("starling: ")), "\(pages): \(end)")
    }
  }

  /// Whether this process may mount something where nobody else sees it.
  static let canMount: Bool = {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/unshare")
    process.arguments = ["-m", "mount", "-t", "tmpfs", "-o", "size=64k", "none", "/mnt"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.start()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  @Test("genesis and keygen leave nothing behind where they find no room", arguments: ["genesis", "keygen"])
  func files(command: String) async throws {
    let folder = try Folder()
    let authorities = (10..<40).flatMap { ["--authority", String(repeating: "\($0)", count: 32)] }
    let words = command == "genesis" ? ["genesis", "--chain-id", "demo"] + authorities : ["keygen"]
    let script = "ulimit -f \(command == "genesis" ? 1 : 0); exec \"$0\" \"$@\""
    let end = try Starling.end(of: "/bin/bash", ["-c", script, Starling.executable.path] + words + ["--out", "made"], in: folder)
    #expect(!end.isTrap && end.status == 1 && end.errors.contains("cannot be written"), "\(end)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
    // With room the same command makes it.
    #expect(try await Starling.run(words + ["--out", "made"], in: folder).status == 0)
    #expect(try await Starling.run(words + ["--out", "made"], in: folder).errors.contains("exists already"))
    #expect(try folder.mode("made") == (command == "genesis" ? 0o644 : 0o600))
  }
}
