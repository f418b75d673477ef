import Foundation
import TestKit
import Testing

@Suite("The command line") struct CommandLineTests {
  @Test(
    "a wrong call ends with 64 and says what was meant",
    arguments: [
      ("sned", "did you mean send?"), ("status --ap x", "did you mean --api?"), ("genesis --chain-id a", "--authority is missing"),
      ("genesis --chain-id a --authority zz", "not an address"), ("keygen --seed 12", "64 hexadecimal digits"),
      ("send --key k --to 12 --amount 1", "not an address"), ("send --key k --set a=b --delete a", "exclude each other"),
      ("send --key k", "give one of --to, --set and --delete"), ("ping", "ADDRESS is missing"), ("ping nonsense", "multiaddr"),
      ("ping /ip4/127.0.0.1/tcp/1/ws", "/ws behind the TCP port is not supported"),
      ("identify /ip4/127.0.0.1/udp/5", "/udp is not supported"),
      ("ping /ip4/127.0.0.1/tcp/1 --count 0", "whole number from 1"), ("status --api ftp://x", "not an address such as http://"),
      ("localnet --nodes 2", "from 3 to 20"), ("localnet --json", "--json is for --check"),
      ("localnet --block-time 5y", "must be between 100ms and 1m, not '5y'"),
      ("torture --kills many", "whole number"), ("status extra", "unexpected argument"), ("--nodes 5", "options come after"),
    ] as [(String, String)])
  func wrongCall(_ words: String, _ expected: String) async throws {
    let outcome = try await Starling.run(words.split(separator: " ").map(String.init), in: Folder())
    #expect(outcome.status == 64)
    #expect(outcome.errors.contains(expected), "\(outcome.errors)")
    #expect(outcome.output.isEmpty != words.contains("--json"))
  }

  @Test("help and version go to standard output and end with 0")
  func help() async throws {
    let folder = try Folder()
    let version = try await Starling.run(["--version"], in: folder)
    #expect(version.status == 0 && version.output.hasPrefix("starling "))
    for words in [["--help"], ["help", "localnet"], ["node", "--help"], ["send", "--help"]] {
      let outcome = try await Starling.run(words, in: folder)
      #expect(outcome.status == 0 && outcome.output.contains("Usage: starling"), "\(words)")
      #expect(outcome.errors.isEmpty)
    }
    let bare = try await Starling.run([], in: folder)
    #expect(bare.status == 64 && bare.errors.contains("Exit codes"))
  }

  @Test("Docs/cli.md is what the program says of itself")
  func reference() async throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let outcome = try await Starling.run(["reference"], in: Folder())
    let page = try String(contentsOf: root.appending(path: "Docs/cli.md"), encoding: .utf8)
    #expect(outcome.output == page, "write it again: starling reference > Docs/cli.md")
  }
}

@Suite("Keys and genesis") struct FileTests {
  @Test("a key is the owner's alone and never overwritten")
  func keygen() async throws {
    let folder = try Folder()
    let seed = String(repeating: "01", count: 32)
    let made = try await Starling.run(["keygen", "--out", "a.key", "--seed", seed, "--json"], in: folder)
    #expect(made.status == 0, "\(made.errors)")
    #expect(made.json["peer_id"] as? String == "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5")
    #expect((made.json["address"] as? String)?.count == 64)
    #expect(try folder.mode("a.key") == 0o600)
    let before = try Data(contentsOf: URL(filePath: folder.path("a.key")))
    let again = try await Starling.run(["keygen", "--out", "a.key"], in: folder)
    #expect(again.status == 1 && again.errors.contains("never overwritten"))
    #expect(try Data(contentsOf: URL(filePath: folder.path("a.key"))) == before)
    let other = try await Starling.run(["keygen", "--json"], in: folder)
    #expect(other.json["peer_id"] as? String != made.json["peer_id"] as? String)
  }

