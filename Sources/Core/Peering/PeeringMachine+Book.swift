import Identity
import Wire

// What is persisted: a row for each peer with an address in *tried*, the bans, the last good outbound peers, the secret of the book, and
// now and then a part of the new table.
extension PeeringMachine {
  // MARK: Reading

  /// The secret that the rows hold, or a new one.
  static func secret(_ rows: [(key: [UInt8], value: [UInt8])], using generator: inout SeededGenerator) -> (key: SipHash.Key, isStored: Bool)
  {
    if let row = rows.first(where: { $0.key == BookKeys.secret && $0.value.count == 16 }) {
      func word(_ range: Range<Int>) -> UInt64 { row.value[range].reduce(0) { $0 << 8 | UInt64($1) } }
      return (SipHash.Key(low: word(0..<8), high: word(8..<16)), true)
    }
    return (SipHash.Key(low: generator.next(), high: generator.next()), false)
  }

  /// Reads the rows. A peer that has not been heard of since is dialled as if it were known for good.
  mutating func load(_ rows: [(key: [UInt8], value: [UInt8])], now: Instant, into outputs: inout [Output]) {
    for (key, value) in rows {
      if let row = PeerRow(key: key, value: value) {
        loadPeer(row, now, &outputs)
      } else if let row = BanRow(key: key, value: value) {
        let end = row.end.map { clock.instant(of: WallTime(milliseconds: Int64(clamping: $0))) } ?? .distantFuture
        if end > now {
          _ = bans.add(row.subject, BanList.Ban(end: end, detail: row.detail, isOperators: row.isOperators))
          // Its subject was written in another form; the ban could not be lifted for good.
          let own = BanRow.key(row.subject)
          if own != key { outputs += [.book(.remove(key: key)), .book(.put(key: own, value: value))] }
        } else {
          outputs.append(.book(.remove(key: key)))
        }
      } else if !loadRest(key, value, now) {
        dropUnreadable(key, now, &outputs)
      }
    }
    banDeadline = bans.nextEnd
    anchorsToDial = anchors
    // Now that all addresses are there, which whoever is at hand keeps.
    for (peer, end) in settings.drops.sorted(by: { $0.key < $1.key }) {
      takeInHand(.peer(peer), now)
      known.update(.peer(peer)) { $0.wait(until: end, .dropped) }
    }
    for item in settings.kept { learn(item, .manual, .local, now, &outputs) }
  }

  /// Takes a row away that says nothing, so that it is told once and not at every start.
  private mutating func dropUnreadable(_ key: [UInt8], _ now: Instant, _ outputs: inout [Output]) {
    emit(.bookRowUnreadable(key: Array(key.prefix(64))), now, &outputs)
    outputs.append(.book(.remove(key: key)))
  }

  /// Reads a row of another kind; returns whether it could be read.
  private mutating func loadRest(_ key: [UInt8], _ value: [UInt8], _ now: Instant) -> Bool {
    if key == BookKeys.secret { return value.count == 16 }
    if key == BookKeys.anchors {
      guard let peers = PeersRow.read(value) else { return false }
      anchors = Array(peers.prefix(configuration.anchorsMaximum))
      return true
    }
    if key == BookKeys.trusted {
      guard let peers = PeersRow.read(value) else { return false }
      settings.trusted = Set(peers.prefix(configuration.trustedMaximum))
      return true
    }
    if key == BookKeys.kept {
      guard let items = OperatorSettings.readKept(value) else { return false }
      settings.kept = Array(items.filter(\.address.isDialable).prefix(configuration.configuredMaximum))
      return true
    }
    if key == BookKeys.scores {
      guard let items = PeerFigures.read(value) else { return false }
      for item in items.prefix(PeerFigures.maximum) where item.peer != localPeer {
        restoreScore(item.peer, ScoreField.read(item.first), item.second, now)
      }
      return true
    }
    if key == BookKeys.drops {
      guard let items = PeerFigures.read(value) else { return false }
      for item in items.prefix(PeerFigures.maximum) where item.peer != localPeer {
        // A clock that was set back makes a wait no longer than a new one.
        let end = min(instant(milliseconds: item.first), now + configuration.backOffMaximum)
        if end > now { settings.drop(item.peer, until: end, now: now) }
      }
      return true
    }
    guard key.count == 2, key[0] == BookKeys.heard, Int(key[1]) < AddressBook.snapshotParts else { return false }
    guard book.restore(value.rawSpan, clock: clock, now: now, using: &generator) else { return false }
    partHashes[Int(key[1])] = partHash(value)
    return true
  }

