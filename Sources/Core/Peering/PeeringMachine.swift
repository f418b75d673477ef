import Identity
import Wire

/// Decides alone who is dialled, admitted, kept and closed. It never sees a byte of a link.
///
/// A peer's life: known → dialled → proven (secure channel) → introduced (the chain's handshake) → active → gone, with a ``Reason``.
/// All links and dials in flight stand in one ledger; the slot is taken before the dial and at the accept.
/// A ``ConnectionID`` is used once, so that late news of an ended link cannot touch its successor.
///
/// `now` never goes backwards; a spurious `timerFired` is harmless; after `handle`, read ``nextDeadline`` again.
/// Which rules decide between two links to one peer: `Docs/decisions/one-link-rule.md`.
public struct PeeringMachine: Sendable {
  /// What happens to the machine.
  public enum Input: Sendable {
    /// The addresses that this node listens on; they are never dialled.
    case listening([Multiaddr])
    /// Somebody told of peers.
    case learned([PeerAddress], PeerSource)
    /// So many outbound links more than the minimum are wanted until further notice, up to the maximum. Those that are there when fewer are
    /// wanted again stay.
    case seekMore(Int)
    /// A dial ended without a proven link.
    case dialFailed(ConnectionID, DialFailure)
    /// The transport accepted a link. Unless a `close` of this ID comes out, the handshake goes on; its slot is taken.
    case accepted(ConnectionID, remote: Multiaddr)
    /// The secure channel proved who the other end is. The link is used only after `admit`.
    case proven(ConnectionID, PeerID, remote: Multiaddr, setUpTime: Duration)
    /// The chain's handshake on the peer's admitted link ended well. Ignored unless the configuration asks for it.
    case introduced(PeerID)
    /// The chain's handshake ended badly: the peer is told why and is not dialled again soon.
    case refused(PeerID, Reason)
    /// The peer ended it badly, and said why: the link is closed, and the reason is booked as the peer's.
    case refusedBy(PeerID, Reason)
    /// A link ended that this machine had not closed.
    case closed(ConnectionID, LinkEnd)
    /// The answer to a ping: its echo, or with `nil` anything else by which the peer shows that it is there, as a refusal.
    case pong(ConnectionID, nonce: UInt64?)
    /// A peer did wrong.
    case report(PeerID, Offence, detail: String = "")
    /// A peer was of use: it is less likely to be evicted from a full house.
    case useful(PeerID, PeerUse)
    /// An operator's or application's wish to dial now: for ever (`keep`) or once, without regard to back-off.
    case dial(PeerAddress, keep: Bool)
    /// A look-up wants a link to a known peer. Nothing happens unless ``PeeringMachine/reach(of:now:)`` says that it may be dialled.
    case reach(PeerID)
    /// Close the link to a peer; it stays known.
    case disconnect(PeerID, Reason)
    /// Keep somebody out, for a time or until lifted.
    case ban(BanSubject, for: Duration?, String)
    /// Lift a ban.
    case unban(BanSubject)
    /// The wall clock was read again.
    case clock(WallClock)
    /// An operator asks for something; ``Output/operated(_:_:)`` answers in this turn.
    case operate(OperationID, OperatorCommand)
    /// Dial by itself from now on; needed only with ``PeeringConfiguration/waitsForStart``.
    case start
    /// Close everything with goodbye and take no more. Final.
    case stop
    /// ``PeeringMachine/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Connect and run the handshake; answer with `proven` or `dialFailed`. `timeout` is the transport's alone. Several addresses of one
    /// peer may be under way at once: of those that are proven first wins, and the others are cancelled.
    case dial(ConnectionID, Multiaddr, expecting: PeerID?, timeout: Duration)
    /// Give up a dial; its slot is free already and news of it are ignored.
    case cancelDial(ConnectionID)
    /// The same for a dial that another link to the peer has made needless, unless it has come through by now: then the remote may have begun
    /// to use it, and `proven` comes.
    case yieldDial(ConnectionID)
    /// The link may be used. At most one link per peer is admitted at a time; the former one is closed or retired before.
    case admit(ConnectionID)
    /// Say goodbye if the link is proven, then close it; its slot is free already and news of it are ignored.
    case close(ConnectionID, Reason)
    /// Another link to the peer is kept: tell the remote so, open nothing on this one any more, but serve what the remote has opened there and
    /// opens. `close` follows unless the remote ends the link before. Of one peer one link at a time is in this state.
    case retire(ConnectionID, Reason)
    /// Send a ping that echoes this nonce.
    case ping(ConnectionID, nonce: UInt64)
    /// Persist a change.
    case book(BookChange)
    /// What came of an operator's command.
    case operated(OperationID, OperatorAnswer)
    /// Tell what happened.
    case event(PeeringEvent)
  }

