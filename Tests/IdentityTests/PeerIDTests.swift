import Crypto
import Identity
import Testing
import Wire

@Suite struct PeerIDTests {
  let crypto = SystemCrypto.shared

  /// Example strings of libp2p/specs `peer-ids`, section "String representation".
  static let hashed = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
  static let hashedCID = "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"
  static let inlined = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"

  @Test func theSpecificationsExamples() throws {
    let fromCID = try PeerID(text: Self.hashedCID)
    let fromBase58 = try PeerID(text: Self.hashed)
    #expect(fromCID == fromBase58)
    #expect(fromCID.description == Self.hashed)
    #expect(fromBase58.cidText == Self.hashedCID)
    #expect(fromBase58.inlinePublicKey == nil)
    let ed25519 = try PeerID(text: Self.inlined)
    #expect(ed25519.description == Self.inlined)
    #expect(ed25519.short == "12D3…AJU5SA")
    #expect(try PeerID(text: ed25519.cidText) == ed25519)
    #expect(ed25519.inlinePublicKey.map { PeerID($0, crypto: crypto) } == ed25519)
  }

  @Test func everyMultibaseOfACIDIsRead() throws {
    let peer = try PeerID(text: Self.inlined)
    let cid = [0x01, 0x72] + peer.bytes
    let texts = [
      "k" + Base36.encode(cid), "z" + Base58.encode(cid), "f" + Base16.encode(cid), "u" + Base64URL.encode(cid), peer.cidText.uppercased(),
    ]
    for text in texts { #expect(try PeerID(text: text) == peer, "\(text)") }
    #expect(texts[0].hasPrefix("k51qzi5uqu5"))
  }

  @Test func theSharedVector() throws {
    let vectors = try SharedVectors.load()
    let key = NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto)
    #expect(key.peerID.description == vectors.peerID.seed01)
    #expect(Base16.encode(key.peerID.bytes) == vectors.peerID.bytes)
    #expect(try PeerID(bytes: hex(vectors.peerID.bytes)) == key.peerID)
    #expect(key.peerID.inlinePublicKey == key.publicKey)
  }

  @Test(arguments: [
    "", "1", "2", "Qm", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5S", "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SAA",
    "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU50A", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5", "peer",
    "bafybeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqx",
    "b", "bafza", String(repeating: "1", count: 101), "é",
  ])
  func otherTextIsRefused(text: String) {
    #expect(throws: IdentityError.self) { try PeerID(text: text) }
  }

  @Test(arguments: [
    "", "00", "0001", "1220", "0023080112", "1221" + String(repeating: "00", count: 33), "1120" + String(repeating: "00", count: 32),
  ])
  func otherBytesAreRefused(text: String) {
    #expect(throws: IdentityError.self) { try PeerID(bytes: hex(text)) }
  }

  /// Names are free: somebody who could change one without changing its hash would put all of his into one place of every table.
  @Test(arguments: [34, 38, 44]) func everyByteIsHashed(count: Int) throws {
    let base: [UInt8] = count == 34 ? [0x12, 32] : [0, UInt8(count - 2)]
    for place in 2..<count {
      let names = try (0..<100).map { number in
        var bytes = base + [UInt8](repeating: 7, count: count - 2)
        bytes[place] = UInt8(number)
        return try PeerID(bytes: bytes)
      }
      #expect(Set(names.map(\.hashValue)).count > 95, "byte \(place)")
    }
  }

  @Test func orderIsByteOrder() {
    var generator = SeededGenerator(seed: 3)
    let peers = (0..<60).map { _ in PeerID(PublicKey(kind: .ed25519, data: generator.bytes(32)), crypto: crypto) }
    #expect(peers.sorted().map(\.bytes) == peers.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) })
  }

  @Test func fuzz() throws {
    let seed: UInt64 = 0x9eed
    var generator = SeededGenerator(seed: seed)
    let texts = [Self.hashed, Self.hashedCID, Self.inlined].map { Array($0.utf8) }
    let forms = try [Self.hashed, Self.inlined].map { try PeerID(text: $0).bytes }
    for round in 0..<20_000 {
      let text = String(decoding: mutated(texts[round % 3], &generator), as: UTF8.self)
      if let peer = try? PeerID(text: text) { #expect(try PeerID(text: peer.description) == peer, "seed \(seed), round \(round)") }
      let bytes = round & 1 == 0 ? generator.bytes(generator.index(below: 50)) : mutated(forms[round % 4 / 2], &generator)
      if let peer = try? PeerID(bytes: bytes) {
        #expect(peer.bytes == bytes, "seed \(seed), round \(round)")
        _ = peer.inlinePublicKey
      }
    }
  }
}
