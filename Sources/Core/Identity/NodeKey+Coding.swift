import Wire

extension NodeKey {
  /// The libp2p private-key form, as key files of other implementations hold it: {1: type 1, 2: seed ‖ public key}. Secret.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 68)
    writer.uint64(1, PublicKey.Kind.ed25519.rawValue)
    writer.data(2, seed + publicKey.data)
    return writer.bytes
  }

  /// Reads the libp2p private-key form of an Ed25519 key: 64 bytes, or the 96 of old files, which hold the public key twice
  /// (libp2p/specs `peer-ids`).
  /// - Throws: ``IdentityError/badKey(_:)`` for another type or length, or when the public half is not the seed's.
  public init(encoded span: RawSpan, crypto: any CryptoSuite) throws(IdentityError) {
    var kind: UInt64?
    var data: [UInt8] = []
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .number(1): kind = reader.uint64
        case .bytes(2): data = reader.bytes
        default: break
        }
      }
    } catch {
      throw .badKey("the private key is not a protobuf message (\(error))")
    }
    guard kind == PublicKey.Kind.ed25519.rawValue else { throw .badKey("a node's own key has to be an Ed25519 key (type 1)") }
    guard data.count == 64 || data.count == 96 else { throw .badKey("an Ed25519 private key has 64 bytes, not \(data.count)") }
    self.init(seed: Array(data[..<32]), crypto: crypto)
    guard data[32..<64].elementsEqual(publicKey.data), data[64...].isEmpty || data[64...].elementsEqual(publicKey.data) else {
      throw .badKey("the public half is not the private key's: the file is damaged")
    }
  }

  /// Reads the libp2p private-key form.
  public init(encoded bytes: [UInt8], crypto: any CryptoSuite) throws(IdentityError) {
    try self.init(encoded: bytes.rawSpan, crypto: crypto)
  }
}

/// What is printed of a key never holds the secret.
extension NodeKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Names the PeerID only.
  public var description: String { "key of \(peerID)" }
  /// Names the PeerID only.
  public var debugDescription: String { description }
  /// Shows the PeerID only.
  public var customMirror: Mirror { Mirror(self, children: ["peerID": peerID]) }
}
