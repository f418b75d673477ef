import Foundation

/// A small blocking HTTP/1.1 client for a node's API: one connection for each request, a deadline for the whole of it.
///
/// Plain HTTP only; the API listens on loopback, and a proxy in front of it speaks HTTPS to others. Safe from any thread.
public struct HTTPClient: Sendable {
  /// An answer.
  public struct Answer: Sendable {
    /// The HTTP status.
    public let status: Int
    /// The body.
    public let body: [UInt8]
  }

  /// The server as it was named, without a slash at the end.
  public let url: String
  /// How long a request may take from the first look-up to the last byte.
  public let timeout: Duration
  private let host: String
  private let port: String
  private let prefix: String
  private let bytesMaximum: Int
  private let token: String?

  /// Makes a client.
  ///
  /// - Parameters:
  ///   - url: `http://host:port`, or `host:port`; a path in it stands before every request's.
  ///   - token: the bearer token of admin calls, visible ASCII characters; default none.
  ///   - timeout: for each request; default 5 s.
  ///   - bytesMaximum: the longest body that is read; default 64 MiB.
  /// - Throws: ``HTTPClientError`` `badAddress`, `badToken`.
  public init(
    _ url: String, token: String? = nil, timeout: Duration = .seconds(5), bytesMaximum: Int = 64 << 20
  ) throws(HTTPClientError) {
    guard token?.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) != false else {
      throw HTTPClientError(.badToken, "the admin token holds characters that cannot be sent")
    }
    self.token = token
    var text = url
    while text.hasSuffix("/") && !text.hasSuffix("://") { text.removeLast() }
    if !text.contains("://") { text = "http://" + text }
    guard let parts = URLComponents(string: text), parts.scheme == "http", let host = parts.host, !host.isEmpty, parts.query == nil else {
      throw HTTPClientError(.badAddress, "'\(url)' is not an address such as http://127.0.0.1:8545")
    }
    self.url = text
    self.timeout = timeout
    self.bytesMaximum = bytesMaximum
    self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    port = String(parts.port ?? 80)
    prefix = parts.percentEncodedPath
  }

  /// Sends a request and reads its whole answer, whatever its status is. Blocks.
  ///
  /// - Throws: ``HTTPClientError`` `notReachable`, `timedOut`, `interrupted` or `badAnswer`. After the last three the server may have
  ///   acted on the request.
  public func request(_ method: String, _ path: String, body: [UInt8]? = nil) throws(HTTPClientError) -> Answer {
    let deadline = ContinuousClock.now + timeout
    let connection = try Connection(host: host, port: port, deadline: deadline, url: url)
    let name = host.contains(":") ? "[\(host)]" : host
    var head = "\(method) \(prefix + path) HTTP/1.1\r\nHost: \(name):\(port)\r\nConnection: close\r\nAccept: application/json\r\n"
    if let token { head += "Authorization: Bearer \(token)\r\n" }
    if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
    try connection.send(Array((head + "\r\n").utf8) + (body ?? []))
    var reader = AnswerReader(connection, bytesMaximum: bytesMaximum)
    return try reader.read()
  }

  /// The `data` of an answer of the API.
  ///
  /// - Throws: as ``request(_:_:body:)``, and `refused` for an answer that is no success.
  public func get<T: Decodable>(_ path: String, as type: T.Type = T.self) throws(HTTPClientError) -> T {
    try decode(request("GET", path), type)
  }

  /// Sends a value as JSON and reads the `data` of the answer.
  ///
  /// - Throws: as ``get(_:as:)``.
  public func post<T: Decodable>(_ path: String, _ value: some Encodable, as type: T.Type = T.self) throws(HTTPClientError) -> T {
    guard let body = try? JSONEncoder().encode(value) else { throw HTTPClientError(.badAnswer, "the request cannot be written as JSON") }
    return try decode(request("POST", path, body: Array(body)), type)
  }

  /// Asks for something to be taken away and reads the `data` of the answer.
  ///
  /// - Throws: as ``get(_:as:)``.
  public func delete<T: Decodable>(_ path: String, as type: T.Type = T.self) throws(HTTPClientError) -> T {
    try decode(request("DELETE", path), type)
  }

  private func decode<T: Decodable>(_ answer: Answer, _ type: T.Type) throws(HTTPClientError) -> T {
    let data = Data(answer.body)
    // A status other than 200 may still carry data: a node that is not healthy says so with 503.
    if let good = try? JSONDecoder().decode(SuccessEnvelope<T>.self, from: data), good.success { return good.data }
    if let bad = try? JSONDecoder().decode(FailureEnvelope.self, from: data), !bad.success {
      throw HTTPClientError(.refused, bad.error.message, status: answer.status, reason: bad.error.code)
    }
    throw HTTPClientError(
      .badAnswer, "\(url) answered with status \(answer.status), but not as a Starling node does; is it the node's API?",
      status: answer.status)
  }
}

