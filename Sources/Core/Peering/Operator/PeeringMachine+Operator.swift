import Identity
import Wire

// What operators ask for, answered in the same turn.
extension PeeringMachine {
  mutating func operate(_ command: OperatorCommand, _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    if isStopping { return .refused(.stopping) }
    switch command {
    case .add(let item, let keep): return add(item, keep: keep, now, &outputs)
    case .drop(let peer): return drop(peer, now, &outputs)
    case .dropAddress(let address): return drop(at: address, now, &outputs)
    case .ban(let subject, let duration, let detail): return banByOperator(subject, duration, detail, now, &outputs)
    case .unban(let subject): return unbanByOperator(subject, now, &outputs)
    case .trust(let peer): return trust(peer, now, &outputs)
    case .distrust(let peer):
      guard endTrust(peer, now, &outputs) else { return .refused(.notTrusted) }
      return .distrusted
    case .importBook(let items): return importBook(items, now, &outputs)
    }
  }

  // MARK: Links

  private mutating func add(_ item: PeerAddress, keep: Bool, _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    let item = PeerAddress(peer: item.peer ?? item.address.peerID, address: item.address.withoutPeerID)
    if item.peer == localPeer { return .refused(.isSelf) }
    let isNew = keep && !settings.kept.contains(item)
    if isNew && settings.kept.count >= configuration.configuredMaximum {
      return .refused(.listFull(maximum: configuration.configuredMaximum))
    }
    let refusal = dialByHand(item, keep: keep, now, &outputs)
    let target = item.peer.map(DialTarget.peer) ?? answered(at: item.address) ?? .address(item.address)
    let isKept = keep && known[target]?.role == .keep
    if isNew && isKept {
      settings.kept.append(item)
      put(BookKeys.kept, settings.keptRow, &outputs)
      emit(.mustKeep(target.peer, item.address, true), now, &outputs)
    }
    if let refusal { return isKept ? .waiting(refusal) : .refused(.notDialled(refusal)) }
    if keep && !isKept { return .refused(.listFull(maximum: configuration.configuredMaximum)) }
    if let id = target.peer.flatMap({ linkOfPeer[$0] }) ?? rounds[target]?.attempts.first ?? known[target]?.link, let link = links[id] {
      return link.state == .dialling ? .dialling(id) : .linked(id)
    }
    let reason = Reason(.busy, "another link or dial to it or its address is being decided")
    return isKept ? .waiting(reason) : .refused(.notDialled(reason))
  }

  private mutating func drop(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    if peer == localPeer { return .refused(.isSelf) }
    let target = DialTarget.peer(peer)
    guard known[target] != nil || book.contains(target) else { return .refused(.unknown) }
    takeInHand(target, now)
    let addresses = book.ids(of: target).filter { book.records[$0].marks.contains(.nameless) }.map { book.endpoint(of: $0).multiaddr }
    let wasMustKeep = wantNoMore(target, addresses, now, &outputs)
    let before = slots.total
    disconnect(peer, Reason(.operatorRequest, "dropped by an operator"), now, &outputs)
    let end = max(known[target]?.notBefore ?? now, now + configuration.backOffMaximum)
    takeInHand(target, now)
    known.update(target) { $0.wait(until: end, .dropped) }
    settings.drop(peer, until: end, now: now)
    putDrops(now, &outputs)
    return .dropped(links: before - slots.total, wasMustKeep: wasMustKeep)
  }

  private mutating func drop(at address: Multiaddr, _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    let address = address.withoutPeerID
    if let peer = answered(at: address)?.peer { return drop(peer, now, &outputs) }
    let target = DialTarget.address(address)
    guard known[target] != nil else { return .refused(.unknown) }
    let wasMustKeep = wantNoMore(target, [address], now, &outputs)
    let before = slots.total
    endRound(target, Reason(.operatorRequest, "dropped by an operator"), now, &outputs)
    letGo(target, forgetting: true)
    return .dropped(links: before - slots.total, wasMustKeep: wasMustKeep)
  }

