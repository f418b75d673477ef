import Identity
import Wire

/// Questions that change nothing.
extension Gossip {
  /// The topics that this side is subscribed to, in order.
  public var subscriptions: [Topic] { subscribed.map(\.topic) }

  /// The peers in the topic's mesh, in order; empty without a subscription.
  public func meshPeers(_ topic: Topic) -> [PeerID] { topics[topic]?.mesh.map(\.id) ?? [] }

  /// The connected peers that are subscribed to the topic, in order.
  public func topicPeers(_ topic: Topic) -> [PeerID] { topics[topic]?.peers.map(\.id) ?? [] }

  /// The connected peers, in order. Complexity: O(n log n).
  public var connectedPeers: [PeerID] { peers.keys.sorted() }

  /// The counters.
  public var statistics: GossipStatistics { counters }

  /// A peer's counters, or `nil` when it is not connected.
  public func statistics(of peer: PeerID) -> GossipPeerStatistics? {
    guard let peer = peers[peer] else { return nil }
    var result = peer.statistics
    result.bytesQueued = peer.queue.bytes
    return result
  }

  /// The first rule of the router's state that does not hold; `nil` when all do. For tests. Complexity: O(peers × topics).
  public func checkInvariants() -> String? {
    if !dirty.isEmpty { return "peers are left to be told something" }
    for topic in topics.values {
      if topic.isSubscribed != subscribed.contains(where: { $0 === topic }) { return "\(topic.topic): the list of subscriptions differs" }
      if topic.hasOwnState && !active.contains(where: { $0 === topic }) { return "\(topic.topic): state that no heartbeat sees" }
      if !topic.isSubscribed && !topic.mesh.isEmpty { return "\(topic.topic): a mesh without a subscription" }
      if topic.isSubscribed && !topic.fanout.isEmpty { return "\(topic.topic): a fanout beside a subscription" }
      for (name, list) in [("peers", topic.peers), ("mesh", topic.mesh), ("always", topic.always), ("fanout", topic.fanout)] {
        if !list.isInOrder { return "\(topic.topic): \(name) is out of order" }
        for peer in list where peers[peer.id] !== peer { return "\(topic.topic): \(name) holds a peer that left" }
        for peer in list where !topic.peers.hasPeer(peer.id) { return "\(topic.topic): \(name) holds a peer without subscription" }
      }
      for peer in topic.mesh where !peer.canMesh { return "\(topic.topic): the mesh holds a direct or flooding peer" }
      for peer in topic.peers where peer.isAlwaysSentTo != topic.always.hasPeer(peer.id) { return "\(topic.topic): always differs" }
      for peer in topic.peers where !peer.topics.contains(topic.topic) { return "\(topic.topic): a peer does not know that it subscribed" }
      if !topic.seen.isWithinBounds { return "\(topic.topic): too many seen" }
      if topic.cache.count > configuration.maximumCached { return "\(topic.topic): too many cached" }
      if topic.backoff.count > configuration.maximumBackoffs { return "\(topic.topic): too many backoffs" }
      for id in topic.pending.keys where topic.seen.contains(id) { return "\(topic.topic): a pending message counts as seen" }
    }
    for peer in peers.values {
      for name in peer.topics where topics[name]?.peers.hasPeer(peer.id) != true { return "a topic does not know its peer" }
      if peer.topicBytes != peer.topics.reduce(0, { $0 + bytes(of: $1) }) { return "a peer's topics count wrong" }
      for name in peer.lostMeshes where topics[name]?.isSubscribed != true { return "a mesh is to be joined again without a subscription" }
      if !peer.isReachable && (peer.isWritable || !peer.queue.isEmpty) { return "something waits for a peer without a stream" }
      if peer.queue.count > configuration.maximumQueuedFrames { return "a queue is too long" }
      if peer.queue.count > 1 && peer.queue.bytes > configuration.maximumQueuedBytes { return "a queue is too large" }
      if peer.isWritable && !peer.queue.isEmpty && !peer.isDraining { return "a queue waits for nothing" }
    }
    let pending = topics.values.reduce(0) { $0 + $1.pending.count }
    if pending != pendingCount { return "\(pending) messages wait for validation, \(pendingCount) are counted" }
    if pendingCount > configuration.maximumPendingValidations { return "too many wait for validation" }
    if promises.count > configuration.maximumPromises { return "too many promises" }
    let promised = promises.values.reduce(into: [PeerID: Int]()) { $0[$1.peer, default: 0] += 1 }
    for peer in peers.values where peer.promised > promised[peer.id, default: 0] { return "a peer's promises count wrong" }
    let waiting = topics.values.flatMap(\.pending.values).filter { peers[$0.bringer.id] === $0.bringer }
    if peers.values.reduce(0, { $0 + $1.pendingCount }) != waiting.count { return "messages that wait are counted on nobody" }
    return nil
  }
}
