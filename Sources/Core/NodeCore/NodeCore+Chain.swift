import Gossip
import HostCore
import Identity
import Ledger
import Peering
import Sync
import Wire

extension NodeCore {
  func chainOutput(_ output: Chain<L, C>.Output, _ now: Instant, _ outputs: inout [Output]) {
    switch output {
    case .work(let id, let work): outputs.append(.work(id, work))
    case .store(let id, let batch): outputs.append(.store(id, batch))
    case .blockVerdict(let token, let verdict): blockVerdict(token, verdict, now, &outputs)
    case .transactionVerdict(let token, let verdict): transactionVerdict(token, verdict, now, &outputs)
    case .relayBlock(_, let bytes, let source):
      // What came by gossip goes on with its verdict.
      if source.peer == nil { tell(.command(.publish(protocols.blockTopic, bytes)), now, &outputs) }
    case .relayTransaction(_, let bytes, let source):
      if case .gossip = source { return }
      if host.gossip?.topicPeers(protocols.transactionTopic).isEmpty == true {
        // Published now nobody would hear of it, and later it would count as said.
        mustAnnouncePool = true
      } else {
        tell(.command(.publish(protocols.transactionTopic, bytes)), now, &outputs)
      }
    case .newHead(let head, let depth):
      latestHead = now
      if watchdog.progressed(now: now) { tell(.command(.seekMore(0)), now, &outputs) }
      if depth > 0 { counters.reorganisations += 1 }
      outputs.append(.event(.newHead(head, reorgDepth: depth)))
      run(sync: .localHead(head.height), now, &outputs)
    case .needBlock(let hash, let source, let isRetry): askParent(hash, source, isRetry, now, &outputs)
    case .event(let event):
      if case .blockApplied = event { counters.blocksApplied += 1 }
      if case .ownBlockReplaced = event { counters.ownBlocksReplaced += 1 }
      if case .sealedElsewhere(let slot, let peer) = event { sealedElsewhere(slot, peer, now, &outputs) }
      if case .storeFailed(let error, _) = event { tellSubmitters(error, &outputs) }
      outputs.append(.event(.chain(event)))
    }
  }

  /// Users need not wait for a disk: what they submitted stays once it was found good, and is written when it can be.
  private func tellSubmitters(_ error: StoreError, _ outputs: inout [Output]) {
    for token in chain.tokensAwaitingStore.sorted(by: { $0.rawValue < $1.rawValue }) {
      guard case .user(let query)? = waiters[token] else { continue }
      waiters[token] = nil
      outputs.append(.answer(query, .notDurable(error, isPending: true)))
    }
  }

  /// A parent is missing: its child's sender has it.
  private func askParent(_ hash: Hash256, _ source: ItemSource, _ isRetry: Bool, _ now: Instant, _ outputs: inout [Output]) {
    // While ranges are being fetched the parent is among them.
    if case .syncing = sync.state { return }
    let sender = source.peer.flatMap { host.isActive($0) ? $0 : nil }
    guard parentsAsked.count < Self.parentsMaximum, parentsAsked[hash] == nil, let peer = sender ?? host.peering.activePeers.first,
      parentsAsked.values.count(where: { $0 == peer }) < Self.parentsOfPeerMaximum,
      // What stands on the other side of a split never connects, however far one walks down.
      !forks.isWitness(peer)
    else { return }
    parentsAsked[hash] = peer
    ask(
      .parent(hash, peer, isOwed: sender != nil && !isRetry), peer, protocols.blocks, BlocksRequest.hash(hash).encoded,
      timeout: .standard, now, &outputs)
  }

  /// The answer to a question for a parent. `isOwed` when the peer had just passed on the child: an honest one has validated it, and
  /// therefore has its parent.
  func parentAnswered(
    _ hash: Hash256, _ peer: PeerID, isOwed: Bool, _ result: Result<[UInt8], RequestError>, _ now: Instant, _ outputs: inout [Output]
  ) {
    parentsAsked[hash] = nil
    switch result {
    case .success(let bytes):
      guard let list = try? BytesList(encoded: bytes.rawSpan, maximum: 1) else {
        return tell(.command(.report(peer, .malformedMessage)), now, &outputs)
      }
      if let block = list.items.first, (try? Block(encoded: block.rawSpan, limits: genesis.limits).hash(crypto: crypto)) == hash {
        return run(chain: .blockReceived(block, .sync(peer), makeToken(.fetched(peer))), now, &outputs)
      }
    // Its own word that it has no such block; a lost link or a full peer says nothing.
    case .failure(.failed(.streamReset(.unspecified))), .failure(.failed(.streamReset(.declined))), .failure(.noAnswer): break
    case .failure(.timeout): return isOwed ? tell(.command(.report(peer, .late)), now, &outputs) : ()
    case .failure: return
    }
    if isOwed { tell(.command(.report(peer, .missingParent)), now, &outputs) }
  }

