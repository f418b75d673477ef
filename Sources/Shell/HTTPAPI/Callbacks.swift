import CMicrohttpd
import Foundation

/// The functions that libmicrohttpd calls, all on its event threads.
enum Callbacks {
  /// Called with the header fields, once for each part of the body, at the end of the body, and after each resumption.
  static let access: MHD_AccessHandlerCallback = { context, connection, url, method, _, upload, uploadSize, slot in
    guard let context, let connection, let slot, let uploadSize else { return no }
    let core = Unmanaged<HTTPServer.Core>.fromOpaque(context).takeUnretainedValue()
    guard let held = slot.pointee else {
      let (authority, path) = target(url.map { String(cString: $0) } ?? "")
      let exchange = Exchange(
        server: core, connection: connection, method: method.map { String(cString: $0) } ?? "", path: path, authority: authority)
      core.begin(exchange)
      slot.pointee = Unmanaged.passRetained(exchange).toOpaque()
      return core.admit(exchange)
    }
    let exchange = Unmanaged<Exchange>.fromOpaque(held).takeUnretainedValue()
    if uploadSize.pointee > 0 {
      let accepted = core.take(UnsafeRawBufferPointer(start: upload, count: uploadSize.pointee), for: exchange)
      uploadSize.pointee = 0
      return accepted ? yes : no
    }
    if !exchange.dispatched {
      exchange.dispatched = true
      core.dispatch(exchange)
    }
    guard let (response, stream) = exchange.takeAnswerOrSuspend() else {
      core.schedule(exchange)
      return yes
    }
    return core.send(response, stream: stream, on: exchange)
  }

  /// Takes a request's target apart. A proxy's client names the host in it (absolute form, RFC 9112 §3.2.2), which then counts in place of the
  /// `Host` field.
  static func target(_ text: String) -> (authority: String?, path: String) {
    let scheme = "http://"
    guard text.prefix(scheme.count).lowercased() == scheme else { return (nil, text) }
    let rest = text.dropFirst(scheme.count)
    let authority = rest.prefix { $0 != "/" }
    return (String(authority), authority.endIndex == rest.endIndex ? "/" : String(rest[authority.endIndex...]))
  }

  static let completed: MHD_RequestCompletedCallback = { context, connection, slot, end in
    guard let context, let slot, let held = slot.pointee else { return }
    slot.pointee = nil
    let exchange = Unmanaged<Exchange>.fromOpaque(held).takeRetainedValue()
    let core = Unmanaged<HTTPServer.Core>.fromOpaque(context).takeUnretainedValue()
    if exchange.isLong { cmicrohttpd_set_timeout(connection, core.idleSeconds) }
    core.end(exchange, isSent: cmicrohttpd_is_sent(end) != 0)
  }

  static let read: MHD_ContentReaderCallback = { context, _, buffer, maximum in
    guard let context, let buffer else { return -1 }
    return Unmanaged<EventStream>.fromOpaque(context).takeUnretainedValue().read(into: buffer, maximum: maximum)
  }

  static let free: MHD_ContentReaderFreeCallback = { context in
    if let context { Unmanaged<EventStream>.fromOpaque(context).release() }
  }

  static let readBody: MHD_ContentReaderCallback = { context, _, buffer, maximum in
    guard let context, let buffer else { return -1 }
    return Unmanaged<AnswerBody>.fromOpaque(context).takeUnretainedValue().read(into: buffer, maximum: maximum)
  }

  static let freeBody: MHD_ContentReaderFreeCallback = { context in
    if let context { Unmanaged<AnswerBody>.fromOpaque(context).release() }
  }

  static let yes = cmicrohttpd_yes
  static let no = cmicrohttpd_no
}

extension HTTPServer.Core {
  /// Looks at the header fields: a body that is announced as far too long is refused before it is sent.
  func admit(_ exchange: Exchange) -> MHD_Result {
    guard let text = header("Content-Length", exchange.connection) else { return Callbacks.yes }
    let length = Int(text) ?? .max
    guard length > configuration.maximumBodyBytes else { return Callbacks.yes }
    exchange.tooLarge = true
    // A body that is a little too long is read and dropped, so that the client gets to see the answer.
    guard length > discardLimit || header("Expect", exchange.connection) != nil else { return Callbacks.yes }
    exchange.dispatched = true
    return send(Self.tooLarge(configuration.maximumBodyBytes), stream: nil, on: exchange)
  }

  /// Takes a part of the body; `false` when the client has sent so much too much that it is cut off.
  func take(_ part: UnsafeRawBufferPointer, for exchange: Exchange) -> Bool {
    if !exchange.tooLarge && exchange.body.count + part.count <= configuration.maximumBodyBytes {
      exchange.body.append(contentsOf: part)
      return true
    }
    exchange.tooLarge = true
    exchange.body = []
    exchange.discardedBytes += part.count
    return exchange.discardedBytes <= discardLimit
  }

