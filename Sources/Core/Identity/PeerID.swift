import Wire

/// A peer's name: the multihash of its public key (libp2p/specs `peer-ids`).
///
/// Kept inline (at most 48 bytes), so that copying, comparing and hashing it allocates nothing.
public struct PeerID: Hashable, Comparable, Sendable {
  private let words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
  private let count: UInt8

  /// The PeerID of a key: an identity multihash of its encoding up to 42 bytes, SHA-256 of it beyond.
  public init(_ key: PublicKey, crypto: any CryptoSuite) {
    let encoded = key.encoded
    var bytes: [UInt8]
    if encoded.count <= 42 {
      bytes = [0x00, UInt8(encoded.count)]
      bytes.append(contentsOf: encoded)
    } else {
      bytes = [0x12, 0x20]
      crypto.sha256(encoded).append(to: &bytes)
    }
    self.init(unchecked: bytes.rawSpan)
  }

  /// Reads the multihash form: identity (≤ 42 bytes of key) or SHA-256.
  public init(bytes span: RawSpan) throws(IdentityError) {
    guard span.byteCount >= 2, span.byteCount <= 44 else { throw .badPeerID("\(span.byteCount) bytes") }
    let code = span.byte(0)
    guard Int(span.byte(1)) == span.byteCount - 2, code == 0x00 || (code == 0x12 && span.byte(1) == 32) else {
      throw .badPeerID("neither an identity nor a SHA-256 multihash")
    }
    self.init(unchecked: span)
  }

  /// Reads the multihash form.
  public init(bytes: [UInt8]) throws(IdentityError) { try self.init(bytes: bytes.rawSpan) }

  private init(unchecked span: RawSpan) {
    func word(_ index: Int) -> UInt64 {
      var value: UInt64 = 0
      for offset in index * 8..<index * 8 + 8 { value = value << 8 | (offset < span.byteCount ? UInt64(span.byte(offset)) : 0) }
      return value
    }
    words = (word(0), word(1), word(2), word(3), word(4), word(5))
    count = UInt8(span.byteCount)
  }

  /// The multihash bytes.
  public var bytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(48)
    for word in [words.0, words.1, words.2, words.3, words.4, words.5] { result.appendBigEndian(word) }
    result.removeLast(48 - Int(count))
    return result
  }

  /// Whether the multihashes are the same.
  public static func == (left: PeerID, right: PeerID) -> Bool {
    left.words.0 == right.words.0 && left.words.1 == right.words.1 && left.words.2 == right.words.2 && left.words.3 == right.words.3
      && left.words.4 == right.words.4 && left.words.5 == right.words.5 && left.count == right.count
  }

  /// Hashes every byte: names are free, and one that could be changed without changing the hash would fill a table with one chain.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
    hasher.combine(words.4)
    if count > 40 { hasher.combine(words.5) }
  }

  /// Adds the multihash to a keyed hash.
  public func combine(into hash: inout SipHash) {
    hash.combine(words.0)
    hash.combine(words.1)
    hash.combine(words.2)
    hash.combine(words.3)
    hash.combine(words.4)
    hash.combine(words.5)
    hash.combine(count)
  }

  /// Byte order of the multihashes: the order that decides which side of a pair dials.
  public static func < (left: PeerID, right: PeerID) -> Bool {
    if left.words.0 != right.words.0 { return left.words.0 < right.words.0 }
    if left.words.1 != right.words.1 { return left.words.1 < right.words.1 }
    if left.words.2 != right.words.2 { return left.words.2 < right.words.2 }
    if left.words.3 != right.words.3 { return left.words.3 < right.words.3 }
    if left.words.4 != right.words.4 { return left.words.4 < right.words.4 }
    if left.words.5 != right.words.5 { return left.words.5 < right.words.5 }
    return left.count < right.count
  }
}
