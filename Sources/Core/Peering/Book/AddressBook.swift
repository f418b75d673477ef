import Identity
import Wire

/// Remembers addresses of peers so that nobody can crowd the honest ones out: keyed buckets for what was heard (*new*) and for what was
/// dialled with success (*tried*), after Bitcoin Core's address manager (Heilman et al. 2015).
///
/// An address has one place in a bucket, and which buckets are open to it follows from a secret, its network group and, in *new*, the group of
/// whoever told of it: one teller's group reaches 64 buckets, one network group 8 tried ones. An address that several tell of may
/// stand in up to eight new buckets, each further one half as likely. Who holds a tried place keeps it until a test dial shows that he is gone.
///
/// Bounded by its buckets, plus what is pinned because its peer is at hand. Times are kept in seconds.
public struct AddressBook: Sendable {
  /// The sizes and spans, usable as they are.
  public struct Configuration: Hashable, Sendable {
    /// Buckets of 64 for addresses that were heard of. Default 1,024; at most 65,536. An address in the book costs about 150 bytes.
    public var newBuckets = 1_024
    /// Buckets of 64 for addresses that were dialled with success. Default 256; at most 65,536.
    public var triedBuckets = 256
    /// New buckets that one group of tellers can reach. Default 64.
    public var newBucketsPerSource = 64
    /// Tried buckets that one network group can reach. Default 8.
    public var triedBucketsPerGroup = 8
    /// The most addresses of one peer. Default 8.
    public var addressesPerPeerMaximum = 8
    /// An address that nobody has told of for so long makes room for another. Default 30 days.
    public var horizon = Duration.seconds(30 * 86_400)
    /// An address that never answered in so many dials makes room. Default 3.
    public var attemptsMaximum = 3
    /// An address that failed so often, and not once succeeded within ``failureSpan``, makes room. Default 10.
    public var failuresMaximum = 10
    /// See ``failuresMaximum``. Default 7 days.
    public var failureSpan = Duration.seconds(7 * 86_400)
    /// Addresses that wait for the test of whoever holds their tried place. Default 10; further ones stay in *new*.
    public var pendingMaximum = 10
    /// The holder of a tried place keeps it untested when it answered within this time. Default 4 h.
    public var provenSpan = Duration.seconds(4 * 3_600)
    /// Without a test within this time the newcomer takes the place. Default 40 min.
    public var testPatience = Duration.seconds(2_400)
    /// After a dial an address is a hundred times less likely to be chosen for so long. Default 10 min.
    public var restAfterDial = Duration.seconds(600)

    /// Makes the default settings.
    public init() {}
  }

  /// One of the two tables.
  public enum List: Hashable, Sendable, CaseIterable {
    /// Heard of.
    case new
    /// Dialled with success.
    case tried
  }

  /// What became of an address that was told.
  public enum Addition: Hashable, Sendable {
    /// It is in the book now; `isNewPeer` when nothing was known of its peer.
    case added(isNewPeer: Bool)
    /// It was there already.
    case known
    /// Its place is held by another, or its peer has enough addresses.
    case refused
  }

  /// The sizes and spans.
  public let configuration: Configuration
  /// Which addresses form a group.
  public let groups: NetworkGroups
  /// The secret; whoever knows it can aim at buckets. Persist it with the book.
  public let secret: SipHash.Key

  var records = RecordStore()
  /// The first record of each peer, or the one of an address without a peer.
  var index = RecordIndex()
  var fresh: BucketTable
  var tried: BucketTable
  /// Those whose tried place another holds, in the order in which they came.
  var pending: [RecordID] = []
  /// Addresses that are more than an IP address and a port.
  var others: [RecordID: Multiaddr] = [:]
  /// How many peers have an address in *tried*.
  public internal(set) var triedPeerCount = 0

  /// Makes an empty book.
  public init(configuration: Configuration = .init(), groups: NetworkGroups = .init(), secret: SipHash.Key) {
    self.configuration = configuration
    self.groups = groups
    self.secret = secret
    fresh = BucketTable(buckets: configuration.newBuckets)
    tried = BucketTable(buckets: configuration.triedBuckets)
  }

  /// All addresses.
  public var count: Int { records.count }
  /// Peers, and addresses whose peer is not known.
  public var peerCount: Int { index.count }
  /// Places taken in a table; an address may have several in *new*.
  public func count(_ list: List) -> Int { list == .new ? fresh.count : tried.count }