  /// This node.
  public let localPeer: PeerID
  /// The settings.
  public let configuration: PeeringConfiguration

  var clock: WallClock
  var generator: SeededGenerator
  var known = KnownTable()
  var book: AddressBook
  /// How many addresses each group of peers may still tell of.
  var tellers: TokenBuckets<NetworkGroup>
  var secretIsStored: Bool
  /// The last good outbound peers, as persisted, and those of them that were not dialled since the start.
  var anchors: [PeerID] = []
  var anchorsToDial: [PeerID] = []
  var feelerDeadline: Instant
  /// No eviction before.
  var nextEviction: Instant
  var snapshotDeadline = Instant.distantFuture
  var nextPart = 0
  var partsLeft = 0
  /// Of each part as it was written last; 0 for an empty one.
  var partHashes = Array(repeating: UInt64(0), count: AddressBook.snapshotParts)
  var links: [ConnectionID: Link] = [:]
  /// The dials under way, each a race of its target's addresses.
  var rounds: [DialTarget: DialRound] = [:]
  /// The admitted link of each peer.
  var linkOfPeer: [PeerID: ConnectionID] = [:]
  /// The proven link of each peer that waits for a decision.
  var heldOfPeer: [PeerID: ConnectionID] = [:]
  /// The link of each peer that gave way to another one, until it is closed.
  var drainingOfPeer: [PeerID: ConnectionID] = [:]
  var slots = SlotLedger()
  var bans: BanList
  var history: History
  var settings = OperatorSettings()
  /// What happened for which reason, since the start.
  public internal(set) var reasonCounts = ReasonCounts()
  var ownAddresses: Set<Multiaddr> = []
  var selfAddresses: [Multiaddr] = []
  var activeCount = 0
  /// Whether more outbound links would be opened if somebody were known, as of the last input: discovery works harder meanwhile.
  public private(set) var wantsPeers = false
  var isStopping = false
  /// Whether nothing is dialled by itself yet.
  var isWaitingForStart: Bool
  /// The outbound links wanted beyond the minimum.
  var outboundExtra = 0
  var aloneSince: Instant
  var shortSince: Instant?
  /// Outbound links that were lost and not made up for.
  var vacancies = 0
  var twins = TwinWatch()
  /// Why seeds are being asked; `nil` when they are not.
  var seedCause: SeedCause?
  var dialCounts = DialCounts()
  var fillDeadline: Instant
  var needsFill = true
  /// Never later than the first deadline of any link; may be earlier.
  var linkDeadline = Instant.distantFuture
  /// When the next address of a round is due.
  var roundDeadline = Instant.distantFuture
  var banDeadline = Instant.distantFuture
  /// When something last came from anybody: a proof, a pong, something useful.
  var lineProvenAt = Instant.zero
  var ownFaultSaid: Instant?
  var isOwnFaultSuspected = false
  /// Whether a silent link was given up for a dial that finds out whose fault it is.
  var isLineProbed = false
  private var dialNumber: UInt64 = 0
  private var pingNumber: UInt64
  var accepts: TokenBucket
  /// How many accepted links of an address, and of its network, may still end for their score.
  var misdeeds: TokenBuckets<IPNetwork>
  var subnetMisdeeds: TokenBuckets<IPNetwork>
  private var startOutputs: [Output] = []

