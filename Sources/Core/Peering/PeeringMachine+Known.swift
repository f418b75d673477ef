import Identity
import Wire

extension PeeringMachine {
  mutating func setListening(_ addresses: [Multiaddr]) {
    ownAddresses = Set(addresses.map(\.withoutPeerID))
    for address in ownAddresses.sorted() where known[.address(address)]?.link == nil { known.remove(.address(address)) }
  }

  /// Takes in one hearsay or configured address; silently passes over what is of no use.
  mutating func learn(_ item: PeerAddress, _ source: PeerSource, _ now: Instant, _ outputs: inout [Output]) {
    var peer = item.peer ?? item.address.peerID
    if case .identify(let author) = source {
      guard peer == nil || peer == author else { return }
      peer = author
    }
    let isConfigured = source == .seed || source.isMustKeep || source == .local
    // Most of what is told is known already: no more than a look is spent on it.
    if let peer, !isConfigured, known.holds(item.address.withoutPeerID, of: .peer(peer), isSelfDeclared: source.isIdentify) { return }
    let address = KnownAddress(item.address.withoutPeerID)
    guard address.facts.fault(allowsPrivate: isConfigured || configuration.allowsPrivateAddresses) == nil else { return }
    // A heard name could make this node look up whatever a stranger likes.
    if source.author != nil && address.facts.ip == nil { return }
    guard peer != localPeer, !ownAddresses.contains(address.address), !selfAddresses.contains(address.address) else { return }
    if bans.ban(peer: peer, ip: address.facts.ip, now: now) != nil { return }
    let role: KnownPeer.Role = source.isMustKeep ? .keep : source == .seed ? .seed : .heard
    let target = peer.map(DialTarget.peer) ?? .address(address.address)
    if known[target] != nil {
      merge(address, role, source, into: target, now)
    } else if peer == nil, let holder = nameless(address.address) {
      merge(address, role, source, into: holder, now)
    } else {
      insert(target, address, role, source, now, &outputs)
    }
    needsFill = true
  }

  /// The peer that has already answered at a configured address without a name. O(n) in must-keep, stored and seed entries.
  private func nameless(_ address: Multiaddr) -> DialTarget? {
    for list in [KnownTable.List.keep, .seed, .stored] {
      for target in known.targets(list) where known[target]?.addresses.contains(where: { $0.isNameless && $0.address == address }) == true {
        return target
      }
    }
    return nil
  }

  private mutating func insert(
    _ target: DialTarget, _ address: KnownAddress, _ role: KnownPeer.Role, _ source: PeerSource, _ now: Instant, _ outputs: inout [Output]
  ) {
    if let author = source.author, known.quota(of: author) >= configuration.perSourceMaximum { return }
    if known.count >= configuration.knownMaximum, known.evict(using: &generator) == nil {
      if role == .heard || known.count >= configuration.knownMaximum + configuration.configuredMaximum { return }
    }
    var entry = KnownPeer(waitingSince: now)
    entry.role = role
    entry.author = source.author
    entry.addresses = [marked(address, target, role, source)]
    known.insert(target, entry)
    if let peer = target.peer { emit(.peerKnown(peer, source), now, &outputs) }
  }

  private func marked(_ address: KnownAddress, _ target: DialTarget, _ role: KnownPeer.Role, _ source: PeerSource) -> KnownAddress {
    var address = address
    address.isNameless = target.peer == nil && role != .heard
    if source.isIdentify { address.isSelfDeclared = true }
    return address
  }

  /// Adds an address to an entry. When it has eight, the peer's own or an operator's word takes the place of the worst hearsay;
  /// hearsay itself takes nobody's.
  private mutating func merge(
    _ address: KnownAddress, _ role: KnownPeer.Role, _ source: PeerSource, into target: DialTarget, _ now: Instant
  ) {
    let address = marked(address, target, role, source)
    let maximum = configuration.addressesPerPeerMaximum
    let isHearsay = role == .heard && !source.isIdentify
    known.update(target) { entry in
      if role > entry.role {
        entry.role = role
        if role == .keep { entry.notBefore = min(entry.notBefore, now) }
      }
      if let index = entry.addresses.firstIndex(where: { $0.address == address.address }) {
        entry.addresses[index].isNameless = entry.addresses[index].isNameless || address.isNameless
        entry.addresses[index].isSelfDeclared = entry.addresses[index].isSelfDeclared || address.isSelfDeclared
      } else if entry.addresses.count < maximum {
        entry.addresses.append(address)
      } else if !isHearsay, let last = entry.dialOrder.last, let index = entry.addresses.firstIndex(where: { $0.address == last }),
        entry.addresses[index].lastSuccess == nil, !entry.addresses[index].isNameless
      {
        entry.addresses[index] = address
      }
    }
  }

