import Identity
import Wire

/// How a peer or an address became known.
public enum PeerSource: Hashable, Sendable {
  /// The configured seed list: dialled only when no stored peer answers.
  case seed
  /// The configured bootstrap list: dialled at once and for ever.
  case bootstrap
  /// An operator's request to stay linked: like ``bootstrap``.
  case manual
  /// Heard from a peer's list.
  case exchange(PeerID)
  /// The peer's own word about itself.
  case identify(PeerID)
  /// Found by a look-up that wants to dial the peer.
  case discovery
  /// Told by an HTTP peer.
  case web
  /// Told on the local network: private addresses are good then.
  case local
  /// Brought in by an operator from another node's book: hearsay.
  case imported

  var isMustKeep: Bool { self == .bootstrap || self == .manual }
  var isIdentify: Bool { if case .identify = self { true } else { false } }

  /// Who is answerable for the entry, for the quota.
  var author: PeerID? {
    switch self {
    case .exchange(let peer), .identify(let peer): peer
    default: nil
    }
  }
}

/// Why a dial brought no proven link.
public enum DialFailure: Hashable, Sendable, CustomStringConvertible {
  /// Nobody listens there: the far end's system said so, which proves that our own network works.
  case refused
  /// The transport or the handshake took too long.
  case timedOut
  /// This host has no way there.
  case unreachable
  /// The transport broke; the text is the system's.
  case transport(String)
  /// The far end took the connection and closed it before the handshake, as a full or busy one does: somebody lives there, and may take us
  /// later. The text says what it may mean. The code is the reason that was given, if one was; nothing proves it, so that it is only shown.
  case turnedAway(String, Reason.Code? = nil)
  /// The secure channel could not be set up; the text says why.
  case handshake(String)
  /// Whoever answers does not have the key of this private network; the text says what showed it.
  case notInNetwork(String)
  /// Another peer answered.
  case wrongPeer(PeerID)
  /// The far end closed before the link was proven and said why.
  case goodbye(Reason)

  /// Whether the failure tells something about the peer rather than about this side's own network.
  var provesOwnNetwork: Bool {
    switch self {
    case .refused, .handshake, .notInNetwork, .wrongPeer, .goodbye: true
    case .timedOut, .unreachable, .transport, .turnedAway: false
    }
  }

  /// Whether the far end lives but does not want the link now: that never counts towards the failures that take its row.
  var isRefusal: Bool {
    switch self {
    case .goodbye, .turnedAway: true
    default: false
    }
  }

  /// The failure in words.
  public var description: String {
    switch self {
    case .refused: "connection refused"
    case .timedOut: "timed out"
    case .unreachable: "no route"
    case .transport(let text): "transport: \(text)"
    case .turnedAway(let text, _): "closed before the handshake: \(text)"
    case .handshake(let text): "handshake: \(text)"
    case .notInNetwork(let text): "not of this private network: \(text)"
    case .wrongPeer(let peer): "another peer answered: \(peer)"
    case .goodbye(let reason): "refused by the remote: \(reason.quoted)"
    }
  }
}

/// How a link ended that this machine had not closed itself.
public enum LinkEnd: Hashable, Sendable {
  /// The remote closed in order, without a reason.
  case remoteClosed
  /// The remote said why it closes.
  case goodbye(Reason)
  /// The transport broke; the text is the system's.
  case transport(String)
  /// The secure channel could not be set up on an accepted link; the text says why.
  case handshake(String)
  /// A limit was reached, here or on the link: memory, streams, unread answers. Not scored.
  case limit(String)
  /// Whoever opened an accepted link does not have the key of this private network; the text says what showed it.
  case notInNetwork(String)
  /// The remote broke a rule of the secure channel or the muxer after it was proven. Scored.
  case protocolViolation(String)

  /// Who ended the link.
  var closer: LinkCloser {
    switch self {
    case .remoteClosed, .goodbye: .remote
    case .transport, .handshake, .limit, .notInNetwork, .protocolViolation: .nobody
    }
  }

