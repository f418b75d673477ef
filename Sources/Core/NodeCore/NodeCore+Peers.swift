import Gossip
import HostCore
import Identity
import Ledger
import Peering
import Sync
import Wire

extension NodeCore {
  func hostEvent(_ event: HostCore.Event, _ now: Instant, _ outputs: inout [Output]) {
    switch event {
    case .peerProven(let peer, _, let direction, _):
      // The dialler speaks first; the other end has the introduction's time limit to hear it.
      if direction == .outbound { askStatus(peer, introduces: host.link(of: peer)?.connection, now, &outputs) }
    case .peerActive(let peer):
      run(sync: .peerIntroduced(peer, height: statuses[peer]?.height ?? 0, origin: host.peering.ip(of: peer)?.home), now, &outputs)
      if let status = statuses[peer] { run(forks: .heard(peer, ChainPoint(height: status.height, hash: status.head)), now, &outputs) }
      poolTurns.joined(peer)
    case .peerGone(let peer, _):
      statuses[peer] = nil
      heightsTold[peer] = nil
      poolTurns.left(peer)
      serving.left(peer)
      peerClocks.left(peer)
      producerMarks[peer] = nil
      run(sync: .peerGone(peer), now, &outputs)
      run(forks: .peerGone(peer), now, &outputs)
    case .request(let request): serve(request, now, &outputs)
    case .answered(let peer, _, _): serveNext(of: peer, now, &outputs)
    case .response(let id, let result): response(id, result, now, &outputs)
    case .validate(let message): validate(message, now, &outputs)
    case .mesh(.peerSubscribed(_, protocols.transactionTopic)): announcePool(now, &outputs)
    case .listening, .discovery: advertiseServices(now, &outputs)
    case .operated(let id, let answer): outputs.append(.answer(QueryID(rawValue: id.rawValue), .operated(answer)))
    case .identified(let peer, _): refuseStranger(peer, now, &outputs)
    case .lookUp(let id, let progress): searches.note(id, progress)
    case .lookedUp(let id, let outcome): searched(id, outcome, &outputs)
    case .gossip, .published, .publishFailed, .subscribeFailed, .mesh, .peering, .notAccepted: break
    }
    switch event {
    case .mesh(.streamLost): outputs.append(.event(.host(event)))
    case .request, .answered, .response, .validate, .gossip, .published, .publishFailed, .mesh, .lookUp, .lookedUp, .operated: break
    default: outputs.append(.event(.host(event)))
    }
  }

  // MARK: Status

  /// What this node tells a peer of itself now.
  func status(for peer: PeerID, now: Instant) -> Status {
    var status = status(now: now)
    status.producerMark = producerMarks(with: peer)?.own ?? []
    return status
  }

  /// This node's own status now.
  public func status(now: Instant) -> Status {
    Status(
      network: configuration.host.network, chainID: genesis.chainID, genesis: chain.genesis, height: chain.head.height,
      head: chain.head.hash, nodeType: configuration.nodeType, listenAddresses: host.advertisedAddresses,
      services: ["blocks", "transactions"], pending: UInt64(chain.mempool.count),
      time: clock.time(at: now))
  }

  func askStatus(_ peer: PeerID, introduces link: ConnectionID? = nil, _ now: Instant, _ outputs: inout [Output]) {
    let purpose = Purpose.status(peer, at: now, introduces: link)
    ask(purpose, peer, protocols.status, status(for: peer, now: now).encoded, timeout: .standard, now, &outputs)
  }

  private func serveStatus(_ request: InboundRequest, _ now: Instant, _ outputs: inout [Output]) {
    let theirs: Status
    do throws(ProtobufError) {
      theirs = try Status(encoded: request.payload.rawSpan)
    } catch {
      return refuseMalformed(request, now, &outputs)
    }
    let status = status(for: request.peer, now: now)
    if let mismatch = status.mismatch(with: theirs) {
      let reason = Reason(mismatch)
      tell(
        .command(.respond(request.stream, StatusAnswer.refusal(code: UInt64(reason.code.rawValue), text: reason.detail).encoded)), now,
        &outputs)
      noteMismatch(request.peer, mismatch, now, &outputs)
      return tell(.command(.refuse(request.peer, reason)), now, &outputs)
    }
    tell(.command(.respond(request.stream, StatusAnswer.status(status).encoded)), now, &outputs)
    // It was sent within the last second, as a rule; what the peer answers when it is asked is more exact.
    if let time = theirs.time, !peerClocks.knows(request.peer) {
      compareClock(request.peer, time, asked: now - .seconds(1), now, &outputs)
    }
    accepted(request.peer, theirs, now, &outputs)
  }

  /// A peer is of this network: introduce it, or note its new height.
  private func accepted(_ peer: PeerID, _ theirs: Status, _ now: Instant, _ outputs: inout [Output]) {
    statuses[peer] = theirs
    heightsTold[peer] = now
    compareProducer(peer, theirs, now, &outputs)
    if host.isActive(peer) {
      run(sync: .peerHeight(peer, theirs.height), now, &outputs)
      run(forks: .heard(peer, ChainPoint(height: theirs.height, hash: theirs.head)), now, &outputs)
    } else {
      tell(.command(.introduce(peer)), now, &outputs)
    }
  }

