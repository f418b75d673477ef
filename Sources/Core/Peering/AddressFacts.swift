import Identity
import Wire

/// What peering needs to know of an address, taken out of it once.
struct AddressFacts: Hashable, Sendable {
  /// The IP address in its shortest family (`::ffff:1.2.3.4` is 1.2.3.4), or `nil` for a name.
  var ip: IPAddress?
  /// The transport's port.
  var port: UInt16?

  init(_ address: Multiaddr) {
    // Most are plain; reading those by components would cost most of what taking in a list costs.
    if case .plain(let ip, let port) = BookEndpoint(address) {
      self.ip = ip.unmapped
      self.port = port
    } else {
      ip = address.ipAddress?.unmapped
      port = address.isRelayed ? nil : address.tcpPort
    }
  }

  /// Why nobody should dial this address, or `nil` when it is good.
  func fault(allowsPrivate: Bool) -> AddressRefusal? {
    guard let port else { return .notDirect }
    if port == 0 { return .portZero }
    guard let ip else { return nil }
    if ip.isUnspecified { return .unspecified }
    if ip.isMulticast { return .multicast }
    if !allowsPrivate && !ip.isRoutable { return .notRoutable }
    return nil
  }

  /// The network that ``PeeringConfiguration/perSubnetMaximum`` counts.
  static func subnet(of ip: IPAddress) -> IPNetwork { IPNetwork(ip, prefixLength: ip.isV6 ? 48 : 24) }
}

/// Why an address that somebody told was not taken into the book.
public enum AddressRefusal: String, Hashable, Sendable, CaseIterable {
  /// Not TCP over an IP address or a name.
  case notDirect = "not-direct"
  /// Nobody listens on port 0.
  case portZero = "port-0"
  /// The address that stands for none.
  case unspecified
  /// A group's address.
  case multicast
  /// Private or reserved, on a public network.
  case notRoutable = "not-routable"
  /// Hearsay that would make this node look up a name.
  case name
  /// This node's own.
  case own
  /// A peer's word about itself that names another one.
  case notTheTellers = "not-the-tellers"
  /// The peer or its address is banned.
  case banned
  /// Whoever told it, or somebody of his network, has told too much.
  case overBudget = "over-budget"
  /// Others hold its places in the tables.
  case noPlace = "no-place"
  /// Too many configured peers.
  case listFull = "list-full"
}
