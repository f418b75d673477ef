import Discovery
import Gossip
import Identity
import Peering
import SecureChannel
import Wire

extension HostCore {
  /// A peer opened a stream that the core serves.
  func streamOpened(_ stream: StreamRef, _ name: ProtocolID, arrived: Instant, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[stream.connection], !link.isClosing else { return outputs.append(.reset(stream)) }
    func set(_ role: Link.StreamRole) { links[stream.connection]?.streams[stream.stream] = role }
    switch name {
    case HostProtocols.ping: if mayPing(stream, link, arrived, now, &outputs) { set(.pingAnswerer) }
    case HostProtocols.identify:
      guard mayAsk(stream, name, arrived, now, &outputs) else { return }
      set(.identifyAnswerer)
      outputs.append(.send(stream, description(for: link).encoded))
      outputs.append(.finish(stream))
    case HostProtocols.identifyPush:
      guard mayAsk(stream, name, arrived, now, &outputs) else { return }
      // The newest wins: what is kept of unfinished ones is bounded by one.
      for (id, role) in link.streams {
        if case .identifyPush = role { outputs.append(.reset(StreamRef(connection: stream.connection, stream: id))) }
      }
      set(.identifyPush(collected: [], messages: 0))
    case HostProtocols.goodbye:
      // A link's first is heard however much its peer has asked: why a link ends is told to both ends.
      guard !link.hasGoodbye || mayAsk(stream, name, arrived, now, &outputs) else { return }
      link.hasGoodbye = true
      set(.goodbye)
    default:
      guard link.isActive || link.isDraining && isActive(link.peer) || configuration.introductionProtocols.contains(name) else {
        // Nothing but the introduction is served before the introduction. To be told so costs what an answer does.
        if mayAsk(stream, name, arrived, now, &outputs) { outputs.append(.reset(stream, code: .gated)) }
        return
      }
      if let version = GossipProtocol(name: name.name), configuration.gossip != nil {
        guard mayAsk(stream, name, arrived, now, &outputs) else { return }
        set(.gossipIn)
        gossipOpened(stream, link.peer, version, now, &outputs)
      } else if name == kademliaState?.name {
        if openedKademlia(stream, arrived, now, &outputs) { set(.kademlia(hasAsked: false)) }
      } else if mayAsk(stream, name, arrived, now, &outputs), requests.opened(stream, name, now: now, into: &outputs) {
        set(.request)
      }
    }
  }

  func message(_ stream: StreamRef, _ bytes: [UInt8], arrived: Instant, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[stream.connection], let role = link.streams[stream.stream] else { return }
    switch role {
    case .gossipIn:
      // What is too much is dropped unread; what was good of it comes again by gossip.
      guard isWithin(link.rates.takeGossip(bytes.count, now: arrived), "gossip", link.peer, now, &outputs) else {
        streamRefusals[.rateLimited, default: 0] += 1
        return
      }
      if isActive(link.peer) { run(gossip: .received(link.peer, bytes), now, &outputs) }
    case .pingAnswerer:
      if mayPing(stream, link, arrived, now, &outputs) { outputs.append(.send(stream, bytes)) }
    case .keepAlive(let awaited):
      guard awaited != nil else { return }
      links[stream.connection]?.streams[stream.stream] = .keepAlive(awaited: nil)
      // The echo may be that of an earlier ping.
      run(peering: .pong(stream.connection, nonce: Self.echoedNonce(bytes)), now, &outputs)
    case .identifyPush(var collected, let messages):
      guard messages < IdentifyInfo.maximumMessages else { return outputs.append(.reset(stream, code: .protocolViolation)) }
      collected.append(contentsOf: bytes)
      links[stream.connection]?.streams[stream.stream] = .identifyPush(collected: collected, messages: messages + 1)
    case .goodbye:
      if link.farewell == nil { link.farewell = try? Reason(encoded: bytes.rawSpan) }
      // The other end keeps another link and waits for the end of this one.
      if let reason = link.farewell, reason.code == .duplicate || reason.code == .replaced {
        outputs.append(.close(stream.connection, reason))
        closed(stream.connection, .endOfFile, now, &outputs)
      }
    case .kademlia:
      link.streams[stream.stream] = .kademlia(hasAsked: true)
      serveKademlia(stream, link.peer, bytes, arrived, now, &outputs)
    case .request:
      switch requests.message(stream, bytes, memory: link.memory, now: now, into: &outputs) {
      case .request(let name, let payload):
        let verdict = link.rates.takeRequest(name, bytes: payload.count, now: arrived)
        guard isWithin(verdict, "requests of \(name)", link.peer, now, &outputs) else {
          return requests.respond(stream, nil, code: .rateLimited, now: now, into: &outputs)
        }
        // The link that the peer was known by is gone, and with it whatever is kept of the peer: this one only drains.
        guard admitted[link.peer] != nil else { return requests.respond(stream, nil, code: .gated, now: now, into: &outputs) }
        received(stream, link.peer, name, payload, now, &outputs)
      case .response(let id, let payload):
        links[stream.connection]?.streams[stream.stream] = nil
        links[stream.connection]?.lateAnswers = 0
        answered(id, .success(payload), now, &outputs)
      case .nothing, nil: break
      }
    case .identifyAnswerer, .gossipOut, .identifyPusher, .oneWay: break
    }
  }

