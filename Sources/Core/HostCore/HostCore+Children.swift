import Discovery
import Gossip
import Identity
import Peering
import SecureChannel
import Wire

// Each child is told and its outputs are mapped; what a child asks for may lead to telling another.
extension HostCore {
  func run(peering input: PeeringMachine.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [PeeringMachine.Output] = []
    peering.handle(input, now: now, into: &wanted)
    var book = WriteBatch()
    for output in wanted {
      switch output {
      case .dial(let connection, let address, let expecting, let timeout):
        outputs.append(.dial(connection, address, expecting: expecting, timeout: timeout))
      case .cancelDial(let connection): outputs.append(.close(connection, Reason(.unspecified, "the dial is no longer needed")))
      case .yieldDial(let connection): outputs.append(.yield(connection))
      case .admit(let connection): admit(connection, now, &outputs)
      case .close(let connection, let reason): close(connection, reason, now, &outputs)
      case .retire(let connection, let reason): retire(connection, reason, now, &outputs)
      case .ping(let connection, let nonce):
        ping(connection, nonce, now, &outputs)
        if let link = links[connection] { tellScore(of: link.peer, now, &outputs) }
      case .book(.put(let key, let value)): book.put(Self.bookTable, key, value)
      case .book(.remove(let key)): book.remove(Self.bookTable, key)
      case .operated(let id, let answer): outputs.append(.event(.operated(id, answer)))
      case .event(let event):
        if case .peerActive(_, let peer, _) = event { activate(peer, now, &outputs) }
        if case .offence(let peer, _, _, _) = event { tellScore(of: peer, now, &outputs) }
        outputs.append(.event(.peering(event)))
      }
    }
    if !book.isEmpty { outputs.append(.book(book)) }
    if configuration.exchangesPeers { run(exchange: .wantsPeers(peering.wantsPeers), now, &outputs) }
    settleLookUps(now, &outputs)
    tellLinks(now, &outputs)
  }

  /// The table that the peer book is kept in.
  public static let bookTable: StoreTable = "peers"

  func run(gossip input: Gossip.Input, _ now: Instant, _ outputs: inout [Output]) {
    guard let gossip else { return }
    var wanted: [Gossip.Output] = []
    gossip.handle(input, now: now, into: &wanted)
    for output in wanted {
      switch output {
      case .send(let peer, let bytes):
        if let stream = gossipStreams[peer]?.out { outputs.append(.send(stream, bytes)) }
      case .deliver(let message): outputs.append(.event(.gossip(message)))
      case .validate(let message): outputs.append(.event(.validate(message)))
      case .report(let peer, let offence):
        if let counted = Offence(offence) { run(peering: .report(peer, counted, detail: offence.words), now, &outputs) }
      case .published(let topic, let id): outputs.append(.event(.published(topic, id)))
      case .publishFailed(let topic, let error): outputs.append(.event(.publishFailed(topic, error)))
      case .subscribeFailed(let topic, let error): outputs.append(.event(.subscribeFailed(topic, error)))
      case .suggested: break
      case .event(let event): outputs.append(.event(.mesh(event)))
      }
    }
  }

  /// Offences cost a peer its place in the meshes, then its hearing, before they cost it the link; each ping looks whether they are forgotten.
  func tellScore(of peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    let score = min(0, Self.gossipGrace - peering.score(of: peer, now: now))
    guard let streams = gossipStreams[peer], score != streams.score else { return }
    gossipStreams[peer]?.score = score
    run(gossip: .score(peer, score), now, &outputs)
  }

  /// The points of offences that gossip does not hear of: as many as being late costs at most, which may be the network's fault.
  private static let gossipGrace = 10.0

  func run(exchange input: PeerExchange.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [PeerExchange.Output] = []
    exchange.handle(input, now: now, into: &wanted)
    perform(exchange: wanted, now, &outputs)
  }

