import CCrypto
import CSecp256k1
import CSodium
import Identity
import Wire

/// The rules of signatures. Nodes that must agree on which messages are valid rely on them, so they are pinned here:
///
/// - **Ed25519** (RFC 8032 section 5.1.7, libsodium's reading): S below the group order; neither the key nor R of small order;
///   the key in canonical form; the equation without the cofactor. Go accepts small-order and non-canonical keys besides,
///   which no honest signer makes.
/// - **secp256k1**: key of 33 bytes; strict DER; R and S below the order; high S accepted, as Go does.
/// - **ECDSA**: SPKI of exactly 91 bytes for P-256 with an uncompressed point; strict DER of the signature.
/// - **RSA**: SPKI without trailing bytes; 2,048 to 8,192 bits; an exponent up to 31 bits, so that nobody can make a
///   verification dear; PKCS#1 v1.5 with SHA-256.
extension SystemCrypto {
  /// Whether `signature` over `message` is `key`'s. False for any malformed key or signature.
  public func verify(_ signature: RawSpan, of message: RawSpan, by key: PublicKey) -> Bool {
    switch key.kind {
    case .ed25519: verifyEd25519(signature, message, key.data)
    case .secp256k1: verifySecp256k1(signature, message, key.data)
    case .ecdsa: key.data.starts(with: Self.p256Prefix) && key.data.count == 91 && verifyOpenSSL(signature, message, key)
    case .rsa: verifyOpenSSL(signature, message, key)
    }
  }

  private func verifyEd25519(_ signature: RawSpan, _ message: RawSpan, _ key: [UInt8]) -> Bool {
    guard key.count == 32, signature.byteCount == 64 else { return false }
    return signature.withUnsafeBytes { signature in
      message.withUnsafeBytes { message in
        crypto_sign_verify_detached(
          signature.baseAddress!.assumingMemoryBound(to: UInt8.self), message.baseAddress?.assumingMemoryBound(to: UInt8.self),
          UInt64(message.count), key) == 0
      }
    }
  }

  private func verifySecp256k1(_ signature: RawSpan, _ message: RawSpan, _ key: [UInt8]) -> Bool {
    guard key.count == 33, signature.byteCount >= 8, signature.byteCount <= 72 else { return false }
    let context = Libraries.shared.secp256k1
    var point = secp256k1_pubkey()
    var parsed = secp256k1_ecdsa_signature()
    guard secp256k1_ec_pubkey_parse(context, &point, key, key.count) == 1 else { return false }
    let readable = signature.withUnsafeBytes { bytes in
      secp256k1_ecdsa_signature_parse_der(context, &parsed, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), bytes.count) == 1
    }
    guard readable else { return false }
    // libsecp256k1 accepts only the lower of the two S; the peers that signed need not have normalised it.
    var normalised = secp256k1_ecdsa_signature()
    secp256k1_ecdsa_signature_normalize(context, &normalised, &parsed)
    return secp256k1_ecdsa_verify(context, &normalised, sha256(message).bytes, &point) == 1
  }

  private func verifyOpenSSL(_ signature: RawSpan, _ message: RawSpan, _ key: PublicKey) -> Bool {
    // The libraries leave reasons in a queue of the thread, which nobody reads.
    defer { ERR_clear_error() }
    guard key.data.count <= 2048, signature.byteCount > 0, signature.byteCount <= 1024 else { return false }
    let parsed = key.data.withUnsafeBufferPointer { buffer -> OpaquePointer? in
      guard let start = buffer.baseAddress else { return nil }
      var cursor: UnsafePointer<UInt8>? = start
      guard let parsed = d2i_PUBKEY(nil, &cursor, buffer.count) else { return nil }
      if cursor == start + buffer.count { return parsed }
      EVP_PKEY_free(parsed)
      return nil
    }
    guard let parsed else { return false }
    defer { EVP_PKEY_free(parsed) }
    switch key.kind {
    case .rsa: guard isAcceptableRSA(parsed) else { return false }
    default: guard EVP_PKEY_get_base_id(parsed) == EVP_PKEY_EC else { return false }
    }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    guard EVP_DigestVerifyInit(context, nil, Libraries.shared.sha256, nil, parsed) == 1 else { return false }
    return signature.withUnsafeBytes { signature in
      message.withUnsafeBytes { message in
        EVP_DigestVerify(
          context, signature.baseAddress?.assumingMemoryBound(to: UInt8.self), signature.count,
          message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
      }
    }
  }

  private func isAcceptableRSA(_ key: OpaquePointer) -> Bool {
    guard EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA, (2048...8192).contains(EVP_PKEY_get_bits(key)) else { return false }
    var exponent: OpaquePointer?
    guard EVP_PKEY_get_bn_param(key, "e", &exponent) == 1 else { return false }
    defer { BN_free(exponent) }
    return BN_num_bits(exponent) <= 31
  }

  /// SubjectPublicKeyInfo of an uncompressed point on P-256, up to the point's coordinates (RFC 5480).
  private static let p256Prefix: [UInt8] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00, 0x04,
  ]
}
