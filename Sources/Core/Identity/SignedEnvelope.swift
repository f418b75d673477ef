import Wire

/// A payload with the key that signed it, for one purpose (libp2p RFC 0002).
///
/// The signature covers the domain, the payload's type and the payload, each with its length in front as a uvarint, so that bytes
/// signed for one purpose prove nothing for another.
public struct SignedEnvelope: Hashable, Sendable {
  /// The most bytes of an encoded envelope that are read: 32 KiB.
  public static let maximumBytes = 32 * 1024

  /// The signer.
  public let publicKey: PublicKey

  /// What kind of payload it is; a multicodec.
  public let payloadType: [UInt8]

  /// The signed bytes.
  public let payload: [UInt8]

  /// The signer's signature.
  public let signature: [UInt8]

  /// Signs a payload for a purpose.
  public init(sealing payload: [UInt8], type payloadType: [UInt8], domain: String, by key: NodeKey, crypto: any CryptoSuite) {
    publicKey = key.publicKey
    self.payloadType = payloadType
    self.payload = payload
    signature = key.sign(Self.signedBytes(domain, payloadType, payload), crypto: crypto)
  }

  /// Reads an envelope and proves it.
  /// - Throws: ``IdentityError/badEnvelope(_:)`` when it is malformed or long, of another type, or the signature is not the key's
  ///   for this domain.
  public init(opening span: RawSpan, type payloadType: [UInt8], domain: String, crypto: any CryptoSuite) throws(IdentityError) {
    try self.init(unproven: span)
    guard self.payloadType == payloadType else {
      throw .badEnvelope("the payload type is \(Base16.encode(self.payloadType.prefix(16))), not \(Base16.encode(payloadType))")
    }
    let signed = Self.signedBytes(domain, payloadType, payload)
    guard crypto.verify(signature.rawSpan, of: signed.rawSpan, by: publicKey) else {
      throw .badEnvelope("the signature for “\(domain)” is not the key's")
    }
  }

  /// Reads an envelope, and proves nothing.
  init(unproven span: RawSpan) throws(IdentityError) {
    guard span.byteCount <= Self.maximumBytes else { throw .badEnvelope("\(span.byteCount) bytes are more than \(Self.maximumBytes)") }
    var key: [UInt8]?
    var type: [UInt8]?
    var payload: [UInt8]?
    var signature: [UInt8]?
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .bytes(1): key = reader.bytes
        case .bytes(2): type = reader.bytes
        case .bytes(3): payload = reader.bytes
        case .bytes(5): signature = reader.bytes
        default: break
        }
      }
    } catch {
      throw .badEnvelope("it is not a protobuf message (\(error))")
    }
    guard let key, let type, let payload, let signature else { throw .badEnvelope("key, type, payload or signature is absent") }
    do throws(IdentityError) { publicKey = try PublicKey(encoded: key.rawSpan) } catch { throw .badEnvelope("\(error)") }
    payloadType = type
    self.payload = payload
    self.signature = signature
  }

  /// The protobuf form.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: payload.count + 160)
    writer.data(1, publicKey.encoded)
    writer.data(2, payloadType)
    writer.data(3, payload)
    writer.data(5, signature)
    return writer.bytes
  }

  private static func signedBytes(_ domain: String, _ type: [UInt8], _ payload: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(domain.utf8.count + type.count + payload.count + 12)
    for part in [Array(domain.utf8), type, payload] {
      Varint.append(UInt64(part.count), to: &bytes)
      bytes.append(contentsOf: part)
    }
    return bytes
  }
}
