import Identity
import Wire

// Where an address may stand, and the lists that records are found by.
extension AddressBook {
  struct Place: Hashable {
    var bucket: UInt16
    var position: UInt8
  }

  /// The place in *new* of an address that `source` tells of.
  func newPlace(_ endpoint: BookEndpoint, from source: NetworkGroup) -> Place {
    let group = groups.spread(of: endpoint).number
    let slice = hash(1, group, source.number) % UInt64(max(1, configuration.newBucketsPerSource))
    let bucket = UInt16(hash(2, source.number, slice) % UInt64(configuration.newBuckets))
    return Place(bucket: bucket, position: UInt8(hash(3, UInt64(bucket), key(endpoint)) & 63))
  }

  /// The place in *tried* of an address.
  func triedPlace(_ endpoint: BookEndpoint) -> Place {
    let key = key(endpoint)
    let slice = hash(4, key, 0) % UInt64(max(1, configuration.triedBucketsPerGroup))
    let bucket = UInt16(hash(5, groups.spread(of: endpoint).number, slice) % UInt64(configuration.triedBuckets))
    return Place(bucket: bucket, position: UInt8(hash(6, UInt64(bucket), key) & 63))
  }

  /// The peer that was reached at an address, if it still holds the one place in *tried* that the address has. O(1).
  func triedPeer(at address: Multiaddr) -> PeerID? {
    let wanted = BookEndpoint(address)
    let place = triedPlace(wanted)
    guard let id = tried.record(at: place.bucket, place.position), endpoint(of: id) == wanted else { return nil }
    return records[id].peer
  }

  private func hash(_ purpose: UInt64, _ first: UInt64, _ second: UInt64) -> UInt64 {
    var hash = SipHash(secret)
    hash.combine(purpose)
    hash.combine(first)
    hash.combine(second)
    return hash.value
  }

  /// The keyed hash of a number, for whoever needs numbers that cannot be foreseen.
  func nonce(_ number: UInt64) -> UInt64 { hash(7, number, 0) }

  /// What an address is to the buckets. Its peer does not count: keys are free, and one address must not have many places.
  private func key(_ endpoint: BookEndpoint) -> UInt64 {
    var hash = SipHash(secret)
    endpoint.combine(into: &hash)
    return hash.value
  }

  /// Puts a record into a place of *new*; a holder of less worth leaves it.
  mutating func putNew(_ id: RecordID, at place: Place) {
    if let holder = fresh.record(at: place.bucket, place.position) {
      if holder == id { return }
      removeNew(holder, from: place.bucket)
    }
    fresh.put(id, at: place.bucket, place.position)
    records[id].add(bucket: place.bucket)
  }

  /// Takes a record out of a bucket of *new*; out of the book when that was the last one.
  private mutating func removeNew(_ id: RecordID, from bucket: UInt16) {
    fresh.remove(id, from: bucket)
    records[id].drop(bucket: bucket)
    if !records[id].isHeld { erase(id) }
  }

  /// Takes a record out of all buckets, and leaves it in the book.
  mutating func removeFromBuckets(_ id: RecordID) {
    let record = records[id]
    for index in 0..<Int(record.references) {
      if record.isTried { tried.remove(id, from: record.buckets[index]) } else { fresh.remove(id, from: record.buckets[index]) }
    }
    records[id].references = 0
    if record.isTried { setTried(id, false) }
  }

  // MARK: Records

  /// Marks a record, and counts peers by whether any of their records is marked.
  mutating func setTried(_ id: RecordID, _ isTried: Bool) {
    let target = target(of: id)
    let before = self.isTried(target)
    if isTried { records[id].marks.insert(.tried) } else { records[id].marks.remove(.tried) }
    triedPeerCount += (self.isTried(target) ? 1 : 0) - (before ? 1 : 0)
  }

  mutating func insert(_ record: BookRecord, _ item: BookItem) -> RecordID {
    var record = record
    record.peer = item.peer
    switch item.endpoint {
    case .plain(let ip, let port):
      record.port = port
      switch ip.value {
      case .v4(let number): record.low = UInt64(number)
      case .v6(let high, let low):
        record.high = high
        record.low = low
        record.marks.insert(.v6)
      }
    case .other: record.marks.insert(.other)
    }
    let id = records.insert(record)
    if case .other(let address) = item.endpoint { others[id] = address }
    link(id)
    return id
  }

  /// Takes a record out of the book.
  mutating func erase(_ id: RecordID) {
    removeFromBuckets(id)
    pending.removeAll { $0 == id }
    unlink(id)
    if records[id].marks.contains(.other) { others[id] = nil }
    records.remove(id)
  }

  /// The records of a peer, or of an address without one; at most ``Configuration/addressesPerPeerMaximum``.
  func ids(of target: DialTarget) -> [RecordID] {
    var result: [RecordID] = []
    var next = first(of: target) ?? BookRecord.none
    while next != BookRecord.none {
      result.append(next)
      next = records[next].next
    }
    return result
  }

  /// Whether the book has anything of a peer.
  func contains(_ target: DialTarget) -> Bool { first(of: target) != nil }

