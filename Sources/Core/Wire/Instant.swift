/// A point on a monotonic clock, in nanoseconds since an origin that the shell chooses.
///
/// Machines receive `now` with every input; it never goes backwards. An `Instant` means nothing in another process.
public struct Instant: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Nanoseconds since the clock's origin.
  public let nanoseconds: Int64

  /// Makes an instant from nanoseconds since the clock's origin.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The clock's origin.
  public static let zero = Instant(nanoseconds: 0)

  /// The latest representable instant; stands for "never".
  public static let distantFuture = Instant(nanoseconds: .max)

  @inlinable public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  /// The instant `duration` later, held inside the representable range.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return Instant(nanoseconds: overflow ? (duration.nanoseconds > 0 ? .max : .min) : sum)
  }

  /// The instant `duration` earlier, held inside the representable range.
  public static func - (instant: Instant, duration: Duration) -> Instant { instant + .nanoseconds(-duration.nanoseconds) }

  /// The time from `earlier` to `later`; negative when the order is reversed.
  public static func - (later: Instant, earlier: Instant) -> Duration {
    .nanoseconds(later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds).partialValue)
  }

  public static func += (instant: inout Instant, duration: Duration) { instant = instant + duration }

  public var description: String { "+\(Double(nanoseconds) / 1e9)s" }
}

extension Duration {
  /// The whole duration in nanoseconds, held inside what 64 bits represent (292 years).
  @inlinable public var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds > 0 ? .max : .min }
    let (sum, overflow2) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflow2 ? (seconds > 0 ? .max : .min) : sum
  }

  /// The duration in seconds.
  @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }

  /// The duration in milliseconds.
  @inlinable public var milliseconds: Double { Double(nanoseconds) / 1e6 }
}

/// A time of day as people count it: milliseconds since 1970-01-01 00:00 UTC.
///
/// Core machines never read it; the shell tells the offset from ``Instant`` as an input.
public struct WallTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Milliseconds since the Unix epoch.
  public let milliseconds: Int64

  /// Makes a wall time from milliseconds since the Unix epoch.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  public static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }

  /// The time `duration` later.
  public static func + (time: WallTime, duration: Duration) -> WallTime {
    WallTime(milliseconds: time.milliseconds + duration.nanoseconds / 1_000_000)
  }

  /// The time from `earlier` to `later`.
  public static func - (later: WallTime, earlier: WallTime) -> Duration { .milliseconds(later.milliseconds - earlier.milliseconds) }

  public var description: String { "\(milliseconds)ms" }
}

/// Translates between the monotonic clock and the wall clock by an offset that the shell supplies.
public struct WallClock: Sendable {
  private var originMilliseconds: Int64

  /// Makes a clock on which it is `wall` at the instant `now`.
  public init(now: Instant, wall: WallTime) { originMilliseconds = wall.milliseconds - now.nanoseconds / 1_000_000 }

  /// The wall time at the instant `now`.
  public func time(at now: Instant) -> WallTime { WallTime(milliseconds: originMilliseconds + now.nanoseconds / 1_000_000) }

  /// The instant at which it is `time`, held inside the representable range.
  public func instant(of time: WallTime) -> Instant {
    let (scaled, overflow) = (time.milliseconds - originMilliseconds).multipliedReportingOverflow(by: 1_000_000)
    return Instant(nanoseconds: overflow ? (time.milliseconds > originMilliseconds ? .max : .min) : scaled)
  }
}
