import Crypto
import Identity
import Testing
import Wire

@Suite struct SignatureTests {
  /// Made with Python's `cryptography`; the bad ones are bad in one respect each.
  struct Vector: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let kind: UInt64
    let key: String
    let message: String
    let signature: String
    let valid: Bool
    var testDescription: String { name }
    var publicKey: PublicKey { PublicKey(kind: PublicKey.Kind(rawValue: kind)!, data: hex(key)) }
  }

  static let vectors = try! fixture("signatures.json", as: [Vector].self)

  @Test(arguments: vectors)
  func verdict(vector: Vector) {
    let signature = hex(vector.signature)
    let message = hex(vector.message)
    #expect(SystemCrypto.shared.verify(signature, of: message, by: vector.publicKey) == vector.valid)
  }

  @Test func everyKindHasAGoodAndABadVector() {
    for kind in PublicKey.Kind.allCases {
      let verdicts = Set(Self.vectors.filter { $0.kind == kind.rawValue }.map(\.valid))
      #expect(verdicts == [true, false], "\(kind)")
    }
  }

  @Test func mutatedInputsAreRefusedAndNeverTrap() {
    let seed: UInt64 = 0x5163_6e61
    var generator = SeededGenerator(seed: seed)
    let good = Self.vectors.filter(\.valid)
    for round in 0..<20_000 {
      let vector = good[generator.index(below: good.count)]
      var key = hex(vector.key)
      var signature = hex(vector.signature)
      let message = hex(vector.message)
      if generator.next() & 1 == 0 { key = mutated(key, &generator) } else { signature = mutated(signature, &generator) }
      let changed = key != hex(vector.key) || signature != hex(vector.signature)
      let verdict = SystemCrypto.shared.verify(
        signature, of: message, by: PublicKey(kind: vector.publicKey.kind, data: key))
      if verdict == changed { Issue.record("seed \(seed), round \(round), \(vector.name)") }
    }
  }

  @Test func randomInputsAreRefusedAndNeverTrap() {
    var generator = SeededGenerator(seed: 77)
    for _ in 0..<20_000 {
      let kind = PublicKey.Kind.allCases[generator.index(below: 4)]
      let key = PublicKey(kind: kind, data: generator.bytes(kind == .ed25519 ? 32 : kind == .secp256k1 ? 33 : generator.index(below: 120)))
      let signature = generator.bytes(kind == .ed25519 ? 64 : generator.index(below: 90))
      #expect(!SystemCrypto.shared.verify(signature, of: signature, by: key))
    }
  }

  @Test func manyTasksVerifyAtOnce() async {
    let results = await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          Self.vectors.allSatisfy { vector in
            let signature = hex(vector.signature)
            let message = hex(vector.message)
            return SystemCrypto().verify(signature, of: message, by: vector.publicKey) == vector.valid
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results == Array(repeating: true, count: 8))
  }
}
