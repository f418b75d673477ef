import Crypto
import Foundation
import Identity
import Ledger
import NodeCore
import Starling
import Sync
import Testing
import Wire

@testable import Node

/// Nodes among strangers that make blocks by hand: bad ones are never passed on, and keep nobody from the chain.
@Suite(.serialized) struct ForgedBlockTests {
  private static let crypto = SystemCrypto.shared
  /// The flock's authority.
  private static let key = NodeKey(seed: [UInt8](repeating: 5, count: 32), crypto: crypto)

  /// A block of the flock's authority with any parent and body; only the form is right, and the seal unless `isForged`.
  static func block(
    _ chain: ChainInfo, parent: Hash256, height: UInt64, slot: UInt64, transactions: [[UInt8]] = [], isForged: Bool = false
  ) -> Block {
    var header = BlockHeader(
      chain: chain.genesis, parent: parent, height: height, time: WallTime(milliseconds: 1_000 + Int64(slot) * 1_000),
      transactionRoot: MerkleTree.root(of: transactions.map { crypto.sha256($0) }, crypto: crypto), stateRoot: .zero,
      producer: Address(key.publicKey)!, slot: slot)
    header.seal = isForged ? [UInt8](repeating: 7, count: 64) : key.sign(header.sealingBytes, crypto: crypto)
    return Block(header: header, transactions: transactions)
  }

  /// A child whose parent is bad, and the parent twice in one moment, as the answer to the node's question and by gossip: while one copy is
  /// being looked at, the other one is not known to be good, and nobody behind the node hears of it.
  @Test func aBadBlockThatIsBeingLookedAtIsNotPassedOn() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let neighbour = try flock.start("neighbour", "seeds.toml", "bootstrap_peers = [\"\(try node.hostPort())\"]") { $0.network = "main" }
    try await eventually("both are linked") { try node.isLinked(exactlyTo: neighbour) }
    let chain = try node.chainInformation()

    // A thousand signatures, of which the last is bad: looking at it takes some time.
    let sender = NodeKey(seed: [UInt8](repeating: 6, count: 32), crypto: Self.crypto)
    var transactions = (0..<1_000).map { nonce in
      Transaction(
        chain: chain.genesis, nonce: UInt64(nonce), fee: 0, payload: .setData(key: [1], value: [2]), key: sender, crypto: Self.crypto
      ).encoded
    }
    transactions[999][transactions[999].count - 1] ^= 1
    let parent = Self.block(chain, parent: chain.genesis, height: 1, slot: 1_000, transactions: transactions)
    let child = Self.block(chain, parent: parent.hash(crypto: Self.crypto), height: 2, slot: 1_001)