  private mutating func loadPeer(_ row: PeerRow, _ now: Instant, _ outputs: inout [Output]) {
    guard row.peer != localPeer, !book.isTried(.peer(row.peer)) else { return }
    var isReadable = false
    let seconds = BookSeconds(at: now)
    for stored in row.addresses.prefix(book.configuration.addressesPerPeerMaximum) {
      guard let multiaddr = try? Multiaddr(bytes: stored.bytes), multiaddr.isDialable else { continue }
      isReadable = true
      let item = BookItem(.peer(row.peer), multiaddr.withoutPeerID)
      if stored.lastSuccess > 0 || row.addresses.count == 1 {
        let last = min(seconds, BookSeconds(at: instant(milliseconds: stored.lastSuccess)))
        let first = row.firstSuccess > 0 ? BookSeconds(at: instant(milliseconds: row.firstSuccess)) : last
        _ = book.restoreTried(item, succeeded: last, first: first, failures: row.failures, at: seconds, using: &generator)
      } else {
        _ = book.add(item, from: .local, marks: [], at: seconds, using: &generator)
      }
    }
    guard isReadable else { return dropUnreadable(row.key, now, &outputs) }
    // Another holds its place now, as after a change of the tables' sizes.
    if !book.isTried(.peer(row.peer)) { outputs.append(.book(.remove(key: row.key))) }
    restoreScore(row.peer, row.score, row.scoredAt, now)
  }

  /// A score as it was persisted, less what has decayed since; what is left of little is forgotten.
  private mutating func restoreScore(_ peer: PeerID, _ value: Double, _ scoredAt: UInt64, _ now: Instant) {
    let score = Score(value, at: min(now, instant(milliseconds: scoredAt)))
    guard score.value(at: now, halfLife: configuration.scoreHalfLife) >= 1 else { return }
    takeInHand(.peer(peer), now)
    known.update(.peer(peer)) { $0.score = score }
  }

  /// Writes whom an operator has dropped.
  mutating func putDrops(_ now: Instant, _ outputs: inout [Output]) {
    let items = settings.drops.filter { $0.value > now }.sorted { $0.key < $1.key }
    if items.isEmpty {
      outputs.append(.book(.remove(key: BookKeys.drops)))
    } else {
      put(BookKeys.drops, PeerFigures.row(items.map { PeerFigures(peer: $0.key, first: milliseconds(at: $0.value)) }), &outputs)
    }
  }

  private func instant(milliseconds: UInt64) -> Instant { clock.instant(of: WallTime(milliseconds: Int64(clamping: milliseconds))) }

  func milliseconds(at instant: Instant) -> UInt64 { UInt64(clamping: clock.time(at: instant).milliseconds) }

  // MARK: Writing

  /// Writes a row, after the secret without which the others lose their places.
  mutating func put(_ key: [UInt8], _ value: [UInt8], _ outputs: inout [Output]) {
    if !secretIsStored {
      secretIsStored = true
      var bytes: [UInt8] = []
      bytes.appendBigEndian(book.secret.low)
      bytes.appendBigEndian(book.secret.high)
      outputs.append(.book(.put(key: BookKeys.secret, value: bytes)))
    }
    outputs.append(.book(.put(key: key, value: value)))
  }

  /// Writes a stored peer's row.
  mutating func putRow(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    let target = DialTarget.peer(peer)
    guard isStored(target) else { return }
    let addresses = dialOrder(target).compactMap { address -> PeerRow.Address? in
      guard let id = book.find(BookItem(target, address)) else { return nil }
      return PeerRow.Address(bytes: address.bytes, lastSuccess: book.records[id].succeeded.instant.map { milliseconds(at: $0) } ?? 0)
    }
    let entry = known[target]
    let first = book.ids(of: target).compactMap { book.records[$0].firstSucceeded.instant }.min()
    let row = PeerRow(
      peer: peer, addresses: addresses, failures: entry?.failures ?? 0,
      score: entry?.score.value(at: now, halfLife: configuration.scoreHalfLife) ?? 0, scoredAt: milliseconds(at: now),
      firstSuccess: first.map { milliseconds(at: $0) } ?? 0)
    put(row.key, row.value, &outputs)
  }

