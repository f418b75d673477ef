import Gossip
import HostCore
import Identity
import Ledger
import Peering
import SecureChannel
import Sync
import Wire

/// The root machine of a node: a host and its chain. It routes inputs to its children and merges their outputs.
///
/// The real node and the simulator drive the same class: inputs in, outputs out, one timer. `now` never goes backwards; a spurious
/// `timer` is harmless; after ``handle(_:now:into:)`` re-read ``nextDeadline``. Owned by one thread.
public final class NodeCore<L: Ledger, C: Consensus> {
  /// The settings of a node.
  public struct Configuration: Sendable {
    /// The host's.
    public var host = HostCore.Configuration()
    /// How the node catches up.
    public var sync = RangeSync.Configuration()
    /// How it finds out that the network is split for good.
    public var forks = ForkWatch.Configuration()
    /// The chain's bounds.
    public var chain = ChainConfiguration()
    /// What the node calls itself in the status handshake.
    public var nodeType = "full"
    /// The key that blocks are produced with, if any.
    public var producer: NodeKey?
    /// Without a new block for this many block times the node is stalled.
    public var stalledAfterBlocks = 6
    /// The most bytes of one answer with blocks; the largest block fits it, and it fits the protocol's limit of 10 MB.
    public var blocksAnswerBytes = GenesisConfiguration.Limits.blockBytesMaximum
    /// How often one of the peers that hold pending transactions, each in its turn, is asked for their IDs, so that what gossip lost is
    /// found. Default 30 s; costs one request, an answer of 32 bytes for each of the peer's first 1,000, and what of them is missing.
    public var poolInterval = Duration.seconds(30)
    /// The time between two such requests while there are peers that were never asked. Default 2 s.
    public var poolPause = Duration.seconds(2)
    /// How often, while outbound links are fewer than wanted, those who serve the chain are looked for in Kademlia. Default 60 s.
    public var serviceInterval = Duration.seconds(60)
    /// When they are looked for first: not at once, for the first peers' lists may do. Default 5 s after the start.
    public var serviceDelay = Duration.seconds(5)
    /// The most of them that one look-up finds. Default 32.
    public var serviceProvidersMaximum = 32
    /// How long a user's search of the network may take until it is answered with what it has found. Default 4 s: less than those who ask
    /// by HTTP wait.
    public var searchPatience = Duration.seconds(4)

    /// The defaults.
    public init() {}
  }

  /// What a node is told.
  public enum Input: Sendable {
    /// For the host.
    case host(HostCore.Input)
    /// The wall clock was read again.
    case clock(WallClock)
    /// A piece of work is done.
    case workDone(WorkID, Chain<L, C>.WorkResult)
    /// A piece of work was not taken and will never be done.
    case workRefused(WorkID)
    /// A batch is durable.
    case committed(CommitID)
    /// A batch was not written.
    case commitFailed(CommitID, StoreError)
    /// A batch was not taken and will not be written.
    case commitRefused(CommitID)
    /// A read is done.
    case readDone(ReadID, ReadResult)
    /// A read was not taken and will never be done.
    case readRefused(ReadID)
    /// A question.
    case query(QueryID, Query)
    /// Time may have passed.
    case timer
  }

  /// What a node wants done.
  public enum Output: Sendable {
    /// For the network; never `event`.
    case host(HostCore.Output)
    /// Run it in the pool, report `workDone`, or `workRefused` when the pool does not take it.
    case work(WorkID, Chain<L, C>.Work)
    /// Make it durable, report `committed` or `commitFailed`, or `commitRefused` when the writer does not take it.
    case store(CommitID, WriteBatch)
    /// Run it away from this thread, report `readDone`, or `readRefused` when nobody takes it.
    case read(ReadID, ReadJob)
    /// The answer to a question; each gets exactly one.
    case answer(QueryID, Answer)
    /// Something happened.
    case event(NodeEvent)
  }

  /// What a request of this node was for.
  enum Purpose {
    /// A peer's status, asked for at this moment; `introduces` names the link that is to be introduced by it, if that is what it is for.
    case status(PeerID, at: Instant, introduces: ConnectionID?)
    case batch(BatchID, PeerID)
    case proof(ProofRequest)
    case parent(Hash256, PeerID, isOwed: Bool)
    case pool(PeerID)
    case transactions(PeerID)
  }

  /// Who waits for a verdict of the chain.
  enum Waiter {
    /// With the height that a block names.
    case gossip(MessageID, Topic, PeerID?, height: UInt64)
    case sync(BatchID, PeerID)
    case fetched(PeerID)
    case user(QueryID)
  }

