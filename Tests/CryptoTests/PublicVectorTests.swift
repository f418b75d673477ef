import Crypto
import Identity
import Testing
import Wire

/// Vectors that others made (`Tests/Fixtures/Public`).
@Suite struct PublicVectorTests {
  private struct Signed: Decodable {
    let id: Int
    let about: String
    let result: String
    let key: String
    let message: String
    let signature: String
  }

  private struct Agreement: Decodable {
    let id: Int
    let about: String
    let result: String
    let secret: String
    let key: String
    let shared: String
  }

  private struct Sealed: Decodable {
    let id: Int
    let key: String
    let nonce: String
    let aad: String
    let plaintext: String
    let sealed: String
  }

  private struct Tagged: Decodable {
    let id: Int
    let result: String
    let key: String
    let message: String
    let tag: String
  }

  private struct Reference: Decodable {
    let seed: String
    let key: String
    let message: String
    let signature: String
  }

  /// Wycheproof calls some signatures "acceptable", in which old encoders went wrong; this project refuses those, as Go does. Two of RSA are
  /// ordinary ones all the same: numbers close to the modulus, and small ones with zeroes in front.
  @Test(arguments: [
    ("wycheproof-ed25519.json", PublicKey.Kind.ed25519), ("wycheproof-secp256k1.json", .secp256k1), ("wycheproof-p256.json", .ecdsa),
    ("wycheproof-rsa.json", .rsa),
  ])
  func signatures(file: String, kind: PublicKey.Kind) throws {
    let vectors = try fixture("Public/" + file, as: [Signed].self)
    #expect(vectors.contains { $0.result == "valid" })
    #expect(vectors.contains { $0.result == "invalid" })
    for vector in vectors {
      let expected = vector.result == "valid" || vector.result == "acceptable" && !vector.about.hasPrefix("Legacy:")
      let verdict = SystemCrypto.shared.verify(
        hex(vector.signature), of: hex(vector.message), by: PublicKey(kind: kind, data: hex(vector.key)))
      #expect(verdict == expected, "\(file) \(vector.id): \(vector.about) (\(vector.result))")
    }
  }

  @Test func ed25519Signs() throws {
    for vector in try fixture("Public/ed25519-reference.json", as: [Reference].self) {
      let (seed, message) = (hex(vector.seed), hex(vector.message))
      let key = SystemCrypto.shared.ed25519PublicKey(seed: seed)
      #expect(key == hex(vector.key))
      let signature = SystemCrypto.shared.ed25519Sign(message.rawSpan, seed: seed, publicKey: key)
      #expect(signature == hex(vector.signature))
      #expect(SystemCrypto.shared.verify(signature, of: message, by: PublicKey(kind: .ed25519, data: key)))
    }
  }

  /// A shared secret of zero says that the key was of low order, and is refused (Noise specification, section 12).
  @Test func x25519() throws {
    let vectors = try fixture("Public/wycheproof-x25519.json", as: [Agreement].self)
    #expect(vectors.contains { $0.about == "public key with low order" })
    for vector in vectors {
      let expected = hex(vector.shared)
      let shared = SystemCrypto.shared.x25519(secret: hex(vector.secret), publicKey: hex(vector.key))
      #expect(shared == (expected.allSatisfy { $0 == 0 } ? nil : expected), "\(vector.id): \(vector.about)")
    }
  }

  @Test func chaCha20Poly1305() throws {
    for vector in try fixture("Public/wycheproof-chacha20poly1305.json", as: [Sealed].self) {
      let cipher = SystemCrypto.shared.makeCipher(key: hex(vector.key))
      let counter = hex(vector.nonce)[4...].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      #expect(CipherTests.seal(cipher, hex(vector.plaintext), counter, hex(vector.aad)) == hex(vector.sealed), "\(vector.id)")
      #expect(CipherTests.open(cipher, hex(vector.sealed), counter, hex(vector.aad)) == hex(vector.plaintext), "\(vector.id)")
    }
  }

  @Test func hmac() throws {
    for vector in try fixture("Public/wycheproof-hmac.json", as: [Tagged].self) {
      let tag = hex(vector.tag)
      let whole = SystemCrypto.shared.hmacSHA256(key: hex(vector.key), hex(vector.message))
      #expect((Array(whole[..<tag.count]) == tag) == (vector.result == "valid"), "\(vector.id)")
    }
  }
}
