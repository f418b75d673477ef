import CCrypto
import CSecp256k1
import CSodium
import Identity
import Wire

/// What other implementations find where this one refuses. Called for signatures that travel through many stacks.
///
/// **Ed25519**: go-libp2p, rust-libp2p, js-libp2p and OpenSSL check the equation of RFC 8032 without the cofactor and take keys and R of
/// small order, which libsodium refuses; others check it with the cofactor (ZIP 215), or take S beyond the group order. They agree
/// where the key and R are points of the prime-order group, in canonical form, and S is below the order.
/// **secp256k1**: they agree where the key and the signature's DER can be read. **RSA, ECDSA**: stacks differ on sizes,
/// exponents, curves and encodings, so that a refusal here is never sure to be everybody's.
extension SystemCrypto {
  /// Judges a signature as the network does.
  public func judge(_ signature: RawSpan, of message: RawSpan, by key: PublicKey) -> SignatureVerdict {
    if verify(signature, of: message, by: key) { return .good }
    switch key.kind {
    case .ed25519:
      guard key.data.count == 32, signature.byteCount == 64 else { return .bad }
      let proof = [UInt8](signature)
      if isBelowGroupOrder(proof[32...]) && crypto_core_ed25519_is_valid_point(proof) == 1
        && crypto_core_ed25519_is_valid_point(key.data) == 1
      {
        return .bad
      }
      return isGoodForOpenSSL(proof, message, key.data) ? .good : .disputed
    case .secp256k1: return isReadableSecp256k1(signature, key.data) ? .bad : .disputed
    case .rsa, .ecdsa: return .disputed
    }
  }

  /// OpenSSL's check of Ed25519 is go's: no cofactor, R compared by its bytes, any key that is a point.
  private func isGoodForOpenSSL(_ signature: [UInt8], _ message: RawSpan, _ key: [UInt8]) -> Bool {
    defer { ERR_clear_error() }
    guard let parsed = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, key, key.count) else { return false }
    defer { EVP_PKEY_free(parsed) }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    guard EVP_DigestVerifyInit(context, nil, nil, nil, parsed) == 1 else { return false }
    return message.withUnsafeBytes { message in
      EVP_DigestVerify(
        context, signature, signature.count, message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
    }
  }

  private func isReadableSecp256k1(_ signature: RawSpan, _ key: [UInt8]) -> Bool {
    let context = Libraries.shared.secp256k1
    var point = secp256k1_pubkey()
    var parsed = secp256k1_ecdsa_signature()
    guard key.count == 33, secp256k1_ec_pubkey_parse(context, &point, key, key.count) == 1 else { return false }
    let bytes = [UInt8](signature)
    return !bytes.isEmpty && secp256k1_ecdsa_signature_parse_der(context, &parsed, bytes, bytes.count) == 1
  }

  private func isBelowGroupOrder(_ scalar: ArraySlice<UInt8>) -> Bool {
    scalar.reversed().lexicographicallyPrecedes(Self.groupOrder)
  }

  /// 2^252 + 27742317777372353535851937790883648493, most significant byte first.
  private static let groupOrder: [UInt8] =
    [0x10] + [UInt8](repeating: 0, count: 15) + [
      0x14, 0xde, 0xf9, 0xde, 0xa2, 0xf7, 0x9c, 0xd6, 0x58, 0x12, 0x63, 0x1a, 0x5c, 0xf5, 0xd3, 0xed,
    ]
}
