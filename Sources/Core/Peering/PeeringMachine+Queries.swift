import Identity
import Wire

extension PeeringMachine {
  /// All links and dials in flight, by ID. O(n log n).
  public func links(now: Instant) -> [PeerInfo] {
    links.values.sorted { $0.id < $1.id }.map { link in
      let entry = link.target.flatMap { known[$0] }
      return PeerInfo(
        connection: link.id, peer: link.peer ?? link.target?.peer, address: link.address, direction: link.direction, state: link.state,
        since: link.since, roundTrip: link.roundTrip?.smoothed, missedPongs: link.missed,
        lastUse: [link.lastBlock, link.lastTransaction].compactMap(\.self).max(),
        score: entry?.score.value(at: now, halfLife: configuration.scoreHalfLife) ?? 0,
        role: role(of: link), isTrusted: link.peer.map { isTrusted($0) } ?? false, group: link.ip.map { crowd(of: $0) }, cause: link.cause)
    }
  }

  private func role(of link: Link) -> PeerRole {
    (link.peer.map(DialTarget.peer) ?? link.target).map { role(of: $0) } ?? .heard
  }

  func role(of target: DialTarget) -> PeerRole {
    switch known[target]?.role {
    case .keep: return .mustKeep
    case .seed: return .seed
    case .heard, nil: return isStored(target) ? .stored : .heard
    }
  }

  /// The peers in use, in order. O(n log n).
  public var activePeers: [PeerID] { linkOfPeer.filter { links[$0.value]?.state == .active }.keys.sorted() }

  /// The admitted link of a peer, active or waiting for the chain's handshake.
  public func link(of peer: PeerID) -> ConnectionID? { linkOfPeer[peer] }

  /// Where the admitted link of a peer leads; `nil` for a name.
  public func ip(of peer: PeerID) -> IPAddress? { linkOfPeer[peer].flatMap { links[$0]?.ip } }

  /// Whether a link stands in the ledger: accepted or dialled, and not ended.
  public func hasLink(_ id: ConnectionID) -> Bool { links[id] != nil }

  /// Whether a peer is in use.
  public func isActive(_ peer: PeerID) -> Bool { linkOfPeer[peer].map { links[$0]?.state == .active } ?? false }

  /// Whether there are fewer outbound links and dials than the minimum.
  public var lacksOutbound: Bool { !isStopping && slots.lasting < outboundWanted }

  /// Whether there are more outbound links than the minimum: one of them may go.
  public var hasSpareOutbound: Bool { slots.lasting > outboundWanted }

  /// What discovery goes by: active peers, stored peers that are not must-keep ones, and whether there are fewer outbound links than
  /// wanted. O(must-keep peers).
  public var linkSummary: (active: Int, stored: Int, isShort: Bool) {
    (activeCount, book.triedPeerCount - known.targets(.keep).count { isStored($0) }, lacksOutbound)
  }

  /// Counts by state. O(links + peers at hand).
  public var counts: PeeringCounts {
    var counts = PeeringCounts()
    for link in links.values {
      switch link.state {
      case .dialling: break
      case .accepted: counts.accepted += 1
      case .held: counts.held += 1
      case .introducing: counts.introducing += 1
      case .active: counts.active += 1
      case .draining: counts.draining += 1
      }
    }
    counts.dialling = slots.dialling
    counts.outbound = slots.outbound
    counts.inbound = slots.inbound
    counts.known = book.peerCount + known.entries.keys.reduce(0) { $0 + (book.contains($1) ? 0 : 1) }
    counts.stored = book.triedPeerCount
    counts.bans = bans.count
    counts.dials = dialCounts
    counts.seedCause = seedCause
    return counts
  }

  /// Whether a link is being dialled or set up. O(links).
  public var isMeeting: Bool { links.values.contains { $0.state != .active && $0.state != .draining } }

  /// The addresses remembered for a peer, the best first.
  public func addresses(of peer: PeerID) -> [Multiaddr] { dialOrder(.peer(peer)) }

  /// Whether a peer has a row in the book.
  public func isStored(_ peer: PeerID) -> Bool { isStored(.peer(peer)) }

  /// The peer's smoothed round-trip time, kept beyond its link.
  public func roundTrip(of peer: PeerID) -> Duration? {
    roundTripEstimate(of: peer)?.smoothed ?? known[.peer(peer)]?.roundTrip
  }

  /// What pings on the peer's admitted link have shown; `nil` before the first answer.
  public func roundTripEstimate(of peer: PeerID) -> RoundTripEstimate? { linkOfPeer[peer].flatMap { links[$0]?.roundTrip } }

  /// The peer's score; 0 is spotless.
  public func score(of peer: PeerID, now: Instant) -> Double {
    known[.peer(peer)]?.score.value(at: now, halfLife: configuration.scoreHalfLife) ?? 0
  }

  /// Bans in force with what is left of them (`nil`: until lifted) and why, in a stable order. O(n log n).
  public func bans(now: Instant) -> [(subject: BanSubject, left: Duration?, detail: String)] {
    bans.all.filter { $0.ban.end > now }.map { ($0.subject, $0.ban.end == .distantFuture ? nil : $0.ban.end - now, $0.ban.detail) }
  }

