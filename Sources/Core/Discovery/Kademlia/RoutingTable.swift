import Identity
import Wire

/// The servers that this node knows at first hand, by how many leading bits their keys share with its own: a bucket of at most
/// `k` for each length, so that the table is dense near this node and sparse far away.
///
/// A full bucket takes a newcomer only in place of one that has failed; else the one heard of least lately is to be checked, and
/// the newcomer waits for its place. Thus long-lived peers stay, and nobody can flush the table with fresh names.
struct RoutingTable: Sendable {
  struct Entry: Sendable {
    let peer: PeerID
    /// SHA-256 of the PeerID.
    let place: Hash256
    /// Where it can be dialled, by its own word.
    var addresses: [Multiaddr]
    /// The group of neighbours that its link came from; `nil` where that means nothing.
    var group: IPNetwork?
    /// When it last answered, or proved that it serves.
    var lastHeard: Instant
    /// Requests that failed since.
    var failures = 0
  }

  enum Insertion: Equatable {
    /// It has a place now, or had one.
    case taken
    /// Its bucket is full: this one is to be asked whether it still lives.
    case check(PeerID)
    /// Its bucket is full of live peers, or there are enough of its group.
    case refused
  }

  let local: Hash256
  private let bucketSize: Int
  private let groupPerBucketMaximum: Int
  private let groupMaximum: Int
  /// How recently a peer must have been heard of to need no check.
  private let fresh: Duration
  private let failuresMaximum: Int
  /// By the number of shared leading bits, as far as there are any; each oldest first.
  private var buckets: [[Entry]] = []
  /// The newcomer that waits for a place in a bucket.
  private var waiting: [Int: Entry] = [:]
  private var bucketOf: [PeerID: Int] = [:]
  private var groups: [IPNetwork: Int] = [:]

  init(local: Hash256, _ configuration: Kademlia.Configuration) {
    self.local = local
    bucketSize = max(1, configuration.bucketSize)
    groupPerBucketMaximum = configuration.groupPerBucketMaximum
    groupMaximum = configuration.groupMaximum
    fresh = configuration.freshness
    failuresMaximum = max(1, configuration.failuresMaximum)
  }

  var count: Int { bucketOf.count }

  func contains(_ peer: PeerID) -> Bool { bucketOf[peer] != nil }

  /// The bucket that a key belongs in: how many leading bits it shares with this node's.
  func bucketIndex(_ place: Hash256) -> Int { (place ^ local).leadingZeroBitCount }

  /// The last bucket that is not empty, or `nil`. O(buckets).
  var deepest: Int? { buckets.lastIndex { !$0.isEmpty } }

  /// A peer has answered, or said on its link that it serves. O(k).
  mutating func insert(_ peer: PeerID, _ place: Hash256, _ addresses: [Multiaddr], _ group: IPNetwork?, _ now: Instant) -> Insertion {
    let index = bucketIndex(place)
    if index == 256 { return .refused }
    while buckets.count <= index { buckets.append([]) }
    var entry = Entry(peer: peer, place: place, addresses: addresses, group: group, lastHeard: now)
    if let position = buckets[index].firstIndex(where: { $0.peer == peer }) {
      let old = buckets[index].remove(at: position)
      if addresses.isEmpty { entry.addresses = old.addresses }
      count(old.group, -1)
      if !hasRoom(index, group) { entry.group = old.group }
      append(entry, index)
      return .taken
    }
    guard hasRoom(index, group) else { return .refused }
    if buckets[index].count < bucketSize {
      append(entry, index)
      return .taken
    }
    if let failed = buckets[index].firstIndex(where: { $0.failures > 0 }) {
      take(failed, index)
      append(entry, index)
      return .taken
    }
    waiting[index] = entry
    let oldest = buckets[index][0]
    return now - oldest.lastHeard >= fresh ? .check(oldest.peer) : .refused
  }

  /// A peer answered.
  mutating func heard(_ peer: PeerID, _ now: Instant) {
    guard let index = bucketOf[peer], let position = buckets[index].firstIndex(where: { $0.peer == peer }) else { return }
    var entry = buckets[index].remove(at: position)
    entry.lastHeard = now
    entry.failures = 0
    buckets[index].append(entry)
  }

