import Foundation

/// One request as a handler sees it.
public struct HTTPRequest: Sendable {
  /// The method in capitals. A HEAD request arrives as GET at handlers; the server drops the body.
  public let method: String
  /// The path as sent, percent escapes included, without the query.
  public let path: String
  /// The values of the route's `{name}` segments, unescaped.
  public internal(set) var parameters: [String: String] = [:]
  /// The query, unescaped; the first of several values of one name.
  public let query: [String: String]
  /// The header fields with names in lower case; the first of several values of one name.
  public let headers: [String: String]
  /// The body; at most `maximumBodyBytes` of the server's configuration.
  public let body: [UInt8]
  /// The client's IP address; empty when unknown.
  public let remoteAddress: String

  /// Makes a request; for tests of handlers.
  public init(
    method: String, path: String, query: [String: String] = [:], headers: [String: String] = [:], body: [UInt8] = [],
    remoteAddress: String = ""
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.remoteAddress = remoteAddress
  }

  /// A parameter as a number.
  ///
  /// - Throws: a 400 that names the parameter.
  public func number(_ name: String) throws(HTTPError) -> UInt64 {
    guard let text = parameters[name] ?? query[name], let number = UInt64(text) else {
      throw HTTPError(400, "bad_parameter", "\(name) must be a whole number that is not negative")
    }
    return number
  }

  /// A query value as a number, or `fallback` when it is absent.
  ///
  /// - Throws: a 400 that names the value when it isn't a number, or outside `range`.
  public func number(query name: String, fallback: Int, in range: ClosedRange<Int>) throws(HTTPError) -> Int {
    guard let text = query[name] else { return fallback }
    guard let number = Int(text), range.contains(number) else {
      let bounds = range.upperBound == .max ? "that is not below \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
      throw HTTPError(400, "bad_parameter", "\(name) must be a whole number \(bounds)")
    }
    return number
  }

  /// The body as JSON.
  ///
  /// - Throws: a 400 that says what is missing or of the wrong type.
  public func decode<T: Decodable>(_ type: T.Type = T.self) throws(HTTPError) -> T {
    do {
      return try JSONDecoder().decode(type, from: Data(body))
    } catch {
      // The decoder's error for a number out of range is that for broken JSON, without a place.
      let isJSON = (try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)) != nil
      throw HTTPError(400, "bad_json", Self.explain(error, fallback: isJSON ? "a number is out of range" : "the body is not valid JSON"))
    }
  }

  /// The body as a JSON object that has no keys but these.
  ///
  /// - Throws: a 400 that says what is missing, of the wrong type, or unknown: a key that is not understood may change what was meant.
  public func decode<T: Decodable>(_ type: T.Type = T.self, keys: Set<String>) throws(HTTPError) -> T {
    let value: T = try decode()
    let object = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:]
    if let unknown = object.keys.filter({ !keys.contains($0) }).min() {
      throw HTTPError(
        400, "bad_json", "the body has an unknown key \(unknown.prefix(40)); known are \(keys.sorted().joined(separator: ", "))")
    }
    return value
  }

  private static func explain(_ error: any Error, fallback: String) -> String {
    func name(_ path: [any CodingKey]) -> String { path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".") }
    return switch error as? DecodingError {
    case .keyNotFound(let key, let context): "the body lacks \(name(context.codingPath + [key]))"
    case .typeMismatch(_, let context): "\(name(context.codingPath)) has the wrong type"
    case .valueNotFound(_, let context): "\(name(context.codingPath)) must not be null"
    case .dataCorrupted(let context) where !context.codingPath.isEmpty: "\(name(context.codingPath)) has a bad value"
    default: fallback
    }
  }
}

/// A refusal with its status, a stable code for programs and a message for people.
public struct HTTPError: Error, Hashable, Sendable {
  /// The HTTP status, 400 to 599.
  public let status: Int
  /// The stable code, such as `not_found`.
  public let code: String
  /// What to tell the user.
  public let message: String

  /// Makes a refusal.
  public init(_ status: Int, _ code: String, _ message: String) {
    self.status = status
    self.code = code
    self.message = message
  }
}
