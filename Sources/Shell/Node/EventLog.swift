import Discovery
import EventLoop
import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Store
import Sync
import Wire

/// Writes a node's events as log lines, one each.
struct EventLog: Sendable {
  let logger: Logger
  private let refusals = RefusalTally()
  /// A wrong clock lasts, and has a refusal from every peer for every block.
  private let early = RefusalTally(period: .seconds(60), writtenMaximum: 3)
  private let standing = StandingTally()

  init(logger: Logger) { self.logger = logger }

  func started(_ peer: PeerID, http: String?) {
    logger.info("node", "started", ["version": .text(Node.version), "peer": .text(peer.description), "http": .text(http ?? "off")])
  }

  func variablesIgnored(_ names: [String]) {
    guard !names.isEmpty else { return }
    logger.info(
      "node", "ignored variables of Kubernetes' service links, which are not settings", ["ignored": .text(names.joined(separator: " "))])
  }

  func reloaded(_ changes: Reload) {
    if changes.applied.isEmpty && changes.waiting.isEmpty {
      return logger.info("node", "the configuration was read again; nothing has changed")
    }
    logger.log(
      changes.waiting.isEmpty ? .info : .warning, "node",
      changes.waiting.isEmpty ? "the configuration was read again" : "the configuration was read again; some of it waits for a restart",
      [
        "applied": .text(changes.applied.joined(separator: " ")), "waiting": .text(changes.waiting.joined(separator: " ")),
      ])
  }

  func loaded(_ peers: Int) { logger.info("peers", "Loaded \(peers) persisted peers from database") }
  func attempting(_ dials: Int) {
    logger.info("peers", "Attempting to establish outbound connections", ["attempting_connections": .init(dials)])
  }

  func stopped() { logger.info("node", "stopped") }
  func bookSetAside(_ error: StoreError, as path: String) {
    logger.warning(
      "store", "the peer book cannot be read and was set aside; the node starts with an empty one",
      ["error": .text(error.message), "file": .text(path)])
  }
  func bookWasDamaged(_ damage: JournalStore.Damage, keptAs path: String?) {
    logger.warning(
      "store", "damaged rows of the peer book were skipped, and their last changes are lost; all other rows are kept",
      ["places": .init(damage.places), "bytes": .init(damage.bytes), "kept_as": .text(path ?? "nothing, the file stays as it is")])
  }
  func bookWasTorn(_ bytes: Int) {
    logger.warning("store", "the end of the peer book was not written whole and is dropped", ["bytes": .init(bytes)])
  }
  func bookFailed(_ error: StoreError) {
    logger.error(
      "store", "the peer book was not written; what changed since is tried again, and lost if the node stops first",
      ["error": .text(error.message)])
  }
  func bookRecovered() { logger.info("store", "the peer book is written again; nothing is missing in it") }
  func keyIsExposed(_ what: String, _ path: String) {
    logger.warning("node", "others can read \(what), and act in this node's name; give the file mode 0600", ["file": .text(path)])
  }
  func apiIsExposed(_ address: String) {
    logger.warning(
      "node", "other machines can reach the HTTP API: anyone who does may read, and tokens travel in plain text; put TLS in front of it",
      ["http_bind": .text(address)])
  }
  func tokenIsExposed(_ path: String) {
    logger.warning("node", "others can read the admin token; give the file mode 0600", ["file": .text(path)])
  }

