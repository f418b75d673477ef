/// A rate with a burst: `rate` tokens a second, up to `burst` of them saved.
///
/// A value that is not asked costs nothing: tokens are counted when they are wanted. `now` may stand still and must not go backwards;
/// if it does, nothing is earned.
public struct TokenBucket: Hashable, Sendable {
  /// Tokens a second in the long run; 0 for a supply that ends.
  public let rate: Double
  /// The most tokens that are saved, and how many there are at first.
  public let burst: Double
  private var tokens: Double
  private var counted: Instant

  /// Makes a full bucket.
  public init(rate: Double, burst: Double, now: Instant) {
    self.rate = max(0, rate)
    self.burst = max(0, burst)
    tokens = self.burst
    counted = now
  }

  /// How many tokens there are at `now`.
  public func available(now: Instant) -> Double { min(burst, tokens + max(0, (now - counted).seconds) * rate) }

  /// Whether it is as good as a new one.
  public func isFull(now: Instant) -> Bool { available(now: now) >= burst }

  /// Takes tokens, by default one; `false` when there are not enough, and then none is taken.
  public mutating func take(_ count: Double = 1, now: Instant) -> Bool {
    let present = available(now: now)
    // What is refused leaves the account as it was, so that asking often rounds nothing away.
    guard present >= count else { return false }
    counted = max(counted, now)
    tokens = present - count
    return true
  }

  /// Takes tokens for something that is done already, more than there are if need be: the debt is paid before anything else is taken.
  public mutating func spend(_ count: Double, now: Instant) {
    tokens = available(now: now) - count
    counted = max(counted, now)
  }

  /// When `count` tokens will be there; `now` if they are, ``Instant/distantFuture`` if they never are.
  public func ready(for count: Double = 1, now: Instant) -> Instant {
    let missing = count - available(now: now)
    if missing <= 0 { return now }
    guard count <= burst, rate > 0 else { return .distantFuture }
    // A little later than the sum says, so that rounding down to nanoseconds does not ask one time too many.
    return now + .nanoseconds(Int64(min(missing / rate * 1_000_000_000, 1e18).rounded(.up)) + 1)
  }
}

/// A bucket of one rate for each of many keys, bounded in number. Buckets outlive what they are kept for, so that coming back earns nothing.
public struct TokenBuckets<Key: Hashable & Sendable>: Sendable {
  private let rate: Double
  private let burst: Double
  private let maximum: Int
  private var buckets: [Key: TokenBucket] = [:]

  /// Makes an empty table for at most `maximum` keys.
  public init(rate: Double, burst: Double, maximum: Int) {
    self.rate = rate
    self.burst = burst
    self.maximum = maximum
  }

  /// How many buckets are kept.
  public var count: Int { buckets.count }

  /// How many tokens the key's bucket has.
  public func available(_ key: Key, now: Instant) -> Double { buckets[key]?.available(now: now) ?? burst }

  /// Takes a token of the key's bucket; `false` when it is empty, or when more keys are in use than are kept.
  ///
  /// - Complexity: O(1); O(n) when the table is full, for then the buckets that have filled up again are let go: a new one is the same.
  public mutating func take(_ key: Key, now: Instant) -> Bool {
    guard makeRoom(for: key, now) else { return false }
    return buckets[key, default: TokenBucket(rate: rate, burst: burst, now: now)].take(now: now)
  }

  /// Takes tokens for something that is done already: see ``TokenBucket/spend(_:now:)``. Where more keys are in use than are kept, nothing is.
  public mutating func spend(_ key: Key, _ count: Double, now: Instant) {
    guard makeRoom(for: key, now) else { return }
    buckets[key, default: TokenBucket(rate: rate, burst: burst, now: now)].spend(count, now: now)
  }

  /// When the key's bucket is out of debt and has a token; `now` if it is.
  public func ready(_ key: Key, now: Instant) -> Instant { buckets[key]?.ready(now: now) ?? now }

  private mutating func makeRoom(for key: Key, _ now: Instant) -> Bool {
    if buckets[key] == nil && buckets.count >= maximum { buckets = buckets.filter { !$0.value.isFull(now: now) } }
    return buckets[key] != nil || buckets.count < maximum
  }
}
