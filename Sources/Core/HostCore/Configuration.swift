import Discovery
import Gossip
import Peering
import SecureChannel
import Wire

extension HostCore {
  /// The settings of a host.
  public struct Configuration: Sendable {
    /// The name that the host's own protocols carry, as in `/starling/<network>/peers/1`; 1 to 64 letters, digits, `-` or `_`.
    public var network = "main"
    /// Name and version that identify shows.
    public var agent = "starling/0.1.0"
    /// The network family that identify shows.
    public var protocolVersion = "starling/0.1.0"
    /// Who is dialled, admitted and kept.
    public var peering = PeeringConfiguration()
    /// The mesh. `nil` leaves gossip out.
    public var gossip: Gossip.Configuration? = .init()
    /// The gossip protocols to speak, best first.
    public var gossipProtocols = GossipProtocol.preferred.filter { $0 != .floodsub }
    /// Whether peers are asked for the peers they know.
    public var exchangesPeers = true
    /// How peers are asked.
    public var exchange = PeerExchange.Configuration()
    /// How peers, services and values are found without a list of them (`Docs/protocols/kademlia.md`). Default `nil`: not at all.
    public var kademlia: Kademlia.Configuration?
    /// Whether the host serves only while it tells others an address at which they are likely to reach it: a confirmed or announced one, or
    /// any where private addresses are used. Default no: ``Kademlia/Configuration/mode`` holds throughout.
    public var kademliaFollowsReach = false
    /// The protocol's name. Default `nil`: ``HostProtocols/kademlia(_:)`` with the network's name, so that networks keep apart;
    /// ``HostProtocols/publicKademlia`` for the one that IPFS shares.
    public var kademliaProtocol: ProtocolID?
    /// How peers are found beside links.
    public var discovery = Discoverer.Configuration()
    /// Protocols that a peer may use before it is introduced: the chain's own handshake.
    public var introductionProtocols: Set<ProtocolID> = []
    /// How much one peer may send and is sent.
    public var rates = RateLimits()
    /// The most bytes of peers' requests that wait for this host's answers, over all peers. Default 128 MiB; further requests are refused.
    public var memoryMaximum = 128 << 20
    /// The same of one peer. Default 32 MiB: three of the longest requests.
    public var memoryPerPeerMaximum = 32 << 20
    /// How long peers may take to answer.
    public var timeouts = RequestTimeouts()

    /// The defaults.
    public init() {}

    var kademliaName: ProtocolID { kademliaProtocol ?? HostProtocols.kademlia(network) }
  }
}

/// The names of the protocols that every host speaks, and of those that carry the network's name.
public enum HostProtocols {
  /// Ping (libp2p/specs `ping`).
  public static let ping: ProtocolID = "/ipfs/ping/1.0.0"
  /// Identify (libp2p/specs `identify`).
  public static let identify: ProtocolID = "/ipfs/id/1.0.0"
  /// Identify push.
  public static let identifyPush: ProtocolID = "/ipfs/id/push/1.0.0"
  /// The reason for a close, sent before it.
  public static let goodbye: ProtocolID = "/starling/goodbye/1"

  /// Kademlia as IPFS speaks it (libp2p/specs `kad-dht`).
  public static let publicKademlia: ProtocolID = "/ipfs/kad/1.0.0"

  /// Kademlia of a network of its own.
  public static func kademlia(_ network: String) -> ProtocolID { ProtocolID("/starling/\(network)/kad/1.0.0") }
  /// Dial-backs (libp2p/specs `autonat`, version 1).
  public static let autoNAT: ProtocolID = "/libp2p/autonat/1.0.0"
  /// The most bytes of a dial-back message, as go-libp2p has it.
  static let autoNATBytesMaximum = 4_096

  /// The peer exchange of a network.
  public static func peers(_ network: String) -> ProtocolID { ProtocolID("/starling/\(network)/peers/1") }
}
