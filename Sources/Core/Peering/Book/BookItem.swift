import Identity
import Wire

/// An address as records keep it.
enum BookEndpoint: Hashable, Sendable {
  case plain(IPAddress, UInt16)
  case other(Multiaddr)

  /// Reads `/ip4/…/tcp/…` and `/ip6/…/tcp/…` from their bytes; everything else is kept as it is.
  init(_ address: Multiaddr) {
    self = address.plainTCP.map { .plain($0.ip, $0.port) } ?? .other(address)
  }

  var multiaddr: Multiaddr {
    switch self {
    case .plain(let ip, let port): Multiaddr(ip: ip, port: port)
    case .other(let address): address
    }
  }

  var ip: IPAddress? {
    switch self {
    case .plain(let ip, _): ip
    case .other(let address): address.ipAddress
    }
  }

  func combine(into hash: inout SipHash) {
    switch self {
    case .plain(let ip, let port):
      switch ip.value {
      case .v4(let number): hash.combine(UInt64(number) << 16 | UInt64(port))
      case .v6(let high, let low):
        hash.combine(high)
        hash.combine(low)
        hash.combine(UInt64(port))
      }
    case .other(let address): hash.combine(address.bytes.rawSpan)
    }
  }
}

/// One address of one peer, or of nobody known.
struct BookItem: Hashable, Sendable {
  var peer: PeerID?
  var endpoint: BookEndpoint

  init(peer: PeerID?, endpoint: BookEndpoint) {
    self.peer = peer
    self.endpoint = endpoint
  }

  init(_ item: PeerAddress) { self.init(peer: item.peer, endpoint: BookEndpoint(item.address)) }

  init(_ target: DialTarget, _ address: Multiaddr) { self.init(peer: target.peer, endpoint: BookEndpoint(address)) }

  var target: DialTarget { peer.map { .peer($0) } ?? .address(endpoint.multiaddr) }

  var peerAddress: PeerAddress { PeerAddress(peer: peer, address: endpoint.multiaddr) }
}