  /// Answers by itself or calls the route's handler.
  func dispatch(_ exchange: Exchange) {
    exchange.beginHandling()
    if isStopping {
      exchange.answer(.failure(503, "stopping", "the node is stopping"), stream: nil)
      return
    }
    if exchange.tooLarge {
      exchange.answer(Self.tooLarge(configuration.maximumBodyBytes), stream: nil)
      return
    }
    // Whoever asks too much is told before anything else is looked at, with what costs least, and has to connect anew.
    let match = router.match(method: exchange.method, path: exchange.path)
    if case .route(let route, _) = match {
      let client = Listener.client(cmicrohttpd_client_address(exchange.connection))
      switch clients.admit(client, cost: route.cost, mayBeLong: route.mayBeLong) {
      case .taken(let reserved): exchange.admitted(client, reserved: reserved)
      case .tooOften: return _ = exchange.answer(Self.tooManyRequests, stream: nil)
      case .full: return _ = exchange.answer(Self.tooManyAnswers, stream: nil)
      }
    }
    var headers = values(of: exchange.connection, query: false)
    if let authority = exchange.authority { headers["host"] = authority }
    var query: [String: String] = [:]
    for (name, value) in values(of: exchange.connection, query: true) {
      guard let name = Router.unescape(name), let value = Router.unescape(value) else {
        exchange.answer(.failure(400, "bad_query", "the query has a broken percent escape"), stream: nil)
        return
      }
      query[name] = value
    }
    var request = HTTPRequest(
      method: exchange.method == "HEAD" ? "GET" : exchange.method, path: exchange.path, query: query, headers: headers,
      body: exchange.body, remoteAddress: Listener.text(cmicrohttpd_client_address(exchange.connection)))
    exchange.body = []
    exchange.origin = headers["origin"]
    do throws(HTTPError) {
      if isLoopback { try checkHost(request) }
      switch match {
      case .notFound: throw HTTPError(404, "not_found", "there is nothing at this path")
      case .methodNotAllowed(let allowed):
        let list = allowed.joined(separator: ", ")
        let response =
          exchange.method == "OPTIONS"
          ? HTTPResponse(status: 204) : .failure(405, "method_not_allowed", "this path takes \(list)")
        exchange.answer(response.with("Allow", list), stream: nil)
      case .route(let route, let parameters):
        try authorize(request, route)
        try checkContentType(request, route)
        request.parameters = parameters
        route.handler(request, HTTPResponder(exchange))
      }
    } catch {
      let response = HTTPResponse.failure(error)
      exchange.answer(error.status == 401 ? response.with("WWW-Authenticate", "Bearer") : response, stream: nil)
    }
  }

