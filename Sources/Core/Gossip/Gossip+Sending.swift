import Identity
import Wire

/// The way out: straight to the host while the peer's stream takes more, otherwise into the peer's bounded queue.
extension Gossip {
  /// Sends a frame that is no message.
  func send(_ frame: [UInt8], to peer: GossipPeer, lane: OutboundQueue.Lane, into outputs: inout [Output]) {
    guard peer.isReachable else { return }
    if peer.isWritable && peer.queue.isEmpty {
      emit(frame, to: peer, into: &outputs)
    } else {
      enqueue(OutboundQueue.Item(frame: frame, message: nil), to: peer, lane: lane)
    }
  }

  /// Sends a message unless the peer has it.
  func send(_ message: GossipMessage, to peer: GossipPeer, lane: OutboundQueue.Lane, into outputs: inout [Output]) {
    guard peer.isReachable else { return }
    if !peer.dontWant.isEmpty && peer.dontWant.contains(message.id) {
      counters.copiesSuppressed += 1
      return
    }
    if peer.isWritable && peer.queue.isEmpty {
      counters.messagesSent += 1
      emit(message.frame, to: peer, into: &outputs)
    } else {
      enqueue(OutboundQueue.Item(frame: message.frame, message: message), to: peer, lane: lane)
    }
  }

  private func emit(_ frame: [UInt8], to peer: GossipPeer, into outputs: inout [Output]) {
    counters.rpcsOut += 1
    counters.bytesOut += frame.count
    peer.statistics.bytesOut += frame.count
    outputs.append(.send(peer.id, frame))
  }

  private func enqueue(_ item: OutboundQueue.Item, to peer: GossipPeer, lane: OutboundQueue.Lane) {
    let (_, dropped) = peer.queue.push(
      item, lane: lane, maximumCount: configuration.maximumQueuedFrames, maximumBytes: configuration.maximumQueuedBytes)
    if dropped > 0 {
      counters.framesDropped += dropped
      peer.statistics.framesDropped += dropped
      peer.droppedSinceReport += dropped
    }
  }

  func becomeWritable(_ id: PeerID, into outputs: inout [Output]) {
    guard let peer = peers[id], peer.isReachable else { return }
    peer.isWritable = true
    drain(peer, into: &outputs)
  }

  /// Sends up to a burst of what waits; the rest waits for the next timer, so that the host can say blocked between.
  private func drain(_ peer: GossipPeer, into outputs: inout [Output]) {
    var budget = configuration.burstBytes
    while budget > 0, let item = peer.queue.pop() {
      if let message = item.message {
        if peer.dontWant.contains(message.id) {
          counters.copiesSuppressed += 1
          continue
        }
        counters.messagesSent += 1
      }
      budget -= item.frame.count
      emit(item.frame, to: peer, into: &outputs)
    }
    if !peer.queue.isEmpty && !peer.isDraining {
      peer.isDraining = true
      draining.append(peer)
    }
  }

  func continueDraining(into outputs: inout [Output]) {
    if draining.isEmpty { return }
    let waiting = draining.sorted { $0.id < $1.id }
    draining = []
    for peer in waiting {
      peer.isDraining = false
      if peer.isWritable { drain(peer, into: &outputs) }
    }
  }

  /// Notes that the peer is to be told something at the end of this input.
  func markDirty(_ peer: GossipPeer) {
    if peer.isDirty { return }
    peer.isDirty = true
    dirty.append(peer)
  }

  /// Tells peers what changed, everything for one peer in as few RPCs as possible.
  func flush(into outputs: inout [Output]) {
    if dirty.isEmpty { return }
    let waiting = dirty
    dirty = []
    for peer in waiting {
      peer.isDirty = false
      if !peer.grafts.isEmpty || !peer.prunes.isEmpty {
        let frames = RPCEncoder.meshChanges(grafts: peer.grafts, prunes: peer.prunes, maximum: configuration.maximumControlBytes)
        peer.grafts = []
        peer.prunes = []
        for frame in frames { send(frame, to: peer, lane: .control, into: &outputs) }
      }
      if !peer.wants.isEmpty {
        let frames = RPCEncoder.iwant(peer.wants, maximum: configuration.maximumControlBytes)
        peer.wants = []
        for frame in frames { send(frame, to: peer, lane: .gossip, into: &outputs) }
      }
      if !peer.haves.isEmpty {
        let frames = RPCEncoder.ihave(peer.haves, maximum: configuration.maximumControlBytes)
        peer.haves = []
        for frame in frames { send(frame, to: peer, lane: .gossip, into: &outputs) }
      }
    }
  }
}
