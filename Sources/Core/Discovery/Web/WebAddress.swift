import Identity
import Wire

/// Where an HTTP peer answers: `http://host:port`, without a path. Equal ones have equal texts.
public struct WebAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// A name in lower case, or an IP address in its standard text.
  public let host: String
  /// The port.
  public let port: UInt16

  /// Reads `http://host[:port][/]` or `host:port`; `nil` for any other text, as one with a path, a user or another scheme. An IPv6 address
  /// stands in brackets. Without a port it is 80.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count <= Self.bytesMaximum else { return nil }
    var rest = Substring(text)
    let scheme = "http://"
    let hasScheme = rest.prefix(scheme.count).lowercased() == scheme
    if hasScheme { rest = rest.dropFirst(scheme.count) }
    while rest.last == "/" { rest.removeLast() }
    var port: UInt16 = 80
    var host = rest
    if let colon = rest.lastIndex(of: ":"), !rest.hasSuffix("]") {
      let digits = rest[rest.index(after: colon)...]
      guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(digits), number > 0 else { return nil }
      port = number
      host = rest[..<colon]
    } else if !hasScheme {
      return nil
    }
    if host.hasPrefix("[") && host.hasSuffix("]") {
      guard host.contains(":"), let ip = IPAddress(text: host.dropFirst().dropLast()) else { return nil }
      self.host = ip.description
    } else if !host.contains(":"), let ip = IPAddress(text: host) {
      self.host = ip.description
    } else {
      guard let name = DNSName(host), host.utf8.allSatisfy({ Self.isNameByte($0) }) else { return nil }
      self.host = name.description
    }
    self.port = port
  }

  /// A port of this machine.
  public init(localPort: UInt16) {
    host = "localhost"
    port = localPort
  }

  /// The address as a URL.
  public var description: String { "http://\(ip?.isV6 == true ? "[\(host)]" : host):\(port)" }

  /// The host as an IP address; `localhost` is 127.0.0.1, and `nil` stands for any other name.
  public var ip: IPAddress? { host == "localhost" ? .loopback : IPAddress(text: host) }

  /// By host, then port.
  public static func < (left: WebAddress, right: WebAddress) -> Bool { (left.host, left.port) < (right.host, right.port) }

  /// The longest text that is read.
  public static let bytesMaximum = 300

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
