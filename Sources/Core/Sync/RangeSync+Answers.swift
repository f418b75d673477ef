import Identity
import Wire

/// What peers answer and what the chain makes of it: who delivered, who failed, and what that costs.
extension RangeSync {
  mutating func fetched(_ id: BatchID, _ peer: PeerID, _ blocks: [FetchedBlock], now: Instant, into outputs: inout [Output]) {
    settle(peer)
    guard let index = batches.firstIndex(where: { $0.id == id }), case .fetching(peer, let expected) = batches[index].stage else { return }
    let batch = batches[index]
    guard !blocks.isEmpty, blocks.count <= batch.count, Self.isChain(blocks, from: batch.from) else {
      return failed(index, peer, blocks.isEmpty ? .declined : .malformed, now: now, into: &outputs)
    }
    if blocks.count < expected && blocks.reduce(0, { $0 + $1.bytes.count }) < configuration.fullAnswerBytes {
      // It claims to have the rest, and there was room for it: whoever drips blocks would keep a node behind for as long as it likes.
      outputs.append(.blameUseless(peer))
      penalize(peer, now)
      doubt(peer, now)
    } else {
      peers[peer]?.failures = 0
      peers[peer]?.isDoubted = false
    }
    batches[index].stage = .fetched(peer, blocks)
    if blocks.count < batch.count {
      // A short answer is good as far as it goes; the rest becomes a batch of its own.
      var rest = Batch(id: makeID(), from: batch.from + UInt64(blocks.count), count: batch.count - blocks.count)
      rest.tried = batch.tried
      var first = Batch(id: batch.id, from: batch.from, count: blocks.count)
      first.stage = .fetched(peer, blocks)
      batches[index] = first
      batches.insert(rest, at: index + 1)
    }
  }

  private static func isChain(_ blocks: [FetchedBlock], from: UInt64) -> Bool {
    for (index, block) in blocks.enumerated() {
      guard block.height == from + UInt64(index) else { return false }
      if index > 0 && block.parent != blocks[index - 1].hash { return false }
    }
    return true
  }

  mutating func fetchFailed(_ id: BatchID, _ peer: PeerID, _ failure: FetchFailure, now: Instant, into outputs: inout [Output]) {
    settle(peer)
    guard let index = batches.firstIndex(where: { $0.id == id }), batches[index].source == peer else { return }
    failed(index, peer, failure, now: now, into: &outputs)
  }

  private mutating func failed(_ index: Int, _ peer: PeerID, _ failure: FetchFailure, now: Instant, into outputs: inout [Output]) {
    batches[index].stage = .waiting
    batches[index].tried.append(peer)
    blame(peer, failure, now: now, into: &outputs)
    if failure == .declined || failure == .malformed { doubt(peer, now) }
  }

  /// What an answer that was no use costs its sender.
  mutating func blame(_ peer: PeerID, _ failure: FetchFailure, now: Instant, into outputs: inout [Output]) {
    switch failure {
    case .late: outputs.append(.blameSlow(peer))
    case .declined: outputs.append(.blameUseless(peer))
    case .malformed: outputs.append(.blameWrong(peer))
    case .linkLost, .ahead:
      if let until = peers[peer]?.penalizedUntil { peers[peer]?.penalizedUntil = max(until, now + configuration.lostLinkPause) }
      return
    }
    penalize(peer, now)
  }

  private mutating func settle(_ peer: PeerID) {
    guard let inFlight = peers[peer]?.inFlight else { return }
    peers[peer]?.inFlight = max(0, inFlight - 1)
  }

  private mutating func penalize(_ peer: PeerID, _ now: Instant) {
    guard var state = peers[peer] else { return }
    state.failures += 1
    state.penalizedUntil = now + configuration.penaltyTime * (1 << min(state.failures - 1, 6))
    state.nextStatus = max(state.nextStatus, state.penalizedUntil)
    // What it claims and does not deliver is not worth waiting for; the next status may claim it again.
    if state.failures >= 2 { state.height = min(state.height, localHeight) }
    peers[peer] = state
    if state.failures >= 2 { doubt(peer, now) }
  }

  mutating func applied(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying(let peer, let left) = batches[index].stage else { return }
    let batch = batches[index]
    batches[index].stage = left > 1 ? .applying(peer, left: left - 1) : .applied
    if left <= 1 {
      if let place = peers.index(forKey: peer) {
        peers.values[place].shown = max(peers.values[place].shown, batch.last)
        peers.values[place].isForeign = false
      }
      if batch.last > progressHeight && batch.count > configuration.bulkThreshold {
        progressHeight = batch.last
        progress = now
      }
    }
    let done = batches.prefix { if case .applied = $0.stage { true } else { false } }
    guard let height = done.last?.last else { return }
    batches.removeFirst(done.count)
    if height >= localHeight { stepBack = 0 }
    if height > localHeight {
      // A disk that takes nothing, or a branch that is not better yet: the same blocks again would not change that.
      rest(now)
    }
  }

  private mutating func rest(_ now: Instant) {
    restUntil = now + configuration.restTime * (1 << min(rests, 5))
    rests += 1
  }

  mutating func postponed(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying = batches[index].stage else { return }
    batches.removeAll()
    rest(now)
  }

  mutating func orphaned(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying(let peer, _) = batches[index].stage else { return }
    batches.removeAll()
    if stepBack < min(configuration.forkDepth, localHeight) {
      // The peers' chain leaves ours below the range: start lower, at most as deep as a reorg may go.
      stepBack = stepBack == 0 ? 8 : min(stepBack * 4, configuration.forkDepth)
    } else {
      // Its chain leaves ours deeper than that: it is of no use, and no fault is proven.
      stepBack = 0
      penalize(peer, now)
      peers[peer]?.height = localHeight
      peers[peer]?.isForeign = true
    }
  }

  mutating func refused(_ id: BatchID, now: Instant) {
    guard let index = batches.firstIndex(where: { $0.id == id }), case .applying(let peer, _) = batches[index].stage else { return }
    // Whoever has the chain told of the bad block has blamed its sender.
    penalize(peer, now)
    doubt(peer, now)
    peers[peer]?.height = localHeight
    // What was fetched behind a refused block may stand on it.
    batches.removeAll()
  }
}

extension RangeSync.FetchFailure: CustomStringConvertible {
  /// What happened, in words.
  public var description: String {
    switch self {
    case .late: "no answer in time"
    case .declined: "it does not have them, or declined"
    case .malformed: "the answer is not what was asked for"
    case .linkLost: "the link was lost"
    case .ahead: "the block's slot is ahead of this node's clock"
    }
  }
}
