import Wire

/// Why a scenario's text cannot be read.
public struct ScenarioError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The line, counted from 1.
  public let line: Int
  /// What is wrong with it.
  public let message: String
  /// Line and fault.
  public var description: String { "line \(line): \(message)" }
}

// A scenario as text: one `key = value` in each line, `#` begins a comment. Durations are numbers with ms, s, m or h; sizes numbers with
// nothing, KB or MB; shares are between 0 and 1. What is not said keeps its default. Keys that may come several times:
//
//     fault = partition share 0.4 from 60s lasting 30s..40s [one-way]
//     fault = crash share 0.1 from 30s until 120s every 10s lasting 2s..20s [silent]
//     liars = height 0.1
extension Scenario {
  private enum Field {
    case integer(WritableKeyPath<Scenario, Int>)
    case number(WritableKeyPath<Scenario, Double>)
    case share(WritableKeyPath<Scenario, Double>)
    case bytes(WritableKeyPath<Scenario, Double>)
    case duration(WritableKeyPath<Scenario, Duration>)
    case bound(WritableKeyPath<Scenario, Duration?>)
    case seed(WritableKeyPath<Scenario, UInt64?>)
    case optional(WritableKeyPath<Scenario, Int?>)
    case flag(WritableKeyPath<Scenario, Bool>)
    case text(WritableKeyPath<Scenario, String>)
  }

  private static var fields: [(key: String, field: Field)] {
    [
      ("name", .text(\.name)), ("about", .text(\.about)), ("seed", .seed(\.seed)), ("one-hop", .bound(\.oneHopMaximum)),
      ("three-hops", .bound(\.threeHopsMaximum)), ("network", .bound(\.networkMaximum)), ("nodes", .integer(\.nodes)),
      ("regions", .integer(\.regions)),
      ("seeds", .integer(\.seeds)), ("upload", .bytes(\.uploadBytes)), ("download", .bytes(\.downloadBytes)),
      ("jitter", .duration(\.jitter)),
      ("loss", .share(\.loss)), ("handshake-cost", .duration(\.handshakeCost)), ("unreachable", .share(\.unreachable)),
      ("nat", .share(\.nat)),
      ("slow", .share(\.slow)),
      ("clock-skew", .duration(\.clockSkew)), ("outbound", .optional(\.outbound)), ("neighbours", .optional(\.neighbours)),
      ("links", .optional(\.links)),
      ("seed-links", .optional(\.seedLinks)), ("known", .optional(\.known)), ("late", .share(\.late)),
      ("late-after", .duration(\.lateAfter)), ("start-within", .duration(\.startWithin)), ("authorities", .integer(\.authorities)),
      ("block-time", .duration(\.blockTime)), ("transactions", .number(\.transactions)),
      ("transaction-bytes", .integer(\.transactionBytes)),
      ("accounts", .integer(\.accounts)), ("duration", .duration(\.duration)), ("settle", .duration(\.settle)), ("full", .flag(\.isFull)),
    ]
  }

