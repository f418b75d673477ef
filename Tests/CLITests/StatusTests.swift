import HTTPAPI
import TestKit
import Testing

/// What `starling status` says of a node, from an API that tells it.
@Suite("Status") struct StatusTests {
  private func status(_ health: HealthResponse, ahead: Double, uncertainty: Double) async throws -> String {
    var router = Router()
    router.answer(
      "/node/info",
      NodeInfoResponse(
        version: "1", peerID: "?", network: "?", chainID: "?", nodeType: "full", addresses: [], height: 1, head: "", peers: 2, mempool: 0,
        uptimeSeconds: 1, health: health.status.rawValue, clock: .init(aheadSeconds: ahead, uncertaintySeconds: uncertainty, peers: 2)))
    router.answer(
      "/chain/info",
      ChainInfoResponse(
        height: 1, head: "", genesisHash: String(repeating: "0", count: 64), stateRoot: "", authorities: [], blockTimeMilliseconds: 1_000,
        minimumFee: 1, stateByteFee: 1))
    router.answer("/node/health", health)
    let server = try HTTPServer(router: router)
    defer { server.stop() }
    return try await Starling.run(["status", "--api", "http://127.0.0.1:\(server.port)"], in: Folder()).output
  }

  @Test("names no difference of clocks that is within the uncertainty of the comparison")
  func uncertainClocks() async throws {
    let healthy = HealthResponse(status: .healthy, reason: "all is well")
    #expect(try await status(healthy, ahead: -0.499, uncertainty: 0.5).contains("agrees with the median of 2 peers"))
    #expect(try await status(healthy, ahead: -0.499, uncertainty: 0.1).contains("0.5 s behind the median of 2 peers"))
  }

  @Test("says a thing once that is both the state's cause and a warning")
  func warningThatIsTheCause() async throws {
    var health = HealthResponse(status: .clock, reason: "this clock is behind")
    health.warnings = ["this clock is behind", "something else"]
    let output = try await status(health, ahead: -300, uncertainty: 0.1)
    #expect(output.split(separator: "this clock is behind").count == 2 && output.contains("Warning: something else"), "\(output)")
  }
}
