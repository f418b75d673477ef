/// Why a link or a dial was chosen.
public enum LinkCause: String, Hashable, Sendable, CaseIterable {
  /// Configured as a bootstrap peer, or kept by an operator: dialled for ever.
  case mustKeep = "must-keep"
  /// One of the last good outbound peers before the restart.
  case anchor
  /// A peer that had answered before; there were fewer outbound links than wanted.
  case stored
  /// A seed, asked because stored peers did not connect or were too few.
  case seed
  /// A peer that was merely heard of; there were fewer outbound links than wanted.
  case heard
  /// A short test of the address.
  case feeler
  /// A look-up wanted it.
  case lookUp = "look-up"
  /// An operator or the application asked for it.
  case request
  /// The remote dialled this node.
  case accepted
  /// The remote dialled this node, which let it in over a limit for a trusted peer.
  case trusted

  init(_ origin: DialOrigin, isFeeler: Bool) {
    if isFeeler {
      self = .feeler
      return
    }
    switch origin {
    case .configured: self = .mustKeep
    case .stored: self = .stored
    case .seed: self = .seed
    case .heard: self = .heard
    }
  }

  /// The cause in words that go on after "because".
  public var words: String {
    switch self {
    case .mustKeep: "it is a must-keep peer"
    case .anchor: "it was one of the last good peers before the restart"
    case .stored: "it had answered before and outbound links are wanted"
    case .seed: "stored peers did not connect or were too few, and it is a seed"
    case .heard: "it was heard of and outbound links are wanted"
    case .feeler: "its address was tested"
    case .lookUp: "a look-up wanted it"
    case .request: "an operator or the application asked for it"
    case .accepted: "it dialled this node"
    case .trusted: "it dialled this node, which lets trusted peers in over its limits"
    }
  }
}

/// Which list a peer belongs to, in the order of precedence.
public enum PeerRole: String, Hashable, Sendable, CaseIterable {
  /// Dialled for ever.
  case mustKeep = "must-keep"
  /// A seed.
  case seed
  /// In the book: an outbound link to it once succeeded.
  case stored
  /// Merely heard of, or it came in by itself.
  case heard
}
