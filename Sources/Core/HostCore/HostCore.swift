import Discovery
import Gossip
import Identity
import Peering
import SecureChannel
import Wire

/// A libp2p host as one machine: peers and their links, identify, ping, gossip, peer exchange, requests and answers.
///
/// Owned and driven by one shell thread or by the simulator: inputs in, outputs out, one timer. It never sees a socket;
/// links reach it as proven identities and streams as whole messages. After ``handle(_:now:into:)`` re-read ``nextDeadline``.
public final class HostCore {
  let configuration: Configuration
  let crypto: any CryptoSuite
  let key: NodeKey
  /// This host's name.
  public var peerID: PeerID { key.peerID }
  /// The protocols that this host answers.
  public internal(set) var table: ProtocolTable
  /// The addresses that this host listens on.
  public private(set) var listenAddresses: [Multiaddr] = []
  /// The addresses that this host tells others.
  public internal(set) var advertisedAddresses: [Multiaddr] = []
  /// Who is dialled, admitted and kept.
  public internal(set) var peering: PeeringMachine
  /// The mesh, unless left out.
  public let gossip: Gossip?
  var exchange: PeerExchange
  var discoverer: Discoverer
  var dialBackServer: DialBackServer
  /// Whose request each dial-back answers.
  var dialBacks: [ProbeID: StreamRef] = [:]
  var requests: Requests
  /// What peers make this host keep: requests that wait for an answer. Links keep their own books.
  public let memory: MemoryScope
  /// Streams, requests and messages of peers that were refused, by what the peer was told. What else was refused is in ``peering``.
  public internal(set) var streamRefusals: [ResetCode: UInt64] = [:]
  /// Connections that were not accepted because this machine lacked descriptors, memory or time.
  public private(set) var connectionsNotAccepted: UInt64 = 0
  var links: [ConnectionID: Link] = [:]
  /// What peers may ask, and be asked.
  private(set) var rates: RateTable
  /// How often peers may ask each of the application's protocols that has a rate of its own, apart from the host's rates.
  var applicationRates: [ProtocolID: RateLimits.Rate] = [:]
  var admitted: [PeerID: ConnectionID] = [:]
  /// Requests that the host itself sent, by their IDs (top bit set).
  var ownRequests: [RequestID: OwnRequest] = [:]
  private var nextOwnRequest: UInt64 = 1
  /// The gossip streams of each peer that takes part.
  var gossipStreams: [PeerID: GossipStreams] = [:]
  /// When the stream to a peer is opened again.
  var gossipRetries = DeadlineQueue<PeerID>()
  /// When a push of identify on a link is given up, or tried again.
  var pushDeadlines = DeadlineQueue<ConnectionID>()
  var kademliaState: KademliaState?

  enum OwnRequest {
    case identify(ConnectionID)
    case exchange(PeerID)
    case kademlia(KademliaRequestID)
    case dialBack(PeerID, Multiaddr)
  }

