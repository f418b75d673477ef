import Identity
import Wire

/// One dial of a peer: a race of its addresses for one slot (RFC 8305, "happy eyeballs").
struct DialRound {
  /// The first attempt, by which the entry knows the round.
  let id: ConnectionID
  let target: DialTarget
  let isFeeler: Bool
  let origin: DialOrigin
  /// Why the peer was chosen.
  let cause: LinkCause
  /// No address gets longer than this to be connected to.
  let connectBy: Instant
  /// The addresses that have not been tried, the best first.
  var waiting: [Multiaddr]
  /// The attempts under way; never empty between turns.
  var attempts: [ConnectionID] = []
  /// When the next address joins the race.
  var nextStart = Instant.distantFuture
  /// Whether a failure told something about the peer.
  var counts = false
}

extension PeeringMachine {
  /// The addresses in the order in which a round tries them: those that were good, the last one first; then those that nobody has tried with
  /// success, near ones in front and both families in turn, so that one broken family costs one delay.
  func dialOrder(_ target: DialTarget) -> [Multiaddr] {
    let ids = book.ids(of: target)
    if ids.count == 1 { return [book.endpoint(of: ids[0]).multiaddr] }
    let hosts = Set(ids.compactMap { book.endpoint(of: $0).ip })
    let ranked = ids.map { id in
      let record = book.records[id]
      let endpoint = book.endpoint(of: id)
      return RankedAddress(
        address: endpoint.multiaddr, isV6: endpoint.ip?.isV6 ?? false, succeeded: record.succeeded,
        distance: endpoint.ip.map { distance(to: $0, beside: hosts) } ?? .anywhere, failures: record.failures)
    }
    let good = ranked.filter { $0.succeeded != .never }.stablySorted { $0.succeeded > $1.succeeded }
    let others = ranked.filter { $0.succeeded == .never }.stablySorted { ($0.distance, $0.failures) < ($1.distance, $1.failures) }
    var result = good
    var start = 0
    while start < others.count {
      let rank = (others[start].distance, others[start].failures)
      let end = others[start...].firstIndex { ($0.distance, $0.failures) != rank } ?? others.count
      RankedAddress.interleave(others[start..<end], into: &result)
      start = end
    }
    return result.map(\.address)
  }

  /// How far an address of a peer with these addresses is away, as far as addresses tell.
  private func distance(to ip: IPAddress, beside hosts: Set<IPAddress>) -> RankedAddress.Distance {
    if ip.isRoutable { return .anywhere }
    let own = ownAddresses.compactMap(\.ipAddress)
    if ip.isLoopback {
      // On this machine, if all of this node or one of the peer's other addresses is.
      let isHere = (!own.isEmpty && own.allSatisfy(\.isLoopback)) || own.contains { !$0.isLoopback && hosts.contains($0) }
      return isHere ? .near : .elsewhere
    }
    let site = IPNetwork(ip, prefixLength: ip.isV6 ? 48 : 16)
    return own.contains { site.contains($0) } ? .near : .elsewhere
  }
}

/// An address with what decides its place in a race.
private struct RankedAddress {
  enum Distance: Int, Comparable {
    /// On this machine or this site.
    case near
    /// Reached over the public Internet, or by a name.
    case anywhere
    /// On another machine or another private site: hardly ever reached from here.
    case elsewhere
    static func < (left: Distance, right: Distance) -> Bool { left.rawValue < right.rawValue }
  }

  let address: Multiaddr
  let isV6: Bool
  let succeeded: BookSeconds
  let distance: Distance
  let failures: UInt8

  /// Appends both families in turn, first the one that does not stand at the end already; IPv6 where nothing stands (RFC 8305, section 4).
  static func interleave(_ addresses: ArraySlice<RankedAddress>, into result: inout [RankedAddress]) {
    var v6 = addresses.filter(\.isV6)[...]
    var v4 = addresses.filter { !$0.isV6 }[...]
    while !v6.isEmpty || !v4.isEmpty {
      let wantsV6 = !(result.last?.isV6 ?? false)
      result.append(v4.isEmpty || (wantsV6 && !v6.isEmpty) ? v6.removeFirst() : v4.removeFirst())
    }
  }
}

extension Array {
  /// Equal elements keep their order, whatever the library's sort does.
  fileprivate func stablySorted(by areInOrder: (Element, Element) -> Bool) -> [Element] {
    enumerated().sorted { left, right in
      if areInOrder(left.element, right.element) { return true }
      return !areInOrder(right.element, left.element) && left.offset < right.offset
    }.map(\.element)
  }
}
