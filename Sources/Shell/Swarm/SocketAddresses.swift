import EventLoop
import Identity

extension SocketAddress {
  /// The address of an IP address and a port.
  public init(_ ip: IPAddress, port: UInt16) {
    guard let address = SocketAddress(ipBytes: ip.bytes, port: port) else { preconditionFailure("an IP address has 4 or 16 bytes") }
    self = address
  }

  /// The address as a multiaddr.
  public var multiaddr: Multiaddr {
    guard let ip = IPAddress(bytes: ipBytes) else { preconditionFailure("a socket address has 4 or 16 bytes") }
    return Multiaddr(ip: ip, port: port)
  }
}
