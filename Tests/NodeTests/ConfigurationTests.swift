import Foundation
import Testing

@testable import Node

@Suite struct ConfigurationTests {
  /// The faults of a text, without the file's name.
  private func faults(_ text: String, _ path: String = "n.toml") -> [String] {
    do throws(ConfigurationError) {
      _ = try NodeConfiguration.load(text: text, path: path)
      return []
    } catch {
      return error.problems.map { $0.description.replacingOccurrences(of: path, with: "") }
    }
  }

  @Test func defaults() throws {
    let configuration = try NodeConfiguration.load()
    #expect(configuration.listen == ["/ip4/0.0.0.0/tcp/9000"])
    #expect((configuration.maxPeers, configuration.minOutbound, configuration.maxOutbound) == (50, 8, 16))
    #expect((configuration.httpBind, configuration.httpPort) == ("127.0.0.1", 8_545))
    #expect(configuration.resolvedNodeKeyFile == "starling-data/node.key")
    #expect(configuration.sources.isEmpty)
  }

  /// S2's file as its document writes it.
  @Test func seedPeersFile() throws {
    let text = """
      # Bootstrap peers (not authorities!)
      seed_peers = [
          "node1.example.com:7071",
          "node2.example.com:7071",
          "192.168.1.100:7071",
      ]

      # Connection parameters
      min_outbound_connections = 4
      max_outbound_connections = 12
      connection_timeout_seconds = 7
      reconnection_interval_seconds = 20
      max_failed_dials = 7
      """
    let configuration = try NodeConfiguration.load(text: text, path: "seed_peers.toml")
    #expect(configuration.seedPeers == ["node1.example.com:7071", "node2.example.com:7071", "192.168.1.100:7071"])
    #expect((configuration.minOutbound, configuration.maxOutbound) == (4, 12))
    #expect(configuration.connectionTimeout == .seconds(7))
    #expect(configuration.reconnectionInterval == .seconds(20))
    #expect(configuration.core(producer: nil).host.peering.failuresMaximum == 7)
    #expect(configuration.sources["max_outbound"] == .file(path: "seed_peers.toml", line: 10, column: 1))
    #expect(try NodeConfiguration.load(text: "seed_peers = []", path: "s.toml").seedPeers == [])
  }

  /// One setting alone is no contradiction to defaults.
  @Test(arguments: [("max_peers = 9", 8, 9), ("max_peers = 3", 3, 3), ("min_outbound = 20", 20, 20), ("max_outbound = 4", 4, 4)])
  func defaultsGiveWay(text: String, minimum: Int, maximum: Int) throws {
    let configuration = try NodeConfiguration.load(text: text, path: "n.toml")
    #expect((configuration.minOutbound, configuration.maxOutbound) == (minimum, maximum))
  }

