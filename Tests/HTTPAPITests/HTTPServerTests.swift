import Dispatch
import Foundation
import HTTPAPI
import TestKit
import Testing

struct Payment: Codable {
  var to: String
  var amount: UInt64
}

@Suite(.ownThread) struct HTTPServerTests {
  let parked = Recorder<HTTPResponder>()
  let streams = Recorder<EventStream>()

  private func serve(_ change: (inout HTTPServer.Configuration) -> Void = { _ in }) throws -> HTTPServer {
    var configuration = HTTPServer.Configuration()
    configuration.adminToken = "secret"
    change(&configuration)
    var router = Router()
    let parked = parked
    let streams = streams
    router.get("/hello") { request, responder in responder.success(["name": request.query["name"] ?? "nobody"]) }
    router.get("/block/latest") { _, responder in responder.success("latest") }
    router.get("/block/{hash}") { request, responder in responder.success(request.parameters["hash"] ?? "") }
    router.get("/block/height/{n}") { request, responder in
      responder.answer { () throws(HTTPError) in .success(try request.number("n")) }
    }
    router.post("/pay") { request, responder in
      responder.answer { () throws(HTTPError) in .success(try request.decode(Payment.self).amount) }
    }
    router.on("POST", "/echo", contentTypes: []) { request, responder in
      responder.respond(HTTPResponse(headers: [("Content-Type", "application/octet-stream")], body: request.body))
    }
    router.get("/long") { request, responder in
      let body = [UInt8](repeating: 120, count: Int(request.query["bytes"] ?? "") ?? 2 << 20)
      responder.respond(HTTPResponse(headers: [("Content-Type", "text/plain")], body: body))
    }
    router.get("/dear", cost: 50) { _, responder in responder.success(1) }
    router.get("/park") { _, responder in parked.add(responder) }
    router.get("/forget") { _, _ in }
    router.get("/twice") { _, responder in
      responder.success(1)
      responder.success(2)
    }
    router.get("/who") { request, responder in responder.success(request.remoteAddress) }
    router.get("/events") { _, responder in if let stream = responder.openEventStream() { streams.add(stream) } }
    router.post("/admin/stop", access: .admin) { _, responder in responder.success("stopped") }
    return try HTTPServer(configuration: configuration, router: router)
  }

  @Test func answersAndKeepsTheConnection() throws {
    let server = try serve()
    let client = try #require(RawClient(port: server.port))
    for name in ["ada", "b%20c", "d+e"] {
      client.write("GET /hello?name=\(name) HTTP/1.1\r\nHost: localhost\r\n\r\n")
      let answer = try #require(client.answer())
      #expect(answer.status == 200)
      #expect(answer.headers["content-type"] == "application/json")
      let wanted = name.replacingOccurrences(of: "%20", with: " ").replacingOccurrences(of: "+", with: " ")
      #expect(answer.body == #"{"data":{"name":"\#(wanted)"},"success":true}"#)
    }
    #expect(RawClient.get(server.port, "/who")?.json["data"] as? String == "127.0.0.1")
  }

