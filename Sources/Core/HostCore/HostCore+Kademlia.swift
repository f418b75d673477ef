import Discovery
import Identity
import Peering
import SecureChannel
import Wire

/// What the host keeps for its Kademlia machine: requests that wait for a link, and the links that exist for look-ups alone.
struct KademliaState {
  struct Waiting {
    let id: KademliaRequestID
    let peer: PeerID
    let payload: [UInt8]
    /// When it is given up if it still waits for others.
    var deadline: Instant
    var isDialled = false
    /// It was on its way already when its link ended.
    var isRepeated = false
    /// It waits for a slot, or for the link that its peer has made.
    var awaitsOthers = false
  }

  var machine: Kademlia
  let name: ProtocolID
  /// Inputs in the order in which they came; one leads to others.
  var inputs: [Kademlia.Input] = []
  var isRunning = false
  var waiting: [Waiting] = []
  /// Look-ups that wait for the first server, since links are being set up that may lead to one, and by when they begin anyway.
  var held: [(id: LookUpID, query: Kademlia.Query, deadline: Instant)] = []
  var isSettling = false
  var mustSettle = false
  /// Requests that wait for their answer.
  var asked: [KademliaRequestID: (stream: StreamRef, request: Waiting)] = [:]
  /// Links that were dialled for look-ups and that nobody else has asked for, by when they are closed unless they are used.
  var links = DeadlineQueue<PeerID>()
  /// Streams that peers opened for requests, by when they are given up.
  var served = DeadlineQueue<StreamRef>()

  var nextDeadline: Instant? {
    let patience = waiting.lazy.filter(\.awaitsOthers).map(\.deadline).min()
    return [machine.nextDeadline, links.next, served.next, patience, held.first?.deadline].lazy.compactMap { $0 }.min()
  }
}

extension HostCore {
  /// How long a request may wait for a free slot, or for a link of its peer's, before the peer is passed over.
  private static let patience = Duration.seconds(5)
  /// How long a look-up waits for the first server while links are set up: as long as a peer may take to say what it speaks.
  private static let firstServerPatience = Duration.seconds(10)
  /// How long a link that was made for a look-up is kept after its last use.
  private static let linkIdle = Duration.seconds(60)
  /// How long a peer's stream may be silent (go-libp2p: 1 min).
  private static let streamIdle = Duration.seconds(60)
  /// The most streams for requests that one peer may have open; a further one is reset.
  private static let streamsMaximum = 32

  /// How peers are found and entries are stored; `nil` where that is switched off.
  public var kademlia: Kademlia? { kademliaState?.machine }

  /// The program relies on the link to a peer: it is not closed when the look-ups that it was made for are over.
  public func claim(_ peer: PeerID) { kademliaState?.links.remove(peer) }

  func startKademlia(seed: UInt64) {
    guard let configuration = configuration.kademlia else { return }
    kademliaState = KademliaState(
      machine: Kademlia(localPeer: peerID, crypto: crypto, configuration: configuration, seed: seed), name: self.configuration.kademliaName)
    if configuration.mode == .server { table[self.configuration.kademliaName] = Self.kademliaEntry }
  }

  private static let kademliaEntry = ProtocolTable.Entry(framing: .lengthPrefixed(maximumBytes: KademliaMessage.maximumBytes))

  // MARK: The machine

  func run(kademlia input: Kademlia.Input, _ now: Instant, _ outputs: inout [Output]) {
    guard kademliaState != nil else { return }
    kademliaState!.inputs.append(input)
    if kademliaState!.isRunning { return }
    kademliaState!.isRunning = true
    var next = 0
    while next < kademliaState!.inputs.count {
      var wanted: [Kademlia.Output] = []
      kademliaState!.machine.handle(kademliaState!.inputs[next], now: now, into: &wanted)
      next += 1
      perform(kademlia: wanted, now, &outputs)
    }
    kademliaState!.inputs = []
    kademliaState!.isRunning = false
  }

