import Identity
import Wire

/// Own messages.
extension Gossip {
  /// Publishes data on a topic, subscribed or not, to every peer of the topic (or its mesh, see
  /// ``Configuration/floodsOwnMessages``). It is not delivered to this side.
  /// - Returns: the message's id.
  /// - Throws: ``PublishError`` when it is too large, needs a key that the router lacks, or was seen.
  public func publish(_ data: [UInt8], on name: Topic, now: Instant, into outputs: inout [Output]) throws(PublishError) -> MessageID {
    let topic = state(of: name, now: now)
    let rules = topic.configuration
    defer { collect(topic) }
    guard data.count <= rules.maximumMessageBytes else {
      throw .tooLarge(bytes: data.count, maximum: rules.maximumMessageBytes)
    }
    let message = try makeOwnMessage(data, topic, rules)
    guard message.frame.count <= configuration.maximumRPCBytes else {
      throw .tooLarge(bytes: message.frame.count, maximum: configuration.maximumRPCBytes)
    }
    guard !topic.seen.contains(message.id) else { throw .duplicate(message.id) }
    // The same bytes may be waiting for validation: what this side publishes needs none.
    if let pending = topic.pending.removeValue(forKey: message.id) { forget(pending) }

    activate(topic)
    topic.seen.insert(message.id)
    topic.cache.append(message, maximumCount: configuration.maximumCached, maximumBytes: configuration.maximumCachedBytes)
    counters.messagesPublished += 1
    if configuration.floodsOwnMessages {
      for peer in topic.peers where peer.isDirect || peer.score >= configuration.thresholds.publish {
        send(message, to: peer, lane: .own, into: &outputs)
      }
    } else {
      if !topic.isSubscribed { refreshFanout(topic, now: now) }
      for peer in topic.isSubscribed ? topic.mesh : topic.fanout { send(message, to: peer, lane: .own, into: &outputs) }
      for peer in topic.always where peer.isDirect || peer.score >= configuration.thresholds.publish {
        send(message, to: peer, lane: .own, into: &outputs)
      }
    }
    flush(into: &outputs)
    return message.id
  }

  private func makeOwnMessage(_ data: [UInt8], _ topic: TopicState, _ rules: TopicConfiguration) throws(PublishError) -> GossipMessage {
    var author: PeerID?
    var number: UInt64?
    let frame: [UInt8]
    let dataRange: Range<Int>
    var nameAndNumber: [UInt8] = []
    switch rules.signing {
    case .strictNoSign: (frame, dataRange) = RPCEncoder.publish(topic: topic.utf8, data: data.rawSpan)
    case .strictSign:
      guard let key else { throw .noKey }
      sequence &+= 1
      author = key.peerID
      number = sequence
      let from = key.peerID.bytes
      var eight: [UInt8] = []
      eight.appendBigEndian(sequence)
      nameAndNumber = from + eight
      let signed = RPCEncoder.signedBytes(topic: topic.utf8, data: data.rawSpan, from: from, sequence: eight)
      (frame, dataRange) = RPCEncoder.publish(
        topic: topic.utf8, data: data.rawSpan, from: from, sequence: eight, signature: key.sign(signed, crypto: crypto),
        key: from.first == 0 ? nil : key.publicKey.encoded)
    }
    let id: MessageID
    switch rules.identification {
    case .contentHash(let count): id = MessageID(crypto.sha256(data), bytes: count)
    case .fromAndSequence:
      guard let value = MessageID(nameAndNumber) else { throw .noKey }
      id = value
    }
    return GossipMessage(
      id: id, topic: topic.topic, author: author, sequence: number, receivedFrom: nil, frame: frame, dataRange: dataRange)
  }

  /// Fills the peers published to without a subscription up to the mesh degree (v1.0 "Fanout").
  func refreshFanout(_ topic: TopicState, now: Instant) {
    topic.fanoutExpiry = now + configuration.fanoutLifetime
    let missing = configuration.meshDegree - topic.fanout.count
    if missing <= 0 { return }
    let candidates = topic.peers.filter {
      $0.canMesh && $0.score >= configuration.thresholds.publish && !topic.fanout.hasPeer($0.id)
    }
    for peer in choose(missing, of: candidates) { topic.fanout.insertPeer(peer) }
  }

  /// Up to `count` of the peers by lot; the same seed and peers in the same order give the same choice.
  func choose(_ count: Int, of candidates: [GossipPeer]) -> ArraySlice<GossipPeer> {
    var pool = candidates
    generator.draw(count, toFrontOf: &pool)
    return pool.prefix(max(0, count))
  }
}
