import CCrypto
import CSodium
import Identity
import Wire

/// The real cryptography: OpenSSL 3 (SHA-256, ChaCha20-Poly1305, ECDSA, RSA), libsodium (Ed25519, X25519, XSalsa20, randomness)
/// and libsecp256k1.
///
/// Holds no state of its own, so every instance may be used from any thread and all of them are alike.
/// Secrets of the wrong length given by this program trap; keys, signatures and points that came from a peer never do.
public final class SystemCrypto: CryptoSuite, Sendable {
  /// An instance for everybody.
  public static let shared = SystemCrypto()

  /// Makes a suite. The first one of the process opens the libraries; it traps if one of them cannot be opened.
  public init() { _ = Libraries.shared }

  /// SHA-256 of the bytes. Uses OpenSSL's low-level calls with the state on the stack: the one-shot forms look
  /// the algorithm up on each call and cost five times as much for 32 bytes.
  public func sha256(_ bytes: RawSpan) -> Hash256 {
    var state = SHA256_CTX()
    SHA256_Init(&state)
    bytes.withUnsafeBytes { _ = SHA256_Update(&state, $0.baseAddress, $0.count) }
    return digest(&state)
  }

  /// HMAC-SHA-256 (RFC 2104) for a key of any length.
  public func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
    let blockBytes = 64
    var block = key.count > blockBytes ? sha256(key.rawSpan).bytes : key
    block.append(contentsOf: repeatElement(0, count: blockBytes - block.count))
    var state = SHA256_CTX()
    for index in block.indices { block[index] ^= 0x36 }
    SHA256_Init(&state)
    SHA256_Update(&state, block, blockBytes)
    SHA256_Update(&state, bytes, bytes.count)
    let inner = digest(&state).bytes
    for index in block.indices { block[index] ^= 0x36 ^ 0x5c }
    SHA256_Init(&state)
    SHA256_Update(&state, block, blockBytes)
    SHA256_Update(&state, inner, inner.count)
    return digest(&state).bytes
  }

  private func digest(_ state: inout SHA256_CTX) -> Hash256 {
    var output: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    return withUnsafeMutableBytes(of: &output) { buffer in
      SHA256_Final(buffer.baseAddress!.assumingMemoryBound(to: UInt8.self), &state)
      return Hash256(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(buffer)))!
    }
  }

  /// The Ed25519 public key of a seed, which must have 32 bytes.
  public func ed25519PublicKey(seed: [UInt8]) -> [UInt8] {
    precondition(seed.count == 32, "an Ed25519 seed has 32 bytes, not \(seed.count)")
    var publicKey = [UInt8](repeating: 0, count: 32)
    var secretKey = [UInt8](repeating: 0, count: 64)
    crypto_sign_seed_keypair(&publicKey, &secretKey, seed)
    sodium_memzero(&secretKey, 64)
    return publicKey
  }

  /// The Ed25519 signature of a message. `publicKey` must be the seed's: a signature made with another one gives the secret away.
  public func ed25519Sign(_ message: RawSpan, seed: [UInt8], publicKey: [UInt8]) -> [UInt8] {
    precondition(seed.count == 32 && publicKey.count == 32, "an Ed25519 seed and public key have 32 bytes each")
    var secretKey: [UInt8] = []
    secretKey.reserveCapacity(64)
    secretKey.append(contentsOf: seed)
    secretKey.append(contentsOf: publicKey)
    var signature = [UInt8](repeating: 0, count: 64)
    message.withUnsafeBytes { bytes in
      _ = crypto_sign_detached(&signature, nil, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count), secretKey)
    }
    sodium_memzero(&secretKey, 64)
    return signature
  }

  /// The X25519 public key of a secret, which must have 32 bytes.
  public func x25519PublicKey(secret: [UInt8]) -> [UInt8] {
    precondition(secret.count == 32, "an X25519 secret has 32 bytes, not \(secret.count)")
    var publicKey = [UInt8](repeating: 0, count: 32)
    crypto_scalarmult_curve25519_base(&publicKey, secret)
    return publicKey
  }

  /// The X25519 shared secret; `nil` when the remote's point has low order or not 32 bytes.
  public func x25519(secret: [UInt8], publicKey: [UInt8]) -> [UInt8]? {
    precondition(secret.count == 32, "an X25519 secret has 32 bytes, not \(secret.count)")
    guard publicKey.count == 32 else { return nil }
    var shared = [UInt8](repeating: 0, count: 32)
    return crypto_scalarmult_curve25519(&shared, secret, publicKey) == 0 ? shared : nil
  }

  /// A ChaCha20-Poly1305 key, which must have 32 bytes.
  public func makeCipher(key: [UInt8]) -> any FrameCipher { ChaChaPolyCipher(key: key) }

  /// An XSalsa20 key stream; the key must have 32 bytes, the nonce 24.
  public func makeStreamCipher(key: [UInt8], nonce: [UInt8]) -> any StreamCipher { XSalsa20Cipher(key: key, nonce: nonce) }

  /// Bytes of the operating system's generator, through libsodium.
  public func randomBytes(_ count: Int) -> [UInt8] {
    precondition(count >= 0, "\(count) random bytes")
    var bytes = [UInt8](repeating: 0, count: count)
    if count > 0 { randombytes_buf(&bytes, count) }
    return bytes
  }
}
