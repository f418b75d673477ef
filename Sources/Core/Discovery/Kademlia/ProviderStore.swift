import Identity
import Wire

/// Who has said to provide what, each for a limited time.
///
/// When a limit is reached: of a key's providers the one whose word is oldest makes room; of the keys the farthest from this node does.
/// One peer may stand under a limited number of keys, so that it cannot drive out all others.
struct ProviderStore: Sendable {
  private struct Word: Sendable {
    var addresses: [Multiaddr]
    var given: Instant
  }
  private struct Row: Sendable {
    let distance: Hash256
    var words: [PeerID: Word] = [:]
  }

  private let configuration: Kademlia.Configuration
  private var rows: [[UInt8]: Row] = [:]
  private var keysOf: [PeerID: Int] = [:]
  private var total = 0

  init(_ configuration: Kademlia.Configuration) { self.configuration = configuration }

  /// The number of keys, and of the words under all of them.
  var counts: (keys: Int, words: Int) { (rows.count, total) }

  /// A peer's word that it provides what the key names; false when there is no room. O(keys) when full.
  mutating func add(_ peer: PeerID, _ addresses: [Multiaddr], key: [UInt8], distance: Hash256, now: Instant) -> Bool {
    if rows[key]?.words[peer] == nil {
      guard keysOf[peer, default: 0] < configuration.providedPerPeerMaximum, makeRoom(key, distance, now) else { return false }
      keysOf[peer, default: 0] += 1
      total += 1
    }
    rows[key, default: Row(distance: distance)].words[peer] = Word(addresses: addresses, given: now)
    return true
  }

  private mutating func makeRoom(_ key: [UInt8], _ distance: Hash256, _ now: Instant) -> Bool {
    if let words = rows[key]?.words, words.count >= configuration.providersPerKeyMaximum,
      let oldest = words.min(by: { ($0.value.given, $0.key) < ($1.value.given, $1.key) })
    {
      remove(oldest.key, key)
      return true
    }
    var isFull: Bool { total >= configuration.providersMaximum || (rows[key] == nil && rows.count >= configuration.providerKeysMaximum) }
    if isFull { expire(now) }
    while isFull {
      guard let farthest = rows.max(by: { $0.value.distance < $1.value.distance }), farthest.value.distance > distance else { return false }
      for peer in farthest.value.words.keys { remove(peer, farthest.key) }
    }
    return true
  }

  /// Who provides what the key names, the latest word first, with addresses as long as they are likely to be right. O(n log n).
  func providers(_ key: [UInt8], now: Instant) -> [(peer: PeerID, addresses: [Multiaddr])] {
    guard let words = rows[key]?.words else { return [] }
    return words.filter { now - $0.value.given < configuration.providerLifetime }
      .sorted { ($1.value.given, $0.key) < ($0.value.given, $1.key) }
      .map { ($0.key, now - $0.value.given < configuration.providerAddressLifetime ? $0.value.addresses : []) }
  }

  mutating func remove(_ peer: PeerID, _ key: [UInt8]) {
    guard rows[key]?.words.removeValue(forKey: peer) != nil else { return }
    let left = keysOf[peer, default: 0] - 1
    keysOf[peer] = left > 0 ? left : nil
    total -= 1
    if rows[key]?.words.isEmpty == true { rows[key] = nil }
  }

  /// Forgets what is too old. O(words).
  mutating func expire(_ now: Instant) {
    for (key, row) in rows {
      for (peer, word) in row.words where now - word.given >= configuration.providerLifetime { remove(peer, key) }
    }
  }

  func checkInvariants() {
    precondition(rows.count <= configuration.providerKeysMaximum, "\(rows.count) provided keys")
    var counted: [PeerID: Int] = [:]
    for row in rows.values {
      precondition(!row.words.isEmpty && row.words.count <= configuration.providersPerKeyMaximum, "\(row.words.count) providers of a key")
      for peer in row.words.keys { counted[peer, default: 0] += 1 }
    }
    precondition(counted == keysOf && counted.values.reduce(0, +) == total, "the keys of providers are miscounted")
    precondition(total <= configuration.providersMaximum, "\(total) providers")
    precondition(counted.values.allSatisfy { $0 <= configuration.providedPerPeerMaximum }, "a peer stands under too many keys")
  }
}
