import Identity
import Wire

/// The values that this node holds for others, each for a limited time.
///
/// When full, the record whose key is farthest from this node makes room for a nearer one: holding it is others' duty.
struct RecordStore: Sendable {
  struct Held: Sendable {
    var value: [UInt8]
    let distance: Hash256
    var expires: Instant
  }

  private let maximum: Int
  private let bytesMaximum: Int
  private let lifetime: Duration
  private var records: [[UInt8]: Held] = [:]
  private(set) var bytes = 0

  init(_ configuration: Kademlia.Configuration) {
    maximum = configuration.recordsMaximum
    bytesMaximum = configuration.recordBytesMaximum
    lifetime = configuration.recordLifetime
  }

  var count: Int { records.count }

  /// The value under a key, unless its time is over.
  func value(_ key: [UInt8], now: Instant) -> [UInt8]? { records[key].flatMap { $0.expires > now ? $0.value : nil } }

  /// Puts a valid value in the place of what stood there; false when there is no room. O(records) when full.
  mutating func put(_ key: [UInt8], _ value: [UInt8], distance: Hash256, now: Instant) -> Bool {
    remove(key)
    let size = key.count + value.count
    if records.count >= maximum || bytes + size > bytesMaximum { expire(now) }
    while records.count >= maximum || bytes + size > bytesMaximum {
      guard let farthest = records.max(by: { $0.value.distance < $1.value.distance }), farthest.value.distance > distance else {
        return false
      }
      remove(farthest.key)
    }
    records[key] = Held(value: value, distance: distance, expires: now + lifetime)
    bytes += size
    return true
  }

  private mutating func remove(_ key: [UInt8]) {
    if let old = records.removeValue(forKey: key) { bytes -= key.count + old.value.count }
  }

  /// Forgets what is too old. O(records).
  mutating func expire(_ now: Instant) { for (key, held) in records where held.expires <= now { remove(key) } }

  func checkInvariants() {
    precondition(records.count <= maximum && bytes <= bytesMaximum, "\(records.count) records of \(bytes) bytes")
    precondition(records.reduce(0) { $0 + $1.key.count + $1.value.value.count } == bytes, "the bytes of the records are miscounted")
  }
}