  private func perform(kademlia wanted: [Kademlia.Output], _ now: Instant, _ outputs: inout [Output]) {
    for output in wanted {
      switch output {
      case .request(let id, let peer, let addresses, let bytes): request(id, peer, addresses, bytes, now, &outputs)
      case .cancel(let id):
        kademliaState!.waiting.removeAll { $0.id == id }
        guard let asked = kademliaState!.asked.removeValue(forKey: id) else { continue }
        if let own = requests.cancel(asked.stream, into: &outputs) { ownRequests[own] = nil }
      case .learned(let addresses, let peer): run(peering: .learned(addresses, .exchange(peer)), now, &outputs)
      case .progress(let id, let progress): outputs.append(.event(.lookUp(id, progress)))
      case .finished(let id, .peer(var found, let isReached)):
        // What the peer itself says counts more than what others say of it.
        if isReached, !peering.addresses(of: found.peer).isEmpty { found.addresses = peering.addresses(of: found.peer) }
        outputs.append(.event(.lookedUp(id, .peer(found, isReached: isReached))))
      case .finished(let id, let outcome): outputs.append(.event(.lookedUp(id, outcome)))
      case .report(let peer, let fault): run(peering: .report(peer, Offence(fault), detail: "in Kademlia"), now, &outputs)
      }
    }
  }

  /// A peer has said which protocols it answers.
  func noteServer(_ connection: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard let state = kademliaState, let link = links[connection], link.isActive, let identity = link.identity else { return }
    guard identity.protocols.contains(state.name) else { return run(kademlia: .notServer(link.peer), now, &outputs) }
    let addresses = peering.shareableAddresses(of: link.peer, now: now)
    run(kademlia: .server(link.peer, addresses: addresses, remote: link.remote.ipAddress), now, &outputs)
  }

  func kademliaTimer(_ now: Instant, _ outputs: inout [Output]) {
    endServed(now, &outputs)
    while let peer = kademliaState!.links.popExpired(now) { endLookUpLink(peer, now, &outputs) }
    for item in kademliaState!.waiting where item.awaitsOthers && item.deadline <= now {
      kademliaState!.waiting.removeAll { $0.id == item.id }
      run(kademlia: .failed(item.id, .noRoom), now, &outputs)
    }
    if let deadline = kademliaState!.machine.nextDeadline, deadline <= now { run(kademlia: .timerFired, now, &outputs) }
  }

  // MARK: Commands

  func lookUp(_ id: LookUpID, _ query: Kademlia.Query, _ now: Instant, _ outputs: inout [Output]) {
    guard kademliaState != nil else { return outputs.append(.event(.lookedUp(id, .failure(.invalid("Kademlia is switched off"))))) }
    if case .findPeer(let peer) = query, isActive(peer) {
      let found = FoundPeer(peer, peering.addresses(of: peer))
      return outputs.append(.event(.lookedUp(id, .peer(found, isReached: true))))
    }
    guard isMeetingServers else { return run(kademlia: .start(id, query), now, &outputs) }
    guard kademliaState!.held.count < kademliaState!.machine.configuration.lookUpsMaximum else {
      return outputs.append(.event(.lookedUp(id, .failure(.limit))))
    }
    kademliaState!.held.append((id, query, now + Self.firstServerPatience))
  }

  /// Whether no server is known, but links are being set up, or peers are being asked what they speak. O(links + requests of this host).
  private var isMeetingServers: Bool {
    guard let machine = kademliaState?.machine, !machine.hasServers else { return false }
    if ownRequests.values.contains(where: { if case .identify = $0 { true } else { false } }) { return true }
    return peering.isMeeting
  }

  /// Begins look-ups that have waited for a first server: one is known now, none is to be expected any more, or their time is over.
  func releaseLookUps(_ now: Instant, _ outputs: inout [Output]) {
    guard let first = kademliaState?.held.first, first.deadline <= now || !isMeetingServers else { return }
    let held = kademliaState!.held
    kademliaState!.held = []
    for (id, query, _) in held { run(kademlia: .start(id, query), now, &outputs) }
  }

  func cancelLookUp(_ id: LookUpID, _ now: Instant, _ outputs: inout [Output]) {
    guard let index = kademliaState?.held.firstIndex(where: { $0.id == id }) else { return run(kademlia: .cancel(id), now, &outputs) }
    kademliaState!.held.remove(at: index)
    outputs.append(.event(.lookedUp(id, .failure(.cancelled))))
  }

  func setKademliaMode(_ mode: Kademlia.Mode, _ now: Instant, _ outputs: inout [Output]) {
    guard let state = kademliaState, state.machine.mode != mode else { return }
    kademliaState!.machine.setMode(mode)
    table[state.name] = mode == .server ? Self.kademliaEntry : nil
    outputs.append(.protocols(table))
    // A peer that keeps its stream for further requests would go on asking, and take us for a server.
    if mode == .client { endServed(.distantFuture, &outputs) }
    pushIdentity(now, &outputs)
  }

