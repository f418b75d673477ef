import Crypto
import Identity
import Testing
import Wire

@Suite struct CipherTests {
  struct Vector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let key: String
    let counter: String
    let aad: String
    let plaintext: String
    let sealed: String
    var testDescription: String { name }
  }

  static func seal(_ cipher: any FrameCipher, _ text: [UInt8], _ counter: UInt64, _ data: [UInt8] = []) -> [UInt8] {
    var frame = text + [UInt8](repeating: 0xee, count: 16)
    frame.withUnsafeMutableBytes { cipher.seal($0.baseAddress!, count: text.count, counter: counter, associatedData: data) }
    return frame
  }

  static func open(_ cipher: any FrameCipher, _ frame: [UInt8], _ counter: UInt64, _ data: [UInt8] = []) -> [UInt8]? {
    var frame = frame
    // An empty array has no memory to point at.
    frame.append(0)
    let count = frame.count - 1
    let good = frame.withUnsafeMutableBytes { cipher.open($0.baseAddress!, count: count, counter: counter, associatedData: data) }
    return good ? Array(frame[..<(count - 16)]) : nil
  }

  /// RFC 8439 appendix A.5, and vectors made with another implementation (Python's `cryptography`).
  @Test(arguments: try! fixture("chacha20poly1305.json", as: [Vector].self))
  func vectors(vector: Vector) {
    let cipher = SystemCrypto.shared.makeCipher(key: hex(vector.key))
    let counter = UInt64(vector.counter)!
    #expect(Base16.encode(Self.seal(cipher, hex(vector.plaintext), counter, hex(vector.aad))) == vector.sealed)
    #expect(Self.open(cipher, hex(vector.sealed), counter, hex(vector.aad)) == hex(vector.plaintext))
  }

  @Test func anyChangeIsNoticed() {
    let cipher = SystemCrypto.shared.makeCipher(key: [UInt8](repeating: 3, count: 32))
    let text = Array("a frame of some length, over one block of the cipher, so that every part is reached".utf8)
    let frame = Self.seal(cipher, text, 5, [1, 2])
    for index in frame.indices {
      var changed = frame
      changed[index] ^= 0x40
      #expect(Self.open(cipher, changed, 5, [1, 2]) == nil)
    }
    for count in 0..<frame.count { #expect(Self.open(cipher, Array(frame[..<count]), 5, [1, 2]) == nil) }
    #expect(Self.open(cipher, frame, 6, [1, 2]) == nil)
    #expect(Self.open(cipher, frame, 5, [1]) == nil)
    #expect(Self.open(cipher, frame, 5) == nil)
    // A refused frame leaves the cipher as good as it was.
    #expect(Self.open(cipher, frame, 5, [1, 2]) == text)
  }

  @Test func oneCipherSealsAndOpensInTurn() {
    var generator = SeededGenerator(seed: 11)
    let cipher = SystemCrypto.shared.makeCipher(key: generator.bytes(32))
    for counter in 0..<300 as Range<UInt64> {
      let text = generator.bytes(generator.index(below: 600))
      let data = generator.bytes(generator.index(below: 40))
      #expect(Self.open(cipher, Self.seal(cipher, text, counter, data), counter, data) == text)
    }
  }
}
