import Identity
import Wire

/// What peering needs to know of an address, taken out of it once.
struct AddressFacts: Hashable, Sendable {
  /// The IP address, or `nil` for a name.
  var ip: IPAddress?
  /// Why nobody here can dial it.
  var dialFault: AddressFault?

  init(_ address: Multiaddr) {
    do throws(AddressFault) { ip = try address.dialable().ip } catch {
      ip = address.ipAddress
      dialFault = error
    }
  }

  /// Why nobody should dial this address, or `nil` when it is good.
  func fault(allowsPrivate: Bool) -> AddressRefusal? {
    if let dialFault { return AddressRefusal(dialFault) }
    guard let ip else { return nil }
    return allowsPrivate || ip.isRoutable ? nil : .notRoutable
  }

  /// The network that ``PeeringConfiguration/perSubnetMaximum`` counts.
  static func subnet(of ip: IPAddress) -> IPNetwork { IPNetwork(ip, prefixLength: ip.isV6 ? 48 : 24) }
}

/// Why an address that somebody told was not taken into the book.
public enum AddressRefusal: String, Hashable, Sendable, CaseIterable {
  /// Not TCP over an IP address or a name, and nothing else.
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
  /// It was told for one peer and ends in another's name.
  case anothersName = "anothers-name"
  /// The peer or its address is banned.
  case banned
  /// Whoever told it, or somebody of his network, has told too much.
  case overBudget = "over-budget"
  /// Others hold its places in the tables.
  case noPlace = "no-place"
  /// Too many configured peers.
  case listFull = "list-full"

  init(_ fault: AddressFault) {
    self =
      switch fault {
      case .portZero: .portZero
      case .unspecified: .unspecified
      case .multicast: .multicast
      default: .notDirect
      }
  }
}