    let stranger = try await Stranger(to: node)
    let host = stranger.host
    await host.serve(Stranger.protocols.blocks) { _, _ in
      // The copy goes out behind the answer: its round trip is over when the answer is there.
      Task {
        _ = try await host.ping(node.peerID)
        try await host.publish(Stranger.protocols.blockTopic, parent.encoded, rules: Stranger.rules)
      }
      return BytesList([parent.encoded]).encoded
    }
    _ = try await stranger.enter()
    try await eventually("the stranger is heard") { await host.topicPeers(Stranger.protocols.blockTopic) == [node.peerID] }
    try await host.publish(Stranger.protocols.blockTopic, child.encoded, rules: Stranger.rules)
    try await eventually("the stranger is out") { try await stranger.isOut() }
    #expect(try stranger.story().contains("offence invalidBlock"))
    // What the node had passed on would have come before this answer does.
    guard case .story(let story) = try neighbour.askAndWait(.explain(node.peerID)) else { throw Missing("no story") }
    #expect(!story.sentences.contains { $0.contains("offence") }, "\(story.sentences)")
    #expect(try node.isLinked(exactlyTo: neighbour) && neighbour.isLinked(exactlyTo: node))
    await host.close()
  }

  /// An authority that makes blocks, and a stranger whose blocks it hears.
  private static func meet(in flock: Flock, atHeight height: UInt64) async throws -> (authority: Node, stranger: Stranger) {
    let file = flock.folder + "/producer"
    try KeyFile.write(key, to: file)
    let authority = try flock.start("authority") {
      $0.network = "main"
      $0.nodeType = .authority
      $0.producerKeyFile = file
    }
    try await eventually("it makes blocks") { try authority.information().head.height >= height }
    let stranger = try await Stranger(to: authority)
    _ = try await stranger.enter()
    try await eventually("the stranger is heard") { await stranger.host.topicPeers(Stranger.protocols.blockTopic) == [authority.peerID] }
    return (authority, stranger)
  }

  /// A block with a producer's own seal that it has not made: somebody else has its key, and the operator learns of it.
  @Test func aBlockOfTheOwnKeyFromElsewhereIsTold() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let (authority, stranger) = try await Self.meet(in: flock, atHeight: 1)
    // A slot that has not come yet, so that the authority can't have sealed it.
    let slot = UInt64(Date().timeIntervalSince1970) + 10_000
    let block = Self.block(try authority.chainInformation(), parent: .zero, height: 1_000, slot: slot)
    try await stranger.host.publish(Stranger.protocols.blockTopic, block.encoded, rules: Stranger.rules)
    try await eventually("the log says it") {
      flock.log("authority").contains(/another machine makes blocks with this node's producer key; .* shown_by="a block for slot \d+/)
    }
    #expect(try authority.information().warnings.contains { $0.contains("another machine makes blocks with this node's producer key") })
    await stranger.host.close()
  }

  /// Sixty-four megabytes of blocks on parents that nobody has do not keep an authority from making and taking blocks: the seal of a long block
  /// is looked at before anything of it is hashed.
  @Test func orphansDoNotStopAnAuthority() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let (authority, stranger) = try await Self.meet(in: flock, atHeight: 2)
    var large = Starling.Host.SubscriptionConfiguration()
    large.topic = TopicConfiguration(signing: .strictNoSign, maximumMessageBytes: 1 << 20)
    _ = try await stranger.host.subscribe(Stranger.protocols.blockTopic, large)
    let chain = try authority.chainInformation()
    func received() throws -> Int {
      guard case .statistics(let statistics) = try authority.askAndWait(.statistics) else { throw Missing("no statistics") }
      return statistics.messagesReceived
    }
    // Each as large as a block may be: sixty-four of them fill the whole queue to the last byte.
    func orphan(_ number: UInt8, last: Int) -> [UInt8] {
      let filling = [UInt8](repeating: 1, count: 8_000)
      return Self.block(
        chain, parent: Self.crypto.sha256([number]), height: chain.head.height + 2, slot: chain.head.slot - UInt64(number),
        transactions: (0..<130).map { [number, UInt8($0)] + filling } + [[UInt8](repeating: 2, count: last)], isForged: true
      ).encoded
    }
    for number in 0..<70 as Range<UInt8> {
      let bytes = orphan(number, last: 6_000 + (1 << 20) - orphan(number, last: 6_000).count)
      #expect(bytes.count == 1 << 20)
      let before = try received()
      do {
        try await stranger.host.publish(Stranger.protocols.blockTopic, bytes)
      } catch {
        // The first one costs it the link: then nothing more can come.
        try await eventually("the stranger is out: \(error)") { try await stranger.isOut() }
        break
      }
      try await eventually("the node has it, or the stranger is out") {
        if try received() > before { return true }
        return try await stranger.isOut()
      }
    }
    try await eventually("the stranger is out") { try await stranger.isOut() }
    #expect(try stranger.story().contains("offence invalidSignature"))
    let height = try authority.information().head.height
    try await eventually("it goes on making blocks") { try authority.information().head.height >= height + 5 }
    await stranger.host.close()
  }

  /// A block that everybody has is not passed on: otherwise anybody could send the old chain through the whole network, again and again.
  @Test func anOldBlockIsNotPassedOn() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let file = flock.folder + "/producer"
    try KeyFile.write(Self.key, to: file)
    func start() throws -> Node {
      try flock.start("authority") {
        $0.network = "main"
        $0.nodeType = .authority
        $0.producerKeyFile = file
      }
    }
    let first = try start()
    try await eventually("there are old blocks") { try first.information().head.height >= 10 }
    // Whatever gossip remembers of them is gone with the process.
    flock.stop("authority")
    let authority = try start()
    guard case .block(_, let old) = try authority.askAndWait(.blockAt(1)) else { throw Missing("no block 1") }

    let topic = Stranger.protocols.blockTopic
    let listener = try await Stranger(to: authority)
    _ = try await listener.enter()
    var blocks = try await listener.host.subscribe(topic, .init(topic: Stranger.rules)).makeAsyncIterator()
    func nextHeight() async throws -> UInt64 {
      guard let message = await blocks.next() else { throw Missing("the subscription ended") }
      return try Block(encoded: message.data.rawSpan).header.height
    }
    #expect(try await nextHeight() > 1)
    let sender = try await Stranger(to: authority)
    _ = try await sender.enter()
    try await eventually("the sender is heard") { await sender.host.topicPeers(topic) == [authority.peerID] }
    try await sender.host.publish(topic, old.encoded, rules: Stranger.rules)
    try await sender.host.publish(topic, [1, 2, 3], rules: Stranger.rules)
    try await eventually("the sender is out for what came behind it") { try await sender.isOut() }
    // Two blocks that the authority makes after that come behind whatever it passed on before.
    let height = try authority.information().head.height
    var heights: [UInt64] = []
    while (heights.last ?? 0) < height + 2 { heights.append(try await nextHeight()) }
    #expect(!heights.contains(1))
    for stranger in [listener, sender] { await stranger.host.close() }
  }
}
