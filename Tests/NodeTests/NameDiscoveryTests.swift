import Foundation
import Identity
import NodeCore
import Testing

@testable import Node

/// Peers under names in the DNS, against a name server of the tests.
@Suite(.serialized) struct NameDiscoveryTests {
  /// `/dnsaddr/` leads over a second name, with more text than a datagram takes and a PeerID that filters.
  @Test func dnsaddr() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let (wanted, other) = (try flock.start("wanted"), try flock.start("other"))
      let addresses = try [wanted, other].map { try $0.information().addresses[0].withPeerID($0.peerID).description }
      let filler = (0..<20).map { "dnsaddr=/ip4/192.0.2.\($0)/udp/4001/quic-v1/p2p/\(other.peerID)" }
      let server = try Script(
        "dns_server.py",
        [
          Script.json([
            "_dnsaddr.start.test": ["TXT": ["dnsaddr=/dnsaddr/next.test/p2p/\(wanted.peerID)", "dnsaddr=\(addresses[1])"]],
            "_dnsaddr.next.test": ["TXT": filler + ["dnsaddr=\(addresses[0])", "dnsaddr=\(addresses[1])"]],
          ])
        ])
      let port = try server.firstLine()
      let joiner = try flock.start(
        "joiner", "n.toml",
        """
        seed_peers = ["/dnsaddr/start.test/p2p/\(wanted.peerID)"]
        dns_server = "127.0.0.1:\(port)"
        """)
      try waitUntil("linked") { try joiner.isLinked(exactlyTo: wanted) || joiner.activePeers().count > 1 }
      #expect(flock.dials("joiner").prefix(1) == [try wanted.information().addresses[0].description])
      #expect(flock.log("joiner").contains("looked up a name name=/dnsaddr/start.test/p2p/\(wanted.peerID) addresses=1"))
      #expect(server.printed.components(separatedBy: "QUERY _dnsaddr.next.test TXT").count == 3, "truncated, then over TCP")
      server.stop()
    }
  }

  /// Plain A records with the standard port, and with one of their own; seeds' names are not looked up while a stored peer answers.
  @Test func addressRecords() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let hub = try flock.start("hub")
      let port = try hub.hostPort().split(separator: ":")[1]
      let server = try Script("dns_server.py", [Script.json(["seed.test": ["A": ["127.0.0.1"], "AAAA": ["::1"]]])])
      let text = """
        dns_seeds = ["seed.test:\(port)", "none.test"]
        dns_server = "127.0.0.1:\(try server.firstLine())"
        """
      var joiner = try flock.start("joiner", "n.toml", text)
      try waitUntil("linked") { try joiner.isLinked(exactlyTo: hub) }
      try waitUntil("the other name's failure is told") {
        flock.log("joiner").contains("a DNS name gave no address name=none.test:9000 why=\"there is no such name\"")
      }
      try waitUntil("stored") { try joiner.counts().stored == 1 }
      flock.stop("joiner")
      let asked = server.printed
      joiner = try flock.start("joiner", "n.toml", text)
      try waitUntil("linked with the stored peer") { try joiner.isLinked(exactlyTo: hub) }
      #expect(server.printed == asked)
      server.stop()
    }
  }

  @Test(arguments: [
    ("dns_seeds = ['a b']", #"dns_seeds: entry 1: "a b" must be a host name, with or without :port, or /dnsaddr/ and a name"#),
    ("dns_seeds = ['a:0']", #"dns_seeds: entry 1: "a:0" must be a host name, with or without :port, or /dnsaddr/ and a name"#),
    ("dns_server = '::1'", #"dns_server: "::1" must be an IPv4 address, with or without :port"#),
  ]) func badSettings(text: String, wanted: String) {
    #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(text: text, path: "n") }
    do throws(ConfigurationError) {
      _ = try NodeConfiguration.load(text: text, path: "n.toml")
      Issue.record("\(text) was taken")
    } catch {
      #expect(error.description.contains(wanted))
    }
  }
}