  private func perform(exchange wanted: [PeerExchange.Output], _ now: Instant, _ outputs: inout [Output]) {
    for output in wanted {
      switch output {
      case .request(let peer):
        guard let stream = makeStream(peer, .request) else { continue }
        startOwn(
          .exchange(peer), on: stream, HostProtocols.peers(configuration.network),
          PeerListMessage.request(maximum: PeerListMessage.addressesMaximum), timeout: .standard, now, &outputs)
      case .cancel: break
      case .learned(let addresses, let peer):
        outputs.append(.event(.discovery(.peerListReceived(peer, addresses: addresses.count))))
        run(peering: .learned(addresses, .exchange(peer)), now, &outputs)
      case .report(let peer, let fault): run(peering: .report(peer, Offence(fault), detail: "in the exchange of peers"), now, &outputs)
      }
    }
  }

  /// Answers a peer's request for peers, or declines it.
  func servePeers(to peer: PeerID, _ request: [UInt8], on stream: StreamRef, _ now: Instant, _ outputs: inout [Output]) {
    if exchange.needsShare(now: now) { exchange.share(peering.shareableAddresses(now: now), now: now) }
    var wanted: [PeerExchange.Output] = []
    do throws(PeerExchange.Refusal) {
      requests.respond(stream, try exchange.serve(peer, request: request.rawSpan, now: now, into: &wanted), now: now, into: &outputs)
    } catch {
      requests.respond(stream, nil, code: error == .tooOften ? .rateLimited : .protocolViolation, now: now, into: &outputs)
    }
    perform(exchange: wanted, now, &outputs)
  }

  /// Takes a peer into the exchange once it is active and known to speak it.
  func exchangePeers(_ connection: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard configuration.exchangesPeers, let link = links[connection], link.isActive, !link.exchangesPeers,
      link.identity?.protocols.contains(HostProtocols.peers(configuration.network)) == true
    else { return }
    links[connection]!.exchangesPeers = true
    run(exchange: .peerActive(link.peer), now, &outputs)
  }

  // MARK: Commands

  func perform(_ command: Command, _ now: Instant, _ outputs: inout [Output]) {
    switch command {
    case .dial(let address, let keep):
      if let peer = address.peer { claim(peer) }
      run(peering: .dial(address, keep: keep), now, &outputs)
    case .learned(let addresses, let source): run(peering: .learned(addresses, source), now, &outputs)
    case .seekMore(let count): run(peering: .seekMore(count), now, &outputs)
    case .resolve(let name, let role): run(discoverer: .name(name, role), now, &outputs)
    case .disconnect(let peer, let reason): run(peering: .disconnect(peer, reason), now, &outputs)
    case .start: run(peering: .start, now, &outputs)
    case .request(let id, let peer, let name, let payload, let timeout, let isApplications):
      request(id, peer, name, payload, timeout: timeout, isApplications: isApplications, now, &outputs)
    case .cancelRequest(let id): if let stream = requests.stream(of: id) { _ = requests.cancel(stream, into: &outputs) }
    case .respond(let stream, let payload): requests.respond(stream, payload, now: now, into: &outputs)
    case .decline(let stream, let code): requests.respond(stream, nil, code: code, now: now, into: &outputs)
    case .openApplicationStream(let token, let peer, let names):
      claim(peer)
      guard let connection = admitted[peer], links[connection]?.isClosing == false else {
        return outputs.append(.applicationRefused(token: token, .notConnected))
      }
      let stream = StreamID.outbound(links[connection]!.nextStream)
      links[connection]!.nextStream += 1
      outputs.append(.openApplication(StreamRef(connection: connection, stream: stream), peer, names, token: token))
    case .serve(let name, let entry, let rate):
      applicationRates[name] = entry == nil ? nil : rate
      guard table[name] != entry else { return }
      table[name] = entry
      outputs.append(.protocols(table))
      pushIdentity(now, &outputs)
    case .lookUp(let id, let query): lookUp(id, query, now, &outputs)
    case .cancelLookUp(let id): cancelLookUp(id, now, &outputs)
    case .stopProviding(let key): run(kademlia: .stopProviding(key), now, &outputs)
    case .setKademliaMode(let mode): setKademliaMode(mode, now, &outputs)
    case .subscribe(let topic, let configuration): run(gossip: .subscribe(topic, configuration), now, &outputs)
    case .unsubscribe(let topic): run(gossip: .unsubscribe(topic), now, &outputs)
    case .configure(let topic, let configuration): run(gossip: .configure(topic, configuration), now, &outputs)
    case .publish(let topic, let data): run(gossip: .publish(topic, data), now, &outputs)
    case .validated(let id, let topic, let verdict): run(gossip: .validated(id, topic: topic, verdict), now, &outputs)
    case .introduce(let peer): run(peering: .introduced(peer), now, &outputs)
    case .refuse(let peer, let reason): run(peering: .refused(peer, reason), now, &outputs)
    case .refusedBy(let peer, let reason): run(peering: .refusedBy(peer, reason), now, &outputs)
    case .report(let peer, let offence, let detail): run(peering: .report(peer, offence, detail: detail), now, &outputs)
    case .useful(let peer, let use): run(peering: .useful(peer, use), now, &outputs)
    case .ban(let subject, let duration, let detail): run(peering: .ban(subject, for: duration, detail), now, &outputs)
    case .unban(let subject): run(peering: .unban(subject), now, &outputs)
    case .operate(let id, let command):
      if case .add(let address, _) = command, let peer = address.peer { claim(peer) }
      run(peering: .operate(id, command), now, &outputs)
    case .stop:
      run(discoverer: .stop, now, &outputs)
      run(peering: .stop, now, &outputs)
    }
  }