  /// The target is an ordinary one from here on, whoever had made it a must-keep one. Returns whether it was one.
  private mutating func wantNoMore(
    _ target: DialTarget, _ addresses: [Multiaddr], _ now: Instant, _ outputs: inout [Output]
  ) -> Bool {
    let wasMustKeep = known[target]?.role == .keep
    known.update(target) { if $0.role == .keep { $0.role = .heard } }
    for target in [target] + addresses.map(DialTarget.address) where settings.dropped.count < configuration.configuredMaximum {
      settings.dropped.insert(target)
    }
    let before = settings.kept.count
    settings.kept.removeAll { item in
      item.peer.map { $0 == target.peer } ?? addresses.contains(item.address)
    }
    if settings.kept.count != before { put(BookKeys.kept, settings.keptRow, &outputs) }
    if wasMustKeep { emit(.mustKeep(target.peer, addresses.first, false), now, &outputs) }
    return wasMustKeep
  }

  // MARK: Bans

  private mutating func banByOperator(
    _ subject: BanSubject, _ duration: Duration?, _ detail: String, _ now: Instant, _ outputs: inout [Output]
  ) -> OperatorAnswer {
    var endedTrust = false
    if case .peer(let peer) = subject {
      if peer == localPeer { return .refused(.isSelf) }
      endedTrust = endTrust(peer, now, &outputs)
    }
    let before = slots.total
    // As it will be told to the peers.
    let detail = Reason(.banned, detail).detail
    ban(subject, duration.map { min($0, Self.banMaximum) }, detail, isOperators: true, now, &outputs)
    guard bans[subject] != nil else { return .refused(.listFull(maximum: configuration.bansMaximum)) }
    return .banned(links: before - slots.total, endedTrust: endedTrust)
  }

  private mutating func unbanByOperator(_ subject: BanSubject, _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    if bans[subject] != nil {
      unban(subject, now, &outputs)
      return .unbanned
    }
    let ips: [IPAddress] =
      switch subject {
      case .peer(let peer): knownIPs(of: peer)
      case .network(let network): [network.address]
      }
    let covering = bans.networks.filter { ban in ban.value.end > now && ips.contains { ban.key.contains($0) } }
    return .refused(.notBanned(coveredBy: covering.keys.sorted()))
  }

  // MARK: Trust

  private mutating func trust(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    if peer == localPeer { return .refused(.isSelf) }
    guard settings.trusted.contains(peer) || settings.trusted.count < configuration.trustedMaximum else {
      return .refused(.listFull(maximum: configuration.trustedMaximum))
    }
    let isBanned = bans[.peer(peer)] != nil
    if isBanned { unban(.peer(peer), now, &outputs) }
    if settings.trusted.insert(peer).inserted {
      put(BookKeys.trusted, settings.trustedRow, &outputs)
      emit(.trusted(peer, true), now, &outputs)
    }
    return .trusted(liftedBan: isBanned)
  }

  private mutating func endTrust(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    guard settings.trusted.remove(peer) != nil else { return false }
    put(BookKeys.trusted, settings.trustedRow, &outputs)
    emit(.trusted(peer, false), now, &outputs)
    return true
  }

  /// Whether an operator trusts a peer.
  public func isTrusted(_ peer: PeerID) -> Bool { settings.trusted.contains(peer) }

  /// Whether a link that a limit stands against is let in nevertheless, because a trusted peer is known at its address. Who it really is
  /// shows at the proof: see ``waivedFault(_:_:)``. O(trusted peers).
  mutating func isWaived(_ reason: Reason, for ip: IPAddress?, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    guard !settings.trusted.isEmpty, let ip else { return false }
    switch reason.code {
    case .tooManyPeers, .tooManyFromIP, .tooManyFromSubnet, .busy, .lowScore: break
    default: return false
    }
    // Strangers may share the address: they must not have more of it than a few handshakes.
    guard links.values.count(where: { $0.state == .accepted && $0.waived != nil }) < Self.waivedHandshakesMaximum,
      settings.trusted.contains(where: { knownIPs(of: $0).contains(ip) })
    else { return false }
    return slots.total < configuration.totalMaximum || evict(for: ip, isTrusted: true, now, &outputs)
  }

