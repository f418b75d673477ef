import Identity
import Wire

/// The way in: RPCs, the checks of a message in the order of their cost, validation and forwarding.
extension Gossip {
  func receive(_ bytes: [UInt8], from id: PeerID, now: Instant, into outputs: inout [Output]) {
    counters.rpcsIn += 1
    counters.bytesIn += bytes.count
    guard let peer = peers[id] else { return }
    peer.statistics.bytesIn += bytes.count
    if peer.score < configuration.thresholds.graylist && !peer.isDirect {
      counters.graylisted += 1
      return
    }
    guard bytes.count <= configuration.maximumRPCBytes else {
      report(id, .oversizedRPC(bytes.count), into: &outputs)
      return
    }
    guard peer.fields < configuration.maximumFields else {
      counters.rpcsPassedOver += 1
      return
    }
    let rpc: RPC
    do throws(ProtobufError) {
      rpc = try RPC(
        bytes.rawSpan,
        limits: RPC.Limits(idsPerIHave: configuration.maximumIHaveIDs, exchangedPeers: configuration.maximumExchangedPeers))
    } catch {
      report(id, .malformedRPC, into: &outputs)
      return
    }
    counters.ignoredElements += rpc.ignored
    peer.fields += rpc.fields
    if peer.fields >= configuration.maximumFields { report(id, .tooManyFields, into: &outputs) }
    for entry in rpc.subscriptions {
      peer.subscriptionChanges += 1
      guard peer.subscriptionChanges <= configuration.maximumSubscriptionChanges else {
        counters.ignoredElements += 1
        continue
      }
      guard let name = Topic(bytes.rawSpan.extracting(entry.topic)) else { continue }
      if entry.subscribes {
        peerSubscribes(peer, name, now: now, into: &outputs)
      } else {
        peerUnsubscribes(peer, name, into: &outputs)
      }
    }
    for message in rpc.messages { receive(message, in: bytes, from: peer, now: now, into: &outputs) }
    if rpc.hasControl { receiveControl(rpc, in: bytes, from: peer, now: now, into: &outputs) }
  }

  private func receive(_ fields: RPC.Message, in bytes: [UInt8], from peer: GossipPeer, now: Instant, into outputs: inout [Output]) {
    guard let topic = subscribedTopic(bytes, fields.topic) else {
      counters.messagesUnwanted += 1
      return
    }
    counters.messagesReceived += 1
    let data = fields.data ?? 0..<0
    let rules = topic.configuration
    let freight = rules.signing == .strictSign ? fields.unknown.count : 0
    guard data.count + freight <= rules.maximumMessageBytes else {
      return reject(topic, .tooLarge, peer, promises.isEmpty ? nil : messageID(fields, in: bytes, topic), into: &outputs)
    }

    let author: PeerID?
    let sequence: UInt64?
    switch rules.signing {
    case .strictNoSign:
      guard fields.from == nil, fields.sequence == nil, fields.signature == nil, fields.key == nil else {
        return reject(topic, .forbiddenField, peer, promises.isEmpty ? nil : messageID(fields, in: bytes, topic), into: &outputs)
      }
      author = nil
      sequence = nil
    case .strictSign:
      guard let from = fields.from, let number = fields.sequence, number.count == 8, fields.signature != nil,
        let name = try? PeerID(bytes: bytes.rawSpan.extracting(from))
      else { return reject(topic, .missingField, peer, nil, into: &outputs) }
      author = name
      sequence = bytes[number].reduce(0) { $0 << 8 | UInt64($1) }
    }
    if isForged(bytes.rawSpan.extracting(data), topic) { return reject(topic, .forged, peer, nil, into: &outputs) }
    guard let id = messageID(fields, in: bytes, topic) else { return reject(topic, .missingField, peer, nil, into: &outputs) }

    if topic.seen.contains(id) { return countDuplicate(id, topic, peer, into: &outputs) }
    if !topic.pending.isEmpty, let pending = topic.pending[id] {
      if pending.senders.count < PendingValidation.maximumSenders, !pending.senders.contains(peer.id) {
        pending.senders.append(peer.id)
      }
      return countDuplicate(id, topic, peer, into: &outputs)
    }
    // Own messages whose id was forgotten come from a peer that replays them.
    if let author, author == key?.peerID { return countDuplicate(id, topic, peer, into: &outputs) }
    if let author, let reason = refusal(of: fields, in: bytes, author: author, from: peer) {
      return reject(topic, reason, peer, id, into: &outputs)
    }

    // From here on the message is what its id says: what is remembered now cannot be a forgery in its place.
    if !promises.isEmpty { keepPromise(id) }
    if !peer.misfits.isEmpty { peer.misfits.remove(topic.topic) }
    peer.statistics.firstDeliveries += 1
    let message = makeMessage(fields, in: bytes, id: id, topic: topic, author: author, sequence: sequence, from: peer)
    if case .contentHash = rules.identification { topic.recent.remember(message) }
    switch rules.validation {
    case .none:
      if data.count >= configuration.dontWantBytesWithoutValidation { sendDontWant(message, topic, into: &outputs) }
      accept(message, topic, senders: [], into: &outputs)
    case .application:
      guard pendingCount < configuration.maximumPendingValidations, pendingBytes + message.frame.count <= configuration.maximumPendingBytes,
        peer.pendingCount < max(1, configuration.maximumPendingValidations / 4),
        peer.pendingBytes == 0 || peer.pendingBytes + message.frame.count <= configuration.maximumPendingBytes / 4
      else {
        counters.validationDropped += 1
        return
      }
      let pending = PendingValidation(message: message, deadline: now + configuration.validationLifetime, bringer: peer)
      topic.pending[id] = pending
      pendingOrder.append(pending)
      pendingCount += 1
      pendingBytes += message.frame.count
      peer.pendingCount += 1
      peer.pendingBytes += message.frame.count
      // Only what is kept: of what was dropped a copy is still wanted.
      if data.count >= configuration.dontWantBytes { sendDontWant(message, topic, into: &outputs) }
      outputs.append(.validate(message))
    }
  }

