/// A fast reproducible generator (xoshiro256**, Blackman and Vigna 2018), seeded through splitmix64.
///
/// Not for secrets: key material comes from the crypto suite. Equal seeds give equal sequences on every machine.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  /// Makes a generator from a seed; every seed is good, 0 too.
  public init(seed: UInt64) {
    var mixer = seed
    func next() -> UInt64 {
      mixer &+= 0x9e37_79b9_7f4a_7c15
      var z = mixer
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
    state = (next(), next(), next(), next())
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
    let result = rotate(state.1 &* 5, 7) &* 9
    let t = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= t
    state.3 = rotate(state.3, 45)
    return result
  }

  /// A generator whose sequence is independent of this one's further use.
  public mutating func split() -> SeededGenerator { SeededGenerator(seed: next()) }

  /// A number in `0..<bound`; 0 when `bound` is not positive.
  public mutating func index(below bound: Int) -> Int { bound <= 0 ? 0 : Int(next() % UInt64(bound)) }

  /// Moves `count` of the items, or all, by lot to the front. O(count).
  public mutating func draw<Item>(_ count: Int, toFrontOf items: inout [Item]) {
    for place in 0..<min(max(0, count), items.count) { items.swapAt(place, place + index(below: items.count - place)) }
  }

  /// A number in 0..<1.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A duration drawn evenly from zero to `maximum` ("full jitter").
  public mutating func jitter(_ maximum: Duration) -> Duration { .nanoseconds(Int64(unit() * Double(maximum.nanoseconds))) }

  /// `count` bytes.
  public mutating func bytes(_ count: Int) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    while result.count < count {
      var word = next()
      for _ in 0..<min(8, count - result.count) {
        result.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    return result
  }
}
