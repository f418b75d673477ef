/// One option of a command.
public struct CommandOption: Hashable, Sendable {
  /// The name without dashes.
  public let name: String
  /// What stands for its value in help; `nil` for a switch.
  public let value: String?
  /// Whether it may be given several times.
  public let repeats: Bool
  /// One line of help.
  public let help: String

  /// Describes an option.
  public init(_ name: String, value: String? = nil, repeats: Bool = false, help: String) {
    self.name = name
    self.value = value
    self.repeats = repeats
    self.help = help
  }
}

/// One argument of a command, by place.
public struct CommandArgument: Hashable, Sendable {
  /// The name in help, such as `FILE`.
  public let name: String
  /// Whether it must be given.
  public let isRequired: Bool
  /// Whether it takes all that follow; only for the last one.
  public let repeats: Bool
  /// One line of help.
  public let help: String

  /// Describes an argument.
  public init(_ name: String, required: Bool = true, repeats: Bool = false, help: String) {
    self.name = name
    isRequired = required
    self.repeats = repeats
    self.help = help
  }
}

/// A command with its options, arguments and subcommands.
public struct Command: Hashable, Sendable {
  /// The word that calls it.
  public let name: String
  /// One line of help.
  public let summary: String
  /// Its options; `--help` is added by itself.
  public var options: [CommandOption]
  /// Its arguments; a command with subcommands has none.
  public var arguments: [CommandArgument]
  /// Its subcommands.
  public var subcommands: [Command]
  /// What stands at the end of its help, such as examples and exit codes; may be empty.
  public var details: String

  /// Describes a command.
  public init(
    _ name: String, _ summary: String, options: [CommandOption] = [], arguments: [CommandArgument] = [], subcommands: [Command] = [],
    details: String = ""
  ) {
    self.name = name
    self.summary = summary
    self.details = details
    self.options = options
    self.arguments = arguments
    self.subcommands = subcommands
  }
}

/// What was called and with what.
public struct ParsedCommand: Sendable {
  /// The words below the program, such as `["peers", "ban"]`; empty for the program itself.
  public let path: [String]
  /// The options in their order, names without dashes; a switch has the value `true` unless one was given.
  public let options: [(name: String, value: String)]
  /// The arguments.
  public let arguments: [String]
  /// Whether help was asked for; nothing else was checked then.
  public let wantsHelp: Bool

  /// The last value of an option.
  public subscript(_ name: String) -> String? { options.last { $0.name == name }?.value }
  /// Every value of a repeated option.
  public func all(_ name: String) -> [String] { options.filter { $0.name == name }.map(\.value) }
  /// Whether a switch is on.
  public func isOn(_ name: String) -> Bool { self[name] == "true" }
}

/// A call that doesn't fit.
public struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong and how to get help.
  public let description: String
  /// What the process should end with (`EX_USAGE` of sysexits.h).
  public var exitCode: Int32 { 64 }
}

/// Parses command lines by a tree of commands and writes their help.
///
/// Options are `--name value`, `--name=value`, `--switch` and `--no-switch`; `--` ends them. They may stand anywhere
/// behind the command's name.
public struct CommandLineParser: Sendable {
  private let root: Command

  /// Makes a parser; the root's name is the program's.
  public init(_ root: Command) { self.root = root }

  /// Parses the words behind the program's name.
  ///
  /// - Throws: a ``UsageError`` that names the word, and the nearest one that exists.
  public func parse(_ words: [String]) throws(UsageError) -> ParsedCommand {
    var command = root
    var path: [String] = []
    var rest = words[...]
    while !command.subcommands.isEmpty {
      guard let word = rest.first else {
        throw error(path, "a command is missing: one of " + command.subcommands.map(\.name).joined(separator: ", "))
      }
      if word == "--help" || word == "-h" || (word == "help" && path.isEmpty && rest.count == 1) {
        return ParsedCommand(path: path, options: [], arguments: [], wantsHelp: true)
      }
      if word == "help" && path.isEmpty {
        let asked = Array(rest.dropFirst())
        guard find(asked) != nil else { throw error(path, "there is no command '\(asked.joined(separator: " "))'") }
        return ParsedCommand(path: asked, options: [], arguments: [], wantsHelp: true)
      }
      guard let next = command.subcommands.first(where: { $0.name == word }) else {
        let near = suggestion(for: word, among: command.subcommands.map(\.name)).map { "; did you mean \($0)?" } ?? ""
        throw error(path, word.hasPrefix("-") ? "options come after the command" : "unknown command '\(word)'" + near)
      }
      command = next
      path.append(word)
      rest = rest.dropFirst()
    }
    return try parse(rest, of: command, path)
  }

