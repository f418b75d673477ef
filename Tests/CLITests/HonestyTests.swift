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
    let full = try FileHandle(forWritingTo: URL(filePath: "/dev/full"))
    let end = try Starling.end(of: Starling.executable.path, words, in: folder, output: full)
    #expect(end.status == 1 && end.errors == "starling: the output could not be written: no space left on device\n", "\(end)")
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
    #expect(
      outcome.status == 1 && outcome.errors == "starling: /: it cannot be read: illegal operation on a directory\n", "\(outcome.errors)")
    for words in [["node", "--config", "/"], ["node", "--genesis", "/"], ["sim", "--scenario", "/"], ["node", "--node-key", "/"]] {
      let outcome = try await Starling.run(words, in: folder)
      #expect([1, 64, 78].contains(outcome.status) && outcome.errors.contains("/"), "\(words): \(outcome.status) \(outcome.errors)")
    }
  }

  @Test("Kubernetes' variables of its services are no settings")
  func serviceLinks() async throws {
    let folder = try Folder()
    let links = [
      "STARLING_PORT": "tcp://10.96.7.1:9000", "STARLING_SERVICE_HOST": "10.96.7.1", "STARLING_SERVICE_PORT": "9000",
      "STARLING_SERVICE_PORT_P2P": "9000", "STARLING_PORT_9000_TCP": "tcp://10.96.7.1:9000", "STARLING_PORT_9000_TCP_PROTO": "tcp",
      "STARLING_PORT_9000_TCP_PORT": "9000", "STARLING_PORT_9000_TCP_ADDR": "10.96.7.1", "STARLING_HTTP_PORT": "tcp://10.96.7.2:8545",
    ]
    // It gets as far as the genesis, which is not there.
    let outcome = try await Starling.run(["node", "--data-dir", "data"], in: folder, environment: links)
    #expect(
      outcome.status == 78 && outcome.errors.contains("data/genesis.json") && !outcome.errors.contains("STARLING_"), "\(outcome.errors)")
    let mistyped = try await Starling.run(["node"], in: folder, environment: ["STARLING_PROT": "9000"])
    #expect(mistyped.status == 78 && mistyped.errors.contains("environment STARLING_PROT: unknown variable"), "\(mistyped.errors)")
  }

  @Test("a simulation too short for a block ends with a report", arguments: ["1s", "2s", "5s"])
  func shortSimulation(time: String) async throws {
    let outcome = try await Starling.run(["sim", "--for", time, "--nodes", "10", "--json"], in: try Folder())
    #expect([0, 1].contains(outcome.status) && !outcome.json.isEmpty && !outcome.errors.contains("precondition"), "\(outcome.errors)")
  }
}

/// What the program says of mistakes, before they cost time, and to scripts.
@Suite("Mistakes") struct MistakeTests {
  @Test("a report that could not be written is refused before the simulation")
  func reportFolder() async throws {
    let folder = try Folder()
    for (path, words) in [("absent/page.html", "there is no folder"), (".", "cannot be written")] {
      // Were it noticed behind the simulation, the call would not end in time.
      let outcome = try await Starling.run(["sim", "--scenario", "wan-1000", "--for", "1h", "--report", path], in: folder)
      #expect(outcome.status == 1 && outcome.errors.contains("--report: ") && outcome.errors.contains(words), "\(outcome.errors)")
    }
  }

  @Test("a simulation in which nobody had time to start is not called broken", arguments: ["500ms", "1s", "3s"])
  func tooShort(time: String) async throws {
    let outcome = try await Starling.run(["sim", "--for", time, "--nodes", "10"], in: try Folder())
    #expect(outcome.status == 0 && outcome.output.contains("Too short to judge how it ends"), "\(outcome.output)")
  }

  @Test("a single simulation shows how far it is on a terminal")
  func progress() async throws {
    let folder = try Folder()
    let command = "\(Starling.executable.path) sim --nodes 8 --for 12s"
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/script")
    process.arguments = ["-qec", command, folder.path("typescript")]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.start()
    process.waitUntilExit()
    let text = try folder.text("typescript")
    #expect(text.contains("0 of 12 s simulated, 8 nodes") && text.contains("6 of 12 s simulated"), "\(text.suffix(500))")
  }

  @Test(
    "a failure is JSON where JSON was asked for",
    arguments: [
      (["status", "--json", "--api", "http://127.0.0.1:9"], 1, "failed"), (["peers", "--json", "--bogus"], 64, "usage"),
      (["node", "--json", "--config", "absent.toml"], 78, "configuration"), (["sim", "--json", "--nodes", "x"], 64, "usage"),
      (["keygen", "--json", "--seed", "zz"], 64, "usage"), (["ping", "127.0.0.1:9", "--json"], 1, "failed"),
    ])
  func failures(words: [String], status: Int32, code: String) async throws {
    let outcome = try await Starling.run(words, in: try Folder())
    let error = outcome.json["error"] as? [String: Any]
    #expect(outcome.status == status && outcome.json["exit_code"] as? Int == Int(status), "\(outcome)")
    #expect(error?["code"] as? String == code && (error?["message"] as? String)?.isEmpty == false && !outcome.errors.isEmpty, "\(outcome)")
    let plain = try await Starling.run(words.filter { $0 != "--json" }, in: try Folder())
    #expect(plain.status == status && plain.output.isEmpty, "\(plain)")
  }

  @Test("HOST:PORT is as good as a multiaddr, and SIGHUP has the settings read again")
  func hostAndPort() async throws {
    let folder = try Folder()
    _ = try await Starling.run(["genesis", "--chain-id", "demo", "--authority", String(repeating: "ab", count: 32)], in: folder)
    try folder.write("log_level = 'info'\n", to: "node.toml")
    let node = try RunningNode(
      [
        "--config", "node.toml", "--data-dir", "data", "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--no-http",
        "--no-mdns", "--json",
      ], in: folder, shell: "trap - HUP", errors: try folder.file("log"))
    let ready = try JSONSerialization.jsonObject(with: Data(try #require(try await node.line()).utf8)) as? [String: Any]
    let address = try #require((ready?["addresses"] as? [String])?.first).split(separator: "/")
    for place in ["127.0.0.1:\(address[3])", "localhost:\(address[3])"] {
      let pinged = try await Starling.run(["ping", place, "--count", "1", "--json"], in: folder)
      #expect(pinged.status == 0 && pinged.json["peer_id"] as? String == ready?["peer_id"] as? String, "\(place): \(pinged)")
    }
    func until(_ text: String) async throws {
      try await eventually("the log says \(text): \(try folder.text("log"))") { try folder.text("log").contains(text) }
    }
    try folder.write("log_level = 'debug'\nmax_peers = 7\nmin_outbound = 1\nmax_outbound = 2\n", to: "node.toml")
    kill(node.process.processIdentifier, SIGHUP)
    try await until("applied=log_level waiting=")
    try folder.write("log_level = 'loud'\n", to: "node.toml")
    kill(node.process.processIdentifier, SIGHUP)
    try await until("the configuration cannot be read again; nothing was changed")
    kill(node.process.processIdentifier, SIGTERM)
    #expect(try await node.end() == 0)
  }
}
