import Dashboard
import EventLoop
import Foundation
import HTTPAPI
import Node
import Threads
import Wire

/// How the program ends; the same for every command.
enum ExitStatus {
  /// Done; for `status` and `health`: the node is healthy.
  static let success: Int32 = 0
  /// Something failed: a node is not reachable, a file is there already, a check found a fault.
  static let failure: Int32 = 1
  /// The node answers and is not healthy.
  static let unhealthy: Int32 = 2
  /// The command line is wrong (`EX_USAGE` of sysexits.h).
  static let usage: Int32 = 64
  /// The configuration is wrong (`EX_CONFIG` of sysexits.h).
  static let configuration: Int32 = 78
}

/// Why a command ends without success.
struct Failure: Error, CustomStringConvertible {
  let description: String
  let status: Int32

  /// What kind of failure it is, for scripts.
  enum Code: String {
    case usage, configuration, failed
  }

  init(_ description: String, status: Int32 = ExitStatus.failure) {
    self.description = description
    self.status = status
  }

  /// A value on the command line that doesn't fit.
  static func usage(_ call: ParsedCommand, _ message: String) -> Failure {
    let name = (["starling"] + call.path).joined(separator: " ")
    return Failure("\(name): \(message)\nTry '\(name) --help'.", status: ExitStatus.usage)
  }
}

/// What `--json` prints of a failure: one line on standard output.
private struct FailureLine: Encodable {
  struct Reason: Encodable {
    let code: String
    let message: String
  }
  let error: Reason
  let exitCode: Int32

  enum CodingKeys: String, CodingKey {
    case error
    case exitCode = "exit_code"
  }
}

extension String {
  /// The text without the program's name before it.
  fileprivate var withoutName: String { hasPrefix("starling: ") ? String(dropFirst("starling: ".count)) : self }
}

/// From words to a command and its exit status.
enum Program {
  static func run(_ words: [String]) -> Int32 {
    let status = perform(words)
    guard status == ExitStatus.success, let code = Output.fault else { return status }
    // A reader that has seen enough, such as head, has to be told nothing.
    if code != EPIPE { Output.error("starling: the output could not be written: \(String(cString: strerror(code)).lowercased())") }
    return ExitStatus.failure
  }

  private static func perform(_ words: [String]) -> Int32 {
    let parser = CommandLineParser(Commands.root)
    if words == ["--version"] || words == ["-V"] {
      Output.line("starling \(Node.version)")
      return ExitStatus.success
    }
    if words.isEmpty {
      Output.error(parser.help())
      return ExitStatus.usage
    }
    // A script that asked for JSON gets it for a failure too; people read the sentence.
    func failed(_ text: String, _ code: Failure.Code, _ status: Int32) -> Int32 {
      Output.error(text)
      if words.contains("--json") {
        Output.json(FailureLine(error: .init(code: code.rawValue, message: text.withoutName), exitCode: status))
      }
      return status
    }
    do {
      let call = try parser.parse(words)
      if call.wantsHelp {
        Output.text(parser.help(for: call.path))
        return ExitStatus.success
      }
      return try run(call)
    } catch let error as UsageError {
      return failed(error.description, .usage, error.exitCode)
    } catch let error as Failure {
      let isUsage = error.status == ExitStatus.usage
      return failed(
        isUsage ? error.description : "starling: \(error)",
        isUsage ? .usage : error.status == ExitStatus.configuration ? .configuration : .failed, error.status)
    } catch let error as ConfigurationError {
      return failed("starling: the configuration is wrong\n" + error.description, .configuration, ExitStatus.configuration)
    } catch let error as HTTPClientError where error.code == .notReachable {
      return failed("starling: \(error); is the node running, and is --api its address?", .failed, ExitStatus.failure)
    } catch {
      return failed("starling: \(error)", .failed, ExitStatus.failure)
    }
  }

  private static func run(_ call: ParsedCommand) throws -> Int32 {
    switch call.path.first {
    case "node": try NodeCommand.run(call)
    case "keygen": try KeygenCommand.run(call)
    case "genesis": try GenesisCommand.run(call)
    case "send": try SendCommand.run(call)
    case "status": try StatusCommand.run(call)
    case "peers": try PeersCommand.run(call)
    case "peer": try PeerCommand.run(call)
    case "find": try FindCommand.run(call)
    case "explain": try ExplainCommand.run(call)
    case "book": try BookCommand.run(call)
    case "health": try HealthCommand.run(call)
    case "ping": try PingCommand.run(call)
    case "identify": try IdentifyCommand.run(call)
    case "localnet": try LocalnetCommand.run(call)
    case "torture": try TortureCommand.run(call)
    case "sim": try SimCommand.run(call)
    default: Commands.printReference()
    }
  }
}

/// What the program writes; each call is written at once, also into a pipe.
///
/// A peer chooses its agent's name, its reasons and more: what could steer a terminal is escaped here, whatever its source.
enum Output {
  /// Writes a line on standard output; what would end it earlier is escaped. A terminal gets it broken between words.
  static func line(_ text: String) { write(wrapped(text.printable(), STDOUT_FILENO) + "\n", to: STDOUT_FILENO) }
  /// Writes a text of several lines on standard output.
  static func text(_ text: String) { write(lines(text, STDOUT_FILENO), to: STDOUT_FILENO) }
  /// Writes one or more lines on standard error.
  static func error(_ text: String) {
    write(lines(text.hasSuffix("\n") ? text : text + "\n", STDERR_FILENO), to: STDERR_FILENO)
  }
  /// Writes lines as they are, with their colours: a table's, whose cells are clean.
  static func table(_ lines: [String]) { write(lines.map { $0 + "\n" }.joined(), to: STDOUT_FILENO) }

  /// Writes a value as one line of JSON with sorted keys.
  static func json(_ value: some Encodable) { write(encoded(value) + "\n", to: STDOUT_FILENO) }

  /// A value as one line of JSON with sorted keys.
  static func encoded(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // What has to be escaped stands in strings only, so the value stays the same.
    let text = (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "null"
    return text.printable(\.jsonEscape)
  }

  /// Writes names and values in two columns.
  static func rows(_ rows: [(String, String)]) { self.rows(rows.map { ($0.0, [$0.1]) }) }

  /// Writes names and values in two columns; several values of one name stand below each other.
  static func rows(_ rows: [(String, [String])]) {
    let width = (rows.map(\.0.count).max() ?? 0) + 2
    for (name, values) in rows {
      for (index, value) in (values.isEmpty ? [""] : values).enumerated() {
        line((index == 0 ? name : "").padding(toLength: width, withPad: " ", startingAt: 0) + value)
      }
    }
  }

  private static func lines(_ text: String, _ descriptor: Int32) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { wrapped(String($0).printable(), descriptor) }.joined(
      separator: "\n")
  }

  private static func wrapped(_ line: String, _ descriptor: Int32) -> String {
    line.wrapped(to: LiveTable.Terminal.of(descriptor).width).joined(separator: "\n")
  }

  /// The system's code of the first write to standard output that has failed.
  static var fault: Int32? { lock.withLock { firstFault } }
  private static let lock = Lock()
  private nonisolated(unsafe) static var firstFault: Int32?

  /// Writes all of a text; gives up, and keeps the reason, when it cannot be written.
  static func write(_ text: String, to descriptor: Int32) {
    guard let fault = Platform.write(Array(text.utf8), to: descriptor).fault, descriptor == STDOUT_FILENO else { return }
    lock.withLock { firstFault = firstFault ?? fault }
  }
}
