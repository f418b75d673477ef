import Identity
import Wire

extension PeeringMachine {
  /// A ping is due on an active link. However late this comes, one missed answer is counted at most, and one ping is sent.
  mutating func keepAlive(_ link: Link, _ now: Instant, _ outputs: inout [Output]) {
    var link = link
    if !link.pings.isEmpty { link.missed += 1 }
    if link.missed - link.forgiven >= configuration.missedPongsMaximum {
      let silent = links.values.filter { other in
        let unanswered = other.id == link.id ? link.missed - link.forgiven : other.missed - other.forgiven
        return other.state == .active && unanswered + 1 >= configuration.missedPongsMaximum
      }.count
      // A link that was proven since the silence began shows that the line works: those that are silent are dead.
      let silence = link.pings.first?.sent ?? now
      let isLineUp = links.values.contains { $0.state == .active && $0.missed == 0 && $0.provenAt > silence }
      let isOwnFault = activeCount >= configuration.ownFaultLinksMinimum && silent * 2 > activeCount && !isLineUp
      if !isOwnFault || link.missed >= configuration.missedPongsOwnFaultMaximum {
        close(link.id, Reason(.keepAliveTimeout, "\(link.missed.counted("ping")) unanswered"), now, &outputs)
        return
      }
      isOwnFaultSuspected = true
      sayOwnFault(silent, now, &outputs)
      needsFill = true
      if !isLineProbed && link.direction == .outbound {
        // One that can be dialled is given up to find out: should its peer answer, the line works and the others are dead.
        isLineProbed = true
        close(link.id, Reason(.keepAliveTimeout, "\(link.missed.counted("ping")) unanswered; it is dialled anew"), now, &outputs)
        return
      }
    }
    let nonce = newNonce()
    if link.pings.count >= Link.pingsMaximum { link.pings.removeFirst() }
    link.pings.append((nonce, now))
    link.deadline = now + configuration.pingInterval
    set(link)
    outputs.append(.ping(link.id, nonce: nonce))
  }

  private mutating func sayOwnFault(_ count: Int, _ now: Instant, _ outputs: inout [Output]) {
    guard ownFaultSaid.map({ now - $0 >= configuration.pingInterval }) ?? true else { return }
    ownFaultSaid = now
    emit(.ownFault(silent: count, of: activeCount), now, &outputs)
  }

  /// Takes note that a peer was late. Whether so many were within a minute that the fault is taken for this side's own: nobody is blamed then.
  mutating func isLatenessOwn(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    guard let id = linkOfPeer[peer], var link = links[id] else { return false }
    link.lateAt = now
    set(link)
    let late = links.values.count { $0.state == .active && $0.lateAt.map { now - $0 <= configuration.pingInterval * 2 } ?? false }
    guard activeCount >= configuration.ownFaultLinksMinimum, late * 2 > activeCount else { return false }
    sayOwnFault(late, now, &outputs)
    return true
  }

  /// Any answer proves life. Only the echo of one of the last pings measures the round trip, which is smoothed as TCP does it: it alone
  /// cannot be sent too early.
  mutating func pong(_ id: ConnectionID, _ nonce: UInt64?, _ now: Instant) {
    guard var link = links[id], link.state == .active, !link.pings.isEmpty else { return }
    lineProvenAt = now
    if let ping = link.pings.first(where: { $0.nonce == nonce }) {
      let sample = now - ping.sent
      if link.roundTrip == nil { link.roundTrip = RoundTripEstimate(first: sample) } else { link.roundTrip?.add(sample) }
    }
    let wasSilent = link.missed > 0
    link.pings = []
    link.missed = 0
    link.forgiven = 0
    set(link)
    if isOwnFaultSuspected {
      isOwnFaultSuspected = false
      isLineProbed = false
      // The line is back: those that have not answered yet get their three chances anew.
      for var other in links.values where wasSilent && other.missed > 0 {
        other.forgiven = other.missed
        set(other)
      }
    }
  }
}
