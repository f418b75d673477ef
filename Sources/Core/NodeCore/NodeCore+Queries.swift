import HostCore
import Identity
import Ledger
import Peering
import Sync
import Wire

extension NodeCore {
  /// Answers a question, at once or, for a submitted transaction, once it is durable.
  func answer(_ id: QueryID, _ query: Query, _ now: Instant, _ outputs: inout [Output]) {
    switch query {
    case .info: outputs.append(.answer(id, .info(info(now))))
    case .peers: outputs.append(.answer(id, .peers(peers(now))))
    case .webPeers: outputs.append(.answer(id, .webPeers(host.webPeers)))
    case .explain(let peer): outputs.append(.answer(id, .story(host.peering.story(of: peer, now: now))))
    case .explainAddress(let address): outputs.append(.answer(id, .story(host.peering.story(at: address, now: now))))
    case .dials: outputs.append(.answer(id, .dials(host.peering.dialList(now: now))))
    case .peersNamed(let text): read(.names(text, host.peering.peersAtHand), for: .user(id), &outputs)
    case .rules: outputs.append(.answer(id, .rules(host.peering.rules(now: now))))
    case .book: outputs.append(.answer(id, .book(bookSummary(now))))
    case .bookEntries(let start, let limit):
      let page = host.peering.bookEntries(from: start, limit: limit)
      outputs.append(.answer(id, .bookEntries(page.entries, next: page.next)))
    case .find(let sought): find(sought, id, now, &outputs)
    case .operate(let command): tell(.command(.operate(OperationID(rawValue: id.rawValue), command)), now, &outputs)
    case .chain:
      let info = ChainInfo(
        chainID: genesis.chainID, genesis: chain.genesis, head: chain.head, authorities: genesis.authorities,
        blockTime: genesis.blockTime, finalHeight: chain.finalHeight, limits: genesis.limits)
      outputs.append(.answer(id, .chain(info)))
    case .latestBlock: read(.userBlockAt(chain.head.height), for: .user(id), &outputs)
    case .block(let hash): read(.userBlock(hash, bytes: chain.recentBlockBytes(hash)), for: .user(id), &outputs)
    case .blockAt(let height): read(.userBlockAt(height), for: .user(id), &outputs)
    case .transaction(let hash):
      if let info = chain.mempool[hash] {
        outputs.append(.answer(id, .transaction(hash, .pending(info))))
      } else {
        read(.userTransaction(hash), for: .user(id), &outputs)
      }
    case .account(let address):
      let account = chain.ledger.account(address, in: chain.tipState, crypto: crypto)
      let next = chain.mempool.nextNonce(of: address, confirmed: account.nonce)
      outputs.append(.answer(id, .account(address, account, nextNonce: next)))
    case .submit(let bytes):
      guard sync.state.isCaughtUp else {
        return outputs.append(.answer(id, .unavailable("the node is catching up: \(health(now: now).reason)")))
      }
      if let fault = chain.statistics.storeFault { return outputs.append(.answer(id, .notDurable(fault, isPending: false))) }
      run(chain: .transactionReceived(bytes, .local, makeToken(.user(id))), now, &outputs)
    case .statistics: outputs.append(.answer(id, .statistics(statistics(now))))
    }
  }

  private func bookSummary(_ now: Instant) -> BookSummary {
    if let (book, until) = bookKept, now < until { return book }
    let book = host.peering.bookSummary()
    bookKept = (book, now + .seconds(2))
    return book
  }

  /// The node's own description.
  public func info(_ now: Instant) -> NodeInfo {
    let health = health(now: now)
    return NodeInfo(
      peerID: host.peerID, network: configuration.host.network, chainID: genesis.chainID, nodeType: configuration.nodeType,
      addresses: host.listenAddresses, advertisedAddresses: host.advertisedAddresses, head: chain.head, peers: host.peering.counts.active,
      pendingTransactions: chain.mempool.count, uptime: now - started, health: health,
      healthReason: reason(health, now), sync: sync.state, warnings: warnings(health, now), production: chain.production(now: now),
      clock: clockComparison, time: clock.time(at: now))
  }

  /// Why the node does as it does, with the cause as far as it is known.
  private func reason(_ health: Health, _ now: Instant) -> String {
    switch health {
    case .isolated: "no peer is connected: \(host.peering.whyAlone(now: now))\(strangers(now))"
    case .stalled: "\(health.reason): \(whyStill(now))"
    case .starting, .syncing: health.reason + (clockWarning.map { "; \($0)" } ?? "")
    case .healthy, .storeFailing, .wrongClock, .forked: health.reason
    }
  }

  /// Who was refused of late for being of another network: a node that is only dialled finds its own mistake in it.
  private func strangers(_ now: Instant) -> String {
    guard let (mismatch, at) = latestMismatch, now - at < .seconds(600) else { return "" }
    return "; a peer was refused \(Int((now - at).seconds)) s ago for its \(mismatch)"
  }

  /// The peers of which something is kept that ends with their link. For checks: without a link nobody is among them. O(peers).
  public var keptOfPeers: Set<PeerID> {
    Set(statuses.keys).union(heightsTold.keys).union(producerMarks.keys).union(peerClocks.peers).union(forks.peers)
  }

  private func warnings(_ health: Health, _ now: Instant) -> [String] {
    var warnings = host.peering.warnings(now: now)
    if let twin = twinWarning(now) { warnings.append(twin) }
    if let clockWarning { warnings.append(clockWarning) }
    if let production = chain.production(now: now), let obstacle = production.obstacle, obstacle != .catchingUp {
      warnings.append("this node is a producer: \(production.words(at: clock.time(at: now)))")
    }
    return warnings
  }

  /// The links.
  public func peers(_ now: Instant) -> [PeerStatus] {
    host.peering.links(now: now).map { link in
      PeerStatus(
        link: link, height: link.peer.flatMap { statuses[$0]?.height }, heightAge: link.peer.flatMap { heightsTold[$0] }.map { now - $0 },
        nodeType: link.peer.flatMap { statuses[$0]?.nodeType },
        agent: link.peer.flatMap { host.identity(of: $0)?.agent }, age: now - link.since)
    }
  }

  /// Figures for monitoring.
  public func statistics(_ now: Instant) -> NodeStatistics {
    let gossip = host.gossip?.statistics
    return NodeStatistics(
      peering: host.peering.counts, chain: chain.statistics, height: chain.head.height, target: sync.target,
      headAge: max(.zero, clock.time(at: now) - chain.head.time), health: health(now: now), messagesReceived: gossip?.messagesReceived ?? 0,
      duplicates: gossip?.duplicates ?? 0, rejected: gossip?.rejected ?? 0, published: gossip?.messagesPublished ?? 0,
      gossipBytesIn: gossip?.bytesIn ?? 0, gossipBytesOut: gossip?.bytesOut ?? 0, blocksAnnounced: counters.blocksAnnounced,
      blocksApplied: counters.blocksApplied,
      reorganisations: counters.reorganisations, transactionsAccepted: counters.transactionsAccepted,
      blocksRefused: counters.blocksRefused, ownBlocksReplaced: counters.ownBlocksReplaced, production: chain.production(now: now),
      clock: clockComparison,
      reasons: host.peering.reasonCounts,
      streamRefusals: host.streamRefusals, webFaults: host.webFaults, connectionsNotAccepted: host.connectionsNotAccepted,
      requestBytes: host.memory.used,
      kademlia: host.kademlia?.statistics ?? .init())
  }
}
