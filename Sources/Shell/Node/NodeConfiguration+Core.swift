import Discovery
import EventLoop
import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Scout
import Swarm
import Wire

extension NodeConfiguration {
  /// The root machine's settings.
  func core(producer: NodeKey?) -> Node.Core.Configuration {
    var core = Node.Core.Configuration()
    core.nodeType = nodeType.rawValue
    core.producer = producer
    core.host.network = network
    core.host.agent = "starling/\(Node.version)"
    core.host.peering.totalMaximum = maxPeers
    core.host.peering.outboundMinimum = minOutbound
    core.host.peering.outboundMaximum = maxOutbound
    core.host.peering.perIPMaximum = maxPerIP
    core.host.rates.peer = .init(perSecond: Double(requestsPerSecond), burst: Double(2 * requestsPerSecond))
    core.host.peering.exemptsLoopback = allowLoopback
    core.host.peering.allowsPrivateAddresses = allowPrivate || allowLoopback
    core.host.peering.identity = identity
    // The literal rule of seed S3: the lower address dials, however few peers there are.
    if identity == .ip { core.host.peering.patientFrom = 0 }
    core.host.peering.defaultPort = UInt16(defaultPort)
    if !allowedPeers.isEmpty || !allowedNetworks.isEmpty {
      core.host.peering.allowed = AllowList(
        peers: Set(allowedPeers.compactMap { try? PeerID(text: $0) }), networks: allowedNetworks.compactMap { IPNetwork($0) })
    }
    core.host.peering.connectTimeout = connectionTimeout
    core.host.peering.backOffKeepMaximum = reconnectionInterval
    core.host.peering.failuresMaximum = maxFailedDials
    core.host.peering.passiveWait = passiveWait
    core.host.peering.pingInterval = keepAliveInterval
    core.host.peering.missedPongsMaximum = keepAliveMissed
    if kademlia {
      var settings = Kademlia.Configuration()
      settings.mode = kademliaMode == .server ? .server : .client
      core.host.kademlia = settings
      core.host.kademliaFollowsReach = kademliaMode == .auto
    }
    core.host.discovery.local.isEnabled = mdns
    core.host.discovery.web.peers = httpPeers.compactMap { WebAddress($0) }
    core.host.discovery.web.interval = httpPeerInterval
    if portProbe { core.host.discovery.web.ports = Array(5_000...5_011) }
    if httpEnabled { core.host.discovery.web.ownPort = UInt16(httpPort) }
    core.host.discovery.web.takesPrivate = allowPrivate || allowLoopback
    core.host.discovery.reach.mapsPort = portMapping
    core.host.discovery.reach.confirms = dialBack
    core.host.discovery.reach.confirmationsMinimum = dialBackPeers
    core.host.discovery.reach.votesMinimum = observedPeers
    core.host.discovery.reach.announced = announce.compactMap { try? Multiaddr($0).withoutPeerID }
    core.host.discovery.reach.takesPrivate = allowPrivate || allowLoopback
    core.host.discovery.dialBack.dialsPrivate = allowPrivate || allowLoopback
    return core
  }

  /// The shards' settings.
  ///
  /// - Throws: when the key of the private network cannot be read.
  func swarm() throws -> Swarm.Configuration {
    var swarm = Swarm.Configuration()
    swarm.memoryMaximum = linkMemoryMiB << 20
    if !swarmKeyFile.isEmpty { swarm.connection.networkKey = try KeyFile.readNetworkKey(swarmKeyFile) }
    if identity == .ip {
      // Who this node is shows in where its links come from.
      swarm.dialSources = listen.compactMap { try? Multiaddr($0).ipAddress }.filter { !$0.isUnspecified }
    }
    return swarm
  }

  /// What is dialled at the start, in the order of the seeds' documents: `--peer`, bootstrap peers, seeds; stored peers are in the book.
  func dials() throws -> [HostCore.Command] {
    var commands: [HostCore.Command] = []
    for text in peers where !Self.isName(text) { commands.append(.dial(try PeerAddress(dialling: text), keep: true)) }
    for (list, source) in [(bootstrapPeers, PeerSource.bootstrap), (seedPeers, .seed)] {
      let addresses = try list.filter { !Self.isName($0) }.map { try PeerAddress(dialling: $0) }
      if !addresses.isEmpty { commands.append(.learned(addresses, source)) }
    }
    for text in (peers + bootstrapPeers).filter(Self.isName) { commands.append(.resolve(.dnsaddr(try Multiaddr(text)), .bootstrap)) }
    for text in seedPeers.filter(Self.isName) + dnsSeeds { commands.append(.resolve(try name(text), .seed)) }
    return commands
  }

  /// Whether an address is a name whose TXT records hold the real addresses.
  private static func isName(_ text: String) -> Bool { text.hasPrefix("/dnsaddr/") }

  /// A seed's name; without a port of its own its peers listen where this node listens.
  private func name(_ text: String) throws -> NameFinder.Name {
    if Self.isName(text) { return .dnsaddr(try Multiaddr(text)) }
    let parts = text.split(separator: ":")
    let own = try listen.lazy.compactMap { try Multiaddr($0).tcpPort }.first { $0 != 0 }
    return .host(String(parts[0]), port: parts.count > 1 ? UInt16(parts[1]) ?? 0 : own ?? Self.standardPort)
  }

  /// The port of peers when nothing says otherwise (seed S4).
  static let standardPort: UInt16 = 9_000

  /// The settings of what discovery does outside the core.
  func scout() throws -> Scout.Configuration {
    var scout = Scout.Configuration()
    scout.interfaces = mdnsInterfaces
    scout.gateway = gateway.isEmpty ? nil : gateway
    if !dnsServer.isEmpty {
      let parts = dnsServer.split(separator: ":")
      scout.nameServer = SocketAddress(String(parts[0]), port: parts.count > 1 ? UInt16(parts[1]) ?? 0 : 53)
    }
    return scout
  }
}

extension GenesisFile {
  /// The chain's own form; the file has been checked.
  public var configuration: GenesisConfiguration {
    var limits = GenesisConfiguration.Limits()
    if let value = self.limits.blockBytes { limits.blockBytes = value }
    if let value = self.limits.blockTransactions { limits.blockTransactions = value }
    if let value = self.limits.transactionBytes { limits.transactionBytes = value }
    if let value = self.limits.keyBytes { limits.keyBytes = value }
    if let value = self.limits.valueBytes { limits.valueBytes = value }
    if let value = self.limits.minimumFee { limits.minimumFee = Amount(value) }
    if let value = self.limits.stateByteFee { limits.stateByteFee = Amount(value) }
    var balances: [Address: Amount] = [:]
    for (text, units) in self.balances {
      if let address = Address(hex: text) { balances[address] = Amount(units) }
    }
    return GenesisConfiguration(
      chainID: chainID, time: WallTime(milliseconds: genesisTimeMilliseconds), authorities: authorities.compactMap { Address(hex: $0) },
      blockTime: .milliseconds(blockTimeMilliseconds), balances: balances, limits: limits)
  }
}
