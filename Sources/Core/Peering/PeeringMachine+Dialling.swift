import Identity
import Wire

extension PeeringMachine {
  /// Whether the ledger has room for one more dial.
  var canDial: Bool {
    slots.total < configuration.totalMaximum && slots.outbound < configuration.outboundMaximum
      && slots.dialling < configuration.parallelDialsMaximum
  }

  /// Whether it has room for one more that is not for a must-keep peer: what those lack is left to them.
  var canDialOthers: Bool { canDial && slots.outbound + slotsForMustKeep(coming: nil) < configuration.outboundMaximum }

  /// How many slots are kept free for must-keep peers without a link, those at the address of a newcomer aside: never more than are above
  /// the outbound minimum, nor an eighth of the house, since some may be gone for good. One that was dialled and has never answered can
  /// perhaps only come in by itself, and must find the slot free then. O(must-keep peers).
  func slotsForMustKeep(coming ip: IPAddress?) -> Int {
    let missing = known.targets(.keep).count { target in
      guard let entry = known[target], entry.link == nil else { return false }
      let ids = book.ids(of: target)
      if let ip, ids.contains(where: { book.endpoint(of: $0).ip == ip }) { return false }
      return entry.streak == 0 || ids.contains { book.records[$0].succeeded != .never }
    }
    return min(missing, max(0, configuration.outboundMaximum - configuration.outboundMinimum), configuration.totalMaximum / 8)
  }

  /// Dials must-keep peers, then the last good ones of an earlier life, then others until the outbound minimum. The one place where lasting
  /// links begin by themselves.
  mutating func fill(_ now: Instant, _ outputs: inout [Output]) {
    needsFill = false
    fillDeadline = .distantFuture
    guard !isStopping, !isWaitingForStart else { return }
    var next = Instant.distantFuture
    for target in known.targets(.keep) {
      guard let entry = known[target], isFree(target, now) else { continue }
      if entry.notBefore > now {
        next = min(next, entry.notBefore)
        continue
      }
      if !canDial {
        // One that did not answer last time waits for a slot that is free, but not for ever.
        let patience = entry.notBefore + (entry.streak == 0 ? .zero : configuration.backOffMaximum)
        guard patience <= now else {
          next = min(next, patience)
          continue
        }
        guard evictForMustKeep(now, &outputs) else {
          next = min(next, max(nextEviction, now + .seconds(1)))
          break
        }
      }
      beginRound(target, now, &outputs)
    }
    while isShort && canDialOthers, let peer = anchorsToDial.first {
      anchorsToDial.removeFirst()
      if book.contains(.peer(peer)), isFree(.peer(peer), now), badScore(of: .peer(peer), now) == 0, dueTime(.peer(peer), now) <= now {
        beginRound(.peer(peer), cause: .anchor, now, &outputs)
      }
    }
    // When most links are silent, one dial at a time finds out whether the line or the links are dead.
    while isShort || (isOwnFaultSuspected && slots.dialling == 0), canDialOthers {
      let cause = seedCause
      guard let target = choose(now, &next) else { break }
      if let seedCause, seedCause != cause { emit(.seedsAsked(seedCause), now, &outputs) }
      beginRound(target, now, &outputs)
    }
    if slots.lasting - slots.lastingDials >= configuration.outboundMinimum {
      shortSince = nil
      vacancies = 0
      if activeCount > 0 { seedCause = nil }
    }
    if !isShort, feelerDeadline == .distantFuture { planFeeler(now) }
    fillDeadline = next
  }

  /// Whether there are fewer outbound links, and dials for them, than there should be.
  private var isShort: Bool { slots.lasting < outboundWanted }

  /// How many outbound links there should be now.
  var outboundWanted: Int {
    let minimum = configuration.outboundMinimum
    return minimum == 0 ? 0 : max(minimum, min(minimum + outboundExtra, configuration.outboundMaximum))
  }

  /// Those with an outbound link or a round, each as often as it has one.
  private var outboundTargets: [DialTarget] {
    links.values.filter { $0.direction == .outbound && $0.state != .dialling }.compactMap(\.target) + rounds.keys
  }

  /// When a peer may be dialled: after its back-off, and when the lower side, whose turn it is, has had its time.
  private func dueTime(_ target: DialTarget, _ now: Instant) -> Instant {
    let entry = known[target] ?? entryFromBook(target, now)
    guard entry.role == .heard, leavesDial(to: target) else { return entry.notBefore }
    if activeCount < configuration.patientFrom || isOwnFaultSuspected { return entry.notBefore }
    return max(entry.notBefore, entry.waitingSince + configuration.passiveWait)
  }

