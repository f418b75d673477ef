import Crypto
import Identity
import Testing
import Wire

@Suite struct CurveTests {
  let crypto = SystemCrypto.shared

  /// RFC 8032 section 7.1, tests 1 to 3.
  @Test(arguments: [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
  ])
  func ed25519OfRFC8032(seed: String, publicKey: String, message: String, signature: String) {
    let key = crypto.ed25519PublicKey(seed: hex(seed))
    #expect(Base16.encode(key) == publicKey)
    let message = hex(message)
    let made = crypto.ed25519Sign(message.rawSpan, seed: hex(seed), publicKey: key)
    #expect(Base16.encode(made) == signature)
    #expect(crypto.verify(made, of: message, by: PublicKey(kind: .ed25519, data: key)))
    let other = message + [0]
    #expect(!crypto.verify(made, of: other, by: PublicKey(kind: .ed25519, data: key)))
  }

  /// RFC 7748 section 5.2.
  @Test(arguments: [
    (
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    ),
    (
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    ),
  ])
  func x25519OfRFC7748(secret: String, point: String, result: String) {
    #expect(crypto.x25519(secret: hex(secret), publicKey: hex(point)).map { Base16.encode($0) } == result)
  }

  /// RFC 7748 section 6.1.
  @Test func keyAgreementOfRFC7748() {
    let alice = hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    let bob = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    let alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    let bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    #expect(Base16.encode(crypto.x25519PublicKey(secret: alice)) == alicePublic)
    #expect(Base16.encode(crypto.x25519PublicKey(secret: bob)) == bobPublic)
    let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    #expect(crypto.x25519(secret: alice, publicKey: hex(bobPublic)).map { Base16.encode($0) } == shared)
    #expect(crypto.x25519(secret: bob, publicKey: hex(alicePublic)).map { Base16.encode($0) } == shared)
  }

  @Test(arguments: [
    String(repeating: "00", count: 32), "01" + String(repeating: "00", count: 31),
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "00", "",
  ])
  func lowOrderAndShortPointsGiveNothing(point: String) {
    #expect(crypto.x25519(secret: [UInt8](repeating: 7, count: 32), publicKey: hex(point)) == nil)
  }
}
