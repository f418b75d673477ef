import Crypto
import Foundation
import Identity
import Ledger
import NodeCore
import Peering
import Testing

@testable import Node

/// What an operator configured is dialled for ever, whatever happens, and what is wrong with it is said.
@Suite(.serialized) struct ConfiguredPeerNodeTests {
  private static func place(of node: Node) throws -> String {
    try node.information().addresses[0].withPeerID(node.peerID).description
  }

  /// Another node takes a bootstrap peer's port for a while: it is named in the log and the story, and the right one is found when it is back.
  @Test func anotherNodeAnswersForAWhile() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      // It dials nobody by itself, so that the joiner has to find it.
      let hub = try flock.start("hub") { $0.minOutbound = 0 }
      let (place, name) = (try Self.place(of: hub), hub.peerID)
      let port = try #require(try hub.information().addresses[0].tcpPort)
      func listen(_ configuration: inout NodeConfiguration) {
        configuration.listen = ["/ip4/127.0.0.1/tcp/\(port)"]
        configuration.minOutbound = 0
      }
      let joiner = try flock.start("joiner", "node.yaml", "bootstrap_peers: [\"\(place)\"]") { $0.reconnectionInterval = .seconds(1) }
      try waitUntil("linked") { try joiner.isLinked(exactlyTo: hub) }
      flock.stop("hub")
      let other = try flock.start("other", change: listen)
      try waitUntil("the log names who answers") {
        flock.log("joiner").split(separator: "\n").contains {
          $0.contains("WARN") && $0.contains("another peer answers") && $0.contains(other.peerID.description)
        }
      }
      guard case .story(let story) = try joiner.askAndWait(.explain(name)) else { throw Missing("no story") }
      #expect(story.sentences.joined().contains(other.peerID.description))
      flock.stop("other")
      let back = try flock.start("hub", change: listen)
      try waitUntil("linked again") { try joiner.isLinked(exactlyTo: back) }
    }
  }

  /// A bootstrap peer at whose address another node answers from the beginning, as with a wrong name in the configuration: it is dialled again and
  /// again, each time with a warning, and found once it is there.
  @Test func whoHasNeverAnsweredIsDialledOn() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let hub = try flock.start("hub")
      let (place, name) = (try Self.place(of: hub), hub.peerID)
      let port = try #require(try hub.information().addresses[0].tcpPort)
      func listen(_ configuration: inout NodeConfiguration) {
        configuration.listen = ["/ip4/127.0.0.1/tcp/\(port)"]
        configuration.minOutbound = 0
      }
      flock.stop("hub")
      let other = try flock.start("other", change: listen)
      let joiner = try flock.start("joiner", "node.yaml", "bootstrap_peers: [\"\(place)\"]\nreconnection_interval: 1s\nkademlia: false")
      try waitUntil("three dials have met the other one") {
        flock.log("joiner").split(separator: "\n").count {
          $0.contains("WARN") && $0.contains("another peer answers") && $0.contains("answered=\(other.peerID)")
        } >= 3
      }
      guard case .dials(let dials) = try joiner.askAndWait(.dials) else { throw Missing("no dials") }
      #expect(dials.map(\.peer) == [name] && dials[0].role == .mustKeep && dials[0].failures >= 3, "\(dials)")
      guard case .story(let story) = try joiner.askAndWait(.explainAddress(try Multiaddr("/ip4/127.0.0.1/tcp/\(port)"))) else {
        throw Missing("no story")
      }
      #expect(story.peer == name && story.sentences.joined().contains(other.peerID.description), "\(story.sentences)")
      flock.stop("other")
      let back = try flock.start("hub", change: listen)
      try waitUntil("it is found") { try joiner.isLinked(exactlyTo: back) }
    }
  }

  /// One list of all nodes for all nodes: the own entries are said, and not dialled. A file may name a peer twice.
  @Test func oneselfIsInTheList() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let first = try flock.start("first")
      let (place, port) = (try Self.place(of: first), try #require(try first.information().addresses[0].tcpPort))
      flock.stop("first")
      let again = try flock.start("first", "node.yaml", "bootstrap_peers: [\"\(place)\"]") {
        $0.listen = ["/ip4/127.0.0.1/tcp/\(port)"]
      }
      try waitUntil("it is said") { flock.log("first").contains("it leads to this node itself") }
      #expect(try again.counts().dials[.configured].begun == 0)
    }
  }

  /// A killed outbound peer is made up for by a seed that was not needed before, long before the minute is over after which short nodes ask.
  @Test func aSeedForALostPeer() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let names = ["one", "two", "three", "four"]
      let seeds = try names.map { try flock.start($0) { $0.mdns = false }.hostPort() }
      let joiner = try flock.start("joiner", "seeds.toml", "seed_peers = \(seeds)\nmin_outbound = 2") {
        $0.kademlia = false
        $0.mdns = false
      }
      try waitUntil("linked with the first two") { try joiner.isLinked(exactlyTo: flock.nodes["one"]!, flock.nodes["two"]!) }
      flock.stop("one")
      try waitUntil("a third one takes the place") { try joiner.isLinked(exactlyTo: flock.nodes["two"]!, flock.nodes["three"]!) }
      #expect(flock.log("joiner").contains("asking seeds why=\"a link was lost and nobody else is left\""))
    }
  }

  /// A node whose only peer is down for a while keeps it in its book.
  @Test func aLoneNodeKeepsItsOnlyPeer() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let peer = try flock.start("peer")
      let node = try flock.start("node", "seeds.toml", "seed_peers = [\"\(try peer.hostPort())\"]\nmax_failed_dials = 1") {
        $0.reconnectionInterval = .seconds(1)
      }
      try waitUntil("stored") { try node.isLinked(exactlyTo: peer) && node.counts().stored == 1 }
      flock.stop("peer")
      try waitUntil("two dials have failed") { flock.log("node").split(separator: "\n").count { $0.contains("dial failed") } >= 2 }
      #expect(try node.counts().stored == 1)
    }
  }

  /// Two machines with one key: the one that is dialled and the one that dials both say so.
  @Test func twoMachinesWithOneKey() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let key = "\(flock.folder)/one.key"
      try KeyFile.write(NodeKey(seed: [UInt8](repeating: 3, count: 32), crypto: SystemCrypto.shared), to: key)
      let quiet = "kademlia: false\nmdns: false\n"
      let first = try flock.start("first", "node.yaml", "node_key: \(key)\n" + quiet)
      let second = try flock.start("second", "node.yaml", "node_key: \(key)\nbootstrap_peers: [\"\(try first.hostPort())\"]\n" + quiet)
      #expect(first.peerID == second.peerID)
      for name in ["first", "second"] {
        try waitUntil("\(name) says it") {
          flock.log(name).split(separator: "\n").contains { $0.contains("WARN") && $0.contains("two machines use one key") }
        }
        guard case .story(let story) = try flock.nodes[name]!.askAndWait(.explain(first.peerID)) else { throw Missing("no story") }
        #expect(story.sentences.joined().contains("another machine uses this node's key"), "\(story.sentences)")
      }
    }
  }

  /// A chain whose first block is ahead of this machine's clock has no age yet.
  @Test func theHeadIsNeverYoungerThanNow() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let authority = NodeKey(seed: [UInt8](repeating: 5, count: 32), crypto: SystemCrypto.shared)
      try GenesisFile(
        chainID: "flock", genesisTimeMilliseconds: Int64(Date().timeIntervalSince1970 * 1_000) + 3_600_000, blockTimeMilliseconds: 1_000,
        authorities: [Address(authority.publicKey)!.hex], balances: [:]
      ).write(path: flock.folder + "/ahead.json")
      let node = try flock.start("node") { $0.genesisFile = flock.folder + "/ahead.json" }
      guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
      #expect(statistics.headAge == .zero)
    }
  }
}