  /// Takes in what somebody told of. O(1).
  ///
  /// - Parameters:
  ///   - source: the group that answers for it.
  ///   - generator: decides whether a further reference is made.
  @discardableResult
  public mutating func add(_ item: PeerAddress, from source: NetworkGroup, now: Instant, using generator: inout SeededGenerator) -> Addition
  {
    add(BookItem(item), from: source, marks: [], at: BookSeconds(at: now), using: &generator)
  }

  /// The same with marks; a pinned address is taken even when its place is held.
  mutating func add(
    _ item: BookItem, from source: NetworkGroup, marks: BookRecord.Marks, at now: BookSeconds, using generator: inout SeededGenerator
  ) -> Addition {
    if let id = find(item) {
      records[id].heard = now
      records[id].marks.formUnion(marks)
      let references = records[id].references
      if records[id].isTried || references >= BookRecord.referencesMaximum { return .known }
      // Each further reference is half as likely: being told of often must not win much.
      if references > 0, generator.next() & (1 << UInt64(references) - 1) != 0 { return .known }
      let place = newPlace(item.endpoint, from: source)
      if canTake(place, references: references, now) { putNew(id, at: place) }
      return .known
    }
    let siblings = ids(of: item.target).count
    guard siblings < configuration.addressesPerPeerMaximum, records.count < BucketTable.recordsMaximum else { return .refused }
    let place = newPlace(item.endpoint, from: source)
    let hasPlace = canTake(place, references: 0, now)
    guard hasPlace || marks.contains(.pinned) else { return .refused }
    var record = BookRecord(source: source, since: now, heard: now)
    record.marks = marks
    let id = insert(record, item)
    if hasPlace { putNew(id, at: place) }
    return .added(isNewPeer: siblings == 0)
  }

  /// Keeps a peer's address without a place in the tables: what was configured, or is dialled by hand. Nothing happens when the peer has
  /// too many.
  mutating func keep(_ item: BookItem, marks: BookRecord.Marks, at now: BookSeconds) {
    if let id = find(item) {
      records[id].marks.formUnion(marks.union(.pinned))
    } else if ids(of: item.target).count < configuration.addressesPerPeerMaximum {
      var record = BookRecord(source: groups.spread(of: item.endpoint), since: now, heard: now)
      record.marks = marks.union(.pinned)
      _ = insert(record, item)
    }
  }

  /// Whether a place in *new* is free, or its holder is worth less than a newcomer with so many references.
  private func canTake(_ place: Place, references: UInt8, _ now: BookSeconds) -> Bool {
    guard let holder = fresh.record(at: place.bucket, place.position) else { return true }
    return isTerrible(records[holder], now) || (records[holder].references > 1 && references == 0)
  }

  /// Forgets an address.
  public mutating func forget(_ item: PeerAddress) { if let id = find(BookItem(item)) { erase(id) } }

  // MARK: What is at hand

  /// Keeps a peer's addresses, even those without a bucket, until ``unpin(_:)``.
  mutating func pin(_ target: DialTarget) { for id in ids(of: target) { records[id].marks.insert(.pinned) } }

  /// Lets go of addresses that stand in no bucket.
  mutating func unpin(_ target: DialTarget) {
    for id in ids(of: target) {
      records[id].marks.remove(.pinned)
      if !records[id].isHeld { erase(id) }
    }
  }

  /// An address has turned out to be this peer's: what was known of it without a name is the peer's now.
  mutating func name(_ address: Multiaddr, _ peer: PeerID) {
    guard let id = ids(of: .address(address)).first else { return }
    if let twin = find(BookItem(peer: peer, endpoint: endpoint(of: id))) {
      records[twin].marks.formUnion(records[id].marks.subtracting([.tried, .v6, .other]))
      erase(id)
    } else {
      makeRoom(.peer(peer), onlyHearsay: false)
      unlink(id)
      records[id].peer = peer
      link(id)
    }
  }

  /// Gives up the worst address of a peer that has as many as it may: better than hearsay is what the peer says itself or what answered, and
  /// what was configured stays unless all are.
  mutating func makeRoom(_ target: DialTarget, onlyHearsay: Bool) {
    let chain = ids(of: target)
    guard chain.count >= configuration.addressesPerPeerMaximum else { return }
    func worth(_ id: RecordID) -> (Int, BookSeconds, Int) {
      let record = records[id]
      return (record.isConfigured ? 2 : record.marks.contains(.selfDeclared) ? 1 : 0, record.succeeded, -Int(record.failures))
    }
    guard let worst = chain.min(by: { worth($0) < worth($1) }) else { return }
    if !onlyHearsay || (worth(worst).0 == 0 && records[worst].succeeded == .never) { erase(worst) }
  }
}
