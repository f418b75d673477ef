import Foundation
import Identity
import SecureChannel
import Testing

@testable import Node

/// Networks that not everybody may enter, with whole nodes.
@Suite(.serialized) struct PrivateNetworkTests {
  private static func keyFile(_ flock: Flock, _ name: String, _ byte: UInt8) throws -> String {
    let path = flock.folder + "/" + name
    let key = NetworkKey(bytes: [UInt8](repeating: byte, count: 32))!
    try Data(key.file.utf8).write(to: URL(filePath: path))
    return path
  }

  @Test func onlyWhoHasTheKeyGetsIn() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let key = try Self.keyFile(flock, "swarm.key", 7)
      let first = try flock.start("first", "a.yaml", "swarm_key: \(key)\n")
      let bootstrap = "bootstrap_peers: [\"\(try first.hostPort())\"]\n"
      let member = try flock.start("member", "b.yaml", "swarm_key: \(key)\n" + bootstrap)
      try waitUntil("the member is linked") { try first.isLinked(exactlyTo: member) && member.isLinked(exactlyTo: first) }

      let other = try Self.keyFile(flock, "other.key", 8)
      let stranger = try flock.start("stranger", "c.yaml", bootstrap)
      let outsider = try flock.start("outsider", "d.yaml", "swarm_key: \(other)\n" + bootstrap)
      try waitUntil("the first says why it refuses both") {
        let log = flock.log("first")
        return log.contains("not-in-network (the other end uses no network key)")
          && log.contains("not-in-network (the other end uses another network key)")
      }
      try waitUntil("the other network's node says why it got nowhere") { flock.log("outsider").contains("not of this private network") }
      try waitUntil("the stranger's dial fails with what it saw") { flock.log("stranger").contains("dial failed") }
      #expect(try first.isLinked(exactlyTo: member))
      #expect(try stranger.activePeers().isEmpty && outsider.activePeers().isEmpty)
    }
  }

  @Test func aKeyThatCannotBeReadIsNamed() throws {
    let flock = try Flock()
    defer { flock.stop() }
    let path = flock.folder + "/not.key"
    try Data("nonsense".utf8).write(to: URL(filePath: path))
    for file in [path, flock.folder + "/missing.key"] {
      do {
        try flock.start("node", "a.yaml", "swarm_key: \(file)\n")
        Issue.record("started with \(file)")
      } catch {
        #expect("\(error)".contains("--swarm-key") && "\(error)".contains(file))
      }
    }
  }

  /// A list of peers: a stranger is proven, told why, and both ends can say it. A member by network needs no name.
  @Test func onlyWhoIsListedGetsIn() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let stranger = try flock.start("stranger")
      let member = try flock.start("member")
      let first = try flock.start("first", "a.yaml", "allowed_peers: [\"\(member.peerID)\"]\nallowed_networks: [\"127.77.0.0/16\"]\n")
      let bootstrap = "bootstrap_peers: [\"\(try first.hostPort())\"]\n"
      flock.stop("stranger")
      flock.stop("member")
      let again = try flock.start("member", "b.yaml", bootstrap)
      let refused = try flock.start("stranger", "c.yaml", bootstrap)
      #expect(again.peerID == member.peerID && refused.peerID == stranger.peerID)
      // Who dials from a listed network comes in, whoever he is.
      let near = try flock.start("near", "d.yaml", "identity: ip\nlisten: [/ip4/127.77.0.9/tcp/0]\n" + bootstrap)
      try waitUntil("the members are linked") { try first.activePeers() == [again.peerID, near.peerID] }
      for (node, other) in [(first, refused), (refused, first)] {
        try waitUntil("both ends know why") {
          guard case .story(let story) = try node.askAndWait(.explain(other.peerID)) else { return false }
          return story.sentences.contains { $0.contains("not-allowed (") && $0.contains("not on the list of a private network") }
        }
      }
      #expect(!flock.log("stranger").contains("remote-closed"), "the first dial heard it already")
      #expect(try first.activePeers() == [again.peerID, near.peerID])
    }
  }
}
