import Identity
import Wire

/// Cryptography without its cost, for simulations: the same on every machine, random bytes from a seed.
///
/// Hashes are a wide mix. A signature is a hash under a secret of the suite that no caller sees, so nothing inside the simulation
/// can make one without the seed of the key: what byzantine nodes cannot do in the world they cannot do here. Key agreement is
/// exponentiation modulo 2⁶¹ - 1, ciphers are a keyed stream and a tag. None of it protects anything outside a simulation.
public final class SimulatedCrypto: CryptoSuite, @unchecked Sendable {
  private let secret: UInt64
  // One simulation is one thread's.
  private var generator: SeededGenerator

  /// Makes a suite. Keys and signatures of suites with different seeds do not fit each other.
  public init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed ^ 0x7369_6d75_6c61_7465)
    secret = generator.next()
    self.generator = generator
  }

  public func sha256(_ bytes: RawSpan) -> Hash256 {
    var mixer = Mixer(seed: 1)
    mixer.add(bytes)
    return Hash256(words: mixer.words)
  }

  public func hmacSHA256(key: [UInt8], _ bytes: [UInt8]) -> [UInt8] {
    var mixer = Mixer(seed: 2)
    mixer.add(key)
    mixer.add(bytes)
    return mixer.digest
  }

  public func ed25519PublicKey(seed: [UInt8]) -> [UInt8] { Mixer.digest(3, seed.rawSpan) }

  public func ed25519Sign(_ message: RawSpan, seed: [UInt8], publicKey: [UInt8]) -> [UInt8] {
    precondition(publicKey == ed25519PublicKey(seed: seed), "the public key is not the seed's")
    return signature(message, publicKey)
  }

  private func signature(_ message: RawSpan, _ publicKey: [UInt8]) -> [UInt8] {
    var mixer = Mixer(seed: secret)
    mixer.add(publicKey)
    mixer.add(message)
    let half = mixer.digest
    return half + half
  }

  public func verify(_ signature: RawSpan, of message: RawSpan, by key: PublicKey) -> Bool {
    key.kind == .ed25519 && key.data.count == 32 && signature.elementsEqual(self.signature(message, key.data))
  }

  public func x25519PublicKey(secret: [UInt8]) -> [UInt8] { Self.encode(Self.power(7, Self.exponent(secret))) }

  public func x25519(secret: [UInt8], publicKey: [UInt8]) -> [UInt8]? {
    guard publicKey.count == 32 else { return nil }
    let base = Self.decode(publicKey) % Self.prime
    return base == 0 ? nil : Self.encode(Self.power(base, Self.exponent(secret)))
  }

  public func makeCipher(key: [UInt8]) -> any FrameCipher { SimulatedCipher(key: key) }

  public func makeStreamCipher(key: [UInt8], nonce: [UInt8]) -> any StreamCipher { SimulatedStreamCipher(key: key, nonce: nonce) }

  public func randomBytes(_ count: Int) -> [UInt8] { generator.bytes(count) }

  private static let prime: UInt64 = (1 << 61) - 1

  private static func exponent(_ secret: [UInt8]) -> UInt64 {
    var mixer = Mixer(seed: 4)
    mixer.add(secret)
    return mixer.short % (prime - 2) + 1
  }

  private static func power(_ base: UInt64, _ exponent: UInt64) -> UInt64 {
    var result: UInt64 = 1
    var square = base
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result = multiply(result, square) }
      square = multiply(square, square)
      rest >>= 1
    }
    return result
  }

  private static func multiply(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let product = left.multipliedFullWidth(by: right)
    let sum = (product.low & prime) &+ (product.low >> 61 | product.high << 3)
    return sum >= prime ? sum &- prime : sum
  }

  private static func encode(_ number: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(32)
    bytes.appendBigEndian(number)
    return bytes + [UInt8](repeating: 0, count: 24)
  }

  private static func decode(_ bytes: [UInt8]) -> UInt64 { bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}

/// A keyed stream of bytes.
final class SimulatedStreamCipher: StreamCipher {
  private var stream: SeededGenerator

  init(key: [UInt8], nonce: [UInt8]) {
    var mixer = Mixer(seed: 6)
    mixer.add(key)
    mixer.add(nonce)
    stream = SeededGenerator(seed: mixer.short)
  }

  func apply(_ bytes: UnsafeMutableRawPointer, count: Int) {
    for offset in 0..<count {
      let byte = unsafe bytes.load(fromByteOffset: offset, as: UInt8.self) ^ UInt8(truncatingIfNeeded: stream.next())
      unsafe bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
    }
  }
}

/// A keyed stream and a 16-byte tag.
final class SimulatedCipher: FrameCipher {
  private let key: UInt64

  init(key: [UInt8]) {
    var mixer = Mixer(seed: 5)
    mixer.add(key)
    self.key = mixer.short
  }

  func seal(_ bytes: UnsafeMutableRawPointer, count: Int, counter: UInt64, associatedData: [UInt8]) {
    unsafe apply(bytes, count, counter)
    let tag = unsafe tag(UnsafeRawPointer(bytes), count, counter, associatedData)
    unsafe bytes.storeBytes(of: tag.0, toByteOffset: count, as: UInt64.self)
    unsafe bytes.storeBytes(of: tag.1, toByteOffset: count + 8, as: UInt64.self)
  }

  func open(_ bytes: UnsafeMutableRawPointer, count: Int, counter: UInt64, associatedData: [UInt8]) -> Bool {
    guard count >= 16 else { return false }
    let tag = unsafe tag(UnsafeRawPointer(bytes), count - 16, counter, associatedData)
    let sent = unsafe (
      bytes.loadUnaligned(fromByteOffset: count - 16, as: UInt64.self), bytes.loadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
    )
    guard tag == sent else { return false }
    unsafe apply(bytes, count - 16, counter)
    return true
  }

  private func apply(_ bytes: UnsafeMutableRawPointer, _ count: Int, _ counter: UInt64) {
    var stream = SeededGenerator(seed: key ^ counter &* 0x9e37_79b9_7f4a_7c15)
    var offset = 0
    while offset + 8 <= count {
      let word = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) ^ stream.next()
      unsafe bytes.storeBytes(of: word, toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    var rest = stream.next()
    while offset < count {
      let byte = unsafe bytes.load(fromByteOffset: offset, as: UInt8.self) ^ UInt8(truncatingIfNeeded: rest)
      unsafe bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
      rest >>= 8
      offset += 1
    }
  }

  private func tag(_ bytes: UnsafeRawPointer, _ count: Int, _ counter: UInt64, _ associatedData: [UInt8]) -> (UInt64, UInt64) {
    var mixer = Mixer(seed: key)
    mixer.add(counter)
    mixer.add(associatedData)
    mixer.add(unsafe UnsafeRawBufferPointer(start: bytes, count: count).bytes)
    let words = mixer.words
    return (words.0, words.1)
  }
}
