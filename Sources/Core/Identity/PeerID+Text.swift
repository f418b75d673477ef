import Wire

extension PeerID: CustomStringConvertible {
  /// Reads a PeerID as people write it (libp2p/specs `peer-ids`, section "Decoding"): base58 of the multihash (`12D3…`, `Qm…`), or a
  /// CIDv1 with the codec `libp2p-key` in base32 (`bafz…`), base36 (`k51…`), base58, base16 or base64url.
  public init(text: some StringProtocol) throws(IdentityError) {
    // The longest multihash, with the CID's two bytes in base16, has 93 characters.
    guard !text.isEmpty, text.utf8.count <= 100 else { throw .badPeerID("a PeerID has 1 to 100 characters, not \(text.utf8.count)") }
    if text.hasPrefix("1") || text.hasPrefix("Qm") {
      guard let multihash = Base58.decode(text) else { throw .badPeerID("\(text) is not base58") }
      try self.init(bytes: multihash)
      return
    }
    guard let cid = Multibase.decode(text) else { throw .badPeerID("\(text) begins with neither 1 nor Qm, and is no CID either") }
    guard cid.count > 2, cid[0] == 0x01 else { throw .badPeerID("\(text) is not a version 1 CID") }
    guard cid[1] == 0x72 else { throw .badPeerID("\(text) is a CID of something else than a libp2p key (codec 0x72)") }
    try self.init(bytes: Array(cid[2...]))
  }

  /// The usual text: base58 of the multihash.
  public var description: String { Base58.encode(bytes) }

  /// The text as a CIDv1 in base32, as DNS names and web addresses need.
  public var cidText: String { "b" + Base32.encode([0x01, 0x72] + bytes) }

  /// A short form for tables and logs, such as `12D3…SUKPH5`. Not unique: never compare by it.
  public var short: String {
    let text = description
    return text.count <= 11 ? text : "\(text.prefix(4))…\(text.suffix(6))"
  }

  /// The public key, when the PeerID holds it whole (Ed25519 and secp256k1); `nil` for a hash or when what it holds is not a key.
  public var inlinePublicKey: PublicKey? {
    let bytes = bytes
    guard bytes.first == 0x00 else { return nil }
    return try? PublicKey(encoded: bytes.rawSpan.extracting(2..<bytes.count))
  }
}