  /// The reason that people and metrics are shown.
  public var reason: Reason {
    switch self {
    case .remoteClosed: Reason(.remoteClosed)
    case .goodbye(let reason): reason
    case .transport(let text): Reason(.transportError, text)
    case .handshake(let text): Reason(.handshakeFailed, text)
    case .limit(let text): Reason(.resourceLimit, text)
    case .notInNetwork(let text): Reason(.notInNetwork, text)
    case .protocolViolation(let text): Reason(.protocolViolation, text)
    }
  }
}

/// Who ended a link.
public enum LinkCloser: String, Hashable, Sendable {
  /// This side closed it; the reason is its own.
  case thisSide = "this side"
  /// The remote closed it; the reason is in its words.
  case remote = "the remote"
  /// It broke; the reason is what this side saw.
  case nobody
}

/// What a peer was good for.
public enum PeerUse: Hashable, Sendable {
  /// It was the first to send a block that the chain took.
  case block
  /// It was the first to send a transaction that the mempool took.
  case transaction
}

/// Whom a ban keeps out.
public enum BanSubject: Hashable, Sendable, CustomStringConvertible {
  /// One peer, wherever it comes from.
  case peer(PeerID)
  /// Everybody from a network, such as `203.0.113.0/24`.
  case network(IPNetwork)

  /// The network, or the word "peer".
  public var description: String {
    switch self {
    case .peer: "peer"
    case .network(let network): "\(network)"
    }
  }
}

/// A change to the persisted table `peers`; the shell writes all changes of one turn in one batch.
public enum BookChange: Hashable, Sendable {
  /// Sets a row.
  case put(key: [UInt8], value: [UInt8])
  /// Removes a row.
  case remove(key: [UInt8])
}

/// Where a link stands in a peer's life.
public enum LinkState: String, Hashable, Sendable, CaseIterable {
  /// Our dial is under way. Next: proven, or gone.
  case dialling
  /// Accepted, its handshake not done. Next: proven, or gone.
  case accepted
  /// Proven, waiting for the decision which of two links is kept. Next: introducing or active, or gone.
  case held
  /// Admitted, waiting for the chain's handshake. Next: active, or gone.
  case introducing
  /// In use.
  case active
  /// Another link to the peer is kept. This side opens nothing on it any more; what the remote has opened is served for a while, or until the
  /// remote closes. Next: gone.
  case draining
}

/// What an operator sees of a link.
public struct PeerInfo: Hashable, Sendable {
  /// The link.
  public let connection: ConnectionID
  /// The peer, once proven or when a known peer is dialled.
  public let peer: PeerID?
  /// The address dialled, or where an accepted link comes from.
  public let address: Multiaddr
  /// Who opened the link.
  public let direction: Direction
  /// Where it stands.
  public let state: LinkState
  /// When it came into this state.
  public let since: Instant
  /// The smoothed round-trip time, once measured.
  public let roundTrip: Duration?
  /// Unanswered pings.
  public let missedPongs: Int
  /// When it last was the first to bring a block or a transaction that was taken.
  public let lastUse: Instant?
  /// The peer's score now; 0 is spotless.
  public let score: Double
  /// Which list the peer belongs to.
  public let role: PeerRole
  /// Whether an operator trusts the peer.
  public let isTrusted: Bool
  /// The neighbours that one operator is likely to hold together with this address; `nil` for a name.
  public let group: NetworkGroup?
  /// Why the link was chosen.
  public let cause: LinkCause
}

