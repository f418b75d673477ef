import Foundation
import HTTPAPI
import Identity
import Testing

@testable import Node

/// Addresses at a node's doors: its configuration, its operators and the peers that come.
@Suite(.serialized) struct AddressTests {
  @Test func operatorsAreToldWhatCannotBeDialled() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let other = try flock.start("other")
      let node = try flock.start("node") {
        $0.httpEnabled = true
        $0.httpPort = 0
      }
      let client = try HTTPClient(
        "http://127.0.0.1:\(node.httpPort!)", token: AdminToken.read(flock.folder + "/node/admin.token"), timeout: patience)
      let address = try other.information().addresses[0].description
      for tail in ["/ws", "/tls/ws", "/http", "/udp/5", "/tcp/1"] {
        for keep in [true, false] {
          do {
            let _: OperationResponse = try client.post("/api/v1/node/peers", AddPeerRequest(address: address + tail, keep: keep))
            Issue.record("\(tail) was taken")
          } catch let error as HTTPClientError { #expect(error.status == 400 && error.reason == "bad_address", "\(error)") }
        }
      }
      let rules: RulesResponse = try client.get("/api/v1/node/rules")
      let book: BookResponse = try client.get("/api/v1/node/book")
      #expect(rules.mustKeep.isEmpty && book.addresses == 0)
      #expect(flock.dials("node").isEmpty)
    }
  }

  @Test(arguments: ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/tcp/0/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"])
  func aNodeDoesNotStartWhereItCannotListen(listen: String) async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let error = #expect(throws: (any Error).self) { try flock.start("node", "n.toml", "listen = ['\(listen)']") }
      #expect("\(error as Any)".contains(listen.contains("p2p") ? "which is not this one" : "/ws behind the TCP port is not supported"))
    }
  }

  @Test func aBanHoldsInEachSpelling() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") {
      $0.httpEnabled = true
      $0.httpPort = 0
    }
    let client = try HTTPClient(
      "http://127.0.0.1:\(node.httpPort!)", token: AdminToken.read(flock.folder + "/node/admin.token"), timeout: patience)
    let port = try #require(try node.information().addresses[0].tcpPort)
    for subject in ["::ffff:127.0.0.7", "::ffff:127.0.0.0/125", "127.0.0.7", "0:0:0:0:0:ffff:7f00:7/128"] {
      let _: OperationResponse = try client.post("/api/v1/node/bans", BanRequest(subject: subject))
      let rules: RulesResponse = try client.get("/api/v1/node/rules")
      #expect(rules.bans.map(\.subject) == [subject.contains("/125") ? "127.0.0.0/29" : "127.0.0.7/32"])
      let stranger = try await Stranger(to: node, from: "127.0.0.7")
      await #expect(throws: (any Error).self) { try await stranger.host.connect("/ip4/127.0.0.1/tcp/\(port)") }
      #expect(try !stranger.isActive())
      await stranger.host.close()
      let _: OperationResponse = try client.delete(
        "/api/v1/node/bans/" + rules.bans[0].subject.replacingOccurrences(of: "/", with: "%2F"))
    }
    let welcome = try await Stranger(to: node, from: "127.0.0.7")
    try await welcome.host.connect("/ip4/127.0.0.1/tcp/\(port)")
    await welcome.host.close()
  }

  @Test func anAllowedNetworkHoldsInIPv6Form() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node", "n.toml", "network = 'main'\nallowed_networks = ['::ffff:127.0.0.8/125']")
    let (member, outsider) = (try await Stranger(to: node, from: "127.0.0.9"), try await Stranger(to: node, from: "127.0.0.20"))
    _ = try await member.enter()
    try await eventually("the member is in") { try member.isActive() }
    // The link may be up for a moment: who it is, is known at the proof only.
    try? await outsider.connect()
    try await eventually("the outsider is out") { try await outsider.isOut() && outsider.story().contains("not-allowed") }
    for stranger in [member, outsider] { await stranger.host.close() }
  }
}