  /// Whether a long message shows at a quick look that it is forged; a copy of one that was looked at of late is not looked at again.
  private func isForged(_ data: RawSpan, _ topic: TopicState) -> Bool {
    guard let screen, data.byteCount >= screen.minimumBytes, topic.recent.id(of: data) == nil else { return false }
    return screen.isForged(topic.topic, data)
  }

  private func messageID(_ fields: RPC.Message, in bytes: [UInt8], _ topic: TopicState) -> MessageID? {
    switch topic.configuration.identification {
    case .contentHash(let count):
      let span = bytes.rawSpan.extracting(fields.data ?? 0..<0)
      return topic.recent.id(of: span) ?? MessageID(crypto.sha256(span), bytes: count)
    case .fromAndSequence:
      guard let from = fields.from, let number = fields.sequence else { return nil }
      return MessageID(Array(bytes[from]) + bytes[number])
    }
  }

  /// The subscribed topic of this name, found by comparing bytes while topics are few.
  private func subscribedTopic(_ bytes: [UInt8], _ range: Range<Int>?) -> TopicState? {
    guard let range else { return nil }
    let name = bytes.rawSpan.extracting(range)
    if subscribed.count <= 8 {
      for topic in subscribed where name.elementsEqual(topic.utf8) { return topic }
      return nil
    }
    guard let wanted = Topic(name), let topic = topics[wanted], topic.isSubscribed else { return nil }
    return topic
  }

  /// The message with a frame of its own. An RPC that holds this message and nothing else is that frame already. A signed message
  /// stays as it came, for its signature covers all of it; of an unsigned one only what its id covers is forwarded, so that nobody
  /// can attach freight to another's message.
  private func makeMessage(
    _ fields: RPC.Message, in bytes: [UInt8], id: MessageID, topic: TopicState, author: PeerID?, sequence: UInt64?, from peer: GossipPeer
  ) -> GossipMessage {
    let frame: [UInt8]
    let dataRange: Range<Int>
    if fields.isCanonical, author != nil || fields.unknown.isEmpty {
      let data = fields.data ?? fields.whole.upperBound..<fields.whole.upperBound
      let header = 1 + Varint.size(UInt64(fields.whole.count))
      if bytes.count == header + fields.whole.count {
        frame = bytes
        dataRange = data
      } else {
        var copy: [UInt8] = []
        copy.reserveCapacity(header + fields.whole.count)
        copy.append(0x12)
        Varint.append(UInt64(fields.whole.count), to: &copy)
        copy.append(contentsOf: bytes[fields.whole])
        frame = copy
        let moved = header - fields.whole.lowerBound
        dataRange = data.lowerBound + moved..<data.upperBound + moved
      }
    } else {
      (frame, dataRange) = RPCEncoder.publish(topic: topic.utf8, data: bytes.rawSpan.extracting(fields.data ?? 0..<0))
    }
    return GossipMessage(
      id: id, topic: topic.topic, author: author, sequence: sequence, receivedFrom: peer.id, frame: frame, dataRange: dataRange)
  }

