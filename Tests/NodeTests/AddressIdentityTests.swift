import Crypto
import Foundation
import Identity
import NodeCore
import Peering
import Testing
import Wire

@testable import Node

/// The four phases of seed S3's testing plan, with whole nodes whose identity is their IP address, each on an address of its own and all at
/// S3's port. A keep-alive of 100 ms lets many pings pass soon; a link may miss so many pongs that a slow machine ends none.
@Suite(.serialized) struct AddressIdentityTests {
  private final class Network {
    let flock: Flock
    var names: [String] = []

    init(_ count: Int) throws {
      flock = try Flock()
      let producer = flock.folder + "/producer.key"
      try KeyFile.write(NodeKey(seed: [UInt8](repeating: 5, count: 32), crypto: SystemCrypto.shared), to: producer)
      for number in 1...count { try start(number, producer: number == 1 ? producer : nil) }
    }

    func address(_ number: Int) -> String { ownLoopback(number) }

    /// A node that knows the first one, or a restarted first one that knows the second.
    @discardableResult
    func start(_ number: Int, producer: String? = nil) throws -> Node {
      let other = number == 1 ? 2 : 1
      let text = """
        identity: ip
        keep_alive: 100ms
        keep_alive_missed: 100
        listen: [/ip4/\(address(number))/tcp/24100]
        bootstrap_peers: ["\(address(other)):24100"]
        """
      let name = "node\(number)"
      if !names.contains(name) { names.append(name) }
      return try flock.start(name, "node.yaml", text) {
        if let producer {
          $0.nodeType = .authority
          $0.producerKeyFile = producer
        }
      }
    }

    var nodes: [Node] { names.compactMap { flock.nodes[$0] } }
  }

  /// The links in use, by the IP address at their other end.
  private static func links(_ node: Node) throws -> [(ip: IPAddress?, info: PeerInfo)] {
    guard case .peers(let peers) = try node.askAndWait(.peers) else { throw Missing("no peers") }
    return peers.filter { $0.link.state == .active }.map { ($0.link.address.ipAddress, $0.link) }
  }

  /// Waits until that many pings have gone over each link and back, seen from each end, and no link has gone or come.
  private static func waitForPings(_ count: Int, _ nodes: [Node]) throws {
    func trips() throws -> [[ConnectionID: Duration?]] {
      try nodes.map { try Dictionary(uniqueKeysWithValues: links($0).map { ($0.info.connection, $0.info.roundTrip) }) }
    }
    var last = try trips()
    // The estimate moves with each answer.
    var seen = last.map { $0.mapValues { _ in 0 } }
    try waitUntil("\(count) pings have passed on each link; there were \(seen.map(\.values))") {
      let now = try trips()
      for (index, links) in now.enumerated() {
        try #require(Set(links.keys) == Set(last[index].keys), "a link was closed or replaced")
        for (link, trip) in links where trip != last[index][link] { seen[index][link, default: 0] += 1 }
      }
      last = now
      return seen.allSatisfy { $0.values.allSatisfy { $0 >= count } }
    }
  }

