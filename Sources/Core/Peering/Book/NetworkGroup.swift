import Identity
import Wire

/// The neighbours that one operator is likely to hold together: peers' numbers are limited by it, since addresses are cheap and networks are not.
public struct NetworkGroup: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The kind in the highest byte, the network below.
  let number: UInt64

  init(number: UInt64) { self.number = number }

  private init(_ kind: UInt64, _ network: UInt64) { number = kind << 56 | network & (UInt64.max >> 8) }

  /// Everything that no peer's word brought in: look-ups and configuration.
  public static let local = NetworkGroup(0, 0)

  static func v4(_ prefix: UInt32) -> NetworkGroup { NetworkGroup(1, UInt64(prefix)) }
  static func v6(_ prefix: UInt64) -> NetworkGroup { NetworkGroup(2, prefix) }
  static func system(_ number: UInt32) -> NetworkGroup { NetworkGroup(3, UInt64(number)) }

  /// A group of one.
  static func alone(_ bytes: [UInt8]) -> NetworkGroup {
    var hash = SipHash(SipHash.Key(low: 0, high: 0))
    hash.combine(bytes.rawSpan)
    return NetworkGroup(4, hash.value)
  }

  /// `192.0.0.0/16`, `2001:db8::/32`, `AS64500`, `this node` for what no peer's word brought in, or `one address` for a group of one.
  public var description: String {
    switch number >> 56 {
    case 0: "this node"
    case 1: IPNetwork(.v4(UInt32(truncatingIfNeeded: number) << 16), prefixLength: 16).description
    case 2: IPNetwork(.v6(high: number << 32, low: 0), prefixLength: 32).description
    case 3: "AS\(number & (UInt64.max >> 8))"
    default: "one address"
    }
  }

  /// Whether it is a network: neither this node's own nor a group of one.
  var isNetwork: Bool { (1...3).contains(number >> 56) }

  /// A stable order without meaning.
  public static func < (left: NetworkGroup, right: NetworkGroup) -> Bool { left.number < right.number }
}

/// Which addresses form a group: those of one autonomous system where a map says so, otherwise a /16 (IPv4) or a /32 (IPv6).
public struct NetworkGroups: Sendable {
  /// Which autonomous system announces a network. Default none.
  public var systems: AutonomousSystems?
  /// Whether loopback, private and link-local addresses are grouped like public ones. Default no: there each address stands alone, so
  /// that clusters on one machine or in one building link freely.
  public var includesPrivate = false

  /// Makes the default rules.
  public init() {}

  /// The group of a public address, or `nil` where groups mean nothing.
  public func group(of ip: IPAddress) -> NetworkGroup? {
    guard includesPrivate || ip.isRoutable else { return nil }
    if let system = systems?.system(of: ip) { return .system(system) }
    return switch ip.value {
    case .v4(let number): .v4(number >> 16)
    case .v6(let high, _): .v6(high >> 32)
    }
  }

  /// The group by which the book spreads an address: where groups mean nothing, one of its own.
  func spread(of endpoint: BookEndpoint) -> NetworkGroup {
    if let ip = endpoint.ip, let group = group(of: ip) { return group }
    return .alone(endpoint.multiaddr.bytes)
  }

  /// The group that answers for what a peer says. A peer on a private network answers alone.
  public func source(_ peer: PeerID, at ip: IPAddress?) -> NetworkGroup { ip.flatMap { group(of: $0) } ?? .alone(peer.bytes) }
}

/// Which autonomous system announces which network, longest prefix first.
public struct AutonomousSystems: Sendable {
  private var systems: [IPNetwork: UInt32] = [:]
  /// The prefix lengths that occur, the longest first, for IPv4 and IPv6.
  private var lengths: (v4: [Int], v6: [Int]) = ([], [])

  /// Makes a map; of two entries for one network the later counts. O(n).
  public init(_ entries: [(network: IPNetwork, system: UInt32)]) {
    for entry in entries { systems[entry.network] = entry.system }
    lengths.v4 = Set(systems.keys.filter { !$0.address.isV6 }.map(\.prefixLength)).sorted(by: >)
    lengths.v6 = Set(systems.keys.filter { $0.address.isV6 }.map(\.prefixLength)).sorted(by: >)
  }

  /// A line that cannot be read.
  public struct LineError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its number, from 1.
    public let line: Int
    /// A sentence for the operator.
    public var description: String { "line \(line) is not a network and the number of its autonomous system" }
  }

  /// Reads lines such as `192.0.2.0/24 64500` or `2001:db8::/32 AS64501`; blank lines and what follows `#` are passed over. O(n).
  ///
  /// - Throws: a ``LineError`` for the first line that is something else.
  public init(text: String) throws(LineError) {
    var entries: [(network: IPNetwork, system: UInt32)] = []
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
      if words.isEmpty { continue }
      guard words.count == 2, let network = IPNetwork(String(words[0])),
        let system = UInt32(words[1].hasPrefix("AS") ? words[1].dropFirst(2) : words[1])
      else { throw LineError(line: index + 1) }
      entries.append((network, system))
    }
    self.init(entries)
  }

  /// The system of the longest network that holds the address. O(prefix lengths that occur).
  public func system(of ip: IPAddress) -> UInt32? {
    for length in ip.isV6 ? lengths.v6 : lengths.v4 {
      if let system = systems[IPNetwork(ip, prefixLength: length)] { return system }
    }
    return nil
  }
}
