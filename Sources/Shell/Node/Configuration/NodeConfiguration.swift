import Peering

/// Everything that a node can be told at its start.
///
/// Values come from files, then environment variables `STARLING_…`, then flags; a later layer wins. The table
/// ``keys`` names each of them once for all three, for help and for the documentation.
public struct NodeConfiguration: Sendable {
  /// What the node does for its chain.
  public enum NodeType: String, CaseIterable, Hashable, Sendable {
    /// Produces blocks in its turn; needs a producer key.
    case authority
    /// Validates and relays.
    case full
  }

  /// Whether the node answers look-ups of Kademlia.
  public enum KademliaMode: String, CaseIterable, Hashable, Sendable {
    /// As long as others are likely to reach it.
    case auto
    /// Always.
    case server
    /// Never; it only asks.
    case client
  }

  /// The node's own folder, for keys, peers and blocks; relative to the working directory.
  public var dataDirectory = "starling-data"
  /// The file of the node's key; empty means `node.key` in the data directory.
  public var nodeKeyFile = ""
  /// The network's name; only nodes of one network talk to each other.
  public var network = "starling"
  /// The genesis file; empty means `genesis.json` in the data directory.
  public var genesisFile = ""
  /// What the node does.
  public var nodeType = NodeType.full
  /// The file of an authority's key.
  public var producerKeyFile = ""

  /// The multiaddrs to listen on.
  public var listen = ["/ip4/0.0.0.0/tcp/9000"]
  /// Peers that are dialled first and again for ever (multiaddr or host:port).
  public var bootstrapPeers: [String] = []
  /// Peers that are asked when no stored peer connects, in order.
  public var seedPeers: [String] = []
  /// Names whose A and AAAA records are seeds (`host` or `host:port`), or `/dnsaddr/…` addresses that lead to seeds.
  public var dnsSeeds: [String] = []
  /// The name server to ask, `IP` or `IP:port`; empty means the system's.
  public var dnsServer = ""
  /// Whether peers on the local network are found by multicast DNS, and find this node.
  public var mdns = false
  /// The interfaces that multicast DNS uses; empty means all but the loopback.
  public var mdnsInterfaces: [String] = []
  /// Peers that speak HTTP, to begin with.
  public var httpPeers: [String] = []
  /// Whether ports 5000 to 5011 of this machine are probed for peers that speak HTTP (seed S1).
  public var portProbe = false
  /// The time between two turns of each HTTP peer, and of the probe.
  public var httpPeerInterval: Duration = .seconds(30)
  /// Whether the gateway is asked to map the port to this node (NAT-PMP, UPnP).
  public var portMapping = false
  /// The gateway's IPv4 address; empty means the system's default gateway.
  public var gateway = ""
  /// Whether public addresses are told to others only when peers have dialled them back.
  public var dialBack = true
  /// How many peers of different networks have to reach an address before it is told.
  public var dialBackPeers = 2
  /// How many peers of different networks have to see this node at an IP address before it is looked into.
  public var observedPeers = 3
  /// Addresses that are told to others as they are.
  public var announce: [String] = []
  /// Peers to dial at once, stored on success.
  public var peers: [String] = []
  /// Links at most.
  public var maxPeers = 50
  /// Outbound links that the node seeks.
  public var minOutbound = 8
  /// Outbound links at most.
  public var maxOutbound = 16
  /// Links at most with one IP address, or one /64 of public IPv6.
  public var maxPerIP = 3
  /// Requests a second that a peer may send, and is sent; twice as many at once.
  public var requestsPerSecond = 100
  /// Mebibytes that links may keep for peers, in all.
  public var linkMemoryMiB = 512
  /// The file that tells which autonomous system announces which network; empty means none.
  public var asnMapFile = ""
  /// Whether addresses of private networks are dialled and told to others.
  public var allowPrivate = false
  /// Whether loopback addresses are dialled and told, and are free of the limit per IP.
  public var allowLoopback = false
  /// What makes two links lead to one peer: its key, or its IP address.
  public var identity = IdentityMode.key
  /// With the IP address for identity, the port at which a node listens that has not said otherwise (seed S3).
  public var defaultPort = 24_100
  /// The file of a private network's key; empty means none.
  public var swarmKeyFile = ""
  /// When this or ``allowedNetworks`` is not empty, only these peers are admitted, and those from these networks.
  public var allowedPeers: [String] = []
  /// See ``allowedPeers``.
  public var allowedNetworks: [String] = []
  /// Whether peers and services are looked up, and others' look-ups answered, by Kademlia.
  public var kademlia = true
  /// When others' look-ups are answered.
  public var kademliaMode = KademliaMode.auto
  /// How long a dial may take.
  public var connectionTimeout: Duration = .seconds(10)
  /// The longest wait before a configured peer is dialled again; without any link seeds and stored peers too.
  public var reconnectionInterval: Duration = .seconds(30)
  /// Failed dials in a row after which a stored peer is not stored any more.
  public var maxFailedDials = 5
  /// How long a heard-of peer with the lower PeerID is left to dial before this node does. Default 180 s.
  public var passiveWait = Duration.seconds(180)
  /// The time between pings on a link.
  public var keepAliveInterval: Duration = .seconds(30)
  /// Pongs missed in a row that end a link.
  public var keepAliveMissed = 3

