import Identity
import Wire

// One dial of a peer: all its addresses race, staggered, for one slot; the first that is proven wins.
extension PeeringMachine {
  /// Begins to dial a peer, at `first` when that is given, unless the gate is closed. `cause` says why; by default the list that the target is
  /// on. Only a dial by hand passes over a wait.
  mutating func beginRound(
    _ target: DialTarget, first: Multiaddr? = nil, isFeeler: Bool = false, cause: LinkCause? = nil, isByHand: Bool = false, _ now: Instant,
    _ outputs: inout [Output]
  ) {
    precondition(canDial, "a dial without a slot")
    let origin = origin(of: target)
    let cause = cause ?? LinkCause(origin, isFeeler: isFeeler)
    guard isByHand || pause(of: target, for: cause, now) == nil else { return }
    var order = dialOrder(target)
    if let first { order = [first] + order.filter { $0 != first } }
    order.removeAll { isBarred(target, $0, now) }
    guard !order.isEmpty else { return }
    takeInHand(target, now)
    let round = DialRound(
      id: newDialID(), target: target, isFeeler: isFeeler, origin: origin, cause: cause,
      connectBy: now + configuration.connectTimeout, waiting: order)
    rounds[target] = round
    slots.add(round)
    known.update(target) { $0.link = round.id }
    beginNextAttempt(target, round.id, now, &outputs)
  }

  private mutating func beginNextAttempt(_ target: DialTarget, _ id: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard var round = rounds[target] else { return }
    let address = round.waiting.removeFirst()
    let left = round.connectBy - now
    let timeout = round.waiting.isEmpty ? left : min(configuration.raceTimeout, left)
    round.attempts.append(id)
    round.nextStart = round.waiting.isEmpty ? .distantFuture : now + configuration.raceStagger
    rounds[target] = round
    roundDeadline = min(roundDeadline, round.nextStart)
    // As with accepted links, two seconds more than the parts have.
    let deadline = now + timeout + configuration.handshakeTimeout + .seconds(2)
    var link = Link(
      id: id, direction: .outbound, address: address, ip: AddressFacts(address).ip, state: .dialling, since: now, deadline: deadline)
    link.target = target
    link.isFeeler = round.isFeeler
    link.origin = round.origin
    link.cause = round.cause
    dialCounts[round.origin].begun += 1
    set(link)
    book.dialled(BookItem(target, address), hasFailed: false, counts: false, at: BookSeconds(at: now))
    outputs.append(.dial(id, address, expecting: target.peer, timeout: timeout))
    emit(.dialling(id, target.peer, address, round.cause), now, &outputs)
  }

  /// An address that was told while its peer is being dialled is tried in the same round, behind the others.
  mutating func joinRound(_ target: DialTarget, _ address: Multiaddr, _ now: Instant) {
    guard var round = rounds[target], round.attempts.count + round.waiting.count < book.configuration.addressesPerPeerMaximum,
      !round.waiting.contains(address), !round.attempts.contains(where: { links[$0]?.address == address })
    else { return }
    round.waiting.append(address)
    round.nextStart = min(round.nextStart, now + configuration.raceStagger)
    rounds[target] = round
    roundDeadline = min(roundDeadline, round.nextStart)
  }

  /// Another address joins those rounds that nobody has answered in for a while.
  mutating func runRounds(_ now: Instant, _ outputs: inout [Output]) {
    for target in rounds.values.filter({ $0.nextStart <= now }).map(\.target).sorted() where mayTryAnother(target, now) {
      beginNextAttempt(target, newDialID(), now, &outputs)
    }
    roundDeadline = rounds.values.map(\.nextStart).min() ?? .distantFuture
  }

  /// Whether a round has an address that may be tried now; if not, it tries no more.
  private mutating func mayTryAnother(_ target: DialTarget, _ now: Instant) -> Bool {
    guard var round = rounds[target] else { return false }
    // While the peer's own link is held, only what is under way may come before it.
    let isHeld = target.peer.map { heldOfPeer[$0] != nil } ?? false
    if isHeld || isStopping || now >= round.connectBy { round.waiting = [] }
    round.waiting.removeAll { isBarred(target, $0, now) }
    round.nextStart = .distantFuture
    rounds[target] = round
    return !round.waiting.isEmpty
  }

