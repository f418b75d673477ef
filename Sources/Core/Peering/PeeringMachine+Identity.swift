import Identity
import Wire

// Whose turn it is to dial, and what one link for each IP address means.
extension PeeringMachine {
  /// Whether it is the other side's turn to dial: it has the lower PeerID, or in ip mode the lower IP address.
  func leavesDial(to target: DialTarget) -> Bool {
    guard configuration.identity == .ip else { return target.peer.map { $0 < localPeer } ?? false }
    // Who does not know its own address can't tell, and dials.
    let ips = book.ids(of: target).compactMap { book.endpoint(of: $0).ip }
    return !ips.isEmpty && ips.allSatisfy { isBelowOwn($0) }
  }

  /// Whether an address is lower than this node's own, whichever of them the other side sees. Nobody elsewhere sees our loopback address,
  /// and nobody on the public Internet a private one.
  private func isBelowOwn(_ other: IPAddress) -> Bool {
    let own = ownAddresses.compactMap(\.ipAddress).filter {
      !$0.isUnspecified && $0.isV6 == other.isV6 && $0.isLoopback == other.isLoopback && ($0.isRoutable || !other.isRoutable)
    }
    return !own.isEmpty && own.allSatisfy { other < $0 }
  }

  /// In ip mode, whether a link to one of the target's addresses exists or is being made, whoever is at its other end.
  func isAddressLinked(_ target: DialTarget) -> Bool {
    guard configuration.identity == .ip else { return false }
    return book.ids(of: target).contains { id in book.endpoint(of: id).ip.map { ip in links.values.contains { $0.ip == ip } } ?? false }
  }

  /// In ip mode, why a proven link from an address that another peer holds is refused. The one that is there stays: the other may be a
  /// second node behind the same address, and replacing would never end.
  func addressFault(_ link: Link, _ peer: PeerID) -> Reason? {
    guard configuration.identity == .ip, let ip = link.ip else { return nil }
    let holder = links.values.first { $0.ip == ip && $0.id != link.id && $0.peer != nil && $0.peer != peer }
    return holder == nil ? nil : Reason(.tooManyFromIP, "identity is the IP address: one link for each")
  }

  /// In ip mode a peer that came in listens at the default port of its address, unless more is known.
  mutating func assumeListening(_ link: Link, _ peer: PeerID, _ now: Instant) {
    guard configuration.identity == .ip, link.direction == .inbound, let ip = link.ip, !book.contains(.peer(peer)) else { return }
    let address = Multiaddr(ip: ip, port: configuration.defaultPort)
    guard AddressFacts(address).fault(allowsPrivate: configuration.allowsPrivateAddresses) == nil else { return }
    book.keep(BookItem(.peer(peer), address), marks: .selfDeclared, at: BookSeconds(at: now))
  }

  /// Whom a ban for a peer's misdeeds keeps out.
  func culprit(_ peer: PeerID) -> BanSubject {
    guard configuration.identity == .ip, let ip = linkOfPeer[peer].flatMap({ links[$0]?.ip }) else { return .peer(peer) }
    return .network(IPNetwork(ip, prefixLength: ip.bitWidth))
  }
}
