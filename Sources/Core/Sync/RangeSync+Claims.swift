import Identity
import Wire

/// What peers claim against what they have shown: who is asked to show its head, who is doubted, and where the node stands.
extension RangeSync {
  /// The highest height that a peer has shown a sealed block of, or the own. O(peers).
  public var target: UInt64 { max(takenHeight, peers.values.map(\.shown).max() ?? 0) }

  /// The highest height that a peer claims, shown or not, or the own. O(peers).
  public var claimed: UInt64 { max(localHeight, peers.values.map(\.height).max() ?? 0) }

  /// Up to where a peer may be asked for blocks.
  func reach(_ peer: Peer) -> UInt64 {
    if peer.height <= peer.shown { return peer.height }
    let isNear = peer.height <= max(localHeight, peer.shown) + configuration.bulkThreshold
    return isNear && !peer.isDoubted ? peer.height : peer.shown
  }

  /// The end of the last range of which the chain has taken a block at least, or the own head. Behind a block that was taken stands what a peer
  /// would have to pay for with a fault.
  private var takenHeight: UInt64 {
    batches.reduce(localHeight) { highest, batch in
      switch batch.stage {
      case .applied: max(highest, batch.last)
      case .applying(_, let left) where left < batch.count: max(highest, batch.last)
      case .waiting, .fetching, .fetched, .applying: highest
      }
    }
  }

  /// When a level node asks for a block that it has heard of: the block is mostly on its way.
  func patience(_ now: Instant) -> Instant { state.isCaughtUp ? now + configuration.gapPatience : now }

  // MARK: Heads

  mutating func askHeads(_ now: Instant, into outputs: inout [Output]) {
    guard peers.values.contains(where: { mustShow($0) }) else { return }
    var free = configuration.headsMaximum - peers.values.count { $0.isShowing }
    for isDoubted in [false, true] {
      for id in order {
        guard let peer = peers[id], peer.isDoubted == isDoubted, mustShow(peer) else { continue }
        let due = max(peer.nextHead, peer.penalizedUntil)
        if due > now {
          wake(at: due)
        } else if free > 0 {
          free -= 1
          peers[id]?.isShowing = true
          peers[id]?.nextHead = now + configuration.statusInterval
          outputs.append(.askHead(id, peer.height))
        }
      }
    }
  }

  /// Whether a peer claims blocks that are asked of nobody who has not shown them.
  func mustShow(_ peer: Peer) -> Bool { !peer.isShowing && peer.height > localHeight && reach(peer) < peer.height }

  mutating func headShown(_ peer: PeerID, _ height: UInt64) {
    guard var state = peers[peer] else { return }
    state.isShowing = false
    state.shown = max(state.shown, height)
    state.isDoubted = false
    state.failures = 0
    peers[peer] = state
  }

  mutating func headNotShown(_ peer: PeerID, _ failure: FetchFailure, now: Instant, into outputs: inout [Output]) {
    guard peers[peer] != nil else { return }
    peers[peer]?.isShowing = false
    blame(peer, failure, now: now, into: &outputs)
    if failure != .linkLost && failure != .ahead { doubt(peer, now) }
  }

  // MARK: Doubt

  func isDoubted(_ origin: IPNetwork?, _ now: Instant) -> Bool { origin.flatMap { doubts[$0] }.map { $0 > now } ?? false }

  /// A peer showed less than it had claimed: it and who comes from its address next are asked last. Nobody is blamed by this.
  mutating func doubt(_ peer: PeerID, _ now: Instant) {
    peers[peer]?.isDoubted = true
    guard let origin = peers[peer]?.origin else { return }
    if doubts[origin] == nil && doubts.count >= configuration.doubtsMaximum,
      let first = doubts.min(by: { ($0.value, $0.key.description) < ($1.value, $1.key.description) })
    {
      doubts[first.key] = nil
    }
    doubts[origin] = now + configuration.doubtTime
  }

  // MARK: State

  mutating func updateState(_ now: Instant, into outputs: inout [Output]) {
    let next = nextState(now)
    if next != state {
      state = next
      outputs.append(.state(next))
    }
  }

  private mutating func nextState(_ now: Instant) -> SyncState {
    if peers.isEmpty { return isSearching ? .searching : .standalone }
    let taken = takenHeight
    // A node that was level stays so while it fetches the odd block, and whatever is merely claimed.
    if state.isCaughtUp { return taken > localHeight + configuration.bulkThreshold ? .syncing(target: target) : .synced }
    var target = taken
    var mustWait = false
    let since = progress ?? now
    for peer in peers.values where peer.height > localHeight && !peer.isDoubted && !peer.isForeign {
      let isShown = peer.shown > localHeight
      let until = since + (isShown ? configuration.shownPatience : configuration.claimPatience)
      if until <= now { continue }
      wake(at: until)
      if isShown { target = max(target, peer.shown) } else { mustWait = true }
    }
    if target > localHeight { return .syncing(target: target) }
    return mustWait ? .searching : .synced
  }

  mutating func wake(at time: Instant) { wakeUp = min(wakeUp ?? time, time) }
}