  func write(_ event: NodeEvent) {
    switch event {
    case .host(let event): write(event)
    case .chain(let event): write(event)
    case .newHead(let head, let depth):
      logger.info(
        "chain", depth > 0 ? "new head after a reorganisation" : "new head",
        ["height": .init(head.height), "hash": .init(head.hash), "reorg": .init(depth)])
    case .sync(let state):
      let isNews = standing.note(state, Platform.now)
      logger.log(isNews ? .info : .debug, "sync", "state", ["state": .text(state.words)])
    case .mismatch(let peer, let mismatch):
      logger.warning("peers", "refused a peer of another network", ["peer": .init(peer), "why": .text(mismatch.description)])
    case .refusedBy(let peer, let reason):
      logger.warning("peers", "a peer refused this node", ["peer": .init(peer), "why": .text(reason.quoted)])
    case .blockAccepted(let hash, let peer):
      logger.debug("chain", "accepted a block", ["hash": .init(hash), "from": .init(peer, else: "this node")])
    case .transactionAccepted(let id, let peer):
      logger.debug("chain", "accepted a transaction", ["id": .init(id), "from": .init(peer, else: "this node")])
    case .fetchFailed(let peer, let failure):
      logger.info("sync", "a peer did not deliver blocks", ["peer": .init(peer), "why": .text(failure.description)])
    case .claimNotShown(let peer, let height, let failure):
      logger.info(
        "sync", "a peer has not shown the height that it claims",
        ["peer": .init(peer), "claims": .init(height), "why": .text(failure.description)])
    case .forked(let own, let fork):
      logger.error(
        "chain", "forked: peers follow another valid chain, and neither side can follow the other any more; decide which to keep",
        [
          "height": .init(own.height), "hash": .init(own.hash), "their_height": .init(fork.head.height),
          "their_hash": .init(fork.head.hash), "differs_at": .init(fork.base.height), "peers": .init(fork.peers),
        ])
    case .forkEnded: logger.warning("chain", "no longer forked: no peer shows another chain")
    case .stoodStill(let duration, let why):
      logger.info(
        "sync", "no new block: looking for another peer, asking all for heights",
        ["seconds": .init(Int(duration.seconds)), "why": .text(why ?? "no peer is connected")])
    case .producerKeyShared(let peer, let slot):
      logger.warning(
        "chain", "another machine makes blocks with this node's producer key; stop one of the two",
        [
          "peer": .text(peer.description),
          "shown_by": .text(slot.map { "a block for slot \($0), which this node did not seal" } ?? "its status"),
        ])
    case .clock(let comparison, true):
      logger.warning(
        "clock", "this node's clock differs from its peers'; set it by NTP",
        ["what": .text(comparison.words), "ahead_s": .seconds(comparison.ahead), "peers": .init(comparison.clocks)])
    case .clock(let comparison, false):
      logger.info("clock", "this node's clock agrees with its peers'", ["ahead_s": .seconds(comparison.ahead)])
    case .invalidBlock(let peer, let error):
      logger.warning("chain", "a peer sent an invalid block", ["peer": .init(peer), "why": .text(error.description)])
    }
  }

  private func write(_ event: HostCore.Event) {
    switch event {
    case .listening(let addresses):
      logger.info("net", "listening", ["addresses": .text(addresses.map(\.description).joined(separator: " "))])
    case .identified(let peer, let info):
      logger.debug("peers", "identified", ["peer": .init(peer), "agent": .text(info.agent)])
    case .peering(let event): write(event)
    case .discovery(let event): write(event)
    case .notAccepted(let count, let reason):
      logger.warning("net", "connections were not accepted", ["count": .init(count), "why": .text(reason.description)])
    case .mesh(.streamLost(let peer, let why, let wait)):
      if let wait {
        logger.info(
          "gossip", "the stream to a peer ended and is opened again",
          ["peer": .init(peer), "why": .text(why), "in_s": .init(Int(wait.seconds))])
      } else {
        logger.warning(
          "gossip", "nothing is sent to a peer any more: it refuses the stream", ["peer": .init(peer), "why": .text(why)])
      }
    default: break
    }
  }

