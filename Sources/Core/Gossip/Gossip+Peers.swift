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
    let frames = RPCEncoder.subscriptions(subscribed.map(\.topic), subscribes: true, maximum: configuration.maximumControlBytes)
    for frame in frames { send(frame, to: peer, lane: .control, into: &outputs) }
  }

  func disconnect(_ id: PeerID, into outputs: inout [Output]) {
    guard let peer = peers.removeValue(forKey: id) else { return }
    peer.isWritable = false
    for name in peer.topics.sorted() { leave(peer, name, reason: .disconnected, into: &outputs) }
    peer.topics = []
    if peer.isDraining { draining.removeAll { $0 === peer } }
    if peer.isDirty { dirty.removeAll { $0 === peer } }
  }

  func subscribe(to name: Topic, _ configuration: TopicConfiguration, now: Instant, into outputs: inout [Output]) {
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
    guard peer.topics.count < configuration.maximumTopicsPerPeer else {
      report(peer.id, .excessiveSubscriptions, into: &outputs)
      return
    }
    peer.topics.append(name)
    let topic = state(of: name, now: now)
    topic.peers.insertPeer(peer)
    if peer.isAlwaysSentTo { topic.always.insertPeer(peer) }
    outputs.append(.event(.peerSubscribed(peer.id, name)))
    // Waiting for the heartbeat would leave a small mesh without the newcomer for up to a second.
    if topic.isSubscribed, topic.mesh.count < configuration.meshDegreeLow, isGraftable(peer, topic, now: now) {
      graft(peer, topic, into: &outputs)
    }
  }

  /// A peer's farewell.
  func peerUnsubscribes(_ peer: GossipPeer, _ name: Topic, into outputs: inout [Output]) {
    guard let place = peer.topics.firstIndex(of: name) else { return }
    peer.topics.remove(at: place)
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
