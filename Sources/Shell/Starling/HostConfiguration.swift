import Crypto
import Discovery
import EventLoop
import Gossip
import HostCore
import Identity
import Peering
import SecureChannel
import Swarm
import Wire

extension Host {
  /// The settings of a host: what the core decides by, what the links are limited by, and what the public API buffers.
  public struct Configuration: Sendable {
    /// Where to listen; `/tcp/0` takes a free port. Default nowhere: the host only dials.
    public var listen: [Multiaddr] = []
    /// Peers that are dialled at the start, and again and for ever when their link is lost. More can be named later:
    /// ``Host/addBootstrap(_:)``.
    public var bootstrap: [Multiaddr] = []
    /// Peers, gossip, identify and exchange. A host's own limits on links are wider than a node's, because the program chooses whom
    /// it dials: 64 outbound, 128 in all, 64 dials and handshakes at once; private addresses may be dialled, and no introduction is
    /// awaited.
    public var core = HostCore.Configuration()
    /// Threads, sockets and connections. Default 2 threads for links, about 0.5 MB each.
    public var swarm = Swarm.Configuration()
    /// The key of a private network: only peers that have it can be talked to. Default `nil`: none. Who may take part otherwise is
    /// `core.peering.allowed`.
    public var networkKey: NetworkKey? {
      get { swarm.connection.networkKey }
      set { swarm.connection.networkKey = newValue }
    }
    /// Where the peer book is kept, so that a restarted host finds its peers again. Default nowhere. Rows are written off the host's
    /// threads; a write that fails is told as ``HostEvent/bookFailed(_:)`` and tried again, with the next rows and by itself.
    public var book: (any KeyValueStore)?
    /// Streams that peers opened and whose handlers run at a time; a further one is reset, and may come again. Default 4,096.
    public var handlersMaximum = 4_096
    /// Requests of peers that are answered at a time; a further one is refused, and may come again. Default 1,024.
    public var answersMaximum = 1_024
    /// Messages that are validated at a time; a further one is ignored, and may come again. Default 256.
    public var validationsMaximum = 256
    /// Events that wait for each reader of ``Host/events``; the oldest is dropped and counted. Default 1,024.
    public var eventsMaximum = 1_024
    /// How long ``Host/close()`` waits for links to send what is queued. Default 3 s.
    public var closeTimeout = Duration.seconds(3)

    /// Makes a configuration; the defaults suit a host on which nobody depends.
    public init(
      listen: [Multiaddr] = [], bootstrap: [Multiaddr] = [], network: String = "main", gossip: Gossip.Configuration? = .init(),
      kademlia: Kademlia.Configuration? = nil, agent: String? = nil, book: (any KeyValueStore)? = nil
    ) {
      self.listen = listen
      self.bootstrap = bootstrap
      self.book = book
      core.network = network
      core.gossip = gossip
      core.kademlia = kademlia
      if let agent { core.agent = agent }
      core.peering.allowsPrivateAddresses = true
      core.peering.introductionRequired = false
      core.peering.outboundMaximum = 64
      core.peering.totalMaximum = 128
      core.peering.parallelDialsMaximum = 64
      core.peering.handshakesMaximum = 64
      core.peering.acceptsPerSecond = 200
      core.peering.acceptBurst = 128
    }

    /// The same from texts, such as `/ip4/127.0.0.1/tcp/0`.
    ///
    /// - Throws: `IdentityError` for a text that is not an address.
    public init(listen: [String], bootstrap: [String] = [], network: String = "main", gossip: Gossip.Configuration? = .init())
      throws(IdentityError)
    {
      var parsed: [[Multiaddr]] = [[], []]
      for text in listen { parsed[0].append(try Multiaddr(text)) }
      for text in bootstrap { parsed[1].append(try Multiaddr(text)) }
      self.init(listen: parsed[0], bootstrap: parsed[1], network: network, gossip: gossip)
    }

    /// - Throws: ``HostError`` `invalidAddress` or `invalidConfiguration` for what no host can be made of.
    func check() throws(HostError) {
      for address in bootstrap { try HostError.check(address) }
      func require(_ isGood: Bool, _ fault: @autoclosure () -> String) throws(HostError) {
        if !isGood { throw HostError(.invalidConfiguration, fault()) }
      }
      try require((1...1_024).contains(swarm.shards), "swarm.shards must be 1 to 1,024, not \(swarm.shards)")
      if let fault = core.gossip?.fault { throw HostError(.invalidConfiguration, "core.gossip: \(fault)") }
      for (name, count) in [("newBuckets", core.peering.book.newBuckets), ("triedBuckets", core.peering.book.triedBuckets)] {
        try require((1...65_536).contains(count), "core.peering.book.\(name) must be 1 to 65,536, not \(count)")
      }
    }
  }
}

extension NodeKey {
  /// A fresh key of the system's randomness.
  public static func generate() -> NodeKey {
    NodeKey(seed: SystemCrypto.shared.randomBytes(32), crypto: SystemCrypto.shared)
  }

  /// The key of a 32-byte seed, as ``seed`` gives it to be kept.
  ///
  /// - Throws: `IdentityError` `badKey` for another count of bytes, as a damaged file has.
  public init(seed: [UInt8]) throws(IdentityError) {
    guard seed.count == 32 else { throw .badKey("a seed has 32 bytes, not \(seed.count)") }
    self.init(seed: seed, crypto: SystemCrypto.shared)
  }

  /// Reads a key in libp2p's encoding, as ``encoded`` gives it and go-libp2p and `starling keygen` write it.
  ///
  /// - Throws: `IdentityError` when it is none, or not one of Ed25519.
  public init(encoded bytes: [UInt8]) throws(IdentityError) { try self.init(encoded: bytes, crypto: SystemCrypto.shared) }
}
