import Identity
import Wire

/// A host's Noise key and the proof that it belongs to the host's identity.
///
/// Made once for each process and given to every ``Connection``, so that the signature is computed once (libp2p/specs `noise`:
/// the static key may live as long as the host).
public struct NoiseStaticKey: Sendable {
  /// The PeerID that the key proves.
  public let peerID: PeerID
  /// The X25519 secret.
  let secret: [UInt8]
  /// The X25519 public key.
  let publicKey: [UInt8]
  /// The handshake payload without extensions.
  let payload: [UInt8]
  /// The handshake payload that offers the muxer.
  let payloadWithMuxer: [UInt8]

  /// Makes a key and signs it; one signature and one X25519 multiplication.
  /// - Parameter secret: 32 bytes; drawn from `crypto` when absent.
  public init(_ nodeKey: NodeKey, crypto: any CryptoSuite, secret: [UInt8]? = nil) {
    let secret = secret ?? crypto.randomBytes(32)
    precondition(secret.count == 32, "an X25519 secret has 32 bytes, not \(secret.count)")
    self.secret = secret
    peerID = nodeKey.peerID
    publicKey = crypto.x25519PublicKey(secret: secret)
    let signature = nodeKey.sign(NoisePayload.signedBytes(staticKey: publicKey), crypto: crypto)
    var writer = ProtobufWriter(capacity: 160)
    writer.data(1, nodeKey.publicKey.encoded)
    writer.data(2, signature)
    payload = writer.bytes
    writer.message(4) { $0.string(2, Yamux.protocolID.name) }
    payloadWithMuxer = writer.bytes
  }
}

/// What the second and third Noise messages carry (libp2p/specs `noise`, "The libp2p handshake payload").
struct NoisePayload {
  let publicKey: PublicKey
  let signature: [UInt8]
  let muxers: [String]

  init(_ span: RawSpan) throws(ChannelError) {
    var encodedKey: [UInt8]?
    var key: PublicKey?
    var signature: [UInt8]?
    var muxers: [String] = []
    do {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .bytes(1): encodedKey = reader.bytes
        case .bytes(2): signature = reader.bytes
        case .bytes(4):
          var extensions = ProtobufReader(reader.span)
          while let field = try extensions.nextField() {
            // A name that is no text is no muxer of this side's.
            if field == .bytes(2), muxers.count < NoisePayload.muxersMaximum, let name = extensions.text { muxers.append(name) }
          }
        default: break
        }
      }
      key = try encodedKey.map { try PublicKey(encoded: $0.rawSpan) }
    } catch {
      throw .protocolViolation("noise: a malformed payload (\(error))")
    }
    guard let key, let signature else { throw .protocolViolation("noise: a payload without key or signature") }
    publicKey = key
    self.signature = signature
    self.muxers = muxers
  }

  /// What the identity key signs.
  static func signedBytes(staticKey: [UInt8]) -> [UInt8] { Array("noise-libp2p-static-key:".utf8) + staticKey }

  static let muxersMaximum = 32
}
