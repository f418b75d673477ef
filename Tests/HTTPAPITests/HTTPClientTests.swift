import Foundation
import TestKit
import Testing
import Wire

@testable import HTTPAPI

/// A server that answers each connection with the next of its scripts: parts written one by one, then the end.
private final class ScriptedServer: @unchecked Sendable {
  let port: UInt16
  private let listener: Listener

  init(_ scripts: [[[UInt8]]], staysSilent: Bool = false) throws {
    let listener = try Listener("127.0.0.1", port: 0)
    self.listener = listener
    port = listener.port
    Thread.detachNewThread {
      for script in scripts {
        var entry = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(patience.components.seconds) * 1_000) > 0 else { break }
        let connection = accept(listener.descriptor, nil, nil)
        var request = [UInt8](repeating: 0, count: 4_096)
        _ = recv(connection, &request, request.count, 0)
        for part in script { _ = part.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) } }
        if staysSilent {
          // Until the client gives up.
          while recv(connection, &request, request.count, 0) > 0 {}
        }
        close(connection)
      }
      close(listener.descriptor)
    }
  }

  func client(timeout: Duration = patience) throws -> HTTPClient { try HTTPClient("http://127.0.0.1:\(port)", timeout: timeout) }
}

@Suite("The HTTP client", .ownThread) struct HTTPClientTests {
  private static let chunked = Array(
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nEnd: yes\r\n\r\n"
      .utf8)
  private static let counted = Array("HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nhello".utf8)

  @Test("reads answers whole, cut at every place, and never takes a part for the whole")
  func splits() throws {
    for (answer, status, body) in [(Self.chunked, 200, "Wikipedia"), (Self.counted, 503, "hello")] {
      let server = try ScriptedServer(answer.indices.map { [Array(answer[..<$0]), Array(answer[$0...])] })
      for cut in answer.indices {
        let result = try server.client().request("GET", "/")
        #expect(result.status == status && String(decoding: result.body, as: UTF8.self) == body, "cut at \(cut)")
      }
      let short = try ScriptedServer(answer.indices.map { [Array(answer[..<$0])] })
      for length in answer.indices {
        #expect(throws: HTTPClientError.self, "only \(length) bytes") { try short.client().request("GET", "/") }
      }
    }
  }

  @Test(
    "says what is wrong with an answer",
    arguments: [
      "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab",
    ])
  func broken(_ answer: String) throws {
    let server = try ScriptedServer([[Array(answer.utf8)]])
    let error = #expect(throws: HTTPClientError.self) { try server.client().request("GET", "/") }
    #expect(error?.code == .badAnswer)
  }

  @Test("random bytes end in an answer or an error")
  func noise() throws {
    var random = SeededGenerator(seed: 20)
    let scripts = (0..<200).map { _ in
      [Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".utf8.prefix(random.index(below: 60))) + random.bytes(40)]
    }
    let server = try ScriptedServer(scripts)
    for _ in scripts { _ = try? server.client().request("GET", "/") }
  }

  @Test("waits no longer than it was told, and tells refusals apart")
  func failures() throws {
    let silent = try ScriptedServer([[Array("HTTP/1.1 200 OK\r\n".utf8)]], staysSilent: true)
    let late = #expect(throws: HTTPClientError.self) { try silent.client(timeout: .milliseconds(200)).request("GET", "/") }
    #expect(late?.code == .timedOut)
    let mute = #expect(throws: HTTPClientError.self) { try ScriptedServer([[]]).client().request("GET", "/") }
    #expect(mute == HTTPClientError(.interrupted, "the connection ended without an answer; does an HTTP server listen there?"))
    let nobody = #expect(throws: HTTPClientError.self) { try HTTPClient("127.0.0.1:9").request("GET", "/") }
    #expect(nobody?.code == .notReachable)
    for text in ["", "ftp://a", "http://", "http://a b", "http://a?b=c"] {
      #expect(throws: HTTPClientError.self, "\(text)") { try HTTPClient(text) }
    }
    let body = #"{"success":false,"error":{"code":"bad_hash","message":"no"}}"#
    let refusing = try ScriptedServer([[Array("HTTP/1.1 400 Bad\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)]])
    let refused = #expect(throws: HTTPClientError.self) { try refusing.client().get("/", as: String.self) }
    #expect(refused == HTTPClientError(.refused, "no", status: 400, reason: "bad_hash"))
  }
}
