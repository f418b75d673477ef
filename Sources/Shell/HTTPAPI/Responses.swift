// The shapes of the API's answers; the keys on the wire are the property names in snake_case.

/// What a node says of itself.
public struct NodeInfoResponse: Codable, Hashable, Sendable {
  /// The software's version.
  public var version: String
  /// The node's PeerID in base58.
  public var peerID: String
  /// The network's name.
  public var network: String
  /// The chain's name in its genesis.
  public var chainID: String
  /// `authority` or `full`.
  public var nodeType: String
  /// Multiaddrs that the node listens on.
  public var addresses: [String]
  /// The height of the head.
  public var height: UInt64
  /// The head's hash in hex.
  public var head: String
  /// Active peers.
  public var peers: Int
  /// Transactions waiting.
  public var mempool: Int
  /// Seconds since the start.
  public var uptimeSeconds: UInt64
  /// As in ``HealthResponse/status``.
  public var health: String
  /// The node's clock beside its peers'; absent when none shows its time.
  public var clock: Clock?
  /// When the node makes its next block; absent for one that makes none.
  public var production: Production?

  /// A clock beside others.
  public struct Clock: Codable, Hashable, Sendable {
    /// How far it is ahead of the median of the others; negative when it is behind.
    public var aheadSeconds: Double
    /// How far that may be off.
    public var uncertaintySeconds: Double
    /// How many others there are.
    public var peers: Int

    /// Makes the answer's part.
    public init(aheadSeconds: Double, uncertaintySeconds: Double, peers: Int) {
      self.aheadSeconds = aheadSeconds
      self.uncertaintySeconds = uncertaintySeconds
      self.peers = peers
    }

    enum CodingKeys: String, CodingKey {
      case peers
      case aheadSeconds = "ahead_seconds"
      case uncertaintySeconds = "uncertainty_seconds"
    }
  }

  /// A slot and when it begins.
  public struct Turn: Codable, Hashable, Sendable {
    /// The slot.
    public var slot: UInt64
    /// Its beginning, in milliseconds since 1970.
    public var time: Int64

    /// Makes the answer's part.
    public init(slot: UInt64, time: Int64) {
      self.slot = slot
      self.time = time
    }
  }

  /// What a producer does.
  public struct Production: Codable, Hashable, Sendable {
    /// The highest slot that it has sealed; absent before the first.
    public var last: Turn?
    /// The slot that it seals next.
    public var next: Turn?
    /// Why it makes no blocks, in one word; absent when it does.
    public var obstacle: String?
    /// All of it in words.
    public var words: String

    /// Makes the answer's part.
    public init(last: Turn?, next: Turn?, obstacle: String?, words: String) {
      self.last = last
      self.next = next
      self.obstacle = obstacle
      self.words = words
    }
  }

  /// Makes the answer.
  public init(
    version: String, peerID: String, network: String, chainID: String, nodeType: String, addresses: [String], height: UInt64, head: String,
    peers: Int, mempool: Int, uptimeSeconds: UInt64, health: String, clock: Clock? = nil, production: Production? = nil
  ) {
    self.version = version
    self.peerID = peerID
    self.network = network
    self.chainID = chainID
    self.nodeType = nodeType
    self.addresses = addresses
    self.height = height
    self.head = head
    self.peers = peers
    self.mempool = mempool
    self.uptimeSeconds = uptimeSeconds
    self.health = health
    self.clock = clock
    self.production = production
  }

  enum CodingKeys: String, CodingKey {
    case version, network, addresses, height, head, peers, mempool, health, clock, production
    case peerID = "peer_id"
    case chainID = "chain_id"
    case nodeType = "node_type"
    case uptimeSeconds = "uptime_seconds"
  }
}

/// The peers of a node.
public struct PeersResponse: Codable, Hashable, Sendable {
  /// One peer.
  public struct Peer: Codable, Hashable, Sendable {
    /// The PeerID in base58; absent before it is proven.
    public var peerID: String?
    /// The address of the link, or the best known one.
    public var address: String
    /// `inbound`, `outbound`, or absent without a link.
    public var direction: String?
    /// Where in its life the peer is, such as `active`.
    public var state: String
    /// The height that it last told.
    public var height: UInt64?
    /// How long ago it told that height, by its status or by a block that it passed on.
    public var heightSeconds: UInt64?
    /// The round trip in milliseconds.
    public var rttMilliseconds: Double?
    /// How long the link has been up.
    public var connectedSeconds: UInt64?
    /// The peer's score.
    public var score: Double?
    /// `must-keep`, `seed`, `stored` or `heard`.
    public var role: String?
    /// Whether an operator trusts the peer.
    public var trusted: Bool?
    /// The network group of the address.
    public var netgroup: String?
    /// Why the link was chosen.
    public var reason: String?
    /// The software that it names.
    public var agent: String?
    /// When it was last heard of, in seconds since 1970.
    public var lastSeen: Int64?

