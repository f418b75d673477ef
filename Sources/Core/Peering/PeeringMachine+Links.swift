import Identity
import Wire

extension PeeringMachine {
  // MARK: Before the proof

  mutating func accept(_ id: ConnectionID, _ remote: Multiaddr, _ now: Instant, _ outputs: inout [Output]) {
    guard links[id] == nil, id.isInbound else { return }
    let ip = AddressFacts(remote).ip
    let fault = admissionFault(ip, now, &outputs)
    if let fault, !isWaived(fault, for: ip, now, &outputs) {
      outputs.append(.close(id, fault))
      emit(.refused(id, remote, fault), now, &outputs)
      return
    }
    _ = accepts.take(now: now)
    // Two seconds more than the handshake has, so that the secure channel's own, better explained timeout comes first.
    let deadline = now + configuration.handshakeTimeout + .seconds(2)
    var link = Link(id: id, direction: .inbound, address: remote, ip: ip, state: .accepted, since: now, deadline: deadline)
    link.waived = fault
    link.cause = fault == nil ? .accepted : .trusted
    set(link)
  }

  /// Why a link from this address is refused before its handshake. The cheapest and most telling reason comes first.
  private mutating func admissionFault(_ ip: IPAddress?, _ now: Instant, _ outputs: inout [Output]) -> Reason? {
    if isStopping { return Reason(.shutdown) }
    if let ban = bans.ban(peer: nil, ip: ip, now: now) { return Reason(.banned, ban.detail) }
    if let ip, let fault = crowdFault(ip, besides: []) { return fault }
    if let ip, !(configuration.exemptsLoopback && ip.isLoopback) {
      if misdeeds.available(ip.home, now: now) < 1 { return Reason(.lowScore, "peers at that address misbehaved") }
      if ip.isRoutable, subnetMisdeeds.available(AddressFacts.subnet(of: ip), now: now) < 1 {
        return Reason(.lowScore, "peers of that network misbehaved")
      }
      if slots.unprovenByHome[ip.home] ?? 0 >= configuration.handshakesPerIPMaximum {
        return Reason(.busy, "\(configuration.handshakesPerIPMaximum.counted("handshake")) under way with that address")
      }
      if ip.isRoutable, slots.unprovenBySubnet[AddressFacts.subnet(of: ip)] ?? 0 >= configuration.handshakesPerSubnetMaximum {
        return Reason(.busy, "\(configuration.handshakesPerSubnetMaximum.counted("handshake")) under way with that network")
      }
    }
    if accepts.available(now: now) < 1 { return Reason(.busy, "more new links than \(configuration.acceptsPerSecond.whole) a second") }
    if slots.unproven >= configuration.handshakesMaximum && !crowdOutHandshake(for: ip, now, &outputs) {
      return Reason(.busy, "\(slots.unproven.counted("handshake")) under way")
    }
    let reserve = slotsForDials(besides: ip)
    // One eviction makes one slot: what is missing for dials is not made up for.
    if slots.total + reserve > configuration.totalMaximum
      || (slots.total + reserve == configuration.totalMaximum && !evict(for: ip, now, &outputs))
    {
      return Reason(.tooManyPeers, "\(slots.total) of \(configuration.totalMaximum) slots taken, \(reserve) kept for dials")
    }
    return nil
  }

  /// Why one more link with this address, whoever opens it, would be one too many. The attempts of the peer's own dial are not counted:
  /// at most one of them stays.
  func crowdFault(_ ip: IPAddress, besides attempts: [ConnectionID]) -> Reason? {
    if configuration.exemptsLoopback && ip.isLoopback { return nil }
    let (home, subnet) = (ip.home, AddressFacts.subnet(of: ip))
    func others(_ count: Int?, _ isMeant: (IPAddress) -> Bool) -> Int {
      (count ?? 0) - attempts.count { links[$0]?.ip.map(isMeant) ?? false }
    }
    if others(slots.byHome[home], { $0.home == home }) >= configuration.perIPMaximum {
      return Reason(.tooManyFromIP, "\(configuration.perIPMaximum.counted("link")) per IP address")
    }
    if ip.isRoutable, others(slots.bySubnet[subnet], { AddressFacts.subnet(of: $0) == subnet }) >= configuration.perSubnetMaximum {
      return Reason(.tooManyFromSubnet, "\(configuration.perSubnetMaximum.counted("link")) per network")
    }
    return nil
  }

