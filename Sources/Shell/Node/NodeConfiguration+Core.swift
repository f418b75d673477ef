import HostCore
import Identity
import Ledger
import NodeCore
import Peering
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
    core.host.peering.exemptsLoopback = allowLoopback
    core.host.peering.allowsPrivateAddresses = allowPrivate || allowLoopback
    core.host.peering.connectTimeout = connectionTimeout
    core.host.peering.backOffKeepMaximum = reconnectionInterval
    core.host.peering.pingInterval = keepAliveInterval
    core.host.peering.missedPongsMaximum = keepAliveMissed
    return core
  }

  /// The shards' settings.
  var swarm: Swarm.Configuration { Swarm.Configuration() }

  /// What is dialled at the start, in the order of the seeds' documents: `--peer`, bootstrap peers, seeds; stored peers are in the book.
  func dials() throws -> [HostCore.Command] {
    var commands: [HostCore.Command] = []
    for text in peers { commands.append(.dial(try Self.peerAddress(text), keep: true)) }
    if !bootstrapPeers.isEmpty { commands.append(.learned(try bootstrapPeers.map(Self.peerAddress), .bootstrap)) }
    if !seedPeers.isEmpty { commands.append(.learned(try seedPeers.map(Self.peerAddress), .seed)) }
    return commands
  }

  /// Reads `host:port` or a multiaddr, with or without a PeerID.
  static func peerAddress(_ text: String) throws(IdentityError) -> PeerAddress {
    let address = text.hasPrefix("/") ? try Multiaddr(text) : try Multiaddr(hostPort: text)
    return PeerAddress(peer: address.peerID, address: address.withoutPeerID)
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
    var balances: [Address: Amount] = [:]
    for (text, units) in self.balances {
      if let address = Address(hex: text) { balances[address] = Amount(units) }
    }
    return GenesisConfiguration(
      chainID: chainID, time: WallTime(milliseconds: genesisTimeMilliseconds), authorities: authorities.compactMap { Address(hex: $0) },
      blockTime: .milliseconds(blockTimeMilliseconds), balances: balances, limits: limits)
  }
}
