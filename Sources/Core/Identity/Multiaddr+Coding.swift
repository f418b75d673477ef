import Wire

extension Multiaddr.Component {
  /// The most bytes of `/p2p/…`: its code, a length and a multihash.
  static let maximumPeerIDBytes = 2 + 1 + 44

  /// Reads one component's text. Texts are only checked when the address is put together.
  init(_ code: Multiaddr.Code, text: some StringProtocol) throws(IdentityError) {
    switch code {
    case .ip4, .ip6:
      guard let address = IPAddress(text: text), text.utf8.contains(UInt8(ascii: ":")) == (code == .ip6) else {
        throw .badMultiaddr("“\(text)” is not an address for /\(code.name)")
      }
      self = .ip(address)
    case .tcp, .udp:
      guard let port = Decimal.parse(text, maximum: 65535) else {
        throw .badMultiaddr("“\(text)” is not a port for /\(code.name): a number from 0 to 65535")
      }
      self = code == .tcp ? .tcp(UInt16(port)) : .udp(UInt16(port))
    case .ipcidr:
      guard let length = Decimal.parse(text, maximum: 128) else { throw .badMultiaddr("“\(text)” is not a prefix length for /ipcidr") }
      self = .ipcidr(UInt8(length))
    case .p2p:
      do throws(IdentityError) { self = .p2p(try PeerID(text: text)) } catch { throw .badMultiaddr("/p2p: \(error)") }
    case .certhash:
      guard text.utf8.count <= 256, let hash = Multibase.decode(text) else {
        throw .badMultiaddr("the value of /certhash is not multibase text")
      }
      self = .certhash(hash)
    case .dns: self = .dns(String(text))
    case .dns4: self = .dns4(String(text))
    case .dns6: self = .dns6(String(text))
    case .dnsaddr: self = .dnsaddr(String(text))
    case .sni: self = .sni(String(text))
    case .ip6zone: self = .ip6zone(String(text))
    case .unix: self = .unix(String(text))
    case .p2pCircuit, .tls, .noise, .quic, .quicV1, .webrtc, .webrtcDirect, .webtransport, .ws, .wss, .http: self = .plain(code)
    }
  }

  /// The component as it stands behind an IPv4 address that was written in IPv6 form: a prefix length counts 96 bits less.
  func behindMapped() throws(IdentityError) -> Self {
    guard case .ipcidr(let length) = self else { return self }
    guard length >= 96 else { throw .badMultiaddr("/ipcidr/\(length) is wider than all IPv4 addresses") }
    return .ipcidr(length - 96)
  }

  func append(to bytes: inout [UInt8]) {
    Varint.append(code.rawValue, to: &bytes)
    func sized(_ value: some Collection<UInt8>) {
      Varint.append(UInt64(value.count), to: &bytes)
      bytes.append(contentsOf: value)
    }
    switch self {
    case .ip(let address): bytes.append(contentsOf: address.bytes)
    case .tcp(let port), .udp(let port): bytes.appendBigEndian(port)
    case .ipcidr(let length): bytes.append(length)
    case .dns(let text), .dns4(let text), .dns6(let text), .dnsaddr(let text), .sni(let text), .ip6zone(let text), .unix(let text):
      sized(text.utf8)
    case .p2p(let peer): sized(peer.bytes)
    case .certhash(let hash): sized(hash)
    case .plain: break
    }
  }

  /// Reads the component at `offset` and moves `offset` behind it.
  static func read(_ span: RawSpan, _ offset: inout Int) throws(IdentityError) -> Self {
    let number = try varint(span, &offset)
    guard let code = Multiaddr.Code(rawValue: number) else { throw .badMultiaddr("protocol \(number) is not known") }
    guard code.takesValue else { return .plain(code) }
    let count =
      switch code {
      case .ip4: 4
      case .ip6: 16
      case .tcp, .udp: 2
      case .ipcidr: 1
      default: Int(clamping: try varint(span, &offset))
      }
    guard count <= span.byteCount - offset else { throw .badMultiaddr("it ends inside the value of /\(code.name)") }
    let value = span.extracting(offset..<offset + count)
    offset += count
    return try decode(code, value)
  }

  private static func decode(_ code: Multiaddr.Code, _ value: RawSpan) throws(IdentityError) -> Self {
    switch code {
    case .ip4, .ip6:
      guard let address = IPAddress(bytes: [UInt8](value)) else { throw .badMultiaddr("/\(code.name) of \(value.byteCount) bytes") }
      return .ip(address)
    case .tcp, .udp:
      let port = UInt16(value.byte(0)) << 8 | UInt16(value.byte(1))
      return code == .tcp ? .tcp(port) : .udp(port)
    case .ipcidr:
      guard value.byte(0) <= 128 else { throw .badMultiaddr("/ipcidr/\(value.byte(0)) is longer than an address") }
      return .ipcidr(value.byte(0))
    case .p2p:
      do throws(IdentityError) { return .p2p(try PeerID(bytes: value)) } catch { throw .badMultiaddr("/p2p: \(error)") }
    case .certhash: return .certhash(try multihash(value))
    case .dns: return .dns(try text(code, value))
    case .dns4: return .dns4(try text(code, value))
    case .dns6: return .dns6(try text(code, value))
    case .dnsaddr: return .dnsaddr(try text(code, value))
    case .sni: return .sni(try text(code, value))
    case .ip6zone: return .ip6zone(try text(code, value))
    case .unix: return .unix(try text(code, value))
    case .p2pCircuit, .tls, .noise, .quic, .quicV1, .webrtc, .webrtcDirect, .webtransport, .ws, .wss, .http: return .plain(code)
    }
  }

  /// Names are printable ASCII without a slash and at most 253 characters long (RFC 1035); names in other scripts travel as punycode.
  /// A path begins with a slash and ends with none, so that its text is read back as it was.
  private static func text(_ code: Multiaddr.Code, _ value: RawSpan) throws(IdentityError) -> String {
    let bytes = [UInt8](value)
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .badMultiaddr("the value of /\(code.name) is not text") }
    if code == .unix {
      guard bytes.count > 1, bytes.first == 0x2f, bytes.last != 0x2f, !bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
        throw .badMultiaddr("the value of /unix is not the path of a socket")
      }
    } else {
      guard (1...253).contains(bytes.count), bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x2f }) else {
        throw .badMultiaddr("the value of /\(code.name) is not a name of 1 to 253 printable ASCII characters without a slash")
      }
    }
    return text
  }

  private static func multihash(_ value: RawSpan) throws(IdentityError) -> [UInt8] {
    guard value.byteCount <= 128 else { throw .badMultiaddr("/certhash of \(value.byteCount) bytes") }
    var offset = 0
    _ = try varint(value, &offset)
    let count = try varint(value, &offset)
    guard count == UInt64(value.byteCount - offset), count > 0 else { throw .badMultiaddr("the value of /certhash is not a multihash") }
    return [UInt8](value)
  }

  private static func varint(_ span: RawSpan, _ offset: inout Int) throws(IdentityError) -> UInt64 {
    switch Varint.read(span, at: offset) {
    case .value(let value, let count):
      offset += count
      return value
    case .incomplete: throw .badMultiaddr("it ends inside a number")
    case .invalid(let fault): throw .badMultiaddr("a number \(fault)")
    }
  }
}
