import Wire

extension Multiaddr {
  /// The protocols that an address may name, with their numbers on the wire (multiformats/multicodec, tag `multiaddr`).
  public enum Code: UInt64, Hashable, Sendable, CaseIterable {
    case ip4 = 4
    case tcp = 6
    case ip6 = 41
    case ip6zone = 42
    case ipcidr = 43
    case dns = 53
    case dns4 = 54
    case dns6 = 55
    case dnsaddr = 56
    case udp = 273
    case webrtcDirect = 280
    case webrtc = 281
    case p2pCircuit = 290
    case unix = 400
    case p2p = 421
    case tls = 448
    case sni = 449
    case noise = 454
    case quic = 460
    case quicV1 = 461
    case webtransport = 465
    case certhash = 466
    case ws = 477
    case wss = 478
    case http = 480

    /// The name in the text form.
    public var name: String {
      switch self {
      case .ip4: "ip4"
      case .tcp: "tcp"
      case .ip6: "ip6"
      case .ip6zone: "ip6zone"
      case .ipcidr: "ipcidr"
      case .dns: "dns"
      case .dns4: "dns4"
      case .dns6: "dns6"
      case .dnsaddr: "dnsaddr"
      case .udp: "udp"
      case .webrtcDirect: "webrtc-direct"
      case .webrtc: "webrtc"
      case .p2pCircuit: "p2p-circuit"
      case .unix: "unix"
      case .p2p: "p2p"
      case .tls: "tls"
      case .sni: "sni"
      case .noise: "noise"
      case .quic: "quic"
      case .quicV1: "quic-v1"
      case .webtransport: "webtransport"
      case .certhash: "certhash"
      case .ws: "ws"
      case .wss: "wss"
      case .http: "http"
      }
    }

    init?(name: some StringProtocol) {
      guard let code = name == "ipfs" ? .p2p : Self.byName[String(name)] else { return nil }
      self = code
    }

    private static let byName: [String: Code] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name, $0) })

    var takesValue: Bool {
      switch self {
      case .ip4, .ip6, .ip6zone, .ipcidr, .tcp, .udp, .dns, .dns4, .dns6, .dnsaddr, .unix, .p2p, .sni, .certhash: true
      case .p2pCircuit, .tls, .noise, .quic, .quicV1, .webrtc, .webrtcDirect, .webtransport, .ws, .wss, .http: false
      }
    }
  }

  /// One step of an address: a protocol and its value.
  public enum Component: Hashable, Sendable {
    /// `/ip4/…` or `/ip6/…`.
    case ip(IPAddress)
    /// `/ip6zone/…`: the interface that a link-local address following it belongs to.
    case ip6zone(String)
    /// `/ipcidr/…`: a prefix length, making the address before it a block.
    case ipcidr(UInt8)
    /// `/tcp/…`.
    case tcp(UInt16)
    /// `/udp/…`.
    case udp(UInt16)
    /// `/dns/…`: a name with addresses of either family.
    case dns(String)
    /// `/dns4/…`: a name with IPv4 addresses.
    case dns4(String)
    /// `/dns6/…`: a name with IPv6 addresses.
    case dns6(String)
    /// `/dnsaddr/…`: a name whose TXT records at `_dnsaddr.` hold multiaddrs.
    case dnsaddr(String)
    /// `/unix/…`: the path of a socket, with its first slash.
    case unix(String)
    /// `/p2p/…`.
    case p2p(PeerID)
    /// `/sni/…`: the name that a TLS client asks for.
    case sni(String)
    /// `/certhash/…`: the multihash of a certificate.
    case certhash([UInt8])
    /// A protocol without a value, such as `/ws` or `/p2p-circuit`.
    case plain(Code)

    /// The protocol.
    public var code: Code {
      switch self {
      case .ip(let address): address.isV6 ? .ip6 : .ip4
      case .ip6zone: .ip6zone
      case .ipcidr: .ipcidr
      case .tcp: .tcp
      case .udp: .udp
      case .dns: .dns
      case .dns4: .dns4
      case .dns6: .dns6
      case .dnsaddr: .dnsaddr
      case .unix: .unix
      case .p2p: .p2p
      case .sni: .sni
      case .certhash: .certhash
      case .plain(let code): code
      }
    }
  }
}

extension Multiaddr.Component: CustomStringConvertible {
  /// The text of the value; empty when the protocol has none.
  public var value: String {
    switch self {
    case .ip(let address): address.description
    case .tcp(let port), .udp(let port): String(port)
    case .ipcidr(let length): String(length)
    case .dns(let text), .dns4(let text), .dns6(let text), .dnsaddr(let text), .sni(let text), .ip6zone(let text), .unix(let text): text
    case .p2p(let peer): peer.description
    case .certhash(let hash): "u" + Base64URL.encode(hash)
    case .plain: ""
    }
  }

  /// The component as it stands in the text form, with its slashes.
  public var description: String {
    switch self {
    case .unix(let path): "/unix" + path
    case .plain(let code): "/" + code.name
    default: "/\(code.name)/\(value)"
    }
  }
}
