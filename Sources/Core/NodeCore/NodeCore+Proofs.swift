import HostCore
import Identity
import Ledger
import Peering
import Sync
import Wire

/// Blocks that peers are asked for as proof: that the height which they claim is more than a number, or that they follow another chain.
extension NodeCore {
  /// A question for the block at a height and the one below it, by which the upper one is judged.
  struct ProofRequest {
    /// What the answer is for.
    enum Use { case head, fork }
    let use: Use
    let peer: PeerID
    let height: UInt64
    /// The lower block's header, where the two did not fit into one answer.
    var parent: BlockHeader?
  }

  func run(forks input: ForkWatch.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [ForkWatch.Output] = []
    let view = ForkWatch.View(floor: chain.finalHeight, depth: chain.finalityDepth, isCaughtUp: sync.state.isCaughtUp) { [unowned self] in
      chain.isOwn($0)
    }
    forks.handle(input, view: view, now: now, into: &wanted)
    for output in wanted {
      switch output {
      case .askStatus(let peer): askStatus(peer, now, &outputs)
      case .askBlock(let peer, let height): askProof(ProofRequest(use: .fork, peer: peer, height: height), now, &outputs)
      case .forked(let fork): outputs.append(.event(.forked(own: ownHead, fork)))
      case .forkEnded: outputs.append(.event(.forkEnded))
      }
    }
  }

  /// The end of the durable chain.
  var ownHead: ChainPoint { ChainPoint(height: chain.head.height, hash: chain.head.hash) }

  func askProof(_ request: ProofRequest, _ now: Instant, _ outputs: inout [Output]) {
    let hasParent = request.parent != nil || request.height <= 1
    let wanted = BlocksRequest.range(from: hasParent ? request.height : request.height - 1, count: hasParent ? 1 : 2)
    ask(.proof(request), request.peer, protocols.blocks, wanted.encoded, timeout: .standard, now, &outputs)
  }

  func proofAnswered(_ request: ProofRequest, _ result: Result<[UInt8], RequestError>, _ now: Instant, _ outputs: inout [Output]) {
    switch result {
    case .failure(let error): proven(request, .failure(failure(of: request.peer, error)), now, &outputs)
    case .success(let bytes):
      guard let list = try? BytesList(encoded: bytes.rawSpan, maximum: 2) else {
        return proven(request, .failure(.malformed), now, &outputs)
      }
      if list.items.isEmpty { return proven(request, .failure(.declined), now, &outputs) }
      let headers = list.items.compactMap { try? Block.header(of: $0.rawSpan) }
      if headers.count == 1, request.parent == nil, headers[0].height + 1 == request.height {
        var request = request
        request.parent = headers[0]
        return askProof(request, now, &outputs)
      }
      let parent = request.parent ?? (headers.count == 2 ? headers[0] : nil)
      guard headers.count == list.items.count, let header = headers.last, header.height == request.height,
        parent != nil || header.height == 1
      else { return proven(request, .failure(.malformed), now, &outputs) }
      switch chain.judge(header, on: parent, genesisTime: genesis.time, now: now) {
      case .sealed: proven(request, .success(header), now, &outputs)
      case .ahead: proven(request, .failure(.ahead), now, &outputs)
      case .broken: proven(request, .failure(.malformed), now, &outputs)
      }
    }
  }

  private func proven(
    _ request: ProofRequest, _ result: Result<BlockHeader, RangeSync.FetchFailure>, _ now: Instant, _ outputs: inout [Output]
  ) {
    switch (request.use, result) {
    case (.head, .success(let header)): run(sync: .headShown(request.peer, header.height), now, &outputs)
    case (.head, .failure(let failure)):
      outputs.append(.event(.claimNotShown(request.peer, height: request.height, failure)))
      run(sync: .headNotShown(request.peer, failure), now, &outputs)
    case (.fork, .success(let header)):
      let point = ChainPoint(height: header.height, hash: header.hash(crypto: crypto))
      let isRecent = clock.time(at: now) - header.time <= recentSeal
      run(forks: .answered(request.peer, .sealed(point, isRecent: isRecent)), now, &outputs)
    case (.fork, .failure): run(forks: .answered(request.peer, .nothing), now, &outputs)
    }
  }

  /// A chain that somebody still makes blocks for has a block at most this old, though a single authority be left of all.
  private var recentSeal: Duration { max(.seconds(120), genesis.blockTime * (2 * genesis.authorities.count + 20)) }

  /// What a request that brought no answer says of the peer.
  func failure(of peer: PeerID, _ error: RequestError) -> RangeSync.FetchFailure {
    switch error {
    case .timeout: .late
    // A peer that gates a request does not know this node, not yet or no longer. That says nothing about what was asked for.
    case .notConnected, .failed(.streamReset(.gated)): .linkLost
    default: error.isTemporary || !host.isActive(peer) ? .linkLost : .declined
    }
  }
}