  /// A peer's whole request, to be answered here or by the parent.
  private func received(
    _ stream: StreamRef, _ peer: PeerID, _ name: ProtocolID, _ payload: [UInt8], _ now: Instant, _ outputs: inout [Output]
  ) {
    if configuration.exchangesPeers && name == HostProtocols.peers(configuration.network) {
      return servePeers(to: peer, payload, on: stream, now, &outputs)
    }
    if configuration.discovery.dialBack.isEnabled && name == HostProtocols.autoNAT {
      return serveDialBack(to: peer, payload, on: stream, now, &outputs)
    }
    outputs.append(.event(.request(InboundRequest(stream: stream, peer: peer, protocolID: name, payload: payload))))
  }

  // MARK: Rates

  /// Whether a peer's request is within its rate; otherwise its stream is reset with a code that says so.
  func mayAsk(_ stream: StreamRef, _ name: ProtocolID, _ arrived: Instant, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    guard let link = links[stream.connection] else { return false }
    let verdict = link.rates.takeRequest(name, rate: applicationRates[name], now: arrived)
    return isWithin(verdict, "requests of \(name)", orReset: stream, link, now, &outputs)
  }

  /// The same for a ping, and for the opening of a stream of them.
  private func mayPing(_ stream: StreamRef, _ link: Link, _ arrived: Instant, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    isWithin(link.rates.takePing(now: arrived), "pings", orReset: stream, link, now, &outputs)
  }

  private func isWithin(
    _ verdict: InboundRates.Verdict, _ what: @autoclosure () -> String, orReset stream: StreamRef, _ link: Link, _ now: Instant,
    _ outputs: inout [Output]
  ) -> Bool {
    if isWithin(verdict, what(), link.peer, now, &outputs) { return true }
    outputs.append(.reset(stream, code: .rateLimited))
    return false
  }

  private func isWithin(
    _ verdict: InboundRates.Verdict, _ what: @autoclosure () -> String, _ peer: PeerID, _ now: Instant, _ outputs: inout [Output]
  ) -> Bool {
    if case .refused(isOffence: true) = verdict { run(peering: .report(peer, .rateExceeded, detail: what()), now, &outputs) }
    return verdict == .within
  }

