import Identity
import Wire

/// Who is kept out, until when and why. Bounded: when full, the automatic ban that ends first makes room; an operator's never does.
struct BanList {
  struct Ban: Hashable {
    var end: Instant
    var detail: String
    var isOperators: Bool

    mutating func move(by step: Duration) { if end != .distantFuture { end = end - step } }
  }

  private(set) var peers: [PeerID: Ban] = [:]
  private(set) var networks: [IPNetwork: Ban] = [:]
  private let maximum: Int

  init(maximum: Int) { self.maximum = maximum }

  var count: Int { peers.count + networks.count }

  /// The end of the ban that ends first. O(n).
  var nextEnd: Instant { min(peers.values.map(\.end).min() ?? .distantFuture, networks.values.map(\.end).min() ?? .distantFuture) }

  /// The ban that keeps a peer or an address out. O(networks) for an address.
  func ban(peer: PeerID?, ip: IPAddress?, now: Instant) -> Ban? {
    if let peer, let ban = peers[peer], ban.end > now { return ban }
    if let ip, !networks.isEmpty {
      var found: Ban?
      for (network, ban) in networks where ban.end > now && network.contains(ip) {
        if found.map({ ban.end > $0.end || (ban.end == $0.end && ban.detail < $0.detail) }) ?? true { found = ban }
      }
      return found
    }
    return nil
  }

  /// Adds a ban; returns whom it pushed out, and whether it was added at all.
  mutating func add(_ subject: BanSubject, _ ban: Ban) -> (added: Bool, dropped: BanSubject?) {
    var dropped: BanSubject?
    if self[subject] == nil && count >= maximum {
      let automatic =
        peers.filter { !$0.value.isOperators }.map { (end: $0.value.end, subject: BanSubject.peer($0.key), key: BanRow.key(.peer($0.key))) }
        + networks.filter { !$0.value.isOperators }.map {
          (end: $0.value.end, subject: .network($0.key), key: BanRow.key(.network($0.key)))
        }
      guard let first = automatic.min(by: { $0.end != $1.end ? $0.end < $1.end : $0.key.lexicographicallyPrecedes($1.key) }) else {
        return (false, nil)
      }
      dropped = first.subject
      remove(first.subject)
    }
    switch subject {
    case .peer(let peer): peers[peer] = ban
    case .network(let network): networks[network] = ban
    }
    return (true, dropped)
  }

  subscript(_ subject: BanSubject) -> Ban? {
    switch subject {
    case .peer(let peer): peers[peer]
    case .network(let network): networks[network]
    }
  }

  @discardableResult
  mutating func remove(_ subject: BanSubject) -> Bool {
    switch subject {
    case .peer(let peer): peers.removeValue(forKey: peer) != nil
    case .network(let network): networks.removeValue(forKey: network) != nil
    }
  }

  /// The wall clock went forward by `step` beside the machine's: bans end so much earlier. O(n).
  mutating func move(by step: Duration) {
    for index in peers.values.indices { peers.values[index].move(by: step) }
    for index in networks.values.indices { networks.values[index].move(by: step) }
  }

  /// Takes out what has ended, in a stable order. O(n).
  mutating func expire(now: Instant) -> [BanSubject] {
    let ended =
      peers.filter { $0.value.end <= now }.keys.sorted().map(BanSubject.peer)
      + networks.filter { $0.value.end <= now }.keys.sorted().map(BanSubject.network)
    for subject in ended { remove(subject) }
    return ended
  }

  /// All bans in a stable order. O(n log n).
  var all: [(subject: BanSubject, ban: Ban)] {
    peers.sorted { $0.key < $1.key }.map { (.peer($0.key), $0.value) }
      + networks.sorted { $0.key < $1.key }.map { (.network($0.key), $0.value) }
  }
}
