import Foundation
import Testing

@testable import Node

/// The end of a node as its peers see it.
@Suite(.serialized) struct StopTests {
  /// The links are spread over the threads, and each says goodbye before its thread ends.
  @Test func everyPeerIsTold() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let names = (1...8).map { "peer\($0)" }
      let addresses = try names.map { try flock.start($0) { $0.minOutbound = 0 }.hostPort() }
      for _ in 1...10 {
        let node = try flock.start("node") { $0.bootstrapPeers = addresses }
        try waitUntil("all are linked") { try node.activePeers().count == names.count }
        flock.stop("node")
        try waitUntil("all saw it go") {
          try names.allSatisfy { try !flock.nodes[$0]!.activePeers().contains(node.peerID) }
        }
        for name in names {
          let end = flock.log(name).split(separator: "\n").last { $0.contains(" peers gone ") && $0.contains(node.peerID.short) }
          #expect(end?.contains("why=shutdown") == true, "\(name): \(end ?? "")")
        }
      }
      // The configuration's addresses and the book's peers at them are not dialled as two.
      #expect(flock.dials("node").count == 10 * names.count && !flock.log("node").contains("duplicate"))
    }
  }
}
