import Discovery
import Identity
import Peering
import SecureChannel
import Wire

/// Where this side stands with telling a peer of a change.
enum IdentifyPush {
  /// The peer knows everything, or is not told.
  case none
  /// A push is under way; `isStale` when something has changed since it began.
  case sending(StreamID, isStale: Bool, attempt: Int)
  /// The peer refused the push; it is tried again.
  case waiting(attempt: Int)
}

// What this host says of itself, and what peers say of themselves.
extension HostCore {
  /// What this host says of itself to the other end of a link.
  func description(for link: Link?) -> IdentifyInfo {
    IdentifyInfo(
      publicKey: key.publicKey.encoded, listenAddresses: advertisedAddresses, protocols: table.names, observedAddress: link?.remote,
      protocolVersion: configuration.protocolVersion, agent: configuration.agent)
  }

  func identified(_ connection: ConnectionID, _ info: IdentifyInfo, _ now: Instant, _ outputs: inout [Output]) {
    // What comes over a link that drains is about the peer, whose link is another one.
    guard let peer = links[connection]?.peer, let connection = admitted[peer], let link = links[connection] else { return }
    link.identity = info
    let addresses = info.listenAddresses.map { PeerAddress(peer: link.peer, address: $0) }
    run(peering: .learned(addresses, .identify(link.peer)), now, &outputs)
    outputs.append(.event(.identified(link.peer, info)))
    tellReach(link, info, now, &outputs)
    joinGossip(peer, now, &outputs)
    exchangePeers(connection, now, &outputs)
    noteServer(connection, now, &outputs)
  }

  /// Whether this side answers or asks a protocol: a peer's word on it is never left out.
  public func speaks(_ name: ProtocolID) -> Bool {
    table[name] != nil || name == HostProtocols.autoNAT || name == HostProtocols.peers(configuration.network)
      || name == kademliaState?.name || configuration.gossipProtocols.contains { $0.name == name.name }
  }

  /// What a peer says of itself cannot be read.
  func malformed(_ connection: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    if let link = links[connection] { run(peering: .report(link.peer, .malformedMessage), now, &outputs) }
  }

  // MARK: Pushes of this side

  /// Tells every active peer that speaks identify push what has changed.
  func pushIdentity(_ now: Instant, _ outputs: inout [Output]) {
    for peer in connectedPeers { if let connection = admitted[peer] { push(connection, attempt: 1, now, &outputs) } }
  }

  /// One push at a time: what changes while it is under way goes out together behind it.
  private func push(_ connection: ConnectionID, attempt: Int, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[connection], link.isActive, !link.isClosing,
      link.identity?.protocols.contains(HostProtocols.identifyPush) == true
    else { return }
    if case .sending(let stream, _, let attempt) = link.push {
      link.push = .sending(stream, isStale: true, attempt: attempt)
      return
    }
    let stream = link.makeStream(connection, .identifyPusher)
    link.push = .sending(stream.stream, isStale: false, attempt: attempt)
    pushDeadlines.set(connection, now + Self.pushTimeout)
    outputs.append(.open(stream, [HostProtocols.identifyPush]))
    outputs.append(.send(stream, description(for: link).encoded))
    outputs.append(.finish(stream))
  }

  func pushEnded(_ stream: StreamRef, _ error: ChannelError?, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[stream.connection], case .sending(stream.stream, let isStale, let attempt) = link.push else { return }
    link.push = .none
    pushDeadlines.remove(stream.connection)
    if isStale { return push(stream.connection, attempt: 1, now, &outputs) }
    switch error {
    // It has it, or speaks no such protocol after all.
    case nil, .negotiationFailed: break
    default: pushLater(stream.connection, link, attempt, now)
    }
  }

  /// Refused for now, or not taken in time by a busy peer, which must not keep what is no longer true.
  private func pushLater(_ connection: ConnectionID, _ link: Link, _ attempt: Int, _ now: Instant) {
    guard attempt < Self.pushAttempts else { return }
    link.push = .waiting(attempt: attempt + 1)
    pushDeadlines.set(connection, now + Self.pushPause)
  }

  /// A push was answered by nothing, or its next attempt is due.
  func pushIsDue(_ connection: ConnectionID, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[connection] else { return }
    switch link.push {
    case .none: break
    case .waiting(let attempt): push(connection, attempt: attempt, now, &outputs)
    case .sending(let id, let isStale, let attempt):
      // It may have been taken or not: nobody has closed the stream.
      link.push = .none
      outputs.append(.reset(StreamRef(connection: connection, stream: id)))
      if isStale { push(connection, attempt: 1, now, &outputs) } else { pushLater(connection, link, attempt, now) }
    }
  }

  private static let pushTimeout = Duration.seconds(10)
  private static let pushPause = Duration.seconds(5)
  private static let pushAttempts = 4
}
