import Foundation
import HTTPAPI

/// What a check found.
struct Finding: Encodable {
  let name: String
  let holds: Bool
  let detail: String
}

/// A node's whole chain as its API shows it.
struct ChainWalk {
  /// By height, without the genesis.
  private(set) var blocks: [String] = []
  /// How often each transaction is in the chain.
  private(set) var transactions: [String: Int] = [:]
  /// Producers with the number of their blocks.
  private(set) var producers: [String: Int] = [:]
  /// Blocks that don't name the one below as their parent.
  private(set) var brokenLinks: [UInt64] = []

  /// Reads the blocks 1 to `height`.
  init(_ node: LocalNode, through height: UInt64, genesis: String) throws(HTTPClientError) {
    var parent = genesis
    for number in stride(from: UInt64(1), through: height, by: 1) {
      let block = try node.api.block(number)
      if block.parent != parent || block.height != number { brokenLinks.append(number) }
      parent = block.hash
      blocks.append(block.hash)
      producers[block.producer, default: 0] += 1
      for transaction in block.transactions { transactions[transaction.hash, default: 0] += 1 }
    }
  }
}

/// Compares nodes over their APIs.
enum Verification {
  struct Result {
    var findings: [Finding] = []
    var height: UInt64 = 0
    var transactions = 0
    var holds: Bool { findings.allSatisfy(\.holds) }
  }

  /// Verifies nodes that are level and have empty mempools.
  static func run(_ nodes: [LocalNode], genesis: String, accepted: [String]) -> Result {
    var result = Result()
    do throws(HTTPClientError) {
      var heights: [UInt64] = []
      for node in nodes { heights.append(try node.api.chain().height) }
      let height = heights.min() ?? 0
      result.height = height
      var walks: [ChainWalk] = []
      for node in nodes { walks.append(try ChainWalk(node, through: height, genesis: genesis)) }
      result.transactions = walks.first?.transactions.count ?? 0
      result.findings.append(sameChain(nodes, walks, height))
      result.findings.append(exactlyOnce(nodes, walks, accepted))
      var peers: [PeersResponse] = []
      for node in nodes { peers.append(try node.api.peers()) }
      result.findings.append(peerLists(nodes, peers))
    } catch {
      result.findings.append(Finding(name: "every node answers", holds: false, detail: error.description))
    }
    return result
  }

  private static func sameChain(_ nodes: [LocalNode], _ walks: [ChainWalk], _ height: UInt64) -> Finding {
    let name = "same chain on every node"
    guard let first = walks.first, height > 0 else { return Finding(name: name, holds: false, detail: "there is no block") }
    for (node, walk) in zip(nodes, walks) {
      if let broken = walk.brokenLinks.first {
        return Finding(name: name, holds: false, detail: "on \(node.name) block \(broken) is not linked to the one below")
      }
      if let fork = zip(walk.blocks, first.blocks).enumerated().first(where: { $0.element.0 != $0.element.1 }) {
        return Finding(name: name, holds: false, detail: "\(node.name) and \(nodes[0].name) differ from height \(fork.offset + 1) on")
      }
    }
    let head = first.blocks.last.map { String($0.prefix(8)) } ?? ""
    return Finding(
      name: name, holds: true, detail: "height \(height), head \(head), \(first.producers.count) producers")
  }

  private static func exactlyOnce(_ nodes: [LocalNode], _ walks: [ChainWalk], _ accepted: [String]) -> Finding {
    let name = "no transaction lost or doubled"
    for (node, walk) in zip(nodes, walks) {
      let lost = accepted.filter { walk.transactions[$0] == nil }
      if let one = lost.first {
        return Finding(
          name: name, holds: false, detail: "\(lost.count) of \(accepted.count) are not in the chain of \(node.name), such as \(one)")
      }
      if let twice = walk.transactions.filter({ $0.value > 1 }).keys.min() {
        return Finding(name: name, holds: false, detail: "\(twice) is in the chain of \(node.name) more than once")
      }
    }
    guard !accepted.isEmpty else { return Finding(name: name, holds: false, detail: "no transaction was accepted") }
    return Finding(name: name, holds: true, detail: "\(accepted.count) of \(accepted.count) on \(nodes.count) nodes")
  }

  private static func peerLists(_ nodes: [LocalNode], _ lists: [PeersResponse]) -> Finding {
    let name = "no peer twice, two at least"
    var counts: [Int] = []
    for (node, list) in zip(nodes, lists) {
      let names = list.peers.compactMap(\.peerID)
      if Set(names).count != names.count { return Finding(name: name, holds: false, detail: "\(node.name) lists a peer twice") }
      let active = list.peers.count { $0.state == "active" }
      guard active >= 2 else { return Finding(name: name, holds: false, detail: "\(node.name) has \(active) active peers") }
      counts.append(active)
    }
    return Finding(name: name, holds: true, detail: "\(counts.min() ?? 0) to \(counts.max() ?? 0) peers on each node")
  }
}
