import Identity
import Wire

extension PeeringMachine {
  mutating func setListening(_ addresses: [Multiaddr], _ now: Instant, _ outputs: inout [Output]) {
    ownAddresses = Set(addresses.map(\.withoutPeerID))
    for address in ownAddresses.sorted() {
      let target = DialTarget.address(address)
      guard let entry = known[target] else { continue }
      if entry.role != .heard {
        sayNotDialled(nil, address, .own, now, &outputs)
      } else if entry.link == nil {
        letGo(target, forgetting: true)
      }
    }
  }

  // MARK: At hand

  /// Makes room for, and an entry of, a peer that is dialled, linked or configured; its addresses are kept from now on.
  mutating func takeInHand(_ target: DialTarget, _ now: Instant) {
    guard known[target] == nil else { return }
    if known.count >= configuration.atHandMaximum,
      let other = known.leastWanted(now: now, halfLife: configuration.scoreHalfLife, using: &generator)
    {
      letGo(other)
    }
    known.insert(target, entryFromBook(target, now))
    book.pin(target)
  }

  /// What the book alone tells of a peer.
  func entryFromBook(_ target: DialTarget, _ now: Instant) -> KnownPeer {
    var entry = KnownPeer(waitingSince: now)
    let records = book.ids(of: target).map { book.records[$0] }
    guard let first = records.first else { return entry }
    entry.waitingSince = min(now, first.since.instant ?? now)
    entry.failures = records.map { Int($0.failures) }.min() ?? 0
    entry.streak = entry.failures
    if entry.failures > 0, let last = records.compactMap(\.tried.instant).max() {
      // The wait itself was forgotten with the entry: half of the longest one is taken.
      entry.wait(until: last + BackOff.bound(entry, configuration) / 2, .failures)
    }
    return entry
  }

  /// The entry goes; its addresses stay as far as the book has places for them.
  mutating func letGo(_ target: DialTarget, forgetting: Bool = false) {
    known.remove(target)
    if forgetting { for id in book.ids(of: target) { book.erase(id) } } else { book.unpin(target) }
  }

  /// Which list a dial of this target is taken from.
  func origin(of target: DialTarget) -> DialOrigin {
    let role = known[target]?.role ?? .heard
    if role == .keep { return .configured }
    if isStored(target) { return .stored }
    return role == .seed ? .seed : .heard
  }

  /// Whether a peer has a row in the book.
  func isStored(_ target: DialTarget) -> Bool { target.peer != nil && book.isTried(target) }

  // MARK: Learning

  /// Takes in what somebody told, as far as his budget goes; HTTP peers, who prove no identity, share one.
  mutating func learn(_ items: [PeerAddress], _ source: PeerSource, _ now: Instant, _ outputs: inout [Output]) {
    let group = source.author.map { author in book.groups.source(author, at: linkOfPeer[author].flatMap { links[$0]?.ip }) } ?? .local
    for (place, item) in items.enumerated() {
      if source.author != nil || source == .web, !tellers.take(group, now: now) {
        return reasonCounts.count(.overBudget, items.count - place)
      }
      learn(item, source, group, now, &outputs)
    }
  }

  /// Takes in one hearsay or configured address; what is of no use is counted by its reason.
  mutating func learn(_ item: PeerAddress, _ source: PeerSource, _ group: NetworkGroup, _ now: Instant, _ outputs: inout [Output]) {
    var (peer, address) = (item.peer, item.address)
    if case .other = BookEndpoint(address) {
      if let peer, let named = address.peerID, named != peer { return reasonCounts.count(.anothersName) }
      peer = peer ?? address.peerID
      address = address.withoutPeerID
    }
    if source.isIdentify, let author = source.author {
      guard peer == nil || peer == author else { return reasonCounts.count(.notTheTellers) }
      peer = author
    }
    let isConfigured = source == .seed || source.isMustKeep
    let target = peer.map(DialTarget.peer) ?? .address(address)
    // Most of what is told is known already and was looked at then.
    if !isConfigured, book.find(BookItem(target, address)) != nil { return hear(target, address, source, group, now, &outputs) }
    let facts = AddressFacts(address)
    if let fault = facts.fault(allowsPrivate: isConfigured || source == .local || configuration.allowsPrivateAddresses) {
      if isConfigured { sayNotDialled(peer, address, fault, now, &outputs) }
      return reasonCounts.count(fault)
    }
    // A heard name could make this node look up whatever a stranger likes.
    if (source.author != nil || source == .imported || source == .web) && facts.ip == nil { return reasonCounts.count(.name) }
    guard peer != localPeer, isConfigured || !isOwn(address) else {
      if isConfigured { sayNotDialled(peer, address, .own, now, &outputs) }
      return reasonCounts.count(.own)
    }
    if isConfigured {
      // Whatever stands against a dial now may be gone one day.
      configure(target, address, source, now, &outputs)
    } else if bans.ban(peer: peer, ip: facts.ip, now: now) != nil {
      reasonCounts.count(.banned)
    } else {
      hear(target, address, source, group, now, &outputs)
    }
  }

