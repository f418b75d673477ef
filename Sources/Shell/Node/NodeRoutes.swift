import Foundation
import HTTPAPI
import HostCore
import Identity
import Ledger
import Metrics
import NodeCore
import Wire

/// The node's HTTP routes: each is a question to the root machine and a translation of its answer.
enum NodeRoutes {
  static func make(for node: Node) -> Router {
    var router = Router()
    let prefix = "/api/v1"
    func route(_ path: String, mayBeLong: Bool = false, _ query: @escaping @Sendable (HTTPRequest) throws(HTTPError) -> Query) {
      router.get(prefix + path, mayBeLong: mayBeLong) { request, responder in
        ask(node, responder) { () throws(HTTPError) in try query(request) }
      }
    }
    route("/node/info") { _ in .info }
    route("/node/peers") { _ in .peers }
    route("/chain/info") { _ in .chain }
    route("/block/latest", mayBeLong: true) { _ in .latestBlock }
    route("/block/height/{height}", mayBeLong: true) { request throws(HTTPError) in .blockAt(try request.number("height")) }
    route("/block/{hash}", mayBeLong: true) { request throws(HTTPError) in .block(try hash(request)) }
    route("/transaction/{hash}") { request throws(HTTPError) in .transaction(try hash(request)) }
    route("/account/{address}") { request throws(HTTPError) in .account(try address(request)) }
    router.get(prefix + "/node/health") { _, responder in
      node.ask(.info) { answer in
        guard case .info(let info) = answer else { return respond(responder, answer) }
        var response = HealthResponse(info.health)
        response.reason = info.healthReason
        let warnings = info.warnings + [node.bookWarning].compactMap { $0 }
        response.warnings = warnings.isEmpty ? nil : warnings
        // Load balancers look at the status alone.
        responder.respond(.success(response, status: info.health == .healthy ? 200 : 503))
      }
    }
    router.post(prefix + "/transaction") { request, responder in
      ask(node, responder) { () throws(HTTPError) in
        let body: SubmitRequest = try request.decode()
        guard let bytes = Base16.decode(body.transaction) else {
          throw HTTPError(400, "bad_transaction", "\"transaction\" must be the encoded transaction in hexadecimal digits")
        }
        return .submit(bytes)
      }
    }
    WebPeerRoutes.add(to: &router, for: node)
    OperatorRoutes.add(to: &router, for: node)
    let metrics = NodeMetrics(
      memory: { [weak node] in node?.linkMemory ?? .init(limit: 0) }, http: { [weak node] in node?.httpUse ?? .init() },
      droppedLines: { [weak node] in node?.droppedLogLines ?? 0 })
    router.get("/metrics", cost: 10) { _, responder in
      node.ask(.statistics) { answer in
        guard case .statistics(let statistics) = answer else { return respond(responder, answer) }
        responder.respond(.text(metrics.render(statistics), contentType: MetricsRegistry.contentType))
      }
    }
    return router
  }

  /// The body of a submission.
  struct SubmitRequest: Codable {
    /// The encoded transaction in hexadecimal digits.
    var transaction: String
  }

  static func ask(_ node: Node, _ responder: HTTPResponder, _ query: () throws(HTTPError) -> Query) {
    do throws(HTTPError) {
      node.ask(try query()) { respond(responder, $0) }
    } catch {
      responder.failure(error)
    }
  }

  private static func hash(_ request: HTTPRequest) throws(HTTPError) -> Hash256 {
    guard let hash = Hash256(hex: request.parameters["hash"] ?? "") else {
      throw HTTPError(400, "bad_hash", "a hash has 64 hexadecimal digits")
    }
    return hash
  }

  private static func address(_ request: HTTPRequest) throws(HTTPError) -> Address {
    guard let address = Address(hex: request.parameters["address"] ?? "") else {
      throw HTTPError(400, "bad_address", "an address has 64 hexadecimal digits")
    }
    return address
  }

  // MARK: Answers

  static func respond(_ responder: HTTPResponder, _ answer: Answer) {
    switch answer {
    case .info(let info): responder.success(NodeInfoResponse(info))
    case .peers(let peers): responder.success(PeersResponse(peers: peers.map { PeersResponse.Peer($0) }))
    case .webPeers: failed(responder, "HTTP peers are served by /peers")
    case .dials(let dials): responder.success(DialsResponse(dials))
    case .story(let story): responder.success(StoryResponse(story))
    case .rules(let rules): responder.success(RulesResponse(rules))
    case .book(let summary): responder.success(BookResponse(summary))
    case .bookEntries(let entries, let next): responder.success(BookEntriesResponse(entries, next: next))
    case .found(let findings): responder.success(FindingsResponse(findings))
    case .operated(let answer): OperatorRoutes.respond(responder, answer)
    case .peersNamed: failed(responder, "names are looked up by the routes that take them")
    case .chain(let chain): responder.success(ChainInfoResponse(chain))
    case .block(let hash, let block): responder.respond(BlockBody.response(hash, block))
    case .transaction(let hash, let status):
      guard let response = TransactionResponse(hash, status) else { return failed(responder, "a stored transaction cannot be read") }
      responder.success(response)
    case .account(let address, let account, let next):
      responder.success(
        AccountResponse(address: address.hex, balance: account.balance.units, nonce: account.nonce, nextNonce: next))
    case .submitted(let hash): responder.success(SubmittedResponse(transactionHash: hash.hex))
    case .statistics: failed(responder, "figures are served by /metrics")
    case .notFound: responder.failure(HTTPError(404, "not_found", "this node does not have it"))
    case .notStored(let error):
      responder.failure(
        HTTPError(
          507, "not_stored",
          "in force, but not stored yet: \(error.message); the node keeps trying, and a restart before that loses it"))
    case .notDurable(let error, let isPending):
      let what =
        isPending
        ? "the transaction is pending, but not stored yet: the node keeps trying, and a restart before that loses it"
        : "the transaction was not taken"
      responder.failure(HTTPError(507, "not_stored", "\(what): \(error.message)"))
    case .unavailable(let why): responder.failure(HTTPError(503, "unavailable", why))
    case .refused(let why): responder.failure(HTTPError(400, "refused", why))
    case .failed(let why): failed(responder, why)
    }
  }

