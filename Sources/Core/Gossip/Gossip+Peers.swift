import Identity
import Wire

/// Peers that come and go, and who subscribes to what.
extension Gossip {
  func connect(_ id: PeerID, _ version: GossipProtocol, _ direction: Direction, now: Instant, into outputs: inout [Output]) {
    if peers[id] != nil { disconnect(id, into: &outputs) }
    let peer = GossipPeer(
      id: id, version: version, direction: direction, isDirect: configuration.directPeers.contains(id),
      dontWantCapacity: 2 * configuration.maximumDontWantIDs)
    peers[id] = peer
    tellSubscriptions(to: peer, into: &outputs)
  }

  private func tellSubscriptions(to peer: GossipPeer, into outputs: inout [Output]) {
    let frames = RPCEncoder.subscriptions(subscribed.map(\.topic), subscribes: true, maximum: configuration.maximumControlBytes)
    for frame in frames { send(frame, to: peer, lane: .control, into: &outputs) }
  }

  func disconnect(_ id: PeerID, into outputs: inout [Output]) {
    guard let peer = peers.removeValue(forKey: id) else { return }
    peer.isWritable = false
    for name in peer.topics.sorted() { leave(peer, name, reason: .disconnected, into: &outputs) }
    peer.topics = []
    stopSending(to: peer)
  }

  private func stopSending(to peer: GossipPeer) {
    if peer.isDraining { draining.removeAll { $0 === peer } }
    if peer.isDirty { dirty.removeAll { $0 === peer } }
    peer.isDraining = false
    peer.isDirty = false
  }

  // MARK: The two streams of a peer

  func loseOutbound(_ id: PeerID, into outputs: inout [Output]) {
    guard let peer = peers[id], peer.isReachable else { return }
    stopSending(to: peer)
    counters.framesDropped += peer.queue.count
    peer.queue = OutboundQueue()
    (peer.grafts, peer.prunes, peer.wants, peer.haves) = ([], [], [], [])
    peer.isWritable = false
    peer.isReachable = false
    // What it was told last may not have arrived.
    peer.backoffsKnown = []
    for name in peer.topics.sorted() {
      guard let topic = topics[name] else { continue }
      topic.fanout.removePeer(id)
      leaveMesh(peer, topic, into: &outputs)
    }
  }

  func openOutbound(_ id: PeerID, _ direction: Direction, now: Instant, into outputs: inout [Output]) {
    guard let peer = peers[id], !peer.isReachable else { return }
    peer.direction = direction
    peer.isReachable = true
    tellSubscriptions(to: peer, into: &outputs)
    for name in peer.lostMeshes.sorted() where peer.topics.contains(name) {
      if let topic = topics[name] { rejoinMesh(peer, topic, now: now, into: &outputs) }
    }
  }

  func openInbound(_ id: PeerID, into outputs: inout [Output]) {
    guard let peer = peers[id] else { return }
    defer { peer.hasSpoken = true }
    guard peer.hasSpoken else { return }
    forgetSubscriptions(peer, into: &outputs)
    tellSubscriptions(to: peer, into: &outputs)
  }

  private func forgetSubscriptions(_ peer: GossipPeer, into outputs: inout [Output]) {
    for name in peer.topics.sorted() {
      if let topic = topics[name] { leaveMesh(peer, topic, into: &outputs) }
      peerUnsubscribes(peer, name, into: &outputs)
    }
  }

  /// Takes a peer out of a mesh that it is to come back into, for neither side has pruned the other.
  private func leaveMesh(_ peer: GossipPeer, _ topic: TopicState, into outputs: inout [Output]) {
    guard topic.mesh.removePeer(peer.id) else { return }
    peer.lostMeshes.insert(topic.topic)
    outputs.append(.event(.pruned(peer.id, topic.topic, .streamEnded)))
  }

  /// Grafts a peer of ``leaveMesh(_:_:into:)`` again.
  private func rejoinMesh(_ peer: GossipPeer, _ topic: TopicState, now: Instant, into outputs: inout [Output]) {
    guard topic.isSubscribed, peer.lostMeshes.remove(topic.topic) != nil, isGraftable(peer, topic, now: now) else { return }
    graft(peer, topic, into: &outputs)
  }

  // MARK: Subscriptions

  /// What a topic counts among a peer's, or this side's.
  func bytes(of name: Topic) -> Int { name.name.utf8.count + Configuration.subscriptionOverhead }

