import Identity
import Wire

/// Signing and checking messages (pubsub "Message Signing"). Verification is the costliest step of a message; it depends on
/// nothing but its arguments.
extension Gossip {
  /// What is wrong with a signed message's key or signature; `nil` when it is the author's.
  func faultOfSignature(_ fields: RPC.Message, in bytes: [UInt8], author: PeerID) -> RejectionReason? {
    guard let from = fields.from, let number = fields.sequence, let signature = fields.signature, let name = fields.topic else {
      return .missingField
    }
    let source = bytes.rawSpan
    let publicKey: PublicKey
    if let range = fields.key, !range.isEmpty {
      guard let key = try? PublicKey(encoded: source.extracting(range)), PeerID(key, crypto: crypto) == author else { return .wrongKey }
      publicKey = key
    } else if let inlined = author.inlinePublicKey {
      publicKey = inlined
    } else {
      return .wrongKey
    }
    let signed = RPCEncoder.signedBytes(
      topic: bytes[name], data: source.extracting(fields.data ?? 0..<0), from: Array(bytes[from]), sequence: Array(bytes[number]))
    return crypto.verify(source.extracting(signature), of: signed.rawSpan, by: publicKey) ? nil : .badSignature
  }
}