  /// Ends the streams of peers whose time is up.
  private func endServed(_ now: Instant, _ outputs: inout [Output]) {
    while let stream = kademliaState!.served.popExpired(now) {
      if case .kademlia? = links[stream.connection]?.streams[stream.stream] { outputs.append(.reset(stream)) }
    }
  }

  // MARK: Requests to peers

  private func request(
    _ id: KademliaRequestID, _ peer: PeerID, _ addresses: [Multiaddr], _ payload: [UInt8], _ now: Instant, _ outputs: inout [Output]
  ) {
    let request = KademliaState.Waiting(id: id, peer: peer, payload: payload, deadline: now + Self.patience)
    if isActive(peer) { return send(request, now, &outputs) }
    // A stranger's names are not looked up. The peer may have been forgotten since it was heard of.
    let heard = addresses.filter { $0.ipAddress != nil }.map { PeerAddress(peer: peer, address: $0) }
    kademliaState!.waiting.append(request)
    run(peering: .learned(heard, .discovery), now, &outputs)
    settleLookUps(now, &outputs)
  }

  private func send(_ request: KademliaState.Waiting, _ now: Instant, _ outputs: inout [Output]) {
    let peer = request.peer
    guard let stream = makeStream(peer, .request) else { return run(kademlia: .failed(request.id, .unreachable), now, &outputs) }
    kademliaState!.asked[request.id] = (stream, request)
    if kademliaState!.links[peer] != nil { kademliaState!.links.set(peer, now + Self.linkIdle) }
    startOwn(.kademlia(request.id), on: stream, kademliaState!.name, request.payload, timeout: .standard, now, &outputs)
  }

  func answered(kademlia id: KademliaRequestID, _ result: Result<[UInt8], RequestError>, _ now: Instant, _ outputs: inout [Output]) {
    guard let asked = kademliaState?.asked.removeValue(forKey: id) else { return }
    switch result {
    case .failure where admitted[asked.request.peer] != asked.stream.connection && !asked.request.isRepeated:
      askAgain(asked.request, after: links[asked.stream.connection]?.farewell, now)
    case .success(let bytes):
      run(kademlia: .answer(id, bytes, from: links[asked.stream.connection]?.remote.ipAddress), now, &outputs)
    case .failure(.failed(.negotiationFailed)): run(kademlia: .failed(id, .unsupported), now, &outputs)
    case .failure(.noAnswer): run(kademlia: .failed(id, .noAnswer), now, &outputs)
    case .failure: run(kademlia: .failed(id, .broken), now, &outputs)
    }
    // The link may give way to another now.
    settleLookUps(now, &outputs)
  }

  /// The link ended, perhaps because one of the peer's own took its place; the peer is not to blame.
  private func askAgain(_ request: KademliaState.Waiting, after farewell: Reason?, _ now: Instant) {
    var request = request
    request.isRepeated = true
    request.isDialled = farewell?.code == .duplicate || farewell?.code == .replaced
    request.deadline = now + Self.patience
    kademliaState!.waiting.append(request)
  }

  /// Looks after requests that wait for a link. Called when anything has changed with peers.
  func settleLookUps(_ now: Instant, _ outputs: inout [Output]) {
    guard kademliaState?.waiting.isEmpty == false else { return }
    if kademliaState!.isSettling {
      kademliaState!.mustSettle = true
      return
    }
    kademliaState!.isSettling = true
    repeat {
      kademliaState!.mustSettle = false
      for item in kademliaState!.waiting { settle(item, now, &outputs) }
    } while kademliaState!.mustSettle && !kademliaState!.waiting.isEmpty
    kademliaState!.isSettling = false
  }

