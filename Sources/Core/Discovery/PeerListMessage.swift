import Identity
import Wire

/// The two messages of `/starling/<network>/peers/1` (`Docs/protocols/peers.md`).
public enum PeerListMessage {
  /// The longest encoded response: 64 KiB.
  public static let responseBytesMaximum = 65_536
  /// The longest encoded request.
  public static let requestBytesMaximum = 64
  /// The most addresses that a response carries, over all peers.
  public static let addressesMaximum = 250

  /// Encodes a request: field 1 the most addresses wanted.
  public static func request(maximum: Int) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.int(1, max(0, min(maximum, addressesMaximum)))
    return writer.bytes
  }

  /// Reads a request: how many addresses are wanted, at most 250 whatever it says. An absent field means 250.
  public static func decodeRequest(_ span: RawSpan) throws(ProtobufError) -> Int {
    guard span.byteCount <= requestBytesMaximum else { throw .badField(0) }
    var maximum = addressesMaximum
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      if field == .number(1) { maximum = min(reader.int, addressesMaximum) }
    }
    return maximum
  }

  /// Encodes a response: addresses without a peer are left out, those of one peer stand together, and what would
  /// pass 250 addresses or 64 KiB is cut off. O(n).
  public static func response(_ addresses: [PeerAddress]) -> [UInt8] {
    var order: [PeerID] = []
    var byPeer: [PeerID: [Multiaddr]] = [:]
    for item in addresses.prefix(addressesMaximum) {
      guard let peer = item.peer else { continue }
      if byPeer[peer] == nil { order.append(peer) }
      byPeer[peer, default: []].append(item.address)
    }
    var bytes: [UInt8] = []
    for peer in order {
      var writer = ProtobufWriter(capacity: 128)
      writer.message(1) { message in
        message.data(1, peer.bytes)
        for address in byPeer[peer] ?? [] { message.data(2, address.bytes) }
      }
      if bytes.count + writer.bytes.count > responseBytesMaximum { break }
      bytes.append(contentsOf: writer.bytes)
    }
    return bytes
  }

  /// Why a response is not one.
  public enum ResponseError: Error, Hashable, Sendable {
    /// Not a protobuf message of that shape, or longer than 64 KiB.
    case malformed(ProtobufError)
    /// A peer without a valid PeerID.
    case badPeer
    /// More than 250 addresses.
    case tooMany
  }

  /// Reads a response. An address of a kind that this version cannot read is passed over and counted, for newer peers may know more.
  public static func decodeResponse(_ span: RawSpan) throws(ResponseError) -> (addresses: [PeerAddress], unreadable: Int) {
    guard span.byteCount <= responseBytesMaximum else { throw .malformed(.badField(0)) }
    var raw: [(peer: [UInt8]?, addresses: [[UInt8]])] = []
    var count = 0
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        guard field == .bytes(1) else { continue }
        let item = try decodePeer(reader.span)
        // An empty peer costs a list entry too.
        count += max(1, item.addresses.count)
        if count > addressesMaximum { break }
        raw.append(item)
      }
    } catch { throw .malformed(error) }
    if count > addressesMaximum { throw .tooMany }
    var result: [PeerAddress] = []
    var unreadable = 0
    for item in raw {
      guard let bytes = item.peer, let peer = try? PeerID(bytes: bytes) else { throw .badPeer }
      for bytes in item.addresses {
        guard let address = try? Multiaddr(bytes: bytes) else {
          unreadable += 1
          continue
        }
        result.append(PeerAddress(peer: peer, address: address))
      }
    }
    return (result, unreadable)
  }

  private static func decodePeer(_ span: RawSpan) throws(ProtobufError) -> (peer: [UInt8]?, addresses: [[UInt8]]) {
    var peer: [UInt8]?
    var addresses: [[UInt8]] = []
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): peer = reader.bytes
      case .bytes(2): addresses.append(reader.bytes)
      default: break
      }
    }
    return (peer, addresses)
  }
}
