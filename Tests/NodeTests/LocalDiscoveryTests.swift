import Foundation
import Identity
import NodeCore
import Testing

@testable import Node

/// Nodes without seeds that find each other by multicast DNS on the loopback interface.
@Suite(.serialized) struct LocalDiscoveryTests {
  @Test func nodesFindEachOther() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      func local(_ configuration: inout NodeConfiguration) {
        configuration.mdns = true
        configuration.mdnsInterfaces = ["lo"]
      }
      let nodes = try ["first", "second", "third"].map { try flock.start($0, change: local) }
      let deaf = try flock.start("deaf")
      try waitUntil("all have found each other") {
        try nodes.allSatisfy { node in try node.activePeers().isSuperset(of: nodes.map(\.peerID).filter { $0 != node.peerID }) }
      }
      #expect(try deaf.activePeers().isEmpty)
    }
  }

  /// py-libp2p's own multicast DNS: it finds this node with all its addresses, and this node finds, dials and proves it.
  @Test func pyLibp2p() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let foreign = try Script("mdns_peer.py", [], python: Script.venv)
      defer { foreign.stop() }
      struct Ready: Decodable {
        let id, addr: String
      }
      let ready = try JSONDecoder().decode(Ready.self, from: Data(try foreign.firstLine().utf8))
      let node = try flock.start("node") {
        $0.mdns = true
        $0.mdnsInterfaces = ["lo"]
      }
      let address = try node.information().addresses[0]
      try waitUntil("each has found the other") {
        foreign.printed.contains("\"found\", \"id\": \"\(node.peerID)\", \"addrs\": [\"\(address)\"]")
          && foreign.printed.contains("\"linked\", \"id\": \"\(node.peerID)\"")
      }
      #expect(flock.dials("node").contains(ready.addr))
      guard case .story(let story) = try node.askAndWait(.explain(try PeerID(text: ready.id))) else { throw Missing("no story") }
      let sentences = story.sentences
      #expect(sentences.contains { $0.contains("proved its identity") } && sentences.contains { $0.contains("through the local network") })
    }
  }

  @Test func aMissingInterfaceIsTold() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      try flock.start("node", "n.toml", "mdns = true\nmdns_interfaces = ['none0']")
      try waitUntil("the fault is logged") { flock.log("node").contains("the local network cannot be searched why=\"no interface with") }
    }
  }
}
