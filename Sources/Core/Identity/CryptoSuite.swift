import Wire

/// The one seam through which cryptography enters the pure core.
///
/// The real suite (`Crypto.SystemCrypto`) is built on OpenSSL, libsodium and libsecp256k1; the simulator has a cheap one.
/// A suite is safe to use from any thread. No member reads a clock; only ``randomBytes(_:)`` is not a function of its arguments,
/// and the simulator's suite draws even those from its seed.
public protocol CryptoSuite: AnyObject, Sendable {
  /// SHA-256 of the bytes (FIPS 180-4).
  func sha256(_ bytes: RawSpan) -> Hash256

  /// HMAC-SHA-256 (RFC 2104), for Noise's key derivation.
  func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8]

  /// The 32-byte Ed25519 public key of a 32-byte seed.
  func ed25519PublicKey(seed: [UInt8]) -> [UInt8]

  /// The 64-byte Ed25519 signature of `message` under a 32-byte seed (RFC 8032).
  func ed25519Sign(_ message: RawSpan, seed: [UInt8], publicKey: [UInt8]) -> [UInt8]

  /// Whether `signature` over `message` is `key`'s: Ed25519, secp256k1 (DER, over SHA-256), ECDSA P-256 (DER, over SHA-256)
  /// or RSA (PKCS#1 v1.5, SHA-256, 2048 to 8192 bits). False for any malformed key or signature; never traps.
  func verify(_ signature: RawSpan, of message: RawSpan, by key: PublicKey) -> Bool

  /// Judges a signature as the network does, where what one stack finds good travels through all of them. As ``verify(_:of:by:)`` by
  /// default.
  func judge(_ signature: RawSpan, of message: RawSpan, by key: PublicKey) -> SignatureVerdict

  /// The X25519 public key of a 32-byte secret (RFC 7748).
  func x25519PublicKey(secret: [UInt8]) -> [UInt8]

  /// The X25519 shared secret, or `nil` when the result is all zero (a low-order point).
  func x25519(secret: [UInt8], publicKey: [UInt8]) -> [UInt8]?

  /// A ChaCha20-Poly1305 key (RFC 8439) with its own reusable context; used by one thread at a time.
  func makeCipher(key: [UInt8]) -> any FrameCipher

  /// The XSalsa20 key stream of a 32-byte key and a 24-byte nonce, from its beginning; used by one thread at a time.
  func makeStreamCipher(key: [UInt8], nonce: [UInt8]) -> any StreamCipher

  /// `count` bytes that nobody can predict.
  func randomBytes(_ count: Int) -> [UInt8]
}

/// How a signature stands with all the implementations that peers may use.
public enum SignatureVerdict: Hashable, Sendable {
  /// It is the key's: go-libp2p, the network's reference, finds so.
  case good
  /// It is not, but implementations differ on keys or signatures of this form.
  case disputed
  /// It is not, and no implementation finds otherwise.
  case bad
}

/// One direction of an encrypted channel: ChaCha20-Poly1305 with a caller-supplied 64-bit counter as nonce
/// (four zero bytes, then the counter, little endian: Noise specification section 12).
public protocol FrameCipher: AnyObject {
  /// Encrypts `count` bytes at `bytes` in place and writes the 16-byte tag right behind them.
  /// The memory holds at least `count + 16` bytes.
  func seal(_ bytes: UnsafeMutableRawPointer, count: Int, counter: UInt64, associatedData: [UInt8])

  /// Decrypts in place `count` bytes, the last 16 of which are the tag. False when the tag does not match; the
  /// memory then holds nothing of use.
  func open(_ bytes: UnsafeMutableRawPointer, count: Int, counter: UInt64, associatedData: [UInt8]) -> Bool
}

/// One direction of a stream that is encrypted without being authenticated (XSalsa20).
public protocol StreamCipher: AnyObject {
  /// Combines the next bytes of the key stream with the bytes in place: encrypts, and decrypts.
  func apply(_ bytes: UnsafeMutableRawPointer, count: Int)
}

extension CryptoSuite {
  /// ``verify(_:of:by:)``, without doubt either way.
  public func judge(_ signature: RawSpan, of message: RawSpan, by key: PublicKey) -> SignatureVerdict {
    verify(signature, of: message, by: key) ? .good : .bad
  }

  /// SHA-256 of an array.
  public func sha256(_ bytes: [UInt8]) -> Hash256 { sha256(bytes.rawSpan) }

  /// Whether `signature` over `message` is `key`'s, for arrays.
  public func verify(_ signature: [UInt8], of message: [UInt8], by key: PublicKey) -> Bool {
    verify(signature.rawSpan, of: message.rawSpan, by: key)
  }
}