  private func statusAnswered(
    _ peer: PeerID, _ result: Result<[UInt8], RequestError>, asked: Instant, introduces link: ConnectionID?, _ now: Instant,
    _ outputs: inout [Output]
  ) {
    switch result {
    case .failure(let error):
      // Another link may have taken the place of the one that it was asked over, and introduces itself.
      guard let link, host.link(of: peer)?.connection == link else { return }
      // Of which network the peer is, its own words tell; when they do not come, the introduction's time ends the link.
      if case .failed(.negotiationFailed) = error, host.identity(of: peer) == nil { return }
      if refuseStranger(peer, now, &outputs) { return }
      tell(.command(.refuse(peer, Reason(.introductionTimeout, "no status: \(error)"))), now, &outputs)
    case .success(let bytes):
      switch try? StatusAnswer(encoded: bytes.rawSpan) {
      case .status(let theirs):
        if let mismatch = status(now: now).mismatch(with: theirs) {
          noteMismatch(peer, mismatch, now, &outputs)
          tell(.command(.refuse(peer, Reason(mismatch))), now, &outputs)
        } else {
          if let time = theirs.time { compareClock(peer, time, asked: asked, now, &outputs) }
          accepted(peer, theirs, now, &outputs)
        }
      case .refusal(let code, let text):
        let reason = Reason(.init(rawValue: UInt32(truncatingIfNeeded: code)), text)
        outputs.append(.event(.refusedBy(peer, reason)))
        tell(.command(.refusedBy(peer, reason)), now, &outputs)
      case nil:
        tell(.command(.report(peer, .malformedMessage)), now, &outputs)
        if link != nil { tell(.command(.refuse(peer, Reason(.protocolViolation, "unreadable status"))), now, &outputs) }
      }
    }
  }

  /// Refuses a peer that speaks the status protocol of other networks only: its name carries the network's.
  @discardableResult
  private func refuseStranger(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    guard !host.isActive(peer), let names = host.identity(of: peer)?.protocols, !names.contains(protocols.status),
      let theirs = names.lazy.compactMap(Protocols.network(ofStatus:)).first
    else { return false }
    let mismatch = StatusMismatch.network(ours: configuration.host.network, theirs: theirs)
    noteMismatch(peer, mismatch, now, &outputs)
    tell(.command(.refuse(peer, Reason(mismatch))), now, &outputs)
    return true
  }

  private func noteMismatch(_ peer: PeerID, _ mismatch: StatusMismatch, _ now: Instant, _ outputs: inout [Output]) {
    latestMismatch = (mismatch, now)
    outputs.append(.event(.mismatch(peer, mismatch)))
  }

  // MARK: Requests

  private func serve(_ request: InboundRequest, _ now: Instant, _ outputs: inout [Output]) {
    let bytes = request.payload
    switch request.protocolID {
    case protocols.status: serveStatus(request, now, &outputs)
    case protocols.blocks:
      guard bytes.count <= BlocksRequest.maximumBytes, let wanted = try? BlocksRequest(encoded: bytes.rawSpan) else {
        return refuseMalformed(request, now, &outputs)
      }
      serve(request, .blocks(wanted), now, &outputs)
    case protocols.transactions:
      guard bytes.count <= Self.transactionsRequestBytes,
        let wish = try? PeerWish.transactions(bytes.rawSpan, maximum: Self.transactionsMaximum)
      else { return refuseMalformed(request, now, &outputs) }
      serve(request, wish, now, &outputs)
    default: tell(.command(.decline(request.stream)), now, &outputs)
    }
  }

  private func refuseMalformed(_ request: InboundRequest, _ now: Instant, _ outputs: inout [Output]) {
    tell(.command(.decline(request.stream, code: .protocolViolation)), now, &outputs)
    tell(.command(.report(request.peer, .malformedMessage)), now, &outputs)
  }

  /// What gossip lost, as while the network was split, is asked for again and again, from one after another of those who hold anything.
  func askPool(_ now: Instant, _ outputs: inout [Output]) {
    guard sync.state.isCaughtUp else { return poolTurns.wait(now: now) }
    if let peer = poolTurns.next(of: host.peering.activePeers, now: now, holds: { statuses[$0]?.pending ?? 0 > 0 }) {
      ask(.pool(peer), peer, protocols.transactions, BytesList([]).encoded, timeout: .heavy, now, &outputs)
    }
  }

  /// Says the pending transactions again once somebody listens.
  func announcePool(_ now: Instant, _ outputs: inout [Output]) {
    guard mustAnnouncePool, sync.state.isCaughtUp, host.gossip?.topicPeers(protocols.transactionTopic).isEmpty == false else { return }
    mustAnnouncePool = false
    for pending in chain.mempool.oldest(Self.transactionsMaximum) {
      tell(.command(.publish(protocols.transactionTopic, pending.bytes)), now, &outputs)
    }
  }

