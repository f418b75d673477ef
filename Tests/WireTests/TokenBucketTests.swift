import Testing
import Wire

@Suite struct TokenBucketTests {
  /// What is done is paid for, although there was not enough; nothing is taken before the debt is gone.
  @Test func debtsArePaidFirst() {
    var bucket = TokenBucket(rate: 10, burst: 20, now: .zero)
    bucket.spend(50, now: .zero)
    #expect(bucket.available(now: .zero) == -30)
    let taken = [2.9, 3.0, 3.2].map { bucket.take(now: .zero + .milliseconds(Int64($0 * 1_000))) }
    #expect(taken == [false, false, true])
    bucket.spend(20, now: .zero + .seconds(4))
    let ready = bucket.ready(now: .zero + .seconds(4))
    #expect(ready > .zero + .milliseconds(5_200) && ready < .zero + .milliseconds(5_400))

    var buckets = TokenBuckets<Int>(rate: 10, burst: 20, maximum: 2)
    #expect(buckets.ready(1, now: .zero) == .zero)
    for key in 1...3 { buckets.spend(key, 50, now: .zero) }
    #expect(buckets.ready(1, now: .zero) > .zero + .seconds(3) && buckets.count == 2)
    #expect(buckets.ready(3, now: .zero) == .zero, "nothing is known of a third one")
  }

  private func at(_ seconds: Double) -> Instant { .zero + .nanoseconds(Int64(seconds * 1e9)) }

  @Test func burstThenRate() {
    var bucket = TokenBucket(rate: 10, burst: 3, now: .zero)
    #expect((0..<5).map { _ in bucket.take(now: .zero) } == [true, true, true, false, false])
    #expect(bucket.take(now: at(0.09)) == false)
    #expect(bucket.take(now: at(0.1)) == true)
    #expect(bucket.take(now: at(0.1)) == false)
    // What is saved has an end.
    #expect(bucket.available(now: at(100)) == 3 && bucket.isFull(now: at(100)))
    // Time that goes backwards earns nothing and costs nothing.
    #expect(bucket.take(3, now: at(100)) == true)
    #expect(bucket.take(now: at(50)) == false)
    #expect(bucket.take(now: at(100.1)) == true)
  }

  /// Asked when it says, it gives; a moment before, it does not.
  @Test(arguments: [1.0, 2.5, 7, 1000]) func readyIsTheFirstMoment(count: Double) {
    var random = SeededGenerator(seed: 7)
    for round in 0..<200 {
      let rate = 0.1 + random.unit() * 1000
      var bucket = TokenBucket(rate: rate, burst: 1000, now: .zero)
      let now = at(random.unit() * 5)
      #expect(bucket.take(1000, now: now) == true)
      let ready = bucket.ready(for: count, now: now)
      #expect(ready > now)
      var early = bucket
      #expect(early.take(count, now: now + .nanoseconds(Int64(Double((ready - now).nanoseconds) * 0.999) - 2)) == false, "round \(round)")
      #expect(bucket.take(count, now: ready) == true, "round \(round)")
    }
  }

  @Test func whatNeverComes() {
    var bucket = TokenBucket(rate: 0, burst: 1, now: .zero)
    #expect(bucket.ready(now: .zero) == .zero)
    #expect(bucket.take(now: .zero) == true)
    #expect(bucket.ready(now: .zero) == .distantFuture)
    #expect(TokenBucket(rate: 5, burst: 2, now: .zero).ready(for: 3, now: .zero) == .distantFuture)
  }

  @Test func tableForgetsOnlyFullBuckets() {
    var table = TokenBuckets<Int>(rate: 1, burst: 2, maximum: 3)
    for key in 0..<3 { #expect(table.take(key, now: .zero) == true) }
    #expect(table.take(3, now: .zero) == false)
    #expect(table.count == 3)
    // Key 0 uses all it has; after a second the others are full again and make room.
    #expect(table.take(0, now: .zero) == true)
    #expect(table.take(0, now: .zero) == false)
    #expect(table.take(3, now: at(1)) == true)
    #expect(table.count == 2)
    #expect(table.take(0, now: at(1)) == true)
    #expect(table.take(0, now: at(1)) == false)
  }
}

@Suite struct MemoryScopeTests {
  @Test func allOrNothingUpTheTree() {
    let system = MemoryScope(limit: 100)
    let first = MemoryScope(limit: 60, in: system)
    var second: MemoryScope? = MemoryScope(limit: 60, in: system)
    #expect(first.reserve(60) && !first.reserve(1))
    #expect(second?.reserve(40) == true && second?.reserve(1) == false)
    #expect(system.used == 100 && second?.used == 40 && system.refusals == 1 && first.refusals == 1)
    first.release(10)
    #expect(second?.reserve(10) == true && system.peak == 100)
    // A scope that ends gives everything back.
    second = nil
    #expect(system.used == 50 && system.peak == 100)
  }

  @Test func newcomersLeaveAQuarter() {
    let scope = MemoryScope(limit: 100)
    #expect(scope.reserve(65) && scope.admits(10) && !scope.admits(11) && scope.refusals == 1 && scope.used == 65)
  }

  @Test func whatIsKeptForLifeNothingElseGets() {
    let system = MemoryScope(limit: 100, keptForLife: 10)
    let peer = MemoryScope(limit: 1_000, in: system)
    #expect(peer.reserve(90) && !peer.reserve(1) && peer.reserve(10, .life) && !peer.reserve(1, .life))
    peer.release(100)
    #expect(system.used == 0)
  }

  @Test func comfortLeavesHalf() {
    let system = MemoryScope(limit: 100)
    let peer = MemoryScope(limit: 1000, in: system)
    #expect(peer.reserve(50, .comfort) && !peer.reserve(1, .comfort) && peer.reserve(50) && !peer.reserve(1))
    #expect(peer.used == 100 && system.used == 100)
  }
}