  /// The next peer to dial, or `nil`; `next` becomes the time at which another look may find one.
  private mutating func choose(_ now: Instant, _ next: inout Instant) -> DialTarget? {
    let groups = outboundGroups
    if shortSince == nil { shortSince = now }
    if let target = best(of: .tried, groups, now, &next) { return target }
    if let cause = reasonForSeeds(now, &next), activeCount > 0 || hasRoomForSeed, let target = nextSeed(now, &next) {
      seedCause = cause
      return target
    }
    if let target = best(of: .new, groups, now, &next) { return target }
    // A lost link is made up for at once, by a seed where nobody else is left; a house that was never full asks them after a while only.
    guard vacancies > slots.lastingDials, let target = nextSeed(now, &next) else { return nil }
    seedCause = .nobodyElse
    return target
  }

  /// Seeds are there for everybody: a node without links takes a few slots of theirs, and finds the others through them.
  private var hasRoomForSeed: Bool {
    outboundTargets.count { known[$0]?.role == .seed } < configuration.seedLinksMaximum
  }

  /// The groups that hold an outbound link or dial already.
  private var outboundGroups: Set<NetworkGroup> {
    Set(links.values.lazy.filter { $0.direction == .outbound }.compactMap { $0.ip.flatMap { book.groups.group(of: $0) } })
  }

