import Foundation

/// A value as a configuration file, a variable or a flag gives it.
public enum ConfigurationValue: Hashable, Sendable, Decodable {
  /// Nothing, as a YAML key without a value.
  case null
  /// True or false.
  case boolean(Bool)
  /// A whole number.
  case integer(Int)
  /// Another number.
  case number(Double)
  /// A text.
  case text(String)
  /// A list.
  case list([ConfigurationValue])
  /// A table of further keys.
  case table([String: ConfigurationValue])

  /// Reads any JSON value.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .boolean(value)
    } else if let value = try? container.decode(Int.self) {
      self = .integer(value)
    } else if let value = try? container.decode(Double.self) {
      self = .number(value)
    } else if let value = try? container.decode(String.self) {
      self = .text(value)
    } else if let value = try? container.decode([ConfigurationValue].self) {
      self = .list(value)
    } else {
      self = .table(try container.decode([String: ConfigurationValue].self))
    }
  }

  /// The value as every source of settings means it: texts without the white space and line breaks round them, which a file, a variable or a
  /// shell easily adds.
  ///
  /// - Throws: for a text with a line break or another control character inside, which nobody means.
  func tidied() throws(ValueError) -> ConfigurationValue {
    switch self {
    case .text(let text):
      let tidy = text.trimmed
      guard !tidy.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
        throw ValueError("must not hold a line break or another control character")
      }
      return .text(tidy)
    case .list(let items):
      var tidy: [ConfigurationValue] = []
      for item in items { tidy.append(try item.tidied()) }
      return .list(tidy)
    case .null, .boolean, .integer, .number, .table: return self
    }
  }

  /// The type's name for messages.
  var typeName: String {
    switch self {
    case .null: "nothing"
    case .boolean: "true or false"
    case .integer: "a whole number"
    case .number: "a number with a fraction"
    case .text: "a text"
    case .list: "a list"
    case .table: "a table"
    }
  }
}

extension String {
  /// The text without white space and line breaks at its ends.
  public var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

/// Where a value of the configuration came from.
public enum ConfigurationSource: Hashable, Sendable, CustomStringConvertible {
  /// Nobody set it.
  case `default`
  /// A file; line and column count from 1, 0 when unknown.
  case file(path: String, line: Int, column: Int)
  /// An environment variable.
  case environment(String)
  /// A command-line flag, with its dashes.
  case flag(String)

  /// As in messages: `node.toml:3:1`, `environment STARLING_NETWORK`, `--network`.
  public var description: String {
    switch self {
    case .default: "default"
    case .file(let path, 0, _): path
    case .file(let path, let line, 0): "\(path):\(line)"
    case .file(let path, let line, let column): "\(path):\(line):\(column)"
    case .environment(let name): "environment \(name)"
    case .flag(let name): name
    }
  }
}

/// Everything that is wrong with a configuration, each with its place.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// One fault.
  public struct Problem: Hashable, Sendable, CustomStringConvertible {
    /// Where.
    public let source: ConfigurationSource
    /// The key as written; empty when it is about the whole file.
    public let key: String
    /// What is wrong and what to do, in words.
    public let message: String

    /// `place: key: message`
    public var description: String { "\(source): \(key.isEmpty ? "" : key + ": ")\(message)" }
  }

  /// The faults; never empty.
  public let problems: [Problem]
  /// One line a fault.
  public var description: String { problems.map(\.description).joined(separator: "\n") }

  init(_ problems: [Problem]) { self.problems = problems }
  init(_ source: ConfigurationSource, _ key: String, _ message: String) {
    problems = [Problem(source: source, key: key, message: message)]
  }
}

/// A misfit between a value and its key, before its place is known.
struct ValueError: Error {
  let message: String
  init(_ message: String) { self.message = message }
}

/// The closest of `names` to a mistyped one; `nil` when none is close.
func suggestion(for name: String, among names: [String]) -> String? {
  func normal(_ text: String) -> [UInt8] { Array(text.lowercased().replacing("-", with: "_").utf8.prefix(64)) }
  let wanted = normal(name)
  let best = names.map { (distance(wanted, normal($0)), $0) }.min { $0.0 != $1.0 ? $0.0 < $1.0 : $0.1 < $1.1 }
  guard let best, best.0 <= max(1, wanted.count / 3) else { return nil }
  return best.1
}

/// Edits with swaps of neighbours (optimal string alignment); O(n·m).
private func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
  var before: [Int] = []
  var previous = Array(0...right.count)
  for i in 1...left.count {
    var current = [i] + Array(repeating: 0, count: right.count)
    for j in 1...right.count {
      let same = left[i - 1] == right[j - 1]
      current[j] = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same ? 0 : 1))
      if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] { current[j] = min(current[j], before[j - 2] + 1) }
    }
    before = previous
    previous = current
  }
  return previous[right.count]
}
