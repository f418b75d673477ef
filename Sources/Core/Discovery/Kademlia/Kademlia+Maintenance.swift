import Identity
import Wire

extension Kademlia {
  /// How many look-ups of its own the machine runs at a time.
  private static let ownParallel = 2
  /// Deeper buckets than this are not looked into: keys that belong there are too hard to find, and the look-up for the node's own
  /// place covers them. 12 is enough for 20 × 4,096 servers.
  private static let deepestRefresh = 12
  /// How often entries that are too old are swept out; reading checks their age anyway.
  private static let sweep = Duration.seconds(3_600)

  /// A linked peer serves.
  mutating func heardOf(_ peer: PeerID, _ addresses: [Multiaddr], _ remote: IPAddress?, _ now: Instant, _ outputs: inout [Output]) {
    guard peer != localPeer else { return }
    let wasEmpty = table.count == 0
    let group = remote.flatMap { $0.isRoutable ? $0.netgroup : nil }
    switch table.insert(peer, place(peer.bytes), KademliaMessage.told(addresses), group, now) {
    case .taken, .refused: break
    case .check(let oldest): check(oldest, now, &outputs)
    }
    if wasEmpty && table.count > 0 {
      // A moment later, when others that are just being linked are in the table too; own entries after that look-up.
      deadlines.set(.refresh, now + .seconds(1))
      own.postpone(to: now + .seconds(2))
      schedule(now)
    }
  }

  /// Asks a peer of the table something whose answer is of use in any case: who is near this node.
  private mutating func check(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    for request in requests.values where request.peer == peer { if case .check = request.purpose { return } }
    send(KademliaMessage(.findNode, key: localPeer.bytes), to: peer, table.addresses(of: peer), .check, now, &outputs)
  }

  // MARK: Refresh

  /// Looks for this node's own place, then into each bucket in turn, and asks those who have long been silent.
  mutating func refresh(_ now: Instant, _ outputs: inout [Output]) {
    deadlines.set(.refresh, now + configuration.refreshInterval)
    // The table may have grown since they were stored.
    own.hasten(below: min(configuration.bucketSize, table.count), to: now + .seconds(1))
    schedule(now)
    for peer in table.silent(since: now - configuration.refreshInterval, maximum: configuration.parallelism) { check(peer, now, &outputs) }
    guard refreshLeft.isEmpty, !running.values.contains(where: { $0.owner == .refresh }), table.count > 0 else { return }
    refreshLeft = Array(0...min(table.deepest ?? 0, Self.deepestRefresh)).reversed()
    begin(.closestPeers(localPeer.bytes), .refresh, now, &outputs)
  }

  /// One look-up of the refresh is over.
  mutating func refreshNext(_ now: Instant, _ outputs: inout [Output]) {
    guard let index = refreshLeft.popLast() else { return }
    begin(.closestPeers(key(inBucket: index)), .refresh, now, &outputs)
  }

  /// A key whose place shares exactly `index` leading bits with this node's. Found by trial: about 2^(index + 1) hashes.
  private mutating func key(inBucket index: Int) -> [UInt8] {
    var best: (key: [UInt8], shared: Int)?
    for _ in 0..<(8 << index) {
      let key = [0x12, 0x20] + generator.bytes(32)
      let shared = table.bucketIndex(place(key))
      if shared == index { return key }
      if best.map({ abs(shared - index) < abs($0.shared - index) }) ?? true { best = (key, shared) }
    }
    return best?.key ?? localPeer.bytes
  }

  // MARK: Own entries

  /// Stores what is due anew, a few at a time.
  mutating func republish(_ now: Instant, _ outputs: inout [Output]) {
    var free = Self.ownParallel - running.values.count { $0.owner == .republish }
    while table.count > 0, free > 0, let query = own.takeDue(now, retry: configuration.republishRetry) {
      free -= 1
      if case .provide(let key) = query { holdOwn(key, now) }
      begin(query, .republish, now, &outputs)
    }
    schedule(now)
  }

  /// Sets the timers for own entries and for the sweep.
  mutating func schedule(_ now: Instant) {
    let isBusy = running.values.count { $0.owner == .republish } >= Self.ownParallel
    if let next = own.next, table.count > 0, !isBusy {
      deadlines.set(.republish, next)
    } else {
      deadlines.remove(.republish)
    }
    scheduleExpiry(now)
  }

  mutating func scheduleExpiry(_ now: Instant) {
    if records.count == 0 && providers.counts.keys == 0 {
      deadlines.remove(.expiry)
    } else if deadlines[.expiry] == nil {
      deadlines.set(.expiry, now + Self.sweep)
    }
  }
}