  /// Slots for our own choice of peers and must-keep ones, and one for a feeler, are kept free as long as there is somebody to dial, or
  /// accepted links could fill the house and end all choice.
  private func slotsForDials(besides ip: IPAddress?) -> Int {
    let lasting = max(outboundWanted - slots.lasting, slotsForMustKeep(coming: ip))
    let missing = lasting + (makesFeelers && slots.feelers == 0 ? 1 : 0)
    // Counting the linked ones is for small books.
    guard missing > 0, book.peerCount < missing + links.count else { return missing }
    // Of one peer a second link may be held.
    let linked = Set(links.values.compactMap(\.target)).filter { book.contains($0) }.count
    return min(missing, book.peerCount - linked)
  }

  // MARK: The proof, and which of two links is kept

  mutating func prove(
    _ id: ConnectionID, _ peer: PeerID, _ remote: Multiaddr, setUpTime: Duration, _ now: Instant, _ outputs: inout [Output]
  ) {
    guard links[id] != nil else { return proveLate(id, peer, remote, now, &outputs) }
    guard var link = links[id], link.state == .dialling || link.state == .accepted else { return }
    let begun = link.since
    if let expected = link.target?.peer, expected != peer {
      outputs.append(.cancelDial(id))
      dialFailed(id, .wrongPeer(peer), now, &outputs)
      return
    }
    if link.state == .dialling, let target = link.target {
      endRound(target, wonBy: id, Reason(.duplicate, "\(link.address) was faster"), now, &outputs)
    }
    if peer == localPeer {
      proveSelf(link, now, &outputs)
      return
    }
    if link.direction == .inbound { link.address = remote }
    // Where a name led.
    if link.ip == nil { link.ip = AddressFacts(remote).ip }
    lineProvenAt = now
    link.target = nameTarget(of: link, peer, now)
    link.peer = peer
    link.provenAt = now
    link.setUpTime = setUpTime
    link.since = now
    link.state = .held
    link.deadline = now + configuration.holdMaximum
    set(link)
    emit(.proven(id, peer, link.direction), now, &outputs)
    noteReplacements(peer, begun: begun, now, &outputs)
    if let reason = identityFault(peer, link.ip, now) ?? waivedFault(link, peer) ?? addressFault(link, peer) ?? pausedFault(link, peer, now)
    {
      close(id, reason, now, &outputs)
      return
    }
    decide(link, peer, now, &outputs)
  }

  private func identityFault(_ peer: PeerID, _ ip: IPAddress?, _ now: Instant) -> Reason? {
    if let ban = bans.ban(peer: peer, ip: ip, now: now) { return Reason(.banned, ban.detail) }
    if !isAllowed(peer, ip) { return Reason(.notAllowed, "not on the list of a private network") }
    let score = score(of: peer, now: now)
    if score >= configuration.disconnectScore, !isTrusted(peer), known[.peer(peer)]?.role != .keep {
      return Reason(.lowScore, "score \(score.whole), and it is taken again below \(configuration.disconnectScore.whole)")
    }
    return nil
  }

  /// Whether a private network takes this peer from this address. Decided once the peer is proven, so that it can be told.
  func isAllowed(_ peer: PeerID?, _ ip: IPAddress?) -> Bool {
    guard let allowed = configuration.allowed else { return true }
    if let peer, allowed.peers.contains(peer) || isTrusted(peer) { return true }
    guard let ip else { return false }
    return allowed.networks.contains { $0.contains(ip) }
  }

  /// Both ends of a link to oneself come by here: the address is remembered, nobody is blamed.
  private mutating func proveSelf(_ link: Link, _ now: Instant, _ outputs: inout [Output]) {
    let isTwin = isOwnTwin(link, now, &outputs)
    _ = takeOut(link.id)
    if link.direction == .outbound { twins.dialEnded(now) } else { twins.acceptedEnded(link) }
    outputs.append(.close(link.id, Reason(.selfConnection, isTwin ? "another machine has the key of this one" : "")))
    if isTwin, link.direction == .outbound, let target = link.target {
      failedByTwin(link, target, now, &outputs)
    } else if link.direction == .outbound {
      rememberSelf(link.address, link.target, now, &outputs)
    } else {
      emit(.refused(link.id, link.address, Reason(.selfConnection)), now, &outputs)
    }
  }