  let configuration: Configuration
  let genesis: GenesisConfiguration
  let crypto: any CryptoSuite
  /// The network side.
  public let host: HostCore
  /// The chain.
  public internal(set) var chain: Chain<L, C>
  /// How the node catches up.
  public internal(set) var sync: RangeSync
  /// Whether peers follow a chain that this node never can.
  public internal(set) var forks: ForkWatch
  /// What peers are shown of the producer's key.
  var producerMarks: [PeerID: (own: [UInt8], twins: [UInt8])] = [:]
  /// Who was last seen to make blocks with this node's producer key, as far as that is known, and when.
  var producerTwin: (peer: PeerID?, at: Instant)?
  /// Why the last peer of another network was refused, and when.
  var latestMismatch: (StatusMismatch, Instant)?
  /// What peers' clocks show.
  var peerClocks = PeerClocks()
  /// Whether this node's clock was last told to differ from its peers'.
  var isClockOff = false
  let protocols: Protocols
  /// The names of the chain's protocols and topics on this network.
  public var protocolNames: Protocols { protocols }
  var clock: WallClock
  let started: Instant
  var latestHead: Instant

  /// What peers' statuses said, for introduced peers and those being introduced.
  var statuses: [PeerID: Status] = [:]
  /// When those peers told the height in their status, or passed on a block of it.
  var heightsTold: [PeerID: Instant] = [:]
  var purposes: [RequestID: Purpose] = [:]
  var waiters: [ValidationToken: Waiter] = [:]
  /// Parents that were asked for, and of whom.
  var parentsAsked: [Hash256: PeerID] = [:]
  /// Pending transactions may be unknown to everybody else: they were accepted in an earlier life or while nobody listened.
  var mustAnnouncePool = true
  /// Whose turn it is to be asked for pending transactions.
  var poolTurns: PoolTurns
  /// Peers whose requests wait to be read.
  var serving = Serving(.init())
  /// Who waits for what is being read.
  var readings: [ReadID: Reading] = [:]
  /// The list of pending transactions that peers are told, and how long it is told.
  var pendingIDsKept: (ids: [Hash256], until: Instant)?
  /// The figures of the peer book, and how long they are told: counting takes long.
  var bookKept: (book: BookSummary, until: Instant)?
  var watchdog: Watchdog
  /// Whether the node's services have been told to the network.
  var advertises = false
  /// When those who serve the chain are looked for, should links be few.
  var serviceDeadline: Instant
  var searches = Searches()
  var nextNumber: UInt64 = 1
  var counters = Counters()
  /// What the start led to, as the removal of transactions that have expired; goes out with the first input.
  private var startOutputs: [Output] = []

  struct Counters {
    var blocksAnnounced: UInt64 = 0
    var blocksApplied: UInt64 = 0
    var reorganisations: UInt64 = 0
    var transactionsAccepted: UInt64 = 0
    var blocksRefused: [BlockVerdict.Refusal: UInt64] = [:]
    var ownBlocksReplaced: UInt64 = 0
  }

  /// The names that a chain's protocols and topics have on a network.
  public struct Protocols: Sendable {
    /// The status handshake.
    public let status: ProtocolID
    /// Blocks by height or hash.
    public let blocks: ProtocolID
    /// Transactions by ID, or all that are pending.
    public let transactions: ProtocolID
    /// The topic of new blocks.
    public let blockTopic: Topic
    /// The topic of new transactions.
    public let transactionTopic: Topic

    private static var statusSuffix: String { "status/1" }

    /// The network whose status protocol has this name; `nil` for any other protocol.
    static func network(ofStatus name: ProtocolID) -> String? {
      let parts = name.name.split(separator: "/", maxSplits: 2)
      guard parts.count == 3, parts[0] == "starling", parts[2] == statusSuffix, parts[1].utf8.count <= 64 else { return nil }
      return String(parts[1])
    }

    /// What one peer may ask and is asked: an answer with blocks or transactions may have 8 MiB.
    var rates: [ProtocolID: RateLimits.Rate] {
      [
        status: .init(perSecond: 10, burst: 20), blocks: .init(perSecond: 50, burst: 100),
        transactions: .init(perSecond: 25, burst: 50),
      ]
    }

    /// Makes the names.
    public init(network: String, partition: String) {
      status = ProtocolID("/starling/\(network)/\(Self.statusSuffix)")
      blocks = ProtocolID("/starling/\(network)/blocks/1")
      transactions = ProtocolID("/starling/\(network)/transactions/1")
      blockTopic = Topic("/starling/\(network)/\(partition)/blocks")
      transactionTopic = Topic("/starling/\(network)/\(partition)/transactions")
    }
  }