  private func settle(_ item: KademliaState.Waiting, _ now: Instant, _ outputs: inout [Output]) {
    guard let index = kademliaState!.waiting.firstIndex(where: { $0.id == item.id }) else { return }
    let reach = peering.reach(of: item.peer, now: now)
    let wasWaiting = kademliaState!.waiting[index].awaitsOthers
    kademliaState!.waiting[index].awaitsOthers = reach == .noSlot || reach == .busy
    switch reach {
    case .active where admitted[item.peer] == nil: break  // It is just ending.
    case .active:
      kademliaState!.waiting.remove(at: index)
      send(item, now, &outputs)
    case .connecting, .busy: break
    case .dialable where !kademliaState!.waiting[index].isDialled:
      kademliaState!.waiting[index].isDialled = true
      kademliaState!.links.set(item.peer, now + Self.linkIdle)
      run(peering: .reach(item.peer), now, &outputs)
    case .noSlot: makeRoom(now, &outputs)
    case .dialable:
      // The dial ended, and nobody is to blame: it gave way to one of the peer's, which may still be on its way.
      kademliaState!.waiting[index].awaitsOthers = true
      if !wasWaiting { kademliaState!.waiting[index].deadline = now + Self.patience }
    case .unreachable:
      kademliaState!.waiting.remove(at: index)
      kademliaState!.links.remove(item.peer)
      run(kademlia: .failed(item.id, .unreachable), now, &outputs)
    }
  }

  // MARK: Links for look-ups

  /// Closes the link that a look-up has needed least lately, if there is one that nobody waits on.
  private func makeRoom(_ now: Instant, _ outputs: inout [Output]) {
    var passedOver: [(PeerID, Instant)] = []
    defer { for (peer, deadline) in passedOver { kademliaState!.links.set(peer, deadline) } }
    while let deadline = kademliaState!.links.next, let peer = kademliaState!.links.popExpired(deadline) {
      guard isActive(peer), !isAsked(peer) else {
        passedOver.append((peer, deadline))
        continue
      }
      return run(peering: .disconnect(peer, Reason(.idle, "made for a look-up")), now, &outputs)
    }
  }

  /// A link that was made for a look-up has not been used for its time: it is closed, unless the node is short of links anyway.
  private func endLookUpLink(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard let connection = admitted[peer], links[connection]?.direction == .outbound, peering.hasSpareOutbound else { return }
    if isAsked(peer) { return kademliaState!.links.set(peer, now + Self.linkIdle) }
    run(peering: .disconnect(peer, Reason(.idle, "made for a look-up")), now, &outputs)
  }

  /// Whether a request to or from the peer may be under way.
  private func isAsked(_ peer: PeerID) -> Bool {
    if kademliaState!.waiting.contains(where: { $0.peer == peer }) { return true }
    guard let connection = admitted[peer] else { return false }
    // go-libp2p keeps its stream for further requests, and forgets a server whose streams break.
    let isServed = links[connection]?.streams.values.contains { if case .kademlia = $0 { true } else { false } } ?? false
    return isServed || kademliaState!.asked.values.contains { $0.stream.connection == connection }
  }

  // MARK: Requests of peers

  /// A peer opened a stream for requests; false when it is reset.
  func openedKademlia(_ stream: StreamRef, _ arrived: Instant, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    let open = links[stream.connection]?.streams.values.count { if case .kademlia = $0 { true } else { false } } ?? 0
    guard kademliaState?.machine.mode == .server, open < Self.streamsMaximum else {
      if mayAsk(stream, kademliaState!.name, arrived, now, &outputs) { outputs.append(.reset(stream, code: .resourceLimit)) }
      return false
    }
    kademliaState!.served.set(stream, now + Self.streamIdle)
    return true
  }

  func serveKademlia(
    _ stream: StreamRef, _ peer: PeerID, _ bytes: [UInt8], _ arrived: Instant, _ now: Instant, _ outputs: inout [Output]
  ) {
    guard mayAsk(stream, kademliaState!.name, arrived, now, &outputs) else {
      kademliaState!.served.remove(stream)
      return
    }
    var wanted: [Kademlia.Output] = []
    let service = kademliaState!.machine.serve(
      peer, at: links[stream.connection]?.remote.ipAddress, bytes.rawSpan, now: now, isConnected: { self.isActive($0) },
      addresses: { [peering] in peering.shareableAddresses(of: $0, now: now) }, into: &wanted)
    switch service {
    case .answer(let answer): outputs.append(.send(stream, answer))
    case .silence: break
    case .refuse: outputs.append(.reset(stream, code: .protocolViolation))
    case .noRoom: outputs.append(.reset(stream, code: .resourceLimit))
    }
    if service == .refuse || service == .noRoom {
      kademliaState!.served.remove(stream)
    } else {
      kademliaState!.served.set(stream, now + Self.streamIdle)
    }
    perform(kademlia: wanted, now, &outputs)
  }
}

extension Offence {
  init(_ fault: Kademlia.Fault) {
    switch fault {
    case .malformed: self = .malformedMessage
    case .violation: self = .protocolViolation
    }
  }
}
