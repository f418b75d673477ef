import Identity
import Wire

/// The hash tree over a block's transaction ids, as RFC 6962 section 2.1 builds it: leaves and inner nodes are hashed under
/// different prefixes and a lone node at the end of a level moves up unchanged, so no two lists have one root.
public enum MerkleTree {
  /// The root over `leaves`; SHA-256 of nothing when there are none. O(n).
  public static func root(of leaves: [Hash256], crypto: any CryptoSuite) -> Hash256 {
    guard !leaves.isEmpty else { return crypto.sha256([]) }
    var hasher = NodeHasher(crypto)
    var level = leaves.map { hasher.leaf($0) }
    while level.count > 1 { level = parents(of: level, &hasher) }
    return level[0]
  }

  /// The proof that the leaf at `index` is under the root; `nil` outside the list. O(n).
  public static func proof(of index: Int, in leaves: [Hash256], crypto: any CryptoSuite) -> MerkleProof? {
    guard leaves.indices.contains(index) else { return nil }
    var hasher = NodeHasher(crypto)
    var level = leaves.map { hasher.leaf($0) }
    var position = index
    var path: [Hash256] = []
    while level.count > 1 {
      let sibling = position ^ 1
      if sibling < level.count { path.append(level[sibling]) }
      level = parents(of: level, &hasher)
      position /= 2
    }
    return MerkleProof(index: index, count: leaves.count, path: path)
  }

  private static func parents(of level: [Hash256], _ hasher: inout NodeHasher) -> [Hash256] {
    var result: [Hash256] = []
    result.reserveCapacity((level.count + 1) / 2)
    for left in stride(from: 0, to: level.count, by: 2) {
      result.append(left + 1 < level.count ? hasher.branch(level[left], level[left + 1]) : level[left])
    }
    return result
  }
}

/// The siblings on the way from one leaf to the root.
public struct MerkleProof: Hashable, Sendable {
  /// The leaf's place in the list.
  public let index: Int
  /// How many leaves the list has.
  public let count: Int
  /// The siblings, the leaf's own first.
  public let path: [Hash256]

  /// Makes a proof of its parts.
  public init(index: Int, count: Int, path: [Hash256]) {
    self.index = index
    self.count = count
    self.path = path
  }

  /// Whether `leaf` stands at ``index`` under `root`. O(log n).
  public func proves(_ leaf: Hash256, under root: Hash256, crypto: any CryptoSuite) -> Bool {
    guard index >= 0, index < count else { return false }
    var hasher = NodeHasher(crypto)
    var (position, width, used) = (index, count, 0)
    var hash = hasher.leaf(leaf)
    while width > 1 {
      if position & 1 == 1 || position + 1 < width {
        guard used < path.count else { return false }
        hash = position & 1 == 1 ? hasher.branch(path[used], hash) : hasher.branch(hash, path[used])
        used += 1
      }
      position /= 2
      width = width / 2 + width % 2
    }
    return used == path.count && hash == root
  }
}

/// Hashes tree nodes through one reused buffer.
struct NodeHasher {
  private let crypto: any CryptoSuite
  private var buffer: [UInt8] = []

  init(_ crypto: any CryptoSuite) {
    self.crypto = crypto
    buffer.reserveCapacity(72)
  }

  /// SHA-256 of `00` and the leaf.
  mutating func leaf(_ leaf: Hash256) -> Hash256 {
    buffer.removeAll(keepingCapacity: true)
    buffer.append(0)
    leaf.append(to: &buffer)
    return crypto.sha256(buffer.rawSpan)
  }

  /// SHA-256 of `00`, a key and the hash of its value.
  mutating func leaf(_ key: Hash256, _ valueHash: Hash256) -> Hash256 {
    buffer.removeAll(keepingCapacity: true)
    buffer.append(0)
    key.append(to: &buffer)
    valueHash.append(to: &buffer)
    return crypto.sha256(buffer.rawSpan)
  }

  /// SHA-256 of `01` and both children.
  mutating func branch(_ left: Hash256, _ right: Hash256) -> Hash256 {
    buffer.removeAll(keepingCapacity: true)
    buffer.append(1)
    left.append(to: &buffer)
    right.append(to: &buffer)
    return crypto.sha256(buffer.rawSpan)
  }

  /// SHA-256 of a value.
  func value(_ bytes: [UInt8]) -> Hash256 { crypto.sha256(bytes.rawSpan) }
}