  /// What may be passed on to others: addresses that this node has dialled with success lately, and those that linked peers gave as their
  /// own. Never what was only heard. At most ``PeeringConfiguration/shareMaximum``, a random part when there are more.
  /// O(links + shareMaximum).
  public mutating func shareableAddresses(now: Instant) -> [PeerAddress] {
    var ids: Set<RecordID> = []
    let wanted = 4 * configuration.shareMaximum
    if book.count(.tried) <= wanted {
      ids.formUnion(book.all(.tried))
    } else {
      for _ in 0..<wanted { if let id = book.draw(.tried, using: &generator) { ids.insert(id) } }
    }
    // What linked peers say of themselves, and where dials led that wait for a place among the tried.
    for peer in linkOfPeer.keys { ids.formUnion(book.ids(of: .peer(peer))) }
    var result: [PeerAddress] = []
    for id in ids {
      guard let peer = book.records[id].peer, bans.ban(peer: peer, ip: nil, now: now) == nil, let address = shareable(id, peer, now) else {
        continue
      }
      result.append(PeerAddress(peer: peer, address: address))
    }
    result.sort { ($0.peer ?? localPeer, $0.address) < ($1.peer ?? localPeer, $1.address) }
    while result.count > configuration.shareMaximum {
      result.swapAt(generator.index(below: result.count), result.count - 1); result.removeLast()
    }
    return result
  }

  /// The same of one peer.
  public func shareableAddresses(of peer: PeerID, now: Instant) -> [Multiaddr] {
    if bans.ban(peer: peer, ip: nil, now: now) != nil { return [] }
    return book.ids(of: .peer(peer)).compactMap { shareable($0, peer, now) }
  }

  private func shareable(_ id: RecordID, _ peer: PeerID, _ now: Instant) -> Multiaddr? {
    let record = book.records[id]
    let isProven = record.succeeded.age(BookSeconds(at: now)) <= Int(configuration.shareAge.seconds)
    guard isProven || (record.marks.contains(.selfDeclared) && isActive(peer)) else { return nil }
    let address = book.endpoint(of: id).multiaddr
    let facts = AddressFacts(address)
    return facts.fault(allowsPrivate: configuration.allowsPrivateAddresses) == nil && facts.ip != nil ? address : nil
  }

  /// The last events, oldest first. O(n).
  public var recentEvents: [(at: Instant, event: PeeringEvent)] { history.events }

  /// Traps when the tables disagree: for tests, after each step. O(n).
  public func checkInvariants() {
    var counted = SlotLedger()
    for link in links.values { counted.add(link) }
    for round in rounds.values { counted.add(round) }
    precondition(counted == slots, "the ledger \(slots) does not match the links \(counted)")
    precondition(slots.outbound <= configuration.outboundMaximum, "\(slots.outbound) outbound slots taken")
    precondition(slots.total <= configuration.totalMaximum, "\(slots.total) slots taken")
    precondition(slots.dialling <= configuration.parallelDialsMaximum, "\(slots.dialling) dials in flight")
    precondition(activeCount == links.values.filter { $0.state == .active }.count, "the number of active links is wrong")
    for (id, link) in links {
      precondition(id == link.id && linkDeadline <= link.deadline, "a link's deadline would be missed")
      switch link.state {
      case .introducing, .active:
        precondition(link.peer.map { linkOfPeer[$0] == id } ?? false, "an admitted link is not its peer's")
        if link.state == .active, let entry = link.peer.flatMap({ known[.peer($0)] }) {
          precondition(
            entry.streak == 0 && entry.failures == 0,
            "\(entry.failures) failures of old dials, \(entry.streak) in a row, count against a peer that is linked")
        }
      case .held: precondition(link.peer.map { heldOfPeer[$0] == id } ?? false, "a held link is lost")
      case .draining: precondition(link.peer.map { drainingOfPeer[$0] == id } ?? false, "a draining link is lost")
      case .dialling:
        precondition(link.target.map { rounds[$0]?.attempts.contains(id) ?? false } ?? false, "an attempt does not belong to a round")
      case .accepted: precondition(link.peer == nil, "an accepted link has a peer")
      }
    }
    for (peer, id) in linkOfPeer { precondition(links[id]?.peer == peer, "the admitted link of a peer is gone") }
    for (peer, id) in drainingOfPeer { precondition(links[id]?.peer == peer, "the draining link of a peer is gone") }
    for (peer, id) in heldOfPeer { precondition(links[id]?.peer == peer, "the held link of a peer is gone") }
    for (target, round) in rounds {
      precondition(!round.attempts.isEmpty && target == round.target, "a round without an attempt")
      precondition(round.attempts.allSatisfy { links[$0]?.target == target && links[$0]?.state == .dialling }, "an attempt is gone")
      precondition(known[target]?.link != nil, "a round's entry does not know it")
      precondition(roundDeadline <= round.nextStart, "the next address of a round would be missed")
    }
    for (target, entry) in known.entries {
      guard let id = entry.link else { continue }
      precondition(links[id] != nil || rounds[target]?.id == id, "an entry names a link that is gone")
    }
    for target in known.entries.keys {
      for id in book.ids(of: target) { precondition(book.records[id].marks.contains(.pinned), "an address at hand could get lost") }
    }
    precondition(settings.trusted.count <= configuration.trustedMaximum, "\(settings.trusted.count) trusted peers")
    precondition(settings.kept.count <= configuration.configuredMaximum, "\(settings.kept.count) peers are kept")
    known.checkInvariants()
    book.checkInvariants()
  }
}