  /// Makes a host.
  ///
  /// - Parameters:
  ///   - key: the node's key, which proves its PeerID.
  ///   - book: what was persisted by `book` outputs in an earlier life.
  ///   - clock: tells the wall time of an instant.
  ///   - seed: the seed of everything drawn at random.
  public init(
    key: NodeKey, crypto: any CryptoSuite, configuration: Configuration = .init(), book: [(key: [UInt8], value: [UInt8])] = [],
    clock: WallClock, seed: UInt64, now: Instant
  ) {
    self.key = key
    self.crypto = crypto
    self.configuration = configuration
    memory = MemoryScope(limit: configuration.memoryMaximum)
    requests = Requests(configuration: .init(), rates: configuration.rates)
    rates = RateTable(configuration.rates)
    var generator = SeededGenerator(seed: seed)
    peering = PeeringMachine(
      localPeer: key.peerID, configuration: configuration.peering, book: book, clock: clock, seed: generator.next(), now: now)
    gossip = configuration.gossip.map {
      Gossip(
        configuration: $0, key: key, crypto: crypto, seed: generator.next(),
        firstSequence: UInt64(max(0, clock.time(at: now).milliseconds)) * 1_000_000, now: now)
    }
    exchange = PeerExchange(localPeer: key.peerID, configuration: configuration.exchange)
    discoverer = Discoverer(localPeer: key.peerID, configuration: configuration.discovery, seed: generator.next(), now: now)
    dialBackServer = DialBackServer(configuration: configuration.discovery.dialBack)
    table = ProtocolTable([
      HostProtocols.ping: .init(framing: .fixed(bytes: 32), isVital: true),
      HostProtocols.identify: .init(framing: .lengthPrefixed(maximumBytes: IdentifyInfo.maximumMessageBytes), isVital: true),
      HostProtocols.identifyPush: .init(framing: .lengthPrefixed(maximumBytes: IdentifyInfo.maximumMessageBytes), isVital: true),
      HostProtocols.goodbye: .init(framing: .lengthPrefixed(maximumBytes: Reason.maximumBytes), isVital: true),
    ])
    if configuration.discovery.dialBack.isEnabled {
      table[HostProtocols.autoNAT] = .init(framing: .lengthPrefixed(maximumBytes: HostProtocols.autoNATBytesMaximum))
    }
    if let gossip = configuration.gossip {
      for version in configuration.gossipProtocols {
        table[ProtocolID(version.name)] = .init(framing: .lengthPrefixed(maximumBytes: gossip.maximumRPCBytes), isVital: true)
      }
    }
    if configuration.exchangesPeers {
      table[HostProtocols.peers(configuration.network)] = .init(
        framing: .lengthPrefixed(maximumBytes: PeerListMessage.responseBytesMaximum),
        inboundMaximumBytes: PeerListMessage.requestBytesMaximum)
    }
    if configuration.kademlia != nil { startKademlia(seed: generator.next()) }
  }

  /// Whether a peer has a link in use that is not being closed. O(1).
  public func isActive(_ peer: PeerID) -> Bool { admitted[peer].flatMap { links[$0] }.map { $0.isActive && !$0.isClosing } ?? false }

  /// When `timer` is wanted; `nil` when nothing waits for time to pass.
  public var nextDeadline: Instant? {
    var deadline: Instant?
    func consider(_ other: Instant?) {
      if let other, deadline == nil || other < deadline! { deadline = other }
    }
    consider(peering.nextDeadline)
    consider(gossip?.nextDeadline)
    consider(exchange.nextDeadline)
    consider(discoverer.nextDeadline)
    consider(requests.nextDeadline)
    consider(kademliaState?.nextDeadline)
    consider(gossipRetries.next)
    consider(pushDeadlines.next)
    return deadline
  }

