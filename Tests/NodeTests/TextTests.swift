import Foundation
import Identity
import Testing

@testable import Node

/// Texts that people write are read in one way, wherever they stand.
@Suite struct TextTests {
  private static let mark: [UInt8] = [0xef, 0xbb, 0xbf]

  private func written(_ name: String, _ bytes: [UInt8], _ body: (String) throws -> Void) throws {
    let folder = NSTemporaryDirectory() + "starling-text-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data(bytes).write(to: URL(filePath: "\(folder)/\(name)"))
    try body("\(folder)/\(name)")
  }

  /// What a setting is read as, or the words of the fault, from each of the four places.
  private func readings(_ name: String, _ value: String, _ read: (NodeConfiguration) -> String) throws -> Set<String> {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    let json = String(decoding: try encoder.encode(value), as: UTF8.self)
    let key = try #require(NodeConfiguration.keys.first { $0.name == name })
    func attempt(_ body: () throws(ConfigurationError) -> NodeConfiguration) -> String {
      do throws(ConfigurationError) { return read(try body()) } catch { return error.problems.map(\.message).joined() }
    }
    let isList = if case .list = key.kind { true } else { false }
    return [
      attempt { () throws(ConfigurationError) in
        try NodeConfiguration.load(text: "\(name) = \(isList ? "[\(json)]" : json)", path: "n.toml")
      },
      attempt { () throws(ConfigurationError) in
        try NodeConfiguration.load(text: "\(name): \(isList ? "[\(json)]" : json)", path: "n.yaml")
      },
      attempt { () throws(ConfigurationError) in try NodeConfiguration.load(environment: [key.environment: value]) },
      attempt { () throws(ConfigurationError) in try NodeConfiguration.load(flags: [(key.flag, value)]) },
    ]
  }

  /// A file with a line break at the end of its only line, read into a variable, is the commonest of all: it once made a second identity.
  @Test func whiteSpaceRoundASettingMeansNothing() throws {
    for value in ["/tmp/k", " /tmp/k", "/tmp/k\n", "\t/tmp/k \r\n", "\n\n/tmp/k\n"] {
      #expect(try readings("node_key", value) { $0.resolvedNodeKeyFile } == ["/tmp/k"], "\(value.debugDescription)")
      #expect(try readings("data_dir", value) { $0.dataDirectory } == ["/tmp/k"])
    }
    #expect(try readings("network", "main\n") { $0.network } == ["main"])
    #expect(try readings("identity", " ip\n") { $0.identity.rawValue } == ["ip"])
    #expect(try readings("keep_alive", " 10s\n") { "\($0.keepAliveInterval)" } == ["10.0 seconds"])
    #expect(try readings("bootstrap_peers", " a:1\n") { $0.bootstrapPeers.joined(separator: "|") } == ["a:1"])
    #expect(try readings("admin_token", "0123456789abcdef\n") { $0.adminToken } == ["0123456789abcdef"])
    for (name, value, wanted) in [("max_peers", " 7\n", "7"), ("mdns", "true \n", "true"), ("connection_timeout", " 3\n", "3")] {
      let key = try #require(NodeConfiguration.keys.first { $0.name == name })
      #expect(key.show(try NodeConfiguration.load(environment: [key.environment: value])) == wanted)
      #expect(key.show(try NodeConfiguration.load(flags: [(key.flag, value)])) == wanted)
    }
  }

  @Test func aLineBreakInsideASettingIsRefusedEverywhere() throws {
    let wanted = "must not hold a line break or another control character"
    for value in ["/tmp/a\nb", "/tmp/a\u{1b}[2J"] {
      #expect(try readings("data_dir", value) { $0.dataDirectory } == [wanted], "\(value.debugDescription)")
    }
    #expect(try readings("seed_peers", "a:1\nb:2") { $0.seedPeers.joined() } == [wanted])
  }

  /// As `VARIABLE=` in a compose file leaves it.
  @Test func anEmptyVariableIsNone() throws {
    for key in NodeConfiguration.keys {
      let configuration = try NodeConfiguration.load(environment: [key.environment: " \n", "STARLING_CONFIG": ""])
      #expect(key.show(configuration) == key.show(NodeConfiguration()) && configuration.sources.isEmpty, "\(key.name)")
    }
  }