  /// A configured address is of no use: its operator should hear of it.
  private mutating func sayNotDialled(
    _ peer: PeerID?, _ address: Multiaddr, _ fault: AddressRefusal, _ now: Instant, _ outputs: inout [Output]
  ) {
    let reason =
      fault == .own
      ? Reason(.selfConnection, "it leads to this node itself") : Reason(.unspecified, "the address is refused: \(fault.rawValue)")
    emit(.dialRefused(peer, address, reason), now, &outputs)
  }

  private mutating func configure(
    _ target: DialTarget, _ address: Multiaddr, _ source: PeerSource, _ now: Instant, _ outputs: inout [Output]
  ) {
    if source != .manual, settings.dropped.contains(target) { return }
    needsFill = true
    let role: KnownPeer.Role = source == .seed ? .seed : .keep
    let isNameless = target.peer == nil
    // One dial, not two: whoever answers there by another name gives the address its namelessness back.
    let target =
      isNameless && known[target] == nil ? answered(at: address) ?? book.triedPeer(at: address).map { .peer($0) } ?? target : target
    let isNew = known[target] == nil && !book.contains(target)
    if known[target] == nil {
      guard known.targets(.keep).count + known.targets(.seed).count < configuration.configuredMaximum else {
        sayNotDialled(target.peer, address, .listFull, now, &outputs)
        return reasonCounts.count(.listFull)
      }
      takeInHand(target, now)
      if isOwn(address) { sayNotDialled(target.peer, address, .own, now, &outputs) }
    }
    known.update(target) { entry in
      guard role > entry.role else { return }
      entry.role = role
      guard role == .keep else { return }
      // A refusal that lasts is heeded as one of a must-keep peer.
      entry.waitNoLonger(than: source != .manual && entry.pause.isWord ? now + configuration.backOffKeepMaximum : now)
    }
    let item = BookItem(target, address)
    if book.find(item) == nil {
      book.makeRoom(target, onlyHearsay: true)
      joinRound(target, address, now)
    }
    book.keep(item, marks: isNameless ? .nameless : .configured, at: BookSeconds(at: now))
    if book.find(item) == nil { sayNotDialled(target.peer, address, .listFull, now, &outputs) }
    if isNew, let peer = target.peer { emit(.peerKnown(peer, source), now, &outputs) }
  }

  /// The configured peer that has already answered at a configured address without a name. O(n) in configured entries.
  func answered(at address: Multiaddr) -> DialTarget? {
    for role in [KnownPeer.Role.keep, .seed] {
      for target in known.targets(role) {
        if let id = book.find(BookItem(target, address)), book.records[id].marks.contains(.nameless) { return target }
      }
    }
    return nil
  }

  private mutating func hear(
    _ target: DialTarget, _ address: Multiaddr, _ source: PeerSource, _ group: NetworkGroup, _ now: Instant, _ outputs: inout [Output]
  ) {
    let item = BookItem(target, address)
    var marks: BookRecord.Marks = known[target] == nil ? [] : .pinned
    if source.isIdentify {
      marks.insert(.selfDeclared)
      if book.find(item) == nil { book.makeRoom(target, onlyHearsay: true) }
    }
    var addition = book.add(item, from: group, marks: marks, at: BookSeconds(at: now), using: &generator)
    if addition == .refused && (source == .discovery || source == .local) && known[target] == nil {
      // A look-up wants to dial whom it has found, although the tables have no place for him.
      addition = .added(isNewPeer: !book.contains(target))
      takeInHand(target, now)
      book.keep(item, marks: marks, at: BookSeconds(at: now))
    }
    if addition == .refused { reasonCounts.count(.noPlace) }
    guard case .added(let isNewPeer) = addition else { return }
    joinRound(target, address, now)
    needsFill = true
    snapshotIsDue(now)
    if isNewPeer, let peer = target.peer { emit(.peerKnown(peer, source), now, &outputs) }
  }