  func subscribe(to name: Topic, _ configuration: TopicConfiguration, now: Instant, into outputs: inout [Output]) throws(SubscribeError) {
    if topics[name]?.isSubscribed != true {
      let total = subscribed.reduce(bytes(of: name)) { $0 + bytes(of: $1.topic) }
      let maximum = self.configuration.maximumSubscriptionBytes
      guard total <= maximum else { throw .tooManyTopics(bytes: total, maximum: maximum) }
    }
    configure(name, configuration)
    let topic = state(of: name, now: now)
    if topic.isSubscribed { return }
    topic.isSubscribed = true
    subscribed.append(topic)
    subscribed.sort { $0.topic < $1.topic }
    activate(topic)
    announce(name, subscribes: true, into: &outputs)

    // Peers of the fanout are in use already: they enter the mesh first (v1.0 "JOIN").
    let old = topic.fanout
    topic.fanout = []
    for peer in old where topic.mesh.count < self.configuration.meshDegree && isGraftable(peer, topic, now: now) {
      graft(peer, topic, into: &outputs)
    }
    graftByLot(topic, upTo: self.configuration.meshDegree, now: now, into: &outputs) { _ in true }
  }

  func unsubscribe(from name: Topic, now: Instant, into outputs: inout [Output]) {
    guard let topic = topics[name], topic.isSubscribed else { return }
    topic.isSubscribed = false
    subscribed.removeAll { $0 === topic }
    announce(name, subscribes: false, into: &outputs)
    for peer in topic.mesh {
      prune(peer, topic, backoff: configuration.unsubscribeBackoff, reason: .unsubscribed, now: now, into: &outputs)
    }
    for peer in peers.values { peer.lostMeshes.remove(name) }
    for pending in topic.pending.values { forget(pending) }
    topic.pending = [:]
    topic.cache = MessageCache()
    topic.recent = RecentData()
  }

  func configure(_ name: Topic, _ configuration: TopicConfiguration) {
    topicConfigurations[name] = configuration
    topics[name]?.configuration = configuration
  }

  private func announce(_ name: Topic, subscribes: Bool, into outputs: inout [Output]) {
    let frames = RPCEncoder.subscriptions([name], subscribes: subscribes, maximum: configuration.maximumControlBytes)
    for peer in peersInOrder { for frame in frames { send(frame, to: peer, lane: .control, into: &outputs) } }
  }

  /// A peer's announcement.
  func peerSubscribes(_ peer: GossipPeer, _ name: Topic, now: Instant, into outputs: inout [Output]) {
    guard !peer.topics.contains(name) else { return }
    let bytes = bytes(of: name)
    // What this side takes part in is bounded by its own subscriptions.
    guard topics[name]?.isSubscribed == true || peer.topicBytes + bytes <= configuration.maximumSubscriptionBytes else {
      counters.ignoredElements += 1
      return
    }
    peer.topics.insert(name)
    peer.topicBytes += bytes
    let topic = state(of: name, now: now)
    topic.peers.insertPeer(peer)
    if peer.isAlwaysSentTo { topic.always.insertPeer(peer) }
    outputs.append(.event(.peerSubscribed(peer.id, name)))
    rejoinMesh(peer, topic, now: now, into: &outputs)
    // Waiting for the heartbeat would leave a small mesh without the newcomer for up to a second.
    if topic.isSubscribed, topic.mesh.count < configuration.meshDegreeLow, isGraftable(peer, topic, now: now) {
      graft(peer, topic, into: &outputs)
    }
  }

  /// A peer's farewell.
  func peerUnsubscribes(_ peer: GossipPeer, _ name: Topic, into outputs: inout [Output]) {
    guard peer.topics.remove(name) != nil else { return }
    peer.topicBytes -= bytes(of: name)
    leave(peer, name, reason: .peerUnsubscribed, into: &outputs)
    outputs.append(.event(.peerUnsubscribed(peer.id, name)))
  }

  private func leave(_ peer: GossipPeer, _ name: Topic, reason: PruneReason, into outputs: inout [Output]) {
    guard let topic = topics[name] else { return }
    topic.peers.removePeer(peer.id)
    topic.always.removePeer(peer.id)
    topic.fanout.removePeer(peer.id)
    if topic.mesh.removePeer(peer.id) { outputs.append(.event(.pruned(peer.id, name, reason))) }
    collect(topic)
  }

  /// The state of a topic, made when there is none.
  func state(of name: Topic, now: Instant) -> TopicState {
    if let topic = topics[name] { return topic }
    let topic = TopicState(
      topic: name, configuration: topicConfigurations[name] ?? configuration.defaultTopic, seenCapacity: configuration.maximumSeen)
    topic.seenRotation = now + configuration.seenLifetime
    topics[name] = topic
    return topic
  }

  /// Forgets a topic that nobody uses any longer.
  func collect(_ topic: TopicState) {
    if topic.peers.isEmpty && !topic.hasOwnState { topics[topic.topic] = nil }
  }

  /// Lets the heartbeat attend to a topic that is about to hold something.
  func activate(_ topic: TopicState) {
    if active.contains(where: { $0 === topic }) { return }
    active.append(topic)
    active.sort { $0.topic < $1.topic }
  }

  /// All peers in the order of their ids. O(n log n).
  var peersInOrder: [GossipPeer] { peers.values.sorted { $0.id < $1.id } }
}
