import Crypto
import Ledger
import NodeCore
import Starling
import Sync
import Testing
import Wire

@testable import Node

/// What a node makes of who passes blocks on and asks for some.
@Suite(.serialized) struct PassedOnTests {
  private static let crypto = SystemCrypto.shared

  /// A stranger that is introduced and heard.
  private func enter(_ node: Node) async throws -> Stranger {
    let stranger = try await Stranger(to: node)
    await stranger.host.serve(Stranger.protocols.blocks) { _, _ in nil }
    _ = try await stranger.enter()
    try await eventually("the stranger is heard") { await stranger.host.topicPeers(Stranger.protocols.blockTopic) == [node.peerID] }
    return stranger
  }

  private static func height(of stranger: Stranger) throws -> UInt64? {
    guard case .peers(let peers) = try stranger.node.askAndWait(.peers) else { throw Missing("no peers") }
    return peers.first { $0.link.peer == stranger.host.peerID }?.height
  }

  /// Whoever passes on a block has validated it, and so has its parent: asked at once, it says that it has not.
  @Test func aMissingParentIsBlamed() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let stranger = try await enter(node)
    let orphan = ForgedBlockTests.block(try node.chainInformation(), parent: Self.crypto.sha256([9]), height: 7, slot: 1_000)
    try await stranger.host.publish(Stranger.protocols.blockTopic, orphan.encoded, rules: Stranger.rules)
    try await eventually("it is blamed") { try stranger.story().contains("offence missingParent, score 5") }
    #expect(try stranger.isActive())
    await stranger.host.close()
  }

  /// What a header says of its height is worth nothing before its seal is found good.
  @Test func aHeightIsNotBelievedForItsHeader() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let stranger = try await enter(node)
    // Its link stays, whatever it does.
    _ = try node.askAndWait(.operate(.trust(stranger.host.peerID)))
    let chain = try node.chainInformation()
    func publish(_ height: UInt64, isForged: Bool) async throws {
      let block = ForgedBlockTests.block(chain, parent: Self.crypto.sha256([9]), height: height, slot: 10_000, isForged: isForged)
      try await stranger.host.publish(Stranger.protocols.blockTopic, block.encoded, rules: Stranger.rules)
    }
    try await publish(7, isForged: false)
    try await eventually("a sealed block shows its height") { try Self.height(of: stranger) == 7 }
    try await publish(1 << 61, isForged: true)
    try await eventually("a forged one is blamed") { try stranger.story().contains("offence invalidBlock") }
    #expect(try Self.height(of: stranger) == 7)
    await stranger.host.close()
  }

  /// Requests are short, though answers on the same protocol are long: one that says that it is as long as an answer is refused by its length,
  /// and nothing of it is kept.
  @Test func aRequestIsNoLongerThanOneCanBe() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let stranger = try await Stranger(to: node)
    _ = try await stranger.enter()
    let stream = try await stranger.host.openStream(to: node.peerID, protocols: [Stranger.protocols.blocks])
    var bytes: [UInt8] = []
    Varint.append(9 << 20, to: &bytes)
    try await stream.write(bytes)
    await #expect(throws: HostError.self) { while try await stream.read() != nil {} }
    try await eventually("it is blamed") { try stranger.story().contains("offence oversizedMessage") }
    await stranger.host.close()
  }
}
