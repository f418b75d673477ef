import Foundation
import HTTPAPI
import NodeCore
import Testing

@testable import Node

/// Peers that speak HTTP: nodes that find each other by it, and foreign ones.
@Suite(.serialized) struct WebDiscoveryTests {
  /// Three nodes without seeds on S1's ports; the probe finds the others, and their links follow.
  @Test func threeNodesFindEachOther() async throws {
    try await onOwnThread {
      let ports = Alone(with: "web-ports")
      defer { withExtendedLifetime(ports) {} }
      let flock = try Flock()
      defer { flock.stop() }
      let nodes = try [5_002, 5_007, 5_011].map { port in
        try flock.start("n\(port)", "n.toml", "port_probe = true\nhttp_peer_interval = 1\nhttp_port = \(port)") { $0.httpEnabled = true }
      }
      try waitUntil("all are linked") {
        try nodes.allSatisfy { node in try node.activePeers() == Set(nodes.map(\.peerID).filter { $0 != node.peerID }) }
      }
      struct Peers: Decodable {
        let peers, activePeers: [String]
        let peerCount: Int

        enum CodingKeys: String, CodingKey {
          case peers
          case activePeers = "active_peers"
          case peerCount = "peer_count"
        }
      }
      let client = try HTTPClient("http://127.0.0.1:5002", timeout: patience)
      try waitUntil("the list has both others, and not itself") {
        let list = try JSONDecoder().decode(Peers.self, from: Data(try client.request("GET", "/peers").body))
        return list.activePeers == ["http://localhost:5007", "http://localhost:5011"] && list.peers == list.activePeers
          && list.peerCount == 2
      }
    }
  }

  /// A peer that only speaks HTTP, as S1's program answers: what it tells is verified, and a dead URL is not added.
  @Test func foreignPeers() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let friend = try flock.start("friend")
      let address = try friend.information().addresses[0].withPeerID(friend.peerID).description
      let second = try Script("http_peer.py", [Script.json([String]())])
      let secondURL = "http://127.0.0.1:\(try second.firstLine())"
      let first = try Script("http_peer.py", [Script.json([secondURL, "http://127.0.0.1:1", address])])
      let firstURL = "http://127.0.0.1:\(try first.firstLine())"
      let node = try flock.start("node", "n.toml", "http_peers = [\"\(firstURL)\"]")
      try waitUntil("what was told is verified and dialled") {
        guard case .webPeers(let peers) = try node.askAndWait(.webPeers) else { return false }
        return Set(peers.filter(\.isActive).map(\.address.description)) == [firstURL, secondURL]
          && flock.log("node").contains("an HTTP peer was not added")
      }
      try waitUntil("the libp2p address is dialled") { try node.isLinked(exactlyTo: friend) }
      #expect(try node.counts().dials[.heard].succeeded == 1, "heard of, never more")
      guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
      #expect(statistics.webFaults[.unreachable] == 1, "the dead URL is counted: \(statistics.webFaults)")
      #expect(first.printed.contains("GET /status") && first.printed.contains("GET /peers"))
      first.stop()
      second.stop()
    }
  }
}
