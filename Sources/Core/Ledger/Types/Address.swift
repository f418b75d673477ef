import Identity
import Wire

/// An account's name: its 32-byte Ed25519 public key. Text is 64 hexadecimal digits.
public struct Address: Hashable, Comparable, Sendable, CustomStringConvertible {
  private let key: Hash256

  /// Makes an address of a 32-byte key; `nil` for any other count.
  public init?(_ bytes: some Collection<UInt8>) {
    guard let key = Hash256(bytes) else { return nil }
    self.key = key
  }

  /// Reads an address from a span of exactly 32 bytes; `nil` for any other count.
  public init?(_ span: RawSpan) {
    guard let key = Hash256(span) else { return nil }
    self.key = key
  }

  /// Reads 64 hexadecimal digits; `nil` for anything else.
  public init?(hex: String) {
    guard let key = Hash256(hex: hex) else { return nil }
    self.key = key
  }

  /// The address of a key; `nil` unless it is an Ed25519 key.
  public init?(_ publicKey: PublicKey) {
    guard publicKey.kind == .ed25519 else { return nil }
    self.init(publicKey.data)
  }

  /// The 32 bytes.
  public var bytes: [UInt8] { key.bytes }

  /// Appends the 32 bytes to `buffer`.
  public func append(to buffer: inout [UInt8]) { key.append(to: &buffer) }

  /// The key to verify signatures with.
  public var publicKey: PublicKey { PublicKey(kind: .ed25519, data: key.bytes) }

  /// 64 hexadecimal digits.
  public var hex: String { key.hex }

  /// The first eight hexadecimal digits, for people.
  public var short: String { key.short }

  /// Numeric order of the bytes.
  public static func < (left: Address, right: Address) -> Bool { left.key < right.key }
  /// The text form.
  public var description: String { hex }
}

/// A sum of the chain's currency in its smallest unit. Arithmetic that leaves 64 bits gives `nil`, never a trap.
public struct Amount: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
  /// The number of smallest units.
  public let units: UInt64

  /// Makes a sum of `units`.
  public init(_ units: UInt64) { self.units = units }
  /// So many smallest units.
  public init(integerLiteral units: UInt64) { self.units = units }

  /// Nothing.
  public static let zero = Amount(0)

  /// The sum, or `nil` when 64 bits cannot hold it.
  public func adding(_ other: Amount) -> Amount? {
    let (sum, overflow) = units.addingReportingOverflow(other.units)
    return overflow ? nil : Amount(sum)
  }

  /// The difference, or `nil` when it would be negative.
  public func subtracting(_ other: Amount) -> Amount? { other.units > units ? nil : Amount(units - other.units) }

  /// Numeric order of the bytes.
  public static func < (left: Amount, right: Amount) -> Bool { left.units < right.units }
  /// The text form.
  public var description: String { "\(units)" }
}
