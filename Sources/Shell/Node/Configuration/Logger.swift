import Foundation
import Identity
import Synchronization
import Wire

/// How severe an event is.
public enum LogLevel: String, CaseIterable, Comparable, Hashable, Sendable {
  /// For finding faults; many lines.
  case debug
  /// What an operator may want to know.
  case info
  /// Something that may need a look.
  case warning
  /// Something failed.
  case error

  /// By severity.
  public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }
  fileprivate var rank: Int {
    switch self {
    case .debug: 0
    case .info: 1
    case .warning: 2
    case .error: 3
    }
  }
}

/// The form of log lines.
public enum LogFormat: String, CaseIterable, Hashable, Sendable {
  /// `time LEVEL component message key=value`
  case text
  /// One JSON object.
  case json
}

/// A value in a log line.
public enum LogValue: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByStringInterpolation,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral
{
  /// A text; may come from a peer.
  case text(String)
  /// A whole number.
  case integer(Int64)
  /// A number.
  case number(Double)
  /// True or false.
  case boolean(Bool)
  /// A long name, such as a PeerID or a hash: people see the short form, programs all of it, so that they can join what they read.
  case name(String, short: String)

  /// Makes a text.
  public init(stringLiteral value: String) { self = .text(value) }
  /// Makes a whole number.
  public init(integerLiteral value: Int64) { self = .integer(value) }
  /// Makes a number.
  public init(floatLiteral value: Double) { self = .number(value) }
  /// Makes a truth value.
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  /// Makes a text of anything that describes itself.
  public init(_ value: some CustomStringConvertible) { self = .text(value.description) }
  /// Makes a name.
  public init(_ peer: PeerID) { self = .name(peer.description, short: peer.short) }
  /// Makes a name.
  public init(_ hash: Hash256) { self = .name(hash.hex, short: hash.short) }
  /// Makes a number of seconds with a tenth.
  static func seconds(_ duration: Duration) -> LogValue { .number((duration.seconds * 10).rounded() / 10) }
  /// Makes a name of a peer that may not be known.
  public init(_ peer: PeerID?, else text: String) { self = peer.map { .init($0) } ?? .text(text) }
  /// Makes a whole number, held inside 64 bits.
  public init(_ value: some BinaryInteger) { self = .integer(Int64(clamping: value)) }
}

/// Writes structured events, one line each, to standard error or another sink; safe from any thread.
///
/// Texts are cut at 1,024 bytes and escaped, so that nothing that a peer sends can forge or hide a line.
public final class Logger: Sendable {
  private let threshold: Atomic<Int>
  private let format: LogFormat
  private let now: @Sendable () -> Date
  private let sink: @Sendable (String) -> Void
  private let dropped: @Sendable () -> UInt64

  /// Makes a logger to standard error. It never waits: see ``LineWriter``.
  public convenience init(level: LogLevel = .info, format: LogFormat = .text, to writer: LineWriter = .standardError) {
    let teller = Logger(level: .debug, format: format, now: { Date() }, sink: { _ in })
    let loss: @Sendable (Int) -> String = { count in
      teller.line(.warning, "log", "lines are missing here: nobody read them, or they could not be written", ["lines": .init(count)])
    }
    self.init(
      level: level, format: format, now: { Date() }, sink: { writer.write($0, orTell: loss) }, dropped: { writer.droppedLines })
  }

  /// Makes a logger with its own clock and sink; the sink is called from any thread, also one that must not wait.
  ///
  /// - Parameter dropped: how many lines the sink has dropped so far.
  public init(
    level: LogLevel, format: LogFormat, now: @escaping @Sendable () -> Date, sink: @escaping @Sendable (String) -> Void,
    dropped: @escaping @Sendable () -> UInt64 = { 0 }
  ) {
    threshold = Atomic(level.rank)
    self.format = format
    self.now = now
    self.sink = sink
    self.dropped = dropped
  }

  /// Events below it are dropped.
  public var level: LogLevel {
    get { LogLevel.allCases[threshold.load(ordering: .relaxed)] }
    set { threshold.store(newValue.rank, ordering: .relaxed) }
  }

  /// How many lines were dropped because nobody read them or they could not be written.
  public var droppedLines: UInt64 { dropped() }

  /// Writes an event; arguments are not evaluated below the level.
  public func log(
    _ level: LogLevel, _ component: String, _ message: @autoclosure () -> String,
    _ values: @autoclosure () -> KeyValuePairs<String, LogValue> = [:]
  ) {
    guard level.rank >= threshold.load(ordering: .relaxed) else { return }
    sink(line(level, component, message(), values()))
  }

