import Foundation
import HTTPAPI
import TestKit
import Testing

/// An API may tell any figures: they are shown as well as they can be, and no command traps on them or goes on for ever.
@Suite("Figures of a hostile API") struct HostileAPITests {
  /// The most, or the least, of everything.
  private static func serve(most: Bool) throws -> HTTPServer {
    let (real, whole, signed): (Double, UInt64, Int64) = most ? (1e300, .max, .max) : (-1e300, 0, .min)
    let count = Int(signed)
    var router = Router()
    router.answer(
      "/node/info",
      NodeInfoResponse(
        version: "1", peerID: "?", network: "?", chainID: "?", nodeType: "full", addresses: [], height: whole, head: "", peers: count,
        mempool: count, uptimeSeconds: whole, health: "healthy",
        clock: .init(aheadSeconds: real, uncertaintySeconds: real, peers: count),
        production: .init(last: .init(slot: whole, time: signed), next: nil, obstacle: nil, words: "?")))
    router.answer(
      "/chain/info",
      ChainInfoResponse(
        height: whole, head: "", genesisHash: String(repeating: "0", count: 64), stateRoot: "", authorities: [],
        blockTimeMilliseconds: whole, minimumFee: whole, stateByteFee: whole))
    router.answer(
      "/node/health",
      HealthResponse(
        status: .healthy, reason: "?",
        fork: .init(height: whole, head: "", otherHeight: whole, otherHead: "", differsAt: whole, peers: count)))
    router.answer(
      "/node/peers",
      PeersResponse(peers: [
        .init(
          address: "?", state: "active", height: whole, heightSeconds: whole, rttMilliseconds: real, connectedSeconds: whole, score: real,
          lastSeen: signed)
      ]))
    router.answer(
      "/node/dials",
      DialsResponse(dials: [
        .init(
          peerID: nil, addresses: [], role: "seed", state: "waiting", detail: nil, nextSeconds: real, failures: count,
          last: .init(address: "?", reason: "?", words: "?", answered: nil, secondsAgo: real))
      ]))
    router.answer(
      "/node/rules",
      RulesResponse(bans: [.init(subject: "?", until: signed, reason: "?", setBy: "score")], trusted: [], mustKeep: []))
    let table = BookResponse.Table(places: count, buckets: count, filledBuckets: count)
    router.answer(
      "/node/book",
      BookResponse(peers: count, addresses: count, new: table, tried: table, waiting: count, anchors: [], groups: count, largestGroups: []))
    // It never ends.
    router.answer(
      "/node/book/entries",
      BookEntriesResponse(
        entries: [
          .init(
            peer: nil, address: "?", table: nil, netgroup: "?", source: "?", heard: signed, dialled: signed, succeeded: signed,
            failures: count)
        ], next: 7))
    router.answer(
      "/account/{address}", AccountResponse(address: "", balance: whole, nonce: whole, nextNonce: whole))
    router.post("/api/v1/node/book") { _, responder in
      responder.success(OperationResponse(result: "imported", added: count, known: count, refused: count))
    }
    router.post("/api/v1/transaction") { _, responder in responder.failure(.init(400, "refused", "no")) }
    return try HTTPServer(router: router)
  }

  @Test("an unusual fee is not paid unless the user says so")
  func fees() async throws {
    let server = try Self.serve(most: true)
    let folder = try Folder()
    #expect(try await Starling.run(["keygen", "--out", "key"], in: folder).status == 0)
    let words = ["send", "--key", "key", "--set", "a=b", "--nonce", "0", "--api", "http://127.0.0.1:\(server.port)"]
    let refused = try await Starling.run(words, in: folder)
    #expect(refused.status == 1 && refused.errors.contains("the node asks for a fee of \(UInt64.max), where "), "\(refused.errors)")
    // This one is signed and sent.
    let sent = try await Starling.run(words + ["--fee", "\(UInt64.max)"], in: folder)
    #expect(sent.errors.contains("no") && !sent.errors.contains("asks for a fee"), "\(sent.errors)")
    server.stop()
  }

  @Test(
    "are shown, whatever they are",
    arguments: [
      ["status"], ["health"], ["peers", "--once"], ["peers", "--dialling"], ["peer", "rules"], ["book", "inspect"], ["book", "export"],
      ["book", "import", "book", "--token-file", "token"], ["send", "--key", "key", "--set", "a=b"],
    ], [true, false])
  func extremes(words: [String], most: Bool) async throws {
    let server = try Self.serve(most: most)
    let folder = try Folder()
    try folder.write(String(repeating: "t", count: 20), to: "token")
    // More than one call takes.
    try folder.write(String(repeating: "{\"address\":\"/ip4/192.0.2.1/tcp/9\"}\n", count: 1_200), to: "book")
    if words.contains("--key") { #expect(try await Starling.run(["keygen", "--out", "key"], in: folder).status == 0) }
    for more in words == ["book", "export"] ? [[]] : [[], ["--json"]] {
      let outcome = try await Starling.run(words + more + ["--api", "http://127.0.0.1:\(server.port)"], in: folder)
      #expect(
        [0, 1].contains(outcome.status) && !outcome.errors.contains("Fatal error"), "\(outcome.status): \(outcome.errors.prefix(300))")
      #expect(outcome.status == 0 || outcome.errors.hasPrefix("starling: "), "\(outcome.errors.prefix(300))")
      #expect(outcome.output.utf8.count < 100_000)
    }
    server.stop()
  }
}
