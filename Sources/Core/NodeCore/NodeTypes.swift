import Discovery
import HostCore
import Identity
import Ledger
import Peering
import SecureChannel
import Sync
import Wire

/// Names a question to the node; the answer carries it back. Chosen by the caller.
public struct QueryID: Hashable, Sendable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
}

/// What users and operators ask a node.
public enum Query: Sendable {
  /// Name, network, addresses, head, health.
  case info
  /// The links.
  case peers
  /// What is known of a peer's story.
  case explain(PeerID)
  /// What is known of an address.
  case explainAddress(Multiaddr)
  /// Whom the node dials, and how it goes.
  case dials
  /// Peers that speak HTTP.
  case webPeers
  /// The chain's head and rules.
  case chain
  /// The newest block.
  case latestBlock
  /// A block by its hash.
  case block(Hash256)
  /// A block by its height.
  case blockAt(UInt64)
  /// A transaction by its ID.
  case transaction(Hash256)
  /// An account, by its public key.
  case account(Address)
  /// Accept an encoded transaction.
  case submit([UInt8])
  /// Figures for monitoring.
  case statistics
  /// The peers at hand that a text may mean: the beginning of a name, or its short form.
  case peersNamed(String)
  /// What operators have set.
  case rules
  /// The peer book in figures.
  case book
  /// Addresses of the peer book from a place on, whole buckets until there are `limit` or more.
  case bookEntries(from: Int, limit: Int)
  /// Search the network for somebody, by Kademlia.
  case find(Sought)
  /// An operator's command.
  case operate(OperatorCommand)
}

/// The answer to a query.
public enum Answer: Sendable {
  /// To ``Query/info``.
  case info(NodeInfo)
  /// To ``Query/peers``.
  case peers([PeerStatus])
  /// To ``Query/webPeers``.
  case webPeers([WebFinder.Peer])
  /// To ``Query/dials``.
  case dials([DialStatus])
  /// To ``Query/explain(_:)`` and ``Query/explainAddress(_:)``.
  case story(PeerStory)
  /// To ``Query/peersNamed(_:)``: a few at most.
  case peersNamed([PeerID])
  /// To ``Query/rules``.
  case rules(OperatorRules)
  /// To ``Query/book``.
  case book(BookSummary)
  /// To ``Query/bookEntries(from:limit:)``: with the place to go on from, `nil` at the end.
  case bookEntries([BookEntry], next: Int?)
  /// To ``Query/find(_:)``.
  case found(Findings)
  /// To ``Query/operate(_:)``.
  case operated(OperatorAnswer)
  /// To ``Query/operate(_:)``, from the shell: done and in force, but not durable, and why.
  case notStored(StoreError)
  /// To ``Query/submit(_:)``: it can't be made durable now, and why. Whether the transaction is pending all the same, to be stored later.
  case notDurable(StoreError, isPending: Bool)
  /// To ``Query/chain``.
  case chain(ChainInfo)
  /// To the queries for a block; the hash, and the block unless it is the genesis, which has only a configuration.
  case block(Hash256, Block)
  /// To ``Query/transaction(_:)``.
  case transaction(Hash256, TransactionStatus)
  /// To ``Query/account(_:)``: as the chain's tip has it, and the next nonce with pending transactions counted in.
  case account(Address, Account, nextNonce: UInt64)
  /// To ``Query/submit(_:)``: accepted, and durable on this node.
  case submitted(Hash256)
  /// To ``Query/statistics``.
  case statistics(NodeStatistics)
  /// There is no such thing.
  case notFound
  /// Not now: the node is catching up, or full. The text says which.
  case unavailable(String)
  /// Not acceptable; the text says why.
  case refused(String)
  /// This node failed; the text says how.
  case failed(String)
}