  @Test(arguments: [
    ("GET", "/block/latest", 200, "latest"), ("GET", "/block/ab%2Fcd", 200, "ab/cd"), ("GET", "/block/latest/", 200, "latest"),
    ("GET", "/block/height/17", 200, "17"), ("GET", "/block/height/-1", 400, "bad_parameter"),
    ("GET", "/block/height/99999999999999999999", 400, "bad_parameter"), ("GET", "/block//", 404, "not_found"),
    ("GET", "/nothing", 404, "not_found"), ("GET", "/", 404, "not_found"), ("GET", "/block/%zz", 404, "not_found"),
    ("GET", "/block/%ff", 404, "not_found"), ("GET", "/block/a%00b", 404, "not_found"), ("GET", "/hello?name=%f", 400, "bad_query"),
    ("DELETE", "/hello", 405, "method_not_allowed"), ("BREW", "/hello", 405, "method_not_allowed"),
    ("GET", "/forget", 500, "unanswered"), ("GET", "/twice", 200, "1"),
    ("GET", "/" + String(repeating: "a/", count: 500), 404, "not_found"),
  ])
  func routes(method: String, target: String, status: Int, wanted: String) throws {
    let server = try serve()
    let answer = try #require(RawClient.get(server.port, target, method: method))
    #expect(answer.status == status)
    let data = answer.json["data"].map { "\($0)" }
    #expect((status == 200 ? data : answer.errorCode) == wanted)
    #expect(answer.json["success"] as? Bool == (status == 200))
    if status == 405 { #expect(answer.headers["allow"] == "GET, HEAD, OPTIONS") }
  }

  @Test func headHasNoBody() throws {
    let server = try serve()
    let client = try #require(RawClient(port: server.port))
    client.write("HEAD /block/latest HTTP/1.1\r\nHost: localhost\r\n\r\nGET /twice HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let head = try #require(client.answer(bodyless: true))
    #expect(head.status == 200)
    #expect(head.headers["content-length"] == "32")
    #expect(client.answer()?.body == #"{"data":1,"success":true}"#)
  }

  @Test(arguments: [
    (#"{"to":"a","amount":7}"#, "application/json", 200, "7"), (#"{"to":"a","amount":7}"#, "Application/JSON; charset=utf-8", 200, "7"),
    (#"{"to":"a"}"#, "application/json", 400, "bad_json"), (#"{"to":"a","amount":-1}"#, "application/json", 400, "bad_json"),
    ("{", "application/json", 400, "bad_json"), ("", "application/json", 400, "bad_json"),
    (#"{"to":"a","amount":7}"#, "text/plain", 415, "unsupported_media_type"),
    (#"{"to":"a","amount":7}"#, nil, 415, "unsupported_media_type"),
  ])
  func bodies(body: String, type: String?, status: Int, wanted: String) throws {
    let server = try serve()
    let answer = try #require(RawClient.post(server.port, "/pay", body, type: type))
    #expect(answer.status == status)
    #expect((answer.json["data"].map { "\($0)" } ?? answer.errorCode) == wanted)
  }

  @Test func jsonErrorsNameTheField() throws {
    let server = try serve()
    let answer = try #require(RawClient.post(server.port, "/pay", #"{"to":"a"}"#))
    #expect(answer.body == #"{"error":{"code":"bad_json","message":"the body lacks amount"},"success":false}"#)
    for (body, message) in [
      ("{", "the body is not valid JSON"), (#"{"to":"a","amount":-1}"#, "a number is out of range"),
      (#"{"to":1,"amount":1}"#, "to has the wrong type"), (#"{"to":null,"amount":1}"#, "to must not be null"),
    ] {
      let error = RawClient.post(server.port, "/pay", body)?.json["error"] as? [String: Any]
      #expect(error?["message"] as? String == message)
    }
  }

  @Test func bodyLimit() throws {
    let server = try serve { $0.maximumBodyBytes = 1_000 }
    #expect(RawClient.post(server.port, "/echo", String(repeating: "x", count: 1_000))?.body.count == 1_000)
    let over = try #require(RawClient.post(server.port, "/echo", String(repeating: "x", count: 1_001)))
    #expect(over.status == 413)
    #expect(over.errorCode == "body_too_large")
    // Announced as huge: refused before it is sent.
    let client = try #require(RawClient(port: server.port))
    client.write("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
    #expect(client.answer()?.status == 413)
    // Chunks without an announced length.
    let chunked = try #require(RawClient(port: server.port))
    chunked.write("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in 0..<3 { chunked.write("1f4\r\n" + String(repeating: "y", count: 500) + "\r\n") }
    chunked.write("0\r\n\r\n")
    #expect(chunked.answer()?.status == 413)
    let endless = try #require(RawClient(port: server.port))
    endless.write("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    var sent = 0
    while sent < 4_000, endless.write("1f4\r\n" + String(repeating: "y", count: 500) + "\r\n") { sent += 1 }
    #expect(sent < 4_000 || endless.ends())
    #expect(RawClient.get(server.port, "/twice")?.status == 200)
  }

  @Test func chunkedBodyArrivesWhole() throws {
    let server = try serve()
    let client = try #require(RawClient(port: server.port))
    client.write("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    #expect(client.answer()?.body == "abcde")
  }

  @Test func bytesInPieces() throws {
    let server = try serve()
    let client = try #require(RawClient(port: server.port))
    for byte in Array("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc".utf8) { client.write([byte]) }
    #expect(client.answer()?.body == "abc")
  }

  @Test(arguments: [
    "\u{0}\u{1}\u{2}\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", "GET /hello HTTP/1.1\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET /hello?" + String(repeating: "a", count: 100_000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /hello HTTP/1.1\r\nHost: localhost\r\n" + String(repeating: "X-A: b\r\n", count: 20_000) + "\r\n",
    "GET /hello HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ])
  func malformedRequestsHarmNobody(text: String) throws {
    // Some of them look unfinished, and end with the idle timeout.
    let server = try serve { $0.idleTimeout = .seconds(1) }
    let client = try #require(RawClient(port: server.port))
    client.write(text)
    client.finish()
    if let answer = client.answer() { #expect((400...599).contains(answer.status)) }
    try waitUntil("others are answered") { RawClient.get(server.port, "/twice")?.status == 200 }
  }

  @Test func randomBytesHarmNobody() throws {
    let server = try serve()
    for seed in UInt64(1)...60 {
      var state = seed &* 0x9e37_79b9_7f4a_7c15
      let bytes = (0..<200).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: state >> 33)
      }
      let client = try #require(RawClient(port: server.port))
      client.write(seed.isMultiple(of: 2) ? Array("GET /hello HTTP/1.1\r\n".utf8) + bytes : bytes)
    }
    #expect(RawClient.get(server.port, "/twice")?.status == 200)
  }

  @Test func manyRequestsAtOnceAnsweredLater() throws {
    let server = try serve { $0.handlerTimeout = patience }
    let port = server.port
    let parked = parked
    // Sixty-four parked requests must not keep a sixty-fifth from its answer.
    let clients = try (0..<64).map { _ in try #require(RawClient(port: port)) }
    for client in clients { client.write("GET /park HTTP/1.1\r\nHost: localhost\r\n\r\n") }
    let responders = parked.take(64)
    #expect(responders.count == 64)
    #expect(RawClient.get(port, "/twice")?.status == 200)
    // Threads of its own: tasks would wait for one while long tests run.
    DispatchQueue.concurrentPerform(iterations: responders.count) { index in
      #expect(responders[index].success(index))
      #expect(!responders[index].success("again"))
    }
    var seen: Set<Int> = []
    for client in clients { if let value = client.answer()?.json["data"] as? Int { seen.insert(value) } }
    #expect(seen == Set(0..<64))
  }

  @Test func deadlineGives504AndLateAnswersAreIgnored() throws {
    let server = try serve { $0.handlerTimeout = .milliseconds(100) }
    let client = try #require(RawClient(port: server.port))
    client.write("GET /park HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let answer = try #require(client.answer())
    #expect(answer.status == 504)
    #expect(answer.errorCode == "timeout")
    for responder in parked.take() { #expect(!responder.success(1)) }
    try waitUntil("the connection goes on, and this request is answered in its time") {
      client.write("GET /twice HTTP/1.1\r\nHost: localhost\r\n\r\n")
      return try #require(client.answer()).status == 200
    }
  }

  @Test func clientLeavesBeforeTheAnswer() throws {
    let server = try serve()
    for _ in 0..<20 {
      let client = try #require(RawClient(port: server.port))
      client.write("GET /park HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }
    for responder in parked.take(20) { responder.success("late") }
    #expect(RawClient.get(server.port, "/twice")?.status == 200)
  }

  @Test func stopAnswersParkedRequestsAndFreesThePort() throws {
    let server = try serve { $0.stopTimeout = .milliseconds(50) }
    let port = server.port
    let client = try #require(RawClient(port: port))
    client.write("GET /park HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let responders = parked.take()
    #expect(responders.count == 1)
    let idle = try #require(RawClient(port: port))
    server.stop()
    server.stop()
    #expect(client.answer()?.status == 503)
    #expect(idle.ends())
    #expect(RawClient(port: port) == nil)
    for responder in responders { #expect(!responder.success(1)) }
    let again = try serve { $0.port = port }
    #expect(again.port == port)
    #expect(RawClient.get(port, "/twice")?.status == 200)
  }

  @Test func busyPortAndBadAddressAreExplained() throws {
    let server = try serve()
    let port = server.port
    let busy = #expect(throws: HTTPServerError.self) { _ = try serve { $0.port = port } }
    #expect(busy?.message.contains("is in use; change http_port") == true)
    let bad = #expect(throws: HTTPServerError.self) { _ = try serve { $0.bindAddress = "example.org" } }
    #expect(bad?.message.contains("http_bind") == true)
  }

  @Test func adminRoutesNeedTheToken() throws {
    let server = try serve()
    func call(_ headers: String) -> RawClient.Answer? { RawClient.post(server.port, "/admin/stop", "", headers: headers) }
    #expect(call("")?.status == 401)
    #expect(call("")?.headers["www-authenticate"] == "Bearer")
    for wrong in ["", "secre", "secrets", "Secret"] { #expect(call("Authorization: Bearer \(wrong)\r\n")?.status == 401) }
    #expect(call("Authorization: Basic secret\r\n")?.status == 401)
    // Whoever sent a token is told that it is the wrong one, not that one is needed.
    #expect(call("")?.body.contains("this call needs the admin token") == true)
    #expect(call("Authorization: Bearer secre\r\n")?.body.contains("the admin token that came is not this node's") == true)
    #expect(call("Authorization: Bearer secret\r\n")?.status == 200)
    let off = try serve { $0.adminToken = nil }
    #expect(RawClient.post(off.port, "/admin/stop", "", headers: "Authorization: Bearer \r\n")?.errorCode == "admin_off")
  }

  /// The token alone is not enough for a page, whose origin tells where it comes from, nor for a name that was pointed at this machine.
  @Test func adminRoutesLookAtOriginAndHost() throws {
    let token = "Authorization: Bearer secret\r\n"
    func code(_ server: HTTPServer, _ fields: String) -> String? {
      RawClient.post(server.port, "/admin/stop", "", headers: token + fields).map { $0.status == 200 ? "done" : $0.errorCode ?? "?" }
    }
    let server = try serve()
    #expect(code(server, "Origin: https://a.example\r\n") == "origin_not_allowed")
    #expect(code(server, "Origin: null\r\n") == "origin_not_allowed")
    #expect(code(server, "Origin: http://localhost\r\n") == "done", "the API's own page")
    let open = try serve { $0.allowedOrigins = ["https://a.example"] }
    #expect(code(open, "Origin: https://a.example\r\n") == "done")
    #expect(code(open, "Origin: https://b.example\r\n") == "origin_not_allowed")
    // Where it listens beyond loopback, any name is answered, but not for admin calls.
    let wide = try serve { $0.bindAddress = "0.0.0.0" }
    #expect(RawClient.exchange(wide.port, "GET /twice HTTP/1.1\r\nHost: evil.example\r\n\r\n")?.status == 200)
    let foreign = "POST /admin/stop HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\(token)\r\n"
    #expect(RawClient.exchange(wide.port, foreign)?.errorCode == "host_not_allowed")
  }

  @Test func crossOriginOnlyWhenAllowed() throws {
    let server = try serve()
    let origin = "Origin: https://a.example\r\n"
    #expect(RawClient.get(server.port, "/twice", headers: origin)?.headers["access-control-allow-origin"] == nil)
    let open = try serve { $0.allowedOrigins = ["https://a.example"] }
    #expect(RawClient.get(open.port, "/twice", headers: origin)?.headers["access-control-allow-origin"] == "https://a.example")
    #expect(RawClient.get(open.port, "/twice", headers: "Origin: https://b.example\r\n")?.headers["access-control-allow-origin"] == nil)
    let preflight = try #require(RawClient.get(open.port, "/pay", method: "OPTIONS", headers: origin))
    #expect(preflight.status == 204)
    #expect(preflight.headers["access-control-allow-headers"] == "Authorization, Content-Type")
    #expect(preflight.headers["allow"] == "OPTIONS, POST")
  }

  @Test(arguments: [
    ("127.0.0.1:80", 200), ("[::1]:80", 200), ("localhost", 200), ("node.localhost:1", 200), ("evil.example", 403), ("ok.example", 200),
  ])
  func hostNamesOnLoopback(host: String, status: Int) throws {
    let server = try serve { $0.allowedHosts = ["ok.example"] }
    let client = try #require(RawClient(port: server.port))
    client.write("GET /twice HTTP/1.1\r\nHost: \(host)\r\n\r\n")
    #expect(client.answer()?.status == status)
  }

  /// As a proxy's client asks (RFC 9112 §3.2.2). The host in the target counts, whatever the field says.
  @Test(arguments: [
    ("http://127.0.0.1:80/block/latest", "127.0.0.1", 200, "latest"), ("HTTP://localhost/block/ab%2Fcd?x=1", "evil.example", 200, "ab/cd"),
    ("http://evil.example/block/latest", "localhost", 403, "host_not_allowed"),
    ("http://user@localhost.evil.example/block/latest", "localhost", 403, "host_not_allowed"),
    ("http://localhost", "localhost", 404, "not_found"), ("ftp://localhost/block/latest", "localhost", 404, "not_found"),
  ])
  func absoluteTargets(target: String, host: String, status: Int, wanted: String) throws {
    let server = try serve()
    let answer = try #require(RawClient.exchange(server.port, "GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n"))
    #expect(answer.status == status && (status == 200 ? answer.json["data"] as? String : answer.errorCode) == wanted, "\(answer)")
  }

  /// Loopback is loopback however it is written, and so are names and origins.
  @Test(arguments: ["::ffff:127.0.0.1", "0:0:0:0:0:ffff:7f00:1", "127.0.0.1"])
  func loopbackInEachSpelling(bind: String) throws {
    let server = try serve {
      $0.bindAddress = bind
      $0.allowedHosts = ["OK.example"]
      $0.allowedOrigins = ["https://A.example/"]
    }
    for (host, status) in [("evil.example", 403), ("ok.example", 200), ("127.0.0.1", 200)] {
      #expect(RawClient.exchange(server.port, "GET /twice HTTP/1.1\r\nHost: \(host)\r\n\r\n")?.status == status)
    }
    #expect(RawClient.get(server.port, "/who")?.json["data"] as? String == "127.0.0.1")
    let origin = "Origin: https://a.example\r\n"
    #expect(RawClient.get(server.port, "/twice", headers: origin)?.headers["access-control-allow-origin"] == "https://a.example")
  }

  /// A socket of both families tells IPv4 clients in IPv6 form.
  @Test func clientsOfASocketOfBothFamilies() throws {
    let server = try serve { $0.bindAddress = "::" }
    #expect(RawClient.get(server.port, "/who")?.json["data"] as? String == "127.0.0.1")
  }

  @Test func connectionLimitPerAddress() throws {
    let server = try serve { $0.connectionsPerAddressLimit = 3 }
    var held: [RawClient] = []
    for _ in 0..<3 {
      let client = try #require(RawClient(port: server.port))
      client.write("GET /twice HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(client.answer()?.status == 200)
      held.append(client)
    }
    #expect(RawClient.get(server.port, "/twice") == nil)
    held.removeAll()
    // The server notices the closed connections on its own time.
    try waitUntil("there is room again") { RawClient.get(server.port, "/twice")?.status == 200 }
  }

  @Test func eventStream() throws {
    let server = try serve { $0.streamLimit = 1 }
    let client = try #require(RawClient(port: server.port))
    client.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let stream = try #require(streams.take().first)
    #expect(client.read(through: "\r\n\r\n")?.contains("text/event-stream") == true)
    #expect(RawClient.get(server.port, "/events")?.status == 503)
    for number in 0..<50 { #expect(stream.send(event: "block", data: "\(number)\nx")) }
    var text = ""
    while !text.contains("data: 49\ndata: x\n\n"), let line = client.read(through: "\n") {
      // Chunk sizes stand between the events.
      if !line.hasSuffix("\r\n") { text += line }
    }
    #expect(text.hasPrefix("event: block\ndata: 0\ndata: x\n\nevent: block\ndata: 1\n"))
    stream.close()
    #expect(client.read(through: "0\r\n\r\n") != nil)
    #expect(!stream.isOpen)
    try waitUntil("there is room for another stream") {
      let next = try #require(RawClient(port: server.port))
      next.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
      return next.read(through: "\r\n\r\n")?.contains("200") == true
    }
    server.stop()
  }

  /// Whoever keeps a stream whose client has gone keeps that alone, and not the server with all that its routes hold.
  @Test func closedStreamsKeepNothingAlive() throws {
    final class Canary: Sendable {}
    weak var left: Canary?
    do {
      let canary = Canary()
      left = canary
      var router = Router()
      router.get("/events") { [streams] _, responder in
        if let stream = responder.openEventStream() { withExtendedLifetime(canary) { streams.add(stream) } }
      }
      let server = try HTTPServer(configuration: .init(), router: router)
      let client = try #require(RawClient(port: server.port))
      client.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
      #expect(client.read(through: "\r\n\r\n")?.contains("200") == true)
      server.stop()
    }
    let stream = try #require(streams.take().first)
    #expect(!stream.isOpen && !stream.send(data: "late"))
    try waitUntil("the routes are gone") { left == nil }
  }

  @Test func slowStreamIsClosed() throws {
    let server = try serve { $0.streamBufferBytes = 1_000 }
    let client = try #require(RawClient(port: server.port))
    client.write("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let stream = try #require(streams.take().first)
    #expect(!stream.send(data: String(repeating: "x", count: 2_000)))
    #expect(!stream.isOpen)
    #expect(client.read(through: "0\r\n\r\n") != nil)
  }

  /// Answers that nobody reads take no more room than there is. When their clients are gone there is room again.
  @Test func answersThatAreNotReadAreBounded() throws {
    let server = try serve {
      $0.responseBytesMaximum = 20 << 20
      $0.responseBytesPerAddressMaximum = 20 << 20
    }
    var idle = (0..<5).compactMap { _ in RawClient(port: server.port) }
    for client in idle { client.write("GET /long?bytes=6000000 HTTP/1.1\r\nHost: localhost\r\n\r\n") }
    // The heads of those that found room, or the refusals.
    let heads = idle.compactMap { $0.read(through: "\r\n\r\n") }
    #expect(heads.count == 5 && heads.count { $0.hasPrefix("HTTP/1.1 200") } == 3)
    let refused = try #require(heads.first { $0.hasPrefix("HTTP/1.1 503") })
    #expect(refused.lowercased().contains("retry-after: 1"))
    #expect(RawClient.get(server.port, "/long?bytes=6000000")?.errorCode == "busy")
    // What is short is answered all the same.
    #expect(RawClient.get(server.port, "/hello")?.status == 200)
    idle = []
    try waitUntil("a long answer finds room") { isReadable(server) }
  }

  /// A client that reads nothing keeps the room of its answer no longer than it may be silent, although it does not go.
  @Test func silentReadersAreEnded() throws {
    let server = try serve {
      $0.responseBytesMaximum = 7_000_000
      $0.idleTimeout = .seconds(1)
    }
    let client = try #require(RawClient(port: server.port))
    client.write("GET /long?bytes=6000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(client.read(through: "\r\n\r\n")?.hasPrefix("HTTP/1.1 200") == true)
    try waitUntil("a long answer finds room") { isReadable(server) }
    _ = client.ends()
  }

  /// Whether a long answer finds room.
  private func isReadable(_ server: HTTPServer) -> Bool {
    RawClient.get(server.port, "/long?bytes=6000000")?.body.utf8.count == 6_000_000
  }

  /// A client that reads on, but too slowly, loses its connection when its time is over.
  @Test func slowReadersAreEnded() throws {
    let server = try serve { $0.sendTimeout = .seconds(-1_000) }
    let client = try #require(RawClient(port: server.port))
    client.write("GET /long?bytes=8000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    #expect(client.answer() == nil)
    #expect(RawClient.get(server.port, "/hello")?.status == 200)
  }

  /// What an address may ask for a second counts requests, dear routes, and bytes of answers.
  @Test func whoAsksTooMuchIsTold() throws {
    func statuses(_ atOnce: Double, _ path: String, _ count: Int) throws -> [Int: Int] {
      let server = try serve {
        // Nothing to speak of is earned meanwhile.
        $0.requestsPerSecond = 0.001
        $0.requestsAtOnce = atOnce
      }
      var statuses: [Int: Int] = [:]
      for _ in 0..<count {
        // Who is refused has to connect anew.
        let answer = try #require(RawClient.get(server.port, path))
        statuses[answer.status, default: 0] += 1
        if answer.status == 429 {
          #expect(
            answer.errorCode == "too_many_requests" && answer.headers["retry-after"] == "1"
              && answer.headers["connection"]?.lowercased() == "close")
        }
      }
      return statuses
    }
    #expect(try statuses(10, "/hello", 20) == [200: 10, 429: 10])
    #expect(try statuses(120, "/dear", 6) == [200: 2, 429: 4])
    #expect(try statuses(10, "/long?bytes=100000", 3) == [200: 1, 429: 2])
    #expect(try statuses(8_000, "/hello", 50) == [200: 50])
  }
}
