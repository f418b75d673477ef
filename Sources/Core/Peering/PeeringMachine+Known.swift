import Identity
import Wire

extension PeeringMachine {
  mutating func setListening(_ addresses: [Multiaddr]) {
    ownAddresses = Set(addresses.map(\.withoutPeerID))
    for address in ownAddresses.sorted() where known[.address(address)]?.link == nil { letGo(.address(address), forgetting: true) }
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
      entry.notBefore = last + BackOff.bound(entry, configuration) / 2
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
      return reasonCounts.count(fault)
    }
    // A heard name could make this node look up whatever a stranger likes.
    if (source.author != nil || source == .imported || source == .web) && facts.ip == nil { return reasonCounts.count(.name) }
    guard peer != localPeer, !ownAddresses.contains(address), !selfAddresses.contains(address) else { return reasonCounts.count(.own) }
    if bans.ban(peer: peer, ip: facts.ip, now: now) != nil { return reasonCounts.count(.banned) }
    if isConfigured {
      configure(target, address, source, now, &outputs)
    } else {
      hear(target, address, source, group, now, &outputs)
    }
  }

  private mutating func configure(
    _ target: DialTarget, _ address: Multiaddr, _ source: PeerSource, _ now: Instant, _ outputs: inout [Output]
  ) {
    needsFill = true
    let role: KnownPeer.Role = source == .seed ? .seed : .keep
    let isNameless = target.peer == nil
    // One dial, not two: whoever answers there by another name gives the address its namelessness back.
    let target =
      isNameless && known[target] == nil ? answered(at: address) ?? book.triedPeer(at: address).map { .peer($0) } ?? target : target
    let isNew = known[target] == nil && !book.contains(target)
    if known[target] == nil {
      guard known.targets(.keep).count + known.targets(.seed).count < configuration.configuredMaximum else {
        return reasonCounts.count(.listFull)
      }
      takeInHand(target, now)
    }
    known.update(target) { entry in
      guard role > entry.role else { return }
      entry.role = role
      if role == .keep { entry.notBefore = min(entry.notBefore, now) }
    }
    let item = BookItem(target, address)
    if book.find(item) == nil {
      book.makeRoom(target, onlyHearsay: true)
      joinRound(target, address, now)
    }
    book.keep(item, marks: isNameless ? .nameless : [], at: BookSeconds(at: now))
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

  /// An address is no longer taken for this peer's. A configured one goes back to having no name.
  mutating func dropAddress(_ address: Multiaddr, of target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    let item = BookItem(target, address)
    guard let id = book.find(item) else { return }
    let isNameless = book.records[id].marks.contains(.nameless)
    let entry = known[target]
    let wasStored = isStored(target)
    book.erase(id)
    if wasStored && !isStored(target), let peer = target.peer { removeRow(peer, now, &outputs) }
    if !book.contains(target), entry?.link == nil { letGo(target) }
    let bare = DialTarget.address(address)
    guard isNameless, target.peer != nil, known[bare] == nil, let entry else { return }
    takeInHand(bare, now)
    known.update(bare) {
      $0.role = entry.role
      $0.streak = entry.streak
      $0.notBefore = now + configuration.backOffMinimum
    }
    book.keep(BookItem(bare, address), marks: .nameless, at: BookSeconds(at: now))
  }

  /// The node reached itself at this address.
  mutating func rememberSelf(_ address: Multiaddr, _ target: DialTarget?, _ now: Instant, _ outputs: inout [Output]) {
    if selfAddresses.count >= PeeringMachine.selfAddressesMaximum { selfAddresses.removeFirst() }
    selfAddresses.append(address)
    if let target {
      if let id = book.find(BookItem(target, address)) { book.erase(id) }
      if !book.contains(target), known[target]?.link == nil { letGo(target) }
    }
    emit(.selfConnection(address), now, &outputs)
  }
}
