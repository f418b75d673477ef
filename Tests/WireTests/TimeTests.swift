import Testing
import Wire

@Suite struct TimeTests {
  @Test func instantsAreHeldInsideTheirRange() {
    let last = Instant.distantFuture
    let first = Instant(nanoseconds: .min)
    #expect(last + .seconds(1) == last)
    #expect(first - .seconds(1) == first)
    #expect(first + .seconds(-1) == first)
    #expect(last - .seconds(-1) == last)
    #expect(Instant.zero + .seconds(Int64.max) == last)
    #expect(Instant(nanoseconds: -2) - .seconds(Int64.max) == first)
    #expect(Instant.zero + .seconds(Int64.min) == first)
    #expect(Instant.zero - .nanoseconds(Int64.min) == last)
    #expect((last - first).nanoseconds == .max)
    #expect((first - last).nanoseconds == .min)
    var instant = Instant.zero
    instant += .milliseconds(3)
    #expect(instant == Instant(nanoseconds: 3_000_000))
    #expect(instant - .milliseconds(3) == .zero)
    #expect(Instant.zero - instant == .milliseconds(-3))
  }

  @Test func durationsAreHeldInsideNanoseconds() {
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration.seconds(Int64.min).nanoseconds == .min)
    #expect(Duration.milliseconds(-1500).nanoseconds == -1_500_000_000)
    #expect(Duration.milliseconds(1500).seconds == 1.5)
    #expect(Duration.microseconds(1500).milliseconds == 1.5)
  }

  @Test func durationsInWords() {
    let words = [Duration.zero, .milliseconds(999), .seconds(1), .milliseconds(1_460), .seconds(10), .seconds(3_600)].map(\.words)
    #expect(words == ["0 ms", "999 ms", "1 s", "1.5 s", "10 s", "3600 s"])
  }

  @Test func durationsRoughly() {
    let durations: [Duration] = [
      .zero, .milliseconds(1_460), .milliseconds(9_900), .milliseconds(10_900), .seconds(119), .seconds(120), .seconds(7_199),
      .seconds(7_200), .seconds(172_799), .seconds(172_800), .seconds(-85), .seconds(Int64.max), .milliseconds(Int64.min),
    ]
    #expect(
      durations.map(\.rough) == [
        "0 ms", "1.5 s", "9.9 s", "10 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d", "85 s", "106751991167300 d",
        "106751991167 d",
      ])
    #expect([0.9, 25, -3.5, 1e18, .infinity].map(\.whole) == ["0", "25", "-3", "1e+18", "inf"])
  }

  @Test func wallTimesAreHeldInsideTheirRange() {
    let last = WallTime(milliseconds: .max)
    let first = WallTime(milliseconds: .min)
    #expect(last + .seconds(1) == last)
    #expect(first + .seconds(-1) == first)
    #expect(last - first == .milliseconds(Int64.max))
    #expect(first - last == .milliseconds(Int64.min))
    #expect(WallTime(milliseconds: 5) + .milliseconds(-7) == WallTime(milliseconds: -2))
  }

  @Test func aWallClockTranslatesBothWays() {
    let clock = WallClock(now: Instant(nanoseconds: 5_000_000_000), wall: WallTime(milliseconds: 1_700_000_000_000))
    #expect(clock.time(at: Instant(nanoseconds: 6_500_000_000)) == WallTime(milliseconds: 1_700_000_001_500))
    #expect(clock.instant(of: WallTime(milliseconds: 1_699_999_999_000)) == Instant(nanoseconds: 4_000_000_000))
    #expect(clock.instant(of: WallTime(milliseconds: .max)) == .distantFuture)
    #expect(clock.instant(of: WallTime(milliseconds: .min)) < Instant(nanoseconds: .min / 2))
    _ = clock.time(at: .distantFuture)
    _ = WallClock(now: Instant(nanoseconds: .min), wall: WallTime(milliseconds: .min)).time(at: .distantFuture)
  }
}
