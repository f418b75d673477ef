import Wire

/// How many addresses each group of tellers may still tell of. A budget outlives links, so that coming back earns nothing.
struct TellerBudget {
  private struct Bucket {
    var tokens: Double
    var at: Instant
  }

  private let rate: Double
  private let burst: Double
  private let maximum: Int
  private var buckets: [NetworkGroup: Bucket] = [:]

  init(rate: Double, burst: Double, maximum: Int) {
    self.rate = rate
    self.burst = burst
    self.maximum = maximum
  }

  /// Takes one address from the budget; `false` when it is used up, or more groups tell than are remembered.
  mutating func mayTell(_ group: NetworkGroup, _ now: Instant) -> Bool {
    var bucket = buckets[group] ?? Bucket(tokens: burst, at: now)
    if buckets[group] == nil && buckets.count >= maximum {
      // A budget that has filled up again is as good as a new one.
      let (rate, burst) = (rate, burst)
      buckets = buckets.filter { $0.value.tokens + (now - $0.value.at).seconds * rate < burst }
      if buckets.count >= maximum { return false }
    }
    bucket.tokens = min(burst, bucket.tokens + max(0, (now - bucket.at).seconds) * rate)
    bucket.at = now
    let isAllowed = bucket.tokens >= 1
    if isAllowed { bucket.tokens -= 1 }
    buckets[group] = bucket
    return isAllowed
  }
}
