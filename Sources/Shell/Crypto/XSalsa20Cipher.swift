import CSodium
import Identity

/// XSalsa20 through libsodium, which counts in blocks of 64 bytes: a block that was begun is kept for the bytes that follow.
final class XSalsa20Cipher: StreamCipher {
  private let key: [UInt8]
  private let nonce: [UInt8]
  /// Blocks whose key stream was used or stands in ``block``.
  private var blocks: UInt64 = 0
  private var block = [UInt8](repeating: 0, count: 64)
  /// How much of ``block`` is used up.
  private var used = blockBytes

  private static let blockBytes = 64
  private static let zeros = [UInt8](repeating: 0, count: blockBytes)

  init(key: [UInt8], nonce: [UInt8]) {
    precondition(
      key.count == 32 && nonce.count == 24, "XSalsa20 takes 32 bytes of key and 24 of nonce, not \(key.count) and \(nonce.count)")
    self.key = key
    self.nonce = nonce
  }

  func apply(_ bytes: UnsafeMutableRawPointer, count: Int) {
    precondition(count >= 0, "\(count) bytes")
    let text = bytes.assumingMemoryBound(to: UInt8.self)
    var done = apply(block: text, min(count, Self.blockBytes - used))
    let whole = (count - done) & ~(Self.blockBytes - 1)
    if whole > 0 {
      crypto_stream_xsalsa20_xor_ic(text + done, text + done, UInt64(whole), nonce, blocks, key)
      blocks += UInt64(whole / Self.blockBytes)
      done += whole
    }
    guard done < count else { return }
    crypto_stream_xsalsa20_xor_ic(&block, Self.zeros, UInt64(Self.blockBytes), nonce, blocks, key)
    blocks += 1
    used = 0
    _ = apply(block: text + done, count - done)
  }

  /// Uses what is left of the block; returns `count`.
  private func apply(block text: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
    for index in 0..<count { text[index] ^= block[used + index] }
    used += count
    return count
  }
}