  /// Writes the scores of those who have no row. O(peers at hand).
  mutating func putScores(_ now: Instant, _ outputs: inout [Output]) {
    let items = known.entries.compactMap { target, entry -> (peer: PeerID, score: Double)? in
      let score = entry.score.value(at: now, halfLife: configuration.scoreHalfLife)
      guard score >= 1, let peer = target.peer, !isStored(target) else { return nil }
      return (peer, score)
    }
    let worst = items.sorted { ($0.score, $0.peer) > ($1.score, $1.peer) }.prefix(PeerFigures.maximum)
    if worst.isEmpty {
      outputs.append(.book(.remove(key: BookKeys.scores)))
    } else {
      let time = milliseconds(at: now)
      let row = PeerFigures.row(worst.map { PeerFigures(peer: $0.peer, first: ScoreField.value($0.score), second: time) })
      put(BookKeys.scores, row, &outputs)
    }
  }

  mutating func removeRow(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    outputs.append(.book(.remove(key: PeerRow.key(peer))))
    emit(.bookRowRemoved(peer), now, &outputs)
  }

  /// Peers whose address has entered or left *tried* without a dial of theirs.
  mutating func syncRows(_ changed: [DialTarget], _ now: Instant, _ outputs: inout [Output]) {
    for case .peer(let peer) in changed {
      if isStored(.peer(peer)) { putRow(peer, now, &outputs) } else { removeRow(peer, now, &outputs) }
    }
  }

  /// The last good outbound peers: those linked now, the longest first, then the former ones as far as there is room. Peers of the
  /// configuration are dialled first anyway.
  mutating func updateAnchors(_ now: Instant, _ outputs: inout [Output]) {
    let linked = links.values.filter { $0.direction == .outbound && $0.state == .active && !$0.isFeeler }
      .sorted { ($0.since, $0.id) < ($1.since, $1.id) }.compactMap(\.peer).filter { known[.peer($0)]?.role != .keep }
    var list = Array(linked.prefix(configuration.anchorsMaximum))
    for former in anchors where list.count < configuration.anchorsMaximum && !list.contains(former) { list.append(former) }
    guard list != anchors else { return }
    anchors = list
    put(BookKeys.anchors, PeersRow.value(list), &outputs)
  }

  // MARK: The new table, part by part

  /// Something new has come in: all parts are looked at again, one every so often.
  mutating func snapshotIsDue(_ now: Instant) {
    partsLeft = AddressBook.snapshotParts
    if snapshotDeadline == .distantFuture { snapshotDeadline = now + configuration.snapshotInterval / AddressBook.snapshotParts }
  }

  mutating func writeNextPart(_ now: Instant, _ outputs: inout [Output]) {
    guard now >= snapshotDeadline else { return }
    writePart(&outputs)
    snapshotDeadline = partsLeft > 0 ? now + configuration.snapshotInterval / AddressBook.snapshotParts : .distantFuture
  }

  /// Writes at once what of the new table has changed. O(new table).
  mutating func writeAllParts(_ outputs: inout [Output]) {
    while partsLeft > 0 { writePart(&outputs) }
    snapshotDeadline = .distantFuture
  }

  private mutating func writePart(_ outputs: inout [Output]) {
    let part = nextPart
    nextPart = (nextPart + 1) % AddressBook.snapshotParts
    partsLeft -= 1
    let bytes = book.snapshot(part: part, clock: clock)
    let hash = partHash(bytes)
    guard hash != partHashes[part] else { return }
    partHashes[part] = hash
    put([BookKeys.heard, UInt8(part)], bytes, &outputs)
  }

  private func partHash(_ bytes: [UInt8]) -> UInt64 {
    if bytes.count <= 1 { return 0 }
    var hash = SipHash(book.secret)
    hash.combine(bytes.rawSpan)
    return hash.value
  }
}
