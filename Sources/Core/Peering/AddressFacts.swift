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
  func fault(allowsPrivate: Bool) -> String? {
    guard let port else { return "not a direct TCP address" }
    if port == 0 { return "port 0" }
    guard let ip else { return nil }
    if ip.isUnspecified { return "unspecified address" }
    if ip.isMulticast { return "multicast address" }
    if !allowsPrivate && !ip.isRoutable { return "not routable on a public network" }
    return nil
  }

  /// The network that ``PeeringConfiguration/perSubnetMaximum`` counts.
  static func subnet(of ip: IPAddress) -> IPNetwork { IPNetwork(ip, prefixLength: ip.isV6 ? 48 : 24) }
}
