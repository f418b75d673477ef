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
      measures.blocks.note(hash, at: now, origin: node.index)
    case .chain(.ownBlockRefused(let error)):
      if node.isHonest { oracle.violate(.validity, node.index, "its own block was refused: \(error)") }
    case .blockAccepted(let hash, let peer):
      measures.blocks.reach(hash, node.index, from: peer.flatMap { nodeOf[$0] }, at: now)
    case .transactionAccepted(let id, let peer):
      if peer == nil {
        measures.transactions.note(id, at: now, origin: node.index)
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

  private func observe(_ event: PeeringEvent, _ node: SimulatedNode) {
    guard case .banned(let subject, _, let detail) = event else { return }
    var banned: Int?
    if case .peer(let peer) = subject { banned = nodeOf[peer] }
    measures.bans.append(.init(time: now, by: node.index, of: banned, reason: detail))
    guard node.isHonest else { return }
    if let banned {
      if nodes[banned].isHonest { oracle.violate(.blame, node.index, "banned the honest n\(banned): \(detail)") }
    } else if case .network(let network) = subject, let honest = nodes.first(where: { $0.isHonest && network.contains($0.ip) }) {
      oracle.violate(.blame, node.index, "banned \(network), where the honest \(honest.name) stands: \(detail)")
    }
  }
}
