import Identity
import Wire

/// An authenticated map from 32-byte keys to bytes: a binary Merkle radix tree whose nodes are immutable and shared.
///
/// A copy costs O(1) and old versions stay valid, so the states of many blocks can live side by side. A leaf stands at the
/// shallowest depth where its key's first bits are its alone, so the shape and the root follow from the entries and not from
/// the order of changes. Keys must be hashes: they are taken as evenly spread, which keeps the depth near log2 of the count.
///
/// Node hashes: nothing is 32 zero bytes; a leaf is SHA-256 of `00`, the key and SHA-256 of the value; a branch is SHA-256 of
/// `01` and both children. Changes come in batches, so that a node that many changes touch is hashed once.
///
/// About 230 bytes of memory per entry besides the value.
public struct StateTree: Sendable {
  /// One change: `value` is `nil` for a removal.
  public typealias Change = (key: Hash256, value: [UInt8]?)

  enum Node: Sendable {
    case empty
    case leaf(Leaf)
    case branch(Branch)

    var hash: Hash256 {
      switch self {
      case .empty: .zero
      case .leaf(let leaf): leaf.hash
      case .branch(let branch): branch.hash
      }
    }
  }

  final class Leaf: Sendable {
    let key: Hash256
    let value: [UInt8]
    let valueHash: Hash256
    let hash: Hash256

    init(key: Hash256, value: [UInt8], hasher: inout NodeHasher) {
      self.key = key
      self.value = value
      valueHash = hasher.value(value)
      hash = hasher.leaf(key, valueHash)
    }
  }

  final class Branch: Sendable {
    let left: Node
    let right: Node
    let hash: Hash256

    init(_ left: Node, _ right: Node, hasher: inout NodeHasher) {
      self.left = left
      self.right = right
      hash = hasher.branch(left.hash, right.hash)
    }
  }

  private(set) var rootNode = Node.empty

  /// The number of entries.
  public private(set) var count = 0

  /// Makes an empty tree.
  public init() {}

  /// Makes a tree of entries; a later one of the same key wins. O(n log n).
  public init(_ entries: some Sequence<(key: Hash256, value: [UInt8])>, crypto: any CryptoSuite) {
    update(entries.map { (key: $0.key, value: Optional($0.value)) }, crypto: crypto)
  }

  /// The root hash; 32 zero bytes for an empty tree.
  public var root: Hash256 { rootNode.hash }

  /// The value of a key. O(log n).
  public func get(_ key: Hash256) -> [UInt8]? {
    var node = rootNode
    var depth = 0
    while true {
      switch node {
      case .empty: return nil
      case .leaf(let leaf): return leaf.key == key ? leaf.value : nil
      case .branch(let branch):
        node = key.bit(depth) ? branch.right : branch.left
        depth += 1
      }
    }
  }

  /// Sets one key. O(log n).
  public mutating func set(_ key: Hash256, _ value: [UInt8], crypto: any CryptoSuite) { update([(key, value)], crypto: crypto) }

  /// Removes one key. O(log n).
  public mutating func remove(_ key: Hash256, crypto: any CryptoSuite) { update([(key, nil)], crypto: crypto) }

  /// Makes all changes at once; a later one to the same key wins. O(k log n) for k changes, fewer hashes than k single ones.
  public mutating func update(_ changes: [Change], crypto: any CryptoSuite) {
    guard !changes.isEmpty else { return }
    var update = Update(changes: StateTree.normalised(changes), hasher: NodeHasher(crypto))
    rootNode = update.apply(rootNode, 0, update.changes.count, depth: 0)
    count += update.delta
  }

  /// Up to `limit` entries with keys at or after `start`, in ascending order. O(log n + limit).
  public func entries(from start: Hash256 = .zero, limit: Int = .max) -> [(key: Hash256, value: [UInt8])] {
    var result: [(key: Hash256, value: [UInt8])] = []
    collect(rootNode, depth: 0, onEdge: true, start, limit, &result)
    return result
  }

  /// Sorted by key, one change for each key, the last given.
  private static func normalised(_ changes: [Change]) -> [Change] {
    var isSorted = true
    for index in changes.indices.dropFirst() where changes[index - 1].key >= changes[index].key {
      isSorted = false
      break
    }
    if isSorted { return changes }
    let order = changes.indices.sorted { left, right in
      changes[left].key != changes[right].key ? changes[left].key < changes[right].key : left < right
    }
    var result: [Change] = []
    result.reserveCapacity(changes.count)
    for index in order {
      if let last = result.last, last.key == changes[index].key { result.removeLast() }
      result.append(changes[index])
    }
    return result
  }

