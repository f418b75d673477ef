import Identity
import Wire

/// `Noise_XX_25519_ChaChaPoly_SHA256` for one connection (noiseprotocol.org revision 34, libp2p/specs `noise`).
///
///     → e
///     ← e, ee, s, es   (payload)
///     → s, se          (payload)
///
/// The caller calls `writeMessage`/`readMessage` in turn; any error ends the handshake.
final class NoiseHandshake {
  private let crypto: any CryptoSuite
  private let isInitiator: Bool
  private let staticSecret: [UInt8]
  private let staticPublic: [UInt8]
  private let ephemeralSecret: [UInt8]
  private let ephemeralPublic: [UInt8]
  private var remoteEphemeral: [UInt8] = []
  /// The remote's static key; empty until the message with it was read.
  private(set) var remoteStatic: [UInt8] = []
  private var chainingKey: [UInt8]
  private(set) var hash: [UInt8]
  private var cipher: (any FrameCipher)?
  private var counter: UInt64 = 0
  private(set) var messages = 0

  init(isInitiator: Bool, staticKey: NoiseStaticKey, ephemeralSecret: [UInt8]?, crypto: any CryptoSuite) {
    self.crypto = crypto
    self.isInitiator = isInitiator
    staticSecret = staticKey.secret
    staticPublic = staticKey.publicKey
    self.ephemeralSecret = ephemeralSecret ?? crypto.randomBytes(32)
    ephemeralPublic = crypto.x25519PublicKey(secret: self.ephemeralSecret)
    // The name has exactly 32 bytes and therefore is the first hash itself (section 5.2).
    chainingKey = Array("Noise_XX_25519_ChaChaPoly_SHA256".utf8)
    hash = chainingKey
    mixHash([])
  }

  /// Whether the next message is this side's.
  var isTurnToWrite: Bool { messages < 3 && messages.isMultiple(of: 2) == isInitiator }
  /// Whether all three messages are through.
  var isComplete: Bool { messages == 3 }

  /// The next message, without its length.
  func writeMessage(payload: [UInt8]) throws(ChannelError) -> [UInt8] {
    precondition(isTurnToWrite, "message \(messages + 1) is the remote's")
    var message: [UInt8] = []
    switch messages {
    case 0:
      message = ephemeralPublic
      mixHash(ephemeralPublic)
    case 1:
      message = ephemeralPublic
      mixHash(ephemeralPublic)
      try mixKey(ephemeralSecret, remoteEphemeral)
      message += encryptAndHash(staticPublic)
      try mixKey(staticSecret, remoteEphemeral)
    default:
      message = encryptAndHash(staticPublic)
      try mixKey(staticSecret, remoteEphemeral)
    }
    message += encryptAndHash(payload)
    messages += 1
    return message
  }

  /// Reads the remote's next message and returns its payload.
  func readMessage(_ span: RawSpan) throws(ChannelError) -> [UInt8] {
    precondition(!isTurnToWrite && !isComplete, "message \(messages + 1) is not the remote's")
    var offset = 0
    func take(_ count: Int) throws(ChannelError) -> [UInt8] {
      guard span.byteCount - offset >= count else { throw .protocolViolation("noise: handshake message \(messages + 1) is too short") }
      defer { offset += count }
      return [UInt8](span.extracting(offset..<offset + count))
    }
    if messages < 2 {
      remoteEphemeral = try take(32)
      mixHash(remoteEphemeral)
    }
    if messages == 1 {
      try mixKey(ephemeralSecret, remoteEphemeral)
      remoteStatic = try decryptAndHash(try take(48))
      try mixKey(ephemeralSecret, remoteStatic)
    } else if messages == 2 {
      remoteStatic = try decryptAndHash(try take(48))
      try mixKey(ephemeralSecret, remoteStatic)
    }
    let payload = try decryptAndHash(try take(span.byteCount - offset))
    messages += 1
    return payload
  }

  /// The keys for the two directions (section 5.2, Split).
  func split() -> (send: [UInt8], receive: [UInt8]) {
    precondition(isComplete, "the handshake is not over")
    let (first, second) = derive([])
    return isInitiator ? (first, second) : (second, first)
  }

  private func mixHash(_ data: [UInt8]) { hash = crypto.sha256(hash + data).bytes }

  private func mixKey(_ secret: [UInt8], _ publicKey: [UInt8]) throws(ChannelError) {
    guard let shared = crypto.x25519(secret: secret, publicKey: publicKey) else {
      throw .protocolViolation("noise: a low-order X25519 key")
    }
    let (first, second) = derive(shared)
    chainingKey = first
    cipher = crypto.makeCipher(key: second)
    counter = 0
  }

  /// HKDF with two outputs (section 4.3).
  private func derive(_ material: [UInt8]) -> ([UInt8], [UInt8]) {
    let temporary = crypto.hmacSHA256(key: chainingKey, material)
    let first = crypto.hmacSHA256(key: temporary, [1])
    return (first, crypto.hmacSHA256(key: temporary, first + [2]))
  }

  private func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
    var bytes = plaintext
    if let cipher {
      bytes.append(contentsOf: repeatElement(0, count: Noise.tagBytes))
      unsafe bytes.withUnsafeMutableBytes { memory in
        guard let base = memory.baseAddress else { return }
        unsafe cipher.seal(base, count: plaintext.count, counter: counter, associatedData: hash)
      }
      counter += 1
    }
    // An empty payload without a key changes the hash as well: easy to forget.
    mixHash(bytes)
    return bytes
  }

  private func decryptAndHash(_ ciphertext: [UInt8]) throws(ChannelError) -> [UInt8] {
    guard let cipher else {
      mixHash(ciphertext)
      return ciphertext
    }
    guard ciphertext.count >= Noise.tagBytes else { throw .protocolViolation("noise: handshake message \(messages + 1) is too short") }
    var bytes = ciphertext
    let isAuthentic = unsafe bytes.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return false }
      return unsafe cipher.open(base, count: ciphertext.count, counter: counter, associatedData: hash)
    }
    guard isAuthentic else { throw .decryptionFailed }
    counter += 1
    mixHash(ciphertext)
    bytes.removeLast(Noise.tagBytes)
    return bytes
  }
}

/// The numbers of Noise.
enum Noise {
  static let tagBytes = 16
  /// A message's length field.
  static let lengthBytes = 2
  /// What one transport message carries at most: 65,535 less the tag.
  static let plaintextMaximum = 65_519
}
