/// The table of routes: method and path pattern to handler.
///
/// A pattern is a path whose segments are literals or `{name}` for one non-empty segment. A literal is tried before a
/// parameter, so `/block/latest` and `/block/{hash}` live together. Look-up is O(segments) save for backtracking.
public struct Router: Sendable {
  /// Answers one request, now or later, from any thread.
  public typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void

  /// Who may call a route.
  public enum Access: Hashable, Sendable {
    /// Everybody who reaches the port.
    case open
    /// Callers with the admin token.
    case admin
  }

  struct Route: Sendable {
    let method: String
    let pattern: String
    let names: [String]
    let access: Access
    let cost: Double
    let mayBeLong: Bool
    let contentTypes: [String]
    let handler: Handler
  }

  enum Match {
    case route(Route, parameters: [String: String])
    case methodNotAllowed(allowed: [String])
    case notFound
  }

  private struct Node: Sendable {
    var literals: [String: Int] = [:]
    var parameter: Int?
    var routes: [String: Route] = [:]
  }

  private var nodes: [Node] = [Node()]

  /// Makes an empty table.
  public init() {}

  /// Adds a route. A GET route also answers HEAD.
  ///
  /// - Parameters:
  ///   - access: who may call it; the default is everybody.
  ///   - cost: what a request counts as in its client's rate (``HTTPServer/Configuration/requestsPerSecond``); default 1, for one that the node
  ///     answers from what it has at hand.
  ///   - mayBeLong: whether the answer may have more than 64 KiB. Then the request is refused at once when there is no room for such an answer.
  ///   - contentTypes: what a body may be (default JSON); empty allows anything.
  public mutating func on(
    _ method: String, _ pattern: String, access: Access = .open, cost: Double = 1, mayBeLong: Bool = false,
    contentTypes: [String] = ["application/json"], _ handler: @escaping Handler
  ) {
    precondition(pattern.hasPrefix("/"), "the pattern \(pattern) does not start with a slash")
    var node = 0
    var names: [String] = []
    for segment in Self.segments(pattern) {
      if segment.hasPrefix("{"), segment.hasSuffix("}") {
        names.append(String(segment.dropFirst().dropLast()))
        node = child(of: node, at: \.parameter)
      } else {
        node = child(of: node, at: \.literals[String(segment)])
      }
    }
    precondition(nodes[node].routes[method] == nil, "two routes for \(method) \(pattern)")
    nodes[node].routes[method] = Route(
      method: method, pattern: pattern, names: names, access: access, cost: cost, mayBeLong: mayBeLong,
      contentTypes: contentTypes, handler: handler)
  }

  /// Adds a GET route.
  public mutating func get(
    _ pattern: String, access: Access = .open, cost: Double = 1, mayBeLong: Bool = false, _ handler: @escaping Handler
  ) {
    on("GET", pattern, access: access, cost: cost, mayBeLong: mayBeLong, handler)
  }

  /// Adds a POST route that takes JSON.
  public mutating func post(_ pattern: String, access: Access = .open, _ handler: @escaping Handler) {
    on("POST", pattern, access: access, handler)
  }

  /// Adds a DELETE route.
  public mutating func delete(_ pattern: String, access: Access = .open, _ handler: @escaping Handler) {
    on("DELETE", pattern, access: access, handler)
  }

  /// Every route as `METHOD pattern`, sorted, for help and documents. O(n log n).
  public var listing: [String] {
    nodes.flatMap { $0.routes.values.map { "\($0.method) \($0.pattern)\($0.access == .admin ? " (admin)" : "")" } }.sorted()
  }

  /// Finds the route of an escaped path.
  func match(method: String, path: String) -> Match {
    var values: [String] = []
    for segment in Self.segments(path) {
      guard let value = Self.unescape(segment) else { return .notFound }
      values.append(value)
    }
    guard values.count <= Self.segmentMaximum else { return .notFound }
    let wanted = method == "HEAD" ? "GET" : method
    var allowed: Set<String> = []
    if let (route, parameters) = find(0, values[...], [], wanted, &allowed) {
      return .route(route, parameters: Dictionary(zip(route.names, parameters), uniquingKeysWith: { first, _ in first }))
    }
    if allowed.isEmpty { return .notFound }
    if allowed.contains("GET") { allowed.insert("HEAD") }
    allowed.insert("OPTIONS")
    return .methodNotAllowed(allowed: allowed.sorted())
  }

  private func find(
    _ node: Int, _ rest: ArraySlice<String>, _ parameters: [String], _ method: String, _ allowed: inout Set<String>
  ) -> (Route, [String])? {
    guard let segment = rest.first else {
      allowed.formUnion(nodes[node].routes.keys)
      return nodes[node].routes[method].map { ($0, parameters) }
    }
    if let next = nodes[node].literals[segment], let found = find(next, rest.dropFirst(), parameters, method, &allowed) { return found }
    if let next = nodes[node].parameter, !segment.isEmpty {
      return find(next, rest.dropFirst(), parameters + [segment], method, &allowed)
    }
    return nil
  }

  private mutating func child(of node: Int, at path: WritableKeyPath<Node, Int?>) -> Int {
    if let existing = nodes[node][keyPath: path] { return existing }
    nodes.append(Node())
    nodes[node][keyPath: path] = nodes.count - 1
    return nodes.count - 1
  }

  /// The path's segments; one slash at the end doesn't count.
  private static func segments(_ path: String) -> [Substring] {
    var segments = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    if segments.last == "" { segments.removeLast() }
    return Array(segments)
  }

  /// Resolves percent escapes; `nil` for a broken escape, a NUL or what is not UTF-8.
  static func unescape(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var iterator = text.utf8.makeIterator()
    while let byte = iterator.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else { return nil }
      bytes.append(high << 4 | low)
    }
    guard !bytes.contains(0) else { return nil }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func digit(_ character: UInt8) -> UInt8? {
    switch character {
    case 0x30...0x39: character - 0x30
    case 0x41...0x46: character - 0x41 + 10
    case 0x61...0x66: character - 0x61 + 10
    default: nil
    }
  }

  /// Deeper paths are not found; bounds the backtracking.
  private static let segmentMaximum = 16
}