  /// Ends a round, if there is one, without blame: an attempt has won, or none is needed any more.
  mutating func endRound(
    _ target: DialTarget, wonBy winner: ConnectionID? = nil, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]
  ) {
    guard let round = rounds.removeValue(forKey: target) else { return }
    slots.remove(round)
    needsFill = true
    known.update(target) { if $0.link == round.id { $0.link = nil } }
    for id in round.attempts where id != winner {
      guard let link = takeOut(id) else { continue }
      twins.dialEnded(now)
      outputs.append(reason.code == .duplicate ? .yieldDial(id) : .cancelDial(id))
      emit(.dialCancelled(id, target.peer, link.address, reason), now, &outputs)
    }
  }

  mutating func dialFailed(_ id: ConnectionID, _ failure: DialFailure, _ now: Instant, _ outputs: inout [Output]) {
    guard links[id]?.state == .dialling, let link = takeOut(id), let target = link.target else { return }
    twins.dialEnded(now)
    // Unless something was heard from anybody meanwhile, a timeout says as much about our own network as about the peer: an outage must not
    // empty the book, and links may look alive long after it began.
    let isLineUp = activeCount > 0 && !isOwnFaultSuspected && lineProvenAt > link.since
    // Nor does anything while this node has no link at all: its peers may all be starting again.
    let counts = !failure.isRefusal && activeCount > 0 && (failure.provesOwnNetwork || isLineUp)
    book.dialled(BookItem(target, link.address), hasFailed: true, counts: counts, at: BookSeconds(at: now))
    rounds[target]?.attempts.removeAll { $0 == id }
    if counts { rounds[target]?.counts = true }
    known.update(target) { $0.trouble = .init(kind: .dial(failure), address: link.address, at: now) }
    if case .wrongPeer(localPeer) = failure {
      if isOwnTwin(link, now, &outputs) {
        doubt(link.address, of: target, now, &outputs)
      } else {
        rememberSelf(link.address, target, now, &outputs)
      }
    } else if case .wrongPeer = failure {
      doubt(link.address, of: target, now, &outputs)
    }
    settleRound(link, target, failure, now, &outputs)
    if let peer = target.peer, rounds[target] == nil, let held = heldOfPeer[peer], linkOfPeer[peer] == nil { release(held, now, &outputs) }
  }

  /// Tries the next address at once, waits for those under way, or books the whole round as failed.
  private mutating func settleRound(
    _ link: Link, _ target: DialTarget, _ failure: DialFailure, _ now: Instant, _ outputs: inout [Output]
  ) {
    var reason: Reason.Code?
    // The peer itself has answered: its other addresses would say the same.
    if case .goodbye(let goodbye) = failure { reason = goodbye.code }
    if reason == nil {
      if mayTryAnother(target, now) {
        emit(.dialFailed(link.id, target.peer, link.address, failure, retryIn: .zero), now, &outputs)
        return beginNextAttempt(target, newDialID(), now, &outputs)
      }
      if rounds[target]?.attempts.isEmpty == false {
        return emit(.dialFailed(link.id, target.peer, link.address, failure, retryIn: .zero), now, &outputs)
      }
    }
    let counts = rounds[target]?.counts ?? false
    endRound(target, Reason(.remoteClosed, "the peer refused at \(link.address)"), now, &outputs)
    let wait = book.contains(target) ? bookRound(target, reason, counts: counts, now) : .zero
    emit(.dialFailed(link.id, target.peer, link.address, failure, retryIn: wait), now, &outputs)
    if !book.contains(target), known[target]?.link == nil { letGo(target) }
    bookFailure(target, now, &outputs)
  }

  /// Books a round in which no address was good; returns the wait until the next.
  mutating func bookRound(_ target: DialTarget, _ reason: Reason.Code?, counts: Bool, _ now: Instant) -> Duration {
    let configuration = configuration
    let hurries = activeCount == 0 && (known[target]?.role == .seed || isStored(target))
    var generator = generator
    var wait = configuration.backOffBase
    known.update(target) { entry in
      if reason != .duplicate {
        entry.streak += 1
        if counts { entry.failures += 1 }
        wait = BackOff.delay(entry, isLasting: reason?.isLasting ?? false, hurries: hurries, configuration, &generator)
      }
      let pause = reason.flatMap { $0.isLasting ? DialPause.refusal($0, byRemote: true) : nil }
      entry.wait(until: now + wait, reason == .duplicate ? .courtesy : pause ?? .failures)
    }
    self.generator = generator
    return wait
  }

  private mutating func bookFailure(_ target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    guard let peer = target.peer, let entry = known[target], isStored(target) else { return }
    guard entry.failures >= configuration.failuresMaximum else {
      putRow(peer, now, &outputs)
      return
    }
    for id in book.ids(of: target) { book.demote(id) }
    removeRow(peer, now, &outputs)
  }
}