  /// What had stood against a link that was let in for a trusted peer, when it turns out to be somebody else.
  func waivedFault(_ link: Link, _ peer: PeerID) -> Reason? { isTrusted(peer) ? nil : link.waived }

  func knownIPs(of peer: PeerID) -> [IPAddress] {
    let linked = [linkOfPeer[peer], heldOfPeer[peer]].compactMap { $0.flatMap { links[$0]?.ip } }
    return linked + book.ids(of: .peer(peer)).compactMap { book.endpoint(of: $0).ip }
  }

  // MARK: The book

  /// The operator's word is hearsay like any other: nothing is tried, nobody at hand is let go for it. It counts as said by many, each in
  /// its own network, so that a whole book finds places. O(book).
  private mutating func importBook(_ items: [PeerAddress], _ now: Instant, _ outputs: inout [Output]) -> OperatorAnswer {
    var (added, known) = (0, 0)
    for item in items {
      if let peer = item.peer, let named = item.address.peerID, named != peer {
        reasonCounts.count(.anothersName)
        continue
      }
      let item = PeerAddress(peer: item.peer ?? item.address.peerID, address: item.address.withoutPeerID)
      if book.find(BookItem(item)) != nil {
        known += 1
        continue
      }
      learn(item, .imported, book.groups.spread(of: BookEndpoint(item.address)), now, &outputs)
      if book.find(BookItem(item)) != nil { added += 1 }
    }
    // Hearsay is written part by part in its own time; an operator is told that it is there.
    if added > 0 { writeAllParts(&outputs) }
    return .imported(added: added, known: known, refused: items.count - added - known)
  }

  // MARK: What is set

  /// What operators have set and is in force. O(n log n).
  public func rules(now: Instant) -> OperatorRules {
    OperatorRules(
      bans: bans.all.filter { $0.ban.end > now }.map {
        .init(
          subject: $0.subject, end: $0.ban.end == .distantFuture ? nil : clock.time(at: $0.ban.end), detail: $0.ban.detail,
          isOperators: $0.ban.isOperators)
      }, trusted: settings.trusted.sorted(), kept: settings.kept)
  }

  /// The peers whose names an operator may shorten: linked, dialled lately, banned, trusted, kept, or in the story of late. O(their number).
  public var peersAtHand: Set<PeerID> {
    var found: Set<PeerID> = settings.trusted.union(bans.peers.keys).union(linkOfPeer.keys)
    found.formUnion(known.entries.keys.compactMap(\.peer))
    found.formUnion(settings.kept.compactMap(\.peer))
    found.formUnion(history.events.compactMap(\.event.peer))
    return found
  }

  /// The peers at hand that a text may mean: the beginning of a name, or a short form such as `12D3…SUKPH5`. At most `maximum`, in order.
  /// O(peers at hand), some microseconds each.
  public func peers(named text: String, maximum: Int = 5) -> [PeerID] { Self.peers(named: text, among: peersAtHand, maximum: maximum) }

  /// The same among peers that were at hand; for any thread.
  public static func peers(named text: String, among peers: Set<PeerID>, maximum: Int = 5) -> [PeerID] {
    let parts = text.split(separator: "…", maxSplits: 1, omittingEmptySubsequences: false)
    func isMeant(_ name: String) -> Bool { name.hasPrefix(parts[0]) && (parts.count == 1 || name.hasSuffix(parts[1])) }
    return Array(peers.filter { isMeant($0.description) }.sorted().prefix(maximum))
  }

  /// Ten years: longer ones are meant to be lifted by hand.
  static let banMaximum = Duration.seconds(10 * 365 * 86_400)
  static let waivedHandshakesMaximum = 4
}
