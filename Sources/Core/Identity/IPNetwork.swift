/// A block of IP addresses such as `10.0.0.0/8` or `2001:db8::/32` (RFC 4632).
public struct IPNetwork: Hashable, Sendable, Comparable, LosslessStringConvertible {
  /// The first address of the block.
  public let address: IPAddress

  /// The number of leading bits that all addresses of the block share: 0 to 32, or 0 to 128.
  public let prefixLength: Int

  /// The block of `prefixLength` bits round an address. A length outside the family's range is held inside it.
  public init(_ address: IPAddress, prefixLength: Int) {
    self.prefixLength = min(max(0, prefixLength), address.bitWidth)
    self.address = address.masked(self.prefixLength)
  }

  /// Reads `10.0.0.0/8`, or a single address, which is a block of one. Bits behind the prefix are cleared. `nil` for anything else.
  ///
  /// A block of IPv4 addresses in IPv6 form is read as what it means: `::ffff:10.0.0.0/104` is `10.0.0.0/8`. One that is wider than all of
  /// IPv4 (`::ffff:0:0/95`) is `nil`.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(text: parts[0]) else { return nil }
    let writtenBits = parts[0].utf8.contains(UInt8(ascii: ":")) ? 128 : 32
    guard let length = parts.count == 1 ? writtenBits : Decimal.parse(parts[1], maximum: writtenBits) else { return nil }
    self.init(address, writtenBits, length)
  }

  /// Makes the block of an address of 4 or 16 bytes; `nil` when that is no address, or the length no prefix of it.
  public init?(bytes: [UInt8], prefixLength: Int) {
    guard let address = IPAddress(bytes: bytes), (0...bytes.count * 8).contains(prefixLength) else { return nil }
    self.init(address, bytes.count * 8, prefixLength)
  }

  /// The block of an address that was written with more bits than its family has: those before it are no part of the prefix.
  private init?(_ address: IPAddress, _ writtenBits: Int, _ length: Int) {
    let length = length - (writtenBits - address.bitWidth)
    guard length >= 0 else { return nil }
    self.init(address, prefixLength: length)
  }

  /// Whether the address lies in the block. No IPv4 address lies in a block of IPv6 addresses, not even in `::/0`.
  public func contains(_ other: IPAddress) -> Bool { other.isV6 == address.isV6 && other.masked(prefixLength) == address }

  /// `10.0.0.0/8`.
  public var description: String { "\(address)/\(prefixLength)" }

  /// By address, the wider block first.
  public static func < (left: IPNetwork, right: IPNetwork) -> Bool {
    left.address == right.address ? left.prefixLength < right.prefixLength : left.address < right.address
  }
}

extension IPAddress {
  /// The address with all but the first `length` bits cleared. Shifts by the whole width give 0 in Swift, as needed here.
  fileprivate func masked(_ length: Int) -> IPAddress {
    switch value {
    case .v4(let number): .v4(number & (UInt32.max << (32 - length)))
    case .v6(let high, let low): .v6(high: high & (UInt64.max << max(0, 64 - length)), low: low & (UInt64.max << min(64, 128 - length)))
    }
  }
}