  /// Blocks from this length on have their seal checked first of all, on this thread: hashing them twice would cost as much.
  static var screenedBytes: Int { 64 << 10 }
  /// The most bytes of an answer with blocks or transactions (seed S4: 10 MB).
  public static var answerMaximumBytes: Int { 10 << 20 }
  /// The most parents that are asked for at a time, in all and of one peer: each answer may be a whole block.
  static var parentsMaximum: Int { 64 }
  static var parentsOfPeerMaximum: Int { 4 }
  /// The most transactions in one request or answer.
  static var transactionsMaximum: Int { 1_000 }
  /// The most bytes of a request for transactions: an ID takes 34.
  static var transactionsRequestBytes: Int { 40 * transactionsMaximum }

  /// Makes a node over an opened chain.
  ///
  /// - Parameters:
  ///   - key: the node's key, which proves its PeerID.
  ///   - chain: opened in the node's store; its clock is replaced by `clock`.
  ///   - book: the stored rows of ``HostCore/bookTable``.
  ///   - seed: the seed of everything drawn at random.
  public init(
    key: NodeKey, crypto: any CryptoSuite, configuration: Configuration, genesis: GenesisConfiguration, chain: Chain<L, C>,
    book: [(key: [UInt8], value: [UInt8])] = [], clock: WallClock, seed: UInt64, now: Instant
  ) {
    self.configuration = configuration
    self.genesis = genesis
    self.crypto = crypto
    self.chain = chain
    self.clock = clock
    started = now
    latestHead = now
    watchdog = Watchdog(blockTime: genesis.blockTime, now: now)
    poolTurns = PoolTurns(interval: configuration.poolInterval, pause: configuration.poolPause, now: now)
    serviceDeadline = configuration.host.kademlia == nil ? .distantFuture : now + configuration.serviceDelay
    protocols = Protocols(network: configuration.host.network, partition: genesis.chainID)
    var hostConfiguration = configuration.host
    hostConfiguration.peering.introductionRequired = true
    hostConfiguration.introductionProtocols = [protocols.status]
    hostConfiguration.rates.protocols.merge(protocols.rates) { given, _ in given }
    let blockBytes = genesis.limits.blockBytes
    hostConfiguration.gossip?.maximumRPCBytes = min(Self.answerMaximumBytes, max(1 << 20, 2 * blockBytes))
    var generator = SeededGenerator(seed: seed)
    host = HostCore(
      key: key, crypto: crypto, configuration: hostConfiguration, book: book, clock: clock, seed: generator.next(), now: now)
    let blockTopic = protocols.blockTopic
    let isForged = chain.forgeryTest
    host.gossip?.screen = Gossip.Screen(minimumBytes: Self.screenedBytes) { topic, data in topic == blockTopic && isForged(data) }
    var syncConfiguration = configuration.sync
    syncConfiguration.fullAnswerBytes = max(1, configuration.blocksAnswerBytes - blockBytes)
    forks = ForkWatch(configuration: configuration.forks)
    sync = RangeSync(configuration: syncConfiguration, localHeight: chain.head.height, seed: generator.next(), now: now)
    var outputs: [Output] = []
    serve(now, &outputs)
    startOutputs = outputs
  }

  private func serve(_ now: Instant, _ outputs: inout [Output]) {
    func framed(_ maximum: Int, requests: Int? = nil) -> ProtocolTable.Entry {
      .init(framing: .lengthPrefixed(maximumBytes: maximum), inboundMaximumBytes: requests)
    }
    tell(.command(.serve(protocols.status, framed(Status.maximumBytes))), now, &outputs)
    let (blocks, transactions) = (protocols.blocks, protocols.transactions)
    tell(.command(.serve(blocks, framed(Self.answerMaximumBytes, requests: BlocksRequest.maximumBytes))), now, &outputs)
    tell(.command(.serve(transactions, framed(Self.answerMaximumBytes, requests: Self.transactionsRequestBytes))), now, &outputs)
    func topic(_ maximum: Int) -> TopicConfiguration {
      TopicConfiguration(
        signing: .strictNoSign, identification: .contentHash(bytes: 32), validation: .application, maximumMessageBytes: maximum)
    }
    tell(.command(.subscribe(protocols.blockTopic, topic(genesis.limits.blockBytes + 4096))), now, &outputs)
    tell(.command(.subscribe(protocols.transactionTopic, topic(genesis.limits.transactionBytes))), now, &outputs)
    run(chain: .setProducer(configuration.producer), now, &outputs)
  }