  private func blockVerdict(_ token: ValidationToken, _ verdict: BlockVerdict, _ now: Instant, _ outputs: inout [Output]) {
    guard let waiter = waiters.removeValue(forKey: token) else { return }
    if let refusal = verdict.refusal { counters.blocksRefused[refusal, default: 0] += 1 }
    if case .invalid(let error) = verdict, let peer = waiter.peer {
      outputs.append(.event(.invalidBlock(from: peer, error)))
      tell(.command(.report(peer, .invalidBlock, detail: error.description)), now, &outputs)
    }
    if case .accepted(let hash) = verdict {
      if let peer = waiter.peer { tell(.command(.useful(peer, .block)), now, &outputs) }
      outputs.append(.event(.blockAccepted(hash, from: waiter.peer)))
    }
    switch waiter {
    case .gossip(let id, let topic, let peer, let height):
      if let peer, verdict.showsHeight { passedOn(peer, blockAt: height, now, &outputs) }
      let answer: ValidationVerdict =
        switch verdict {
        case .accepted: .accept
        // A range may bring a block before gossip does. What is old everybody has: passed on, one replay would go through the whole network.
        case .known(let hash): chain.isNew(hash) ? .accept : .ignore
        case .invalid: .reject
        case .refused(.final), .refused(.twin): .ignore
        // Not judged: seen it counts only once it is.
        case .orphan, .future, .refused(.busy): .postpone
        }
      switch verdict {
      // The peer may be gone by now, and nobody would tell that it is once more.
      case .orphan, .refused(.final): if let peer, host.isActive(peer) { run(forks: .strange(peer), now, &outputs) }
      default: break
      }
      tell(.command(.validated(id, topic, answer)), now, &outputs)
    case .sync(let batch, _):
      switch verdict {
      case .accepted, .known: run(sync: .applied(batch), now, &outputs)
      case .invalid: run(sync: .refused(batch), now, &outputs)
      case .orphan, .refused(.final): run(sync: .orphaned(batch), now, &outputs)
      case .future, .refused(.busy), .refused(.twin): run(sync: .postponed(batch), now, &outputs)
      }
    case .fetched, .user: break
    }
  }

  private func transactionVerdict(_ token: ValidationToken, _ verdict: TransactionVerdict, _ now: Instant, _ outputs: inout [Output]) {
    guard let waiter = waiters.removeValue(forKey: token) else { return }
    if case .accepted(let id) = verdict {
      counters.transactionsAccepted += 1
      if let peer = waiter.peer { tell(.command(.useful(peer, .transaction)), now, &outputs) }
      outputs.append(.event(.transactionAccepted(id, from: waiter.peer)))
    }
    if case .invalid = verdict, let peer = waiter.peer { tell(.command(.report(peer, .invalidTransaction)), now, &outputs) }
    switch waiter {
    case .gossip(let id, let topic, _, _):
      let answer: ValidationVerdict =
        switch verdict {
        case .accepted, .known: .accept
        case .invalid: .reject
        // Not judged: seen it counts only once it is.
        case .refused(.busy): .postpone
        case .refused: .ignore
        }
      tell(.command(.validated(id, topic, answer)), now, &outputs)
    case .user(let query):
      let answer: Answer =
        switch verdict {
        case .accepted(let id), .known(let id): .submitted(id)
        case .refused(.busy): .unavailable("too many transactions wait for verification")
        case .refused(let refusal): .refused(refusal.description)
        case .invalid(let error): .refused(error.description)
        }
      outputs.append(.answer(query, answer))
    case .sync, .fetched: break
    }
  }

  // MARK: Sync

  func syncOutput(_ output: RangeSync.Output, _ now: Instant, _ outputs: inout [Output]) {
    switch output {
    case .fetch(let batch, let peer, let from, let count):
      ask(
        .batch(batch, peer), peer, protocols.blocks, BlocksRequest.range(from: from, count: count).encoded,
        timeout: .heavy, now, &outputs)
    case .askStatus(let peer): askStatus(peer, now, &outputs)
    case .askHead(let peer, let height): askProof(ProofRequest(use: .head, peer: peer, height: height), now, &outputs)
    case .apply(let batch, let peer, let blocks):
      for block in blocks {
        run(chain: .blockReceived(block.bytes, .sync(peer), makeToken(.sync(batch, peer))), now, &outputs)
      }
    case .blameSlow(let peer): tell(.command(.report(peer, .late)), now, &outputs)
    case .blameUseless(let peer): tell(.command(.report(peer, .uselessAnswer)), now, &outputs)
    case .blameWrong(let peer): tell(.command(.report(peer, .protocolViolation)), now, &outputs)
    case .state(let state):
      outputs.append(.event(.sync(state)))
      run(chain: .setProducing(allowed: state.isCaughtUp), now, &outputs)
      if state.isCaughtUp { caughtUp(now, &outputs) }
    }
  }

  /// The chain has not moved for three block times, or as long again.
  func stoodStill(_ now: Instant, _ outputs: inout [Output]) {
    watchdog.strike(now: now)
    outputs.append(.event(.stoodStill(for: now - latestHead, why: health(now: now) == .isolated ? nil : whyStill(now))))
    tell(.command(.seekMore(watchdog.strikes)), now, &outputs)
    run(sync: .stoodStill, now, &outputs)
  }

  private func caughtUp(_ now: Instant, _ outputs: inout [Output]) {
    announcePool(now, &outputs)
    askPool(now, &outputs)
  }
}

extension BlockVerdict {
  /// Whether the block's seal was found good, so that there is a block at its height.
  fileprivate var showsHeight: Bool {
    switch self {
    case .accepted, .known, .orphan: true
    case .invalid, .future, .refused: false
    }
  }
}

extension NodeCore.Waiter {
  /// The peer that is answerable for the item.
  var peer: PeerID? {
    switch self {
    case .gossip(_, _, let peer, _): peer
    case .sync(_, let peer), .fetched(let peer): peer
    case .user: nil
    }
  }
}
