import Wire

/// A peer's public key of any kind that libp2p knows (libp2p/specs `peer-ids`).
public struct PublicKey: Hashable, Sendable {
  /// The kind, with the number it has on the wire.
  public enum Kind: UInt64, Hashable, Sendable, CaseIterable {
    case rsa = 0
    case ed25519 = 1
    case secp256k1 = 2
    case ecdsa = 3
  }

  /// The kind of key.
  public let kind: Kind

  /// The key as the specification encodes it: 32 raw bytes (Ed25519), 33 compressed (secp256k1), DER SPKI (ECDSA, RSA).
  public let data: [UInt8]

  /// Makes a key from its parts. The data is not checked here: a malformed key verifies nothing.
  public init(kind: Kind, data: [UInt8]) {
    self.kind = kind
    self.data = data
  }

  /// The deterministic protobuf form: field 1 the kind (written even when 0), field 2 the data.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: data.count + 6)
    writer.uint64(1, kind.rawValue)
    writer.data(2, data)
    return writer.bytes
  }

  /// Reads the protobuf form; at most 4 KiB of key data.
  public init(encoded span: RawSpan) throws(IdentityError) {
    var kind: Kind?
    var data: [UInt8]?
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .number(1): kind = Kind(rawValue: reader.uint64)
        case .bytes(2): data = reader.bytes
        default: break
        }
      }
    } catch {
      throw .badKey("the key is not a protobuf message (\(error))")
    }
    guard let kind else { throw .badKey("unknown or absent key type") }
    guard let data, !data.isEmpty, data.count <= 4096 else { throw .badKey("the key data is absent, empty or over 4,096 bytes") }
    if kind == .ed25519 && data.count != 32 { throw .badKey("an Ed25519 key has 32 bytes, not \(data.count)") }
    if kind == .secp256k1 && data.count != 33 { throw .badKey("a secp256k1 key has 33 bytes, not \(data.count)") }
    self.init(kind: kind, data: data)
  }
}

/// Why text or bytes are not a key, a PeerID, an address or an envelope.
public enum IdentityError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not a public or private key; the text says why.
  case badKey(String)
  /// Not a PeerID; the text says why.
  case badPeerID(String)
  /// Not a multiaddr; the text says why.
  case badMultiaddr(String)
  /// Not a signed envelope or peer record, or the signature is wrong; the text says why.
  case badEnvelope(String)

  /// What is wrong, for the operator.
  public var description: String {
    switch self {
    case .badKey(let why): "bad key: \(why)"
    case .badPeerID(let why): "bad peer ID: \(why)"
    case .badMultiaddr(let why): "bad multiaddr: \(why)"
    case .badEnvelope(let why): "bad envelope: \(why)"
    }
  }
}

/// A node's own Ed25519 key.
public struct NodeKey: Sendable {
  /// The 32-byte secret seed.
  public let seed: [UInt8]

  /// The public half.
  public let publicKey: PublicKey

  /// The PeerID that other peers prove this node by.
  public let peerID: PeerID

  /// Makes the key of a 32-byte seed.
  public init(seed: [UInt8], crypto: any CryptoSuite) {
    precondition(seed.count == 32, "an Ed25519 seed has 32 bytes, not \(seed.count)")
    self.seed = seed
    publicKey = PublicKey(kind: .ed25519, data: crypto.ed25519PublicKey(seed: seed))
    peerID = PeerID(publicKey, crypto: crypto)
  }

  /// The 64-byte signature of `message`.
  public func sign(_ message: [UInt8], crypto: any CryptoSuite) -> [UInt8] {
    crypto.ed25519Sign(message.rawSpan, seed: seed, publicKey: publicKey.data)
  }
}
