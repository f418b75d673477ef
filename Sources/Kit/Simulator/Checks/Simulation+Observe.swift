import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Wire

extension Simulation {
  /// Notes what a node says, and holds it against what must be.
  func observe(_ event: NodeEvent, _ node: SimulatedNode) {
    oracle.now = now
    switch event {
    case .newHead(let head, let depth):
      node.durableHeight = head.height
      measures.deepestReorganisation = max(measures.deepestReorganisation, depth)
      if depth > 0 { measures.reorganisations += 1 }
      if let known = oracle.roots[head.hash] {
        if known != head.stateRoot { oracle.violate(.validity, node.index, "another state behind block \(head.height)") }
      } else {
        oracle.roots[head.hash] = head.stateRoot
      }
    case .chain(.blockProduced(let hash, _, _, _)):
      measures.blocks.begin(hash, at: now, origin: node.index, nodes: nodes.count) { isAttentive(nodes[$0]) }
    case .chain(.ownBlockRefused(let error)):
      if node.isHonest { oracle.violate(.validity, node.index, "its own block was refused: \(error)") }
    case .chain(.ownBlockLost(let verdict)):
      if node.isHonest, verdict == .refused(.busy) { oracle.violate(.ownBlocks, node.index, "its own block was not taken: \(verdict)") }
    case .chain(.doubleSeal(let evidence)):
      let producer = evidence.first.producer
      guard let sealer = nodes.first(where: { $0.producer.flatMap { Address($0.publicKey) } == producer }), sealer.isHonest else { break }
      oracle.violate(.oneSeal, sealer.index, "it sealed two blocks for slot \(evidence.first.slot), which n\(node.index) saw")
    case .blockAccepted(let hash, let peer):
      measures.blocks.reach(hash, node.index, from: peer.flatMap { nodeOf[$0] }, at: now)
    case .transactionAccepted(let id, let peer):
      if peer == nil {
        // The user's wait counts from when the node was given it.
        measures.transactions.begin(id, at: measures.submission(of: id) ?? now, origin: node.index, nodes: nodes.count) {
          isAttentive(nodes[$0])
        }
      } else {
        measures.transactions.reach(id, node.index, from: peer.flatMap { nodeOf[$0] }, at: now)
      }
    case .host(.peering(let event)): observe(event, node)
    case .host(.peerGone(let peer, let reason)):
      measures.closes[reason.code.description, default: 0] += 1
      let isBlame = reason.code == .lowScore || reason.code == .protocolViolation || reason.code == .banned
      if isBlame, node.isHonest, let other = nodeOf[peer], nodes[other].isHonest {
        oracle.violate(.blame, node.index, "its link to the honest n\(other) ended: \(reason)")
      }
    default: break
    }
  }

  /// Whether a node can be expected to hear of what is born now.
  private func isAttentive(_ node: SimulatedNode) -> Bool { node.isUp && node.isHonest && !node.isSuspended }

  private func observe(_ event: PeeringEvent, _ node: SimulatedNode) {
    switch event {
    case .banned(let subject, _, let detail): observe(banOf: subject, detail, node)
    case .refused(_, _, let reason): measures.refusals[reason.code.description, default: 0] += 1
    case .dialFailed(_, _, _, let failure, _): measures.dialFailures[failure.kind, default: 0] += 1
    case .offence(let peer, let offence, _, _):
      measures.offences[offence.rawValue, default: 0] += 1
      if node.isHonest, offence.isContent, let other = nodeOf[peer], nodes[other].isHonest {
        oracle.violate(.content, node.index, "it holds \(offence.rawValue) against the honest n\(other)")
      }
    default: break
    }
  }

  private func observe(banOf subject: BanSubject, _ detail: String, _ node: SimulatedNode) {
    var banned: Int?
    if case .peer(let peer) = subject { banned = nodeOf[peer] }
    measures.banned(.init(time: now, by: node.index, of: banned.map { nodes[$0].name } ?? "\(subject)", reason: detail))
    guard node.isHonest else { return }
    if let banned {
      if nodes[banned].isHonest { oracle.violate(.blame, node.index, "banned the honest n\(banned): \(detail)") }
    } else if case .network(let network) = subject, let honest = nodes.first(where: { $0.isHonest && network.contains($0.ip) }) {
      oracle.violate(.blame, node.index, "banned \(network), where the honest \(honest.name) stands: \(detail)")
    }
  }
}

extension Offence {
  /// Whether it says that what the peer sent was bad, rather than late, too much, or of no use.
  fileprivate var isContent: Bool {
    switch self {
    case .rateExceeded, .late, .uselessAnswer, .unsolicited, .unanswered: false
    default: true
    }
  }
}

extension DialFailure {
  /// What went wrong, without the particulars.
  fileprivate var kind: String {
    switch self {
    case .refused: "nobody listens"
    case .timedOut: "timed out"
    case .unreachable: "no way there"
    case .transport: "the transport broke"
    case .turnedAway: "closed before the handshake"
    case .handshake: "the secure channel failed"
    case .notInNetwork: "not of the private network"
    case .wrongPeer: "another peer answered"
    case .goodbye(let reason): "refused: \(reason.code)"
    }
  }
}
