import CUV
import Glibc

/// An IP address with a port. An IPv4 address in IPv6 form (`::ffff:1.2.3.4`), as sockets of both families report it, is read as the IPv4
/// address.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// The version of IP.
  public enum Family: UInt8, Hashable, Sendable {
    /// IP version 4.
    case ipv4 = 4
    /// IP version 6.
    case ipv6 = 6
  }

  /// The version of IP.
  public let family: Family
  private let high: UInt64
  private let low: UInt64
  /// The port, in host order; 0 asks the system for a free one when listening.
  public var port: UInt16
  /// The interface of a link-local IPv6 address; 0 otherwise.
  public var scope: UInt32 = 0

  /// Parses an IPv4 or IPv6 address in text (no port, no name; `%scope` with an interface's name or number is understood);
  /// `nil` when it is neither.
  public init?(_ ip: String, port: UInt16) {
    var four = sockaddr_in()
    if uv_ip4_addr(ip, Int32(port), &four) == 0 {
      self.init(four)
      return
    }
    var six = sockaddr_in6()
    guard uv_ip6_addr(ip, Int32(port), &six) == 0 else { return nil }
    self.init(six)
  }

  /// Makes an address from 4 or 16 bytes in network order; `nil` for any other count.
  public init?(ipBytes: [UInt8], port: UInt16) {
    switch ipBytes.count {
    case 4:
      self.init(family: .ipv4, high: 0, low: Self.number(ipBytes[...]), port: port)
    case 16:
      self.init(family: .ipv6, high: Self.number(ipBytes[..<8]), low: Self.number(ipBytes[8...]), port: port)
    default:
      return nil
    }
  }

  private init(family: Family, high: UInt64, low: UInt64, port: UInt16, scope: UInt32 = 0) {
    let isMapped = family == .ipv6 && high == 0 && low >> 32 == 0xffff
    self.family = isMapped ? .ipv4 : family
    self.high = high
    self.low = isMapped ? low & 0xffff_ffff : low
    self.port = port
    self.scope = isMapped ? 0 : scope
  }

  private init(_ address: sockaddr_in) {
    self.init(
      family: .ipv4, high: 0, low: UInt64(UInt32(bigEndian: address.sin_addr.s_addr)), port: UInt16(bigEndian: address.sin_port))
  }

  private init(_ address: sockaddr_in6) {
    var address = address
    let (high, low) = withUnsafeBytes(of: &address.sin6_addr) {
      ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }
    self.init(
      family: .ipv6, high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), port: UInt16(bigEndian: address.sin6_port),
      scope: address.sin6_scope_id)
  }

  /// Reads what the system stored; `nil` for a family other than IP.
  init?(_ storage: sockaddr_storage) {
    let address: SocketAddress? = withUnsafeBytes(of: storage) { bytes in
      switch Int32(storage.ss_family) {
      case AF_INET: SocketAddress(bytes.load(as: sockaddr_in.self))
      case AF_INET6: SocketAddress(bytes.load(as: sockaddr_in6.self))
      default: nil
      }
    }
    guard let address else { return nil }
    self = address
  }

  /// Reads an address that the system lent; `nil` for no address or for a family other than IP.
  init?(_ pointer: UnsafePointer<sockaddr>?) {
    guard let pointer else { return nil }
    let raw = UnsafeRawPointer(pointer)
    switch Int32(pointer.pointee.sa_family) {
    case AF_INET: self.init(raw.loadUnaligned(as: sockaddr_in.self))
    case AF_INET6: self.init(raw.loadUnaligned(as: sockaddr_in6.self))
    default: return nil
    }
  }

  /// Lends the address in the system's form.
  func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    switch family {
    case .ipv4:
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      address.sin_addr.s_addr = UInt32(truncatingIfNeeded: low).bigEndian
      return withUnsafeBytes(of: &address) { Self.lend($0, body) }
    case .ipv6:
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_scope_id = scope
      withUnsafeMutableBytes(of: &address.sin6_addr) {
        $0.storeBytes(of: high.bigEndian, as: UInt64.self)
        $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      return withUnsafeBytes(of: &address) { Self.lend($0, body) }
    }
  }

  /// The address's 4 or 16 bytes in network order.
  public var ipBytes: [UInt8] {
    switch family {
    case .ipv4: (0..<4).map { UInt8(truncatingIfNeeded: low >> UInt64(24 - 8 * $0)) }
    case .ipv6: [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }
  }

  /// The address in text, without port and scope, such as `127.0.0.1` or `::1`.
  public var ip: String {
    withSockaddr { address, _ in
      withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
        guard let base = text.baseAddress, uv_ip_name(address, base, 64) == 0 else { return "?" }
        return String(cString: base)
      }
    }
  }

  /// Whether packets to the address stay on this host: 127.0.0.0/8 or ::1.
  public var isLoopback: Bool { family == .ipv4 ? low >> 24 == 127 : high == 0 && low == 1 }

  /// Whether the address stands for "any": 0.0.0.0 or ::.
  public var isUnspecified: Bool { high == 0 && low == 0 }

  /// Whether the address is valid on one link only: 169.254.0.0/16 or fe80::/10.
  public var isLinkLocal: Bool { family == .ipv4 ? low >> 16 == 0xA9FE : high >> 54 == 0x3FA }

  /// The address and port in text, such as `127.0.0.1:4001` or `[::1]:4001`.
  public var description: String { family == .ipv4 ? "\(ip):\(port)" : "[\(ip)]:\(port)" }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

  private static func lend<Result>(
    _ bytes: UnsafeRawBufferPointer, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    guard let base = bytes.baseAddress else { preconditionFailure("a socket address has bytes") }
    return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
  }
}

/// An address of one of this host's network interfaces.
public struct InterfaceAddress: Hashable, Sendable {
  /// The interface's name, such as `eth0`.
  public let name: String
  /// The address, with port 0.
  public let address: SocketAddress
  /// Whether the interface is the loopback.
  public let isInternal: Bool
}

/// The addresses of this host's network interfaces that are up.
///
/// - Throws: ``TransportError`` when the system does not tell.
public func interfaces() throws(TransportError) -> [InterfaceAddress] {
  var list: UnsafeMutablePointer<uv_interface_address_t>?
  var count: Int32 = 0
  let status = uv_interface_addresses(&list, &count)
  guard status == 0 else { throw TransportError(status: status, context: "list interfaces") }
  defer { uv_free_interface_addresses(list, count) }
  return UnsafeBufferPointer(start: list, count: Int(count)).compactMap { entry in
    var entry = entry
    let address = withUnsafePointer(to: &entry.address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { SocketAddress(UnsafePointer($0)) }
    }
    return address.map { InterfaceAddress(name: String(cString: entry.name), address: $0, isInternal: entry.is_internal != 0) }
  }
}
