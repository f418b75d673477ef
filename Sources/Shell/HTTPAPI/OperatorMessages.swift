// What operators send and are answered; the keys on the wire are the property names in snake_case.

/// Asks for a dial: `POST /api/v1/node/peers`.
public struct AddPeerRequest: Codable, Hashable, Sendable {
  /// A multiaddr with or without a PeerID, or host:port with an IP address.
  public var address: String
  /// Whether the peer is dialled for ever, restarts included; absent: no.
  public var keep: Bool?

  /// Makes the request.
  public init(address: String, keep: Bool? = nil) {
    self.address = address
    self.keep = keep
  }

  /// The keys that the object may have.
  public static let keys: Set<String> = ["address", "keep"]
}

/// Asks for a ban: `POST /api/v1/node/bans`.
public struct BanRequest: Codable, Hashable, Sendable {
  /// A PeerID or the beginning of one, an IP address, or a network such as `203.0.113.0/24`.
  public var subject: String
  /// For how long, 1 s to ten years; absent: until lifted.
  public var seconds: Int?
  /// What for; at most ``reasonBytesMaximum`` bytes.
  public var reason: String?

  /// Makes the request.
  public init(subject: String, seconds: Int? = nil, reason: String? = nil) {
    self.subject = subject
    self.seconds = seconds
    self.reason = reason
  }

  /// The keys that the object may have.
  public static let keys: Set<String> = ["subject", "seconds", "reason"]
  /// The most bytes of a reason, as many as peers are told.
  public static let reasonBytesMaximum = 200
}

/// Asks for trust: `POST /api/v1/node/trusted`.
public struct TrustRequest: Codable, Hashable, Sendable {
  /// A PeerID or the beginning of one.
  public var peer: String

  /// Makes the request.
  public init(peer: String) { self.peer = peer }

  /// The keys that the object may have.
  public static let keys: Set<String> = ["peer"]
}

/// Brings addresses in as hearsay: `POST /api/v1/node/book`.
public struct ImportRequest: Codable, Hashable, Sendable {
  /// An address of a peer.
  public struct Entry: Codable, Hashable, Sendable {
    /// The PeerID; absent when nobody is known to answer there.
    public var peer: String?
    /// The multiaddr.
    public var address: String

    /// Makes the entry.
    public init(peer: String? = nil, address: String) {
      self.peer = peer
      self.address = address
    }
  }

  /// The addresses; at most 1,000.
  public var entries: [Entry]

  /// Makes the request.
  public init(entries: [Entry]) { self.entries = entries }

  /// The keys that the object may have.
  public static let keys: Set<String> = ["entries"]
  /// The most entries of one request.
  public static let entriesMaximum = 1_000
}

/// What came of an operator's command.
public struct OperationResponse: Codable, Hashable, Sendable {
  /// `linked`, `dialling`, `waiting`, `dropped`, `banned`, `unbanned`, `trusted`, `distrusted` or `imported`.
  public var result: String
  /// The link or dial.
  public var connection: String?
  /// Why it waits.
  public var reason: String?
  /// How many links and dials ended.
  public var links: Int?
  /// Whether it had been a must-keep peer.
  public var wasMustKeep: Bool?
  /// Whether trust in the peer ended with it.
  public var endedTrust: Bool?
  /// Whether a ban was lifted with it.
  public var liftedBan: Bool?
  /// Addresses that are new in the book.
  public var added: Int?
  /// Addresses that the book had.
  public var known: Int?
  /// Addresses that are of no use here or find no place.
  public var refused: Int?

  /// Makes the answer.
  public init(
    result: String, connection: String? = nil, reason: String? = nil, links: Int? = nil, wasMustKeep: Bool? = nil,
    endedTrust: Bool? = nil, liftedBan: Bool? = nil, added: Int? = nil, known: Int? = nil, refused: Int? = nil
  ) {
    self.result = result
    self.connection = connection
    self.reason = reason
    self.links = links
    self.wasMustKeep = wasMustKeep
    self.endedTrust = endedTrust
    self.liftedBan = liftedBan
    self.added = added
    self.known = known
    self.refused = refused
  }

  enum CodingKeys: String, CodingKey {
    case result, connection, reason, links, added, known, refused
    case wasMustKeep = "was_must_keep"
    case endedTrust = "ended_trust"
    case liftedBan = "lifted_ban"
  }
}

/// What a search of the network has found: `GET /api/v1/node/find/peers/{peer}` and `/find/services/{service}`.
public struct FindingsResponse: Codable, Hashable, Sendable {
  /// Somebody found.
  public struct Peer: Codable, Hashable, Sendable {
    /// The PeerID.
    public var peerID: String
    /// Where it is said to listen.
    public var addresses: [String]
    /// Whether the node is linked with it, so that it has proven its name.
    public var isLinked: Bool

    /// Makes the row.
    public init(peerID: String, addresses: [String], isLinked: Bool) {
      self.peerID = peerID
      self.addresses = addresses
      self.isLinked = isLinked
    }

    enum CodingKeys: String, CodingKey {
      case addresses
      case peerID = "peer_id"
      case isLinked = "linked"
    }
  }

  /// Those found; none when nobody who answered knows any.
  public var peers: [Peer]
  /// Whether the search was over; otherwise a later one may find more.
  public var isComplete: Bool

