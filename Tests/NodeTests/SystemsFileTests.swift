import Foundation
import HTTPAPI
import Testing

@testable import Node

@Suite(.serialized) struct SystemsFileTests {
  /// Peers of different /16 and one autonomous system are of one network group, in the list of links and in the book.
  @Test func oneSystemIsOneGroup() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let map = flock.folder + "/systems.txt"
      try "# prefix system\n127.41.0.0/16 64500\n127.42.0.0/16\tAS64500 # another\n\n127.43.0.0/16 64501\n"
        .write(toFile: map, atomically: true, encoding: .utf8)
      let others = try (41...43).map { number in
        try flock.start("other\(number)") { $0.listen = ["/ip4/127.\(number).0.1/tcp/0"] }.hostPort()
      }
      let text = "asn_map = \"\(map)\"\nbootstrap_peers = \(others)\nhttp_port = 0\n"
      let node = try flock.start("node", "n.toml", text) { $0.httpEnabled = true }
      try waitUntil("it has them all") { try node.activePeers().count == 3 }
      let client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)", timeout: patience)
      let peers: PeersResponse = try client.get("/api/v1/node/peers")
      #expect(peers.peers.compactMap(\.netgroup).sorted() == ["AS64500", "AS64500", "AS64501"])
      let book: BookResponse = try client.get("/api/v1/node/book")
      #expect(book.largestGroups.first?.name == "AS64500" && book.largestGroups.first?.addresses == 2 && book.groups == 2)
    }
  }

  @Test func faultsNameTheLine() throws {
    let folder = NSTemporaryDirectory() + "starling-systems-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/map"
    for (text, line) in [("20.0.0.0/8\n", 1), ("# x\n20.0.0.0/8 1\n20.0.0.0/99 1\n", 3), ("20.0.0.0/8 1 2", 1), ("20.0.0.0/8 ASx", 1)] {
      try text.write(toFile: path, atomically: true, encoding: .utf8)
      let error = #expect(throws: Node.StartError.self) { try SystemsFile.read(path) }
      #expect(error?.description.contains("\(path):\(line):") == true && error?.description.contains("--asn-map") == true)
    }
    let absent = #expect(throws: Node.StartError.self) { try SystemsFile.read(folder + "/absent") }
    #expect(absent?.description.contains("no such file") == true)
    #expect(throws: Node.StartError.self) { try SystemsFile.read("/dev/zero") }
  }
}