  @Test func onlyServiceLinksArePassedOver() throws {
    let links = [
      "STARLING_PORT": "tcp://10.0.0.1:9000", "STARLING_SERVICE_HOST": "10.0.0.1", "STARLING_SERVICE_PORT_HTTP": "1",
      "STARLING_PORT_9000_UDP_ADDR": "10.0.0.1", "STARLING_API_V2_PORT_80_TCP": "tcp://10.0.0.1:80",
      "STARLING_P2P_PORT": "udp://10.0.0.1:9000",
    ]
    let configuration = try NodeConfiguration.load(environment: links)
    #expect(configuration.ignoredVariables == links.keys.sorted() && configuration.sources.isEmpty)
    for (name, value) in [
      ("STARLING_PORT", "9000"), ("STARLING_PORT_X_TCP", "1"), ("STARLING_PORT_9000_TCP_HOST", "1"), ("STARLING_HOST_SERVICE", "1"),
      ("STARLING_P2P_PORT", "http://10.0.0.1"),
    ] {
      #expect(throws: ConfigurationError.self, "\(name)") { try NodeConfiguration.load(environment: [name: value]) }
    }
    #expect(try NodeConfiguration.load(environment: ["STARLING_HTTP_PORT": "7"]).httpPort == 7)
  }

  /// What an editor puts at the beginning of a file is no part of its first key.
  @Test func aByteOrderMarkIsDroppedEverywhere() throws {
    for (name, text) in [("n.toml", "network = 'm'"), ("n.yaml", "network: m"), ("n.json", #"{"network": "m"}"#)] {
      try written(name, Self.mark + Array(text.utf8)) {
        let network = try NodeConfiguration.load(files: [$0]).network
        #expect(network == "m")
      }
    }
    let genesis = #"{"chain_id":"c","genesis_time_ms":1,"authorities":["\#(String(repeating: "ab", count: 32))"]}"#
    try written("genesis.json", Self.mark + Array(genesis.utf8)) {
      let chain = try GenesisFile.read(path: $0).chainID
      #expect(chain == "c")
    }
    try written("token", Self.mark + Array("0123456789abcdef\r\n".utf8)) {
      let token = try AdminToken.read($0)
      #expect(token == "0123456789abcdef")
    }
    try written("map", Self.mark + Array("192.0.2.0/24 AS64500\n".utf8)) {
      let systems = try SystemsFile.read($0)
      #expect(systems.system(of: try #require(IPAddress("192.0.2.1"))) == 64_500)
    }
    let key = "/key/swarm/psk/1.0.0/\n/base16/\n" + String(repeating: "0a", count: 32)
    try written("swarm.key", Self.mark + Array(key.utf8)) { _ = try KeyFile.readNetworkKey($0) }
  }

  /// A file that an operator named as the token's may hold anything: what is wrong is said, and nobody is told to delete it.
  @Test func whatIsNoTokenIsTold() throws {
    for text in ["", "0123456789abcde", "0123456789abcdef 0123456789abcdef", "0123456789abcdef\n0123456789abcdef\n"] {
      try written("token", Array(text.utf8)) { path in
        let error = #expect(throws: KeyFile.Failure.self) { try AdminToken.read(path) }
        #expect(
          error?.description == "\(path) holds no admin token: 16 or more visible characters in one line, and nothing else", "\(text)")
      }
    }
  }

  @Test func whatIsNoTextIsToldWithItsPlace() throws {
    func fault(_ bytes: [UInt8]) -> String? {
      do throws(TextFile.Failure) {
        _ = try TextFile.text(bytes)
        return nil
      } catch {
        return "\(error.line): \(error)"
      }
    }
    #expect(fault([]) == nil && fault(Array("grün\n".utf8)) == nil)
    #expect(fault([0xff, 0xfe, 0x61, 0x00]) == "0: it is written in UTF-16; save it as UTF-8")
    #expect(fault(Array("a\nb\n".utf8) + [0xe4, 0x0a]) == "3: it is not UTF-8; save it as UTF-8")
    #expect(fault(Array("a\n".utf8) + [0xf0, 0x9f]) == "2: it is not UTF-8; save it as UTF-8")
    #expect(fault([0x61, 0x0a, 0x00]) == "2: a byte 0 stands where text belongs")
    try written("n.toml", Array("network = 'a'\n# ".utf8) + [0xe4]) { path in
      let error = #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(files: [path]) }
      #expect(error?.description == "\(path):2: it is not UTF-8; save it as UTF-8")
    }
  }
}
