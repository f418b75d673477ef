import Identity
import Wire

/// Checking signed messages (pubsub "Message Signing"). Verification is the costliest step of a message.
///
/// Stacks differ on the edges: go signs unknown fields and absent data as they come, py-libp2p and rust-libp2p write the message anew
/// from the fields that they know, some look at `key` and some don't, and Ed25519 libraries differ on keys of small order. A peer that
/// forwards what its own stack finds good is honest, whatever this one thinks. So a bad signature is the forwarder's fault only
/// where no stack can see anything else: see ``RejectionReason/isForwardersFault``.
extension Gossip {
  /// Why a signed message is refused; `nil` when its signature is the author's. What is signed is checked as it came.
  func refusal(of fields: RPC.Message, in bytes: [UInt8], author: PeerID, from peer: GossipPeer) -> RejectionReason? {
    // Another stack would write it anew before it checks and forwards it; here it could be neither checked nor forwarded as it came.
    guard fields.isCanonical else { return .ambiguousForm }
    guard let signature = fields.signature else { return .missingField }
    guard peer.failedChecks < configuration.maximumFailedChecks else { return .tooManyFailedChecks }
    let source = bytes.rawSpan
    let publicKey: PublicKey
    if let range = fields.key {
      // The field is not signed: with whatever else stands in it, a peer that looks at it refuses the message.
      guard let key = try? PublicKey(encoded: source.extracting(range)), PeerID(key, crypto: crypto) == author else { return .wrongKey }
      publicKey = key
    } else if let inlined = author.inlinePublicKey {
      publicKey = inlined
    } else {
      return .wrongKey
    }
    var signed = RPCEncoder.signaturePrefix
    signed.reserveCapacity(signed.count + fields.whole.count)
    signed.append(contentsOf: bytes[fields.whole.lowerBound..<fields.signedEnd])
    signed.append(contentsOf: bytes[fields.unknown])
    let verdict = crypto.judge(source.extracting(signature), of: signed.rawSpan, by: publicKey)
    if verdict == .good { return nil }
    peer.failedChecks += 1
    return verdict == .bad && fields.isPlain ? .badSignature : .disputedSignature
  }
}

extension RPC.Message {
  /// Whether the message has the five fields of a signed one, none empty or in another form, and nothing else: all stacks then take the
  /// same bytes for signed. Without `key`, which the specification's text counts to what is signed and go does not.
  var isPlain: Bool {
    isCanonical && key == nil && unknown.isEmpty && from?.isEmpty == false && data?.isEmpty == false && sequence?.count == 8
      && topic?.isEmpty == false && signature != nil
  }
}