/// What happened, for the application, the log, the metrics and ``PeeringMachine/explain(_:now:)``.
public enum PeeringEvent: Hashable, Sendable {
  /// A peer was heard of for the first time.
  case peerKnown(PeerID, PeerSource)
  /// An attempt to reach an address began, and why its peer is dialled.
  case dialling(ConnectionID, PeerID?, Multiaddr, LinkCause)
  /// An attempt failed; the next dial of the peer comes after `retryIn` at the earliest. Zero: other addresses are still in the race.
  case dialFailed(ConnectionID, PeerID?, Multiaddr, DialFailure, retryIn: Duration)
  /// At an address that an operator configured with its peer, the first one, another one has answered. It is dialled on.
  case anotherAnswered(PeerID, Multiaddr, PeerID)
  /// An attempt was given up, nobody being to blame: another address was faster, or the peer's own link came first.
  case dialCancelled(ConnectionID, PeerID?, Multiaddr, Reason)
  /// A dial was not begun, and why.
  case dialRefused(PeerID?, Multiaddr, Reason)
  /// The remote proved who it is.
  case proven(ConnectionID, PeerID, Direction)
  /// The peer may be used.
  case peerActive(ConnectionID, PeerID, Direction)
  /// The peer may no longer be used.
  case peerInactive(ConnectionID, PeerID, Reason)
  /// A proven link ended, or gave way to another one of the same peer; by whom and why.
  case linkClosed(ConnectionID, PeerID, Reason, by: LinkCloser)
  /// An accepted link was refused, or ended, before it was proven.
  case refused(ConnectionID, Multiaddr, Reason)
  /// The node reached itself; the address is not dialled again.
  case selfConnection(Multiaddr)
  /// A peer did wrong; the score is the new one.
  case offence(PeerID, Offence, score: Double, detail: String)
  /// A ban began; `nil` lasts until it is lifted.
  case banned(BanSubject, for: Duration?, String)
  /// A ban ended.
  case unbanned(BanSubject)
  /// An operator trusts a peer from now on, or no longer.
  case trusted(PeerID, Bool)
  /// An operator made a peer or address a must-keep one, or no longer wants it to be one.
  case mustKeep(PeerID?, Multiaddr?, Bool)
  /// Most peers are silent, or late, at once: the fault is taken for this side's own, and nobody is blamed.
  case ownFault(silent: Int, of: Int)
  /// Two machines have one key: this node's own, or that of a peer; where the other one was seen, if that is known, and what showed it.
  case identityShared(PeerID, Multiaddr?, SharedIdentity)
  /// A row of the book was set aside: it cannot be read.
  case bookRowUnreadable(key: [UInt8])
  /// Seeds are being asked from now on; told once until a peer connects.
  case seedsAsked(SeedCause)
  /// A peer's row left the book after too many failed dials; the peer stays known.
  case bookRowRemoved(PeerID)
  /// All links are closed.
  case stopped

  /// The peer concerned, if any.
  public var peer: PeerID? {
    switch self {
    case .peerKnown(let peer, _), .proven(_, let peer, _), .peerActive(_, let peer, _), .peerInactive(_, let peer, _),
      .linkClosed(_, let peer, _, _), .offence(let peer, _, _, _), .bookRowRemoved(let peer), .banned(.peer(let peer), _, _),
      .unbanned(.peer(let peer)), .trusted(let peer, _), .identityShared(let peer, _, _), .anotherAnswered(let peer, _, _):
      peer
    case .mustKeep(let peer, _, _), .dialling(_, let peer, _, _), .dialFailed(_, let peer, _, _, _), .dialCancelled(_, let peer, _, _),
      .dialRefused(let peer, _, _):
      peer
    default: nil
    }
  }
}

/// Counts of links by state, and of remembered peers.
public struct PeeringCounts: Hashable, Sendable {
  /// Peers that are being dialled.
  public var dialling = 0
  /// Accepted links before their handshake.
  public var accepted = 0
  /// Proven links that wait for a decision.
  public var held = 0
  /// Admitted links that wait for the chain's handshake.
  public var introducing = 0
  /// Links in use.
  public var active = 0
  /// Links beside the one that is kept, about to be closed.
  public var draining = 0
  /// Links and dials that this side opened.
  public var outbound = 0
  /// Links that the remote opened.
  public var inbound = 0
  /// Remembered peers and addresses without a name.
  public var known = 0
  /// Peers with a row in the book.
  public var stored = 0
  /// Bans in force.
  public var bans = 0
  /// Dials since the start, by where their addresses came from.
  public var dials = DialCounts()
  /// Why seeds are being asked; `nil` when they are not.
  public var seedCause: SeedCause?
}