  /// Whether a peer has an address in *tried*.
  func isTried(_ target: DialTarget) -> Bool { ids(of: target).contains { records[$0].isTried } }

  func find(_ item: BookItem) -> RecordID? {
    var next = first(peer: item.peer, endpoint: item.endpoint) ?? BookRecord.none
    while next != BookRecord.none {
      if endpoint(of: next) == item.endpoint { return next }
      next = records[next].next
    }
    return nil
  }

  func endpoint(of id: RecordID) -> BookEndpoint {
    let record = records[id]
    if record.marks.contains(.other) {
      guard let address = others[id] else { preconditionFailure("an address beside the records is lost") }
      return .other(address)
    }
    return .plain(
      record.marks.contains(.v6) ? .v6(high: record.high, low: record.low) : .v4(UInt32(truncatingIfNeeded: record.low)), record.port)
  }

  func item(_ id: RecordID) -> BookItem { BookItem(peer: records[id].peer, endpoint: endpoint(of: id)) }

  func target(of id: RecordID) -> DialTarget { records[id].peer.map { .peer($0) } ?? .address(endpoint(of: id).multiaddr) }

  private func first(of target: DialTarget) -> RecordID? {
    switch target {
    case .peer(let peer): first(peer: peer, endpoint: nil)
    case .address(let address): first(peer: nil, endpoint: BookEndpoint(address))
    }
  }

  private func first(peer: PeerID?, endpoint wanted: BookEndpoint?) -> RecordID? {
    index.find(indexHash(peer, wanted)) { id in records[id].peer == peer && (peer != nil || endpoint(of: id) == wanted) }
  }

  private func indexHash(_ peer: PeerID?, _ endpoint: BookEndpoint?) -> UInt64 {
    var hash = SipHash(secret)
    if let peer { peer.combine(into: &hash) } else { endpoint?.combine(into: &hash) }
    return hash.value
  }

  /// Puts a record behind the others of its peer.
  func lastOfChain(_ first: RecordID) -> RecordID {
    var last = first
    while records[last].next != BookRecord.none { last = records[last].next }
    return last
  }

  mutating func link(_ id: RecordID) {
    records[id].next = BookRecord.none
    let (peer, endpoint) = (records[id].peer, endpoint(of: id))
    if let first = first(peer: peer, endpoint: endpoint) {
      records[lastOfChain(first)].next = id
    } else {
      index.insert(indexHash(peer, endpoint), id)
    }
    if records[id].isTried, ids(of: target(of: id)).filter({ records[$0].isTried }).count == 1 { triedPeerCount += 1 }
  }

  mutating func unlink(_ id: RecordID) {
    if records[id].isTried, ids(of: target(of: id)).filter({ records[$0].isTried }).count == 1 { triedPeerCount -= 1 }
    let (peer, endpoint) = (records[id].peer, endpoint(of: id))
    guard let first = first(peer: peer, endpoint: endpoint) else { preconditionFailure("a record is in no chain") }
    let hash = indexHash(peer, endpoint)
    if first == id {
      if records[id].next == BookRecord.none { index.remove(hash, id) } else { index.replace(hash, id, by: records[id].next) }
    } else {
      var before = first
      while records[before].next != id { before = records[before].next }
      records[before].next = records[id].next
    }
    records[id].next = BookRecord.none
  }

  // MARK: Checks

  /// Traps when tables, chains and counts disagree. For tests; O(n).
  public func checkInvariants() {
    fresh.checkInvariants()
    tried.checkInvariants()
    var references = (fresh: 0, tried: 0)
    var seen: Set<RecordID> = []
    var peers: Set<DialTarget> = []
    var triedPeers: Set<DialTarget> = []
    for id in Set(fresh.records + tried.records).sorted() {
      let record = records[id]
      let target = target(of: id)
      precondition(ids(of: target).contains(id), "a record is not in its peer's chain")
      precondition(ids(of: target).count <= configuration.addressesPerPeerMaximum, "a peer has too many addresses")
      peers.insert(target)
      seen.insert(id)
      if record.isTried {
        precondition(record.references == 1, "a tried address stands \(record.references) times")
        let place = triedPlace(endpoint(of: id))
        precondition(tried.record(at: place.bucket, place.position) == id, "a tried address stands in the wrong place")
        references.tried += 1
        triedPeers.insert(target)
      } else {
        precondition((1...BookRecord.referencesMaximum).contains(record.references), "\(record.references) references")
        for index in 0..<Int(record.references) {
          precondition(fresh.records(in: Int(record.buckets[index])).contains(id), "a reference leads nowhere")
        }
        references.fresh += Int(record.references)
      }
    }
    precondition(references.fresh == fresh.count && references.tried == tried.count, "references and buckets disagree")
    precondition(triedPeers.count == triedPeerCount, "\(triedPeerCount) tried peers are counted, there are \(triedPeers.count)")
    precondition(seen.count <= records.count && peers.count <= index.count, "records or peers are lost")
    for id in pending { precondition(seen.contains(id) || records[id].marks.contains(.pinned), "one that is gone waits for a place") }
  }
}