  /// Reads a scenario.
  public init(text: String) throws(ScenarioError) {
    self.init(name: "unnamed")
    let fields = Scenario.fields
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let content = line.prefix { $0 != "#" }
      guard let first = content.firstIndex(where: { $0 != " " && $0 != "\t" && $0 != "\r" }) else { continue }
      func fail(_ message: String) -> ScenarioError { ScenarioError(line: index + 1, message: message) }
      guard let sign = content.firstIndex(of: "=") else { throw fail("expected key = value") }
      let key = ScenarioWords.trim(content[first..<sign])
      let value = ScenarioWords.trim(content[content.index(after: sign)...])
      switch key {
      case "fault":
        guard let fault = Fault(text: value) else { throw fail("not a fault: \(value)") }
        faults.append(fault)
      case "liars":
        let words = value.split(separator: " ")
        guard words.count == 2, let behaviour = Behaviour(rawValue: String(words[0])), let share = ScenarioWords.share(words[1]) else {
          throw fail("expected a behaviour and a share, found \(value)")
        }
        liars.append(LiarGroup(behaviour, share: share))
      default:
        guard let field = fields.first(where: { $0.key == key })?.field else { throw fail("unknown key \(key)") }
        guard set(field, value) else { throw fail("\(value) does not fit \(key)") }
      }
    }
    guard nodes >= 1, nodes <= 200_000, blockTime >= .milliseconds(100), uploadBytes > 0, downloadBytes > 0 else {
      throw ScenarioError(line: 0, message: "nodes, block-time, upload and download must be positive")
    }
  }

  private mutating func set(_ field: Field, _ value: String) -> Bool {
    switch field {
    case .text(let path): self[keyPath: path] = value
    case .integer(let path):
      guard let number = Int(value), number >= 0 else { return false }
      self[keyPath: path] = number
    case .optional(let path):
      guard let number = Int(value), number >= 0 else { return false }
      self[keyPath: path] = number
    case .number(let path):
      guard let number = Double(value), number >= 0, number.isFinite else { return false }
      self[keyPath: path] = number
    case .share(let path):
      guard let share = ScenarioWords.share(value[...]) else { return false }
      self[keyPath: path] = share
    case .bytes(let path):
      guard let number = ScenarioWords.bytes(value) else { return false }
      self[keyPath: path] = number
    case .duration(let path):
      guard let duration = ScenarioWords.duration(value) else { return false }
      self[keyPath: path] = duration
    case .bound(let path):
      guard let duration = ScenarioWords.duration(value) else { return false }
      self[keyPath: path] = duration
    case .seed(let path):
      guard let number = UInt64(value) else { return false }
      self[keyPath: path] = number
    case .flag(let path):
      guard value == "yes" || value == "no" else { return false }
      self[keyPath: path] = value == "yes"
    }
    return true
  }

  /// The scenario as text that reads back the same; what has its default is left out.
  public var text: String {
    let base = Scenario(name: "")
    var lines: [String] = []
    for (key, field) in Scenario.fields {
      func add<T: Equatable>(_ path: WritableKeyPath<Scenario, T>, _ show: (T) -> String) {
        if self[keyPath: path] != base[keyPath: path] { lines.append("\(key) = \(show(self[keyPath: path]))") }
      }
      switch field {
      case .text(let path): add(path) { $0 }
      case .integer(let path): add(path) { "\($0)" }
      case .optional(let path): add(path) { $0.map { "\($0)" } ?? "0" }
      case .number(let path), .share(let path), .bytes(let path): add(path) { "\($0)" }
      case .duration(let path): add(path) { ScenarioWords.show($0) }
      case .bound(let path): add(path) { $0.map(ScenarioWords.show) ?? "0s" }
      case .seed(let path): add(path) { $0.map { "\($0)" } ?? "0" }
      case .flag(let path): add(path) { $0 ? "yes" : "no" }
      }
    }
    for fault in faults { lines.append("fault = \(fault.text)") }
    for group in liars { lines.append("liars = \(group.behaviour.rawValue) \(group.share)") }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension Fault {
  /// Reads `kind share 0.1 from 10s until 60s every 5s lasting 1s..3s` and the words of the kind, in any order behind the kind.
  init?(text: String) {
    var words = text.split(separator: " ")[...]
    guard let name = words.popFirst() else { return nil }
    var share = 0.1
    var by = Duration.seconds(1)
    var times = 10.0
    var flags: Set<Substring> = []
    var from = Duration.zero
    var until: Duration?
    var every: Duration?
    var lasting = Duration.seconds(10)...Duration.seconds(10)
    while let word = words.popFirst() {
      switch word {
      case "one-way", "silent": flags.insert(word)
      case "share":
        guard let value = words.popFirst().flatMap({ ScenarioWords.share($0) }) else { return nil }
        share = value
      case "times":
        guard let value = words.popFirst().flatMap({ Double($0) }), value > 0, value <= 1e6 else { return nil }
        times = value
      case "lasting":
        let ends = words.popFirst().map { $0.split(separator: ".", omittingEmptySubsequences: true) } ?? []
        guard let low = ends.first.flatMap({ ScenarioWords.duration($0) }), let high = ends.last.flatMap({ ScenarioWords.duration($0) }),
          low <= high,
          ends.count <= 2
        else { return nil }
        lasting = low...high
      case "from", "until", "every", "by":
        guard let value = words.popFirst().flatMap({ ScenarioWords.duration($0) }) else { return nil }
        if word == "from" {
          from = value
        } else if word == "until" {
          until = value
        } else if word == "every" {
          every = value
        } else {
          by = value
        }
      default: return nil
      }
    }
    if let every, every < .milliseconds(10) { return nil }
    let kind: Kind
    switch name {
    case "partition": kind = .partition(share: share, isOneWay: flags.contains("one-way"))
    case "crash": kind = .crash(share: share, isSilent: flags.contains("silent"))
    case "restart": kind = .restart(share: share)
    case "cut": kind = .cut(share: share, isSilent: flags.contains("silent"))
    case "suspend": kind = .suspend(share: share)
    case "clock": kind = .clock(share: share, by: by)
    case "disk-errors": kind = .diskErrors(share: share)
    case "refusals": kind = .refusals(share: share)
    case "seeds-down": kind = .seedsDown
    case "flood": kind = .flood(times: times)
    default: return nil
    }
    self.init(kind, from: from, until: until, every: every, lasting: lasting)
  }

  /// The form that ``init(text:)`` reads.
  var text: String {
    var words = [kind.name]
    switch kind {
    case .partition(let share, let isOneWay): words += ["share \(share)"] + (isOneWay ? ["one-way"] : [])
    case .crash(let share, let isSilent), .cut(let share, let isSilent): words += ["share \(share)"] + (isSilent ? ["silent"] : [])
    case .restart(let share), .suspend(let share), .diskErrors(let share), .refusals(let share): words.append("share \(share)")
    case .clock(let share, let by): words.append("share \(share) by \(ScenarioWords.show(by))")
    case .seedsDown: break
    case .flood(let times): words.append("times \(times)")
    }
    words.append("from \(ScenarioWords.show(from))")
    if let until { words.append("until \(ScenarioWords.show(until))") }
    if let every { words.append("every \(ScenarioWords.show(every))") }
    words.append("lasting \(ScenarioWords.show(lasting.lowerBound))..\(ScenarioWords.show(lasting.upperBound))")
    return words.joined(separator: " ")
  }
}

/// The words that values are written in.
enum ScenarioWords {
  static func trim(_ text: Substring) -> String {
    let isSpace = { (c: Character) in c == " " || c == "\t" || c == "\r" }
    let rest = text.drop(while: isSpace)
    guard let last = rest.lastIndex(where: { !isSpace($0) }) else { return "" }
    return String(rest[...last])
  }

  static func share(_ text: Substring) -> Double? { Double(text).flatMap { (0...1).contains($0) ? $0 : nil } }

  static func duration(_ text: some StringProtocol) -> Duration? {
    let units: [(String, Int64)] = [
      ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]
    for (name, nanoseconds) in units where text.hasSuffix(name) {
      guard let number = Int64(text.dropLast(name.count)), number >= 0, number <= Int64.max / 4 / nanoseconds else { continue }
      return .nanoseconds(number * nanoseconds)
    }
    return nil
  }

  static func show(_ duration: Duration) -> String {
    let nanoseconds = duration.nanoseconds
    if nanoseconds % 1_000_000_000 == 0 { return "\(nanoseconds / 1_000_000_000)s" }
    return nanoseconds % 1_000_000 == 0 ? "\(nanoseconds / 1_000_000)ms" : "\(nanoseconds / 1_000)us"
  }

  static func bytes(_ text: String) -> Double? {
    let factor = text.hasSuffix("MB") ? 1e6 : text.hasSuffix("KB") ? 1e3 : 1
    guard let number = Double(factor == 1 ? text : String(text.dropLast(2))), number > 0, number.isFinite else { return nil }
    return number * factor
  }
}
