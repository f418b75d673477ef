import Synchronization
import Threads

/// A number that only grows; safe from any thread, about one atomic addition.
public final class Counter: Sendable {
  private let count = Atomic<UInt64>(0)

  init() {}

  /// Adds to the count.
  public func increment(by amount: UInt64 = 1) { count.wrappingAdd(amount, ordering: .relaxed) }

  /// The count.
  public var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down; safe from any thread.
public final class Gauge: Sendable {
  private let bits = Atomic<UInt64>(0)

  init() {}

  /// Sets the value.
  public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

  /// Adds to the value; `amount` may be negative.
  public func add(_ amount: Double) {
    var old = bits.load(ordering: .relaxed)
    while true {
      let new = (Double(bitPattern: old) + amount).bitPattern
      let (done, seen) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
      if done { return }
      old = seen
    }
  }

  /// The value.
  public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Observations counted in buckets; safe from any thread, one short lock an observation.
public final class Histogram: Sendable {
  private let bounds: [Double]
  private let lock = Lock()
  private nonisolated(unsafe) var counts: [UInt64]
  private nonisolated(unsafe) var sum = 0.0

  /// Bounds for durations in seconds, 1 ms to 60 s.
  public static let durations: [Double] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
  /// Bounds for sizes in bytes, 64 B to 16 MiB.
  public static let sizes: [Double] = [64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216]

  init(bounds: [Double]) {
    precondition(!bounds.isEmpty && zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "a histogram's bounds must ascend")
    precondition(bounds.allSatisfy(\.isFinite), "a histogram's bounds must be finite")
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count + 1)
  }

  /// Counts one observation; what is not a number is ignored. O(log buckets).
  public func observe(_ value: Double) {
    guard !value.isNaN else { return }
    var low = 0
    var high = bounds.count
    while low < high {
      let middle = (low + high) / 2
      if bounds[middle] < value { low = middle + 1 } else { high = middle }
    }
    lock.withLock {
      counts[low] &+= 1
      sum += value
    }
  }

  /// Counts one duration in seconds.
  public func observe(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    observe(Double(seconds) + Double(attoseconds) * 1e-18)
  }

  /// How many observations there were.
  public var count: UInt64 { lock.withLock { counts.reduce(0, &+) } }

  func samples() -> [MetricsRegistry.Sample] {
    let (counts, sum) = lock.withLock { (self.counts, self.sum) }
    var total: UInt64 = 0
    var result: [MetricsRegistry.Sample] = []
    for (index, count) in counts.enumerated() {
      total &+= count
      let bound = index < bounds.count ? MetricsRegistry.format(bounds[index]) : "+Inf"
      result.append(.init(suffix: "_bucket", labels: [("le", bound)], value: Double(total)))
    }
    result.append(.init(suffix: "_sum", value: sum))
    result.append(.init(suffix: "_count", value: Double(total)))
    return result
  }
}

/// Metrics of one name that differ by the values of a fixed set of labels.
///
/// The number of series is bounded: beyond it, new label values share one series in which every label says `other`, so
/// that a label taken from a peer can't grow memory.
public final class MetricFamily<Metric: Sendable>: Sendable {
  private let labels: [String]
  private let seriesMaximum: Int
  private let make: @Sendable () -> Metric
  private let lock = Lock()
  private nonisolated(unsafe) var metrics: [[String]: Metric] = [:]

  init(labels: [String], seriesMaximum: Int, make: @escaping @Sendable () -> Metric) {
    precondition(!labels.isEmpty, "a family without labels is one metric")
    self.labels = labels
    self.seriesMaximum = max(1, seriesMaximum)
    self.make = make
  }

  /// The metric with these label values, in the order in which the labels were named.
  ///
  /// Keep it where the values are fixed; a look-up takes a lock. Values beyond 128 bytes are cut off.
  public func with(_ values: String...) -> Metric {
    precondition(values.count == labels.count, "\(values.count) values for the labels \(labels)")
    let key = values.map { $0.utf8.count <= Self.valueMaximum ? $0 : String(decoding: $0.utf8.prefix(Self.valueMaximum), as: UTF8.self) }
    return lock.withLock {
      if let known = metrics[key] { return known }
      let key = metrics.count < seriesMaximum ? key : labels.map { _ in "other" }
      if let known = metrics[key] { return known }
      let metric = make()
      metrics[key] = metric
      return metric
    }
  }

  var series: [(labels: [(name: String, value: String)], metric: Metric)] {
    lock.withLock { Array(metrics) }
      .sorted { $0.key.lexicographicallyPrecedes($1.key) }
      .map { (Array(zip(labels, $0.key)).map { (name: $0.0, value: $0.1) }, $0.value) }
  }

  private static var valueMaximum: Int { 128 }
}
