import HostCore
import Identity
import Ledger
import Sync
import Wire

/// What is read away from the core's thread, and for whom.
extension NodeCore {
  /// Who waits for a read.
  enum Reading {
    /// A peer's request.
    case peer(PeerID, StreamRef)
    /// A user's question.
    case user(QueryID)
    /// This node, which wants to know what it lacks of a peer's pending transactions.
    case pool(PeerID)
    /// This node, which has an answer with blocks.
    case batch(BatchID, PeerID)
  }

  func read(_ wanted: ReadJob.Wanted, for reading: Reading, _ outputs: inout [Output]) {
    let id = ReadID(rawValue: nextNumber)
    nextNumber += 1
    readings[id] = reading
    outputs.append(.read(id, ReadJob(wanted: wanted, reader: chain.reader, crypto: crypto)))
  }

  /// A read is done, or was refused (`nil`).
  func readDone(_ id: ReadID, _ result: ReadResult?, _ now: Instant, _ outputs: inout [Output]) {
    switch readings.removeValue(forKey: id) {
    case .peer(let peer, let stream):
      serving.done(peer, result?.cost ?? ReadCost(), now: now)
      switch result?.value {
      case .answer(let bytes): tell(.command(.respond(stream, bytes)), now, &outputs)
      case nil: tell(.command(.decline(stream, code: .resourceLimit)), now, &outputs)
      default: tell(.command(.decline(stream)), now, &outputs)
      }
      serveNext(of: peer, now, &outputs)
    case .user(let query): outputs.append(.answer(query, Answer(result)))
    case .pool(let peer): if case .missing(let ids) = result?.value { askForTransactions(ids, of: peer, now, &outputs) }
    case .batch(let batch, let peer):
      switch result?.value {
      case .fetched(let blocks): fetched(batch, peer, blocks, now, &outputs)
      // This node's own want of time: nobody is to blame.
      case nil: fetchFailed(batch, peer, .linkLost, now, &outputs)
      default: fetchFailed(batch, peer, .malformed, now, &outputs)
      }
    case nil: break
    }
  }

  // MARK: Serving peers

  /// Takes a peer's request for blocks or transactions. It costs this thread no more than its own bytes.
  func serve(_ request: InboundRequest, _ wish: PeerWish, _ now: Instant, _ outputs: inout [Output]) {
    serving.add(.init(stream: request.stream, wish: wish), of: request.peer, isWanted: host.awaitsAnswer)
    serveNext(of: request.peer, now, &outputs)
  }

  /// Reads for a peer what is next in its line.
  func serveNext(of peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    let unsent = host.unsentAnswerBytes(of: peer)
    guard let item = serving.next(of: peer, unsent: unsent, now: now, isWanted: host.awaitsAnswer) else { return }
    read(wanted(item.wish, now), for: .peer(peer, item.stream), &outputs)
  }

  private func wanted(_ wish: PeerWish, _ now: Instant) -> ReadJob.Wanted {
    let maximum = configuration.blocksAnswerBytes
    switch wish {
    case .blocks(.range(let from, let count)): return .range(from: from, count: count, maximumBytes: maximum)
    case .blocks(.hash(let hash)): return .block(hash, bytes: chain.recentBlockBytes(hash))
    case .transactions([]): return .pendingIDs(pendingIDs(now))
    case .transactions(let ids):
      var pending: [[UInt8]] = []
      var others: [Hash256] = []
      for id in ids { if let info = chain.mempool[id] { pending.append(info.bytes) } else { others.append(id) } }
      return .transactions(pending: pending, others: others, maximumBytes: maximum)
    }
  }

  /// The IDs of the oldest pending transactions, looked up once a second at most.
  private func pendingIDs(_ now: Instant) -> [Hash256] {
    if let (ids, until) = pendingIDsKept, now < until { return ids }
    let ids = chain.mempool.oldest(Self.transactionsMaximum).map(\.id)
    pendingIDsKept = (ids, now + .seconds(1))
    return ids
  }

  // MARK: Asking peers

  /// Asks a peer for those of its pending transactions that this node lacks.
  func askForTransactions(_ ids: [Hash256], of peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard host.isActive(peer) else { return }
    // In parts, each well within what a peer takes at once.
    for start in stride(from: 0, to: ids.count, by: Self.transactionsAsked) {
      var writer = ProtobufWriter()
      for id in ids[start..<min(ids.count, start + Self.transactionsAsked)] { writer.hash(1, id) }
      ask(.transactions(peer), peer, protocols.transactions, writer.bytes, timeout: .heavy, now, &outputs)
    }
  }

  private static var transactionsAsked: Int { 500 }
}

extension PeerWish {
  /// Reads a request for transactions: the IDs, each once, none for the list of what is pending. What is not an ID names nothing.
  static func transactions(_ payload: RawSpan, maximum: Int) throws(ProtobufError) -> PeerWish {
    .transactions(try hashes(in: payload, maximum: maximum))
  }

  /// The IDs in a list of byte strings, each once.
  static func hashes(in span: RawSpan, maximum: Int) throws(ProtobufError) -> [Hash256] {
    var ids: [Hash256] = []
    var seen: Set<Hash256> = []
    var count = 0
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      guard field == .bytes(1) else { continue }
      count += 1
      guard count <= maximum else { throw .badField(1) }
      if let id = Hash256(reader.span), seen.insert(id).inserted { ids.append(id) }
    }
    return ids
  }
}

extension Answer {
  init(_ result: ReadResult?) {
    switch result?.value {
    case .block(let hash, let block): self = .block(hash, block)
    case .transaction(let id, let status): self = .transaction(id, status)
    case .names(let peers): self = .peersNamed(peers)
    case .failed(let error): self = .failed(error.description)
    case nil: self = .unavailable("the node is busy; try again later")
    case .answer, .missing, .fetched, .notFound: self = .notFound
    }
  }
}
