import Identity
import Wire

extension PeeringMachine {
  /// Whether the ledger has room for one more dial.
  var canDial: Bool {
    slots.total < configuration.totalMaximum && slots.outbound < configuration.outboundMaximum
      && slots.dialling < configuration.parallelDialsMaximum
  }

  /// Dials must-keep peers, then others until the outbound minimum. The one place where dials begin by themselves.
  mutating func fill(_ now: Instant, _ outputs: inout [Output]) {
    needsFill = false
    fillDeadline = .distantFuture
    guard !isStopping else { return }
    var next = Instant.distantFuture
    for target in known.targets(.keep) {
      guard canDial else { break }
      guard let entry = known[target], isFree(entry, target, now) else { continue }
      if entry.notBefore > now {
        next = min(next, entry.notBefore)
      } else {
        beginRound(target, now, &outputs)
      }
    }
    // When most links are silent, one dial at a time finds out whether the line or the links are dead.
    while slots.outbound < configuration.outboundMinimum || (isOwnFaultSuspected && slots.dialling == 0), canDial {
      let cause = seedCause
      guard let target = choose(now, &next) else { break }
      if let seedCause, seedCause != cause { emit(.seedsAsked(seedCause), now, &outputs) }
      beginRound(target, now, &outputs)
    }
    if slots.outbound - slots.dialling >= configuration.outboundMinimum {
      shortSince = nil
      if activeCount > 0 { seedCause = nil }
    }
    fillDeadline = next
  }

  func isFree(_ entry: KnownPeer, _ target: DialTarget, _ now: Instant) -> Bool {
    guard entry.link == nil, !entry.addresses.isEmpty else { return false }
    if let peer = target.peer, linkOfPeer[peer] != nil || heldOfPeer[peer] != nil { return false }
    return bans.count == 0 || entry.addresses.contains { bans.ban(peer: target.peer, ip: $0.facts.ip, now: now) == nil }
  }

  /// When an entry may be dialled: after its back-off, and when the lower PeerID, whose turn it is, has had its time.
  private func dueTime(_ entry: KnownPeer, _ target: DialTarget) -> Instant {
    guard entry.role == .heard, let peer = target.peer, peer < localPeer else { return entry.notBefore }
    if activeCount < configuration.patientFrom || isOwnFaultSuspected { return entry.notBefore }
    return max(entry.notBefore, entry.waitingSince + configuration.passiveWait)
  }

  /// The next entry to dial, or `nil`; `next` becomes the time at which another look may find one.
  private mutating func choose(_ now: Instant, _ next: inout Instant) -> DialTarget? {
    let groups = outboundGroups()
    if shortSince == nil { shortSince = now }
    if let target = best(of: .stored, groups, now, &next) { return target }
    if let cause = reasonForSeeds(now, &next), activeCount > 0 || hasRoomForSeed, let target = best(of: .seed, groups, now, &next) {
      seedCause = cause
      return target
    }
    return best(of: .heard, groups, now, &next)
  }

  /// Seeds are there for everybody: a node without links takes a few slots of theirs, and finds the others through them.
  private var hasRoomForSeed: Bool {
    links.values.count { $0.direction == .outbound && $0.target.flatMap { known[$0]?.role } == .seed } < configuration.seedLinksMaximum
  }

  private func outboundGroups() -> [IPNetwork: Int] {
    var groups: [IPNetwork: Int] = [:]
    for link in links.values where link.direction == .outbound {
      if let ip = link.ip, ip.isRoutable { groups[ip.netgroup, default: 0] += 1 }
    }
    return groups
  }

  /// Seeds are asked when no stored peer connects, and when a node that has links has too few for long: those that it hears of may be
  /// dead, or all of one island.
  private func reasonForSeeds(_ now: Instant, _ next: inout Instant) -> SeedCause? {
    if known.targets(.seed).isEmpty { return nil }
    if activeCount == 0 {
      if known.targets(.stored).isEmpty { return .nobodyStored }
      let isStoredPending = known.targets(.stored).contains { known[$0].map { !$0.isTried || $0.link != nil } ?? false }
      if !isStoredPending { return .noStoredConnects }
      if now >= aloneSince + configuration.seedPatience { return .storedAreSlow }
      next = min(next, aloneSince + configuration.seedPatience)
      return nil
    }
    guard let shortSince else { return nil }
    let due = shortSince + configuration.seedFallback
    if due > now { next = min(next, due) }
    return due <= now ? .tooFewPeers : nil
  }

