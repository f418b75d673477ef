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

  /// The domain of a `/dnsaddr/…`, whose TXT records at `_dnsaddr.` hold the real addresses; `nil` when anything but a peer follows.
  public var dnsaddrDomain: String? {
    let components = components
    guard case .dnsaddr(let name)? = components.first else { return nil }
    return components.count == 1 || components.count == 2 && components[1].code == .p2p ? name : nil
  }

  /// The text of the IP address or the DNS name; `nil` when the address begins with neither.
  public var host: String? { ipAddress?.description ?? dnsName }

  /// The port behind an IP address or name, for `/tcp`. More may follow, as in `/tcp/443/wss`: whether the address can be dialled is what
  /// ``dialable()`` says.
  public var tcpPort: UInt16? { if case .tcp(let port)? = transport { port } else { nil } }

  /// The port behind an IP address or name, for `/udp`.
  public var udpPort: UInt16? { if case .udp(let port)? = transport { port } else { nil } }

  /// Whether it leads through a relay.
  public var isRelayed: Bool { components.contains(.plain(.p2pCircuit)) }

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
