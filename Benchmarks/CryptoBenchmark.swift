import Crypto
import Foundation
import Identity
import Wire

/// What links and the ledger spend on cryptography.
func benchmarkCrypto() {
  let crypto = SystemCrypto.shared
  let cipher = crypto.makeCipher(key: crypto.randomBytes(32))
  for size in [64, 1024, 16 * 1024, 64 * 1024] {
    let frame = UnsafeMutableRawPointer.allocate(byteCount: size + 16, alignment: 64)
    defer { frame.deallocate() }
    frame.initializeMemory(as: UInt8.self, repeating: 1, count: size + 16)
    var counter: UInt64 = 0
    rate("ChaCha20-Poly1305 seal \(size) B", size) {
      cipher.seal(frame, count: size, counter: counter, associatedData: [])
      counter += 1
    }
    // Sealing before each opening is the only way to have a good frame in place: the difference is the opening.
    rate("ChaCha20-Poly1305 seal + open \(size) B", size) {
      cipher.seal(frame, count: size, counter: counter, associatedData: [])
      if !cipher.open(frame, count: size + 16, counter: counter, associatedData: []) { fatalError("the frame was not accepted") }
      counter += 1
    }
  }
  for size in [32, 1024, 1 << 20] {
    let bytes = crypto.randomBytes(size)
    rate("SHA-256 \(size) B", size) { consume(crypto.sha256(bytes)) }
  }
  let hmacKey = crypto.randomBytes(32)
  perSecond("HMAC-SHA-256 32 B") { consume(crypto.hmacSHA256(key: hmacKey, hmacKey)) }

  let key = NodeKey(seed: crypto.randomBytes(32), crypto: crypto)
  let message = crypto.randomBytes(128)
  let signature = key.sign(message, crypto: crypto)
  perSecond("Ed25519 sign") { consume(key.sign(message, crypto: crypto)) }
  perSecond("Ed25519 verify") { consume(crypto.verify(signature, of: message, by: key.publicKey)) }
  let remote = crypto.x25519PublicKey(secret: crypto.randomBytes(32))
  perSecond("X25519") { consume(crypto.x25519(secret: key.seed, publicKey: remote)) }
  for vector in foreignSignatures() {
    let data = Base16.decode(vector.key)!
    let foreign = PublicKey(kind: PublicKey.Kind(rawValue: vector.kind)!, data: data)
    let (signature, message) = (Base16.decode(vector.signature)!, Base16.decode(vector.message)!)
    perSecond("\(vector.name) verify") { consume(crypto.verify(signature, of: message, by: foreign)) }
  }

  let address = "/ip4/10.0.0.1/tcp/4001/p2p/\(key.peerID)"
  perSecond("Multiaddr from text, with a PeerID") { consume(try? Multiaddr(address)) }
  let form = try! Multiaddr(address)
  perSecond("Multiaddr from bytes, with a PeerID") { consume(try? Multiaddr(bytes: form.bytes)) }
  perSecond("PeerID to text") { consume(key.peerID.description) }
}

private struct ForeignSignature: Decodable {
  let name: String
  let kind: UInt64
  let key: String
  let message: String
  let signature: String
  let valid: Bool
}

private func foreignSignatures() -> [ForeignSignature] {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  let file = folder.appending(path: "Tests/Fixtures/signatures.json")
  guard let data = try? Data(contentsOf: file), let all = try? JSONDecoder().decode([ForeignSignature].self, from: data) else { return [] }
  return all.filter { $0.valid && ["secp256k1 low S", "P-256", "RSA 2048"].contains($0.name) }
}

private func rate(_ name: String, _ bytes: Int, _ work: () -> Void) {
  let (nanoseconds, spread) = nanosecondsPerCall(work)
  report(name, "\(Int(nanoseconds)) ns, \(Int(Double(bytes) / nanoseconds * 1000)) MB/s", spread)
}

private func perSecond(_ name: String, _ work: () -> Void) {
  let (nanoseconds, spread) = nanosecondsPerCall(work)
  report(name, "\(Int(nanoseconds)) ns, \(Int(1e9 / nanoseconds)) /s", spread)
}