/// How a node is doing, from progress rather than from claims.
public enum Health: Hashable, Sendable {
  /// Peers are there and the chain grows.
  case healthy
  /// No peer is active.
  case isolated
  /// Just started: peers have not shown yet how far they are. The claimed height is a number and nothing more.
  case starting(height: UInt64, claimed: UInt64)
  /// Blocks are being caught up with, up to a height that a peer has shown.
  case syncing(height: UInt64, target: UInt64)
  /// What the node takes in can't be stored: it is tried again, and nothing is told as durable meanwhile.
  case storeFailing(StoreError)
  /// This node's clock is wrong by those of its peers, so that its blocks are refused, or those of the others.
  case wrongClock(ClockComparison)
  /// Peers are there and no block has come for too long.
  case stalled(for: Duration)
  /// The network is split for good: peers follow another valid chain, which left this node's below what either side takes as final.
  case forked(own: ChainPoint, Fork)

  /// One word.
  public var status: String {
    switch self {
    case .healthy: "healthy"
    case .isolated: "isolated"
    case .starting, .syncing: "syncing"
    case .stalled: "stalled"
    case .storeFailing: "disk"
    case .wrongClock: "clock"
    case .forked: "forked"
    }
  }

  /// One sentence.
  public var reason: String {
    switch self {
    case .healthy: "peers are connected and the chain grows"
    case .isolated: "no peer is connected; check the seeds and the network"
    case .starting(let height, let claimed) where claimed > height:
      "just started at height \(height): peers claim \(claimed), none has shown it"
    case .starting(let height, _): "just started at height \(height): looking for peers"
    case .syncing(let height, let target): "catching up: height \(height) of \(target)"
    case .stalled(let time): "no new block for \(Int(time.seconds)) s"
    case .storeFailing(let error): "nothing can be stored: \(error.message); make room in the data folder, or mend the disk"
    case .wrongClock(let comparison): "\(comparison.words): set it by NTP"
    case .forked(let own, let fork):
      "the network is split at or below height \(fork.base.height): this node's head is \(own.height) \(own.hash.short), that of another valid chain, "
        + "seen at peers (\(fork.peers)), is \(fork.head.height) \(fork.head.hash.short), and neither can follow the other; decide which to keep"
    }
  }
}

/// A node's own description.
public struct NodeInfo: Sendable {
  /// Its name.
  public let peerID: PeerID
  /// The network.
  public let network: String
  /// The chain.
  public let chainID: String
  /// What it does: `full` or `authority`.
  public let nodeType: String
  /// Where it listens.
  public let addresses: [Multiaddr]
  /// What it tells others of where it can be reached.
  public let advertisedAddresses: [Multiaddr]
  /// The end of the durable chain.
  public let head: ChainHead
  /// Active peers.
  public let peers: Int
  /// Pending transactions.
  public let pendingTransactions: Int
  /// Time since the start.
  public let uptime: Duration
  /// How it is doing.
  public let health: Health
  /// Why, in one sentence that names the cause where that is known.
  public let healthReason: String
  /// Where it stands with its chain.
  public let sync: SyncState
  /// What its operator should look into, in sentences.
  public let warnings: [String]
  /// When it makes its next block; `nil` for a node that makes none.
  public let production: ProductionStatus?
  /// The node's clock beside its peers'; `nil` when none shows its time.
  public let clock: ClockComparison?
  /// What its clock shows.
  public let time: WallTime
}

/// A link, for operators.
public struct PeerStatus: Sendable {
  /// What peering knows.
  public let link: PeerInfo
  /// What the peer claims, by its status or its blocks.
  public let height: UInt64?
  /// How long ago it told that height.
  public let heightAge: Duration?
  /// The peer's kind of node.
  public let nodeType: String?
  /// The peer's software.
  public let agent: String?
  /// Time since the link came into its state.
  public let age: Duration
}

/// A chain's description.
public struct ChainInfo: Sendable {
  /// The name.
  public let chainID: String
  /// The hash of block 0.
  public let genesis: Hash256
  /// The end of the durable chain.
  public let head: ChainHead
  /// Who may produce.
  public let authorities: [Address]
  /// The time between two slots.
  public let blockTime: Duration
  /// The lowest height that can still be reorganised.
  public let finalHeight: UInt64
  /// The sizes and fees that transactions keep to.
  public let limits: GenesisConfiguration.Limits
}