    /// Makes the answer's row.
    public init(
      peerID: String? = nil, address: String, direction: String? = nil, state: String, height: UInt64? = nil,
      heightSeconds: UInt64? = nil, rttMilliseconds: Double? = nil,
      connectedSeconds: UInt64? = nil, score: Double? = nil, role: String? = nil, trusted: Bool? = nil, netgroup: String? = nil,
      reason: String? = nil, agent: String? = nil, lastSeen: Int64? = nil
    ) {
      self.peerID = peerID
      self.address = address
      self.direction = direction
      self.state = state
      self.height = height
      self.heightSeconds = heightSeconds
      self.rttMilliseconds = rttMilliseconds
      self.connectedSeconds = connectedSeconds
      self.score = score
      self.role = role
      self.trusted = trusted
      self.netgroup = netgroup
      self.reason = reason
      self.agent = agent
      self.lastSeen = lastSeen
    }

    enum CodingKeys: String, CodingKey {
      case address, direction, state, height, score, role, trusted, netgroup, reason, agent
      case peerID = "peer_id"
      case heightSeconds = "height_seconds"
      case rttMilliseconds = "rtt_ms"
      case connectedSeconds = "connected_seconds"
      case lastSeen = "last_seen"
    }
  }

  /// The peers.
  public var peers: [Peer]
  /// How many there are.
  public var peerCount: Int

  /// Makes the answer.
  public init(peers: [Peer]) {
    self.peers = peers
    peerCount = peers.count
  }

  enum CodingKeys: String, CodingKey {
    case peers
    case peerCount = "peer_count"
  }
}

/// How the node is.
public struct HealthResponse: Codable, Hashable, Sendable {
  /// The states.
  public enum Status: String, Codable, Hashable, Sendable {
    /// Has peers, and its head moves.
    case healthy
    /// Has no peers.
    case isolated
    /// Is behind its peers and catching up.
    case syncing
    /// Has peers, and its head doesn't move.
    case stalled
    /// Has peers that follow another valid chain; neither side can follow the other any more.
    case forked
    /// Can't store what it takes in.
    case disk
    /// Has a wrong clock.
    case clock
  }
  /// Two chains that can't come together.
  public struct Fork: Codable, Hashable, Sendable {
    /// The height of this node's head.
    public var height: UInt64
    /// This node's head in hex.
    public var head: String
    /// The height of the newest block that was seen of the other chain.
    public var otherHeight: UInt64
    /// Its hash in hex.
    public var otherHead: String
    /// A height at which the two chains differ already.
    public var differsAt: UInt64
    /// Peers that show the other chain; more are not asked once eight do.
    public var peers: Int

    /// Makes the answer's part.
    public init(height: UInt64, head: String, otherHeight: UInt64, otherHead: String, differsAt: UInt64, peers: Int) {
      self.height = height
      self.head = head
      self.otherHeight = otherHeight
      self.otherHead = otherHead
      self.differsAt = differsAt
      self.peers = peers
    }

    enum CodingKeys: String, CodingKey {
      case height, head, peers
      case otherHeight = "other_height"
      case otherHead = "other_head"
      case differsAt = "differs_at"
    }
  }
  /// The state.
  public var status: Status
  /// Why, in words.
  public var reason: String
  /// Both heads, while the node is forked.
  public var fork: Fork?
  /// What an operator should look into, whatever the state: another machine with this node's key. Absent when there is nothing.
  public var warnings: [String]?

  /// Makes the answer.
  public init(status: Status, reason: String, fork: Fork? = nil, warnings: [String]? = nil) {
    self.status = status
    self.reason = reason
    self.fork = fork
    self.warnings = warnings
  }
}

/// The chain's head and constants.
public struct ChainInfoResponse: Codable, Hashable, Sendable {
  /// The head's height.
  public var height: UInt64
  /// The head's hash in hex.
  public var head: String
  /// The first block's hash in hex.
  public var genesisHash: String
  /// The root of the state behind the head, in hex.
  public var stateRoot: String
  /// The authorities' keys in hex, in turn order.
  public var authorities: [String]
  /// The time between blocks.
  public var blockTimeMilliseconds: UInt64
  /// The smallest fee of a transaction.
  public var minimumFee: UInt64
  /// The same in decimal digits: many readers of JSON round numbers beyond 2⁵³.
  public var minimumFeeText: String
  /// The fee on top of it for each byte by which a transaction makes the state larger.
  public var stateByteFee: UInt64
  /// The same in decimal digits.
  public var stateByteFeeText: String

  /// Makes the answer.
  public init(
    height: UInt64, head: String, genesisHash: String, stateRoot: String, authorities: [String], blockTimeMilliseconds: UInt64,
    minimumFee: UInt64, stateByteFee: UInt64
  ) {
    self.height = height
    self.head = head
    self.genesisHash = genesisHash
    self.stateRoot = stateRoot
    self.authorities = authorities
    self.blockTimeMilliseconds = blockTimeMilliseconds
    self.minimumFee = minimumFee
    minimumFeeText = String(minimumFee)
    self.stateByteFee = stateByteFee
    stateByteFeeText = String(stateByteFee)
  }