/// Why a request has no good answer.
public struct HTTPClientError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of failure; an open set.
  public struct Code: RawRepresentable, Hashable, Sendable {
    /// A stable lower-case name.
    public let rawValue: String
    /// Makes a code.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The text is no address.
    public static let badAddress = Code(rawValue: "bad-address")
    /// The token cannot be sent.
    public static let badToken = Code(rawValue: "bad-token")
    /// Nobody listens there; the request was not sent.
    public static let notReachable = Code(rawValue: "not-reachable")
    /// The time was over.
    public static let timedOut = Code(rawValue: "timed-out")
    /// The connection broke in the middle.
    public static let interrupted = Code(rawValue: "interrupted")
    /// The answer is not HTTP, not JSON, too long or of another shape.
    public static let badAnswer = Code(rawValue: "bad-answer")
    /// The server refused; ``HTTPClientError/reason`` holds its code.
    public static let refused = Code(rawValue: "refused")
  }

  /// The kind of failure.
  public let code: Code
  /// What exactly, for people.
  public let message: String
  /// The HTTP status, if an answer came; else 0.
  public let status: Int
  /// The server's code for a refusal; else empty.
  public let reason: String
  /// The message.
  public var description: String { message }

  /// Makes an error.
  public init(_ code: Code, _ message: String, status: Int = 0, reason: String = "") {
    self.code = code
    self.message = message
    self.status = status
    self.reason = reason
  }
}

/// A connected socket with a deadline.
private final class Connection {
  private let descriptor: Int32
  private let deadline: ContinuousClock.Instant
  private let url: String

  init(host: String, port: String, deadline: ContinuousClock.Instant, url: String) throws(HTTPClientError) {
    self.deadline = deadline
    self.url = url
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    let status = getaddrinfo(host, port, &hints, &list)
    guard status == 0, let list else {
      throw HTTPClientError(.notReachable, "cannot reach \(url): \(String(cString: gai_strerror(status)))")
    }
    defer { freeaddrinfo(list) }
    var failure = "no address"
    var entry: UnsafeMutablePointer<addrinfo>? = list
    while let info = entry?.pointee {
      entry = info.ai_next
      let candidate = socket(info.ai_family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      guard candidate >= 0 else { continue }
      var problem = connect(candidate, info.ai_addr, info.ai_addrlen) == 0 ? 0 : errno
      if problem == EINPROGRESS {
        problem = ETIMEDOUT
        if Self.wait(candidate, Int16(POLLOUT), until: deadline) {
          var size = socklen_t(MemoryLayout<Int32>.size)
          getsockopt(candidate, SOL_SOCKET, SO_ERROR, &problem, &size)
        }
      }
      if problem == 0 {
        descriptor = candidate
        return
      }
      close(candidate)
      failure = String(cString: strerror(problem)).lowercased()
    }
    throw HTTPClientError(.notReachable, "cannot reach \(url): \(failure)")
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) throws(HTTPClientError) {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset, Int32(MSG_NOSIGNAL))
      }
      if count > 0 { offset += count } else { try ready(Int16(POLLOUT)) }
    }
  }

  /// The next bytes; empty at the end.
  func receive() throws(HTTPClientError) -> [UInt8] {
    var chunk = [UInt8](repeating: 0, count: 32 << 10)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count >= 0 { return Array(chunk[..<count]) }
      try ready(Int16(POLLIN))
    }
  }

  private func ready(_ events: Int16) throws(HTTPClientError) {
    guard errno == EAGAIN || errno == EINTR else {
      throw HTTPClientError(.interrupted, "the connection to \(url) broke: \(String(cString: strerror(errno)).lowercased())")
    }
    guard Self.wait(descriptor, events, until: deadline) else { throw HTTPClientError(.timedOut, "\(url) did not answer in time") }
  }

  private static func wait(_ descriptor: Int32, _ events: Int16, until deadline: ContinuousClock.Instant) -> Bool {
    while true {
      let left = (deadline - ContinuousClock.now) / .milliseconds(1)
      guard left > 0 else { return false }
      var entry = pollfd(fd: descriptor, events: events, revents: 0)
      let count = poll(&entry, 1, Int32(min(left.rounded(.up), 60_000)))
      if count > 0 { return true }
      if count < 0 && errno != EINTR { return false }
    }
  }
}