  /// The entry of a proven peer, made when there is none, with what was known of a nameless address moved into it.
  mutating func nameTarget(of link: Link, _ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) -> DialTarget {
    let target = DialTarget.peer(peer)
    let nameless = link.target.flatMap { $0.peer == nil ? known.remove($0) : nil }
    if known[target] == nil {
      // A proven peer always has an entry, even in a full table: the slots bound how many there are.
      if known.count >= configuration.knownMaximum { _ = known.evict(using: &generator) }
      known.insert(target, KnownPeer(waitingSince: now))
    }
    guard let nameless else { return target }
    known.update(target) { entry in
      entry.role = max(entry.role, nameless.role)
      entry.isTried = true
      for address in nameless.addresses {
        if let index = entry.addresses.firstIndex(where: { $0.address == address.address }) {
          entry.addresses[index].isNameless = true
        } else {
          entry.addresses.append(address)
        }
      }
      if entry.link == nil { entry.link = link.id }
    }
    return target
  }

  /// An address is no longer taken for this peer's. A configured one goes back to having no name.
  mutating func dropAddress(_ address: Multiaddr, of target: DialTarget, _ now: Instant) {
    guard let entry = known[target], let index = entry.addresses.firstIndex(where: { $0.address == address }) else { return }
    let dropped = entry.addresses[index]
    known.update(target) { $0.addresses.remove(at: index) }
    if entry.addresses.count == 1 && entry.link == nil { known.remove(target) }
    guard dropped.isNameless, target.peer != nil, known[.address(address)] == nil else { return }
    var fresh = KnownPeer(waitingSince: now)
    fresh.role = entry.role
    fresh.streak = entry.streak
    fresh.notBefore = now + configuration.backOffMinimum
    fresh.addresses = [dropped]
    known.insert(.address(address), fresh)
  }

  /// The node reached itself at this address.
  mutating func rememberSelf(_ address: Multiaddr, _ target: DialTarget?, _ now: Instant, _ outputs: inout [Output]) {
    if selfAddresses.count >= PeeringMachine.selfAddressesMaximum { selfAddresses.removeFirst() }
    selfAddresses.append(address)
    if let target {
      known.update(target) {
        $0.link = nil
        $0.addresses.removeAll { $0.address == address }
      }
      if known[target]?.addresses.isEmpty == true { known.remove(target) }
    }
    emit(.selfConnection(address), now, &outputs)
  }

  // MARK: The book

  /// Reads the rows. A peer that has not been heard of since is dialled as if it were known for good.
  mutating func load(_ book: [(key: [UInt8], value: [UInt8])], now: Instant, into outputs: inout [Output]) {
    for (key, value) in book {
      if let row = PeerRow(key: key, value: value) {
        loadPeer(row, now, &outputs)
      } else if let row = BanRow(key: key, value: value) {
        let end = row.end.map { clock.instant(of: WallTime(milliseconds: Int64(clamping: $0))) } ?? .distantFuture
        if end > now {
          _ = bans.add(row.subject, BanList.Ban(end: end, detail: row.detail, isOperators: row.isOperators))
        } else {
          outputs.append(.book(.remove(key: key)))
        }
      } else {
        emit(.bookRowUnreadable(key: Array(key.prefix(64))), now, &outputs)
      }
    }
    banDeadline = bans.nextEnd
  }

  private mutating func loadPeer(_ row: PeerRow, _ now: Instant, _ outputs: inout [Output]) {
    guard row.peer != localPeer, known[.peer(row.peer)] == nil, known.count < configuration.knownMaximum else { return }
    var entry = KnownPeer(waitingSince: now)
    for stored in row.addresses.prefix(configuration.addressesPerPeerMaximum) {
      guard let multiaddr = try? Multiaddr(bytes: stored.bytes) else { continue }
      var address = KnownAddress(multiaddr.withoutPeerID)
      if stored.lastSuccess > 0 { address.lastSuccess = min(now, instant(milliseconds: stored.lastSuccess)) }
      entry.addresses.append(address)
    }
    guard !entry.addresses.isEmpty else {
      emit(.bookRowUnreadable(key: row.key), now, &outputs)
      return
    }
    entry.isStored = true
    entry.failures = row.failures
    entry.score = Score(row.score, at: min(now, instant(milliseconds: row.scoredAt)))
    known.insert(.peer(row.peer), entry)
  }

  private func instant(milliseconds: UInt64) -> Instant { clock.instant(of: WallTime(milliseconds: Int64(clamping: milliseconds))) }

  func milliseconds(at instant: Instant) -> UInt64 { UInt64(clamping: clock.time(at: instant).milliseconds) }

  /// Writes a stored peer's row.
  mutating func putRow(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard let entry = known[.peer(peer)], entry.isStored else { return }
    let addresses = entry.dialOrder.compactMap { address in entry.addresses.first { $0.address == address } }
    let row = PeerRow(
      peer: peer,
      addresses: addresses.map {
        PeerRow.Address(bytes: $0.address.bytes, lastSuccess: $0.lastSuccess.map { milliseconds(at: $0) } ?? 0)
      }, failures: entry.failures, score: entry.score.value(at: now, halfLife: configuration.scoreHalfLife), scoredAt: milliseconds(at: now)
    )
    outputs.append(.book(.put(key: row.key, value: row.value)))
  }
}
