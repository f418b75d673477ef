import Identity
import Wire

/// Proof that a ``StateTree`` with a known root holds a value under a key, or holds nothing there.
///
///     message StateProof { repeated bytes siblings = 1; bytes otherKey = 2; bytes otherValueHash = 3; }
///
/// `siblings` run from the root down. Fields 2 and 3 are absent when the path ends in nothing or in the key's own leaf.
public struct StateProof: Hashable, Sendable {
  /// The siblings on the way, the root's child first; at most 256.
  public let siblings: [Hash256]
  /// The leaf of another key where the path ends; its existence rules the asked key out.
  public let otherLeaf: OtherLeaf?

  /// A leaf that stands where the asked key would.
  public struct OtherLeaf: Hashable, Sendable {
    /// Its key.
    public let key: Hash256
    /// SHA-256 of its value.
    public let valueHash: Hash256

    /// Makes a leaf of its parts.
    public init(key: Hash256, valueHash: Hash256) {
      self.key = key
      self.valueHash = valueHash
    }
  }

  /// Makes a proof of its parts.
  public init(siblings: [Hash256], otherLeaf: OtherLeaf?) {
    self.siblings = siblings
    self.otherLeaf = otherLeaf
  }

  /// Whether the proof shows that under `root` the key has `value`, `nil` meaning that it is absent. O(siblings).
  public func proves(_ key: Hash256, _ value: [UInt8]?, under root: Hash256, crypto: any CryptoSuite) -> Bool {
    guard siblings.count <= 256 else { return false }
    var hasher = NodeHasher(crypto)
    var hash: Hash256
    if let value {
      guard otherLeaf == nil else { return false }
      hash = hasher.leaf(key, hasher.value(value))
    } else if let otherLeaf {
      guard otherLeaf.key != key, siblings.indices.allSatisfy({ otherLeaf.key.bit($0) == key.bit($0) }) else { return false }
      hash = hasher.leaf(otherLeaf.key, otherLeaf.valueHash)
    } else {
      hash = .zero
    }
    for depth in siblings.indices.reversed() {
      hash = key.bit(depth) ? hasher.branch(siblings[depth], hash) : hasher.branch(hash, siblings[depth])
    }
    return hash == root
  }

  /// The protobuf form.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: siblings.count * 34 + 68)
    for sibling in siblings { writer.hash(1, sibling) }
    if let otherLeaf {
      writer.hash(2, otherLeaf.key)
      writer.hash(3, otherLeaf.valueHash)
    }
    return writer.bytes
  }

  /// Reads the protobuf form.
  /// - Throws: `badField` for digests of another size and over 256 siblings.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    var siblings: [Hash256] = []
    var (key, valueHash): ([UInt8]?, [UInt8]?)
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1):
        guard siblings.count < 256, let hash = Hash256(reader.span) else { throw .badField(1) }
        siblings.append(hash)
      case .bytes(2): key = reader.bytes
      case .bytes(3): valueHash = reader.bytes
      default: break
      }
    }
    var otherLeaf: OtherLeaf?
    if key != nil || valueHash != nil {
      guard let key = Hash256(key ?? []) else { throw .badField(2) }
      guard let valueHash = Hash256(valueHash ?? []) else { throw .badField(3) }
      otherLeaf = OtherLeaf(key: key, valueHash: valueHash)
    }
    self.init(siblings: siblings, otherLeaf: otherLeaf)
  }
}

extension StateTree {
  /// The proof of a key's value or of its absence. O(log n).
  public func proof(of key: Hash256) -> StateProof {
    var siblings: [Hash256] = []
    var node = rootNode
    while true {
      switch node {
      case .empty: return StateProof(siblings: siblings, otherLeaf: nil)
      case .leaf(let leaf):
        let other = leaf.key == key ? nil : StateProof.OtherLeaf(key: leaf.key, valueHash: leaf.valueHash)
        return StateProof(siblings: siblings, otherLeaf: other)
      case .branch(let branch):
        let goesRight = key.bit(siblings.count)
        siblings.append(goesRight ? branch.left.hash : branch.right.hash)
        node = goesRight ? branch.right : branch.left
      }
    }
  }
}
