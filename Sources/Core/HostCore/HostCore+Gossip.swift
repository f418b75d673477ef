import Gossip
import Identity
import Peering
import SecureChannel
import Wire

/// The two gossip streams of a peer. Each has a life of its own: what ends one says nothing of the other.
struct GossipStreams {
  /// What the stream to the peer speaks.
  var version: GossipProtocol
  /// The stream that this side writes to, on the peer's admitted link; `nil` while there is none.
  var out: StreamRef?
  var openedAt = Instant.zero
  /// How often ``out`` was lost. A minute of a stream's life makes up for one.
  var losses = 0
  /// The newest stream that the peer writes to. It may be on a link that drains.
  var incoming: StreamRef?
  /// What gossip was last told of the peer's score.
  var score = 0.0

  /// How long to wait after one more loss: not at all, 1 s, 2 s, 4 s … 1 min.
  mutating func countLoss(_ now: Instant) -> Duration {
    losses = max(0, losses - Int((now - openedAt).seconds / Self.healing.seconds))
    defer { losses = min(losses + 1, 8) }
    return losses == 0 ? .zero : min(Self.retryMaximum, .seconds(1 << (losses - 1)))
  }

  private static let healing = Duration.seconds(60)
  private static let retryMaximum = Duration.seconds(60)
}

// A peer takes part in gossip as long as it is active. Its streams come and go meanwhile.
extension HostCore {
  /// Joins a peer to the mesh as soon as it is active and known to speak gossip.
  func joinGossip(_ peer: PeerID, speaking heard: GossipProtocol? = nil, _ now: Instant, _ outputs: inout [Output]) {
    guard configuration.gossip != nil, isActive(peer), let connection = admitted[peer], let link = links[connection] else { return }
    if let streams = gossipStreams[peer] {
      // The link is another one now, or the stream was given up.
      if streams.out == nil, gossipRetries[peer] == nil { openGossip(peer, now, &outputs) }
      return
    }
    let offered = link.identity?.protocols ?? []
    guard let version = configuration.gossipProtocols.first(where: { offered.contains(ProtocolID($0.name)) }) ?? heard else { return }
    gossipStreams[peer] = GossipStreams(version: version)
    openGossipStream(peer, connection, now, &outputs)
    run(gossip: .peerConnected(peer, version, link.direction), now, &outputs)
    tellScore(of: peer, now, &outputs)
    // Negotiation is lazy, so the stream takes messages at once.
    run(gossip: .writable(peer), now, &outputs)
  }

  /// Opens the stream to a peer again.
  func openGossip(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard let streams = gossipStreams[peer], streams.out == nil, isActive(peer), let connection = admitted[peer],
      let link = links[connection]
    else { return }
    gossipRetries.remove(peer)
    openGossipStream(peer, connection, now, &outputs)
    run(gossip: .outboundOpened(peer, link.direction), now, &outputs)
    run(gossip: .writable(peer), now, &outputs)
  }

  private func openGossipStream(_ peer: PeerID, _ connection: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[connection], let version = gossipStreams[peer]?.version else { return }
    let stream = link.makeStream(connection, .gossipOut)
    gossipStreams[peer]?.out = stream
    gossipStreams[peer]?.openedAt = now
    outputs.append(.open(stream, [ProtocolID(version.name)]))
  }

  /// The stream that this side writes to is gone: it is opened again, at once or after a while.
  func gossipStreamLost(_ stream: StreamRef, _ peer: PeerID, _ error: ChannelError?, _ now: Instant, _ outputs: inout [Output]) {
    guard gossipStreams[peer]?.out == stream else { return }
    gossipStreams[peer]?.out = nil
    run(gossip: .outboundLost(peer), now, &outputs)
    var wait = gossipStreams[peer]?.countLoss(now)
    // The peer speaks no gossip, whatever it had said.
    if case .negotiationFailed = error { wait = nil }
    outputs.append(.event(.mesh(.streamLost(peer, error?.description ?? "closed by the peer", retryIn: wait))))
    guard let wait else { return }
    gossipRetries.set(peer, now + wait)
    if wait == .zero { openGossip(peer, now, &outputs) }
  }

  /// A peer opened the stream that it writes to.
  func gossipOpened(_ stream: StreamRef, _ peer: PeerID, _ version: GossipProtocol, _ now: Instant, _ outputs: inout [Output]) {
    joinGossip(peer, speaking: version, now, &outputs)
    // One at a time: a peer that opens another one has lost the former.
    if let former = gossipStreams[peer]?.incoming { outputs.append(.reset(former)) }
    gossipStreams[peer]?.incoming = stream
    run(gossip: .inboundOpened(peer), now, &outputs)
  }

  /// The stream that a peer writes to is gone. What it said of its subscriptions holds until it opens another one: py-libp2p does not see the
  /// end of its stream before it has something to say.
  func gossipEnded(_ stream: StreamRef, _ peer: PeerID) {
    if gossipStreams[peer]?.incoming == stream { gossipStreams[peer]?.incoming = nil }
  }

  /// A link ends, or gives way to another one of the same peer: then gossip goes on over that one.
  func detachGossip(_ connection: ConnectionID, _ link: Link, _ now: Instant, _ outputs: inout [Output]) {
    let peer = link.peer
    guard let streams = gossipStreams[peer] else { return }
    let isDraining = link.isDraining && !link.isClosing
    if admitted[peer] == connection && !isDraining {
      gossipStreams[peer] = nil
      gossipRetries.remove(peer)
      return run(gossip: .peerDisconnected(peer), now, &outputs)
    }
    if let out = streams.out, out.connection == connection {
      outputs.append(.finish(out))
      gossipStreams[peer]?.out = nil
      run(gossip: .outboundLost(peer), now, &outputs)
    }
    if let incoming = streams.incoming, incoming.connection == connection, !isDraining { gossipEnded(incoming, peer) }
  }
}
