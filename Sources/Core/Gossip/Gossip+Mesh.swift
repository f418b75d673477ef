import Identity
import Wire

/// The mesh and the heartbeat that keeps it (gossipsub v1.0 "Heartbeat", v1.1 "Heartbeat Maintenance").
extension Gossip {
  /// Whether this side may graft the peer now.
  func isGraftable(_ peer: GossipPeer, _ topic: TopicState, now: Instant) -> Bool {
    guard peer.canMesh, peer.score >= 0, !topic.mesh.hasPeer(peer.id) else { return false }
    if let until = topic.backoff[peer.id] { return now >= until + configuration.backoffSlack }
    return true
  }

  /// Takes a peer into the mesh and tells it.
  func graft(_ peer: GossipPeer, _ topic: TopicState, into outputs: inout [Output]) {
    guard topic.mesh.insertPeer(peer) else { return }
    peer.grafts.append(topic.topic)
    markDirty(peer)
    outputs.append(.event(.grafted(peer.id, topic.topic)))
  }

  /// Takes a peer out of the mesh, tells it and keeps away from it for a while.
  func prune(
    _ peer: GossipPeer, _ topic: TopicState, backoff: Duration, reason: PruneReason, now: Instant, into outputs: inout [Output]
  ) {
    guard topic.mesh.removePeer(peer.id) else { return }
    setBackoff(peer.id, topic, until: now + backoff, now: now)
    peer.prunes.append((topic.topic, backoffToTell(peer, backoff)))
    markDirty(peer)
    outputs.append(.event(.pruned(peer.id, topic.topic, reason)))
  }

  /// v1.0 peers know no backoff.
  func backoffToTell(_ peer: GossipPeer, _ backoff: Duration) -> Duration? { peer.version >= .meshsub11 ? backoff : nil }

  /// Remembers a backoff; a longer one that runs already stays.
  func setBackoff(_ id: PeerID, _ topic: TopicState, until: Instant, now: Instant) {
    peers[id]?.backoffsKnown.insert(topic.topic)
    if let present = topic.backoff[id] {
      if until > present { topic.backoff[id] = until }
      return
    }
    if topic.backoff.count >= configuration.maximumBackoffs { clearBackoffs(topic, now: now) }
    if topic.backoff.count < configuration.maximumBackoffs { topic.backoff[id] = until }
  }

  private func clearBackoffs(_ topic: TopicState, now: Instant) {
    if topic.backoff.isEmpty { return }
    topic.backoff = topic.backoff.filter { now < $0.value + configuration.backoffSlack }
  }

  /// Grafts peers by lot until the mesh has `size`.
  func graftByLot(
    _ topic: TopicState, upTo size: Int, now: Instant, into outputs: inout [Output], where isWanted: (GossipPeer) -> Bool
  ) {
    let missing = size - topic.mesh.count
    if missing <= 0 { return }
    let candidates = topic.peers.filter { isGraftable($0, topic, now: now) && isWanted($0) }
    for peer in choose(missing, of: candidates) { graft(peer, topic, into: &outputs) }
  }

  func heartbeat(now: Instant, into outputs: inout [Output]) {
    counters.heartbeats += 1
    expirePromises(now: now, into: &outputs)
    if peers.values.contains(where: { $0.droppedSinceReport > 0 }) { reportSlowPeers(into: &outputs) }
    for peer in peers.values {
      peer.ihaveMessages = 0
      peer.idsAsked = 0
      peer.dontWantIDs = 0
      peer.subscriptionChanges = 0
      peer.failedChecks = 0
      peer.fields = 0
      // What a peer does not want is kept for one to two histories' time.
      if counters.heartbeats % max(1, configuration.historyLength) == 0 { peer.dontWant.rotate() }
    }
    for topic in active {
      if topic.isSubscribed {
        maintainMesh(topic, now: now, into: &outputs)
      } else if !topic.fanout.isEmpty {
        if now >= topic.fanoutExpiry {
          topic.fanout = []
        } else {
          let expiry = topic.fanoutExpiry
          topic.fanout.removeAll { $0.score < configuration.thresholds.publish }
          refreshFanout(topic, now: now)
          topic.fanoutExpiry = expiry
        }
      }
      emitGossip(topic)
      topic.cache.shift(history: configuration.historyLength)
      topic.recent = RecentData()
      clearBackoffs(topic, now: now)
      if now >= topic.seenRotation {
        topic.seen.rotate()
        topic.seenRotation = now + configuration.seenLifetime
      }
      collect(topic)
    }
    active.removeAll { !$0.hasOwnState }
  }

  private func reportSlowPeers(into outputs: inout [Output]) {
    for peer in peersInOrder where peer.droppedSinceReport > 0 {
      report(peer.id, .slow(dropped: peer.droppedSinceReport), into: &outputs)
      peer.droppedSinceReport = 0
    }
  }

