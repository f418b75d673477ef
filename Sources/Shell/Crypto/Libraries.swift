import CCrypto
import CSecp256k1
import CSodium

/// What the C libraries give once per process: algorithms looked up by name, and a context. Never freed, never written to.
struct Libraries: Sendable {
  static let shared = Libraries()

  /// OpenSSL's ChaCha20-Poly1305. Fetching it again for each link would cost more than a handshake's hashing.
  nonisolated(unsafe) let chaChaPoly: OpaquePointer
  /// OpenSSL's SHA-256, for signatures.
  nonisolated(unsafe) let sha256: OpaquePointer
  /// A context that can verify; libsecp256k1 allows concurrent use of one that nobody changes.
  nonisolated(unsafe) let secp256k1: OpaquePointer

  private init() {
    precondition(sodium_init() >= 0, "libsodium cannot be initialised: the system has no source of randomness")
    guard let cipher = EVP_CIPHER_fetch(nil, "ChaCha20-Poly1305", nil), let digest = EVP_MD_fetch(nil, "SHA256", nil) else {
      preconditionFailure("this OpenSSL offers no ChaCha20-Poly1305 or no SHA-256: is it limited to a FIPS provider?")
    }
    guard let context = secp256k1_context_create(UInt32(SECP256K1_FLAGS_TYPE_CONTEXT)) else {
      preconditionFailure("libsecp256k1 gives no context")
    }
    chaChaPoly = cipher
    sha256 = digest
    secp256k1 = context
  }
}
