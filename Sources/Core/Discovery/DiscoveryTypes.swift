import Identity
import Wire

/// What discovery wants done outside the core.
public enum DiscoveryTask: Sendable {
  /// Look a name up; answer with `lookedUp`.
  case lookUp(LookUpID, NameFinder.Question)
}

/// What came of a ``DiscoveryTask``.
public enum DiscoveryReport: Sendable {
  /// The answer to a look-up.
  case lookedUp(LookUpID, NameFinder.Answer)
}

/// How addresses were found.
public enum DiscoverySource: Hashable, Sendable {
  /// Under the name of a seed.
  case seed
  /// Under the name of a bootstrap peer.
  case bootstrap
}

/// What happened in discovery, for logs and views.
public enum DiscoveryEvent: Hashable, Sendable, CustomStringConvertible {
  /// A configured name led to so many addresses.
  case nameResolved(NameFinder.Name, addresses: Int)
  /// A configured name led nowhere, and why.
  case nameFailed(NameFinder.Name, String)

  /// The event in words.
  public var description: String {
    switch self {
    case .nameResolved(let name, let count): "\(name) leads to \(count) addresses"
    case .nameFailed(let name, let why): "\(name) leads nowhere: \(why)"
    }
  }
}