  /// When `timer` is wanted.
  public var nextDeadline: Instant? {
    @_specialize(where L == AccountLedger, C == ProofOfAuthority)
    get {
      if !startOutputs.isEmpty { return started }
      var deadline = min(poolTurns.deadline, serviceDeadline, watchdog.deadline, searches.deadline, serving.deadline)
      if let other = host.nextDeadline, other < deadline { deadline = other }
      if let other = chain.nextDeadline, other < deadline { deadline = other }
      if let other = sync.nextDeadline, other < deadline { deadline = other }
      if let other = forks.nextDeadline, other < deadline { deadline = other }
      return deadline
    }
  }

  /// Takes one input and appends what is to be done.
  // Generic code is several times slower unless the compiler knows the types that this package runs it with.
  @_specialize(where L == AccountLedger, C == ProofOfAuthority)
  public func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    if !startOutputs.isEmpty {
      outputs.append(contentsOf: startOutputs)
      startOutputs = []
    }
    switch input {
    case .host(let input): tell(input, now, &outputs)
    case .clock(let clock):
      self.clock = clock
      tell(.clock(clock), now, &outputs)
      run(chain: .clock(clock), now, &outputs)
      reviewClock(now, &outputs)
    case .workDone(let id, let result): run(chain: .workDone(id, result), now, &outputs)
    case .workRefused(let id): run(chain: .workRefused(id), now, &outputs)
    case .committed(let id): run(chain: .committed(id), now, &outputs)
    case .commitFailed(let id, let error): run(chain: .commitFailed(id, error), now, &outputs)
    case .commitRefused(let id): run(chain: .commitRefused(id), now, &outputs)
    case .readDone(let id, let result): readDone(id, result, now, &outputs)
    case .readRefused(let id): readDone(id, nil, now, &outputs)
    case .query(let id, let query): answer(id, query, now, &outputs)
    case .timer:
      if let deadline = host.nextDeadline, deadline <= now { tell(.timer, now, &outputs) }
      if let deadline = chain.nextDeadline, deadline <= now { run(chain: .timerFired, now, &outputs) }
      if let deadline = sync.nextDeadline, deadline <= now { run(sync: .timer, now, &outputs) }
      if let deadline = forks.nextDeadline, deadline <= now { run(forks: .timer, now, &outputs) }
      if poolTurns.deadline <= now { askPool(now, &outputs) }
      if serviceDeadline <= now { seekServices(now, &outputs) }
      if watchdog.deadline <= now { stoodStill(now, &outputs) }
      if searches.deadline <= now { endSearches(now, &outputs) }
      while let peer = serving.popReady(now) { serveNext(of: peer, now, &outputs) }
    }
  }

  /// Takes one input and returns what it led to.
  public func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// How the node is doing.
  public func health(now: Instant) -> Health {
    if let fork = forks.fork { return .forked(own: ownHead, fork) }
    if let fault = chain.statistics.storeFault { return .storeFailing(fault) }
    if let comparison = clockFault { return .wrongClock(comparison) }
    if case .syncing(let target) = sync.state { return .syncing(height: chain.head.height, target: target) }
    if host.peering.counts.active == 0 { return .isolated }
    if sync.state == .searching { return .starting(height: chain.head.height, claimed: sync.claimed) }
    let silence = now - latestHead
    return silence > genesis.blockTime * configuration.stalledAfterBlocks ? .stalled(for: silence) : .healthy
  }

  // MARK: Children

  /// Tells the host and maps what it wants.
  func tell(_ input: HostCore.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [HostCore.Output] = []
    host.handle(input, now: now, into: &wanted)
    for output in wanted {
      if case .event(let event) = output { hostEvent(event, now, &outputs) } else { outputs.append(.host(output)) }
    }
  }

  func run(chain input: Chain<L, C>.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [Chain<L, C>.Output] = []
    chain.handle(input, now: now, into: &wanted)
    for output in wanted { chainOutput(output, now, &outputs) }
  }

  func run(sync input: RangeSync.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [RangeSync.Output] = []
    sync.handle(input, now: now, into: &wanted)
    for output in wanted { syncOutput(output, now, &outputs) }
  }

  func makeToken(_ waiter: Waiter) -> ValidationToken {
    let token = ValidationToken(rawValue: nextNumber)
    nextNumber += 1
    waiters[token] = waiter
    return token
  }

  func ask(
    _ purpose: Purpose, _ peer: PeerID, _ name: ProtocolID, _ payload: [UInt8], timeout: RequestTimeout, _ now: Instant,
    _ outputs: inout [Output]
  ) {
    let id = RequestID(rawValue: nextNumber)
    nextNumber += 1
    purposes[id] = purpose
    tell(.command(.request(id, peer, name, payload, timeout: timeout)), now, &outputs)
  }
}
