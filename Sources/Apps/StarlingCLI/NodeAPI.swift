import Foundation
import HTTPAPI
import Node
import Wire

/// A node's HTTP API as this program uses it. Every call blocks and throws ``HTTPClientError``.
struct NodeAPI: Sendable {
  static let defaultURL = "http://127.0.0.1:8545"
  static let prefix = "/api/v1"
  let client: HTTPClient

  init(_ url: String, token: String? = nil, timeout: Duration = .seconds(5)) throws(HTTPClientError) {
    client = try HTTPClient(url, token: token, timeout: timeout)
  }

  /// The node that a command's `--api` names.
  init(_ call: ParsedCommand) throws {
    do throws(HTTPClientError) { try self.init(call["api"] ?? Self.defaultURL) } catch {
      throw Failure.usage(call, "--api: \(error)")
    }
  }

  var url: String { client.url }
  func info() throws(HTTPClientError) -> NodeInfoResponse { try client.get(Self.prefix + "/node/info") }
  func health() throws(HTTPClientError) -> HealthResponse { try client.get(Self.prefix + "/node/health") }
  func peers() throws(HTTPClientError) -> PeersResponse { try client.get(Self.prefix + "/node/peers") }
  func chain() throws(HTTPClientError) -> ChainInfoResponse { try client.get(Self.prefix + "/chain/info") }
  func block(_ height: UInt64) throws(HTTPClientError) -> BlockResponse { try client.get(Self.prefix + "/block/height/\(height)") }
  func account(_ address: String) throws(HTTPClientError) -> AccountResponse { try client.get(Self.prefix + "/account/\(address)") }

  /// `nil` when the node knows no such transaction.
  func transaction(_ hash: String) throws(HTTPClientError) -> TransactionResponse? {
    do throws(HTTPClientError) { return try client.get(Self.prefix + "/transaction/\(hash)") } catch {
      if error.status == 404 { return nil }
      throw error
    }
  }

  func submit(_ transaction: [UInt8]) throws(HTTPClientError) -> SubmittedResponse {
    try client.post(Self.prefix + "/transaction", ["transaction": Base16.encode(transaction)])
  }
}

/// Reads values of options.
enum Parse {
  /// A number with a unit (`500ms`, `5s`, `2m`, `1h`, `7d`); a bare one is in seconds.
  static func duration(_ text: String) -> Duration? {
    let number = text.prefix { $0.isNumber || $0 == "." }
    guard let value = Double(number), value.isFinite, value < 1e9 else { return nil }
    let milliseconds: Double
    switch text[number.endIndex...] {
    case "ms": milliseconds = value
    case "s", "": milliseconds = value * 1_000
    case "m": milliseconds = value * 60_000
    case "h": milliseconds = value * 3_600_000
    case "d": milliseconds = value * 86_400_000
    default: return nil
    }
    return .milliseconds(Int64(milliseconds.rounded()))
  }

  /// A duration as options take it, in the largest unit that gives a whole number: `500ms`, `5s`, `3650d`.
  static func text(_ duration: Duration) -> String {
    let milliseconds = Int64(duration.milliseconds)
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] as [(String, Int64)]
    where milliseconds > 0 && milliseconds.isMultiple(of: size) {
      return "\(milliseconds / size)\(unit)"
    }
    return "\(milliseconds)ms"
  }

  static func duration(_ call: ParsedCommand, _ option: String, default: Duration, in range: ClosedRange<Duration>) throws -> Duration {
    guard let text = call[option] else { return `default` }
    guard let value = duration(text), range.contains(value) else {
      throw Failure.usage(
        call,
        "--\(option): must be between \(self.text(range.lowerBound)) and \(self.text(range.upperBound)), not '\(text)'"
      )
    }
    return value
  }

  static func integer(_ call: ParsedCommand, _ option: String, default: Int, in range: ClosedRange<Int>) throws -> Int {
    guard let text = call[option] else { return `default` }
    guard let value = Int(text), range.contains(value) else {
      throw Failure.usage(call, "--\(option): must be a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
    }
    return value
  }

  static func unsigned(_ call: ParsedCommand, _ option: String) throws -> UInt64? {
    guard let text = call[option] else { return nil }
    guard let value = UInt64(text) else { throw Failure.usage(call, "--\(option): must be a whole number, not '\(text)'") }
    return value
  }
}
