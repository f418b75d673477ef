import Wire

extension Multiaddr {
  /// The peer at which the address ends: the last component, when that is `/p2p/…`. The relay in `/p2p/RELAY/p2p-circuit` is not.
  public var peerID: PeerID? { if case .p2p(let peer)? = components.last { peer } else { nil } }

  /// The IP address with which the address begins (a zone before it is passed over).
  public var ipAddress: IPAddress? { if case .ip(let address)? = hostComponent { address } else { nil } }

  /// The name with which the address begins, for `/dns`, `/dns4` and `/dns6`. The case of the first of ``components`` says which family.
  public var dnsName: String? {
    switch hostComponent {
    case .dns(let name)?, .dns4(let name)?, .dns6(let name)?: name
    default: nil
    }
  }

  /// The domain of a `/dnsaddr/…`, whose TXT records at `_dnsaddr.` hold the real addresses.
  public var dnsaddrDomain: String? { if case .dnsaddr(let name)? = components.first { name } else { nil } }

  /// The text of the IP address or the DNS name; `nil` when the address begins with neither.
  public var host: String? { ipAddress?.description ?? dnsName }

  /// The port behind an IP address or name, for `/tcp`.
  public var tcpPort: UInt16? { if case .tcp(let port)? = transport { port } else { nil } }

  /// The port behind an IP address or name, for `/udp`.
  public var udpPort: UInt16? { if case .udp(let port)? = transport { port } else { nil } }

  /// Whether it leads through a relay.
  public var isRelayed: Bool { components.contains(.plain(.p2pCircuit)) }

  /// Whether a TCP connection can be opened to it as it stands: an IP address or a name, a TCP port other than 0, at most a PeerID
  /// behind, and nothing else. A `/dnsaddr/…` has to be resolved first.
  public var isTCP: Bool {
    guard host != nil, let port = tcpPort, port != 0 else { return false }
    var rest = components.drop { $0.code == .ip6zone }.dropFirst(2)
    if rest.first?.code == .p2p { rest.removeFirst() }
    return rest.isEmpty
  }

  /// The address with another one behind it.
  /// - Throws: ``IdentityError/badMultiaddr(_:)`` when the result is too long.
  public func encapsulating(_ inner: Multiaddr) throws(IdentityError) -> Multiaddr { try Multiaddr(bytes: bytes + inner.bytes) }

  /// The address with `/p2p/…` for this peer at its end, in place of one that is there.
  public func withPeerID(_ peer: PeerID) -> Multiaddr {
    if bytes.count > 2, peerID == peer { return self }
    var result = bytes
    result.removeLast(trailingPeerIDBytes)
    Component.p2p(peer).append(to: &result)
    return Multiaddr(validated: result)
  }

  /// The address without the PeerID at its end; itself when there is none, or nothing but one.
  public var withoutPeerID: Multiaddr {
    let extra = trailingPeerIDBytes
    return extra == 0 || extra == bytes.count ? self : Multiaddr(validated: Array(bytes.dropLast(extra)))
  }

  private var trailingPeerIDBytes: Int {
    guard let peerID else { return 0 }
    var tail: [UInt8] = []
    Component.p2p(peerID).append(to: &tail)
    return tail.count
  }

  private var hostComponent: Component? { components.first { $0.code != .ip6zone } }

  private var transport: Component? {
    let components = components.drop { $0.code == .ip6zone }
    switch components.first {
    case .ip?, .dns?, .dns4?, .dns6?: return components.dropFirst().first
    default: return nil
    }
  }
}