  static let selfAddressesMaximum = 64

  /// Makes a machine and reads its book.
  ///
  /// - Parameters:
  ///   - localPeer: this node.
  ///   - configuration: the settings.
  ///   - book: the rows of the table `peers`; what cannot be read is set aside with an event in the first turn.
  ///   - clock: tells the wall time of an instant; used for what is persisted only.
  ///   - seed: for the book's first secret, back-off jitter and choices; not to be guessed.
  ///   - now: the present.
  public init(
    localPeer: PeerID, configuration: PeeringConfiguration = .init(), book: [(key: [UInt8], value: [UInt8])] = [], clock: WallClock,
    seed: UInt64, now: Instant
  ) {
    self.localPeer = localPeer
    self.configuration = configuration
    self.clock = clock
    generator = SeededGenerator(seed: seed)
    bans = BanList(maximum: configuration.bansMaximum)
    history = History(maximum: configuration.historyMaximum)
    let secret = Self.secret(book, using: &generator)
    self.book = AddressBook(configuration: configuration.book, groups: configuration.groups, secret: secret.key)
    secretIsStored = secret.isStored
    tellers = TokenBuckets(rate: configuration.toldPerSecond, burst: configuration.toldBurst, maximum: configuration.tellersMaximum)
    isWaitingForStart = configuration.waitsForStart
    pingNumber = generator.next()
    feelerDeadline = .distantFuture
    nextEviction = now
    aloneSince = now
    fillDeadline = now
    let (pause, addresses) = (max(0.001, configuration.misdeedPause.seconds), configuration.misdeedAddressesMaximum)
    misdeeds = TokenBuckets(rate: 1 / pause, burst: Double(configuration.misdeedsPerIPMaximum), maximum: addresses)
    subnetMisdeeds = TokenBuckets(
      rate: Double(configuration.misdeedsPerSubnetMaximum) / Double(max(1, configuration.misdeedsPerIPMaximum)) / pause,
      burst: Double(configuration.misdeedsPerSubnetMaximum), maximum: addresses)
    accepts = TokenBucket(rate: configuration.acceptsPerSecond, burst: configuration.acceptBurst, now: now)
    var outputs: [Output] = []
    load(book, now: now, into: &outputs)
    startOutputs = outputs
    nextDeadline = earliestDeadline
  }

  /// When `timerFired` is due, or `nil` when nothing is.
  ///
  /// Stored, as is ``wantsPeers``: to compute it the whole machine would be copied with all its tables' references, for every input.
  public private(set) var nextDeadline: Instant?

