import Foundation

/// One answer: status, header fields and body.
public struct HTTPResponse: Sendable {
  /// The HTTP status.
  public var status: Int
  /// Header fields in order; values with control characters are dropped when sending.
  public var headers: [(name: String, value: String)]
  /// The body.
  public var body: [UInt8]
  /// What follows the body, made while it is sent; the answer then goes out in chunks.
  public var pieces: (any PiecewiseBody)?

  /// Makes an answer.
  public init(
    status: Int = 200, headers: [(name: String, value: String)] = [], body: [UInt8] = [], pieces: (any PiecewiseBody)? = nil
  ) {
    self.status = status
    self.headers = headers
    self.body = body
    self.pieces = pieces
  }

  /// Bytes that are kept until the answer is sent.
  var keptBytes: Int { body.count + (pieces?.keptBytes ?? 0) }

  /// A text with a content type, such as the Prometheus page or HTML.
  public static func text(_ text: String, status: Int = 200, contentType: String = "text/plain; charset=utf-8") -> HTTPResponse {
    HTTPResponse(status: status, headers: [("Content-Type", contentType)], body: Array(text.utf8))
  }

  /// A value as bare JSON with sorted keys, for routes of other systems' shapes. O(size).
  public static func json(_ value: some Encodable, status: Int = 200) -> HTTPResponse {
    guard let body = encoded(value) else { return .failure(500, "internal", "the answer could not be encoded") }
    return HTTPResponse(status: status, headers: [("Content-Type", "application/json")], body: body)
  }

  /// A value as JSON with sorted keys; `nil` when it cannot be had.
  public static func encoded(_ value: some Encodable) -> [UInt8]? {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return (try? encoder.encode(value)).map { Array($0) }
  }

  /// `{"success":true,"data":…}`.
  public static func success(_ value: some Encodable, status: Int = 200) -> HTTPResponse {
    json(SuccessEnvelope(success: true, data: value), status: status)
  }

  /// `{"success":false,"error":{"code":…,"message":…}}`.
  public static func failure(_ status: Int, _ code: String, _ message: String) -> HTTPResponse {
    json(FailureEnvelope(success: false, error: .init(code: code, message: message)), status: status)
  }

  /// The envelope of an error.
  public static func failure(_ error: HTTPError) -> HTTPResponse { failure(error.status, error.code, error.message) }

  /// The answer with one more header field.
  public func with(_ name: String, _ value: String) -> HTTPResponse {
    var copy = self
    copy.headers.append((name, value))
    return copy
  }
}

/// The envelope of a good answer.
public struct SuccessEnvelope<T> {
  /// Always true.
  public var success: Bool
  /// The answer.
  public var data: T
}
extension SuccessEnvelope: Encodable where T: Encodable {}
extension SuccessEnvelope: Decodable where T: Decodable {}

/// The envelope of a refusal.
public struct FailureEnvelope: Codable, Hashable, Sendable {
  /// Why.
  public struct Reason: Codable, Hashable, Sendable {
    /// A stable code for programs.
    public var code: String
    /// A message for people.
    public var message: String
  }
  /// Always false.
  public var success: Bool
  /// Why it was refused.
  public var error: Reason
}
