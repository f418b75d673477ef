import Threads

/// Every metric of a node, rendered in the Prometheus text format 0.0.4.
///
/// Metrics are made once at the start and kept by whoever counts; counting is a few nanoseconds and never waits for a
/// scrape. Registering and rendering may happen on any thread; a callback is never called while a lock is held.
public final class MetricsRegistry: Sendable {
  /// What a metric measures.
  public enum Kind: String, Hashable, Sendable {
    /// Only grows.
    case counter
    /// Goes up and down.
    case gauge
    /// Observations in buckets.
    case histogram
  }

  struct Family: Sendable {
    let name: String
    let kind: Kind
    let help: String
    let labels: [String]
    let samples: @Sendable () -> [Sample]
  }

  /// One line of the page: what follows the family's name, the labels and the value.
  struct Sample: Sendable {
    var suffix = ""
    var labels: [(name: String, value: String)] = []
    var value: Double
  }

  private let lock = Lock()
  private nonisolated(unsafe) var families: [String: Family] = [:]

  /// Makes an empty registry.
  public init() {}

  /// Makes a counter. Its name should end in `_total`.
  public func counter(_ name: String, help: String) -> Counter {
    let counter = Counter()
    register(Family(name: name, kind: .counter, help: help, labels: []) { [Sample(value: Double(counter.value))] })
    return counter
  }

  /// Makes counters that differ by labels.
  public func counters(_ name: String, help: String, labels: [String], seriesMaximum: Int = 64) -> MetricFamily<Counter> {
    let family = MetricFamily<Counter>(labels: labels, seriesMaximum: seriesMaximum) { Counter() }
    register(
      Family(name: name, kind: .counter, help: help, labels: labels) {
        family.series.map { Sample(labels: $0.labels, value: Double($0.metric.value)) }
      })
    return family
  }

  /// Makes a gauge.
  public func gauge(_ name: String, help: String) -> Gauge {
    let gauge = Gauge()
    register(Family(name: name, kind: .gauge, help: help, labels: []) { [Sample(value: gauge.value)] })
    return gauge
  }

  /// Makes gauges that differ by labels.
  public func gauges(_ name: String, help: String, labels: [String], seriesMaximum: Int = 64) -> MetricFamily<Gauge> {
    let family = MetricFamily<Gauge>(labels: labels, seriesMaximum: seriesMaximum) { Gauge() }
    register(
      Family(name: name, kind: .gauge, help: help, labels: labels) {
        family.series.map { Sample(labels: $0.labels, value: $0.metric.value) }
      })
    return family
  }

  /// Adds a metric whose value is asked for at each scrape; `read` must not block.
  public func observe(_ name: String, kind: Kind = .gauge, help: String, read: @escaping @Sendable () -> Double) {
    precondition(kind != .histogram, "a histogram is not one value")
    register(Family(name: name, kind: kind, help: help, labels: []) { [Sample(value: read())] })
  }

  /// Adds metrics that differ by one label and whose values are asked for at each scrape; `read` must not block, and whoever reads bounds
  /// the number of label values.
  public func observe(
    _ name: String, kind: Kind = .gauge, help: String, label: String, read: @escaping @Sendable () -> [(value: String, count: Double)]
  ) {
    precondition(kind != .histogram, "a histogram is not one value")
    register(
      Family(name: name, kind: kind, help: help, labels: [label]) { read().map { Sample(labels: [(label, $0.value)], value: $0.count) } })
  }

  /// Makes a histogram.
  ///
  /// - Parameter bounds: the buckets' upper bounds, ascending; the one without a bound is added by itself.
  public func histogram(_ name: String, help: String, bounds: [Double] = Histogram.durations) -> Histogram {
    let histogram = Histogram(bounds: bounds)
    register(Family(name: name, kind: .histogram, help: help, labels: []) { histogram.samples() })
    return histogram
  }

  /// The page that Prometheus scrapes, families in order of their names; O(series).
  public func render() -> String {
    var page = ""
    for family in sorted() {
      page += "# HELP \(family.name) \(Self.escape(family.help, quotes: false))\n# TYPE \(family.name) \(family.kind.rawValue)\n"
      for sample in family.samples() {
        page += family.name + sample.suffix
        if !sample.labels.isEmpty {
          page += "{" + sample.labels.map { "\($0.name)=\"\(Self.escape($0.value, quotes: true))\"" }.joined(separator: ",") + "}"
        }
        page += " \(Self.format(sample.value))\n"
      }
    }
    return page
  }

  /// The content type of ``render()``'s page.
  public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  /// A Markdown table of every metric, for the generated documentation.
  public func documentation() -> String {
    var page = "| metric | type | labels | meaning |\n|---|---|---|---|\n"
    for family in sorted() {
      let labels = family.labels.map { "`\($0)`" }.joined(separator: ", ")
      page += "| `\(family.name)` | \(family.kind.rawValue) | \(labels) | \(family.help.replacing("|", with: "\\|")) |\n"
    }
    return page
  }

  private func sorted() -> [Family] { lock.withLock { Array(families.values) }.sorted { $0.name < $1.name } }

  private func register(_ family: Family) {
    precondition(Self.isName(family.name, colons: true), "'\(family.name)' is not a metric's name")
    precondition(!family.help.isEmpty, "\(family.name) has no help text")
    for label in family.labels {
      precondition(Self.isName(label, colons: false) && !label.hasPrefix("__") && label != "le", "'\(label)' is not a label's name")
    }
    lock.withLock {
      precondition(families[family.name] == nil, "two metrics have the name \(family.name)")
      families[family.name] = family
    }
  }

  /// Prometheus data model: `[a-zA-Z_:][a-zA-Z0-9_:]*`, labels without colons.
  private static func isName(_ name: String, colons: Bool) -> Bool {
    guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
    return name.utf8.allSatisfy {
      switch $0 {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x5f: true
      case 0x3a: colons
      default: false
      }
    }
  }

  private static func escape(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  static func format(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    if let whole = Int64(exactly: value), abs(whole) < 1 << 53 { return "\(whole)" }
    return "\(value)"
  }
}
