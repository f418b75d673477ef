import CMicrohttpd
import Foundation

/// The promise of one answer; the first one given counts.
///
/// It may be kept and answered from any thread. When the server's handler timeout passes first, or the last reference
/// goes away unanswered, the client gets a 504 or a 500.
public final class HTTPResponder: Sendable {
  private let exchange: Exchange

  init(_ exchange: Exchange) { self.exchange = exchange }

  deinit { exchange.answer(.failure(500, "unanswered", "the request was dropped"), stream: nil) }

  /// Answers the request; returns whether this was the first answer.
  @discardableResult public func respond(_ response: HTTPResponse) -> Bool { exchange.answer(response, stream: nil) }

  /// Answers with `{"success":true,"data":…}`.
  @discardableResult public func success(_ value: some Encodable, status: Int = 200) -> Bool {
    respond(.success(value, status: status))
  }

  /// Answers with `{"success":false,"error":…}`.
  @discardableResult public func failure(_ error: HTTPError) -> Bool { respond(.failure(error)) }

  /// Answers with whatever `body` returns or throws.
  public func answer(_ body: () throws(HTTPError) -> HTTPResponse) {
    do throws(HTTPError) { respond(try body()) } catch { failure(error) }
  }

  /// Answers with a stream of server-sent events that stays open; `nil` when there are too many (the client gets a 503).
  public func openEventStream() -> EventStream? { exchange.openEventStream() }
}

/// One request under way: the meeting point of the event thread and of whoever answers.
final class Exchange: @unchecked Sendable {
  private enum State {
    case receiving
    case handling
    /// The connection is parked until an answer wakes it.
    case suspended
    case answered
    case finished
  }

  let server: HTTPServer.Core
  let connection: OpaquePointer
  let method: String
  let path: String
  /// The host that the request's target names; `nil` where it is a path alone.
  let authority: String?
  // Touched by the event thread only.
  var body: [UInt8] = []
  var discardedBytes = 0
  var tooLarge = false
  var dispatched = false
  var origin: String?
  /// Whom the answer is charged to; empty before the request was taken.
  var client = ""

  private let lock = NSLock()
  private var state = State.receiving
  private var response: HTTPResponse?
  private var stream: EventStream?
  /// Bytes that are reserved with the server: what the answer is expected to have, and once it is there what it has.
  private var reserved = 0

  init(server: HTTPServer.Core, connection: OpaquePointer, method: String, path: String, authority: String?) {
    self.authority = authority
    self.server = server
    self.connection = connection
    self.method = method
    self.path = path
  }

  func beginHandling() {
    lock.withLock { if state == .receiving { state = .handling } }
  }

  /// The request was taken: its answer is charged to `client`, and so many bytes are reserved for it.
  func admitted(_ client: String, reserved: Int) {
    self.client = client
    lock.withLock { self.reserved = reserved }
  }

  @discardableResult func answer(_ answer: HTTPResponse, stream: EventStream?) -> Bool {
    lock.withLock {
      guard state == .handling || state == .suspended else { return false }
      let isTaken = server.clients.settle(reserved, with: answer.keptBytes, for: client)
      reserved = isTaken && answer.keptBytes > Self.shortBytes ? answer.keptBytes : 0
      response = isTaken ? answer : HTTPServer.Core.tooManyAnswers
      self.stream = stream
      if state == .suspended { MHD_resume_connection(connection) }
      state = .answered
      return true
    }
  }

  func openEventStream() -> EventStream? {
    guard server.reserveStream() else {
      answer(.failure(503, "too_many_streams", "too many live streams are open; try again later"), stream: nil)
      return nil
    }
    let stream = EventStream(connection: connection, bufferBytes: server.configuration.streamBufferBytes) { [server] in
      server.releaseStream($0)
    }
    server.register(stream)
    let response = HTTPResponse(headers: [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
    guard answer(response, stream: stream) else {
      stream.close()
      stream.detach()
      return nil
    }
    return stream
  }

  /// The answer, or parks the connection until there is one.
  func takeAnswerOrSuspend() -> (HTTPResponse, EventStream?)? {
    lock.withLock {
      if let response {
        self.response = nil
        return (response, stream)
      }
      if state == .handling {
        MHD_suspend_connection(connection)
        state = .suspended
      }
      return nil
    }
  }

  /// The connection is done with this request; later answers fall on nothing. `isSent` when all of the answer has gone out.
  func finish(isSent: Bool) {
    let (stream, reserved, isRead) = lock.withLock {
      // What was not answered is not unread either.
      let isRead = isSent || state != .answered
      state = .finished
      response = nil
      return (self.stream, self.reserved, isRead)
    }
    if reserved > 0 { server.clients.release(reserved, for: client, isRead: isRead) }
    stream?.detach()
  }

  /// Whether the connection has less patience while this answer is sent. Event thread only.
  var isLong = false

  /// The longest answer that is copied at once.
  static let smallBody = 4_096
  /// The longest answer that is not counted.
  static let shortBytes = 65_536
}