  private func countDuplicate(_ id: MessageID, _ topic: TopicState, _ peer: GossipPeer, into outputs: inout [Output]) {
    counters.duplicates += 1
    peer.statistics.duplicates += 1
    // A copy for this peer may still be waiting; it is not needed any more.
    if !peer.queue.isEmpty { peer.dontWant.insert(id) }
    if configuration.reportsDuplicates { outputs.append(.event(.duplicate(id, topic.topic, from: peer.id))) }
  }

  private func reject(
    _ topic: TopicState, _ reason: RejectionReason, _ peer: GossipPeer, _ id: MessageID?, into outputs: inout [Output]
  ) {
    counters.rejected += 1
    peer.statistics.rejected += 1
    if reason == .missingField || reason == .forbiddenField { peer.misfits.insert(topic.topic) }
    if reason.isForwardersFault {
      report(peer.id, .invalidMessage(topic.topic, reason), into: &outputs)
    } else {
      // It sent what it had announced.
      if let id { keepPromise(id) }
      outputs.append(.event(.refused(topic.topic, reason, from: peer.id)))
    }
  }

  /// Remembers, forwards and delivers a good message.
  private func accept(_ message: GossipMessage, _ topic: TopicState, senders: [PeerID], into outputs: inout [Output]) {
    topic.seen.insert(message.id)
    topic.cache.append(message, maximumCount: configuration.maximumCached, maximumBytes: configuration.maximumCachedBytes)
    for peer in topic.mesh { forward(message, to: peer, senders: senders, into: &outputs) }
    for peer in topic.always {
      if !peer.isDirect && peer.score < configuration.thresholds.publish { continue }
      forward(message, to: peer, senders: senders, into: &outputs)
    }
    counters.messagesDelivered += 1
    outputs.append(.deliver(message))
  }

  private func forward(_ message: GossipMessage, to peer: GossipPeer, senders: [PeerID], into outputs: inout [Output]) {
    if message.receivedFrom == peer.id || message.author == peer.id { return }
    if senders.contains(peer.id) {
      counters.copiesSuppressed += 1
      return
    }
    send(message, to: peer, lane: .forwarded, into: &outputs)
  }

  // MARK: Validation by the application

  func settle(_ id: MessageID, topic name: Topic, _ verdict: ValidationVerdict, now: Instant, into outputs: inout [Output]) {
    guard let topic = topics[name], let pending = topic.pending.removeValue(forKey: id) else { return }
    forget(pending)
    switch verdict {
    case .accept: accept(pending.message, topic, senders: pending.senders, into: &outputs)
    case .ignore:
      counters.ignored += 1
      topic.seen.insert(id)
    case .postpone: counters.ignored += 1
    case .reject:
      counters.rejected += 1
      // An id of author and sequence says nothing of the bytes: another message under it must still have its chance.
      if case .contentHash = topic.configuration.identification { topic.seen.insert(id) }
      for sender in pending.senders {
        peers[sender]?.statistics.rejected += 1
        report(sender, .invalidMessage(name, .refusedByApplication), into: &outputs)
      }
    }
  }

  /// Takes a message off the account of those waiting.
  func forget(_ pending: PendingValidation) {
    pending.isSettled = true
    pendingCount -= 1
    pendingBytes -= pending.message.frame.count
    pending.bringer.pendingCount -= 1
    pending.bringer.pendingBytes -= pending.message.frame.count
    while let first = pendingOrder.first, first.isSettled { _ = pendingOrder.popFirst() }
    if pendingOrder.count > 2 * configuration.maximumPendingValidations { pendingOrder.removeAll { $0.isSettled } }
  }

  func expireValidations(now: Instant, into outputs: inout [Output]) {
    while let pending = pendingOrder.first, pending.deadline <= now {
      let message = pending.message
      topics[message.topic]?.pending[message.id] = nil
      forget(pending)
      counters.ignored += 1
      outputs.append(.event(.validationExpired(message.id, message.topic)))
    }
  }
}
