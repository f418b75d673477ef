import Identity
import Wire

/// What discovery wants done outside the core.
public enum DiscoveryTask: Sendable {
  /// Look a name up; answer with `lookedUp`.
  case lookUp(NameQueryID, NameFinder.Question)
  /// Send a datagram to the group of multicast DNS, and from now on tell what comes to it as `multicast`.
  case multicast([UInt8])
  /// Ask an HTTP peer; answer with `fetched` within the timeout.
  case fetch(WebRequestID, WebAddress, WebFinder.Question, timeout: Duration)
  /// Ask the gateway to map a TCP port for so many seconds; answer with `mapped` or `mappingFailed`. With 0 seconds take the mapping
  /// back, without an answer.
  case map(port: UInt16, seconds: UInt32)
  /// Connect to a peer at an address under another name, and see that it proves its PeerID; answer with `probed` within the timeout.
  case probe(ProbeID, Multiaddr, PeerID, timeout: Duration)
}

/// What came of a ``DiscoveryTask``.
public enum DiscoveryReport: Sendable {
  /// The answer to a look-up.
  case lookedUp(NameQueryID, NameFinder.Answer)
  /// A datagram came to the group of multicast DNS.
  case multicast([UInt8])
  /// This machine takes no part in multicast DNS, and why; told once.
  case multicastFailed(String)
  /// The answer of an HTTP peer.
  case fetched(WebRequestID, WebFinder.Answer)
  /// The gateway maps an external address here for so many seconds.
  case mapped(Multiaddr, seconds: UInt32)
  /// The gateway maps nothing, and why.
  case mappingFailed(String)
  /// Whether a probe reached its peer.
  case probed(ProbeID, Bool)
}

/// How addresses were found.
public enum DiscoverySource: Hashable, Sendable {
  /// Under the name of a seed.
  case seed
  /// Under the name of a bootstrap peer.
  case bootstrap
  /// On the local network.
  case local
  /// Told by an HTTP peer.
  case web
}

/// What happened in discovery, for logs and views.
public enum DiscoveryEvent: Hashable, Sendable, CustomStringConvertible {
  /// A configured name led to so many addresses.
  case nameResolved(NameFinder.Name, addresses: Int)
  /// A configured name led nowhere, and why.
  case nameFailed(NameFinder.Name, String)
  /// The local network cannot be searched, and why.
  case localFailed(String)
  /// An HTTP peer answers.
  case webPeerActive(WebAddress)
  /// An HTTP peer does not answer any more, and why; it stays known.
  case webPeerInactive(WebAddress, WebFault)
  /// A URL was not added to the HTTP peers, and why.
  case webPeerRefused(WebAddress, WebFault)
  /// Others may reach this node at an address; that is to be confirmed.
  case addressSuspected(Multiaddr, Reachability.Source)
  /// Others reach this node at an address: it is told from now on.
  case addressConfirmed(Multiaddr)
  /// Others no longer reach this node at an address: it is told no more.
  case addressWithdrawn(Multiaddr)
  /// The gateway maps an address to this node.
  case portMapped(Multiaddr)
  /// The gateway maps nothing, and why.
  case portMappingFailed(String)
  /// A peer told of others, with so many addresses.
  case peerListReceived(PeerID, addresses: Int)

  /// The event in words.
  public var description: String {
    switch self {
    case .nameResolved(let name, let count): "\(name) leads to \(count) \(count == 1 ? "address" : "addresses")"
    case .nameFailed(let name, let why): "\(name) leads nowhere: \(why)"
    case .webPeerActive(let address): "\(address) answers"
    case .webPeerInactive(let address, let why): "\(address) no longer answers: \(why)"
    case .webPeerRefused(let address, let why): "\(address) is not added: \(why)"
    case .addressSuspected(let address, let source): "\(address) may be an address of this node (\(source.rawValue))"
    case .addressConfirmed(let address): "others reach this node at \(address)"
    case .addressWithdrawn(let address): "others no longer reach this node at \(address)"
    case .portMapped(let address): "the gateway maps \(address) to this node"
    case .portMappingFailed(let why): "the port is not mapped: \(why)"
    case .peerListReceived(let peer, let count): "\(peer) told \(count) addresses of peers"
    case .localFailed(let why): "the local network cannot be searched: \(why)"
    }
  }
}
