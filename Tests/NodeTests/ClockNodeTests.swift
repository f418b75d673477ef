import Crypto
import EventLoop
import Foundation
import HTTPAPI
import Identity
import Ledger
import NodeCore
import Testing
import Wire

@testable import Node

/// Running nodes of which one has a wrong clock.
@Suite struct ClockNodeTests {
  /// An authority with its clock an hour ahead: it says so, and so do those that refuse its blocks. Set right and started again with the same
  /// store, it makes its next block without delay.
  @Test func aClockThatWasAheadIsNamedAndForgiven() async throws { try await onOwnThread { try Self.aheadBody() } }

  private static func aheadBody() throws {
    let flock = try Flock()
    defer { flock.stop() }
    try FileManager.default.removeItem(atPath: flock.folder + "/genesis.json")
    let keys = (1...2).map { NodeKey(seed: [UInt8](repeating: UInt8($0), count: 32), crypto: SystemCrypto.shared) }
    try GenesisFile(
      chainID: "flock", genesisTimeMilliseconds: Int64(Date().timeIntervalSince1970 * 1_000) - 1_000, blockTimeMilliseconds: 1_000,
      authorities: keys.map { Address($0.publicKey)!.hex }, balances: [:]
    ).write(path: flock.folder + "/genesis.json")
    func start(_ name: String, key: Int?, ahead: Duration = .zero, bootstrap: [String] = []) throws -> Node {
      if let key, !FileManager.default.fileExists(atPath: flock.folder + "/\(name).key") {
        try KeyFile.write(keys[key], to: flock.folder + "/\(name).key")
      }
      var rig = Node.Rig()
      rig.wallTime = { Platform.wallTime + ahead }
      return try flock.start(name, rig: rig) {
        $0.nodeType = key == nil ? .full : .authority
        $0.producerKeyFile = key == nil ? "" : flock.folder + "/\(name).key"
        $0.bootstrapPeers = bootstrap
        $0.httpEnabled = true
        $0.httpPort = 0
      }
    }
    func page(_ node: Node, _ name: String) throws -> Double? {
      let text = String(decoding: try HTTPClient("http://127.0.0.1:\(node.httpPort!)").request("GET", "/metrics").body, as: UTF8.self)
      return text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.flatMap { Double($0.split(separator: " ")[1]) }
    }
    let right = try start("right", key: 0)
    let full = try start("full", key: nil, bootstrap: [try right.hostPort()])
    let others = [try right.hostPort(), try full.hostPort()]
    let ahead = try start("ahead", key: 1, ahead: .seconds(3_600), bootstrap: others)
    try waitUntil("it says that its clock is wrong") { try ahead.information().health.status == "clock" }
    let health: HealthResponse = try HTTPClient("http://127.0.0.1:\(ahead.httpPort!)").get("/api/v1/node/health")
    #expect(health.status == .clock && health.reason.contains(" ahead of the median of 2 peers: set it by NTP"), "\(health.reason)")
    #expect(try ahead.information().warnings.contains { $0.hasSuffix(" ahead of the median of 2 peers: set it by NTP") })
    let info: NodeInfoResponse = try HTTPClient("http://127.0.0.1:\(ahead.httpPort!)").get("/api/v1/node/info")
    #expect(info.clock.map { abs($0.aheadSeconds - 3_600) < 60 && $0.peers == 2 } == true, "\(String(describing: info.clock))")
    #expect(try page(ahead, "starling_clock_ahead_seconds").map { abs($0 - 3_600) < 60 } == true)
    #expect(flock.log("ahead").contains(" this node's clock differs from its peers'; set it by NTP "))
    try waitUntil("its blocks lose their turns, and it says so") {
      try page(ahead, "starling_own_blocks_replaced_total").map { $0 > 0 } == true
    }
    #expect(flock.log("ahead").contains(" a block of this node was replaced by another branch "))
    for (name, node) in [("right", right), ("full", full)] {
      try waitUntil("\(name) counts its blocks as from the future") {
        try page(node, #"starling_blocks_refused_total{reason="future"}"#).map { $0 > 0 } == true
      }
      #expect(flock.log(name).contains(" a block from the future is refused; "))
      #expect(try node.information().health.status != "clock", "the others are right")
    }
    flock.stop("ahead")
    let before = flock.times("ahead") { $0.contains(" produced a block ") }.count
    let again = try start("ahead", key: 1, bootstrap: others)
    try waitUntil("it makes blocks again") { flock.times("ahead") { $0.contains(" produced a block ") }.count > before + 3 }
    let production = try #require(try again.information().production)
    #expect(production.obstacle == nil || production.obstacle == .catchingUp, "\(production)")
    #expect(production.last != nil && production.next != nil)
    #expect(flock.log("ahead").contains(/this producer makes no blocks last_slot=[0-9]+ next_slot=[0-9]+ why="it has not caught up/))
    #expect(flock.log("ahead").contains(/this producer makes blocks last_slot=[0-9]+ next_slot=[0-9]+/))
    try waitUntil("the others take them") {
      guard case .block(_, let block) = try full.askAndWait(.latestBlock) else { return false }
      return block.header.producer == Address(keys[1].publicKey)
    }
    #expect(!["right", "full", "ahead"].contains { flock.log($0).contains("sealed two blocks for one slot") })
  }
}
