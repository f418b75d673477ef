import Wire

/// Where a link leads to, read out of a whole multiaddr by ``Multiaddr/dialable()`` or ``Multiaddr/listenable(by:)``.
public struct Endpoint: Hashable, Sendable {
  /// What carries the link. It shows in the address.
  public enum Carrier: Hashable, Sendable {
    /// libp2p over TCP, an address that ends with `/tcp/…`: multistream-select, Noise and Yamux.
    case tcp
  }

  /// The machine at the other end, or this one.
  public enum Host: Hashable, Sendable {
    /// An IP address.
    case ip(IPAddress)
    /// A name that is to be resolved.
    case name(String, Family)
  }

  /// The addresses of a name that count.
  public enum Family: Hashable, Sendable {
    /// All of them, `/dns/…`.
    case any
    /// Those of IPv4, `/dns4/…`.
    case v4
    /// Those of IPv6, `/dns6/…`.
    case v6
  }

  /// What carries the link.
  public let carrier: Carrier
  /// The machine.
  public let host: Host
  /// The port.
  public let port: UInt16
  /// The peer at which the address ends, if it names one.
  public let peer: PeerID?

  /// The IP address; `nil` for a name.
  public var ip: IPAddress? { if case .ip(let address) = host { address } else { nil } }
}

/// Why an address cannot be dialled, or not listened on.
public enum AddressFault: Error, Hashable, Sendable {
  /// It begins with neither an IP address nor a DNS name.
  case noHost
  /// A `/dnsaddr/…` stands for the addresses in its DNS records, which have to be looked up first.
  case unresolved
  /// It begins with `/ip6zone/…`: link-local addresses are not used.
  case zone
  /// What follows the host is this, or nothing, and not `/tcp/…`.
  case notTCP(Multiaddr.Code?)
  /// Behind the TCP port stands something that this library does not speak, or that has no place there.
  case behindPort(Multiaddr.Code)
  /// It leads through a relay.
  case relayed
  /// Nobody listens on port 0.
  case portZero
  /// The address that stands for all of a machine's, or for none.
  case unspecified
  /// A group's address.
  case multicast
  /// It names another peer than the one that is to listen.
  case anotherPeer(PeerID)
  /// One listens on an IP address, not on a name.
  case name
}

extension AddressFault: CustomStringConvertible {
  /// The fault in words that go on after the address.
  public var description: String {
    switch self {
    case .noHost: "it begins with neither an IP address nor a DNS name"
    case .unresolved: "a /dnsaddr has to be looked up first"
    case .zone: "addresses of one interface only (/ip6zone) are not supported"
    case .notTCP(nil): "it has no /tcp port"
    case .notTCP(let code?): "/\(code.name) is not supported; a host is followed by /tcp and a port"
    case .behindPort(let code): "/\(code.name) behind the TCP port is not supported"
    case .relayed: "links through relays are not supported"
    case .portZero: "nobody listens on port 0"
    case .unspecified: "no machine has the unspecified address"
    case .multicast: "it is a multicast address"
    case .anotherPeer(let peer): "it names the peer \(peer), which is not this one"
    case .name: "an IP address is needed, not a name"
    }
  }
}

extension Multiaddr {
  /// Where a dial of this address goes: the one place that says what this library can dial. Everything in the address counts, so that what
  /// only begins like a TCP address is not taken for one.
  ///
  /// - Throws: why it cannot be dialled.
  public func dialable() throws(AddressFault) -> Endpoint {
    let endpoint = try endpoint()
    if endpoint.port == 0 { throw .portZero }
    if let ip = endpoint.ip {
      if ip.isUnspecified { throw .unspecified }
      if ip.isMulticast { throw .multicast }
    }
    return endpoint
  }

  /// Whether ``dialable()`` finds no fault.
  public var isDialable: Bool { (try? dialable()) != nil }

  /// Where a peer listens that is told to listen on this address: the one place that says on what this library can listen. The port may be
  /// 0, for any, and the address unspecified, for all of the machine's.
  ///
  /// - Parameter own: the peer that is to listen; `nil` where it is not known yet.
  /// - Throws: why it cannot be listened on.
  public func listenable(by own: PeerID? = nil) throws(AddressFault) -> Endpoint {
    let endpoint = try endpoint()
    guard let ip = endpoint.ip else { throw .name }
    if ip.isMulticast { throw .multicast }
    if let peer = endpoint.peer, let own, peer != own { throw .anotherPeer(peer) }
    return endpoint
  }

  /// The address and port of `/ip4/…/tcp/…` or `/ip6/…/tcp/…` with nothing else in it, read from the bytes: most addresses are such, and
  /// reading them by components would cost most of what taking in a list costs.
  public var plainTCP: (ip: IPAddress, port: UInt16)? {
    func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    if bytes.count == 8, bytes[0] == 4, bytes[5] == 6 { return (.v4(UInt32(number(1..<5))), UInt16(number(6..<8))) }
    if bytes.count == 20, bytes[0] == 41, bytes[17] == 6 {
      return (.v6(high: number(1..<9), low: number(9..<17)), UInt16(number(18..<20)))
    }
    return nil
  }

  private func endpoint() throws(AddressFault) -> Endpoint {
    if let (ip, port) = plainTCP { return Endpoint(carrier: .tcp, host: .ip(ip), port: port, peer: nil) }
    var rest = components[...]
    let host: Endpoint.Host
    switch rest.popFirst() {
    case .ip(let address)?: host = .ip(address)
    case .dns(let name)?: host = .name(name, .any)
    case .dns4(let name)?: host = .name(name, .v4)
    case .dns6(let name)?: host = .name(name, .v6)
    case .dnsaddr?: throw .unresolved
    case .ip6zone?: throw .zone
    default: throw isRelayed ? .relayed : .noHost
    }
    if isRelayed { throw .relayed }
    guard case .tcp(let port)? = rest.first else { throw .notTCP(rest.first?.code) }
    rest.removeFirst()
    var peer: PeerID?
    if case .p2p(let name)? = rest.first {
      peer = name
      rest.removeFirst()
    }
    if let other = rest.first { throw .behindPort(other.code) }
    return Endpoint(carrier: .tcp, host: host, port: port, peer: peer)
  }
}
