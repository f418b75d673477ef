import HTTPAPI
import Identity
import NodeCore
import Peering
import Wire

/// The routes by which operators look after peers (`Docs/http-api.md`). Those that change something need the admin token.
enum OperatorRoutes {
  static func add(to router: inout Router, for node: Node) {
    let prefix = "/api/v1/node"
    // Looked up in what is at hand, but in all of it.
    router.get(prefix + "/peers/{peer}/explain", cost: 20) { request, responder in
      let text = request.parameters["peer"] ?? ""
      // No name of a peer has one of these.
      guard text.contains(where: { "/:".contains($0) }) else { return withPeer(text, node, responder) { .explain($0) } }
      NodeRoutes.ask(node, responder) { () throws(HTTPError) in
        let item = try address(text)
        return .explainAddress(item.peer.map { item.address.withPeerID($0) } ?? item.address)
      }
    }
    for (path, query) in [("/rules", Query.rules), ("/book", .book), ("/dials", .dials)] {
      router.get(prefix + path, cost: 20) { _, responder in NodeRoutes.ask(node, responder) { () throws(HTTPError) in query } }
    }
    router.get(prefix + "/book/entries", cost: 40) { request, responder in
      NodeRoutes.ask(node, responder) { () throws(HTTPError) in
        .bookEntries(
          from: try request.number(query: "from", fallback: 0, in: 0...Int.max),
          limit: try request.number(query: "limit", fallback: 100, in: 1...1_000))
      }
    }
    // A search makes the node send requests to many peers, so that not everybody may begin one.
    router.on("GET", prefix + "/find/peers/{peer}", access: .admin) { request, responder in
      withPeer(request.parameters["peer"] ?? "", node, responder) { .find(.peer($0)) }
    }
    router.on("GET", prefix + "/find/services/{service}", access: .admin) { request, responder in
      NodeRoutes.ask(node, responder) { () throws(HTTPError) in
        let name = request.parameters["service"] ?? ""
        if let fault = Checks.networkName(name) { throw HTTPError(400, "bad_service", "a service's name \(fault)") }
        return .find(.service(name))
      }
    }
    func command(_ method: String, _ path: String, _ make: @escaping @Sendable (HTTPRequest) throws(HTTPError) -> Wanted) {
      router.on(method, prefix + path, access: .admin) { request, responder in
        do throws(HTTPError) {
          switch try make(request) {
          case .ready(let command): node.ask(.operate(command)) { NodeRoutes.respond(responder, $0) }
          case .peer(let text, let make): withPeer(text, node, responder) { .operate(make($0)) }
          }
        } catch {
          responder.failure(error)
        }
      }
    }
    command("POST", "/peers") { request throws(HTTPError) in
      let body = try request.decode(AddPeerRequest.self, keys: AddPeerRequest.keys)
      return .ready(.add(try address(body.address), keep: body.keep ?? false))
    }
    command("DELETE", "/peers/{peer}") { request throws(HTTPError) in
      let text = request.parameters["peer"] ?? ""
      if text.hasPrefix("/") { return .ready(.dropAddress(try multiaddr(text))) }
      return .peer(text) { .drop($0) }
    }
    command("POST", "/bans", ban)
    command("DELETE", "/bans/{subject}") { request throws(HTTPError) in
      try subject(request.parameters["subject"] ?? "") { .unban($0) }
    }
    command("POST", "/trusted") { request throws(HTTPError) in
      .peer(try request.decode(TrustRequest.self, keys: TrustRequest.keys).peer) { .trust($0) }
    }
    command("DELETE", "/trusted/{peer}") { request throws(HTTPError) in .peer(request.parameters["peer"] ?? "") { .distrust($0) } }
    command("POST", "/book", importBook)
  }

  /// A command, or what it lacks: the peer that a text means.
  private enum Wanted {
    case ready(OperatorCommand)
    case peer(String, @Sendable (PeerID) -> OperatorCommand)
  }