  /// Among those that are due in a sample: new network groups first, then fewest failures, then the most recently good.
  private mutating func best(of list: KnownTable.List, _ groups: [IPNetwork: Int], _ now: Instant, _ next: inout Instant) -> DialTarget? {
    let sample = known.sample(list, maximum: configuration.sampleMaximum, using: &generator)
    let start = list == .heard ? generator.index(below: sample.count) : 0
    var best: (target: DialTarget, rank: (Int, Int, Int64))?
    for step in 0..<sample.count {
      let target = sample[(start + step) % sample.count]
      guard let entry = known[target], isFree(entry, target, now) else { continue }
      let due = dueTime(entry, target)
      if due > now {
        next = min(next, due)
        continue
      }
      if list == .seed { return target }
      let group = entry.addresses.lazy.compactMap(\.facts.diversityGroup).first.map { groups[$0] ?? 0 } ?? 0
      let recency = entry.lastSuccess?.nanoseconds ?? .min
      let rank = (group, entry.streak, recency == .min ? .max : -recency)
      if best.map({ rank < $0.rank }) ?? true { best = (target, rank) }
    }
    if best == nil && sample.count < known.targets(list).count { next = min(next, now + .seconds(1)) }
    return best?.target
  }

  // MARK: One round through a peer's addresses

  mutating func beginRound(_ target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    guard let entry = known[target] else { return }
    var order = entry.dialOrder
    if bans.count > 0 {
      order.removeAll { address in bans.ban(peer: target.peer, ip: AddressFacts(address).ip, now: now) != nil }
    }
    guard !order.isEmpty else { return }
    let first = order.removeFirst()
    let rest = order
    known.update(target) {
      $0.round = rest
      $0.isTried = true
    }
    beginDial(target, first, now, &outputs)
  }

  private mutating func beginDial(_ target: DialTarget, _ address: Multiaddr, _ now: Instant, _ outputs: inout [Output]) {
    precondition(canDial, "a dial without a slot")
    let id = newDialID()
    let hasOthers = known[target]?.round.isEmpty == false
    let timeout = hasOthers ? min(configuration.raceTimeout, configuration.connectTimeout) : configuration.connectTimeout
    // As with accepted links, two seconds more than the parts have.
    let deadline = now + timeout + configuration.handshakeTimeout + .seconds(2)
    var link = Link(
      id: id, direction: .outbound, address: address, ip: AddressFacts(address).ip, state: .dialling, since: now, deadline: deadline)
    link.target = target
    link.origin = known.origin(of: target)
    if let origin = link.origin { dialCounts[origin].begun += 1 }
    set(link)
    known.update(target) { $0.link = id }
    outputs.append(.dial(id, address, expecting: target.peer, timeout: timeout))
    emit(.dialling(id, target.peer, address), now, &outputs)
  }

  /// Ends a dial that is not needed any more, without blame.
  mutating func cancelDial(_ id: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard links[id]?.state == .dialling, let link = takeOut(id) else { return }
    outputs.append(.cancelDial(id))
    guard let target = link.target else { return }
    known.update(target) {
      if $0.link == id { $0.link = nil }
      $0.round = []
    }
  }

  mutating func dialFailed(_ id: ConnectionID, _ failure: DialFailure, _ now: Instant, _ outputs: inout [Output]) {
    guard links[id]?.state == .dialling, let link = takeOut(id), let target = link.target else { return }
    known.update(target) { entry in
      if entry.link == id { entry.link = nil }
      if let index = entry.addresses.firstIndex(where: { $0.address == link.address }) { entry.addresses[index].failures += 1 }
    }
    if case .wrongPeer(localPeer) = failure {
      rememberSelf(link.address, target, now, &outputs)
    } else if case .wrongPeer = failure {
      dropAddress(link.address, of: target, now)
    }
    settleRound(link, target, failure, now, &outputs)
    if let peer = target.peer, let held = heldOfPeer[peer], linkOfPeer[peer] == nil { release(held, now, &outputs) }
  }

