import Crypto
import Identity
import Testing
import Wire

@Suite struct KeyTests {
  let crypto = SystemCrypto.shared

  /// Test vectors of libp2p/specs `peer-ids`.
  static let keys = try! fixture("libp2p-keys.json", as: [String: String].self)

  @Test(arguments: [
    ("rsa_public", PublicKey.Kind.rsa), ("ed25519_public", .ed25519), ("secp256k1_public", .secp256k1), ("ecdsa_public", .ecdsa),
  ])
  func publicKeysOfTheSpecification(name: String, kind: PublicKey.Kind) throws {
    let bytes = hex(Self.keys[name]!)
    let key = try PublicKey(encoded: bytes.rawSpan)
    #expect(key.kind == kind)
    #expect(key.encoded == bytes)
    let peer = PeerID(key, crypto: crypto)
    if bytes.count <= 42 {
      #expect(peer.bytes == [0x00, UInt8(bytes.count)] + bytes)
      #expect(peer.inlinePublicKey == key)
    } else {
      #expect(peer.bytes == [0x12, 0x20] + crypto.sha256(bytes).bytes)
    }
    for cut in 0..<bytes.count {
      let part = Array(bytes[..<cut])
      #expect(throws: IdentityError.self) { try PublicKey(encoded: part.rawSpan) }
    }
  }

  @Test(arguments: ["", "0801", "1200", "08011200", "080112011e", "0804120100", "08021220" + String(repeating: "02", count: 32), "0b"])
  func otherPublicKeysAreRefused(text: String) {
    let bytes = hex(text)
    #expect(throws: IdentityError.self) { try PublicKey(encoded: bytes.rawSpan) }
  }

  @Test func thePrivateKeyOfTheSpecification() throws {
    let bytes = hex(Self.keys["ed25519_private"]!)
    let key = try NodeKey(encoded: bytes, crypto: crypto)
    #expect(Base16.encode(key.publicKey.encoded) == Self.keys["ed25519_public"])
    #expect(key.encoded == bytes)
    #expect(key.peerID.description == "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq")
    let message: [UInt8] = [1, 2, 3]
    #expect(crypto.verify(key.sign(message, crypto: crypto), of: message, by: key.publicKey))
    for cut in 0..<bytes.count {
      #expect(throws: IdentityError.self) { try NodeKey(encoded: Array(bytes[..<cut]), crypto: crypto) }
    }
  }

  @Test func oldPrivateKeysHoldThePublicKeyTwice() throws {
    let key = NodeKey(seed: [UInt8](repeating: 9, count: 32), crypto: crypto)
    let half = key.publicKey.data
    #expect(try NodeKey(encoded: [8, 1, 0x12, 96] + key.seed + half + half, crypto: crypto).peerID == key.peerID)
    for index in 32..<96 {
      var data = key.seed + half + half
      data[index] ^= 1
      #expect(throws: IdentityError.self) { try NodeKey(encoded: [8, 1, 0x12, 96] + data, crypto: crypto) }
    }
  }

  @Test func keysOfOtherTypesAreRefused() {
    for name in ["ecdsa_private", "secp256k1_private"] {
      #expect(throws: IdentityError.self) { try NodeKey(encoded: hex(Self.keys[name]!), crypto: crypto) }
    }
  }

  @Test func whatIsPrintedHoldsNoSecret() {
    let key = NodeKey(seed: [UInt8](repeating: 201, count: 32), crypto: crypto)
    var dumped = ""
    dump(key, to: &dumped)
    for text in ["\(key)", String(reflecting: key), dumped, String(describing: [key])] {
      #expect(!text.contains("201"))
      #expect(text.contains("12D3"))
    }
  }

  @Test func fuzz() {
    let seed: UInt64 = 0x6b65
    var generator = SeededGenerator(seed: seed)
    let keys = Self.keys.filter { $0.key.hasSuffix("public") }.map { hex($0.value) }.sorted { $0.count < $1.count }
    let own = hex(Self.keys["ed25519_private"]!)
    for round in 0..<20_000 {
      let bytes = round & 1 == 0 ? generator.bytes(generator.index(below: 80)) : mutated(keys[round % keys.count], &generator)
      if let key = try? PublicKey(encoded: bytes.rawSpan) {
        let again = key.encoded
        #expect((try? PublicKey(encoded: again.rawSpan)) == key, "seed \(seed), round \(round)")
      }
      if round % 10 == 0, let key = try? NodeKey(encoded: mutated(own, &generator), crypto: crypto) {
        #expect(key.encoded == own, "seed \(seed), round \(round)")
      }
    }
  }
}