  private func collect(
    _ node: Node, depth: Int, onEdge: Bool, _ start: Hash256, _ limit: Int, _ result: inout [(key: Hash256, value: [UInt8])]
  ) {
    guard result.count < limit else { return }
    switch node {
    case .empty: break
    case .leaf(let leaf): if leaf.key >= start { result.append((leaf.key, leaf.value)) }
    case .branch(let branch):
      let startsRight = onEdge && start.bit(depth)
      if !startsRight { collect(branch.left, depth: depth + 1, onEdge: onEdge, start, limit, &result) }
      collect(branch.right, depth: depth + 1, onEdge: startsRight, start, limit, &result)
    }
  }

  /// One batch on its way down the tree. The changes are sorted, so each node gets a contiguous range of them.
  private struct Update {
    let changes: [Change]
    var hasher: NodeHasher
    var delta = 0

    mutating func apply(_ node: Node, _ low: Int, _ high: Int, depth: Int) -> Node {
      if low == high { return node }
      switch node {
      case .empty:
        return build(low, high, keeping: nil, depth: depth)
      case .leaf(let leaf):
        delta -= 1
        for index in low..<high where changes[index].key == leaf.key {
          if changes[index].value == leaf.value && high - low == 1 {
            delta += 1
            return node
          }
          return build(low, high, keeping: nil, depth: depth)
        }
        return build(low, high, keeping: leaf, depth: depth)
      case .branch(let branch):
        let middle = partition(low, high, depth)
        let left = apply(branch.left, low, middle, depth: depth + 1)
        let right = apply(branch.right, middle, high, depth: depth + 1)
        return combine(left, right)
      }
    }

    /// A subtree of the values in the range and one leaf that was there before.
    private mutating func build(_ low: Int, _ high: Int, keeping kept: Leaf?, depth: Int) -> Node {
      if low == high {
        guard let kept else { return .empty }
        delta += 1
        return .leaf(kept)
      }
      if high - low == 1 && kept == nil {
        guard let value = changes[low].value else { return .empty }
        delta += 1
        return .leaf(Leaf(key: changes[low].key, value: value, hasher: &hasher))
      }
      let middle = partition(low, high, depth)
      let keepsRight = kept?.key.bit(depth) ?? false
      let left = build(low, middle, keeping: keepsRight ? nil : kept, depth: depth + 1)
      let right = build(middle, high, keeping: keepsRight ? kept : nil, depth: depth + 1)
      return combine(left, right)
    }

    private mutating func combine(_ left: Node, _ right: Node) -> Node {
      switch (left, right) {
      case (.empty, .empty): return .empty
      case (.empty, .leaf): return right
      case (.leaf, .empty): return left
      default: return .branch(Branch(left, right, hasher: &hasher))
      }
    }

    /// The first index in the range whose key has the bit at `depth` set.
    private func partition(_ low: Int, _ high: Int, _ depth: Int) -> Int {
      var (low, high) = (low, high)
      while low < high {
        let middle = (low + high) / 2
        if changes[middle].key.bit(depth) { high = middle } else { low = middle + 1 }
      }
      return low
    }
  }

  /// Traps when a node is not where its keys say, a hash does not fit or the count is wrong. O(n); for tests.
  public func checkInvariants(crypto: any CryptoSuite) {
    var hasher = NodeHasher(crypto)
    var leaves = 0
    func check(_ node: Node, _ path: [Bool]) {
      switch node {
      case .empty: break
      case .leaf(let leaf):
        leaves += 1
        for (depth, bit) in path.enumerated() { precondition(leaf.key.bit(depth) == bit, "leaf \(leaf.key) off its path at \(depth)") }
        precondition(leaf.hash == hasher.leaf(leaf.key, hasher.value(leaf.value)), "wrong hash of leaf \(leaf.key)")
      case .branch(let branch):
        switch (branch.left, branch.right) {
        case (.empty, .empty), (.empty, .leaf), (.leaf, .empty): preconditionFailure("a branch at \(path.count) holds one leaf or none")
        default: break
        }
        precondition(branch.hash == hasher.branch(branch.left.hash, branch.right.hash), "wrong hash of a branch at depth \(path.count)")
        check(branch.left, path + [false])
        check(branch.right, path + [true])
      }
    }
    check(rootNode, [])
    precondition(leaves == count, "count is \(count), the tree has \(leaves) leaves")
  }
}
