import EventLoop
import Identity

extension SocketAddress {
  /// The address of an `/ip4` or `/ip6` multiaddr with a TCP port; `nil` for any other.
  public init?(_ address: Multiaddr) {
    guard let ip = address.ipAddress, let port = address.tcpPort else { return nil }
    self.init(ipBytes: ip.bytes, port: port)
  }

  /// The address as a multiaddr.
  public var multiaddr: Multiaddr {
    guard let ip = IPAddress(bytes: ipBytes) else { preconditionFailure("a socket address has 4 or 16 bytes") }
    return Multiaddr(ip: ip.unmapped, port: port)
  }
}