  /// The entry of a proven peer, made when there is none, with what was known of a nameless address moved into it.
  mutating func nameTarget(of link: Link, _ peer: PeerID, _ now: Instant) -> DialTarget {
    let target = DialTarget.peer(peer)
    takeInHand(target, now)
    guard let former = link.target, case .address(let address) = former else { return target }
    let entry = known.remove(former)
    book.name(address, peer)
    book.pin(target)
    known.update(target) {
      $0.role = max($0.role, entry?.role ?? .heard)
      if $0.link == nil { $0.link = link.id }
    }
    return target
  }

  /// Another peer has answered at an address. What was merely heard goes, what had answered before counts as a failed dial, and what an
  /// operator configured stays: whoever answers now may be gone in a minute. A configured address without a name has none again.
  mutating func doubt(_ address: Multiaddr, of target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    guard let id = book.find(BookItem(target, address)) else { return }
    let record = book.records[id]
    if record.marks.contains(.nameless), target.peer != nil { return takeName(from: address, of: target, now, &outputs) }
    if record.marks.contains(.configured), let peer = target.peer, case .dial(.wrongPeer(let other)) = known[target]?.trouble?.kind {
      emit(.anotherAnswered(peer, address, other), now, &outputs)
    }
    guard !record.isConfigured, !record.isTried else { return }
    book.erase(id)
    if !book.contains(target), known[target]?.link == nil { letGo(target) }
  }

  /// Whether a configured address without a name is taken for a peer's.
  func isNameless(_ address: Multiaddr, of peer: PeerID) -> Bool {
    book.find(BookItem(.peer(peer), address)).map { book.records[$0].marks.contains(.nameless) } ?? false
  }

  /// A configured address without a name is not this peer's any more.
  mutating func takeName(from address: Multiaddr, of target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    guard let id = book.find(BookItem(target, address)) else { return }
    let entry = known[target]
    if book.records[id].marks.contains(.configured) {
      // Configured both ways.
      book.records[id].marks.remove(.nameless)
    } else {
      let wasStored = isStored(target)
      book.erase(id)
      if wasStored && !isStored(target), let peer = target.peer { removeRow(peer, now, &outputs) }
    }
    if !book.ids(of: target).contains(where: { book.records[$0].isConfigured }) { known.update(target) { $0.role = .heard } }
    if !book.contains(target), entry?.link == nil { letGo(target) }
    let bare = DialTarget.address(address)
    guard known[bare] == nil, let entry else { return }
    takeInHand(bare, now)
    known.update(bare) {
      $0.role = entry.role
      $0.streak = entry.streak
      $0.trouble = entry.trouble
      $0.wait(until: now + configuration.backOffMinimum, .failures)
    }
    book.keep(BookItem(bare, address), marks: .nameless, at: BookSeconds(at: now))
  }

  /// The node reached itself at this address, which is not dialled again. A configured one stays in the list, for an operator to see; one that
  /// an operator added while the node ran is taken back.
  mutating func rememberSelf(_ address: Multiaddr, _ target: DialTarget?, _ now: Instant, _ outputs: inout [Output]) {
    if !selfAddresses.contains(address) {
      if selfAddresses.count >= PeeringMachine.selfAddressesMaximum { selfAddresses.removeFirst() }
      selfAddresses.append(address)
    }
    emit(.selfConnection(address), now, &outputs)
    guard let target, let id = book.find(BookItem(target, address)) else { return }
    let isAdded = target.peer == nil && settings.kept.contains(PeerAddress(peer: nil, address: address))
    if isAdded {
      settings.kept.removeAll { $0 == PeerAddress(peer: nil, address: address) }
      put(BookKeys.kept, settings.keptRow, &outputs)
      emit(.mustKeep(nil, address, false), now, &outputs)
    }
    guard isAdded || !book.records[id].isConfigured else { return }
    book.erase(id)
    if !book.contains(target), known[target]?.link == nil { letGo(target) }
  }
}