  /// Hands an answer to the library.
  func send(_ response: HTTPResponse, stream: EventStream?, on exchange: Exchange) -> MHD_Result {
    let created: OpaquePointer?
    if let stream {
      created = MHD_create_response_from_callback(
        .max, Self.streamBlockBytes, Callbacks.read, Unmanaged.passRetained(stream).toOpaque(), Callbacks.free)
    } else if response.pieces != nil || response.body.count > Exchange.smallBody {
      let body = AnswerBody(response, within: configuration.sendTimeout) { [clients, client = exchange.client] in
        clients.charge($0, to: client)
      }
      exchange.isLong = true
      cmicrohttpd_set_timeout(exchange.connection, stallSeconds)
      created = MHD_create_response_from_callback(
        response.pieces == nil ? UInt64(response.body.count) : .max, Self.bodyBlockBytes, Callbacks.readBody,
        Unmanaged.passRetained(body).toOpaque(), Callbacks.freeBody)
    } else {
      created = response.body.withUnsafeBytes {
        cmicrohttpd_response($0.baseAddress, $0.count)
      }
    }
    guard let created else { return Callbacks.no }
    defer { MHD_destroy_response(created) }
    for (name, value) in response.headers { MHD_add_response_header(created, name, value) }
    MHD_add_response_header(created, "X-Content-Type-Options", "nosniff")
    if !response.headers.contains(where: { $0.name.lowercased() == "cache-control" }) {
      MHD_add_response_header(created, "Cache-Control", "no-store")
    }
    if let origin = exchange.origin, allows(origin) {
      MHD_add_response_header(created, "Access-Control-Allow-Origin", origin)
      MHD_add_response_header(created, "Vary", "Origin")
      if exchange.method == "OPTIONS" {
        MHD_add_response_header(created, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE")
        MHD_add_response_header(created, "Access-Control-Allow-Headers", "Authorization, Content-Type")
        MHD_add_response_header(created, "Access-Control-Max-Age", "600")
      }
    }
    return MHD_queue_response(exchange.connection, UInt32(min(max(response.status, 200), 599)), created)
  }

  private func allows(_ origin: String) -> Bool {
    configuration.allowedOrigins.contains("*") || configuration.allowedOrigins.contains(origin)
  }

  /// A page may point a name of its own at this machine and read the API as its "same origin"; such a name is refused.
  private func checkHost(_ request: HTTPRequest) throws(HTTPError) {
    guard let field = request.headers["host"]?.lowercased(), !field.isEmpty else { return }
    var host = Substring(field)
    if host.hasPrefix("[") { return }
    if let colon = host.lastIndex(of: ":") { host = host[..<colon] }
    let isAddress = host.allSatisfy { $0.isNumber || $0 == "." }
    guard isAddress || host == "localhost" || host.hasSuffix(".localhost") || configuration.allowedHosts.contains(String(host)) else {
      throw HTTPError(403, "host_not_allowed", "the API does not answer to this host name; http_allowed_hosts names others")
    }
  }

  /// A page in an operator's browser can send requests to any address that the browser reaches. Therefore a call that changes something
  /// takes more than to come from this machine: the token, which no page knows, and an origin that is the API's own or an allowed one.
  private func authorize(_ request: HTTPRequest, _ route: Router.Route) throws(HTTPError) {
    guard route.access == .admin else { return }
    try checkHost(request)
    if let origin = request.headers["origin"], !allows(origin), origin != "http://" + (request.headers["host"] ?? "") {
      throw HTTPError(403, "origin_not_allowed", "admin calls are not taken from pages of this origin")
    }
    guard let token = configuration.adminToken, !token.isEmpty else {
      throw HTTPError(403, "admin_off", "admin calls are off; set admin_token")
    }
    let field = request.headers["authorization"] ?? ""
    guard field.lowercased().hasPrefix("bearer ") else {
      throw HTTPError(401, "unauthorized", "this call needs the admin token")
    }
    guard Self.equal(Array(field.dropFirst(7).utf8), Array(token.utf8)) else {
      throw HTTPError(401, "unauthorized", "the admin token that came is not this node's")
    }
  }

  private func checkContentType(_ request: HTTPRequest, _ route: Router.Route) throws(HTTPError) {
    guard !request.body.isEmpty, !route.contentTypes.isEmpty else { return }
    let type = (request.headers["content-type"] ?? "").split(separator: ";").first?.trimmingCharacters(in: .whitespaces).lowercased()
    guard let type, route.contentTypes.contains(type) else {
      throw HTTPError(415, "unsupported_media_type", "send the body as \(route.contentTypes.joined(separator: " or "))")
    }
  }

  /// Takes as long for a wrong token as for the right one.
  private static func equal(_ given: [UInt8], _ wanted: [UInt8]) -> Bool {
    var difference: UInt8 = given.count == wanted.count ? 0 : 1
    for index in wanted.indices { difference |= wanted[index] ^ (index < given.count ? given[index] : 0) }
    return difference == 0
  }

  /// The answer to a request whose answer finds no room.
  static let tooManyAnswers = HTTPResponse.failure(503, "busy", "too many answers are still being sent; try again later").with(
    "Retry-After", "1"
  ).with("Connection", "close")

  /// The answer to a client that asks too much.
  private static let tooManyRequests = HTTPResponse.failure(
    429, "too_many_requests", "this address sends too many requests; try again in a second"
  ).with("Retry-After", "1").with("Connection", "close")

  private static func tooLarge(_ limit: Int) -> HTTPResponse {
    .failure(413, "body_too_large", "the body is longer than \(limit) bytes")
  }

  private func header(_ name: String, _ connection: OpaquePointer) -> String? {
    cmicrohttpd_header(connection, name).map { String(cString: $0) }
  }

  /// The query's arguments, or the header fields with names in lower case; the first of each name.
  private func values(of connection: OpaquePointer, query: Bool) -> [String: String] {
    var pairs: [(String, String)] = []
    withUnsafeMutablePointer(to: &pairs) { pointer in
      cmicrohttpd_each(
        connection, query ? 1 : 0,
        { context, _, name, value in
          guard let context, let name else { return Callbacks.yes }
          let pairs = context.assumingMemoryBound(to: [(String, String)].self)
          pairs.pointee.append((String(cString: name), value.map { String(cString: $0) } ?? ""))
          return Callbacks.yes
        }, pointer)
    }
    return Dictionary(pairs.map { (query ? $0.0 : $0.0.lowercased(), $0.1) }, uniquingKeysWith: { first, _ in first })
  }

  private var discardLimit: Int { configuration.maximumBodyBytes.multipliedReportingOverflow(by: 16).partialValue }
  private static let streamBlockBytes = 4_096
  private static let bodyBlockBytes = 32_768
}