  /// `new` is proven and held: admit it, leave it held, or close it.
  private mutating func decide(_ new: Link, _ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    if let heldID = heldOfPeer[peer], heldID != new.id {
      // Our own dial, which the held link waited for, has come; or a third link takes the second one's place.
      retire(heldID, Reason(.duplicate), now, &outputs)
    }
    guard let existingID = linkOfPeer[peer], let existing = links[existingID] else {
      if rounds[.peer(peer)] != nil {
        if new.direction == .inbound && localPeer < peer {
          heldOfPeer[peer] = new.id
          return
        }
        // It would lose against the remote's link, or is a second one of our own.
        endRound(.peer(peer), Reason(.duplicate, "\(new.id) is kept"), now, &outputs)
      }
      admit(new.id, now, &outputs)
      return
    }
    switch OneLinkRule.choose(
      existing: existing.direction, age: now - existing.provenAt, new: new.direction, isLower: localPeer < peer,
      window: configuration.simultaneousWindow, margin: configuration.holdMaximum)
    {
    case .keepExisting: retire(new.id, Reason(.duplicate), now, &outputs)
    case .takeNew:
      replace(existingID, by: new, now, &outputs)
      if links[new.id]?.state == .held { admit(new.id, now, &outputs) }
    case .wait: heldOfPeer[peer] = new.id
    }
  }

  /// The remote has not said in time which link it keeps: the held one is newer, so the remote has it.
  mutating func holdExpired(_ link: Link, _ now: Instant, _ outputs: inout [Output]) {
    guard let peer = link.peer else { return }
    endRound(.peer(peer), Reason(.duplicate, "\(link.id) is kept"), now, &outputs)
    heldOfPeer[peer] = nil
    if let existing = linkOfPeer[peer] { replace(existing, by: link, now, &outputs) }
    if links[link.id]?.state == .held { admit(link.id, now, &outputs) }
  }

  // MARK: In use

  /// The dial that a held link waited for has failed.
  mutating func release(_ held: ConnectionID, _ now: Instant, _ outputs: inout [Output]) { admit(held, now, &outputs) }

  private mutating func admit(_ id: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard var link = links[id], let peer = link.peer else { return }
    heldOfPeer[peer] = nil
    precondition(linkOfPeer[peer] == nil, "a second link to a peer would be admitted")
    linkOfPeer[peer] = id
    known.update(.peer(peer)) { $0.link = id }
    link.state = .introducing
    link.since = now
    link.deadline = now + configuration.introductionTimeout
    set(link)
    outputs.append(.admit(id))
    if !configuration.introductionRequired { introduce(peer, now, &outputs) }
  }

  mutating func introduce(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard let id = linkOfPeer[peer], var link = links[id], link.state == .introducing else { return }
    if let failed = known[.peer(peer)]?.failedAddress, AddressFacts(failed).ip != link.ip, isNameless(failed, of: peer) {
      // It may have stood in at that address for somebody else, who is still wanted.
      takeName(from: failed, of: .peer(peer), now, &outputs)
    }
    known.update(.peer(peer)) { entry in
      entry.streak = 0
      entry.failures = 0
      entry.trouble = nil
      entry.wait(until: now, .courtesy)
    }
    if link.direction == .outbound {
      book.succeeded(PeerAddress(peer: peer, address: link.address), now: now)
      putRow(peer, now, &outputs)
      syncRows(book.resolvePending(at: BookSeconds(at: now)), now, &outputs)
    }
    if let origin = link.origin { dialCounts[origin].succeeded += 1 }
    if link.isFeeler && slots.lasting >= outboundWanted && !isNeighbour(link) {
      close(id, Reason(.feeler), now, &outputs)
      return
    }
    assumeListening(link, peer, now)
    link.isFeeler = false
    link.state = .active
    link.since = now
    link.deadline = now + configuration.firstPingDelay
    set(link)
    activeCount += 1
    if link.direction == .outbound { vacancies = max(0, vacancies - 1) }
    if seedCause != .tooFewPeers { seedCause = nil }
    if link.direction == .outbound { updateAnchors(now, &outputs) }
    emit(.peerActive(id, peer, link.direction), now, &outputs)
  }

  // MARK: The end