  private func maintainMesh(_ topic: TopicState, now: Instant, into outputs: inout [Output]) {
    for peer in topic.mesh where peer.score < 0 {
      prune(peer, topic, backoff: configuration.pruneBackoff, reason: .score, now: now, into: &outputs)
    }
    if topic.mesh.count < configuration.meshDegreeLow {
      graftByLot(topic, upTo: configuration.meshDegree, now: now, into: &outputs) { _ in true }
    } else if topic.mesh.count > configuration.meshDegreeHigh {
      pruneExcess(topic, now: now, into: &outputs)
    }
    if topic.mesh.count >= configuration.meshDegreeLow {
      let outbound = topic.mesh.count { $0.direction == .outbound }
      if outbound < configuration.outboundDegree {
        let size = topic.mesh.count + configuration.outboundDegree - outbound
        graftByLot(topic, upTo: size, now: now, into: &outputs) { $0.direction == .outbound }
      }
    }
    if counters.heartbeats % max(1, configuration.opportunisticGraftHeartbeats) == 0, topic.mesh.count > 1 {
      let median = topic.mesh.map(\.score).sorted()[topic.mesh.count / 2]
      if median < configuration.thresholds.opportunisticGraft {
        let size = topic.mesh.count + configuration.opportunisticGraftPeers
        graftByLot(topic, upTo: size, now: now, into: &outputs) { $0.score > median }
      }
    }
  }

  /// Keeps the best by score, the rest by lot, with enough outbound peers among them.
  private func pruneExcess(_ topic: TopicState, now: Instant, into outputs: inout [Output]) {
    let lot = Array(choose(topic.mesh.count, of: topic.mesh))
    let ranked = lot.enumerated().sorted { ($1.element.score, $0.offset) < ($0.element.score, $1.offset) }.map(\.element)
    let best = ranked.prefix(configuration.scoreDegree)
    var kept = Array(best) + choose(ranked.count - best.count, of: Array(ranked.dropFirst(best.count)))
    var rest = Array(kept[configuration.meshDegree...])
    kept.removeLast(rest.count)

    var missing = configuration.outboundDegree - kept.count { $0.direction == .outbound }
    var place = kept.count - 1
    for index in rest.indices where missing > 0 && rest[index].direction == .outbound {
      while place >= 0 && kept[place].direction == .outbound { place -= 1 }
      if place < 0 { break }
      swap(&kept[place], &rest[index])
      missing -= 1
    }
    for peer in rest.sorted(by: { $0.id < $1.id }) {
      prune(peer, topic, backoff: configuration.pruneBackoff, reason: .excess, now: now, into: &outputs)
    }
  }

  /// Announces recent messages to some of the peers outside the mesh (v1.1 "Adaptive Gossip Dissemination").
  private func emitGossip(_ topic: TopicState) {
    if topic.cache.count == 0 { return }
    let chosen = topic.isSubscribed ? topic.mesh : topic.fanout
    let candidates = topic.peers.filter {
      $0.canMesh && $0.score >= configuration.thresholds.gossip && !chosen.hasPeer($0.id)
    }
    if candidates.isEmpty { return }
    var ids = topic.cache.ids(windows: configuration.historyGossip)
    if ids.isEmpty { return }
    let count = max(configuration.lazyDegree, Int(configuration.gossipFactor * Double(candidates.count)))
    let limit = configuration.maximumIHaveIDs
    var entries = RPCEncoder.announcements(Array(ids.prefix(limit)), topic: topic.topic, maximum: configuration.maximumControlBytes)
    for peer in choose(count, of: candidates) {
      if ids.count > limit {
        // Each peer hears of another part, so that together they know of everything.
        generator.draw(limit, toFrontOf: &ids)
        entries = RPCEncoder.announcements(Array(ids.prefix(limit)), topic: topic.topic, maximum: configuration.maximumControlBytes)
      }
      // All topics of a heartbeat go to a peer together: others heed ten RPCs with announcements in a heartbeat.
      peer.haves += entries
      markDirty(peer)
    }
  }

  private func expirePromises(now: Instant, into outputs: inout [Output]) {
    var broken: [PeerID: Int] = [:]
    while let next = promiseOrder.first, next.deadline <= now {
      _ = promiseOrder.popFirst()
      guard let promise = promises[next.id], promise.deadline == next.deadline else { continue }
      keepPromise(next.id)
      broken[promise.peer, default: 0] += 1
    }
    for (peer, count) in broken.sorted(by: { $0.key < $1.key }) where peers[peer] != nil {
      report(peer, .brokenPromises(count), into: &outputs)
    }
  }
}
