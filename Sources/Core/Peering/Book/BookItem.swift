import Identity
import Wire

/// An address as records keep it.
enum BookEndpoint: Hashable, Sendable {
  case plain(IPAddress, UInt16)
  case other(Multiaddr)

  /// Reads `/ip4/…/tcp/…` and `/ip6/…/tcp/…` from their bytes; everything else is kept as it is.
  init(_ address: Multiaddr) {
    let bytes = address.bytes
    func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    if bytes.count == 8, bytes[0] == 4, bytes[5] == 6 {
      self = .plain(.v4(UInt32(number(1..<5))), UInt16(number(6..<8)))
    } else if bytes.count == 20, bytes[0] == 41, bytes[17] == 6 {
      self = .plain(.v6(high: number(1..<9), low: number(9..<17)), UInt16(number(18..<20)))
    } else {
      self = .other(address)
    }
  }

  var multiaddr: Multiaddr {
    switch self {
    case .plain(let ip, let port): Multiaddr(ip: ip, port: port)
    case .other(let address): address
    }
  }

  var ip: IPAddress? {
    switch self {
    case .plain(let ip, _): ip.unmapped
    case .other(let address): address.ipAddress?.unmapped
    }
  }

  func combine(into hash: inout SipHash) {
    switch self {
    case .plain(.v4(let number), let port): hash.combine(UInt64(number) << 16 | UInt64(port))
    case .plain(.v6(let high, let low), let port):
      hash.combine(high)
      hash.combine(low)
      hash.combine(UInt64(port))
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
