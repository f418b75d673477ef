import Crypto
import Testing
import Wire

@Suite struct HashTests {
  let crypto = SystemCrypto.shared

  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func sha256OfFIPSExamples(text: String, digest: String) {
    #expect(crypto.sha256(Array(text.utf8)).hex == digest)
  }

  @Test func sha256OfAMillionLetters() {
    let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(crypto.sha256(bytes).hex == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  /// RFC 4231, test cases 1, 2, 3 and 6.
  @Test(arguments: [
    (String(repeating: "0b", count: 20), "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
      "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ),
    (
      String(repeating: "aa", count: 20), String(repeating: "dd", count: 50),
      "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
    ),
    (
      String(repeating: "aa", count: 131),
      "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b6579204669727374",
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    ),
  ])
  func hmacOfRFC4231(key: String, data: String, tag: String) {
    #expect(Base16.encode(crypto.hmacSHA256(key: hex(key), hex(data))) == tag)
  }

  @Test func hmacWithoutBytes() {
    #expect(
      Base16.encode(crypto.hmacSHA256(key: [], [])) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
  }

  @Test func randomBytesHaveTheirCountAndDiffer() {
    for count in [0, 1, 31, 32, 1000] { #expect(crypto.randomBytes(count).count == count) }
    #expect(crypto.randomBytes(32) != crypto.randomBytes(32))
  }
}
