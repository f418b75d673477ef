import Identity
import Wire

/// GRAFT, PRUNE, IHAVE, IWANT and IDONTWANT from peers.
extension Gossip {
  func receiveControl(_ rpc: RPC, in bytes: [UInt8], from peer: GossipPeer, now: Instant, into outputs: inout [Output]) {
    // What a flooding peer cannot speak it cannot mean.
    if peer.version == .floodsub { return }
    for id in rpc.dontWant {
      guard peer.dontWantIDs < configuration.maximumDontWantIDs else { break }
      peer.dontWantIDs += 1
      counters.dontWantReceived += 1
      peer.dontWant.insert(id)
    }
    if !rpc.ihave.isEmpty { receiveIHave(rpc.ihave, in: bytes, from: peer, now: now) }
    if !rpc.iwant.isEmpty { receiveIWant(rpc.iwant, from: peer, into: &outputs) }
    for range in rpc.grafts {
      guard let name = Topic(bytes.rawSpan.extracting(range)) else { continue }
      receiveGraft(name, from: peer, now: now, into: &outputs)
    }
    for entry in rpc.prunes { receivePrune(entry, in: bytes, from: peer, now: now, into: &outputs) }
  }

  private func receiveIHave(_ announced: [RPC.IHave], in bytes: [UInt8], from peer: GossipPeer, now: Instant) {
    if peer.score < configuration.thresholds.gossip { return }
    peer.ihaveMessages += 1
    guard peer.ihaveMessages <= configuration.maximumIHaveMessages else {
      counters.ignoredElements += announced.count
      return
    }
    for have in announced { receiveIHave(have, in: bytes, from: peer, now: now) }
  }

  private func receiveIHave(_ have: RPC.IHave, in bytes: [UInt8], from peer: GossipPeer, now: Instant) {
    guard let range = have.topic, let name = Topic(bytes.rawSpan.extracting(range)), let topic = topics[name], topic.isSubscribed
    else { return }
    counters.idsAnnounced += have.ids.count
    if peer.misfits.contains(name) { return }
    let deadline = now + configuration.promiseLifetime
    let share = max(64, configuration.maximumPromises / max(1, peers.count))
    for id in have.ids {
      guard peer.idsAsked < configuration.maximumIHaveIDs, peer.promised < share, promises.count < configuration.maximumPromises else {
        break
      }
      if topic.seen.contains(id) || topic.pending[id] != nil { continue }
      // Somebody was asked a moment ago: a second copy would only cost.
      if promises[id] != nil { continue }
      promises[id] = Promise(peer: peer.id, deadline: deadline)
      peer.promised += 1
      promiseOrder.append(MessagePromise(id: id, deadline: deadline))
      peer.idsAsked += 1
      counters.idsAsked += 1
      peer.wants.append(id)
      markDirty(peer)
    }
  }

  /// What was promised is here, or is not waited for any more; who had promised it.
  @discardableResult func keepPromise(_ id: MessageID) -> PeerID? {
    guard let promise = promises.removeValue(forKey: id) else { return nil }
    // A peer that has come back begins anew.
    if let peer = peers[promise.peer], peer.promised > 0 { peer.promised -= 1 }
    return promise.peer
  }

  private func receiveIWant(_ ids: [MessageID], from peer: GossipPeer, into outputs: inout [Output]) {
    if peer.score < configuration.thresholds.gossip && !peer.isDirect { return }
    for topic in active where topic.cache.count > 0 {
      for id in ids.prefix(configuration.maximumIHaveIDs) {
        guard let message = topic.cache.take(id, for: peer.id, limit: configuration.retransmissionLimit) else { continue }
        counters.messagesServed += 1
        send(message, to: peer, lane: .gossip, into: &outputs)
      }
    }
  }

  /// v1.0 "GRAFT" with v1.1's backoff, quota and direct peers. A GRAFT for a topic that this side does not have is ignored: an
  /// answer would be a means to make this side talk.
  private func receiveGraft(_ name: Topic, from peer: GossipPeer, now: Instant, into outputs: inout [Output]) {
    guard let topic = topics[name], topic.isSubscribed else { return }
    if topic.mesh.hasPeer(peer.id) { return }
    guard peer.isReachable else {
      // Nothing can be answered now. The peer is grafted, or told otherwise, once there is a stream to it.
      peer.lostMeshes.insert(name)
      return
    }
    func refuse() {
      setBackoff(peer.id, topic, until: now + configuration.pruneBackoff, now: now)
      peer.prunes.append((name, backoffToTell(peer, configuration.pruneBackoff)))
      markDirty(peer)
    }
    if peer.isDirect { return refuse() }
    if let until = topic.backoff[peer.id], now < until {
      if peer.backoffsKnown.contains(name) { report(peer.id, .graftDuringBackoff(name), into: &outputs) }
      return refuse()
    }
    if peer.score < 0 { return refuse() }
    if topic.mesh.count >= configuration.meshDegreeHigh && peer.direction == .inbound { return refuse() }
    // A GRAFT says that the peer is in the topic, announced or not.
    peerSubscribes(peer, name, now: now, into: &outputs)
    guard topic.peers.hasPeer(peer.id) else { return refuse() }
    if topic.mesh.insertPeer(peer) { outputs.append(.event(.grafted(peer.id, name))) }
  }

  private func receivePrune(_ entry: RPC.Prune, in bytes: [UInt8], from peer: GossipPeer, now: Instant, into outputs: inout [Output]) {
    guard let name = Topic(bytes.rawSpan.extracting(entry.topic)), let topic = topics[name], topic.isSubscribed else { return }
    if topic.mesh.removePeer(peer.id) { outputs.append(.event(.pruned(peer.id, name, .byPeer))) }
    peer.lostMeshes.remove(name)
    var backoff = configuration.pruneBackoff
    if let seconds = entry.backoff, seconds > 0 {
      backoff = min(configuration.backoffMaximum, .seconds(Int64(clamping: min(seconds, 1 << 32))))
    }
    setBackoff(peer.id, topic, until: now + backoff, now: now)

    guard !entry.peers.isEmpty, peer.score >= configuration.thresholds.acceptExchange else { return }
    var suggestions: [SuggestedPeer] = []
    for other in entry.peers {
      guard let id = try? PeerID(bytes: bytes.rawSpan.extracting(other.peer)), id != key?.peerID, peers[id] == nil else { continue }
      suggestions.append(SuggestedPeer(peer: id, record: other.record.map { Array(bytes[$0]) }))
    }
    if !suggestions.isEmpty { outputs.append(.suggested(name, suggestions, by: peer.id)) }
  }

  /// Tells the mesh that a large message is here, before it is judged (v1.2 "IDONTWANT").
  func sendDontWant(_ message: GossipMessage, _ topic: TopicState, into outputs: inout [Output]) {
    var frame: [UInt8]?
    for peer in topic.mesh where peer.version >= .meshsub12 && peer.id != message.receivedFrom {
      let bytes = frame ?? RPCEncoder.dontWant([message.id], maximum: configuration.maximumControlBytes)[0]
      frame = bytes
      send(bytes, to: peer, lane: .control, into: &outputs)
    }
  }
}