  private func parse(_ words: ArraySlice<String>, of command: Command, _ path: [String]) throws(UsageError) -> ParsedCommand {
    var options: [(name: String, value: String)] = []
    var arguments: [String] = []
    var rest = words
    while let word = rest.popFirst() {
      if word == "--help" || word == "-h" { return ParsedCommand(path: path, options: [], arguments: [], wantsHelp: true) }
      if word == "--" {
        arguments += rest
        break
      }
      guard word.hasPrefix("--") else {
        guard !word.hasPrefix("-") || word == "-" || Double(word) != nil else {
          throw error(path, "unknown option '\(word)'; options start with two dashes")
        }
        arguments.append(word)
        continue
      }
      let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts.first ?? "")
      let given = parts.count > 1 ? String(parts[1]) : nil
      let positive = name.hasPrefix("no-") ? String(name.dropFirst(3)) : nil
      if let option = command.options.first(where: { $0.name == name }) {
        guard option.repeats || !options.contains(where: { $0.name == name || $0.name == "no-" + name }) else {
          throw error(path, "--\(name) is given twice")
        }
        if option.value == nil {
          options.append((name, given ?? "true"))
        } else if let value = given ?? rest.first, given != nil || !value.hasPrefix("--") {
          if given == nil { rest = rest.dropFirst() }
          options.append((name, value))
        } else {
          throw error(path, "--\(name) needs a value: \(option.value ?? "")")
        }
      } else if let positive, given == nil, command.options.contains(where: { $0.name == positive && $0.value == nil }) {
        guard !options.contains(where: { $0.name == name || $0.name == positive }) else {
          throw error(path, "--\(positive) is given twice")
        }
        options.append((name, "true"))
      } else {
        let near = suggestion(for: name, among: command.options.map(\.name)).map { "; did you mean --\($0)?" } ?? ""
        throw error(path, "unknown option '--\(name)'" + near)
      }
    }
    let required = command.arguments.count { $0.isRequired }
    if arguments.count < required { throw error(path, "\(command.arguments[arguments.count].name) is missing") }
    if arguments.count > command.arguments.count && command.arguments.last?.repeats != true {
      throw error(path, "unexpected argument '\(arguments[command.arguments.count])'")
    }
    return ParsedCommand(path: path, options: options, arguments: arguments, wantsHelp: false)
  }

  /// The help of the command at a path; of the nearest one above when there is none.
  public func help(for path: [String] = []) -> String {
    let command = find(path) ?? root
    let name = ([root.name] + (find(path) == nil ? [] : path)).joined(separator: " ")
    var usage = "Usage: \(name)"
    if !command.subcommands.isEmpty { usage += " COMMAND" }
    for argument in command.arguments {
      let shown = argument.name + (argument.repeats ? "…" : "")
      usage += argument.isRequired ? " \(shown)" : " [\(shown)]"
    }
    if !command.options.isEmpty { usage += " [OPTIONS]" }
    var page = "\(command.summary)\n\n\(usage)\n"
    page += Self.section("Commands", command.subcommands.map { ($0.name, $0.summary) })
    page += Self.section("Arguments", command.arguments.map { ($0.name, $0.help) })
    let options = command.options.map { ("--\($0.name)" + ($0.value.map { " \($0)" } ?? "") + ($0.repeats ? " …" : ""), $0.help) }
    page += Self.section("Options", options + [("--help", "Show this help.")])
    if !command.details.isEmpty { page += "\n" + command.details + "\n" }
    return page.split(separator: "\n", omittingEmptySubsequences: false).flatMap { String($0).wrapped(to: Self.width) }
      .joined(separator: "\n")
  }

  /// What every terminal has.
  private static let width = 80

  private static func section(_ title: String, _ rows: [(String, String)]) -> String {
    guard !rows.isEmpty else { return "" }
    let width = min(34, rows.map { $0.0.count }.max() ?? 0)
    var text = "\n\(title):\n"
    for (name, help) in rows {
      text += "  " + name
      text += name.count > width ? "\n" + String(repeating: " ", count: width + 4) : String(repeating: " ", count: width + 2 - name.count)
      text += help + "\n"
    }
    return text
  }

  private func find(_ path: [String]) -> Command? {
    var command = root
    for word in path {
      guard let next = command.subcommands.first(where: { $0.name == word }) else { return nil }
      command = next
    }
    return command
  }

  private func error(_ path: [String], _ message: String) -> UsageError {
    let name = ([root.name] + path).joined(separator: " ")
    return UsageError(description: "\(name): \(message)\nTry '\(name) --help'.")
  }
}
