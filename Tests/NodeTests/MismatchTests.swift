import Crypto
import Foundation
import Identity
import Ledger
import NodeCore
import Peering
import Testing

@testable import Node

/// Nodes that are not of one network refuse each other, and both can say why.
@Suite(.serialized) struct MismatchTests {
  @Test(arguments: ["network", "chain", "genesis"]) func bothEndsKnowWhy(what: String) async throws {
    try await onOwnThread { try Self.bothEndsKnowWhyBody(what) }
  }

  private static func bothEndsKnowWhyBody(_ what: String) throws {
    let folder = NSTemporaryDirectory() + "starling-mismatch-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let authority = NodeKey(seed: [UInt8](repeating: 5, count: 32), crypto: SystemCrypto.shared)
    func node(_ name: String, isOther: Bool, peer: String? = nil) throws -> Node {
      var configuration = NodeConfiguration()
      configuration.dataDirectory = folder + "/" + name
      configuration.genesisFile = folder + "/\(name).json"
      configuration.network = isOther && what == "network" ? "other" : "one"
      configuration.listen = ["/ip4/127.0.0.1/tcp/0"]
      configuration.allowLoopback = true
      configuration.httpEnabled = false
      configuration.storeMapGiB = 1
      if let peer { configuration.peers = [peer] }
      try GenesisFile(
        chainID: isOther && what == "chain" ? "other" : "one", genesisTimeMilliseconds: isOther && what == "genesis" ? 2_000 : 1_000,
        blockTimeMilliseconds: 1_000, authorities: [Address(authority.publicKey)!.hex], balances: [:]
      ).write(path: configuration.genesisFile)
      let node = try Node(configuration: configuration, logger: Logger(level: .error))
      try node.start()
      return node
    }
    let first = try node("first", isOther: false)
    defer { first.stop() }
    guard case .info(let info) = try first.askAndWait(.info) else { throw Missing("no info") }
    let second = try node("second", isOther: true, peer: info.addresses[0].withPeerID(info.peerID).description)
    defer { second.stop() }

    for (node, other) in [(second, first), (first, second)] {
      try waitUntil("\(what): the story names the reason") {
        guard case .story(let story) = try node.askAndWait(.explain(other.peerID)) else { return false }
        return story.sentences.contains { $0.contains("wrong-\(what)") }
      }
    }
    // What the other end said stands in the story as its words.
    if what != "network" {
      guard case .story(let story) = try second.askAndWait(.explain(first.peerID)) else { throw Missing("no story") }
      let ends = story.steps.filter { $0.event.kind == "closed" && $0.event.reasonName == "wrong-\(what)" }.map(\.sentence)
      #expect(!ends.isEmpty && ends.allSatisfy { $0.contains("closed by the remote") && $0.contains("it says: \"") }, "\(ends)")
    }
    guard case .peers(let peers) = try first.askAndWait(.peers) else { throw Missing("no peers") }
    #expect(peers.allSatisfy { $0.link.state != .active })
  }
}
