import Identity
import Wire

/// What must hold.
public enum Property: String, Hashable, Sendable, CaseIterable {
  /// Never two links in use between two nodes.
  case oneLink
  /// Tables, slots and bounds of a node's machines agree.
  case invariants
  /// What was durable is there after a restart.
  case durability
  /// An accepted transaction is in the chain of every honest node, once.
  case transactions
  /// Only blocks that keep all rules are applied; equal blocks give equal state.
  case validity
  /// No honest node is banned, by peer or by network.
  case blame
  /// No honest node is scored for what it sent by another honest node.
  case content
  /// No honest node's own block is refused for lack of room.
  case ownBlocks
  /// No honest authority seals two blocks for one slot.
  case oneSeal
  /// Nothing that belongs to an ended link or stream stays behind.
  case memory
  /// No timer is due again and again at one moment.
  case progress
  /// A node that has all that its honest peers have says that it is level, whatever others claim.
  case synced
  /// A split that no node can heal is told by every node that sees it, and only such a one.
  case split
  /// In the end all honest nodes are connected.
  case connected
  /// In the end all honest nodes have one head, and the chain has grown.
  case oneHead
  /// Blocks and transactions spread as fast as the scenario asks for.
  case speed

  /// What it says, for people.
  public var about: String {
    switch self {
    case .oneLink: "Never are two links in use between two nodes."
    case .invariants: "Tables, slots and bounds of every machine agree."
    case .durability: "What was durable is there after a restart."
    case .transactions: "In the end every accepted transaction is in the chain of every honest node, once."
    case .validity: "Only blocks that keep all rules are applied, and equal blocks give equal state."
    case .blame: "No honest node is banned or cut off for an offence by another honest node."
    case .content: "No honest node is scored for what it sent by another honest node."
    case .ownBlocks: "No honest node's own block is refused for lack of room."
    case .oneSeal: "No honest authority seals two blocks for one slot, whatever its clock does."
    case .memory: "Nothing that belongs to an ended link or stream stays behind."
    case .progress: "No timer is due again and again at one moment."
    case .synced: "A node that has all that its honest peers have says so within 30 s, whatever others claim."
    case .split: "A split that can't heal is told by every node that sees it, and no other split is."
    case .connected: "In the end all honest nodes run and are connected."
    case .speed: "Blocks and transactions spread as fast as the scenario asks for."
    case .oneHead: "In the end all honest nodes have one head, and the chain has grown."
    }
  }

  /// Whether it is checked at every step or sample, rather than at the end.
  var isCheckedThroughout: Bool {
    switch self {
    case .oneLink, .invariants, .durability, .blame, .content, .ownBlocks, .oneSeal, .memory, .progress, .synced, .split: true
    case .transactions, .validity, .connected, .oneHead, .speed: false
    }
  }
}

/// A property that was broken.
public struct Violation: Error, Hashable, Sendable, CustomStringConvertible {
  /// Which one.
  public let property: Property
  /// Where; `nil` for the network as a whole.
  public let node: Int?
  /// When.
  public let time: Instant
  /// What was seen.
  public let detail: String

  /// Property, place and finding.
  public var description: String { "\(property.rawValue) broken\(node.map { " at n\($0)" } ?? "") at \(time): \(detail)" }
}

/// Knows what was promised, and what was seen first against it.
struct Oracle {
  var violation: Violation?
  var now = Instant.zero
  /// Transactions that a node said it had accepted.
  var transactions: [(id: Hash256, node: Int)] = []
  var accepted: Set<Hash256> = []
  /// The state root behind each block, as the first node that applied it found it.
  var roots: [Hash256: Hash256] = [:]

  mutating func violate(_ property: Property, _ node: Int?, _ detail: String) {
    if violation == nil { violation = Violation(property: property, node: node, time: now, detail: detail) }
  }

  mutating func accepted(_ id: Hash256, _ node: Int, _ time: Instant) {
    if accepted.insert(id).inserted { transactions.append((id, node)) }
  }
}
