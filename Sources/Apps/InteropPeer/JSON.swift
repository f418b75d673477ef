import FoundationEssentials

/// A JSON value to print.
enum JSON: Sendable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([JSON])
  case object([(String, JSON)])

  /// One line, without spaces.
  var line: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): "\(value)"
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .text(let value): Self.quote(value)
    case .list(let values): "[" + values.map(\.line).joined(separator: ",") + "]"
    case .object(let fields): "{" + fields.map { Self.quote($0) + ":" + $1.line }.joined(separator: ",") + "}"
    }
  }

  private static func quote(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value):
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// A command line's JSON object; fields that an operation does not use are absent.
struct Command: Decodable, Sendable {
  var n: Int?
  var op: String
  var peer: String?
  var addr: String?
  var proto: String?
  var topic: String?
  /// Base64.
  var data: String?
  var count: Int?
  var size: Int?
  var up: Int?
  var down: Int?
  var block: Int?
  /// A record's key and value, and a provider's multihash; hexadecimal.
  var key: String?
  var value: String?
  var mh: String?
  /// `client` or `server`.
  var mode: String?
  /// Seconds.
  var timeout: Double?

  init(_ line: String) throws { self = try JSONDecoder().decode(Command.self, from: Data(line.utf8)) }
}

/// What the person or program at the other end of standard input has got wrong.
struct CommandError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