/// Figures for monitoring. Counters only ever grow.
public struct NodeStatistics: Sendable {
  /// Links and remembered peers.
  public var peering: PeeringCounts
  /// The chain's queues.
  public var chain: ChainStatistics
  /// The durable height.
  public var height: UInt64
  /// The highest height of which a peer has shown a block, or this node's own.
  public var target: UInt64
  /// Time since the newest block's own time; zero where that is ahead of this node's clock.
  public var headAge: Duration
  /// How the node is doing.
  public var health: Health
  /// Gossip: whole messages that came in, first copies and duplicates.
  public var messagesReceived = 0
  /// Gossip: messages seen before.
  public var duplicates = 0
  /// Gossip: messages refused.
  public var rejected = 0
  /// Gossip: messages that this node published.
  public var published = 0
  /// Gossip: RPC bytes in.
  public var gossipBytesIn = 0
  /// Gossip: RPC bytes out.
  public var gossipBytesOut = 0
  /// Gossip: blocks that came in for the first time, good or bad.
  public var blocksAnnounced: UInt64 = 0
  /// Blocks applied since the start.
  public var blocksApplied: UInt64
  /// Reorganisations since the start.
  public var reorganisations: UInt64
  /// Transactions accepted since the start.
  public var transactionsAccepted: UInt64
  /// Blocks that were not taken since the start, by why.
  public var blocksRefused: [BlockVerdict.Refusal: UInt64] = [:]
  /// Blocks of this node that a better branch took the place of, since the start.
  public var ownBlocksReplaced: UInt64 = 0
  /// When the node makes its next block; `nil` for one that makes none.
  public var production: ProductionStatus?
  /// The node's clock beside its peers'; `nil` when none shows its time.
  public var clock: ClockComparison?
  /// What happened for which reason since the start.
  public var reasons: ReasonCounts
  /// Streams, requests and messages of peers that were refused, by what the peer was told.
  public var streamRefusals: [ResetCode: UInt64]
  /// What spoke against HTTP peers, and against what they told, by kind.
  public var webFaults: [WebFault.Code: UInt64]
  /// Connections that were not accepted because this machine lacked descriptors, memory or time.
  public var connectionsNotAccepted: UInt64
  /// Bytes of peers' requests that wait for this node's answers.
  public var requestBytes: Int
  /// Kademlia: servers known, entries held, look-ups; all 0 where it is switched off.
  public var kademlia = Kademlia.Statistics()
}

/// What happened in a node; for logs, traces and views.
public enum NodeEvent: Sendable {
  /// In the host: peers and links.
  case host(HostCore.Event)
  /// In the chain.
  case chain(ChainEvent)
  /// The chain's head moved.
  case newHead(ChainHead, reorgDepth: Int)
  /// Where the node stands with its chain.
  case sync(SyncState)
  /// A peer is not of this network: it was refused with this reason.
  case mismatch(PeerID, StatusMismatch)
  /// A peer refused this node.
  case refusedBy(PeerID, Reason)
  /// A block was found good and, when it is on the chain, is durable; `nil` for a source that is no peer.
  case blockAccepted(Hash256, from: PeerID?)
  /// A transaction was found good and is durable among the pending ones; `nil` for a source that is no peer.
  case transactionAccepted(Hash256, from: PeerID?)
  /// A peer did not deliver blocks that it was asked for.
  case fetchFailed(PeerID, RangeSync.FetchFailure)
  /// A peer did not show the block at the height that it claims.
  case claimNotShown(PeerID, height: UInt64, RangeSync.FetchFailure)
  /// The network is split for good, as far as this node can see: its head, and what peers show.
  case forked(own: ChainPoint, Fork)
  /// No peer shows another chain any more.
  case forkEnded
  /// No new head for so long: an outbound link more is wanted, and all peers are asked for their heights. `why` says what this node knows of it.
  case stoodStill(for: Duration, why: String?)
  /// Another machine has this node's producer key: by its status, or by a block for a slot that came through a peer.
  case producerKeyShared(PeerID, slot: UInt64?)
  /// This node's clock differs from its peers' by more than a block's time may, or does so no longer.
  case clock(ClockComparison, isOff: Bool)
  /// A peer's block was against the rules.
  case invalidBlock(from: PeerID, BlockError)
}