  /// Finds the peer that a text means, then asks.
  private static func withPeer(
    _ text: String, _ node: Node, _ responder: HTTPResponder, _ query: @escaping @Sendable (PeerID) -> Query
  ) {
    // The beginning of a name may be, by chance, the text of a shorter one that no key has.
    if text.utf8.count >= nameCharactersMinimum, let peer = try? PeerID(text: text) {
      return node.ask(query(peer)) { NodeRoutes.respond(responder, $0) }
    }
    guard !text.isEmpty, text.utf8.count <= 128 else {
      responder.failure(HTTPError(400, "bad_peer_id", "name a peer by its PeerID, or the beginning of one"))
      return
    }
    node.ask(.peersNamed(text)) { answer in
      guard case .peersNamed(let peers) = answer else { return NodeRoutes.respond(responder, answer) }
      switch peers.count {
      case 0:
        responder.failure(
          HTTPError(
            404, "unknown_peer", "no peer that is linked or was seen lately has a PeerID that begins with '\(text)'; give the whole PeerID")
        )
      case 1: node.ask(query(peers[0])) { NodeRoutes.respond(responder, $0) }
      default:
        let names = peers.map(\.description).joined(separator: ", ")
        responder.failure(HTTPError(409, "ambiguous_peer", "'\(text)' matches several peers: \(names)"))
      }
    }
  }

  /// A whole PeerID has 46 characters or more: it is a SHA-256 multihash, or a key of 32 bytes or more.
  private static let nameCharactersMinimum = 46

  // MARK: Bodies

  private static func address(_ text: String) throws(HTTPError) -> PeerAddress {
    do throws(IdentityError) { return try PeerAddress(dialling: text) } catch {
      throw HTTPError(400, "bad_address", error.description)
    }
  }

  private static func multiaddr(_ text: String) throws(HTTPError) -> Multiaddr {
    do throws(IdentityError) { return try Multiaddr(text) } catch { throw HTTPError(400, "bad_address", error.description) }
  }

  private static func subject(
    _ text: String, _ make: @escaping @Sendable (BanSubject) -> OperatorCommand
  ) throws(HTTPError) -> Wanted {
    guard text.contains(where: { ".:/".contains($0) }) else { return .peer(text) { make(.peer($0)) } }
    guard let network = IPNetwork(text) else {
      throw HTTPError(400, "bad_subject", "name a peer by its PeerID, an IP address, or a network such as 203.0.113.0/24")
    }
    return .ready(make(.network(network)))
  }

  private static func ban(_ request: HTTPRequest) throws(HTTPError) -> Wanted {
    let body = try request.decode(BanRequest.self, keys: BanRequest.keys)
    if let seconds = body.seconds, !(1...secondsMaximum).contains(seconds) {
      throw HTTPError(400, "bad_seconds", "seconds must be from 1 to \(secondsMaximum), or absent for a ban until it is lifted")
    }
    let reason = body.reason ?? "banned by an operator"
    guard reason.utf8.count <= BanRequest.reasonBytesMaximum else {
      throw HTTPError(400, "bad_reason", "the reason must have \(BanRequest.reasonBytesMaximum) bytes at most")
    }
    let duration = body.seconds.map { Duration.seconds($0) }
    return try subject(body.subject) { .ban($0, for: duration, reason) }
  }

  private static func importBook(_ request: HTTPRequest) throws(HTTPError) -> Wanted {
    let body = try request.decode(ImportRequest.self, keys: ImportRequest.keys)
    guard body.entries.count <= ImportRequest.entriesMaximum else {
      throw HTTPError(400, "too_many_entries", "at most \(ImportRequest.entriesMaximum) entries at a time")
    }
    var items: [PeerAddress] = []
    for (index, entry) in body.entries.enumerated() {
      do throws(IdentityError) {
        let peer = try entry.peer.map { text throws(IdentityError) in try PeerID(text: text) }
        let address = try Multiaddr(entry.address)
        if let peer, let named = address.peerID, named != peer {
          throw .badMultiaddr("the address ends in /p2p/\(named), and the entry's peer is \(peer)")
        }
        items.append(PeerAddress(peer: peer, address: address))
      } catch {
        throw HTTPError(400, "bad_entry", "entry \(index + 1): \(error.description)")
      }
    }
    return .ready(.importBook(items))
  }

  /// Ten years.
  private static let secondsMaximum = 10 * 365 * 86_400

  // MARK: Answers

