import Crypto
import Foundation
import Identity
import NodeCore
import Testing

@testable import Node

/// Seed S2's first principle: no node is required. All seeds go offline once the network stands; it goes on, and any member lets newcomers in.
///
/// Eight members by default; `STARLING_SEEDLESS_MEMBERS=50` runs it with as many as that (about 40 MiB each).
@Suite(.serialized) struct SeedlessTests {
  private static let members = ProcessInfo.processInfo.environment["STARLING_SEEDLESS_MEMBERS"].flatMap { Int($0) } ?? 8

  @Test(.ownThread) func anyMemberLetsNewcomersIn() throws {
    let count = Self.members
    let flock = try Flock()
    defer { flock.stop() }
    let began = Date()
    func seconds() -> String { String(format: "%.1f s", Date().timeIntervalSince(began)) }

    // Seeds are there for everybody: whoever runs one gives it slots for all.
    let seeds = try ["seed1", "seed2"].map { try flock.start($0) { $0.maxPeers = 1_000 } }
    let list = "seed_peers: [\"\(try seeds[0].hostPort())\", \"\(try seeds[1].hostPort())\"]\n"
    let producer = flock.folder + "/producer.key"
    try KeyFile.write(NodeKey(seed: [UInt8](repeating: 5, count: 32), crypto: SystemCrypto.shared), to: producer)
    var nodes: [Node] = []
    for number in 1...count {
      nodes.append(
        try flock.start("member\(number)", "a.yaml", list) {
          guard number == 1 else { return }
          $0.nodeType = .authority
          $0.producerKeyFile = producer
        })
    }
    let names = Set(nodes.map(\.peerID))
    let wanted = min(count - 1, 4)
    try waitUntil("each member has \(wanted) other members") {
      try nodes.allSatisfy { try $0.activePeers().intersection(names).count >= wanted }
    }
    print("seedless: \(count) members are linked after \(seconds())")

    for name in ["seed1", "seed2"] { flock.stop(name) }
    let height = try nodes[0].information().head.height
    try waitUntil("all go on without seeds") {
      try nodes.allSatisfy { node in
        let peers = try node.activePeers()
        return try node.information().head.height >= height + 5 && peers.isSubset(of: names) && peers.count >= wanted
      }
    }
    #expect(try Self.isConnected(nodes))
    print("seedless: five blocks later all members have them, after \(seconds())")

    // Each newcomer knows the dead seeds and one member; that it is taken in shows in further peers and in the chain.
    var slowest = 0.0
    for (index, member) in nodes.enumerated() {
      let start = Date()
      let newcomer = try flock.start("newcomer\(index)", "b.yaml", list + "bootstrap_peers: [\"\(try member.hostPort())\"]\n")
      try waitUntil("a newcomer is taken in through member \(index + 1)") {
        let info = try newcomer.information()
        let head = try nodes[0].information().head.height
        return try newcomer.activePeers().intersection(names).count >= wanted && info.sync == .synced && info.head.height + 2 >= head
      }
      slowest = max(slowest, Date().timeIntervalSince(start))
      flock.stop("newcomer\(index)")
    }
    let peers = try nodes.map { try $0.activePeers().count }
    print(
      "seedless: \(count) newcomers, each through another member, the slowest in \(String(format: "%.1f s", slowest)); members have "
        + "\(peers.min()!) to \(peers.max()!) peers; all done after \(seconds())")
  }

  private static func isConnected(_ nodes: [Node]) throws -> Bool {
    let links = try nodes.map { try $0.activePeers() }
    var reached: Set<PeerID> = [nodes[0].peerID]
    for _ in nodes {
      for (node, peers) in zip(nodes, links) where reached.contains(node.peerID) { reached.formUnion(peers) }
    }
    return nodes.allSatisfy { reached.contains($0.peerID) }
  }
}