  private func request(
    _ id: RequestID, _ peer: PeerID, _ name: ProtocolID, _ payload: [UInt8], timeout: RequestTimeout, isApplications: Bool, _ now: Instant,
    _ outputs: inout [Output]
  ) {
    claim(peer)
    precondition(id.rawValue >> 63 == 0, "request IDs with the top bit set are the host's own")
    guard let connection = admitted[peer] else { return outputs.append(.event(.response(id, .failure(.notConnected)))) }
    guard requests.hasRoom(connection) else { return outputs.append(.event(.response(id, .failure(.tooManyInFlight)))) }
    guard let stream = makeStream(peer, .request) else { return outputs.append(.event(.response(id, .failure(.notConnected)))) }
    start(id, on: stream, name, payload, timeout: timeout, isApplications: isApplications, now, &outputs)
  }
}

extension GossipOffence {
  fileprivate var words: String {
    switch self {
    case .malformedRPC, .oversizedRPC: "in gossip"
    case .graftDuringBackoff: "grafts before the back-off is over"
    case .invalidMessage: "of a gossip message"
    case .brokenPromises: "gossip messages that it announced did not come"
    case .tooManyFields: "fields of gossip"
    case .slow: "it reads gossip slowly"
    }
  }
}

extension Offence {
  /// What a fault in gossip counts as; `nil` for what the mesh deals with itself.
  init?(_ offence: GossipOffence) {
    switch offence {
    case .malformedRPC: self = .malformedMessage
    case .oversizedRPC: self = .oversizedMessage
    case .graftDuringBackoff: self = .rateExceeded
    case .invalidMessage(_, .badSignature), .invalidMessage(_, .forged): self = .invalidSignature
    case .invalidMessage: return nil
    case .brokenPromises: self = .late
    case .tooManyFields: self = .rateExceeded
    case .slow: return nil
    }
  }

  init(_ fault: PeerExchange.Fault) {
    switch fault {
    case .malformed: self = .malformedMessage
    case .unsolicited: self = .unsolicited
    case .tooManyRequests: self = .rateExceeded
    case .junk: self = .junkAddresses
    }
  }
}