  static func respond(_ responder: HTTPResponder, _ answer: OperatorAnswer) {
    switch answer {
    case .linked(let id): responder.success(OperationResponse(result: "linked", connection: "\(id)"))
    case .dialling(let id): responder.success(OperationResponse(result: "dialling", connection: "\(id)"), status: 202)
    case .waiting(let reason): responder.success(OperationResponse(result: "waiting", reason: reason.description), status: 202)
    case .dropped(let links, let wasMustKeep):
      responder.success(OperationResponse(result: "dropped", links: links, wasMustKeep: wasMustKeep))
    case .banned(let links, let endedTrust): responder.success(OperationResponse(result: "banned", links: links, endedTrust: endedTrust))
    case .unbanned: responder.success(OperationResponse(result: "unbanned"))
    case .trusted(let liftedBan): responder.success(OperationResponse(result: "trusted", liftedBan: liftedBan))
    case .distrusted: responder.success(OperationResponse(result: "distrusted"))
    case .imported(let added, let known, let refused):
      responder.success(OperationResponse(result: "imported", added: added, known: known, refused: refused))
    case .refused(let refusal): responder.failure(HTTPError(status(refusal), refusal.code, refusal.description))
    }
  }

  private static func status(_ refusal: OperatorRefusal) -> Int {
    switch refusal {
    case .isSelf: 400
    case .unknown, .notBanned, .notTrusted: 404
    case .notDialled, .listFull: 409
    case .stopping: 503
    }
  }
}

extension StoryResponse {
  init(_ story: PeerStory) {
    self.init(
      peerID: story.peer?.description, address: story.address?.description, present: story.present,
      steps: story.steps.map { step in
        Step(
          time: step.time.milliseconds, kind: step.event.kind, reason: step.event.reasonName,
          connection: step.event.connection.map { "\($0)" }, address: step.event.address?.description, sentence: step.sentence)
      }, sentences: story.sentences)
  }
}

extension DialsResponse {
  init(_ dials: [DialStatus]) {
    self.init(
      dials: dials.map { dial in
        Dial(
          peerID: dial.peer?.description, addresses: dial.addresses.map(\.description), role: dial.role.rawValue,
          state: dial.state.rawValue,
          detail: dial.detail, nextSeconds: dial.next.map { max(0, $0.seconds) }, failures: dial.failures,
          last: dial.last.map { last in
            Trouble(
              address: last.address.description, reason: last.kind, words: last.words, answered: last.answered?.description,
              secondsAgo: max(0, last.ago.seconds))
          })
      })
  }
}

extension FindingsResponse {
  init(_ findings: Findings) {
    self.init(
      peers: findings.items.map { item in
        Peer(peerID: item.found.peer.description, addresses: item.found.addresses.map(\.description), isLinked: item.isLinked)
      }, isComplete: findings.isComplete)
  }
}

extension RulesResponse {
  init(_ rules: OperatorRules) {
    self.init(
      bans: rules.bans.map { ban in
        let subject =
          switch ban.subject {
          case .peer(let peer): peer.description
          case .network(let network): network.description
          }
        return Ban(subject: subject, until: ban.end?.milliseconds, reason: ban.detail, setBy: ban.isOperators ? "operator" : "score")
      }, trusted: rules.trusted.map(\.description),
      mustKeep: rules.kept.map { item in (item.peer.map { item.address.withPeerID($0) } ?? item.address).description })
  }
}

extension BookResponse {
  /// The figures of a book.
  public init(_ summary: BookSummary) {
    self.init(
      peers: summary.peers, addresses: summary.addresses,
      new: Table(places: summary.new, buckets: summary.newBuckets.all, filledBuckets: summary.newBuckets.filled),
      tried: Table(places: summary.tried, buckets: summary.triedBuckets.all, filledBuckets: summary.triedBuckets.filled),
      waiting: summary.waiting, anchors: summary.anchors.map(\.description), groups: summary.groupCount,
      largestGroups: summary.largestGroups.map { Group(name: $0.group.description, addresses: $0.addresses) })
  }
}

extension BookEntriesResponse {
  /// A page of a book.
  public init(_ entries: [BookEntry], next: Int?) {
    self.init(
      entries: entries.map { entry in
        Entry(
          peer: entry.peer?.description, address: entry.address.description, table: entry.table.map { $0 == .tried ? "tried" : "new" },
          netgroup: entry.group.description, source: entry.source.description, heard: entry.heard?.milliseconds,
          dialled: entry.dialled?.milliseconds, succeeded: entry.succeeded?.milliseconds, failures: entry.failures)
      }, next: next)
  }
}
