/// The peer book in figures: `GET /api/v1/node/book`.
public struct BookResponse: Codable, Hashable, Sendable {
  /// One of the two tables.
  public struct Table: Codable, Hashable, Sendable {
    /// Places taken.
    public var places: Int
    /// Buckets of 64 places.
    public var buckets: Int
    /// Buckets that hold something.
    public var filledBuckets: Int

    /// Makes the figures.
    public init(places: Int, buckets: Int, filledBuckets: Int) {
      self.places = places
      self.buckets = buckets
      self.filledBuckets = filledBuckets
    }

    enum CodingKeys: String, CodingKey {
      case places, buckets
      case filledBuckets = "filled_buckets"
    }
  }
  /// A network group.
  public struct Group: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Its addresses.
    public var addresses: Int

    /// Makes the row.
    public init(name: String, addresses: Int) {
      self.name = name
      self.addresses = addresses
    }
  }

  /// Peers, and addresses whose peer is not known.
  public var peers: Int
  /// Addresses.
  public var addresses: Int
  /// What was heard of; an address may have several places.
  public var new: Table
  /// What was dialled with success.
  public var tried: Table
  /// Addresses that wait for the test of whoever holds their tried place.
  public var waiting: Int
  /// The last good outbound peers, which are dialled first after a restart.
  public var anchors: [String]
  /// How many network groups the addresses are of.
  public var groups: Int
  /// The ten groups with the most addresses.
  public var largestGroups: [Group]

  /// Makes the answer.
  public init(
    peers: Int, addresses: Int, new: Table, tried: Table, waiting: Int, anchors: [String], groups: Int, largestGroups: [Group]
  ) {
    self.peers = peers
    self.addresses = addresses
    self.new = new
    self.tried = tried
    self.waiting = waiting
    self.anchors = anchors
    self.groups = groups
    self.largestGroups = largestGroups
  }

  enum CodingKeys: String, CodingKey {
    case peers, addresses, new, tried, waiting, anchors, groups
    case largestGroups = "largest_groups"
  }
}

/// Addresses of the peer book: `GET /api/v1/node/book/entries?from=…&limit=…`.
public struct BookEntriesResponse: Codable, Hashable, Sendable {
  /// One address; also a line of an exported book. Times are milliseconds since 1970.
  public struct Entry: Codable, Hashable, Sendable {
    /// The PeerID, when it is known.
    public var peer: String?
    /// The multiaddr.
    public var address: String
    /// `new`, `tried`, or absent while it is only kept because its peer is at hand.
    public var table: String?
    /// The network group of the address.
    public var netgroup: String
    /// The network group whose word brought it in first.
    public var source: String
    /// When it was last heard of or seen.
    public var heard: Int64?
    /// When it was last dialled.
    public var dialled: Int64?
    /// When it last answered as it should.
    public var succeeded: Int64?
    /// Failed dials since.
    public var failures: Int

    /// Makes the row.
    public init(
      peer: String?, address: String, table: String?, netgroup: String, source: String, heard: Int64?, dialled: Int64?,
      succeeded: Int64?, failures: Int
    ) {
      self.peer = peer
      self.address = address
      self.table = table
      self.netgroup = netgroup
      self.source = source
      self.heard = heard
      self.dialled = dialled
      self.succeeded = succeeded
      self.failures = failures
    }
  }

  /// The addresses.
  public var entries: [Entry]
  /// Where to go on; absent at the end.
  public var next: Int?

  /// Makes the answer.
  public init(entries: [Entry], next: Int?) {
    self.entries = entries
    self.next = next
  }
}
