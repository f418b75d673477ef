import Wire

/// A self-describing network address such as `/ip4/10.0.0.1/tcp/4001/p2p/12D3…` (multiformats/multiaddr).
///
/// Always valid: every component is one that this library knows, with a value of the right form. Equal addresses have equal bytes, which may
/// not be those that were read: `/ip6/::ffff:1.2.3.4` is `/ip4/1.2.3.4`.
public struct Multiaddr: Hashable, Sendable {
  /// The most bytes that an address may have, not counting a PeerID at its end: 1 KiB.
  public static let maximumBytes = 1024

  /// The binary form: not empty, always valid.
  public let bytes: [UInt8]

  /// Takes bytes that are known to be valid.
  init(validated bytes: [UInt8]) { self.bytes = bytes }

  /// Reads the binary form and copies it.
  /// - Throws: ``IdentityError/badMultiaddr(_:)`` for an empty or long address, an unknown component, or a value of the wrong form.
  public init(bytes span: RawSpan) throws(IdentityError) {
    let (components, isCanonical) = try Self.decode(span)
    if isCanonical {
      self.init(validated: [UInt8](span))
    } else {
      try self.init(components: components)
    }
  }

  /// Reads the binary form.
  public init(bytes: [UInt8]) throws(IdentityError) { try self.init(bytes: bytes.rawSpan) }

  /// Reads the text form. `/ipfs/` is read as `/p2p/`; slashes at the end are ignored.
  /// - Throws: ``IdentityError/badMultiaddr(_:)``, which names the component that is wrong.
  public init(_ text: some StringProtocol) throws(IdentityError) { try self.init(components: Self.parse(text)) }

  /// Puts an address together.
  /// - Throws: ``IdentityError/badMultiaddr(_:)`` when there are no components, too many bytes, or a text in one of them has no place
  ///   in an address.
  public init(components: [Component]) throws(IdentityError) {
    var bytes: [UInt8] = []
    for component in components { component.append(to: &bytes) }
    try self.init(bytes: bytes)
  }

  /// `/ip4/…/tcp/…` or `/ip6/…/tcp/…`.
  public init(ip: IPAddress, port: UInt16) {
    var bytes: [UInt8] = []
    Component.ip(ip).append(to: &bytes)
    Component.tcp(port).append(to: &bytes)
    self.init(validated: bytes)
  }

  /// Reads `10.0.0.1:4001`, `[2001:db8::1]:4001` or `example.com:4001`, as configuration files and command lines have it;
  /// a name becomes `/dns/example.com/tcp/4001`.
  /// - Throws: ``IdentityError/badMultiaddr(_:)`` when the port is absent, or the host neither an address nor a name.
  public init(hostPort text: some StringProtocol) throws(IdentityError) {
    guard let colon = text.lastIndex(of: ":") else { throw .badMultiaddr("\(text) has no port: write HOST:PORT") }
    let host = text[..<colon]
    guard let port = Decimal.parse(text[text.index(after: colon)...], maximum: 65535) else {
      throw .badMultiaddr("the port of \(text) is not a number from 0 to 65535")
    }
    let tcp = Component.tcp(UInt16(port))
    if host.hasPrefix("["), host.hasSuffix("]"), host.contains(":"), let address = IPAddress(text: host.dropFirst().dropLast()) {
      try self.init(components: [.ip(address), tcp])
    } else if !host.contains(":"), let address = IPAddress(text: host) {
      try self.init(components: [.ip(address), tcp])
    } else {
      // A name whose last label is a number is a mistyped IPv4 address, never a host.
      let last = host.split(separator: ".").last ?? ""
      let isName = host.utf8.allSatisfy { character in
        switch character {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
      }
      guard isName, !last.isEmpty, !last.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
        throw .badMultiaddr("\(text) has neither an IP address nor a name before the port; an IPv6 address needs brackets")
      }
      try self.init(components: [.dns(String(host)), tcp])
    }
  }
}

extension Multiaddr: CustomStringConvertible {
  /// The components in order. O(bytes).
  public var components: [Component] { (try? Self.decode(bytes.rawSpan))?.components ?? [] }

  /// The text form.
  public var description: String { components.map(\.description).joined() }
}

extension Multiaddr: Comparable {
  /// Byte order: an order that is the same on every machine.
  public static func < (left: Multiaddr, right: Multiaddr) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

extension Multiaddr {
  /// Reads the components, and whether the bytes are the form that this library writes. They are not where an IPv4 address stands in IPv6
  /// form; a prefix length behind it is changed with it.
  static func decode(_ span: RawSpan) throws(IdentityError) -> (components: [Component], isCanonical: Bool) {
    guard span.byteCount > 0 else { throw .badMultiaddr("it is empty") }
    guard span.byteCount <= maximumBytes + Component.maximumPeerIDBytes else { throw .badMultiaddr("\(span.byteCount) bytes are too many") }
    var components: [Component] = []
    var offset = 0
    var start = 0
    var isCanonical = true
    var isMapped = false
    while offset < span.byteCount {
      start = offset
      var component = try Component.read(span, &offset)
      if isMapped { component = try component.behindMapped() }
      isMapped = component.code == .ip4 && offset - start > 5
      if isMapped { isCanonical = false }
      components.append(component)
    }
    // Room for a PeerID is kept free, so that one can be put at the end of every address.
    if case .p2p? = components.last {} else { start = span.byteCount }
    guard start <= maximumBytes else { throw .badMultiaddr("\(span.byteCount) bytes are too many") }
    return (components, isCanonical)
  }

  private static func parse(_ text: some StringProtocol) throws(IdentityError) -> [Component] {
    guard text.utf8.count <= 4 * maximumBytes else { throw .badMultiaddr("\(text.utf8.count) characters are too many") }
    guard text.hasPrefix("/") else { throw .badMultiaddr("\(text) does not begin with a slash") }
    var parts = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)[...]
    while parts.last?.isEmpty == true { parts.removeLast() }
    var components: [Component] = []
    var isMapped = false
    while let name = parts.popFirst() {
      guard let code = Code(name: name) else { throw .badMultiaddr("“\(name)” in \(text) is not a known protocol") }
      if code == .unix {
        components.append(.unix("/" + parts.joined(separator: "/")))
        parts = []
      } else if !code.takesValue {
        components.append(try Component(code, text: ""))
      } else {
        guard let value = parts.popFirst() else { throw .badMultiaddr("/\(name) at the end of \(text) lacks its value") }
        let component = try Component(code, text: value)
        components.append(isMapped ? try component.behindMapped() : component)
      }
      isMapped = code == .ip6 && components.last?.code == .ip4
    }
    return components
  }
}