  /// Tries the next address at once, or books the whole round as failed.
  private mutating func settleRound(
    _ link: Link, _ target: DialTarget, _ failure: DialFailure, _ now: Instant, _ outputs: inout [Output]
  ) {
    var reason: Reason.Code?
    if case .goodbye(let goodbye) = failure { reason = goodbye.code }
    let isHeld = target.peer.map { heldOfPeer[$0] != nil } ?? false
    guard let entry = known[target] else {
      emit(.dialFailed(link.id, target.peer, link.address, failure, retryIn: .zero), now, &outputs)
      return
    }
    if let nextAddress = entry.round.first, reason == nil, !isHeld, canDial, !isStopping {
      emit(.dialFailed(link.id, target.peer, link.address, failure, retryIn: .zero), now, &outputs)
      known.update(target) { $0.round.removeFirst() }
      beginDial(target, nextAddress, now, &outputs)
      return
    }
    // With no link at all, a timeout says as much about our own network as about the peer: an outage must not empty the book.
    let counts = reason == nil && (failure.provesOwnNetwork || activeCount > 0)
    let configuration = configuration
    let isAlone = activeCount == 0
    var generator = generator
    var wait = configuration.backOffBase
    known.update(target) { entry in
      entry.round = []
      if reason != .duplicate {
        entry.streak += 1
        if counts { entry.failures += 1 }
        wait = BackOff.delay(entry, isLasting: reason?.isLasting ?? false, isAlone: isAlone, configuration, &generator)
      }
      entry.notBefore = now + wait
    }
    self.generator = generator
    emit(.dialFailed(link.id, target.peer, link.address, failure, retryIn: wait), now, &outputs)
    bookFailure(target, now, &outputs)
  }

  private mutating func bookFailure(_ target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    guard let peer = target.peer, let entry = known[target], entry.isStored else { return }
    guard entry.failures >= configuration.failuresMaximum else {
      putRow(peer, now, &outputs)
      return
    }
    known.update(target) { $0.isStored = false }
    outputs.append(.book(.remove(key: PeerRow.key(peer))))
    emit(.bookRowRemoved(peer), now, &outputs)
  }

  /// An operator's dial passes over back-off and passive wait, not over bans and slots.
  mutating func dialByHand(_ item: PeerAddress, keep: Bool, _ now: Instant, _ outputs: inout [Output]) {
    let peer = item.peer ?? item.address.peerID
    let address = item.address.withoutPeerID
    let facts = AddressFacts(address)
    var refusal: Reason?
    if isStopping { refusal = Reason(.shutdown) }
    if let fault = facts.fault(allowsPrivate: true) { refusal = Reason(.unspecified, fault) }
    if peer == localPeer || ownAddresses.contains(address) || selfAddresses.contains(address) { refusal = Reason(.selfConnection) }
    if let ban = bans.ban(peer: peer, ip: facts.ip, now: now) { refusal = Reason(.banned, ban.detail) }
    if let refusal {
      emit(.dialRefused(peer, address, refusal), now, &outputs)
      return
    }
    learn(PeerAddress(peer: peer, address: address), keep ? .manual : .discovery, now, &outputs)
    let target = peer.map(DialTarget.peer) ?? .address(address)
    guard let entry = known[target] else {
      // A nameless address that some peer has answered at is kept with that peer; nothing else leads here but a full table.
      return
    }
    guard isFree(entry, target, now) else { return }
    if !canDial {
      emit(.dialRefused(peer, address, Reason(.tooManyPeers, "\(slots.outbound) outbound, \(slots.total) in all")), now, &outputs)
      if keep { known.update(target) { $0.notBefore = now } }
      return
    }
    let rest = entry.dialOrder.filter { $0 != address }
    known.update(target) {
      $0.round = rest
      $0.isTried = true
    }
    beginDial(target, address, now, &outputs)
  }

  /// The last link is gone: every stored peer deserves another try before seeds are asked.
  mutating func becameAlone(_ now: Instant) {
    aloneSince = now
    for target in known.targets(.stored) { known.update(target) { $0.isTried = false } }
  }
}
