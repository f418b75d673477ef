import Foundation
import TestKit
import Testing

@testable import HTTPAPI

/// A body of equal pieces that counts how many were made.
private final class Pieces: PiecewiseBody, @unchecked Sendable {
  static let bytes = 16_384
  let made = Counter()
  let keptBytes: Int
  private let count: Int

  init(_ count: Int, kept: Int) {
    self.count = count
    keptBytes = kept
  }

  func next() -> [UInt8]? {
    let number = made.value
    if number == count { return nil }
    made.add()
    return [UInt8](repeating: 0x61 + UInt8(number % 26), count: Self.bytes)
  }
}

@Suite(.ownThread) struct LongAnswerTests {
  private let bodies = Recorder<Pieces>()

  private func serve(_ change: (inout HTTPServer.Configuration) -> Void = { _ in }) throws -> HTTPServer {
    var configuration = HTTPServer.Configuration()
    // Clients that read are not held to a time: other programs may keep them from running.
    configuration.stallTimeout = patience
    configuration.sendTimeout = patience
    configuration.idleTimeout = patience
    change(&configuration)
    var router = Router()
    let bodies = bodies
    router.get("/pieces", mayBeLong: true) { request, responder in
      let body = Pieces(Int(request.query["count"] ?? "") ?? 1_000, kept: 1 << 20)
      bodies.add(body)
      responder.respond(HTTPResponse(pieces: body))
    }
    router.get("/hello") { _, responder in responder.success([String](repeating: "hello", count: 1_000)) }
    return try HTTPServer(configuration: configuration, router: router)
  }

  @Test func piecesArriveWholeAndInOrder() throws {
    let server = try serve()
    for count in [0, 1, 2, 100] {
      let answer = try HTTPClient("http://127.0.0.1:\(server.port)", timeout: patience).request("GET", "/pieces?count=\(count)")
      #expect(answer.status == 200 && answer.body.count == count * Pieces.bytes)
      let isInOrder = answer.body.enumerated().allSatisfy { $1 == 0x61 + UInt8($0 / Pieces.bytes % 26) }
      #expect(isInOrder, "\(count) pieces")
    }
    try awaitIdle(server)
  }

  /// A client that reads nothing has no more made than the kernel takes, and loses its connection before it may be idle so long.
  @Test func nothingIsMadeForWhoDoesNotRead() throws {
    let server = try serve { $0.stallTimeout = .seconds(1) }
    // 160 MB, of which the buffers of both sockets take some.
    let client = try #require(RawClient(port: server.port))
    client.write("GET /pieces?count=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(client.read(through: "\r\n\r\n")?.hasPrefix("HTTP/1.1 200") == true)
    let body = try #require(bodies.take().first)
    try awaitIdle(server)
    #expect(body.made.value < 1_000)
    _ = client.ends()
  }

  /// Asking for long answers and going away makes no room for more of them; what is short is answered all the same.
  @Test func whatWasNotReadCountsOn() throws {
    let server = try serve {
      $0.responseBytesMaximum = 3 << 20
      // Nothing to speak of is forgiven meanwhile.
      $0.forgivenBytesPerSecond = 1
    }
    var refused = 0
    for _ in 0..<8 {
      var client = RawClient(port: server.port)
      client?.write("GET /pieces?count=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
      let head = try #require(client?.read(through: "\r\n\r\n"))
      if head.hasPrefix("HTTP/1.1 503") { refused += 1 }
      client = nil
      try awaitIdle(server)
    }
    #expect(refused == 5)
    #expect(server.use.full == 5)
    #expect(RawClient.get(server.port, "/hello")?.status == 200)
  }

  /// An address that asks for long answers and goes away uses up a share of its own: others get their long answers all the same.
  @Test func whoDoesNotReadStarvesNobodyElse() throws {
    let server = try serve {
      $0.responseBytesMaximum = 4 << 20
      $0.responseBytesPerAddressMaximum = 2 << 20
      $0.forgivenBytesPerSecond = 1
    }
    var refused = 0
    for _ in 0..<8 {
      var client = RawClient(port: server.port, from: 2)
      client?.write("GET /pieces?count=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
      if try #require(client?.read(through: "\r\n\r\n")).hasPrefix("HTTP/1.1 503") { refused += 1 }
      client = nil
      try awaitIdle(server)
    }
    #expect(refused == 6 && server.use.full == 6)
    let other = RawClient(port: server.port)
    other?.write("GET /pieces?count=3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(other?.read(through: "\r\n\r\n")?.hasPrefix("HTTP/1.1 200") == true)
  }

  private func awaitIdle(_ server: HTTPServer) throws {
    try waitUntil("nothing is left to be sent: \(server.use)") { server.use.heldBytes == 0 }
  }

  /// What was read does not count on.
  @Test func whoReadsMayAskAgain() throws {
    let server = try serve {
      $0.responseBytesMaximum = 3 << 20
      $0.forgivenBytesPerSecond = 1
    }
    let client = try HTTPClient("http://127.0.0.1:\(server.port)", timeout: patience)
    for _ in 0..<20 { #expect(try client.request("GET", "/pieces?count=100").body.count == 100 * Pieces.bytes) }
    #expect(server.use.full == 0)
  }
}
