import Identity
import Wire

extension PeeringMachine {
  /// A peer sent something that the chain took and had not had.
  mutating func noteUse(_ peer: PeerID, _ use: PeerUse, _ now: Instant) {
    guard let id = linkOfPeer[peer] else { return }
    lineProvenAt = now
    switch use {
    case .block: links[id]?.lastBlock = now
    case .transaction: links[id]?.lastTransaction = now
    }
  }

  /// Makes room for an accepted link from this address, if somebody should go for it: for a trusted peer always. Trusted peers, must-keep
  /// ones and those of a private network's list stay.
  mutating func evict(for ip: IPAddress?, isTrusted: Bool = false, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    // The links that nobody needs any more go first.
    if let id = drainingOfPeer.values.min() {
      close(id, Reason(.duplicate, "another link is kept"), now, &outputs)
      return true
    }
    guard let ip else { return false }
    let detail = "all \(configuration.totalMaximum) slots are taken and another network wants in"
    return evict(.inbound, for: isTrusted ? nil : crowd(of: ip), detail, now, &outputs)
  }

  /// Makes room for the dial of a must-keep peer, by the end of an accepted link where that is enough.
  mutating func evictForMustKeep(_ now: Instant, _ outputs: inout [Output]) -> Bool {
    guard slots.dialling < configuration.parallelDialsMaximum else { return false }
    let detail = "a must-keep peer needs the slot"
    if slots.outbound < configuration.outboundMaximum, evict(.inbound, for: nil, detail, now, &outputs) { return true }
    return evict(.outbound, for: nil, detail, now, &outputs)
  }

  private mutating func evict(
    _ direction: Direction, for newcomer: NetworkGroup?, _ detail: String, _ now: Instant, _ outputs: inout [Output]
  ) -> Bool {
    guard now >= nextEviction else { return false }
    let those = links.values.filter { $0.direction == direction }
    var sizes: [NetworkGroup: Int] = [:]
    for link in those { sizes[crowd(of: link.ip), default: 0] += 1 }
    let candidates = those.filter(mayGo).map { link in
      EvictionRule.Candidate(
        id: link.id, group: crowd(of: link.ip), roundTrip: link.roundTrip?.smoothed, lastBlock: link.lastBlock,
        lastTransaction: link.lastTransaction, since: link.provenAt, badScore: link.peer.map { badScore(of: .peer($0), now) } ?? 0)
    }
    let book = book
    let chosen = EvictionRule.choose(candidates, newcomer: newcomer, sizes: sizes) { book.nonce($0.number) }
    guard let chosen else { return false }
    nextEviction = now + configuration.evictionPause
    close(chosen, Reason(.evicted, detail), now, &outputs)
    return true
  }

  /// A target's score where it is so bad that others are better; 0 otherwise.
  func badScore(of target: DialTarget, _ now: Instant) -> Double {
    let score = known[target]?.score.value(at: now, halfLife: configuration.scoreHalfLife) ?? 0
    return score >= configuration.evictFirstScore ? score : 0
  }

  /// A link that is not in use yet has little time to become so; ending it then would look like a fault of the introduction.
  private func mayGo(_ link: Link) -> Bool {
    guard let peer = link.peer, link.state == .active else { return false }
    return known[.peer(peer)]?.role != .keep && !isTrusted(peer) && configuration.allowed?.peers.contains(peer) != true
  }

  /// The group that a link's address belongs to; here private networks are groups too.
  func crowd(of ip: IPAddress?) -> NetworkGroup {
    var groups = configuration.groups
    groups.includesPrivate = true
    return ip.flatMap { groups.group(of: $0) } ?? .local
  }
}