  /// Whether the HTTP API is served.
  public var httpEnabled = true
  /// The IP address of the HTTP API.
  public var httpBind = "127.0.0.1"
  /// The port of the HTTP API; 0 for any.
  public var httpPort = 8545
  /// Origins that browsers may call the API from.
  public var httpAllowedOrigins: [String] = []
  /// Host names for the API besides localhost and IP addresses.
  public var httpAllowedHosts: [String] = []
  /// What one client address may ask the API for a second; default 2,000. Raise it for a proxy that stands for many clients.
  public var httpRequestsPerSecond = 2_000
  /// The bearer token for admin calls; empty means the one in the data directory's `admin.token`, which is made at the first start.
  public var adminToken = ""

  /// Variables that another program set for another purpose, and that were passed over.
  public internal(set) var ignoredVariables: [String] = []

  /// The least severe level that is logged.
  public var logLevel = LogLevel.info
  /// The lines' form.
  public var logFormat = LogFormat.text
  /// The largest size of the store, in GiB.
  public var storeMapGiB = 64

  /// Where each value that isn't a default came from, by key.
  public var sources: [String: ConfigurationSource] = [:]

  /// S4's two settings for the listening address, until they are joined into ``listen``.
  var p2pPort: Int?
  var p2pBindAddress: String?

  /// Makes the default configuration.
  public init() {}

  /// The file of the node's key, resolved.
  public var resolvedNodeKeyFile: String { nodeKeyFile.isEmpty ? dataDirectory + "/node.key" : nodeKeyFile }
  /// The file of the admin token where none is configured.
  public var adminTokenFile: String { dataDirectory + "/admin.token" }
  /// The file of the peer book.
  public var bookFile: String { Self.bookFile(in: dataDirectory) }
  static func bookFile(in dataDirectory: String) -> String { dataDirectory + "/book" }
  /// The genesis file, resolved.
  public var resolvedGenesisFile: String { genesisFile.isEmpty ? dataDirectory + "/genesis.json" : genesisFile }

  /// Every key with its value as text and its source, in the table's order, secrets hidden; for `explain`.
  public var explanation: [(key: String, value: String, source: ConfigurationSource)] {
    Self.keys.compactMap { key in
      if key.isLegacy && sources[key.name] == nil { return nil }
      let value = key.isSecret && !key.show(self).isEmpty ? "(hidden)" : key.show(self)
      return (key.name, value, sources[key.name] ?? .default)
    }
  }
}