  mutating func closed(_ id: ConnectionID, _ end: LinkEnd, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[id] else { return }
    if link.state == .dialling {
      switch end {
      case .goodbye(let reason): dialFailed(id, .goodbye(reason), now, &outputs)
      case .notInNetwork(let text): dialFailed(id, .notInNetwork(text), now, &outputs)
      case .transport(let text): dialFailed(id, .transport(text), now, &outputs)
      case .handshake(let text), .limit(let text), .protocolViolation(let text): dialFailed(id, .handshake(text), now, &outputs)
      case .remoteClosed: dialFailed(id, .transport("closed by the remote"), now, &outputs)
      }
      return
    }
    ended(id, end.reason, by: end.closer, now, &outputs)
    guard case .protocolViolation = end, let peer = link.peer else { return }
    // A peer that only came in may be forgotten by now.
    takeInHand(.peer(peer), now)
    report(peer, .protocolViolation, now, &outputs)
  }

  /// Another link to the peer is kept. The remote may have begun to use this one before it knew: it drains. One link of a peer does so at a
  /// time, in a slot of its own.
  mutating func retire(_ id: ConnectionID, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]) {
    guard var link = links[id], let peer = link.peer else { return }
    if let older = drainingOfPeer[peer] { close(older, reason, now, &outputs) }
    outputs.append(.retire(id, reason))
    ended(id, reason, by: .thisSide, now, &outputs)
    link.state = .draining
    link.isFeeler = false
    link.since = now
    link.deadline = now + configuration.drainTime
    set(link)
    drainingOfPeer[peer] = id
  }

  /// A dial came through at the moment at which it gave way to another link. The remote may have begun to use it, as any other that loses.
  private mutating func proveLate(_ id: ConnectionID, _ peer: PeerID, _ remote: Multiaddr, _ now: Instant, _ outputs: inout [Output]) {
    if id.isInbound { return }
    guard !isStopping, linkOfPeer[peer] != nil, slots.total < configuration.totalMaximum else {
      return outputs.append(.close(id, Reason(isStopping ? .shutdown : .duplicate)))
    }
    if let older = drainingOfPeer[peer] { close(older, Reason(.duplicate), now, &outputs) }
    var link = Link(
      id: id, direction: .outbound, address: remote, ip: AddressFacts(remote).ip, state: .draining, since: now,
      deadline: now + configuration.drainTime)
    link.peer = peer
    link.target = .peer(peer)
    outputs.append(.retire(id, Reason(.duplicate)))
    set(link)
    drainingOfPeer[peer] = id
  }

  /// Closes the admitted link, a held and a draining one.
  mutating func disconnect(_ peer: PeerID, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]) {
    if let id = drainingOfPeer[peer] { close(id, reason, now, &outputs) }
    if let id = heldOfPeer[peer] { close(id, reason, now, &outputs) }
    if let id = linkOfPeer[peer] { close(id, reason, now, &outputs) }
    guard reason.code == .operatorRequest || reason.code == .banned, rounds[.peer(peer)] != nil else { return }
    endRound(.peer(peer), reason, now, &outputs)
    // Or the next dial would begin in the same turn.
    let wait = known[.peer(peer)].map { BackOff.delay($0, isLasting: true, hurries: false, configuration, &generator) } ?? .zero
    known.update(.peer(peer)) { $0.waitLonger(until: now + wait, .refusal(reason.code, byRemote: false)) }
  }

  /// The chain's handshake has told that the peer does not want this node.
  mutating func refusedBy(_ peer: PeerID, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]) {
    for id in [drainingOfPeer[peer], heldOfPeer[peer]].compactMap(\.self) { close(id, reason, now, &outputs) }
    guard let id = linkOfPeer[peer] else { return }
    // It knows why.
    outputs.append(.close(id, Reason(reason.code)))
    ended(id, reason, by: .remote, now, &outputs)
  }

  mutating func close(_ id: ConnectionID, _ reason: Reason, _ now: Instant, _ outputs: inout [Output]) {
    guard links[id] != nil else { return }
    outputs.append(.close(id, reason))
    ended(id, reason, by: .thisSide, now, &outputs)
  }

  /// Books the end of an accepted or proven link, and lets a held link of the same peer in.
  private mutating func ended(_ id: ConnectionID, _ reason: Reason, by closer: LinkCloser, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = takeOut(id) else { return }
    guard let peer = link.peer else {
      twins.acceptedEnded(link)
      emit(.refused(id, link.address, reason), now, &outputs)
      return
    }
    if link.state == .draining {
      // Its end was told when it gave way.
      drainingOfPeer[peer] = nil
      return
    }
    let wasAdmitted = linkOfPeer[peer] == id
    if heldOfPeer[peer] == id { heldOfPeer[peer] = nil }
    if wasAdmitted { linkOfPeer[peer] = nil }
    if link.state == .active {
      activeCount -= 1
      if activeCount == 0 { becameAlone(now) }
      if link.direction == .outbound, reason.code != .idle { vacancies = min(vacancies + 1, configuration.outboundMaximum) }
      emit(.peerInactive(id, peer, reason), now, &outputs)
    }
    emit(.linkClosed(id, peer, reason, by: closer), now, &outputs)
    settleEntry(of: link, peer, reason, by: closer, now)
    if link.state == .active && link.direction == .outbound {
      book.seen(BookItem(.peer(peer), link.address), at: BookSeconds(at: now))
      putRow(peer, now, &outputs)
    }
    if wasAdmitted, let held = heldOfPeer[peer] {
      if isStopping || reason.code == .banned { close(held, reason, now, &outputs) } else { admit(held, now, &outputs) }
    }
  }

  /// What the end of a proven link means for the next dial.
  private mutating func settleEntry(of link: Link, _ peer: PeerID, _ reason: Reason, by closer: LinkCloser, _ now: Instant) {
    // The newer link that the remote speaks of may be one that is not decided here yet.
    let isReplacedElsewhere = reason.code == .replaced && closer == .remote && heldOfPeer[peer] == nil && rounds[.peer(peer)] == nil
    let configuration = configuration
    var generator = generator
    let isLinked = linkOfPeer[peer] != nil
    known.update(.peer(peer)) { entry in
      if entry.link == link.id { entry.link = nil }
      entry.roundTrip = link.roundTrip?.smoothed ?? entry.roundTrip
      // The end of a second link says nothing of a peer whose first one lives.
      if isLinked { return }
      if isReplacedElsewhere {
        entry.waitingSince = now
        entry.replacedAt = now
        entry.trouble = .init(kind: .link(reason, closer), address: link.address, at: now)
        entry.shortLives += 1
        entry.wait(until: now + BackOff.delay(entry, isLasting: false, hurries: false, configuration, &generator), .replaced)
        return
      }
      if reason.code == .duplicate || reason.code == .replaced || reason.code == .feeler || reason.code == .idle {
        // The peer lives, and the link is not needed: nobody is to blame, but a little patience avoids a circle.
        entry.waitLonger(until: now + configuration.backOffBase, .courtesy)
        return
      }
      entry.waitingSince = now
      entry.trouble = .init(kind: .link(reason, closer), address: link.address, at: now)
      if link.state == .active {
        if now - link.since >= configuration.settledAfter { entry.shortLives = 0 } else { entry.shortLives += 1 }
      } else {
        entry.streak += 1
      }
      let isLasting = reason.code.isLasting || reason.code == .operatorRequest
      let isLoss = reason.code == .remoteClosed || reason.code == .transportError || reason.code == .keepAliveTimeout
      let isFirstLoss = isLoss && link.state == .active && entry.streak == 0 && entry.shortLives <= 1
      entry.wait(
        until: now + BackOff.delay(entry, isLasting: isLasting, hurries: false, configuration, &generator),
        isLasting ? .refusal(reason.code, byRemote: closer == .remote) : isFirstLoss ? .loss : .failures)
    }
    self.generator = generator
    forgetIfNameOnly(peer, now)
  }

  /// A peer that only ever came in by itself and left no address is not worth a place, unless it has a bad name, or one end does not want the
  /// other: an address may be heard of soon.
  private mutating func forgetIfNameOnly(_ peer: PeerID, _ now: Instant) {
    guard let entry = known[.peer(peer)], entry.link == nil, !book.contains(.peer(peer)), linkOfPeer[peer] == nil, heldOfPeer[peer] == nil,
      entry.score.value(at: now, halfLife: configuration.scoreHalfLife) < 1, !(entry.pause.isWord && entry.notBefore > now)
    else { return }
    letGo(.peer(peer))
  }
}
