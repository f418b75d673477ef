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

  /// Whether `left` is earlier.
  @inlinable public static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

  /// The instant `duration` later, held inside the representable range.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return Instant(nanoseconds: overflow ? (duration.nanoseconds > 0 ? .max : .min) : sum)
  }

  /// The instant `duration` earlier, held inside the representable range.
  public static func - (instant: Instant, duration: Duration) -> Instant {
    let (difference, overflow) = instant.nanoseconds.subtractingReportingOverflow(duration.nanoseconds)
    return Instant(nanoseconds: overflow ? (duration.nanoseconds > 0 ? .min : .max) : difference)
  }

  /// The time from `earlier` to `later`; negative when the order is reversed. Held inside what 64 bits of nanoseconds represent.
  public static func - (later: Instant, earlier: Instant) -> Duration {
    let (difference, overflow) = later.nanoseconds.subtractingReportingOverflow(earlier.nanoseconds)
    return .nanoseconds(overflow ? (later > earlier ? .max : .min) : difference)
  }

  /// Moves the instant later, held inside the representable range.
  public static func += (instant: inout Instant, duration: Duration) { instant = instant + duration }

  /// Seconds since the clock's origin.
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

  /// The duration for people: `340 ms`, `1.5 s`, `10 s`; rounded to a millisecond, or to a tenth of a second.
  public var words: String {
    let milliseconds = Int64(milliseconds.rounded())
    if milliseconds < 1_000 { return "\(milliseconds) ms" }
    let tenths = (milliseconds + 50) / 100
    return tenths.isMultiple(of: 10) ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
  }

  /// How long it is, whatever the direction.
  public var magnitude: Duration { self < .zero ? .zero - self : self }

  /// How long it is for people who need it roughly, with one unit: as ``words`` below ten seconds, then `85 s`, `12 min`, `5 h` or `3 d`, rounded
  /// down.
  public var rough: String {
    let seconds = magnitude.components.seconds
    return switch seconds {
    case ..<10: magnitude.words
    case ..<120: "\(seconds) s"
    case ..<7_200: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3_600) h"
    default: "\(seconds / 86_400) d"
    }
  }
}

/// A time of day as people count it: milliseconds since 1970-01-01 00:00 UTC.
///
/// Core machines never read it; the shell tells the offset from ``Instant`` as an input.
public struct WallTime: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// Milliseconds since the Unix epoch.
  public let milliseconds: Int64

  /// Makes a wall time from milliseconds since the Unix epoch.
  public init(milliseconds: Int64) { self.milliseconds = milliseconds }

  /// Whether `left` is earlier.
  public static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }

  /// The time `duration` later, held inside the representable range: wall times come from the wire too.
  public static func + (time: WallTime, duration: Duration) -> WallTime {
    let (sum, overflow) = time.milliseconds.addingReportingOverflow(duration.nanoseconds / 1_000_000)
    return WallTime(milliseconds: overflow ? (duration > .zero ? .max : .min) : sum)
  }

  /// The time from `earlier` to `later`; negative when the order is reversed. Held inside 64 bits of milliseconds.
  public static func - (later: WallTime, earlier: WallTime) -> Duration {
    let (difference, overflow) = later.milliseconds.subtractingReportingOverflow(earlier.milliseconds)
    return .milliseconds(overflow ? (later > earlier ? Int64.max : .min) : difference)
  }

  /// Milliseconds since the Unix epoch.
  public var description: String { "\(milliseconds)ms" }
}

/// Translates between the monotonic clock and the wall clock by an offset that the shell supplies.
public struct WallClock: Sendable {
  private let instant: Instant
  private let wall: WallTime

  /// Makes a clock on which it is `wall` at the instant `now`.
  public init(now: Instant, wall: WallTime) {
    instant = now
    self.wall = wall
  }

  /// The wall time at the instant `now`, held inside the representable range.
  public func time(at now: Instant) -> WallTime { wall + (now - instant) }

  /// The instant at which it is `time`, held inside the representable range.
  public func instant(of time: WallTime) -> Instant { instant + (time - wall) }
}