  /// Seeds are asked when no stored peer connects, and when a node that has links has too few for long: those that it hears of may be
  /// dead, or all of one island.
  private mutating func reasonForSeeds(_ now: Instant, _ next: inout Instant) -> SeedCause? {
    if known.targets(.seed).isEmpty { return nil }
    if activeCount == 0 {
      if linkSummary.stored == 0 { return .nobodyStored }
      let aloneSeconds = BookSeconds(at: aloneSince)
      let isStoredPending = sample(.tried).contains { id in
        book.records[id].tried < aloneSeconds || known[book.target(of: id)]?.link != nil
      }
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

  /// The first seed of the list that is due.
  private func nextSeed(_ now: Instant, _ next: inout Instant) -> DialTarget? {
    for target in known.targets(.seed) where isFree(target, now) {
      let due = dueTime(target, now)
      if due <= now { return target }
      next = min(next, due)
    }
    return nil
  }

  /// Random addresses of a table: all of a small one.
  private mutating func sample(_ list: AddressBook.List) -> [RecordID] {
    let maximum = configuration.sampleMaximum
    if book.count(list) > maximum { return (0..<maximum).compactMap { _ in book.draw(list, using: &generator) } }
    var all = book.all(list)
    for place in all.indices.dropFirst() { all.swapAt(place, generator.index(below: place + 1)) }
    return all
  }

  /// Of a random sample one that is due, that no outbound link's network group holds and that its failures do not put behind: of the first
  /// two the one that has answered for longer, because an attacker's addresses are all new. Where there is none such, failures count less
  /// than groups, and groups less than a bad score.
  private mutating func best(
    of list: AddressBook.List, _ groups: Set<NetworkGroup>, _ now: Instant, _ next: inout Instant
  ) -> DialTarget? {
    let sample = sample(list)
    let seconds = BookSeconds(at: now)
    var best: (target: DialTarget, rank: Int)?
    var good: (target: DialTarget, since: BookSeconds)?
    for id in sample {
      let target = book.target(of: id)
      guard isFree(target, now) else { continue }
      let due = dueTime(target, now)
      if due > now {
        next = min(next, due)
        continue
      }
      let group = book.endpoint(of: id).ip.flatMap { book.groups.group(of: $0) }
      let isCrowded = group.map { groups.contains($0) } ?? false
      let isBehind = generator.unit() >= book.chance(book.records[id], seconds)
      let rank = (badScore(of: target, now) > 0 ? 4 : 0) + (isCrowded ? 2 : 0) + (isBehind ? 1 : 0)
      if rank == 0 {
        let since = book.records[id].firstSucceeded
        guard let other = good else {
          // What has never answered is not old.
          if since == .never { return target }
          good = (target, since)
          continue
        }
        return since < other.since ? target : other.target
      }
      if best.map({ rank < $0.rank }) ?? true { best = (target, rank) }
    }
    if let good { return good.target }
    if best == nil && book.count(list) > sample.count { next = min(next, now + .seconds(1)) }
    return best?.target
  }

  // MARK: Feelers

  /// Whether addresses are tested: not by a host that opens no links by itself.
  var makesFeelers: Bool { configuration.feelerInterval != nil && configuration.outboundMinimum > 0 && !isStopping }

  private mutating func planFeeler(_ now: Instant) {
    guard makesFeelers, let interval = configuration.feelerInterval else {
      feelerDeadline = .distantFuture
      return
    }
    // Not to be foreseen: anything from half to one and a half of the average.
    feelerDeadline = now + interval / 2 + generator.jitter(interval)
  }

  /// Tests an address by a short link: one whose tried place another waits for, or one that was only heard of. Like this the tried table
  /// fills with what works, also while nothing is lost.
  mutating func feel(_ now: Instant, _ outputs: inout [Output]) {
    syncRows(book.resolvePending(at: BookSeconds(at: now)), now, &outputs)
    guard !isShort else {
      feelerDeadline = .distantFuture
      return
    }
    planFeeler(now)
    guard canDialOthers, slots.feelers == 0 else { return }
    if let holder = book.holderToTest(using: &generator) {
      let target = book.target(of: holder)
      if let peer = target.peer, isActive(peer) {
        book.seen(book.item(holder), at: BookSeconds(at: now))
      } else if mayDial(target, for: .feeler, now) {
        beginRound(target, isFeeler: true, now, &outputs)
      }
      return
    }
    var next = Instant.distantFuture
    if let target = best(of: .new, [], now, &next) { beginRound(target, isFeeler: true, now, &outputs) }
  }

  /// The program's wish: what it wants kept is remembered even where it cannot be dialled now.
  mutating func dialByProgram(_ item: PeerAddress, keep: Bool, _ now: Instant, _ outputs: inout [Output]) {
    let refusal = dialByHand(item, keep: keep, now, &outputs)
    if keep, let refusal, refusal.code == .banned || refusal.code == .notAllowed { learn(item, .manual, .local, now, &outputs) }
  }

  /// An operator's dial passes over back-off and passive wait, not over bans and slots. Returns why it was not begun, if somebody should
  /// know; `nil` also when there is a link already.
  mutating func dialByHand(_ item: PeerAddress, keep: Bool, _ now: Instant, _ outputs: inout [Output]) -> Reason? {
    let peer = item.peer ?? item.address.peerID
    let address = item.address.withoutPeerID
    let facts = AddressFacts(address)
    var refusal: Reason?
    if isStopping { refusal = Reason(.shutdown) }
    if let fault = facts.dialFault { refusal = Reason(.unspecified, "the address cannot be dialled: \(fault)") }
    if peer == localPeer || isOwn(address) { refusal = Reason(.selfConnection, "it leads to this node itself") }
    if let ban = bans.ban(peer: peer, ip: facts.ip, now: now) { refusal = Reason(.banned, ban.detail) }
    if let peer, !mayBeAllowed(peer, facts.ip) { refusal = Reason(.notAllowed, "not on the list of a private network") }
    let named = peer.map(DialTarget.peer) ?? answered(at: address) ?? .address(address)
    if !keep, known[named]?.role != .keep, known[named]?.link == nil, let ip = facts.ip {
      refusal = refusal ?? crowdFault(ip, besides: [])
    }
    if let refusal {
      emit(.dialRefused(peer, address, refusal), now, &outputs)
      return refusal
    }
    settings.dropped.remove(peer.map(DialTarget.peer) ?? .address(address))
    if let peer, settings.takeBackDrop(peer) { putDrops(now, &outputs) }
    learn(PeerAddress(peer: peer, address: address), keep ? .manual : .discovery, .local, now, &outputs)
    let target = peer.map(DialTarget.peer) ?? .address(address)
    if !keep, target.peer != nil || answered(at: address) == nil {
      // The operator's word needs no place in the table.
      takeInHand(target, now)
      if book.find(BookItem(target, address)) == nil {
        book.makeRoom(target, onlyHearsay: true)
        joinRound(target, address, now)
      }
      book.keep(BookItem(target, address), marks: [], at: BookSeconds(at: now))
    }
    // A nameless address that some peer has answered at is kept with that peer; nothing else is missing but for a full table.
    guard known[target] != nil, isFree(target, now) else { return nil }
    if !canDial, !keep || !evictForMustKeep(now, &outputs) {
      let refusal = Reason(.tooManyPeers, "\(slots.outbound) outbound, \(slots.total) in all")
      emit(.dialRefused(peer, address, refusal), now, &outputs)
      if keep { known.update(target) { $0.wait(until: now, .courtesy) } }
      return refusal
    }
    beginRound(target, first: address, cause: keep ? .mustKeep : .request, isByHand: true, now, &outputs)
    return nil
  }

  /// The last link is gone: every stored peer deserves another try before seeds are asked.
  mutating func becameAlone(_ now: Instant) { aloneSince = now }
}