  @Test(.ownThread, arguments: [3, 10]) func fourPhases(count: Int) throws {
    let network = try Network(count)
    defer { network.flock.stop() }
    let nodes = network.nodes

    // Phase 1: each peer appears once, as an IP address, whatever port it dialled from.
    try waitUntil("each has a link with each other") { try nodes.allSatisfy { try Self.links($0).count == count - 1 } }
    func checkOnce() throws {
      for node in nodes {
        let links = try Self.links(node)
        #expect(Set(links.map(\.ip)).count == links.count, "an address appears twice: \(links.map(\.info.address))")
        #expect(Set(links.map(\.info.peer)).count == links.count)
        for (ip, info) in links where info.direction == .outbound { #expect(info.address == Multiaddr(ip: ip!, port: 24_100)) }
      }
    }
    // The lower address has dialled, except whom a node is told to dial or has to ask in a look-up.
    func checkDirections(except restarted: Int? = nil) throws {
      for (number, node) in zip(1..., network.nodes) where number != restarted {
        let own = IPAddress(network.address(number))!
        let chosen = try Self.links(node).filter { $0.info.cause == .heard || $0.info.cause == .stored }
        #expect(chosen.allSatisfy { own < $0.ip! }, "\(own) dialled \(chosen.map { $0.ip! })")
      }
    }
    try checkOnce()
    try checkDirections()

    // Phase 2: pings of outbound and inbound links alike are answered and counted.
    try waitUntil("a round trip is measured on each link, at both ends") {
      try nodes.allSatisfy { try Self.links($0).allSatisfy { $0.info.roundTrip != nil } }
    }

    // Phase 3: nothing cycles. Links that are there stay.
    try Self.waitForPings(20, nodes)
    try checkOnce()
    for name in network.names { #expect(!network.flock.log(name).contains("keep-alive-timeout")) }
    // Only a real end takes a link away, and the peer comes back as the one it was.
    let gone = nodes[count - 1].peerID
    network.flock.stop("node\(count)")
    try waitUntil("the others saw it go") { try nodes.dropLast().allSatisfy { try !$0.activePeers().contains(gone) } }

    // Phase 4: a node from genesis catches up, and so does the one that comes back.
    let back = try network.start(count)
    let newcomer = try network.start(count + 1)
    try waitUntil("both are level with the network") {
      let height = try nodes[0].information().head.height
      return try height >= 5
        && [back, newcomer].allSatisfy { try $0.information().head.height + 2 >= height && $0.information().sync == .synced }
    }
    #expect(back.peerID == gone)
    // Who was restarted dials at once those whom it knew.
    try checkDirections(except: count)
    for node in network.nodes {
      let links = try Self.links(node)
      #expect(Set(links.map(\.ip)).count == links.count)
    }
  }

  /// Two nodes that listen on a second, common loopback address, as behind 0.0.0.0, and dial each other at once: one link, and it stays.
  @Test func severalAddresses() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let addresses = [ownLoopback(101), ownLoopback(102)]
      for (index, own) in addresses.enumerated() {
        let text = """
          identity: ip
          keep_alive: 100ms
          keep_alive_missed: 100
          listen: [/ip4/\(own)/tcp/24100, /ip4/127.0.0.1/tcp/0]
          bootstrap_peers: ["\(addresses[1 - index]):24100"]
          """
        try flock.start("node\(index)", "node.yaml", text)
      }
      let nodes = [flock.nodes["node0"]!, flock.nodes["node1"]!]
      try waitUntil("they are linked") { try nodes.allSatisfy { try Self.links($0).count == 1 } }
      try Self.waitForPings(20, nodes)
    }
  }

  /// With identity ip the node listens at S3's port unless told otherwise, and the port can be set.
  @Test func defaultPort() throws {
    #expect(try NodeConfiguration.load(text: "identity: ip\n", path: "a.yaml").listen == ["/ip4/0.0.0.0/tcp/24100"])
    let other = try NodeConfiguration.load(text: "identity: ip\ndefault_port: 24000\n", path: "a.yaml")
    #expect(other.listen == ["/ip4/0.0.0.0/tcp/24000"] && other.core(producer: nil).host.peering.defaultPort == 24_000)
    #expect(
      try NodeConfiguration.load(text: "identity: ip\nlisten: [/ip4/127.0.0.2/tcp/1]\n", path: "a.yaml").listen == ["/ip4/127.0.0.2/tcp/1"])
    #expect(try NodeConfiguration.load(text: "node_type: full\n", path: "a.yaml").core(producer: nil).host.peering.identity == .key)
    #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(text: "identity: name\n", path: "a.yaml") }
    #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(text: "allowed_peers: [me]\n", path: "a.yaml") }
    #expect(throws: ConfigurationError.self) { try NodeConfiguration.load(text: "allowed_networks: [10.0.0.0/99]\n", path: "a.yaml") }
  }
}
