import Identity
import Wire

/// Whom to ask for the IDs of pending transactions, and when: each new peer once, soon after its link, then one after another for ever.
///
/// Only peers that say they hold any are asked, so that a quiet network asks nobody, and a peer that alone kept something through a
/// restart or a split is asked by all its neighbours within one interval.
struct PoolTurns {
  private let interval: Duration
  private let pause: Duration
  /// Peers that were not asked since they came, first come first.
  private var fresh: [PeerID] = []
  private var last: PeerID?
  private var notBefore: Instant
  private var regular: Instant

  init(interval: Duration, pause: Duration, now: Instant) {
    self.interval = interval
    self.pause = pause
    notBefore = now
    regular = now + interval
  }

  /// When ``next(of:now:holds:)`` is wanted.
  var deadline: Instant { fresh.isEmpty ? max(regular, notBefore) : notBefore }

  /// A peer came into use. O(1); one entry a link.
  mutating func joined(_ peer: PeerID) { fresh.append(peer) }

  /// A peer has gone. O(links).
  mutating func left(_ peer: PeerID) { fresh.removeAll { $0 == peer } }

  /// Nobody can be asked now; new peers are kept in mind.
  mutating func wait(now: Instant) {
    notBefore = now + pause
    if regular <= now { regular = now + interval }
  }

  /// The peer to ask now. O(links).
  mutating func next(of active: [PeerID], now: Instant, holds: (PeerID) -> Bool) -> PeerID? {
    guard notBefore <= now else { return nil }
    while !fresh.isEmpty {
      let peer = fresh.removeFirst()
      if holds(peer) { return chosen(peer, now) }
    }
    guard regular <= now else { return nil }
    regular = now + interval
    let holders = active.filter(holds).sorted()
    return (holders.first { peer in last.map { peer > $0 } ?? true } ?? holders.first).map { chosen($0, now) }
  }

  private mutating func chosen(_ peer: PeerID, _ now: Instant) -> PeerID {
    last = peer
    notBefore = now + pause
    regular = now + interval
    return peer
  }
}