  private var earliestDeadline: Instant? {
    let next = min(linkDeadline, roundDeadline, fillDeadline, banDeadline, feelerDeadline, snapshotDeadline)
    return next == .distantFuture ? nil : next
  }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    if !startOutputs.isEmpty {
      outputs.append(contentsOf: startOutputs)
      startOutputs = []
    }
    switch input {
    case .listening(let addresses): setListening(addresses, now, &outputs)
    case .seekMore(let count):
      outboundExtra = max(0, count)
      needsFill = true
    case .learned(let addresses, let source): learn(addresses, source, now, &outputs)
    case .dialFailed(let id, let failure): dialFailed(id, failure, now, &outputs)
    case .accepted(let id, let remote): accept(id, remote, now, &outputs)
    case .proven(let id, let peer, let remote, let time): prove(id, peer, remote, setUpTime: time, now, &outputs)
    case .introduced(let peer): introduce(peer, now, &outputs)
    case .refused(let peer, let reason), .disconnect(let peer, let reason): disconnect(peer, reason, now, &outputs)
    case .refusedBy(let peer, let reason): refusedBy(peer, reason, now, &outputs)
    case .closed(let id, let end): closed(id, end, now, &outputs)
    case .pong(let id, let nonce): pong(id, nonce, now)
    case .report(let peer, let offence, let detail): report(peer, offence, detail: detail, now, &outputs)
    case .useful(let peer, let use): noteUse(peer, use, now)
    case .dial(let address, let keep): dialByProgram(address, keep: keep, now, &outputs)
    case .reach(let peer): dialForLookUp(peer, now, &outputs)
    case .ban(let subject, let duration, let detail): ban(subject, duration, detail, isOperators: true, now, &outputs)
    case .unban(let subject): unban(subject, now, &outputs)
    case .operate(let id, let command): outputs.append(.operated(id, operate(command, now, &outputs)))
    case .clock(let clock): setClock(clock, now)
    case .start:
      isWaitingForStart = false
      needsFill = true
    case .stop: stop(now, &outputs)
    case .timerFired: break
    }
    runLinkDeadlines(now, &outputs)
    if now >= roundDeadline { runRounds(now, &outputs) }
    expireBans(now, &outputs)
    if needsFill || now >= fillDeadline { fill(now, &outputs) }
    if now >= feelerDeadline { feel(now, &outputs) }
    if now >= snapshotDeadline { writeNextPart(now, &outputs) }
    nextDeadline = earliestDeadline
    wantsPeers = lacksOutbound && slots.total < configuration.totalMaximum
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  mutating func emit(_ event: PeeringEvent, _ now: Instant, _ outputs: inout [Output]) {
    history.record(event, at: now)
    reasonCounts.count(event, cause: event.connection.flatMap { links[$0]?.cause })
    outputs.append(.event(event))
  }

  /// Stores a link and keeps the ledger and the deadline in step.
  mutating func set(_ link: Link) {
    if let old = links[link.id] { slots.remove(old) }
    links[link.id] = link
    slots.add(link)
    linkDeadline = min(linkDeadline, link.deadline)
  }

  /// Takes a link out of the ledger; from here on news of it are ignored.
  mutating func takeOut(_ id: ConnectionID) -> Link? {
    guard let link = links.removeValue(forKey: id) else { return nil }
    slots.remove(link)
    needsFill = true
    if links.isEmpty { linkDeadline = .distantFuture }
    return link
  }

  mutating func newDialID() -> ConnectionID {
    dialNumber += 1
    return .outbound(dialNumber)
  }

  /// A number that peers see and that tells them nothing about any other, as the generator's own might.
  mutating func newNonce() -> UInt64 {
    pingNumber &+= 1
    return book.nonce(pingNumber)
  }

  private mutating func stop(_ now: Instant, _ outputs: inout [Output]) {
    guard !isStopping else { return }
    isStopping = true
    for id in links.keys.sorted() {
      if let link = links[id], link.state == .dialling, let target = link.target {
        endRound(target, Reason(.shutdown), now, &outputs)
      } else {
        close(id, Reason(.shutdown), now, &outputs)
      }
    }
    writeAllParts(&outputs)
    feelerDeadline = .distantFuture
    snapshotDeadline = .distantFuture
    emit(.stopped, now, &outputs)
  }

  private mutating func runLinkDeadlines(_ now: Instant, _ outputs: inout [Output]) {
    guard now >= linkDeadline else { return }
    for id in links.values.filter({ $0.deadline <= now }).map(\.id).sorted() {
      guard let link = links[id], link.deadline <= now else { continue }
      switch link.state {
      case .dialling:
        outputs.append(.cancelDial(id))
        dialFailed(id, .timedOut, now, &outputs)
      case .accepted: close(id, Reason(.handshakeTimeout), now, &outputs)
      case .held: holdExpired(link, now, &outputs)
      case .introducing: close(id, Reason(.introductionTimeout), now, &outputs)
      case .active: keepAlive(link, now, &outputs)
      case .draining: close(id, Reason(.duplicate, "another link is kept"), now, &outputs)
      }
    }
    linkDeadline = links.values.map(\.deadline).min() ?? .distantFuture
  }
}
