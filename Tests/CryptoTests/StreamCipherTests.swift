import Crypto
import Identity
import Testing
import Wire

@Suite struct StreamCipherTests {
  static let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
  static let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
  /// The first 32 bytes stand in NaCl's own tests (`stream3`); the whole was made with another implementation (`Interop/pnet.py`).
  static let stream = hex(
    "eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880309e645a74e9e0a60d8243acd9177ab51a1beb8d5a2f5d700c093c5e55855796"
      + "25337bd3ab619d615760d8c5b224a85b1d0efe0eb8a7ee163abb0376529fcc09bab506c618e13ce777d82c3ae9d1a6f972d4160287cbfe60bf2130fc0a6ff604"
      + "9d0a5c8a82f429231f008082e845d7e189d37f9ed2b464e6b919e6523a8c1210bd52a02a4c3fe406d3085f5068d1909eeeca6369abc981a42e87fe665583f0ab"
      + "85ae71f6f84f528e")

  static func apply(_ cipher: any StreamCipher, _ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    let count = bytes.count
    bytes.append(0)
    bytes.withUnsafeMutableBytes { cipher.apply($0.baseAddress!, count: count) }
    return Array(bytes.dropLast())
  }

  @Test func vector() {
    let cipher = SystemCrypto.shared.makeStreamCipher(key: Self.key, nonce: Self.nonce)
    #expect(Self.apply(cipher, [UInt8](repeating: 0, count: 200)) == Self.stream)
  }

  /// However the bytes are cut, the stream is the same one.
  @Test func everyCut() {
    var generator = SeededGenerator(seed: 5)
    let text = generator.bytes(10_000)
    let whole = Self.apply(SystemCrypto.shared.makeStreamCipher(key: Self.key, nonce: Self.nonce), text)
    #expect(zip(text, whole).prefix(200).map { $0 ^ $1 } == Self.stream)
    for maximum in [1, 2, 63, 64, 65, 127, 128, 200, 4_000] {
      let cipher = SystemCrypto.shared.makeStreamCipher(key: Self.key, nonce: Self.nonce)
      var rest = text[...]
      var result: [UInt8] = []
      while !rest.isEmpty {
        let part = rest.prefix(generator.index(below: maximum + 1))
        result += Self.apply(cipher, Array(part))
        rest = rest.dropFirst(part.count)
      }
      #expect(result == whole, "pieces of up to \(maximum) bytes")
    }
  }
}