  @Test("a genesis names its hash and is never overwritten")
  func genesis() async throws {
    let folder = try Folder()
    let address = String(repeating: "ab", count: 32)
    let words = [
      "genesis", "--chain-id", "demo", "--authority", address, "--balance", "\(address)=5", "--time", "1000", "--block-time", "2s",
    ]
    let made = try await Starling.run(words + ["--json"], in: folder)
    #expect(made.status == 0, "\(made.errors)")
    #expect((made.json["genesis_hash"] as? String)?.count == 64)
    let text = try folder.text("genesis.json")
    #expect(text.contains("\"block_time_ms\" : 2000") && text.contains("\"genesis_time_ms\" : 1000"))
    let again = try await Starling.run(words, in: folder)
    #expect(again.status == 1 && again.errors.contains("exists already"))
    #expect(try folder.text("genesis.json") == text)
    let elsewhere = try await Starling.run(words + ["--out", "second.json", "--json"], in: folder)
    #expect(elsewhere.json["genesis_hash"] as? String == made.json["genesis_hash"] as? String)
  }
}

@Suite("One node") struct NodeCommandTests {
  @Test("a wrong configuration ends with 78 and names file, line and key")
  func configuration() async throws {
    let folder = try Folder()
    try folder.write("network = \"x\"\nmax_peer = 5\nhttp_port = 99999\n", to: "node.toml")
    let outcome = try await Starling.run(["node", "--config", "node.toml"], in: folder)
    #expect(outcome.status == 78)
    #expect(outcome.errors.contains("node.toml:2:1: max_peer: unknown key; did you mean max_peers?"), "\(outcome.errors)")
    #expect(outcome.errors.contains("node.toml:3:1: http_port: "), "\(outcome.errors)")
    let variable = try await Starling.run(["node"], in: folder, environment: ["STARLING_MAX_PEERS": "none"])
    #expect(variable.status == 78 && variable.errors.contains("STARLING_MAX_PEERS"))
    let flag = try await Starling.run(["node", "--min-outbound", "9", "--max-outbound", "3"], in: folder)
    #expect(flag.status == 78 && flag.errors.contains("min_outbound (9) must not be above max_outbound (3)"))
    let genesis = try await Starling.run(["node", "--data-dir", "data"], in: folder)
    #expect(genesis.status == 78 && genesis.errors.contains("data/genesis.json"), "\(genesis.errors)")
  }

  @Test("nobody there ends with 1")
  func notReachable() async throws {
    let folder = try Folder()
    for command in ["status", "health", "peers"] {
      let outcome = try await Starling.run([command, "--api", "http://127.0.0.1:9", "--json"], in: folder)
      #expect(outcome.status == 1 && outcome.errors.contains("connection refused"), "\(outcome.errors)")
      #expect((outcome.json["error"] as? [String: Any])?["code"] as? String == "failed", "\(outcome.output)")
    }
    let ping = try await Starling.run(["ping", "/ip4/127.0.0.1/tcp/9"], in: folder)
    #expect(ping.status == 1 && ping.errors.contains("connection refused"), "\(ping.errors)")
  }