  private static func failed(_ responder: HTTPResponder, _ why: String) { responder.failure(HTTPError(500, "failed", why)) }
}

extension HealthResponse {
  init(_ health: Health) {
    let status: Status =
      switch health {
      case .healthy: .healthy
      case .isolated: .isolated
      case .starting, .syncing: .syncing
      case .stalled: .stalled
      case .forked: .forked
      case .storeFailing: .disk
      case .wrongClock: .clock
      }
    self.init(status: status, reason: health.reason)
    guard case .forked(let own, let fork) = health else { return }
    self.fork = Fork(
      height: own.height, head: own.hash.hex, otherHeight: fork.head.height, otherHead: fork.head.hash.hex, differsAt: fork.base.height,
      peers: fork.peers)
  }
}

extension NodeInfoResponse {
  init(_ info: NodeInfo) {
    self.init(
      version: Node.version, peerID: info.peerID.description, network: info.network, chainID: info.chainID, nodeType: info.nodeType,
      addresses: info.addresses.map { $0.withPeerID(info.peerID).description }, height: info.head.height, head: info.head.hash.hex,
      peers: info.peers, mempool: info.pendingTransactions, uptimeSeconds: UInt64(max(0, info.uptime.seconds)), health: info.health.status,
      clock: info.clock.map { Clock(aheadSeconds: $0.ahead.seconds, uncertaintySeconds: $0.uncertainty.seconds, peers: $0.clocks) },
      production: info.production.map { production in
        func turn(_ turn: ProductionStatus.Turn?) -> Turn? { turn.map { Turn(slot: $0.slot, time: $0.time.milliseconds) } }
        return Production(
          last: turn(production.last), next: turn(production.next), obstacle: production.obstacle?.kind,
          words: production.words(at: info.time))
      })
  }
}

extension PeersResponse.Peer {
  init(_ peer: PeerStatus) {
    self.init(
      peerID: peer.link.peer?.description, address: peer.link.address.description, direction: peer.link.direction.rawValue,
      state: peer.link.state.rawValue, height: peer.height, heightSeconds: peer.heightAge.map { UInt64(max(0, $0.seconds)) },
      rttMilliseconds: peer.link.roundTrip?.milliseconds,
      connectedSeconds: UInt64(max(0, peer.age.seconds)), score: peer.link.score, role: peer.link.role.rawValue,
      trusted: peer.link.isTrusted, netgroup: peer.link.group?.description, reason: peer.link.cause.rawValue, agent: peer.agent)
  }
}

extension ChainInfoResponse {
  init(_ chain: ChainInfo) {
    self.init(
      height: chain.head.height, head: chain.head.hash.hex, genesisHash: chain.genesis.hex, stateRoot: chain.head.stateRoot.hex,
      authorities: chain.authorities.map(\.hex), blockTimeMilliseconds: UInt64(max(0, chain.blockTime.milliseconds)),
      minimumFee: chain.limits.minimumFee.units, stateByteFee: chain.limits.stateByteFee.units)
  }
}

extension BlockResponse {
  init(_ hash: Hash256, _ block: Block) {
    let header = block.header
    self.init(
      hash: hash.hex, height: header.height, parent: header.parent.hex, time: header.time.milliseconds,
      transactionRoot: header.transactionRoot.hex, stateRoot: header.stateRoot.hex, producer: header.producer.hex,
      seal: Base16.encode(header.seal),
      transactions: block.transactions.indices.compactMap { TransactionResponse(block, at: $0, of: hash) })
  }
}

extension TransactionResponse {
  /// `nil` when the bytes are not a transaction of the reference ledger.
  init?(_ hash: Hash256, _ status: TransactionStatus) {
    guard let transaction = try? Transaction(encoded: status.bytes.rawSpan) else { return nil }
    var height: UInt64?
    var index: Int?
    if case .confirmed(_, let confirmedHeight, let position, _) = status {
      height = confirmedHeight
      index = position
    }
    let payload: Payload =
      switch transaction.payload {
      case .transfer(let to, let amount): Payload(kind: "transfer", to: to.hex, amount: amount.units)
      case .setData(let key, let value): Payload(kind: "set_data", key: Base16.encode(key), value: Base16.encode(value))
      case .deleteData(let key): Payload(kind: "delete_data", key: Base16.encode(key))
      }
    self.init(
      hash: hash.hex, status: height == nil ? .pending : .confirmed, height: height, index: index, sender: transaction.sender.hex,
      nonce: transaction.nonce, fee: transaction.fee.units, payload: payload)
  }
}
