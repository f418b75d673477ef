import Wire

/// An IPv4 or IPv6 address, without zone.
///
/// An address has one form: an IPv4 address that is written as an IPv6 one (`::ffff:1.2.3.4`, as sockets that serve both families report
/// it) becomes the IPv4 address wherever it comes from, so that rules and limits for one spelling hold for the other.
public struct IPAddress: Hashable, Sendable {
  /// The address as a number, by its family.
  public enum Value: Hashable, Sendable {
    /// An IPv4 address, its first byte in the most significant bits.
    case v4(UInt32)
    /// An IPv6 address as its two halves; never an IPv4 address in IPv6 form.
    case v6(high: UInt64, low: UInt64)
  }

  /// The address as a number.
  public let value: Value

  private init(_ value: Value) { self.value = value }

  /// The IPv4 address of a number, its first byte in the most significant bits.
  public static func v4(_ number: UInt32) -> IPAddress { IPAddress(.v4(number)) }

  /// The IPv6 address of two halves, or the IPv4 address that they stand for.
  public static func v6(high: UInt64, low: UInt64) -> IPAddress {
    high == 0 && low >> 32 == 0xffff ? .v4(UInt32(truncatingIfNeeded: low)) : IPAddress(.v6(high: high, low: low))
  }

  /// 127.0.0.1.
  public static let loopback = IPAddress.v4(0x7f00_0001)

  /// 0.0.0.0, all of the machine's IPv4 addresses.
  public static let any = IPAddress.v4(0)

  /// Makes an address of 4 or 16 bytes; `nil` for any other count.
  public init?(bytes: [UInt8]) {
    func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    switch bytes.count {
    case 4: self = .v4(UInt32(truncatingIfNeeded: number(0..<4)))
    case 16: self = .v6(high: number(0..<8), low: number(8..<16))
    default: return nil
    }
  }

  /// The 4 or 16 bytes.
  public var bytes: [UInt8] {
    var result: [UInt8] = []
    switch value {
    case .v4(let address): result.appendBigEndian(address)
    case .v6(let high, let low):
      result.appendBigEndian(high)
      result.appendBigEndian(low)
    }
    return result
  }

  /// Whether this is an IPv6 address.
  public var isV6: Bool { if case .v6 = value { true } else { false } }

  /// The number of bits: 32 or 128.
  public var bitWidth: Int { isV6 ? 128 : 32 }
}

extension IPAddress {
  /// 127.0.0.0/8 or ::1.
  public var isLoopback: Bool { matches(Self.loopbackNetworks) }

  /// 0.0.0.0 or ::, which stand for all addresses of a machine.
  public var isUnspecified: Bool { self == .v4(0) || self == .v6(high: 0, low: 0) }

  /// For use inside a site: 10/8, 172.16/12, 192.168/16 (RFC 1918), 100.64/10 (RFC 6598), fc00::/7 (RFC 4193).
  public var isPrivate: Bool { matches(Self.privateNetworks) }

  /// Good on one link only: 169.254/16 (RFC 3927), fe80::/10.
  public var isLinkLocal: Bool { matches(Self.linkLocalNetworks) }

  /// 224.0.0.0/4 or ff00::/8.
  public var isMulticast: Bool { matches(Self.multicastNetworks) }

  /// Whether peers anywhere on the Internet may reach it: none of the above, and not reserved or for documentation (RFC 6890).
  public var isRoutable: Bool {
    if isUnspecified || isLoopback || isPrivate || isLinkLocal || isMulticast || matches(Self.reservedNetworks) { return false }
    if case .v6(let high, _) = value { return high >> 61 == 0b001 || high == 0x0064_ff9b_0000_0000 }
    return true
  }

  /// The group of neighbours that one operator is likely to hold together, against which peers' numbers are limited:
  /// the /16 of an IPv4 address, the /32 of an IPv6 one.
  public var netgroup: IPNetwork { IPNetwork(self, prefixLength: isV6 ? 32 : 16) }

  /// What one household or machine is given, and changes only with some trouble: an IPv4 address, the /64 of an IPv6 one. Inside a site, where
  /// a /64 holds everybody, the address alone.
  public var home: IPNetwork { IPNetwork(self, prefixLength: isV6 && isRoutable ? 64 : bitWidth) }

  private func matches(_ networks: [IPNetwork]) -> Bool { networks.contains { $0.contains(self) } }

  private static func v4(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ length: Int) -> IPNetwork {
    IPNetwork(.v4(a << 24 | b << 16 | c << 8), prefixLength: length)
  }
  private static func v6(_ high: UInt64, _ length: Int) -> IPNetwork { IPNetwork(.v6(high: high, low: 0), prefixLength: length) }

  private static let loopbackNetworks = [v4(127, 0, 0, 8), IPNetwork(.v6(high: 0, low: 1), prefixLength: 128)]
  private static let privateNetworks = [v4(10, 0, 0, 8), v4(172, 16, 0, 12), v4(192, 168, 0, 16), v4(100, 64, 0, 10), v6(0xfc << 56, 7)]
  private static let linkLocalNetworks = [v4(169, 254, 0, 16), v6(0xfe80 << 48, 10)]
  private static let multicastNetworks = [v4(224, 0, 0, 4), v6(0xff << 56, 8)]
  private static let reservedNetworks = [
    v4(0, 0, 0, 8), v4(192, 0, 0, 24), v4(192, 0, 2, 24), v4(198, 18, 0, 15), v4(198, 51, 100, 24), v4(203, 0, 113, 24), v4(240, 0, 0, 4),
    v6(0x2001_0db8 << 32, 32),
  ]
}

extension IPAddress: Comparable {
  /// IPv4 before IPv6, then as numbers.
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    switch (left.value, right.value) {
    case (.v4(let a), .v4(let b)): a < b
    case (.v6(let high, let low), .v6(let otherHigh, let otherLow)): (high, low) < (otherHigh, otherLow)
    case (.v4, .v6): true
    case (.v6, .v4): false
    }
  }
}