  /// Takes one input and appends what is to be done. A spurious `timer` is harmless; `now` never goes backwards.
  public func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    let first = outputs.count
    perform(input, now, &outputs)
    if kademliaState?.held.isEmpty == false { releaseLookUps(now, &outputs) }
    // A stream that this side gives up ends without a word from the shell.
    for output in outputs[first...] {
      guard case .reset(let stream, let code) = output else { continue }
      links[stream.connection]?.streams[stream.stream] = nil
      if code != .unspecified { streamRefusals[code, default: 0] += 1 }
    }
  }

  private func perform(_ input: Input, _ now: Instant, _ outputs: inout [Output]) {
    switch input {
    case .listening(let addresses):
      listenAddresses = addresses
      run(peering: .listening(addresses), now, &outputs)
      outputs.append(.event(.listening(addresses)))
      run(discoverer: .listening(addresses), now, &outputs)
    case .accepted(let connection, let remote):
      run(peering: .accepted(connection, remote: remote), now, &outputs)
      if peering.hasLink(connection) { outputs.append(.accept(connection)) }
    case .notAccepted(let count, let reason):
      connectionsNotAccepted += UInt64(max(0, count))
      outputs.append(.event(.notAccepted(count, reason)))
    case .clock(let clock): run(peering: .clock(clock), now, &outputs)
    case .failed(let connection, let error): failed(connection, error, now, &outputs)
    case .established(let connection, let identity, let remote): established(connection, identity, remote, now, &outputs)
    case .closed(let connection, let error): closed(connection, error, now, &outputs)
    case .overdrawn(let connection):
      guard let link = links[connection] else { break }
      run(
        peering: .disconnect(link.peer, Reason(.resourceLimit, "memory for links is short, and this one takes most of it")), now, &outputs)
    case .streamOpened(let stream, let name, let arrived): streamOpened(stream, name, arrived: arrived ?? now, now, &outputs)
    case .streamAccepted: break
    case .message(let stream, let bytes, let arrived): message(stream, bytes, arrived: arrived ?? now, now, &outputs)
    case .streamFinished(let stream): streamFinished(stream, now, &outputs)
    case .streamEnded(let stream, let error): streamEnded(stream, error, now, &outputs)
    case .writable(let stream): flow(stream, isWritable: true, now, &outputs)
    case .blocked(let stream): flow(stream, isWritable: false, now, &outputs)
    case .discovered(.probed(let id, let isReached)): dialBackEnded(id, isReached, now, &outputs)
    case .discovered(let report): run(discoverer: .report(report), now, &outputs)
    case .command(let command): perform(command, now, &outputs)
    case .timer: timer(now, &outputs)
    }
  }

  /// Takes one input and returns what it led to.
  public func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// What an admitted peer says of itself, once identify has run.
  public func identity(of peer: PeerID) -> IdentifyInfo? { admitted[peer].flatMap { links[$0]?.identity } }

  /// Where the admitted link of a peer leads, and who opened it; `nil` without one.
  public func link(of peer: PeerID) -> (connection: ConnectionID, remote: Multiaddr, direction: Direction)? {
    guard let connection = admitted[peer], let link = links[connection] else { return nil }
    return (connection, link.remote, link.direction)
  }

  /// The peers with an admitted link, in order.
  public var connectedPeers: [PeerID] { admitted.keys.sorted() }

  /// How many streams of a link this host has opened or accepted and keeps something of; 0 when the link is gone. For checks and metrics.
  public func streamCount(of connection: ConnectionID) -> Int { (links[connection]?.streams.count ?? 0) - requests.parkedCount(connection) }

  private func timer(_ now: Instant, _ outputs: inout [Output]) {
    if let deadline = requests.nextDeadline, deadline <= now {
      requests.release(now, into: &outputs)
      let ended = requests.expire(now, into: &outputs)
      for (id, connection) in ended.late {
        links[connection]?.lateAnswers += 1
        answered(id, .failure(.timeout), now, &outputs)
      }
      for (connection, name) in ended.unread {
        guard let link = links[connection] else { continue }
        outputs.append(.event(.answered(link.peer, name, .limit("the peer did not read the answer in time"))))
      }
    }
    if let deadline = peering.nextDeadline, deadline <= now { run(peering: .timerFired, now, &outputs) }
    if let deadline = gossip?.nextDeadline, deadline <= now { run(gossip: .timer, now, &outputs) }
    if let deadline = exchange.nextDeadline, deadline <= now { run(exchange: .timerFired, now, &outputs) }
    if let deadline = kademliaState?.nextDeadline, deadline <= now { kademliaTimer(now, &outputs) }
    if let deadline = discoverer.nextDeadline, deadline <= now { run(discoverer: .timerFired, now, &outputs) }
    while let peer = gossipRetries.popExpired(now) { openGossip(peer, now, &outputs) }
    while let connection = pushDeadlines.popExpired(now) { pushIsDue(connection, now, &outputs) }
  }

  // MARK: Links

  private func established(
    _ connection: ConnectionID, _ identity: RemoteIdentity, _ remote: Multiaddr, _ now: Instant, _ outputs: inout [Output]
  ) {
    let allowance = rates.arrive(identity.peer, from: addressForRates(remote), now: now)
    requests.linkOpened(connection, allowance.outbound)
    links[connection] = Link(
      peer: identity.peer, remote: remote, direction: connection.isInbound ? .inbound : .outbound, setUpTime: identity.setUpTime,
      rates: allowance.inbound, memory: MemoryScope(limit: configuration.memoryPerPeerMaximum, in: memory))
    run(peering: .proven(connection, identity.peer, remote: remote, setUpTime: identity.setUpTime), now, &outputs)
  }

  /// Whose peers share what one of them has used up.
  private func addressForRates(_ remote: Multiaddr) -> IPNetwork? {
    guard let ip = remote.ipAddress, !(configuration.peering.exemptsLoopback && ip.isLoopback) else { return nil }
    return ip.home
  }

  /// Peering chose this link as the peer's one.
  func admit(_ connection: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[connection] else { return }
    if let old = admitted[link.peer], old != connection { detach(old, Reason(.duplicate), .closedLocally("duplicate"), now, &outputs) }
    admitted[link.peer] = connection
    outputs.append(.admit(connection))
    let stream = links[connection]!.makeStream(connection, .request)
    startOwn(.identify(connection), on: stream, HostProtocols.identify, nil, timeout: .heavy, now, &outputs)
    outputs.append(.event(.peerProven(link.peer, connection, link.direction, remote: link.remote)))
  }

  /// The peer's link carries traffic from here on.
  func activate(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard let connection = admitted[peer], links[connection]?.isActive == false else { return }
    links[connection]!.isActive = true
    outputs.append(.event(.peerActive(peer)))
    joinGossip(peer, now, &outputs)
    exchangePeers(connection, now, &outputs)
    noteServer(connection, now, &outputs)
  }

  /// The remote has ended the link, or said that it will not use it.
  func closed(_ connection: ConnectionID, _ error: ChannelError, _ now: Instant, _ outputs: inout [Output]) {
    let end = links[connection]?.farewell.map { LinkEnd.goodbye($0) } ?? Self.linkEnd(error)
    if let link = links[connection] {
      link.isClosing = true
      rates.leave(link.peer, from: addressForRates(link.remote), now: now)
    }
    detach(connection, end.reason, error, now, &outputs)
    links[connection] = nil
    run(peering: .closed(connection, end), now, &outputs)
  }

  /// Ends everything that runs over a link. Does nothing the second time.
  private func detach(_ connection: ConnectionID, _ reason: Reason, _ error: ChannelError, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[connection] else { return }
    // What the remote has opened is served on a link that drains.
    link.streams = link.isDraining && !link.isClosing ? link.streams.filter { !$0.key.isOutbound } : [:]
    pushDeadlines.remove(connection)
    detachGossip(connection, link, now, &outputs)
    if admitted[link.peer] == connection {
      admitted[link.peer] = nil
      if link.isActive {
        links[connection]?.isActive = false
        if link.exchangesPeers { run(exchange: .peerGone(link.peer), now, &outputs) }
      }
      outputs.append(.event(.peerGone(link.peer, reason)))
      run(discoverer: .peerGone(link.peer), now, &outputs)
    }
    // Only now: those who ask again at once must find the peer gone.
    let keepsInbound = link.isDraining && !link.isClosing
    for (id, result) in requests.linkClosed(connection, error, keepsInbound: keepsInbound) { answered(id, result, now, &outputs) }
  }

  /// Another link to the peer is kept: says so, and serves what the remote has opened on this one until it closes, or its time is over.
  func retire(_ connection: ConnectionID, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[connection], !link.isClosing, !link.isDraining else { return }
    link.isDraining = true
    detach(connection, reason, .closedLocally(reason.description), now, &outputs)
    sayGoodbye(connection, link, reason, &outputs)
    outputs.append(.drain(connection))
  }

  private func sayGoodbye(_ connection: ConnectionID, _ link: Link, _ reason: Reason, _ outputs: inout [Output]) {
    let stream = link.makeStream(connection, .oneWay)
    outputs.append(.open(stream, [HostProtocols.goodbye]))
    outputs.append(.send(stream, reason.encoded))
    outputs.append(.finish(stream))
  }

  /// Says why, then closes.
  func close(_ connection: ConnectionID, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]) {
    if let link = links[connection], !link.isClosing {
      link.isClosing = true
      if !link.isDraining { sayGoodbye(connection, link, reason, &outputs) }
    }
    outputs.append(.close(connection, reason))
    detach(connection, reason, .closedLocally(reason.description), now, &outputs)
  }

  /// A dial failed, or an accepted link before it was proven.
  private func failed(_ connection: ConnectionID, _ error: ChannelError, _ now: Instant, _ outputs: inout [Output]) {
    if connection.isInbound {
      run(peering: .closed(connection, Self.handshakeEnd(error)), now, &outputs)
    } else {
      run(peering: .dialFailed(connection, Self.dialFailure(error)), now, &outputs)
    }
  }

  private static func dialFailure(_ error: ChannelError) -> DialFailure {
    switch error {
    case .wrongPeer(_, let actual): .wrongPeer(actual)
    case .handshakeTimeout: .timedOut
    case .turnedAway(let text, let reason): .turnedAway(text, reason.flatMap { Reason.Code(name: $0) })
    case .notInNetwork(let text): .notInNetwork(text)
    case .transport(let fault):
      switch fault.kind {
      case .refused: .refused
      case .timedOut: .timedOut
      case .unreachable: .unreachable
      case .other: .transport(fault.description)
      }
    default: .handshake(error.description)
    }
  }

  private static func handshakeEnd(_ error: ChannelError) -> LinkEnd {
    switch error {
    case .limit(let text): .limit(text)
    case .notInNetwork(let text): .notInNetwork(text)
    case .handshakeTimeout: .goodbye(Reason(.handshakeTimeout))
    default: .handshake(error.description)
    }
  }

  private static func linkEnd(_ error: ChannelError) -> LinkEnd {
    switch error {
    case .endOfFile, .remoteGoAway(0): .remoteClosed
    case .transport(let fault): .transport(fault.description)
    case .closedLocally(let text): .transport(text)
    case .limit(let text): .limit(text)
    default: .protocolViolation(error.description)
    }
  }

  // MARK: Requests

  /// Whether a peer's request on a stream still waits for ``Command/respond(_:_:)`` or ``Command/decline(_:code:)``.
  public func awaitsAnswer(_ stream: StreamRef) -> Bool { requests.awaitsAnswer(stream) }

  /// Bytes of answers to a peer that have not left yet; ``Event/answered(_:)`` tells when there are fewer.
  public func unsentAnswerBytes(of peer: PeerID) -> Int { admitted[peer].map { requests.unsentBytes($0) } ?? 0 }

  func makeStream(_ peer: PeerID, _ role: Link.StreamRole) -> StreamRef? {
    guard let connection = admitted[peer], links[connection]?.isClosing == false else { return nil }
    return links[connection]!.makeStream(connection, role)
  }

  func startOwn(
    _ request: OwnRequest, on stream: StreamRef, _ name: ProtocolID, _ payload: [UInt8]?, timeout: RequestTimeout, _ now: Instant,
    _ outputs: inout [Output]
  ) {
    let id = RequestID(rawValue: nextOwnRequest | 1 << 63)
    nextOwnRequest += 1
    ownRequests[id] = request
    start(id, on: stream, name, payload, timeout: timeout, now, &outputs)
  }

  /// Sends a request with the time that its class and the peer's round trip give it.
  func start(
    _ id: RequestID, on stream: StreamRef, _ name: ProtocolID, _ payload: [UInt8]?, timeout: RequestTimeout, isApplications: Bool = false,
    _ now: Instant, _ outputs: inout [Output]
  ) {
    let link = links[stream.connection]
    let duration = configuration.timeouts.duration(
      timeout, measured: link.flatMap { peering.roundTripEstimate(of: $0.peer) }, setUpTime: link?.setUpTime,
      lateAnswers: link?.lateAnswers ?? 0)
    // The other end may hold this host's own protocols to the rates that this host has.
    let isPaced = !isApplications || (speaks(name) && applicationRates[name] == nil)
    requests.start(
      id, on: stream, name, payload, isApplications: isApplications, isPaced: isPaced, deadline: now + duration, now: now, into: &outputs)
  }

  /// A request ended: the host's own are used here, the others are told to the parent.
  func answered(_ id: RequestID, _ result: Result<[UInt8], RequestError>, _ now: Instant, _ outputs: inout [Output]) {
    switch ownRequests.removeValue(forKey: id) {
    case nil: outputs.append(.event(.response(id, result)))
    case .identify(let connection):
      guard case .success(let bytes) = result else { return }
      guard let info = try? IdentifyInfo(encoded: bytes.rawSpan, speaks: speaks) else { return malformed(connection, now, &outputs) }
      identified(connection, info, now, &outputs)
    case .kademlia(let request): answered(kademlia: request, result, now, &outputs)
    case .dialBack(let peer, let address):
      run(discoverer: .dialBackAnswered(peer, address, try? result.get()), now, &outputs)
    case .exchange(let peer):
      switch result {
      case .success(let bytes): run(exchange: .response(peer, bytes), now, &outputs)
      case .failure(.failed(.negotiationFailed)): run(exchange: .requestFailed(peer, mayRetry: false), now, &outputs)
      case .failure: run(exchange: .requestFailed(peer, mayRetry: true), now, &outputs)
      }
    }
  }
}
