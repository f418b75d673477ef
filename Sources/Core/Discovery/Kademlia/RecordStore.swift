import Identity
import Wire

/// The values that this node holds for others, each for a limited time.
///
/// Whoever may speak to this node may store values under keys of its choice. So when the store is full, the largest network makes room
/// (``FairShares``), and of its values one whose key is far from this node: holding it is others' duty.
struct RecordStore: Sendable {
  struct Held: Sendable {
    var value: [UInt8]
    var expires: Instant
  }

  private let maximum: Int
  private let bytesMaximum: Int
  private let lifetime: Duration
  private var records: [[UInt8]: Held] = [:]
  private var shares = FairShares<[UInt8]>()

  init(_ configuration: Kademlia.Configuration) {
    maximum = configuration.recordsMaximum
    bytesMaximum = configuration.recordBytesMaximum
    lifetime = configuration.recordLifetime
  }

  var count: Int { records.count }

  /// What keys and values take.
  var bytes: Int { shares.bytes }

  /// The value under a key, unless its time is over.
  func value(_ key: [UInt8], now: Instant) -> [UInt8]? { records[key].flatMap { $0.expires > now ? $0.value : nil } }

  /// Puts a valid value in the place of what stood there; false when there is no room, and what stood there stays.
  /// O(records) when full.
  mutating func put(
    _ key: [UInt8], _ value: [UInt8], distance: Hash256, from origin: Origin, now: Instant, using generator: inout SeededGenerator
  ) -> Bool {
    let old = records[key]
    let former = shares.origin(of: key)
    // Who repeats a value does not become answerable for it by that, lest a flood take others' values along when it makes room.
    let origin =
      former.map { old?.value == value && shares.bytes(ofGroupOf: $0) <= shares.bytes(ofGroupOf: origin) ? $0 : origin } ?? origin
    remove(key)
    let size = key.count + value.count
    if isFull(with: size) { expire(now) }
    while isFull(with: size) {
      guard size <= bytesMaximum, let victim = shares.victim(for: origin, distance: distance, using: &generator) else {
        if let old, let former { keep(key, old, distance, former) }
        return false
      }
      remove(victim)
    }
    keep(key, Held(value: value, expires: now + lifetime), distance, origin)
    return true
  }

  private func isFull(with size: Int) -> Bool { records.count >= maximum || bytes + size > bytesMaximum }

  private mutating func keep(_ key: [UInt8], _ held: Held, _ distance: Hash256, _ origin: Origin) {
    records[key] = held
    shares.add(key, of: origin, bytes: key.count + held.value.count, distance: distance)
  }

  private mutating func remove(_ key: [UInt8]) {
    records[key] = nil
    shares.remove(key)
  }

  /// Forgets what is too old. O(records).
  mutating func expire(_ now: Instant) { for (key, held) in records where held.expires <= now { remove(key) } }

  func checkInvariants() {
    shares.checkInvariants()
    precondition(records.count <= maximum && bytes <= bytesMaximum, "\(records.count) records of \(bytes) bytes")
    precondition(records.count == shares.count, "\(shares.count) records are counted")
    precondition(records.reduce(0) { $0 + $1.key.count + $1.value.value.count } == bytes, "the bytes of the records are miscounted")
  }
}