  /// Makes the answer.
  public init(peers: [Peer], isComplete: Bool) {
    self.peers = peers
    self.isComplete = isComplete
  }

  enum CodingKeys: String, CodingKey {
    case peers
    case isComplete = "complete"
  }
}

/// What operators have set: `GET /api/v1/node/rules`.
public struct RulesResponse: Codable, Hashable, Sendable {
  /// A ban in force.
  public struct Ban: Codable, Hashable, Sendable {
    /// A PeerID or a network.
    public var subject: String
    /// When it ends, in milliseconds since 1970; absent: when it is lifted.
    public var until: Int64?
    /// What for.
    public var reason: String
    /// `operator` or `score`.
    public var setBy: String

    /// Makes the row.
    public init(subject: String, until: Int64?, reason: String, setBy: String) {
      self.subject = subject
      self.until = until
      self.reason = reason
      self.setBy = setBy
    }

    enum CodingKeys: String, CodingKey {
      case subject, until, reason
      case setBy = "set_by"
    }
  }

  /// Bans in force.
  public var bans: [Ban]
  /// Trusted peers.
  public var trusted: [String]
  /// Addresses of must-keep peers that an operator added.
  public var mustKeep: [String]

  /// Makes the answer.
  public init(bans: [Ban], trusted: [String], mustKeep: [String]) {
    self.bans = bans
    self.trusted = trusted
    self.mustKeep = mustKeep
  }

  enum CodingKeys: String, CodingKey {
    case bans, trusted
    case mustKeep = "must_keep"
  }
}

/// A peer's story: `GET /api/v1/node/peers/{peer}/explain`.
public struct StoryResponse: Codable, Hashable, Sendable {
  /// One thing that happened.
  public struct Step: Codable, Hashable, Sendable {
    /// When, in milliseconds since 1970.
    public var time: Int64
    /// What: `known`, `dialling`, `dial-failed`, `proven`, `active`, `closed`, `offence`, `banned`, …
    public var kind: String
    /// Why; a stable name.
    public var reason: String?
    /// The link or dial.
    public var connection: String?
    /// The address.
    public var address: String?
    /// All of it in words.
    public var sentence: String

    /// Makes the step.
    public init(time: Int64, kind: String, reason: String?, connection: String?, address: String?, sentence: String) {
      self.time = time
      self.kind = kind
      self.reason = reason
      self.connection = connection
      self.address = address
      self.sentence = sentence
    }
  }

  /// The PeerID; absent where an address was asked about at which nobody is known.
  public var peerID: String?
  /// The address, where one was asked about.
  public var address: String?
  /// The present state in sentences.
  public var present: [String]
  /// What is remembered of what happened, oldest first.
  public var steps: [Step]
  /// All of it in sentences.
  public var sentences: [String]

  /// Makes the answer.
  public init(peerID: String?, address: String? = nil, present: [String], steps: [Step], sentences: [String]) {
    self.peerID = peerID
    self.address = address
    self.present = present
    self.steps = steps
    self.sentences = sentences
  }

  enum CodingKeys: String, CodingKey {
    case address, present, steps, sentences
    case peerID = "peer_id"
  }
}

/// Whom a node dials and how it goes: `GET /api/v1/node/dials`.
public struct DialsResponse: Codable, Hashable, Sendable {
  /// What went wrong last.
  public struct Trouble: Codable, Hashable, Sendable {
    /// Where.
    public var address: String
    /// What; a stable name.
    public var reason: String
    /// What, in words.
    public var words: String
    /// The PeerID of who answered in place of the one that was dialled.
    public var answered: String?
    /// How long ago.
    public var secondsAgo: Double

    /// Makes the entry.
    public init(address: String, reason: String, words: String, answered: String?, secondsAgo: Double) {
      self.address = address
      self.reason = reason
      self.words = words
      self.answered = answered
      self.secondsAgo = secondsAgo
    }

    enum CodingKeys: String, CodingKey {
      case address, reason, words, answered
      case secondsAgo = "seconds_ago"
    }
  }

  /// A peer, or an address whose peer is not known.
  public struct Dial: Codable, Hashable, Sendable {
    /// The PeerID.
    public var peerID: String?
    /// Its addresses, in the order in which they are dialled.
    public var addresses: [String]
    /// `must-keep`, `seed`, `stored` or `heard`.
    public var role: String
    /// `linked`, `dialling`, `waiting`, `barred` or `ready`.
    public var state: String
    /// Why it waits or is barred.
    public var detail: String?
    /// When it is dialled again, from now on.
    public var nextSeconds: Double?
    /// Failures in a row.
    public var failures: Int
    /// What went wrong last.
    public var last: Trouble?

    /// Makes the entry.
    public init(
      peerID: String?, addresses: [String], role: String, state: String, detail: String?, nextSeconds: Double?, failures: Int,
      last: Trouble?
    ) {
      self.peerID = peerID
      self.addresses = addresses
      self.role = role
      self.state = state
      self.detail = detail
      self.nextSeconds = nextSeconds
      self.failures = failures
      self.last = last
    }

    enum CodingKeys: String, CodingKey {
      case addresses, role, state, detail, failures, last
      case peerID = "peer_id"
      case nextSeconds = "next_seconds"
    }
  }

  /// Configured and kept peers, seeds, then others that are being dialled or wait after a failure.
  public var dials: [Dial]

  /// Makes the answer.
  public init(dials: [Dial]) { self.dials = dials }
}
