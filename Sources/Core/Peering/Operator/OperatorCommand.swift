import Identity
import Wire

/// Names an operator's command; the answer carries it back. Chosen by the caller.
public struct OperationID: Hashable, Sendable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What an operator can ask of a running node's peering. Each command gets exactly one ``OperatorAnswer`` in the same turn.
public enum OperatorCommand: Hashable, Sendable {
  /// Dial a peer now, without regard to back-off; with `keep` it is dialled again for ever, restarts included.
  case add(PeerAddress, keep: Bool)
  /// Close the link and stop wanting the peer: it is no must-keep peer any more and is not dialled for the longest back-off.
  case drop(PeerID)
  /// The same for a must-keep address at which nobody has answered yet.
  case dropAddress(Multiaddr)
  /// Keep somebody out, for a time or until lifted; ends trust in that peer. Its links are closed with the text as the reason.
  case ban(BanSubject, for: Duration?, String)
  /// Lift a ban.
  case unban(BanSubject)
  /// Never evict the peer, never close its link for its score, and let it in over the limits; lifts a ban of the peer itself.
  case trust(PeerID)
  /// Treat the peer as any other again.
  case distrust(PeerID)
  /// Take addresses in as hearsay.
  case importBook([PeerAddress])

  /// Whether what it changes is to survive a restart, so that its answer waits until that is stored.
  public var lasts: Bool {
    switch self {
    case .add(_, let keep): keep
    case .drop, .dropAddress, .ban, .unban, .trust, .distrust, .importBook: true
    }
  }
}

/// What came of a command.
public enum OperatorAnswer: Hashable, Sendable {
  /// To `add`: there is a link already.
  case linked(ConnectionID)
  /// To `add`: the dial has begun; the peer's story tells how it ends.
  case dialling(ConnectionID)
  /// To `add` with `keep`: remembered, but it cannot be dialled now, and why.
  case waiting(Reason)
  /// To `drop`: how many links and dials ended, and whether it had been a must-keep peer.
  case dropped(links: Int, wasMustKeep: Bool)
  /// To `ban`: how many links and dials ended, and whether trust ended too.
  case banned(links: Int, endedTrust: Bool)
  /// To `unban`.
  case unbanned
  /// To `trust`: whether a ban was lifted.
  case trusted(liftedBan: Bool)
  /// To `distrust`.
  case distrusted
  /// To `importBook`: how many addresses are new, were known, and were refused because they are of no use here or find no place.
  case imported(added: Int, known: Int, refused: Int)
  /// Nothing was changed.
  case refused(OperatorRefusal)

  /// Whether nothing was changed.
  public var isRefusal: Bool { if case .refused = self { true } else { false } }
}

/// Why a command changed nothing.
public enum OperatorRefusal: Hashable, Sendable, CustomStringConvertible {
  /// The peer is this node itself.
  case isSelf
  /// Nothing is known of the peer or address.
  case unknown
  /// The address cannot be dialled, and why.
  case notDialled(Reason)
  /// No such ban is in force. The networks are banned ones that keep the subject out all the same.
  case notBanned(coveredBy: [IPNetwork])
  /// The peer is not trusted.
  case notTrusted
  /// The list holds as many entries as it may, and none that could make room.
  case listFull(maximum: Int)
  /// The node stops.
  case stopping

  /// A stable lower-case name for programs.
  public var code: String {
    switch self {
    case .isSelf: "is_self"
    case .unknown: "unknown_peer"
    case .notDialled: "not_dialled"
    case .notBanned: "not_banned"
    case .notTrusted: "not_trusted"
    case .listFull: "list_full"
    case .stopping: "stopping"
    }
  }

  /// The refusal in words.
  public var description: String {
    switch self {
    case .isSelf: "that is this node itself"
    case .unknown: "nothing is known of that peer or address"
    case .notDialled(let reason): "not dialled: \(reason)"
    case .notBanned(let networks):
      networks.isEmpty
        ? "there is no such ban" : "there is no such ban; kept out by the ban of \(networks.map(\.description).joined(separator: ", "))"
    case .notTrusted: "that peer is not trusted"
    case .listFull(let maximum): "the list holds \(maximum) entries already"
    case .stopping: "the node is stopping"
    }
  }
}

/// What operators have set and is in force.
public struct OperatorRules: Sendable {
  /// A ban in force.
  public struct Ban: Hashable, Sendable {
    /// Whom it keeps out.
    public let subject: BanSubject
    /// When it ends; `nil` when it is lifted only.
    public let end: WallTime?
    /// What for.
    public let detail: String
    /// Whether an operator set it, or the score.
    public let isOperators: Bool
  }

  /// Bans, those that the score set included, in a stable order.
  public let bans: [Ban]
  /// Trusted peers, in order.
  public let trusted: [PeerID]
  /// Must-keep peers that an operator added, in the order in which that was done. Configured ones are not among them.
  public let kept: [PeerAddress]
}