  private func write(_ event: DiscoveryEvent) {
    switch event {
    case .nameResolved(let name, let count):
      logger.info("discovery", "looked up a name", ["name": .text(name.description), "addresses": .init(count)])
    case .webPeerActive(let address): logger.info("discovery", "an HTTP peer answers", ["url": .text(address.description)])
    case .webPeerInactive(let address, let why):
      logger.info("discovery", "an HTTP peer no longer answers", ["url": .text(address.description), "why": .text(why.description)])
    case .webPeerRefused(let address, let why):
      logger.debug("discovery", "an HTTP peer was not added", ["url": .text(address.description), "why": .text(why.description)])
    case .addressConfirmed, .addressSuspected, .portMapped: logger.info("discovery", event.description)
    case .addressWithdrawn, .portMappingFailed: logger.warning("discovery", event.description)
    case .peerListReceived(let peer, let count):
      logger.info("peers", "Received peer list from peer", ["peer": .init(peer), "peer_count": .init(count)])
    case .localFailed(let why): logger.warning("discovery", "the local network cannot be searched", ["why": .text(why)])
    case .nameFailed(let name, let why):
      logger.warning("discovery", "a DNS name gave no address", ["name": .text(name.description), "why": .text(why)])
    }
  }

  private func write(_ event: PeeringEvent) {
    switch event {
    case .peerActive(_, let peer, .outbound):
      logger.info("peers", "Successfully established outbound connection", ["peer": .init(peer)])
    case .peerActive(_, let peer, .inbound): logger.info("peers", "Accepted inbound connection", ["peer": .init(peer)])
    case .linkClosed(_, let peer, let reason, let closer):
      // Of two links to a peer one goes; that is no news.
      logger.log(
        reason.code == .duplicate ? .debug : .info, "peers", "gone",
        [
          "peer": .init(peer), "by": .text(closer.rawValue),
          "why": .text(closer == .remote ? reason.quoted : reason.description),
        ])
    case .refused(_, let address, let reason):
      let (isWritten, others) = refusals.note(reason.code.description, Platform.now)
      if let others { logger.warning("peers", "refused more", ["count": .init(others.count), "why": .text(others.reasons)]) }
      if isWritten { logger.info("peers", "refused", ["address": .text(address.description), "why": .text(reason.description)]) }
    case .dialFailed(_, let peer, let address, let failure, let retry):
      logger.info(
        "peers", "dial failed",
        [
          "peer": .init(peer, else: "?"), "address": .text(address.description), "why": .text(failure.description),
          "retry_s": .init(Int(retry.seconds.rounded(.up))),
        ])
    case .banned(let subject, let duration, let why):
      logger.warning(
        "peers", "banned",
        [
          "who": .init(event.peer, else: subject.description), "for_s": duration.map { .init(Int($0.seconds)) } ?? "until lifted",
          "why": .text(why),
        ])
    case .offence(let peer, let offence, let score, let detail):
      logger.info(
        "peers", "offence",
        ["peer": .init(peer), "what": .text(offence.rawValue), "for": .text(detail), "score": .number((score * 10).rounded() / 10)])
    case .ownFault(let silent, let all):
      logger.warning(
        "peers", "most peers are silent or late: the fault is probably in this node's own network",
        ["silent": .init(silent), "of": .init(all)])
    case .anotherAnswered(let peer, let address, let other):
      logger.warning(
        "peers", "another peer answers at a configured address; check the PeerID in the configuration, or who listens there",
        ["peer": .text(peer.description), "address": .text(address.description), "answered": .text(other.description)])
    case .dialRefused(let peer, let address, let reason):
      logger.log(
        reason.code == .selfConnection ? .info : .warning, "peers", "not dialled",
        ["peer": .init(peer, else: "?"), "address": .text(address.description), "why": .text(reason.description)])
    case .identityShared(let peer, let address, let evidence):
      logger.warning(
        "peers", "two machines use one key; give each a key of its own",
        [
          "peer": .text(peer.description), "address": .text(address?.description ?? "?"), "why": .text(evidence.words),
        ])
    case .bookRowUnreadable: logger.warning("peers", "a row of the peer book cannot be read and is removed")
    case .dialling(_, let peer, let address, let cause):
      logger.debug(
        "peers", "dialling",
        ["peer": .init(peer, else: "?"), "address": .text(address.description), "why": .text(cause.rawValue)])
    case .unbanned(let subject):
      logger.info("peers", "a ban ended", ["who": .init(event.peer, else: subject.description)])
    case .trusted(let peer, let isTrusted):
      logger.warning("peers", isTrusted ? "trusted by an operator" : "no longer trusted", ["peer": .init(peer)])
    case .mustKeep(let peer, let address, let isKept):
      logger.warning(
        "peers", isKept ? "kept by an operator" : "no longer kept",
        ["peer": .init(peer, else: "?"), "address": .text(address?.description ?? "")])
    case .seedsAsked(let cause): logger.info("peers", "asking seeds", ["why": .text(cause.rawValue)])
    case .selfConnection(let address): logger.info("peers", "this node reached itself", ["address": .text(address.description)])
    default: logger.debug("peers", event.sentence, event.peer.map { ["peer": .init($0)] } ?? [:])
    }
  }

