import Identity
import Wire

/// What is known of a peer and what was decided about it.
public struct PeerStory: Sendable {
  /// One thing that happened.
  public struct Step: Sendable {
    /// When.
    public let time: WallTime
    /// How long ago.
    public let ago: Duration
    /// What.
    public let event: PeeringEvent

    /// The step in words.
    public var sentence: String { "\(ago.rough) ago: \(event.sentence)." }
  }

  /// The peer; `nil` in the story of an address at which nobody is known.
  public let peer: PeerID?
  /// The address that was asked about, if it was one.
  public let address: Multiaddr?
  /// The present state in sentences.
  public let present: [String]
  /// What is remembered of what happened, oldest first.
  public let steps: [Step]

  /// All of it in sentences, the present state first.
  public var sentences: [String] { present + steps.map(\.sentence) }
}

extension PeeringEvent {
  /// A stable name for programs.
  public var kind: String {
    switch self {
    case .peerKnown: "known"
    case .dialling: "dialling"
    case .dialFailed: "dial-failed"
    case .dialCancelled: "dial-cancelled"
    case .dialRefused: "dial-refused"
    case .proven: "proven"
    case .peerActive: "active"
    case .peerInactive: "inactive"
    case .linkClosed: "closed"
    case .refused: "refused"
    case .selfConnection: "self-connection"
    case .offence: "offence"
    case .banned: "banned"
    case .unbanned: "unbanned"
    case .trusted(_, let isTrusted): isTrusted ? "trusted" : "distrusted"
    case .mustKeep(_, _, let isKept): isKept ? "must-keep" : "no-must-keep"
    case .ownFault: "own-fault"
    case .anotherAnswered: "another-answered"
    case .identityShared: "identity-shared"
    case .bookRowUnreadable: "book-row-unreadable"
    case .seedsAsked: "seeds-asked"
    case .bookRowRemoved: "book-row-removed"
    case .stopped: "stopped"
    }
  }

  /// The reason, as far as the event has one: a ``Reason``'s code, a ``LinkCause``, a ``DialFailure/kind`` or an ``Offence``.
  public var reasonName: String? {
    switch self {
    case .peerInactive(_, _, let reason), .linkClosed(_, _, let reason, _), .refused(_, _, let reason), .dialRefused(_, _, let reason),
      .dialCancelled(_, _, _, let reason):
      reason.code.description
    case .dialling(_, _, _, let cause): cause.rawValue
    case .dialFailed(_, _, _, let failure, _): failure.kind
    case .offence(_, let offence, _, _): offence.rawValue
    case .identityShared(_, _, let evidence): evidence.rawValue
    case .peerKnown(_, let source): source.words
    default: nil
    }
  }

  /// The link or dial concerned.
  public var connection: ConnectionID? {
    switch self {
    case .dialling(let id, _, _, _), .dialFailed(let id, _, _, _, _), .dialCancelled(let id, _, _, _), .proven(let id, _, _),
      .peerActive(let id, _, _),
      .peerInactive(let id, _, _), .linkClosed(let id, _, _, _), .refused(let id, _, _):
      id
    default: nil
    }
  }

  /// The address concerned.
  public var address: Multiaddr? {
    switch self {
    case .dialling(_, _, let address, _), .dialFailed(_, _, let address, _, _), .dialCancelled(_, _, let address, _),
      .dialRefused(_, let address, _),
      .refused(_, let address, _),
      .selfConnection(let address):
      address
    case .mustKeep(_, let address, _), .identityShared(_, let address, _): address
    case .anotherAnswered(_, let address, _): address
    default: nil
    }
  }
}