  private func response(_ id: RequestID, _ result: Result<[UInt8], RequestError>, _ now: Instant, _ outputs: inout [Output]) {
    switch purposes.removeValue(forKey: id) {
    case .status(let peer, let asked, let link):
      statusAnswered(peer, result, asked: asked, introduces: link, now, &outputs)
    case .batch(let batch, let peer): batchAnswered(batch, peer, result, now, &outputs)
    case .proof(let request): proofAnswered(request, result, now, &outputs)
    case .parent(let hash, let peer, let isOwed): parentAnswered(hash, peer, isOwed: isOwed, result, now, &outputs)
    case .pool(let peer):
      guard case .success(let bytes) = result else { return }
      guard let ids = try? PeerWish.hashes(in: bytes.rawSpan, maximum: Self.transactionsMaximum) else {
        return tell(.command(.report(peer, .malformedMessage)), now, &outputs)
      }
      let missing = ids.filter { !chain.isAtHand(transaction: $0) }
      if !missing.isEmpty { read(.missing(missing), for: .pool(peer), &outputs) }
    case .transactions(let peer):
      guard let list = list(in: result, of: peer, maximum: Self.transactionsMaximum, now, &outputs) else { return }
      for item in list { run(chain: .transactionReceived(item, .sync(peer), makeToken(.fetched(peer))), now, &outputs) }
    case nil: break
    }
  }

  /// The items of an answer; a peer whose answer cannot be read is blamed.
  private func list(
    in result: Result<[UInt8], RequestError>, of peer: PeerID, maximum: Int, _ now: Instant, _ outputs: inout [Output]
  ) -> [[UInt8]]? {
    guard case .success(let bytes) = result else { return nil }
    if let list = try? BytesList(encoded: bytes.rawSpan, maximum: maximum) { return list.items }
    tell(.command(.report(peer, .malformedMessage)), now, &outputs)
    return nil
  }

  private func batchAnswered(
    _ batch: BatchID, _ peer: PeerID, _ result: Result<[UInt8], RequestError>, _ now: Instant, _ outputs: inout [Output]
  ) {
    switch result {
    case .success(let bytes): read(.answer(bytes, genesis.limits), for: .batch(batch, peer), &outputs)
    case .failure(let error): fetchFailed(batch, peer, failure(of: peer, error), now, &outputs)
    }
  }

  /// A peer's answer was read.
  func fetched(_ batch: BatchID, _ peer: PeerID, _ blocks: [FetchedBlock], _ now: Instant, _ outputs: inout [Output]) {
    if blocks.isEmpty { return fetchFailed(batch, peer, .declined, now, &outputs) }
    run(sync: .fetched(batch, peer, blocks), now, &outputs)
  }

  func fetchFailed(_ batch: BatchID, _ peer: PeerID, _ failure: RangeSync.FetchFailure, _ now: Instant, _ outputs: inout [Output]) {
    outputs.append(.event(.fetchFailed(peer, failure)))
    run(sync: .fetchFailed(batch, peer, failure), now, &outputs)
  }

  // MARK: Gossip

  private func validate(_ message: GossipMessage, _ now: Instant, _ outputs: inout [Output]) {
    guard let peer = message.receivedFrom else { return }
    let isBlock = message.topic == protocols.blockTopic
    let height = isBlock ? (try? Block.header(of: message.data.rawSpan))?.height ?? 0 : 0
    let waiter = Waiter.gossip(message.id, message.topic, peer, height: height)
    if isBlock {
      counters.blocksAnnounced += 1
      run(chain: .blockReceived(message.data, .gossip(peer), makeToken(waiter)), now, &outputs)
    } else if sync.state.isCaughtUp {
      run(chain: .transactionReceived(message.data, .gossip(peer), makeToken(waiter)), now, &outputs)
    } else {
      // Its state is too old to judge transactions.
      tell(.command(.validated(message.id, message.topic, .postpone)), now, &outputs)
    }
  }
}

extension NodeCore {
  /// A peer has passed on a block with a good seal: it has the chain up to there, or claims so, which is a reason to ask.
  func passedOn(_ peer: PeerID, blockAt height: UInt64, _ now: Instant, _ outputs: inout [Output]) {
    guard let known = statuses[peer]?.height, height >= known else { return }
    heightsTold[peer] = now
    guard height > known else { return }
    statuses[peer]?.height = height
    run(sync: .peerHeight(peer, height), now, &outputs)
  }
}

extension Reason {
  /// The reason that a peer of another network is given.
  public init(_ mismatch: StatusMismatch) {
    let code: Code =
      switch mismatch {
      case .version: .wrongVersion
      case .network: .wrongNetwork
      case .chain: .wrongChain
      case .genesis: .wrongGenesis
      }
    self.init(code, mismatch.description)
  }
}

extension TransactionStatus {
  /// The encoded transaction.
  public var bytes: [UInt8] {
    switch self {
    case .pending(let info): info.bytes
    case .confirmed(_, _, _, let bytes): bytes
    }
  }
}