  private func write(_ event: ChainEvent) {
    switch event {
    case .blockProduced(let hash, let height, let slot, let transactions):
      logger.info(
        "chain", "produced a block",
        ["height": .init(height), "slot": .init(slot), "hash": .init(hash), "transactions": .init(transactions)])
    case .reorganised(let depth, let from, let to):
      logger.warning("chain", "reorganised", ["depth": .init(depth), "from": .init(from), "to": .init(to)])
    case .doubleSeal: logger.warning("chain", "an authority sealed two blocks for one slot")
    case .storeFailed(let error, let retry):
      logger.error(
        "store", "a batch was not written to the store; it is tried again",
        ["error": .text(error.description), "retry_s": .init(Int(retry.seconds))])
    case .workRefused(let retry):
      logger.warning("chain", "the threads that verify and write are behind", ["retry_ms": .init(Int(retry.milliseconds))])
    case .productionChanged(let status):
      let last: LogValue = status.last.map { .init($0.slot) } ?? "none"
      let next: LogValue = status.next.map { .init($0.slot) } ?? "none"
      guard let obstacle = status.obstacle else {
        return logger.info("chain", "this producer makes blocks", ["last_slot": last, "next_slot": next])
      }
      logger.log(
        obstacle == .catchingUp ? .info : .warning, "chain", "this producer makes no blocks",
        ["last_slot": last, "next_slot": next, "why": .text(obstacle.words(at: Platform.wallTime))])
    case .ownBlockReplaced(let hash, let height, let slot):
      logger.warning(
        "chain", "a block of this node was replaced by another branch",
        ["height": .init(height), "slot": .init(slot), "hash": .init(hash)])
    case .blockAhead(let producer, let slot, let ahead, let peer):
      let (isWritten, others) = early.note("\(producer.short)", Platform.now)
      if let others { logger.warning("chain", "refused more blocks from the future", ["count": .init(others.count)]) }
      if isWritten {
        logger.warning(
          "chain", "a block from the future is refused; its producer's clock is ahead, or this node's behind",
          [
            "producer": .text(producer.hex), "slot": .init(slot), "ahead_s": .seconds(ahead), "from": .init(peer, else: "a user"),
          ])
      }
    case .ownBlockRefused(let error): logger.error("chain", "this node's own block was refused", ["why": .text(error.description)])
    case .ownBlockLost(let verdict): logger.error("chain", "this node's own block was not taken", ["why": .text(verdict.description)])
    case .blockApplied(let hash, let height, let transactions):
      logger.debug("chain", "applied a block", ["height": .init(height), "hash": .init(hash), "transactions": .init(transactions)])
    case .sideBlockKept(let hash, let height):
      logger.debug("chain", "kept a block beside the chain", ["height": .init(height), "hash": .init(hash)])
    case .transactionsDropped(let count, let reason):
      logger.debug("chain", "dropped pending transactions", ["count": .init(count), "why": .text(reason.rawValue)])
    case .sealedElsewhere(let slot, let peer):
      logger.debug(
        "chain", "saw a block of this node's producer that this node did not make", ["slot": .init(slot), "from": .init(peer)])
    }
  }
}