  /// Writes an event for finding faults.
  public func debug(
    _ component: String, _ message: @autoclosure () -> String, _ values: @autoclosure () -> KeyValuePairs<String, LogValue> = [:]
  ) { log(.debug, component, message(), values()) }

  /// Writes an ordinary event.
  public func info(
    _ component: String, _ message: @autoclosure () -> String, _ values: @autoclosure () -> KeyValuePairs<String, LogValue> = [:]
  ) { log(.info, component, message(), values()) }

  /// Writes an event that may need a look.
  public func warning(
    _ component: String, _ message: @autoclosure () -> String, _ values: @autoclosure () -> KeyValuePairs<String, LogValue> = [:]
  ) { log(.warning, component, message(), values()) }

  /// Writes a failure.
  public func error(
    _ component: String, _ message: @autoclosure () -> String, _ values: @autoclosure () -> KeyValuePairs<String, LogValue> = [:]
  ) { log(.error, component, message(), values()) }

  private func line(_ level: LogLevel, _ component: String, _ message: String, _ values: KeyValuePairs<String, LogValue>) -> String {
    format == .text ? text(level, component, message, values) : json(level, component, message, values)
  }

  private func text(_ level: LogLevel, _ component: String, _ message: String, _ values: KeyValuePairs<String, LogValue>) -> String {
    var line =
      "\(Self.stamp(now())) \(level.rawValue.uppercased()) \(Self.escape(component, json: false)) \(Self.escape(message, json: false))"
    for (key, value) in values {
      line += " \(Self.escape(key, json: false))="
      switch value {
      case .text(let text):
        let bare =
          !text.isEmpty && text.utf8.count <= Self.textMaximum
          && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !Self.quoting.contains($0) }
        line += bare ? text : "\"\(Self.escape(text, json: false))\""
      case .name(_, let short): line += short
      case .integer(let number): line += "\(number)"
      case .number(let number): line += "\(number)"
      case .boolean(let flag): line += "\(flag)"
      }
    }
    return line + "\n"
  }

  private func json(_ level: LogLevel, _ component: String, _ message: String, _ values: KeyValuePairs<String, LogValue>) -> String {
    var line = "{\"time\":\"\(Self.stamp(now()))\",\"level\":\"\(level.rawValue)\",\"component\":\"\(Self.escape(component, json: true))\""
    line += ",\"message\":\"\(Self.escape(message, json: true))\""
    for (key, value) in values {
      // An event's own key must not hide one of the line's.
      let name = ["time", "level", "component", "message"].contains(key) ? key + "_" : key
      line += ",\"\(Self.escape(name, json: true))\":"
      switch value {
      case .text(let text), .name(let text, _): line += "\"\(Self.escape(text, json: true))\""
      case .integer(let number): line += "\(number)"
      case .number(let number): line += number.isFinite ? "\(number)" : "\"\(number)\""
      case .boolean(let flag): line += "\(flag)"
      }
    }
    return line + "}\n"
  }

  /// Escapes what could end a text or a line, or steer a terminal; cuts long texts.
  private static func escape(_ text: String, json: Bool) -> String {
    let text = text.utf8.count > textMaximum ? text.prefix(bytes: textMaximum) + "…" : text
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: result += "\\\""
      case 0x5c: result += "\\\\"
      case 0x0a: result += "\\n"
      case 0x0d: result += "\\r"
      case 0x09: result += "\\t"
      default: result += json ? String(scalar).printable(\.jsonEscape) : String(scalar).printable()
      }
    }
    return result
  }

  /// ISO 8601 in UTC with milliseconds.
  private static func stamp(_ date: Date) -> String {
    let milliseconds = Int64((date.timeIntervalSince1970 * 1_000).rounded(.down))
    var seconds = time_t(milliseconds / 1_000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func pad(_ number: some BinaryInteger, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return "\(pad(parts.tm_year + 1_900, 4))-\(pad(parts.tm_mon + 1, 2))-\(pad(parts.tm_mday, 2))T"
      + "\(pad(parts.tm_hour, 2)):\(pad(parts.tm_min, 2)):\(pad(parts.tm_sec, 2)).\(pad(milliseconds % 1_000, 3))Z"
  }

  private static let textMaximum = 1_024
  private static let quoting = Set("\"\\=".utf8)
}