  /// A request to a peer failed. After ``Kademlia/Configuration/failuresMaximum`` in a row, or at once when somebody waits for its
  /// place, it goes.
  mutating func failed(_ peer: PeerID) {
    guard let index = bucketOf[peer], let position = buckets[index].firstIndex(where: { $0.peer == peer }) else { return }
    buckets[index][position].failures += 1
    if buckets[index][position].failures >= failuresMaximum || waiting[index] != nil { remove(peer) }
  }

  /// A peer serves no more. Whoever waits for a place in its bucket gets it.
  mutating func remove(_ peer: PeerID) {
    for (index, entry) in waiting where entry.peer == peer { waiting[index] = nil }
    guard let index = bucketOf[peer], let position = buckets[index].firstIndex(where: { $0.peer == peer }) else { return }
    take(position, index)
    if let next = waiting.removeValue(forKey: index), hasRoom(index, next.group) { append(next, index) }
  }

  /// The `count` entries nearest to a key, nearest first; of those that failed lately only when asked for. O(n log n).
  func closest(to target: Hash256, count: Int, includingFailed: Bool = false) -> [Entry] {
    var found: [(distance: Hash256, entry: Entry)] = []
    found.reserveCapacity(bucketOf.count)
    for bucket in buckets {
      for entry in bucket where includingFailed || entry.failures == 0 { found.append((entry.place ^ target, entry)) }
    }
    found.sort { $0.distance < $1.distance }
    return found.prefix(count).map(\.entry)
  }

  func addresses(of peer: PeerID) -> [Multiaddr] {
    bucketOf[peer].flatMap { index in buckets[index].first { $0.peer == peer }?.addresses } ?? []
  }

  /// Those not heard of since, the longest silent first. O(n log n).
  func silent(since: Instant, maximum: Int) -> [PeerID] {
    buckets.joined().filter { $0.lastHeard < since }.sorted { ($0.lastHeard, $0.peer) < ($1.lastHeard, $1.peer) }.prefix(maximum).map(
      \.peer)
  }

  /// All peers, in no order that means anything, but always in the same. O(n).
  var peers: [PeerID] { buckets.joined().map(\.peer) }

  private func hasRoom(_ index: Int, _ group: IPNetwork?) -> Bool {
    guard let group else { return true }
    return groups[group, default: 0] < groupMaximum && buckets[index].count(where: { $0.group == group }) < groupPerBucketMaximum
  }

  private mutating func append(_ entry: Entry, _ index: Int) {
    // One that had to wait for its place was heard of before the others.
    let position = buckets[index].lastIndex { $0.lastHeard <= entry.lastHeard }.map { $0 + 1 } ?? 0
    buckets[index].insert(entry, at: position)
    bucketOf[entry.peer] = index
    count(entry.group, 1)
    if waiting[index]?.peer == entry.peer { waiting[index] = nil }
  }

  private mutating func take(_ position: Int, _ index: Int) {
    let entry = buckets[index].remove(at: position)
    bucketOf[entry.peer] = nil
    count(entry.group, -1)
  }

  private mutating func count(_ group: IPNetwork?, _ step: Int) {
    guard let group else { return }
    let new = groups[group, default: 0] + step
    groups[group] = new == 0 ? nil : new
  }

  /// Traps when the buckets disagree with the indices or pass their limits: for tests, after each step. O(n).
  func checkInvariants() {
    var counted: [IPNetwork: Int] = [:]
    var total = 0
    for (index, bucket) in buckets.enumerated() where !bucket.isEmpty {
      precondition(bucket.count <= bucketSize, "bucket \(index) holds \(bucket.count)")
      for entry in bucket {
        precondition(bucketIndex(entry.place) == index && bucketOf[entry.peer] == index, "an entry stands in the wrong bucket")
        if let group = entry.group { counted[group, default: 0] += 1 }
      }
      for pair in zip(bucket, bucket.dropFirst()) { precondition(pair.0.lastHeard <= pair.1.lastHeard, "bucket \(index) is out of order") }
      total += bucket.count
    }
    for (index, entry) in waiting {
      precondition(
        buckets[index].count == bucketSize && bucketOf[entry.peer] == nil,
        "a peer waits for a place in bucket \(index), which it could have")
    }
    precondition(total == bucketOf.count, "\(total) entries, \(bucketOf.count) indexed")
    precondition(counted == groups && groups.values.allSatisfy { $0 <= groupMaximum }, "groups are miscounted or too big")
  }
}