  func streamFinished(_ stream: StreamRef, _ now: Instant, _ outputs: inout [Output]) {
    guard let role = links[stream.connection]?.streams[stream.stream] else { return }
    switch role {
    case .pingAnswerer, .goodbye, .kademlia: outputs.append(.finish(stream))
    case .identifyPush(let collected, _):
      outputs.append(.finish(stream))
      guard let push = try? IdentifyInfo(encoded: collected.rawSpan, speaks: speaks), let link = links[stream.connection] else {
        return malformed(stream.connection, now, &outputs)
      }
      var info = link.identity ?? IdentifyInfo()
      info.update(from: push)
      identified(stream.connection, info, now, &outputs)
    case .request:
      if let (id, result) = requests.finished(stream) { answered(id, result, now, &outputs) }
    case .gossipIn: outputs.append(.finish(stream))
    case .keepAlive(let awaited):
      // It pongs no more here: the next ping opens another stream.
      links[stream.connection]?.keepAlive = nil
      outputs.append(.reset(stream))
      if awaited != nil { run(peering: .pong(stream.connection, nonce: nil), now, &outputs) }
    case .identifyAnswerer, .gossipOut, .identifyPusher, .oneWay: break
    }
  }

  func streamEnded(_ stream: StreamRef, _ error: ChannelError?, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[stream.connection], let role = link.streams.removeValue(forKey: stream.stream) else { return }
    // What an application's messages are like is between it and its peers, who may be of another make.
    let isApplications = requests.isApplications(stream) || requests.protocolID(stream).map { applicationRates[$0] != nil } ?? false
    switch error {
    case .messageTooLarge where !isApplications: run(peering: .report(link.peer, .oversizedMessage), now, &outputs)
    case .protocolViolation where !isApplications: run(peering: .report(link.peer, .protocolViolation), now, &outputs)
    default: break
    }
    switch role {
    case .request:
      let answering = requests.answering(stream)
      if let (id, result) = requests.ended(stream, error) { answered(id, result, now, &outputs) }
      if let answering { outputs.append(.event(.answered(link.peer, answering, error))) }
    case .keepAlive(let awaited):
      links[stream.connection]?.keepAlive = nil
      // A peer that refuses the stream lives, be it that it speaks no ping or has no room for the stream.
      if awaited != nil, error?.isAnswer ?? true { run(peering: .pong(stream.connection, nonce: nil), now, &outputs) }
    case .gossipOut: gossipStreamLost(stream, link.peer, error, now, &outputs)
    case .gossipIn: gossipEnded(stream, link.peer)
    case .identifyPusher: pushEnded(stream, error, now, &outputs)
    case .kademlia(let hasAsked):
      kademliaState?.served.remove(stream)
      // Requests are charged one by one, and a stream without any as one.
      if !hasAsked, let name = kademliaState?.name {
        _ = isWithin(link.rates.takeRequest(name, now: now), "streams without a request of \(name)", link.peer, now, &outputs)
      }
    case .pingAnswerer, .identifyAnswerer, .identifyPush, .goodbye, .oneWay: break
    }
  }

  func flow(_ stream: StreamRef, isWritable: Bool, _ now: Instant, _ outputs: inout [Output]) {
    guard let link = links[stream.connection], gossipStreams[link.peer]?.out == stream else { return }
    run(gossip: isWritable ? .writable(link.peer) : .blocked(link.peer), now, &outputs)
  }

  // MARK: Keep-alive

  func ping(_ connection: ConnectionID, _ nonce: UInt64, _ now: Instant, _ outputs: inout [Output]) {
    guard links[connection] != nil else { return }
    let stream: StreamRef
    if let open = links[connection]!.keepAlive {
      stream = StreamRef(connection: connection, stream: open)
      links[connection]!.streams[open] = .keepAlive(awaited: nonce)
    } else {
      stream = links[connection]!.makeStream(connection, .keepAlive(awaited: nonce))
      links[connection]!.keepAlive = stream.stream
      outputs.append(.open(stream, [HostProtocols.ping]))
    }
    outputs.append(.send(stream, Self.pingBytes(nonce)))
  }

  /// 32 bytes that carry the nonce in front.
  static func pingBytes(_ nonce: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.appendBigEndian(nonce)
    var filler = SeededGenerator(seed: nonce)
    return bytes + filler.bytes(24)
  }

  /// The nonce of an echo; `nil` for bytes that no ping had.
  private static func echoedNonce(_ bytes: [UInt8]) -> UInt64? {
    let nonce = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    return bytes == pingBytes(nonce) ? nonce : nil
  }
}
