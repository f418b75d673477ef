import Identity
import Wire

/// What the book holds, in figures.
public struct BookSummary: Sendable {
  /// A network group and how many addresses of it the book holds.
  public struct Group: Hashable, Sendable {
    /// The group.
    public let group: NetworkGroup
    /// Addresses in it.
    public let addresses: Int
  }

  /// Peers, and addresses whose peer is not known.
  public let peers: Int
  /// Addresses.
  public let addresses: Int
  /// Places taken in *new*; an address may have several.
  public let new: Int
  /// Addresses in *tried*.
  public let tried: Int
  /// Buckets of *new*, all and those that hold something.
  public let newBuckets: (all: Int, filled: Int)
  /// Buckets of *tried*, all and those that hold something.
  public let triedBuckets: (all: Int, filled: Int)
  /// Addresses that wait for the test of whoever holds their tried place.
  public let waiting: Int
  /// The last good outbound peers.
  public let anchors: [PeerID]
  /// How many network groups the addresses are of.
  public let groupCount: Int
  /// The groups with the most addresses, the largest first.
  public let largestGroups: [Group]
}

/// One address of the book.
public struct BookEntry: Sendable {
  /// The peer, when it is known.
  public let peer: PeerID?
  /// The address.
  public let address: Multiaddr
  /// The table that it stands in; `nil` while it is only kept because its peer is at hand.
  public let table: AddressBook.List?
  /// The network group of the address.
  public let group: NetworkGroup
  /// Whose word brought it in first.
  public let source: NetworkGroup
  /// When it was last heard of or seen.
  public let heard: WallTime?
  /// When it was last dialled.
  public let dialled: WallTime?
  /// When it last answered as it should.
  public let succeeded: WallTime?
  /// Failed dials since.
  public let failures: Int
}

extension PeeringMachine {
  /// The book in figures. O(addresses).
  public func bookSummary() -> BookSummary {
    var sizes: [NetworkGroup: Int] = [:]
    var groups = configuration.groups
    groups.includesPrivate = true
    for id in Set(book.all(.tried) + book.all(.new)) { sizes[groups.spread(of: book.endpoint(of: id)), default: 0] += 1 }
    let largest = sizes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(10).map { BookSummary.Group(group: $0, addresses: $1) }
    return BookSummary(
      peers: book.peerCount, addresses: book.count, new: book.count(.new), tried: book.count(.tried),
      newBuckets: (book.fresh.bucketCount, book.fresh.filledCount), triedBuckets: (book.tried.bucketCount, book.tried.filledCount),
      waiting: book.pending.count, anchors: anchors, groupCount: sizes.count, largestGroups: Array(largest))
  }

  /// The addresses from a place on, whole buckets until there are `limit` or more; *tried* first, then *new*, then those that are only kept
  /// because their peer is at hand. `next` is the place to go on from, `nil` at the end. What changes meanwhile may be missed or come
  /// twice. O(limit + empty buckets + peers at hand).
  public func bookEntries(from start: Int, limit: Int) -> (entries: [BookEntry], next: Int?) {
    var ids: [RecordID] = []
    var place = max(0, start)
    let (tried, new) = (book.tried.bucketCount, book.fresh.bucketCount)
    while ids.count < limit, place < tried + new {
      if place < tried {
        ids += book.tried.records(in: place)
      } else {
        // An address with several references is listed where it stands first.
        let bucket = place - tried
        ids += book.fresh.records(in: bucket).filter { book.records[$0].buckets[0] == UInt16(bucket) }
      }
      place += 1
    }
    let atHand = ids.count < limit ? known.entries.keys.sorted() : []
    while ids.count < limit, place - tried - new < atHand.count {
      ids += book.ids(of: atHand[place - tried - new]).filter { book.records[$0].references == 0 }
      place += 1
    }
    let isEnd = ids.count < limit
    var groups = configuration.groups
    groups.includesPrivate = true
    return (ids.map { entry($0, groups) }, isEnd ? nil : place)
  }

  private func entry(_ id: RecordID, _ groups: NetworkGroups) -> BookEntry {
    let record = book.records[id]
    let endpoint = book.endpoint(of: id)
    func time(_ seconds: BookSeconds) -> WallTime? { seconds.instant.map { clock.time(at: $0) } }
    return BookEntry(
      peer: record.peer, address: endpoint.multiaddr, table: record.isTried ? .tried : record.references > 0 ? .new : nil,
      group: groups.spread(of: endpoint), source: record.source, heard: time(record.heard), dialled: time(record.tried),
      succeeded: time(record.succeeded), failures: Int(record.failures))
  }
}
