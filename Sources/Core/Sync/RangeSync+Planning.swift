import Identity
import Wire

/// Which heights are asked of whom, and what goes to the chain.
extension RangeSync {
  mutating func plan(_ now: Instant, into outputs: inout [Output]) {
    let target = peers.values.reduce(localHeight) { max($0, reach($1)) }
    if isPatient(target, now) { return }
    let start = localHeight > stepBack ? localHeight - stepBack + 1 : 1
    // What nobody is working at and the chain has outgrown is planned again.
    if let first = batches.first, first.from < start, batches.allSatisfy(\.isWaiting) { batches.removeAll() }
    if batches.isEmpty && restUntil > now {
      if target > localHeight { wake(at: restUntil) }
      return
    }
    var next = batches.last.map { $0.last + 1 } ?? start
    while batches.count < configuration.batchesMaximum && next <= target {
      let count = min(UInt64(configuration.batchBlocks), target - next + 1)
      batches.append(Batch(id: makeID(), from: next, count: Int(count)))
      next += count
      // A small gap is one request; whatever comes meanwhile is the next one.
      if target - localHeight <= configuration.bulkThreshold { break }
    }
    for index in batches.indices where batches[index].isWaiting {
      let batch = batches[index]
      guard let peer = choosePeer(for: batch, now) else { continue }
      let end = peers[peer].map { min(batch.last, reach($0)) } ?? batch.from
      batches[index].stage = .fetching(peer, expected: Int(end - batch.from + 1))
      peers[peer]?.inFlight += 1
      outputs.append(.fetch(batch.id, peer, from: batch.from, count: batch.count))
    }
    if batches.contains(where: \.isWaiting), let penaltyEnd = peers.values.map(\.penalizedUntil).filter({ $0 > now }).min() {
      // Nobody is free or trusted: look again when a penalty ends.
      wake(at: penaltyEnd)
    }
  }

  /// Whether a level node waits a moment for a block that it was told of and has not yet got in the ordinary way.
  private mutating func isPatient(_ target: UInt64, _ now: Instant) -> Bool {
    guard state.isCaughtUp, batches.isEmpty, target > localHeight, target - localHeight <= configuration.bulkThreshold else { return false }
    let since = gapSince ?? now
    gapSince = since
    let due = since + configuration.gapPatience
    if due > now { wake(at: due) }
    return due > now
  }

  /// The peer with the fewest requests that has the range; ties go round. The doubted come last, and behind them those that failed this batch.
  private mutating func choosePeer(for batch: Batch, _ now: Instant) -> PeerID? {
    var best: (score: Int, peer: PeerID)?
    let offset = generator.index(below: order.count)
    for step in order.indices {
      let id = order[(step + offset) % order.count]
      guard let peer = peers[id], peer.inFlight < configuration.perPeerMaximum, peer.penalizedUntil <= now else { continue }
      let reach = reach(peer)
      guard reach >= batch.from else { continue }
      let score = peer.inFlight + (reach < batch.last ? 4 : 0) + (peer.isDoubted ? 10 : 0) + (batch.tried.contains(id) ? 100 : 0)
      if best == nil || score < best!.score { best = (score, id) }
    }
    return best?.peer
  }

  /// Hands fetched batches on in order.
  mutating func release(into outputs: inout [Output]) {
    for index in batches.indices.prefix(configuration.applyingMaximum) {
      switch batches[index].stage {
      case .applying, .applied: continue
      case .fetched(let peer, let blocks):
        batches[index].stage = .applying(peer, left: blocks.count)
        outputs.append(.apply(batches[index].id, peer, blocks))
      case .waiting, .fetching: return
      }
    }
  }
}
