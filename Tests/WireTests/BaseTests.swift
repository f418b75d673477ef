import Testing
import Wire

@Suite struct BaseTests {
  /// From the base58 Internet draft (draft-msporny-base58) and Bitcoin Core's vectors.
  @Test(arguments: [
    ("", ""), ("00", "1"), ("61", "2g"), ("626262", "a3gV"), ("636363", "aPEr"), ("516b6fcd0f", "ABnLTmg"), ("10c8511e", "Rt5zm"),
    ("48656c6c6f20576f726c6421", "2NEpo7TZRRrLZSi2U"), ("0000287fb4cd", "11233QC4"), ("00000000000000000000", "1111111111"),
    ("73696d706c792061206c6f6e6720737472696e67", "2cFupjhnEsSn59qHXstmK2ffpLv2"),
    ("00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"),
  ])
  func base58(bytes: String, text: String) {
    #expect(Base58.encode(Base16.decode(bytes)!) == text)
    #expect(Base58.decode(text) == Base16.decode(bytes))
  }

  @Test(arguments: ["0", "O", "I", "l", "a b", "é", "2NEpo7TZRRrLZSi2U!"])
  func notBase58(text: String) { #expect(Base58.decode(text) == nil) }

  /// RFC 4648 section 10, in lower case without padding.
  @Test(arguments: [
    ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb"), ("foobar", "mzxw6ytboi"),
  ])
  func base32(plain: String, text: String) {
    #expect(Base32.encode(Array(plain.utf8)) == text)
    #expect(Base32.decode(text) == Array(plain.utf8))
    #expect(Base32.decode(text.uppercased()) == Array(plain.utf8))
  }

  @Test(arguments: ["m", "mzx", "mzxw6y", "mz", "mzxr", "mzxw6===", "m1", "m0", "m8", "mzxw 6"])
  func notBase32(text: String) { #expect(Base32.decode(text) == nil) }

  @Test(arguments: [
    ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"),
  ])
  func base64URL(plain: String, text: String) {
    #expect(Base64URL.encode(Array(plain.utf8)) == text)
    #expect(Base64URL.decode(text) == Array(plain.utf8))
  }

  @Test func base64URLUsesItsOwnTwoCharacters() { #expect(Base64URL.encode([0xfb, 0xff, 0xbf]) == "-_-_") }

  @Test(arguments: ["Z", "Zh", "Zg==", "Zm8+", "Zm8/", "Zm9vY"])
  func notBase64URL(text: String) { #expect(Base64URL.decode(text) == nil) }

  /// From the multibase specification's test vectors.
  @Test(arguments: [
    "f796573206d616e692021", "F796573206D616E692021", "bpfsxgidnmfxgsibb", "BPFSXGIDNMFXGSIBB", "k2lcpzo5yikidynfl", "K2LCPZO5YIKIDYNFL",
    "z7paNL19xttacUY", "ueWVzIG1hbmkgIQ",
  ])
  func multibase(text: String) { #expect(Multibase.decode(text) == Array("yes mani !".utf8)) }

  @Test(arguments: ["", "x00", "f0", "b1", "k!", "z0", "u="])
  func notMultibase(text: String) { #expect(Multibase.decode(text) == nil) }

  @Test func base16ReadsEitherCaseAndNothingElse() {
    #expect(Base16.decode("00fFAb") == [0, 0xff, 0xab])
    #expect(Base16.encode([0, 0xff, 0xab] as [UInt8]) == "00ffab")
    for text in ["0", "0g", " 0", "0x", "é"] { #expect(Base16.decode(text) == nil) }
  }

  @Test func allBasesGiveBackWhatTheyWereGiven() {
    var generator = SeededGenerator(seed: 58)
    for _ in 0..<5_000 {
      let bytes = [UInt8](repeating: 0, count: generator.index(below: 3)) + generator.bytes(generator.index(below: 24))
      #expect(Base58.decode(Base58.encode(bytes)) == bytes)
      #expect(Base36.decode(Base36.encode(bytes)) == bytes)
      #expect(Base32.decode(Base32.encode(bytes)) == bytes)
      #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
      #expect(Base16.decode(Base16.encode(bytes)) == bytes)
    }
  }

  @Test func randomTextNeverTrapsAndHasOneSpelling() {
    var generator = SeededGenerator(seed: 59)
    for _ in 0..<20_000 {
      let text = String(decoding: generator.bytes(generator.index(below: 12)).map { $0 & 0x7f }, as: UTF8.self)
      if let bytes = Base58.decode(text) { #expect(Base58.encode(bytes) == text) }
      if let bytes = Base32.decode(text) { #expect(Base32.encode(bytes) == text.lowercased()) }
      if let bytes = Base64URL.decode(text) { #expect(Base64URL.encode(bytes) == text) }
      _ = Multibase.decode(text)
    }
  }
}
