import Foundation
import HTTPAPI
import Identity
import NodeCore
import Testing

@testable import Node

/// A node behind a gateway: the port is mapped, dialled back by peers, and only then told to others. All on loopback.
@Suite(.serialized) struct ReachabilityNodeTests {
  /// Asks for the next dial-back soon.
  private static let quick = Node.Rig(adjusts: { $0.host.discovery.reach.askInterval = .milliseconds(200) })

  /// Starts two helpers and a node that asks the gateway; returns what the gateway's lines say of the mapping.
  private static func start(_ flock: Flock, _ gateway: Script) throws -> (node: Node, helpers: [Node]) {
    #expect(try gateway.firstLine() == "ready")
    let helpers = try ["one", "two"].map { try flock.start($0) }
    let node = try flock.start(
      "node", "n.toml",
      """
      bootstrap_peers = \(try helpers.map { try $0.hostPort() })
      port_mapping = true
      gateway = "127.0.0.1"
      dial_back_peers = 2
      """, rig: Self.quick
    ) {
      $0.httpEnabled = true
      $0.httpPort = 0
    }
    return (node, helpers)
  }

  private static func external(_ gateway: Script) -> String? {
    gateway.printed.split(separator: "\n").first { $0.hasPrefix("MAP ") }.map { "/ip4/127.0.0.1/tcp/\($0.split(separator: " ")[2])" }
  }

  /// Whether `other` knows `address` as one of the node's.
  private static func knows(_ other: Node, _ address: String, of node: Node) throws -> Bool {
    guard case .story(let story) = try other.askAndWait(.explain(node.peerID)) else { throw Missing("no story") }
    return story.sentences.contains { $0.hasPrefix("Known as") && $0.contains(address) }
  }

  /// The node came upon the address in a way, and told it only when both helpers had dialled it.
  private static func checkConfirmed(_ address: String, suspectedBy way: String, _ flock: Flock, _ gateway: Script) throws {
    let log = flock.log("node")
    let suspected = try #require(log.range(of: "\(address) may be an address of this node (\(way))"))
    let confirmed = try #require(log.range(of: "others reach this node at \(address)"))
    #expect(suspected.lowerBound < confirmed.lowerBound)
    #expect(gateway.printed.components(separatedBy: "CONNECT").count >= 3, "each helper has dialled it")
  }

  /// What the node tells those who ask by HTTP.
  private static func status(_ node: Node) throws -> String {
    let client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)", timeout: patience)
    return String(decoding: try client.request("GET", "/status").body, as: UTF8.self).replacing("\\/", with: "/")
  }

  @Test(arguments: ["natpmp", "upnp"]) func aMappedAddressIsConfirmedAndTold(kind: String) async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let gateway = try Script("gateway.py", [kind, "--lease", "4"])
      defer { gateway.stop() }
      let (node, helpers) = try Self.start(flock, gateway)
      try waitUntil("the port is mapped") { Self.external(gateway) != nil }
      let address = try #require(Self.external(gateway))
      try waitUntil("both helpers know the address") { try helpers.allSatisfy { try Self.knows($0, address, of: node) } }
      try Self.checkConfirmed(address, suspectedBy: "mapping", flock, gateway)
      #expect(try node.activePeers() == Set(helpers.map(\.peerID)), "dial-backs disturb no link")
      #expect(try Self.status(node).contains(address))
      if kind == "natpmp" {
        try waitUntil("the lease is renewed") { gateway.printed.components(separatedBy: "MAP ").count >= 4 }
      }
      flock.stop("node")
      try waitUntil("the mapping is taken back") { gateway.printed.contains("UNMAP") }
    }
  }

  /// A gateway that maps and forwards nothing: peers dial in vain, and nobody is told the address.
  @Test func anAddressThatNobodyReachesIsNotTold() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let gateway = try Script("gateway.py", ["natpmp", "--deaf"])
      defer { gateway.stop() }
      let (node, helpers) = try Self.start(flock, gateway)
      try waitUntil("both helpers have dialled") { gateway.printed.components(separatedBy: "CONNECT").count >= 3 }
      let address = try #require(Self.external(gateway))
      try waitUntil("the node has their answers and goes on") { try node.activePeers().count == 2 }
      #expect(try helpers.allSatisfy { try !Self.knows($0, address, of: node) })
      #expect(!flock.log("node").contains("others reach this node"))
      let status = try Self.status(node)
      #expect(status.contains("/ip4/127.0.0.1/tcp/") && !status.contains(address))
    }
  }

  /// Nobody told the node of the port that is forwarded to it: enough peers that see where it comes from do. One fewer, and it is no more
  /// than hearsay.
  @Test(arguments: [2, 3]) func whatPeersSeeIsTriedAndTold(votes: Int) async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let gateway = try Script("gateway.py", ["static", "--inside", "127.0.0.2"])
      defer { gateway.stop() }
      let helpers = try ["one", "two"].map { try flock.start($0) }
      try waitUntil("the port is forwarded") { Self.external(gateway) != nil }
      let address = try #require(Self.external(gateway))
      let node = try flock.start(
        "node", "n.toml",
        """
        bootstrap_peers = \(try helpers.map { try $0.hostPort() })
        listen = ["\(address.replacing("127.0.0.1", with: "127.0.0.2"))"]
        observed_peers = \(votes)
        dial_back_peers = 2
        """, rig: Self.quick)
      try waitUntil("both helpers are linked") { try node.activePeers() == Set(helpers.map(\.peerID)) }
      if votes > helpers.count {
        try waitUntil("both have said what they see") { flock.log("node").components(separatedBy: " identified ").count > helpers.count }
        #expect(!flock.log("node").contains("may be an address of this node") && !gateway.printed.contains("CONNECT"))
        return
      }
      try waitUntil("both helpers know the address") { try helpers.allSatisfy { try Self.knows($0, address, of: node) } }
      try Self.checkConfirmed(address, suspectedBy: "observation", flock, gateway)
    }
  }

  @Test func noGateway() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      try flock.start("node", "n.toml", "port_mapping = true\ngateway = '127.0.0.1'")
      try waitUntil("the fault is told") { flock.log("node").contains("the port is not mapped: no gateway answers to NAT-PMP or UPnP") }
    }
  }
}
