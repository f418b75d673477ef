import Identity
import Wire

/// The messages of libp2p's AutoNAT, version 1 (libp2p/specs `autonat/autonat-v1.md`), which go-libp2p serves.
enum AutoNAT {
  /// The most addresses that are read of one request.
  static let addressesMaximum = 16

  /// How a dial-back ended.
  enum Status: UInt64, Hashable, Sendable {
    case ok = 0
    /// The address was dialled in vain.
    case dialError = 100
    /// The server does not want to dial: none of the addresses, or not now.
    case dialRefused = 101
    case badRequest = 200
    case internalError = 300
  }

  /// Why bytes are not such a message.
  enum Fault: Error, Hashable, Sendable {
    case malformed(ProtobufError)
    /// Another type of message, or a part of it is absent.
    case incomplete
  }

  /// Encodes a request to dial a peer back.
  static func request(_ peer: PeerID, _ addresses: [Multiaddr]) -> [UInt8] {
    var writer = ProtobufWriter(capacity: 128)
    writer.uint64(1, 0)
    writer.message(2) { dial in
      dial.message(1) { info in
        info.data(1, peer.bytes)
        for address in addresses { info.data(2, address.bytes) }
      }
    }
    return writer.bytes
  }

  /// Reads a request; addresses that cannot be read are passed over.
  static func decodeRequest(_ span: RawSpan) throws(Fault) -> (peer: PeerID, addresses: [Multiaddr]) {
    var kind: UInt64?
    var id: [UInt8]?
    var addresses: [Multiaddr] = []
    do throws(ProtobufError) {
      var message = ProtobufReader(span)
      while let field = try message.nextField() {
        switch field {
        case .number(1): kind = message.uint64
        case .bytes(2):
          var dial = ProtobufReader(message.span)
          while let field = try dial.nextField() {
            guard field == .bytes(1) else { continue }
            var info = ProtobufReader(dial.span)
            while let field = try info.nextField() {
              switch field {
              case .bytes(1): id = info.bytes
              case .bytes(2):
                if addresses.count < addressesMaximum, let address = try? Multiaddr(bytes: info.span) { addresses.append(address) }
              default: break
              }
            }
          }
        default: break
        }
      }
    } catch { throw .malformed(error) }
    guard kind ?? 0 == 0, let id, let peer = try? PeerID(bytes: id) else { throw .incomplete }
    return (peer, addresses)
  }

  /// Encodes an answer.
  static func response(_ status: Status, _ text: String = "", _ address: Multiaddr? = nil) -> [UInt8] {
    var writer = ProtobufWriter(capacity: 64)
    writer.uint64(1, 1)
    writer.message(3) { response in
      response.uint64(1, status.rawValue)
      if !text.isEmpty { response.string(2, text) }
      if let address { response.data(3, address.bytes) }
    }
    return writer.bytes
  }

  /// Reads an answer; an unknown status is an error of the server's.
  static func decodeResponse(_ span: RawSpan) throws(Fault) -> (status: Status, address: Multiaddr?) {
    var kind: UInt64?
    var status: Status?
    var address: Multiaddr?
    do throws(ProtobufError) {
      var message = ProtobufReader(span)
      while let field = try message.nextField() {
        switch field {
        case .number(1): kind = message.uint64
        case .bytes(3):
          status = status ?? .ok
          var response = ProtobufReader(message.span)
          while let field = try response.nextField() {
            switch field {
            case .number(1): status = Status(rawValue: response.uint64) ?? .internalError
            case .bytes(3): address = try? Multiaddr(bytes: response.span)
            default: break
            }
          }
        default: break
        }
      }
    } catch { throw .malformed(error) }
    guard kind == 1, let status else { throw .incomplete }
    return (status, address)
  }
}
