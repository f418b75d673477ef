import Discovery
import HostCore
import Identity
import Wire

/// Whom users search the network for, by Kademlia.
public enum Sought: Hashable, Sendable {
  /// Where a peer is.
  case peer(PeerID)
  /// Who serves something of this node's chain: `blocks` and `transactions` are what every node serves.
  case service(String)
}

/// What a search has found.
public struct Findings: Sendable {
  /// Somebody found.
  public struct Item: Sendable {
    /// Its name, and where it is said to listen.
    public var found: FoundPeer
    /// Whether this node is linked with it: then it has proven its name. The others' addresses are hearsay.
    public var isLinked: Bool
  }

  /// Those found; none when nobody who answered knows any.
  public var items: [Item]
  /// Whether the search was over. Otherwise its time was, and a later one may find more.
  public var isComplete: Bool
}

/// The searches under way that users wait for, each with what it has found so far.
struct Searches {
  private var open: [LookUpID: (query: QueryID, found: [FoundPeer])] = [:]
  private var deadlines = DeadlineQueue<LookUpID>()

  var deadline: Instant { deadlines.next ?? .distantFuture }

  mutating func begin(_ id: LookUpID, for query: QueryID, until deadline: Instant) {
    open[id] = (query, [])
    deadlines.set(id, deadline)
  }

  mutating func note(_ id: LookUpID, _ progress: Kademlia.Progress) {
    if case .provider(let found) = progress { open[id]?.found.append(found) }
  }

  /// The search is over for whoever waits; `nil` when nobody does.
  mutating func end(_ id: LookUpID) -> (query: QueryID, found: [FoundPeer])? {
    deadlines.remove(id)
    return open.removeValue(forKey: id)
  }

  mutating func popExpired(_ now: Instant) -> LookUpID? { deadlines.popExpired(now) }
}

extension NodeCore {
  /// Begins a search; Kademlia bounds how many there are. The answer comes within ``Configuration/searchPatience``, whatever was found.
  func find(_ sought: Sought, _ query: QueryID, _ now: Instant, _ outputs: inout [Output]) {
    let id = makeLookUpID()
    searches.begin(id, for: query, until: now + configuration.searchPatience)
    let wanted: Kademlia.Query =
      switch sought {
      case .peer(let peer): .findPeer(peer)
      case .service(let service): .findProviders(serviceKey(service), maximum: configuration.serviceProvidersMaximum)
      }
    tell(.command(.lookUp(id, wanted)), now, &outputs)
  }

  func searched(_ id: LookUpID, _ outcome: Kademlia.Outcome, _ outputs: inout [Output]) {
    guard let (query, _) = searches.end(id) else { return }
    let answer: Answer =
      switch outcome {
      case .peer(let found, _): .found(findings([found], isComplete: true))
      case .providers(let found): .found(findings(found, isComplete: true))
      case .failure(.notFound): .found(findings([], isComplete: true))
      case .failure(let failure): .unavailable(failure.description)
      case .peers, .value, .stored: .failed("the search ended in an unexpected way; this is a fault of the program")
      }
    outputs.append(.answer(query, answer))
  }

  /// The time of searches is over: they are answered with what they have found.
  func endSearches(_ now: Instant, _ outputs: inout [Output]) {
    while let id = searches.popExpired(now) {
      guard let (query, found) = searches.end(id) else { continue }
      tell(.command(.cancelLookUp(id)), now, &outputs)
      outputs.append(.answer(query, .found(findings(found, isComplete: false))))
    }
  }

  private func findings(_ found: [FoundPeer], isComplete: Bool) -> Findings {
    let linked = Set(host.peering.activePeers)
    return Findings(items: found.map { Findings.Item(found: $0, isLinked: linked.contains($0.peer)) }, isComplete: isComplete)
  }
}