/// Reads one answer (RFC 9112): by length, in chunks, or up to the end of the connection.
private struct AnswerReader {
  private let connection: Connection
  private var buffer: [UInt8] = []
  private var start = 0

  private let bytesMaximum: Int

  init(_ connection: Connection, bytesMaximum: Int) {
    self.connection = connection
    self.bytesMaximum = bytesMaximum
  }

  mutating func read() throws(HTTPClientError) -> HTTPClient.Answer {
    var status = 0
    var length: Int?
    var isChunked = false
    repeat {
      let parts = try line().split(separator: " ")
      guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let code = Int(parts[1]) else { throw Self.bad("not an HTTP answer") }
      status = code
      while true {
        let field = try line()
        if field.isEmpty { break }
        let pair = field.split(separator: ":", maxSplits: 1)
        guard pair.count == 2 else { continue }
        let value = pair[1].trimmingCharacters(in: .whitespaces).lowercased()
        switch pair[0].lowercased() {
        case "content-length":
          guard let count = Int(value), (0...bytesMaximum).contains(count) else { throw Self.bad("a length of \(value)") }
          length = count
        case "transfer-encoding": isChunked = value.hasSuffix("chunked")
        default: break
        }
      }
    } while (100..<200).contains(status)
    if isChunked { return HTTPClient.Answer(status: status, body: try chunks()) }
    if let length { return HTTPClient.Answer(status: status, body: try take(length)) }
    while try fill() {}
    return HTTPClient.Answer(status: status, body: Array(buffer[start...]))
  }

  private mutating func chunks() throws(HTTPClientError) -> [UInt8] {
    var body: [UInt8] = []
    while true {
      let size = try line().prefix { $0.isHexDigit }
      guard let count = Int(size, radix: 16), count <= bytesMaximum - body.count else { throw Self.bad("a chunk of \(size)") }
      if count == 0 { break }
      body += try take(count)
      _ = try line()
    }
    while try !line().isEmpty {}
    return body
  }

  private mutating func line() throws(HTTPClientError) -> String {
    var scanned = start
    while true {
      if let end = buffer[scanned...].firstIndex(of: 0x0a) {
        defer { start = end + 1 }
        return String(decoding: buffer[start..<(end > start && buffer[end - 1] == 0x0d ? end - 1 : end)], as: UTF8.self)
      }
      scanned = buffer.count
      guard scanned - start < 64 << 10 else { throw Self.bad("a header line over 64 KiB") }
      guard try fill() else {
        throw HTTPClientError(
          .interrupted, buffer.isEmpty ? "the connection ended without an answer; does an HTTP server listen there?" : Self.cutShort)
      }
    }
  }

  private static let cutShort = "the connection ended within an answer"

  private mutating func take(_ count: Int) throws(HTTPClientError) -> [UInt8] {
    while buffer.count - start < count {
      guard try fill() else { throw HTTPClientError(.interrupted, Self.cutShort) }
    }
    defer { start += count }
    return Array(buffer[start..<(start + count)])
  }

  private mutating func fill() throws(HTTPClientError) -> Bool {
    let bytes = try connection.receive()
    guard buffer.count + bytes.count <= bytesMaximum + (64 << 10) else { throw Self.bad("over \(bytesMaximum) bytes") }
    buffer += bytes
    return !bytes.isEmpty
  }

  private static func bad(_ what: String) -> HTTPClientError { HTTPClientError(.badAnswer, "the answer is broken: \(what)") }
}
