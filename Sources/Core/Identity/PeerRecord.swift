import Wire

/// A peer's own word on where it can be reached (libp2p RFC 0003, with the domain and type that implementations really use).
public struct PeerRecord: Hashable, Sendable {
  /// The purpose that the signature names.
  public static let domain = "libp2p-peer-record"

  /// The payload's type in the envelope.
  public static let payloadType: [UInt8] = [0x03, 0x01]

  /// The most addresses that a record holds; further ones are dropped.
  public static let maximumAddresses = 64

  /// The peer.
  public let peer: PeerID

  /// Grows with each new record of the peer; the highest counts. By custom the wall time in nanoseconds.
  public let sequence: UInt64

  /// Where it can be reached, at most ``maximumAddresses``.
  public let addresses: [Multiaddr]

  /// Makes a record. Addresses beyond ``maximumAddresses`` are dropped.
  public init(peer: PeerID, sequence: UInt64, addresses: [Multiaddr]) {
    self.peer = peer
    self.sequence = sequence
    self.addresses = Array(addresses.prefix(Self.maximumAddresses))
  }

  /// Reads a record from an encoded envelope and proves that the peer itself signed it.
  ///
  /// Addresses with protocols that this library does not know are left out, as go-libp2p does: a record must not be lost because
  /// its peer also listens in a newer way. To pass the record on, keep the envelope's bytes.
  /// - Throws: ``IdentityError/badEnvelope(_:)``.
  public init(opening envelope: RawSpan, crypto: any CryptoSuite) throws(IdentityError) {
    let envelope = try SignedEnvelope(opening: envelope, type: Self.payloadType, domain: Self.domain, crypto: crypto)
    try self.init(payload: envelope.payload.rawSpan)
    guard PeerID(envelope.publicKey, crypto: crypto) == peer else { throw .badEnvelope("the record is about another peer than its signer") }
  }

  /// The record in an envelope that `key` signs.
  ///
  /// `key` must be the peer's own; anything else is a mistake of this program and traps.
  public func sealed(by key: NodeKey, crypto: any CryptoSuite) -> SignedEnvelope {
    precondition(key.peerID == peer, "a peer record is signed by its own peer only")
    return SignedEnvelope(sealing: payload, type: Self.payloadType, domain: Self.domain, by: key, crypto: crypto)
  }

  /// The protobuf form, not signed: {1: peer, 2: sequence, 3: {1: multiaddr}}.
  var payload: [UInt8] {
    var writer = ProtobufWriter(capacity: 64 + addresses.count * 64)
    writer.data(1, peer.bytes)
    writer.uint64(2, sequence)
    for address in addresses { writer.message(3) { $0.data(1, address.bytes) } }
    return writer.bytes
  }

  init(payload span: RawSpan) throws(IdentityError) {
    var peer: [UInt8]?
    var sequence: UInt64 = 0
    var addresses: [Multiaddr] = []
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .bytes(1): peer = reader.bytes
        case .number(2): sequence = reader.uint64
        case .bytes(3):
          let address = try Self.address(reader.span)
          if let address, addresses.count < Self.maximumAddresses { addresses.append(address) }
        default: break
        }
      }
    } catch {
      throw .badEnvelope("the peer record is not a protobuf message (\(error))")
    }
    guard let peer else { throw .badEnvelope("the peer record names no peer") }
    do throws(IdentityError) { self.peer = try PeerID(bytes: peer) } catch { throw .badEnvelope("\(error)") }
    self.sequence = sequence
    self.addresses = addresses
  }

  private static func address(_ span: RawSpan) throws(ProtobufError) -> Multiaddr? {
    var reader = ProtobufReader(span)
    var address: Multiaddr?
    while let field = try reader.nextField() {
      if field == .bytes(1) { address = try? Multiaddr(bytes: reader.span) }
    }
    return address
  }
}
