import Identity
import Wire

/// Everything that a link of a private network carries, as one XSalsa20 stream in each direction under the network's key, behind a nonce of 24
/// bytes (libp2p/specs `pnet`). It proves nothing by itself: that is left to Noise inside.
final class PrivateStream {
  private let key: NetworkKey
  private let crypto: any CryptoSuite
  private var sending: (any StreamCipher)?
  private var receiving: (any StreamCipher)?
  /// The remote's nonce as far as it has come.
  private var nonce: [UInt8] = []
  /// What the remote said first, as far as it has come: each side of each link begins with the same line.
  private var greeting: [UInt8] = []

  static let nonceBytes = 24
  private static let expectedGreeting: [UInt8] = {
    var bytes: [UInt8] = []
    Multistream.append(Multistream.header, to: &bytes)
    return bytes
  }()

  init(_ key: NetworkKey, crypto: any CryptoSuite) {
    self.key = key
    self.crypto = crypto
  }

  /// Whether the nonce is among what was produced.
  var hasSentNonce: Bool { sending != nil }

  /// Whether the remote has shown that it has the key.
  var hasShownKey: Bool { greeting.count == Self.expectedGreeting.count }

  /// Decrypts what has come where it lies and returns the part that is not the nonce.
  func open(_ bytes: UnsafeMutableRawBufferPointer) throws(ChannelError) -> UnsafeMutableRawBufferPointer {
    var rest = unsafe bytes
    if receiving == nil {
      let part = min(Self.nonceBytes - nonce.count, rest.count)
      unsafe nonce.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest[..<part]))
      unsafe rest = UnsafeMutableRawBufferPointer(rebasing: rest[part...])
      if nonce.starts(with: Self.expectedGreeting) { throw .notInNetwork("the other end uses no network key") }
      guard nonce.count == Self.nonceBytes else { return unsafe rest }
      receiving = crypto.makeStreamCipher(key: key.bytes, nonce: nonce)
    }
    guard let receiving, let base = rest.baseAddress, unsafe !rest.isEmpty else { return unsafe rest }
    unsafe receiving.apply(base, count: rest.count)
    if !hasShownKey {
      unsafe greeting.append(contentsOf: UnsafeRawBufferPointer(rest).prefix(Self.expectedGreeting.count - greeting.count))
      guard Self.expectedGreeting.starts(with: greeting) else { throw .notInNetwork("the other end uses another network key") }
    }
    return unsafe rest
  }

  /// The nonce that goes before everything else, once.
  func takeNonce() -> [UInt8] {
    guard sending == nil else { return [] }
    let nonce = crypto.randomBytes(Self.nonceBytes)
    sending = crypto.makeStreamCipher(key: key.bytes, nonce: nonce)
    return nonce
  }

  /// Encrypts what is in the buffer from `begin` on.
  func seal(_ buffer: inout [UInt8], from begin: Int) {
    let count = buffer.count - begin
    guard count > 0, let sending else { return }
    unsafe buffer.withUnsafeMutableBytes { memory in
      if let base = memory.baseAddress { unsafe sending.apply(base + begin, count: count) }
    }
  }

  /// What a link's end means as long as the remote has not shown the key.
  func explain(_ error: ChannelError) -> ChannelError {
    guard !hasShownKey else { return error }
    switch error {
    case .endOfFile, .transport: return .notInNetwork("the other end closed before it had shown the network's key")
    case .handshakeTimeout: return .notInNetwork("the other end did not show the network's key in time")
    default: return error
    }
  }
}
