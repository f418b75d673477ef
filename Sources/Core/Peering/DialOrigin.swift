/// Which of the lists a dial was taken from, in the order in which they are dialled.
public enum DialOrigin: String, Hashable, Sendable, CaseIterable {
  /// Bootstrap peers and those that an operator named: dialled at once and for ever.
  case configured
  /// Peers of the book, with which an outbound link once succeeded.
  case stored
  /// Seeds, asked only when no stored peer connects.
  case seed
  /// Peers that were merely heard of.
  case heard
}

/// Dials of one origin since the start.
public struct DialCount: Hashable, Sendable {
  /// Dials that were begun, one for each address.
  public var begun = 0
  /// Dials that ended in an active link.
  public var succeeded = 0

  /// Makes a count of nothing.
  public init() {}
}

/// Dials since the start, by where their addresses came from.
public struct DialCounts: Hashable, Sendable {
  private var counts = Array(repeating: DialCount(), count: DialOrigin.allCases.count)

  /// Makes counts of nothing.
  public init() {}

  /// The count of one origin.
  public internal(set) subscript(_ origin: DialOrigin) -> DialCount {
    get { counts[Self.index(origin)] }
    set { counts[Self.index(origin)] = newValue }
  }

  private static func index(_ origin: DialOrigin) -> Int {
    switch origin {
    case .configured: 0
    case .stored: 1
    case .seed: 2
    case .heard: 3
    }
  }
}

/// Why seeds are asked.
public enum SeedCause: String, Hashable, Sendable {
  /// The book holds no peer.
  case nobodyStored = "no peer is stored"
  /// Every stored peer was tried since the last link was lost, and none connects.
  case noStoredConnects = "no stored peer connects"
  /// Stored peers are still being dialled, but ``PeeringConfiguration/seedPatience`` is over.
  case storedAreSlow = "stored peers take too long"
  /// There are links, but too few for ``PeeringConfiguration/seedFallback``.
  case tooFewPeers = "too few peers for long"
  /// A link was lost, and nobody else can be dialled in its place.
  case nobodyElse = "a link was lost and nobody else is left"
}
