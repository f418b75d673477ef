import Crypto
import Foundation
import HTTPAPI
import Identity
import Ledger
import NodeCore
import Peering
import Starling
import Sync
import Testing
import Wire

@testable import Node

/// What a running node says of where it stands, among strangers that claim heights and peers that follow another chain.
@Suite(.serialized) struct StandingTests {
  /// Two links at a time, from ever new identities and addresses, that claim height 2^61 and answer no request for blocks, the first of them there when
  /// the node starts: it goes to work all the same, and never tells the number as if it were so. Since each has an address of its own, the
  /// doubts in those before it don't help.
  @Test func rotatingLiarsKeepAStartingNodeFromNothing() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let probe = try flock.start("probe") { $0.network = "main" }
    let number = Counter()
    func liar(to node: Node) async throws -> Stranger {
      let next = number.add()
      let liar = try await Stranger(to: node, height: 1 << 61, from: "127.77.\(next / 250).\(next % 250 + 1)")
      await liar.host.serve(Stranger.protocols.status) { _, _ in StatusAnswer.status(liar.status).encoded }
      await liar.host.serve(Stranger.protocols.blocks) { _, _ in
        try await Task.sleep(for: patience * 10)
        return nil
      }
      return liar
    }
    var liars = [try await liar(to: probe), try await liar(to: probe)]
    var addresses: [String] = []
    for liar in liars { addresses.append(try #require(await liar.host.addresses.first).description) }
    let node = try flock.start("node") {
      $0.network = "main"
      $0.bootstrapPeers = addresses
    }
    var reasons: Set<String> = []
    try await eventually("it has gone to work; it said \(reasons)") {
      if try node.information().sync.isCaughtUp { return true }
      reasons.insert(try node.information().health.reason)
      guard try node.activePeers().count >= 2 else { return false }
      let next = try await liar(to: node)
      _ = try await next.enter()
      liars.append(next)
      await liars.removeFirst().host.close()
      return false
    }
    for reason in reasons where reason.contains("\(1 << 61 as UInt64)") {
      #expect(reason == "just started at height 0: peers claim \(1 << 61 as UInt64), none has shown it")
    }
    // More of them change nothing, and what users send is taken.
    let last = try await liar(to: node)
    _ = try await last.enter()
    guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
    #expect(try statistics.target == 0 && node.information().sync.isCaughtUp)
    if case .unavailable(let why) = try node.askAndWait(.submit([1])) { Issue.record("users are turned away: \(why)") }
    for liar in liars + [last] { await liar.host.close() }
  }

  /// Whoever showed less than it had claimed comes back from its address under another name, and tells of a small gap: it is asked to show that before
  /// any block is fetched from it.
  @Test func doubtStaysWithTheAddress() async throws {
    let flock = try Flock()
    defer { flock.stop() }
    let node = try flock.start("node") { $0.network = "main" }
    let source = "127.78.0.1"
    let liar = try await Stranger(to: node, height: 1 << 61, from: source)
    await liar.host.serve(Stranger.protocols.blocks) { _, _ in nil }
    _ = try await liar.enter()
    try await eventually("it has not shown it") { flock.log("node").contains("a peer has not shown the height that it claims") }
    await liar.host.close()

    let next = try await Stranger(to: node, height: 3, from: source)
    let asked = Recorder<BlocksRequest>()
    await next.host.serve(Stranger.protocols.blocks) { _, bytes in
      asked.add(try BlocksRequest(encoded: bytes.rawSpan))
      return nil
    }
    _ = try await next.enter()
    try await eventually("it is asked for something") { !asked.values.isEmpty }
    #expect(asked.values.first == .range(from: 2, count: 2), "the block at its height and the one below, and no range")
    await next.host.close()
  }

  /// Two authorities that were apart for longer than what either takes as final: both say so with both heads, nobody is blamed, and it ends when
  /// the other one is gone.
  @Test func bothSidesOfADeepSplitSayForked() async throws { try await onOwnThread { try Self.splitBody() } }

  private static func splitBody() throws {
    let flock = try Flock()
    defer { flock.stop() }
    try FileManager.default.removeItem(atPath: flock.folder + "/genesis.json")
    let keys = (1...2).map { NodeKey(seed: [UInt8](repeating: UInt8($0), count: 32), crypto: SystemCrypto.shared) }
    try GenesisFile(
      chainID: "flock", genesisTimeMilliseconds: Int64(Date().timeIntervalSince1970 * 1_000) - 1_000, blockTimeMilliseconds: 100,
      authorities: keys.map { Address($0.publicKey)!.hex }, balances: [:]
    ).write(path: flock.folder + "/genesis.json")
    for (name, key) in zip(["left", "right"], keys) {
      try KeyFile.write(key, to: flock.folder + "/" + name + ".key")
      try flock.start(name) {
        $0.nodeType = .authority
        $0.producerKeyFile = flock.folder + "/" + name + ".key"
        $0.httpEnabled = true
        $0.httpPort = 0
      }
    }
    let (left, right) = (flock.nodes["left"]!, flock.nodes["right"]!)
    try waitUntil("each has its own final blocks") {
      try [left, right].allSatisfy { try $0.chainInformation().finalHeight >= 3 }
    }
    let address = try right.information().addresses[0]
    _ = try left.askAndWait(.operate(.add(PeerAddress(peer: right.peerID, address: address), keep: true)))
    func fork(_ node: Node) throws -> HealthResponse.Fork? {
      let health: HealthResponse = try HTTPClient("http://127.0.0.1:\(node.httpPort!)", timeout: patience).get("/api/v1/node/health")
      #expect((health.fork != nil) == (health.status == .forked))
      return health.fork
    }
    try waitUntil("both say that they are forked") { try fork(left) != nil && fork(right) != nil }
    let found = try #require(try fork(left))
    guard case .block(let head, _) = try right.askAndWait(.blockAt(found.otherHeight)) else { throw Missing("no such block") }
    #expect(head.hex == found.otherHead && found.peers == 1 && found.head != found.otherHead)
    guard case .block(let ours, _) = try left.askAndWait(.blockAt(found.differsAt)),
      case .block(let theirs, _) = try right.askAndWait(.blockAt(found.differsAt))
    else { throw Missing("no such blocks") }
    #expect(ours != theirs)
    for (name, node, other) in [("left", left, right), ("right", right, left)] {
      #expect(flock.log(name).contains(" forked: peers follow another valid chain"))
      guard case .peers(let peers) = try node.askAndWait(.peers) else { throw Missing("no peers") }
      #expect(peers.first { $0.link.peer == other.peerID }?.link.score == 0, "both are right")
      #expect(try node.information().health.status == "forked")
    }
    flock.stop("right")
    try waitUntil("it is over when the other one is gone") { try fork(left) == nil }
    #expect(flock.log("left").contains("no longer forked"))
  }
}
