import Identity
import Ledger
import NodeCore
import Wire

/// What nodes say of where they stand, held against where they stand.
extension Simulation {
  /// Claims must not keep a node from work, and no node may cry fork without one.
  func checkLevel(_ node: SimulatedNode) {
    guard let core = node.core, !node.isSuspended else { return }
    let peers = honestPeers(core).compactMap { nodes[$0].core?.chain.head.height }
    // The newest block may be on its way.
    if !core.sync.state.isCaughtUp, let highest = peers.max(), core.chain.head.height + 1 >= highest {
      let since = node.heldBackSince ?? now
      node.heldBackSince = since
      if now - since > .seconds(30) {
        oracle.violate(
          .synced, node.index,
          "it has had all that its honest peers have since \(since), height \(core.chain.head.height), and is \(core.sync.state)")
      }
    } else {
      node.heldBackSince = nil
    }
    if core.forks.fork != nil, !nodes.contains(where: { other in other.isHonest && other.core.map { isSplit(core, $0) } ?? false }) {
      oracle.violate(.split, node.index, "\(core.health(now: now).reason): but no honest node is on another chain")
    }
  }

  /// Whoever has had a link to the other side for a minute says so.
  func checkSplits(_ honest: [SimulatedNode]) {
    for node in honest {
      guard let core = node.core, core.forks.fork == nil else { continue }
      for link in core.host.peering.links(now: now) where link.state == .active && now - link.since > .seconds(60) {
        guard let index = link.peer.flatMap({ nodeOf[$0] }), nodes[index].isHonest, let other = nodes[index].core else { continue }
        if isSplit(core, other) {
          return oracle.violate(
            .split, node.index, "n\(index), linked since \(link.since), is on another chain for good, and it does not say so")
        }
      }
    }
  }

  private func honestPeers(_ core: Core) -> [Int] {
    core.host.peering.activePeers.compactMap { nodeOf[$0] }.filter { nodes[$0].isHonest && nodes[$0].isUp }
  }

  /// Whether two nodes differ in what both take as final.
  private func isSplit(_ first: Core, _ second: Core) -> Bool {
    let height = min(first.chain.finalHeight, second.chain.finalHeight)
    guard let one = try? first.chain.hash(at: height), let other = try? second.chain.hash(at: height) else { return false }
    return one != other
  }
}