  /// S4's file as its document writes it.
  @Test func bootstrapFile() throws {
    let text = """
      # P2P Network Settings
      p2p_port: 9005                    # Port to listen on
      p2p_bind_addr: "0.0.0.0"          # Bind address
      bootstrap_peers:                   # Initial peers
        - "192.168.1.10:9000"
        - 192.168.1.11:9001
      max_peers: 40                      # Maximum connections
      """
    let configuration = try NodeConfiguration.load(text: text, path: "node.yaml")
    #expect(configuration.listen == ["/ip4/0.0.0.0/tcp/9005"])
    #expect(configuration.bootstrapPeers == ["192.168.1.10:9000", "192.168.1.11:9001"])
    #expect(configuration.maxPeers == 40)
    #expect(configuration.sources["max_peers"] == .file(path: "node.yaml", line: 7, column: 1))
    #expect(try NodeConfiguration.load(text: "p2p_bind_addr: ::1", path: "n.yml").listen == ["/ip6/::1/tcp/9000"])
    for empty in ["", "# nothing\n", "---\n", "bootstrap_peers:\n"] { #expect(faults(empty, "n.yaml") == []) }
    #expect(try NodeConfiguration.load(text: #"{"max_peers": 30, "http": false}"#, path: "n.json").maxPeers == 30)
  }

  @Test(arguments: [
    ("max_peer = 3", [":1:1: max_peer: unknown key; did you mean max_peers?"]),
    ("\n  zebra = 3", [":2:3: zebra: unknown key"]),
    ("[section]\nx = 1", [":1:2: section: unknown key"]),
    ("network = 'a'\n\n[section.deeper]\nmax_peers = 1", [":3:2: section: unknown key"]),
    ("\"max_peers\" = 'x'", [#":1:1: max_peers: must be a whole number from 1 to 10000, not "x""#]),
    ("max_peers = 0", [":1:1: max_peers: must be a whole number from 1 to 10000, not 0"]),
    ("max_peers = 1.5", [":1:1: max_peers: must be a whole number from 1 to 10000, not a number with a fraction"]),
    ("max_failed_dials = 0", [":1:1: max_failed_dials: must be a whole number from 1 to 200, not 0"]),
    ("http = 1", [":1:1: http: must be true or false, not 1"]),
    ("network = true", [":1:1: network: must be a text, not true or false"]),
    ("network = 'a b'", [":1:1: network: must be 1 to 64 letters, digits, '-', '_' or '.'"]),
    ("node_type = 'ful'", [#":1:1: node_type: must be one of authority, full, not "ful"; did you mean full?"#]),
    ("listen = '/ip4/0.0.0.0/tcp/1'", [#":1:1: listen: must be a list of texts, not "/ip4/0.0.0.0/tcp/1""#]),
    ("listen = ['0.0.0.0:9000']", [#":1:1: listen: entry 1: "0.0.0.0:9000" must be a multiaddr such as /ip4/0.0.0.0/tcp/9000"#]),
    ("seed_peers = [\n'a:1',\n7]", [":1:1: seed_peers: entry 2 must be a text, not a whole number"]),
    (
      "peers = ['/ip4/192.0.2.1/tcp/9000/p2p/12D3KooWMUfWLpVhgEm3YmQ9PiFd1dRk2D2s8Yg58DZZBEJGPo']",
      [
        #":1:1: peers: entry 1: "/ip4/192.0.2.1/tcp/9000/p2p/12D3KooWMUfWLpVhgEm3YmQ9PiFd1dRk2D2s8Yg58DZZBEJGPo" must be a multiaddr such as /ip4/192.0.2.1/tcp/9000: /p2p: bad peer ID: neither an identity nor a SHA-256 multihash"#
      ]
    ),
    ("seed_peers = ['a:0']", [#":1:1: seed_peers: entry 1: "a:0" must be a multiaddr or host:port"#]),
    (
      "listen = ['/ip4/0.0.0.0/tcp/1/ws']",
      [
        #":1:1: listen: entry 1: "/ip4/0.0.0.0/tcp/1/ws" must be a multiaddr such as /ip4/0.0.0.0/tcp/9000: /ws behind the TCP port is not supported"#
      ]
    ),
    (
      "peers = ['/ip6zone/eth0/ip6/fe80::1/tcp/1']",
      [
        #":1:1: peers: entry 1: "/ip6zone/eth0/ip6/fe80::1/tcp/1" must be a multiaddr such as /ip4/192.0.2.1/tcp/9000: addresses of one interface only (/ip6zone) are not supported"#
      ]
    ),
    (
      "peers = ['/dnsaddr/a.b/tcp/1']",
      [
        #":1:1: peers: entry 1: "/dnsaddr/a.b/tcp/1" must be a multiaddr such as /dnsaddr/example.org"#
      ]
    ),
    (
      "allowed_networks = ['::ffff:10.0.0.0/95']",
      [#":1:1: allowed_networks: entry 1: "::ffff:10.0.0.0/95" must be a network such as 10.0.0.0/8"#]
    ),
    (
      "listen = ['/dns4/a.b/tcp/1']",
      [#":1:1: listen: entry 1: "/dns4/a.b/tcp/1" must be a multiaddr such as /ip4/0.0.0.0/tcp/9000: an IP address is needed, not a name"#]
    ),
    (
      "network = 'a'\nannounce = ['/ip4/1.2.3.4/tpc/1']\nseed_peers = ['a:1', '/ip4/1.2.3.4/udp/1']",
      [
        #":2:1: announce: entry 1: "/ip4/1.2.3.4/tpc/1" must be a multiaddr such as /ip4/192.0.2.1/tcp/9000"#,
        #":3:1: seed_peers: entry 2: "/ip4/1.2.3.4/udp/1" must be a multiaddr such as /ip4/192.0.2.1/tcp/9000: /udp is not supported; a host is followed by /tcp and a port"#,
      ]
    ),
    (
      "bootstrap_peers = ['/ip4/1.2.3/tcp/1']",
      [#":1:1: bootstrap_peers: entry 1: "/ip4/1.2.3/tcp/1" must be a multiaddr such as /ip4/192.0.2.1/tcp/9000"#]
    ),
    ("dns_seeds = ['/dnsaddr/']", [#":1:1: dns_seeds: entry 1: "/dnsaddr/" must be a multiaddr such as /dnsaddr/example.org"#]),
    ("keep_alive = '1d'", [#":1:1: keep_alive: must be seconds from 0.001 to 3600, or a text such as "10s", not "1d""#]),
    ("connection_timeout = 0", [#":1:1: connection_timeout: must be seconds from 0.001 to 300, or a text such as "10s", not 0"#]),
    ("admin_token = 'short'", [":1:1: admin_token: must have at least 16 visible characters"]),
    ("http_bind = 'localhost'", [#":1:1: http_bind: "localhost" is not an IP address"#]),
    (
      "min_outbound = 3\nmin_outbound_connections = 3",
      [":2:1: min_outbound_connections: says the same as min_outbound (:1:1); keep one of them"]
    ),
    ("listen = []\np2p_port = 9000", [":2:1: p2p_port: contradicts listen; keep one of them"]),
    ("min_outbound = 20\nmax_outbound = 16", [":1:1: min_outbound: min_outbound (20) must not be above max_outbound (16)"]),
    ("max_outbound = 16\nmax_peers = 9", [":1:1: max_outbound: max_outbound (16) must not be above max_peers (9)"]),
    ("node_type = 'authority'", [":1:1: node_type: node_type authority needs producer_key"]),
    ("producer_key = 'k'", [":1:1: producer_key: producer_key is for node_type authority"]),
    (
      "max_peer = 3\nnetwork = 1\nhttp_port = 70000",
      [
        ":1:1: max_peer: unknown key; did you mean max_peers?", ":2:1: network: must be a text, not 1",
        ":3:1: http_port: must be a whole number from 0 to 65535, not 70000",
      ]
    ),
  ])
  func tomlFaults(text: String, wanted: [String]) { #expect(faults(text) == wanted) }

  @Test(arguments: [
    ("max_peer: 3", [":1:1: max_peer: unknown key; did you mean max_peers?"]),
    ("network: x\nmax_peers: many", [#":2:1: max_peers: must be a whole number from 1 to 10000, not "many""#]),
    ("max_peers: \"30\"", [#":1:1: max_peers: must be a whole number from 1 to 10000, not "30""#]),
    ("network: 7", [":1:1: network: must be a text, not 7"]),
    ("http: ~", [":1:1: http: must be true or false, not nothing"]),
    ("listen: {a: b}", [":1:1: listen: must be a list of texts, not a table"]),
    ("- a\n- b", [":1:1: the file must be a list of 'key: value' lines"]),
    ("a: &x 1\nnetwork: *x", [":2:1: network: aliases and nested keys are not supported here"]),
  ])
  func yamlFaults(text: String, wanted: [String]) { #expect(faults(text, "n.yaml") == wanted) }

  @Test func syntaxErrorsNameThePlace() {
    let toml = faults("network = 'a'\nmax_peers = = 3")
    #expect(toml.count == 1 && toml[0].hasPrefix(":2:13"))
    let yaml = faults("network: a\n  max_peers: [1, 2\n", "n.yaml")
    #expect(yaml.count == 1 && yaml[0].hasPrefix(":"))
    #expect(!(yaml.first ?? "").hasPrefix(":0"))
    #expect(faults("network = \"\u{0}\"").count == 1)
    #expect(faults("x", "n.ini") == [": the file's name must end in .toml, .yaml or .json"])
    for path in ["/nonexistent/n.toml", "/"] {
      #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(files: [path]) }
    }
  }

  @Test func layers() throws {
    let folder = NSTemporaryDirectory() + "starling-configuration-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let first = folder + "/a.toml"
    let second = folder + "/b.yaml"
    try "network = 'a'\nmax_peers = 20\nhttp_port = 1\nallow_private = true\np2p_port = 7".write(
      toFile: first, atomically: true, encoding: .utf8)
    try "network: b\nhttp_port: 2\n".write(toFile: second, atomically: true, encoding: .utf8)
    let configuration = try NodeConfiguration.load(
      files: [first, second],
      environment: [
        "STARLING_HTTP_PORT": "3", "STARLING_SEED_PEERS": "a:1, b:2,", "STARLING_KEEP_ALIVE": "1500ms", "HOME": "/",
        "STARLING_CONFIG": first,
      ],
      flags: [
        ("config", first), ("http-port", "4"), ("peer", "x:1"), ("peer", "y:2"), ("no-allow-private", "true"), ("allow-loopback", "true"),
      ])
    #expect((configuration.network, configuration.maxPeers, configuration.httpPort) == ("b", 20, 4))
    #expect(configuration.seedPeers == ["a:1", "b:2"])
    #expect(configuration.peers == ["x:1", "y:2"])
    #expect(configuration.keepAliveInterval == .milliseconds(1_500))
    #expect(!configuration.allowPrivate && configuration.allowLoopback)
    #expect(configuration.listen == ["/ip4/0.0.0.0/tcp/7"])
    #expect(configuration.sources["network"] == .file(path: second, line: 1, column: 1))
    #expect(configuration.sources["http_port"] == .flag("--http-port"))
    #expect(configuration.sources["keep_alive"] == .environment("STARLING_KEEP_ALIVE"))
    #expect(configuration.sources["max_outbound"] == nil)
    let rows = configuration.explanation
    #expect(rows.first { $0.key == "keep_alive" }?.value == "1.5")
    #expect(rows.first { $0.key == "p2p_port" }?.value == "7")
    #expect(rows.first { $0.key == "p2p_bind_addr" } == nil)
    // A later layer replaces what S4's settings gave.
    let moved = try NodeConfiguration.load(files: [first], flags: [("listen", "/ip4/1.2.3.4/tcp/5")])
    #expect(moved.listen == ["/ip4/1.2.3.4/tcp/5"])
  }

  @Test(arguments: [
    (["STARLING_MAX_PEER": "1"], "environment STARLING_MAX_PEER: unknown variable; did you mean STARLING_MAX_PEERS?"),
    (["STARLING_MAX_PEERS": "x"], #"environment STARLING_MAX_PEERS: must be a whole number from 1 to 10000, not "x""#),
    (["STARLING_HTTP": "maybe"], #"environment STARLING_HTTP: must be true or false, not "maybe""#),
  ])
  func environmentFaults(environment: [String: String], wanted: String) {
    let error = #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(environment: environment) }
    #expect(error?.description == wanted)
  }

  @Test func secretsAreHidden() throws {
    let configuration = try NodeConfiguration.load(flags: [("admin-token", "0123456789abcdef")])
    #expect(configuration.adminToken == "0123456789abcdef")
    #expect(configuration.explanation.first { $0.key == "admin_token" }?.value == "(hidden)")
  }

  @Test func tableIsConsistent() {
    let keys = NodeConfiguration.keys
    let names = keys.flatMap { [$0.name] + $0.aliases }
    #expect(Set(names).count == names.count)
    #expect(Set(keys.map(\.flag)).count == keys.count)
    #expect(Set(keys.map(\.environment)).count == keys.count)
    let page = NodeConfiguration.documentation()
    for key in keys { #expect(page.contains("| `\(key.name)` | `--\(key.flag)` | `\(key.environment)` |")) }
    #expect(page.contains("Also spelled `min_outbound_connections`."))
  }
}