  enum CodingKeys: String, CodingKey {
    case height, head, authorities
    case genesisHash = "genesis_hash"
    case stateRoot = "state_root"
    case blockTimeMilliseconds = "block_time_ms"
    case minimumFee = "minimum_fee"
    case minimumFeeText = "minimum_fee_text"
    case stateByteFee = "state_byte_fee"
    case stateByteFeeText = "state_byte_fee_text"
  }
}

/// One transaction.
public struct TransactionResponse: Codable, Hashable, Sendable {
  /// Where a transaction is.
  public enum Status: String, Codable, Hashable, Sendable {
    /// In the mempool.
    case pending
    /// In a block of the chain.
    case confirmed
  }
  /// What the transaction does; the fields that its kind has.
  public struct Payload: Codable, Hashable, Sendable {
    /// `transfer`, `put`, `remove`, …
    public var kind: String
    /// The receiver of a transfer, in hex.
    public var to: String?
    /// The amount of a transfer.
    public var amount: UInt64?
    /// The same in decimal digits: many readers of JSON round numbers beyond 2⁵³.
    public var amountText: String?
    /// The key of a data change, in hex.
    public var key: String?
    /// The value of a data change, in hex.
    public var value: String?

    /// Makes the payload.
    public init(kind: String, to: String? = nil, amount: UInt64? = nil, key: String? = nil, value: String? = nil) {
      self.kind = kind
      self.to = to
      self.amount = amount
      amountText = amount.map { String($0) }
      self.key = key
      self.value = value
    }

    enum CodingKeys: String, CodingKey {
      case kind, to, amount, key, value
      case amountText = "amount_text"
    }
  }

  /// The hash in hex.
  public var hash: String
  /// Where it is.
  public var status: Status
  /// The height of its block.
  public var height: UInt64?
  /// Its place in its block.
  public var index: Int?
  /// The sender's address in hex.
  public var sender: String
  /// The sender's counter.
  public var nonce: UInt64
  /// What the sender pays.
  public var fee: UInt64
  /// The same in decimal digits: many readers of JSON round numbers beyond 2⁵³.
  public var feeText: String
  /// What it does.
  public var payload: Payload

  /// Makes the answer.
  public init(
    hash: String, status: Status, height: UInt64? = nil, index: Int? = nil, sender: String, nonce: UInt64, fee: UInt64, payload: Payload
  ) {
    self.hash = hash
    self.status = status
    self.height = height
    self.index = index
    self.sender = sender
    self.nonce = nonce
    self.fee = fee
    feeText = String(fee)
    self.payload = payload
  }

  enum CodingKeys: String, CodingKey {
    case hash, status, height, index, sender, nonce, fee, payload
    case feeText = "fee_text"
  }
}

/// One block.
public struct BlockResponse: Codable, Hashable, Sendable {
  /// The hash in hex.
  public var hash: String
  /// The height.
  public var height: UInt64
  /// The parent's hash in hex.
  public var parent: String
  /// Milliseconds since 1970.
  public var time: Int64
  /// The root over the transactions, in hex.
  public var transactionRoot: String
  /// The root of the state behind the block, in hex.
  public var stateRoot: String
  /// The producer's key in hex.
  public var producer: String
  /// The producer's signature or work, in hex.
  public var seal: String
  /// The transactions in order.
  public var transactions: [TransactionResponse]

  /// Makes the answer.
  public init(
    hash: String, height: UInt64, parent: String, time: Int64, transactionRoot: String, stateRoot: String, producer: String, seal: String,
    transactions: [TransactionResponse]
  ) {
    self.hash = hash
    self.height = height
    self.parent = parent
    self.time = time
    self.transactionRoot = transactionRoot
    self.stateRoot = stateRoot
    self.producer = producer
    self.seal = seal
    self.transactions = transactions
  }

  enum CodingKeys: String, CodingKey {
    case hash, height, parent, time, producer, seal, transactions
    case transactionRoot = "transaction_root"
    case stateRoot = "state_root"
  }
}

/// One account.
public struct AccountResponse: Codable, Hashable, Sendable {
  /// The address in hex.
  public var address: String
  /// The balance, in confirmed blocks.
  public var balance: UInt64
  /// The same in decimal digits: many readers of JSON round numbers beyond 2⁵³.
  public var balanceText: String
  /// How many transactions of the account are confirmed.
  public var nonce: UInt64
  /// The nonce for the next transaction: pending ones are counted in.
  public var nextNonce: UInt64

  /// Makes the answer.
  public init(address: String, balance: UInt64, nonce: UInt64, nextNonce: UInt64) {
    self.address = address
    self.balance = balance
    balanceText = String(balance)
    self.nonce = nonce
    self.nextNonce = nextNonce
  }

  enum CodingKeys: String, CodingKey {
    case address, balance, nonce
    case balanceText = "balance_text"
    case nextNonce = "next_nonce"
  }
}

/// A transaction was taken into the mempool.
public struct SubmittedResponse: Codable, Hashable, Sendable {
  /// The hash in hex.
  public var transactionHash: String
  /// Always `submitted`.
  public var status: String

  /// Makes the answer.
  public init(transactionHash: String) {
    self.transactionHash = transactionHash
    status = "submitted"
  }

  enum CodingKeys: String, CodingKey {
    case status
    case transactionHash = "transaction_hash"
  }
}
