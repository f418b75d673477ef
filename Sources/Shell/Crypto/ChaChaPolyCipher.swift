import CCrypto
import Identity

/// ChaCha20-Poly1305 (RFC 8439) through OpenSSL, with one context for sealing and one for opening, made on first use.
///
/// The key is set once for each context; a frame only sets its nonce. This is what makes OpenSSL's speed available to short frames.
final class ChaChaPolyCipher: FrameCipher {
  private static let tagBytes = 16

  private let key: [UInt8]
  private var sealing: OpaquePointer?
  private var opening: OpaquePointer?

  init(key: [UInt8]) {
    precondition(key.count == 32, "a ChaCha20-Poly1305 key has 32 bytes, not \(key.count)")
    self.key = key
  }

  deinit {
    // Freeing a context also wipes its key schedule.
    EVP_CIPHER_CTX_free(sealing)
    EVP_CIPHER_CTX_free(opening)
  }

  func seal(_ bytes: UnsafeMutableRawPointer, count: Int, counter: UInt64, associatedData: [UInt8]) {
    precondition(count >= 0 && count <= Int(Int32.max) - Self.tagBytes, "a frame of \(count) bytes")
    let context = sealing ?? makeContext(encrypting: true)
    sealing = context
    let text = bytes.assumingMemoryBound(to: UInt8.self)
    var written: Int32 = 0
    var done = setNonce(counter, context, encrypting: true)
    if !associatedData.isEmpty {
      done = done && EVP_EncryptUpdate(context, nil, &written, associatedData, Int32(associatedData.count)) == 1
    }
    if count > 0 { done = done && EVP_EncryptUpdate(context, text, &written, text, Int32(count)) == 1 }
    done = done && EVP_EncryptFinal_ex(context, text + count, &written) == 1
    done = done && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), text + count) == 1
    precondition(done, "OpenSSL refused to encrypt a frame of \(count) bytes")
  }

  func open(_ bytes: UnsafeMutableRawPointer, count: Int, counter: UInt64, associatedData: [UInt8]) -> Bool {
    guard count >= Self.tagBytes, count <= Int(Int32.max) else { return false }
    let context = opening ?? makeContext(encrypting: false)
    opening = context
    let text = bytes.assumingMemoryBound(to: UInt8.self)
    let textBytes = count - Self.tagBytes
    var written: Int32 = 0
    guard setNonce(counter, context, encrypting: false),
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagBytes), text + textBytes) == 1
    else { return false }
    if !associatedData.isEmpty,
      EVP_DecryptUpdate(context, nil, &written, associatedData, Int32(associatedData.count)) != 1
    {
      return false
    }
    if textBytes > 0, EVP_DecryptUpdate(context, text, &written, text, Int32(textBytes)) != 1 { return false }
    return EVP_DecryptFinal_ex(context, text + textBytes, &written) == 1
  }

  /// Noise specification section 12: 32 zero bits, then the counter, little endian.
  private func setNonce(_ counter: UInt64, _ context: OpaquePointer, encrypting: Bool) -> Bool {
    let nonce = (UInt32(0), UInt32(truncatingIfNeeded: counter).littleEndian, UInt32(truncatingIfNeeded: counter >> 32).littleEndian)
    return withUnsafeBytes(of: nonce) { buffer in
      let pointer = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
      return encrypting
        ? EVP_EncryptInit_ex2(context, nil, nil, pointer, nil) == 1 : EVP_DecryptInit_ex2(context, nil, nil, pointer, nil) == 1
    }
  }

  private func makeContext(encrypting: Bool) -> OpaquePointer {
    guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("out of memory for a cipher") }
    let cipher = Libraries.shared.chaChaPoly
    let done =
      encrypting ? EVP_EncryptInit_ex2(context, cipher, key, nil, nil) : EVP_DecryptInit_ex2(context, cipher, key, nil, nil)
    precondition(done == 1, "OpenSSL refused a ChaCha20-Poly1305 key")
    return context
  }
}
