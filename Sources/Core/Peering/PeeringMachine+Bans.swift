import Identity
import Wire

extension PeeringMachine {
  /// Adds an offence to the score and acts on the thresholds. Must-keep peers are disconnected, never banned: the operator wants them.
  /// Trusted ones keep their link.
  ///
  /// - Parameter detail: what it was about, in a few words; may be empty. Both ends are told.
  mutating func report(_ peer: PeerID, _ offence: Offence, detail: String = "", _ now: Instant, _ outputs: inout [Output]) {
    if offence == .late, isLatenessOwn(peer, now, &outputs) { return }
    if book.contains(.peer(peer)) { takeInHand(.peer(peer), now) }
    guard known[.peer(peer)] != nil else { return }
    var (before, score) = (0.0, 0.0)
    let halfLife = configuration.scoreHalfLife
    known.update(.peer(peer)) {
      before = $0.score.value(at: now, halfLife: halfLife)
      score = $0.score.add(offence, at: now, halfLife: halfLife)
    }
    emit(.offence(peer, offence, score: score, detail: detail), now, &outputs)
    if isStored(.peer(peer)) {
      putRow(peer, now, &outputs)
    } else if [configuration.evictFirstScore, configuration.disconnectScore].contains(where: { before < $0 && score >= $0 }) {
      // Not for each offence: who only came in could have it written as often as he likes.
      putScores(now, &outputs)
    }
    if isTrusted(peer) { return }
    if score >= configuration.disconnectScore, let id = linkOfPeer[peer], let link = links[id], link.direction == .inbound, let ip = link.ip
    {
      _ = misdeeds.take(ip.home, now: now)
      _ = subnetMisdeeds.take(AddressFacts.subnet(of: ip), now: now)
    }
    if score >= configuration.banScore, known[.peer(peer)]?.role != .keep {
      ban(
        culprit(peer), configuration.banDuration, "score \(score.whole) after \(offence.words(detail))", isOperators: false, now, &outputs)
    } else if score >= configuration.disconnectScore {
      disconnect(peer, Reason(.lowScore, "score \(score.whole) after \(offence.words(detail))"), now, &outputs)
    }
  }

  mutating func ban(
    _ subject: BanSubject, _ duration: Duration?, _ detail: String, isOperators: Bool, _ now: Instant, _ outputs: inout [Output]
  ) {
    // What an operator has set is not made milder by a score.
    if !isOperators, bans[subject]?.isOperators == true { return }
    let end = duration.map { now + $0 } ?? .distantFuture
    let (added, dropped) = bans.add(subject, BanList.Ban(end: end, detail: detail, isOperators: isOperators))
    if let dropped {
      outputs.append(.book(.remove(key: BanRow.key(dropped))))
      emit(.unbanned(dropped), now, &outputs)
    }
    guard added else { return }
    banDeadline = min(banDeadline, end)
    let row = BanRow(subject: subject, end: duration == nil ? nil : milliseconds(at: end), detail: detail, isOperators: isOperators)
    outputs.append(.book(.put(key: BanRow.key(subject), value: row.value)))
    emit(.banned(subject, for: duration, detail), now, &outputs)
    reasonCounts.countBan(isOperators: isOperators)
    for id in links.keys.sorted() {
      guard let link = links[id] else { continue }
      let peer = link.peer ?? link.target?.peer
      let isMeant =
        switch subject {
        case .peer(let banned): peer == banned
        case .network(let network): link.ip.map { network.contains($0) } ?? false
        }
      guard isMeant else { continue }
      if link.state == .dialling, let target = link.target {
        endRound(target, Reason(.banned, detail), now, &outputs)
      } else {
        close(id, Reason(.banned, detail), now, &outputs)
      }
    }
  }

  mutating func unban(_ subject: BanSubject, _ now: Instant, _ outputs: inout [Output]) {
    guard bans.remove(subject) else { return }
    lifted(subject, now, &outputs)
  }

  mutating func expireBans(_ now: Instant, _ outputs: inout [Output]) {
    guard now >= banDeadline else { return }
    for subject in bans.expire(now: now) { lifted(subject, now, &outputs) }
    banDeadline = bans.nextEnd
  }

  /// A peer whose ban has ended starts with a clean score and may be dialled at once, unless something else is in the way.
  private mutating func lifted(_ subject: BanSubject, _ now: Instant, _ outputs: inout [Output]) {
    outputs.append(.book(.remove(key: BanRow.key(subject))))
    if case .peer(let peer) = subject {
      known.update(.peer(peer)) {
        $0.score = Score()
        if $0.pause.isEnded(by: .banned) { $0.waitNoLonger(than: now) }
      }
      if isStored(.peer(peer)) { putRow(peer, now, &outputs) } else { putScores(now, &outputs) }
    }
    if case .network(let network) = subject {
      // Being kept out was no failure of theirs.
      for target in known.entries.keys
      where book.ids(of: target).contains(where: { book.endpoint(of: $0).ip.map { network.contains($0) } ?? false }) {
        known.update(target) { if $0.pause.isEnded(by: .banned) { $0.waitNoLonger(than: now) } }
      }
    }
    emit(.unbanned(subject), now, &outputs)
    needsFill = true
  }
}