  @Test("a lone authority runs, is asked, takes a transaction, and ends on SIGTERM with its ports free")
  func node() async throws {
    let folder = try Folder()
    let key = try await Starling.run(["keygen", "--out", "authority.key", "--json"], in: folder)
    let address = try #require(key.json["address"] as? String)
    let genesis = try await Starling.run(
      ["genesis", "--chain-id", "demo", "--authority", address, "--balance", "\(address)=1000", "--block-time", "200ms"], in: folder)
    #expect(genesis.status == 0)
    let options = [
      "--data-dir", "data", "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--http-port", "0", "--node-type", "authority",
      "--producer-key", "authority.key", "--allow-loopback", "--json",
    ]
    let node = try RunningNode(options, in: folder)
    let line = try #require(try await node.line())
    let ready = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    #expect(ready["event"] as? String == "ready")
    let api = try #require(ready["api"] as? String)
    let listening = try #require((ready["addresses"] as? [String])?.first)
    let peerID = try #require(ready["peer_id"] as? String)
    #expect(listening.hasSuffix("/p2p/" + peerID))
    let ports = try [#require(UInt16(api.split(separator: ":").last ?? "")), #require(UInt16(listening.split(separator: "/")[3]))]
    #expect(ports.allSatisfy { !isFree($0) })

    // Without a peer the node is isolated, which is not healthy.
    let health = try await Starling.run(["health", "--api", api], in: folder)
    #expect(health.status == 2 && health.output.hasPrefix("isolated"), "\(health.output)\(health.errors)")
    let status = try await Starling.run(["status", "--api", api, "--json"], in: folder)
    #expect(status.status == 2 && (status.json["node"] as? [String: Any])?["peer_id"] as? String == peerID, "\(status.errors)")
    let text = try await Starling.run(["status", "--api", api], in: folder)
    #expect(text.output.contains(peerID) && text.output.contains("chain demo"))
    let peers = try await Starling.run(["peers", "--api", api], in: folder)
    #expect(peers.status == 0 && peers.output.hasPrefix("No peers"))
    let sent = try await Starling.run(
      ["send", "--key", "authority.key", "--set", "colour=blue", "--wait", "--json", "--api", api], in: folder)
    #expect(sent.status == 0 && sent.json["status"] as? String == "confirmed", "\(sent.errors)\(sent.output)")
    let refused = try await Starling.run(["send", "--key", "authority.key", "--to", address, "--amount", "5000", "--api", api], in: folder)
    #expect(refused.status == 1 && refused.errors.contains("balance"), "\(refused.errors)")

    let ping = try await Starling.run(["ping", listening, "--count", "2", "--json"], in: folder)
    #expect(ping.status == 0 && (ping.json["rtt_ms"] as? [Double])?.count == 2, "\(ping.errors)")
    #expect(ping.json["peer_id"] as? String == peerID)
    let identify = try await Starling.run(["identify", listening, "--json"], in: folder)
    #expect(identify.status == 0 && (identify.json["agent"] as? String)?.hasPrefix("starling/") == true, "\(identify.errors)")

    kill(node.process.processIdentifier, SIGTERM)
    #expect(try await node.end() == 0)
    #expect(ports.allSatisfy(isFree))
  }
}

@Suite("The local network", .serialized) struct LocalnetTests {
  @Test("proves itself and leaves nothing behind")
  func check() async throws {
    let folder = try Folder()
    let outcome = try await Starling.run(["localnet", "--check", "--json"], in: folder, limit: patience * 5)
    #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
    #expect(outcome.json["ok"] as? Bool == true)
    #expect(outcome.json["nodes"] as? Int == 6)
    #expect((outcome.json["transactions"] as? Int ?? 0) > 50)
    #expect((outcome.json["findings"] as? [Any])?.count == 6)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.url.path).filter { $0.hasPrefix("starling-") }
    #expect(left.isEmpty)
  }

  @Test("loses nothing when nodes are killed again and again")
  func torture() async throws {
    let outcome = try await Starling.run(["torture", "--kills", "20", "--json"], in: Folder(), limit: patience * 5)
    #expect(outcome.status == 0, "\(outcome.errors)\(outcome.output)")
    #expect(outcome.json["ok"] as? Bool == true)
    #expect(outcome.json["kills"] as? Int == 20)
  }

  @Test("its processes end when it is killed")
  func orphans() async throws {
    let folder = try Folder()
    let process = Process()
    process.executableURL = Starling.executable
    process.arguments = ["localnet", "--keep", folder.path("net")]
    process.environment = [:]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.start()
    var ports: [UInt16] = []
    try await eventually("five nodes listen; there are \(ports.count)") {
      ports = (1...5).compactMap { number in
        guard let text = try? folder.text("net/node\(number)/node.toml") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("http_port") }
        return line.flatMap { UInt16($0.split(separator: " ").last ?? "") }
      }
      return ports.count == 5 && !ports.contains(where: isFree)
    }
    kill(process.processIdentifier, SIGKILL)
    try await eventually("the nodes have ended") { ports.allSatisfy(isFree) }
  }
}
