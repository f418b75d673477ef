import EventLoop
import Glibc
import Identity

/// The addresses of this machine's network interfaces.
enum Interfaces {
  /// The addresses at which a listener can be reached: itself, or when it listens on every interface (`0.0.0.0`, `::`) each interface's
  /// address of the family, loopback last. Link-local IPv6 addresses are left out, since they mean nothing without their zone.
  static func reachable(_ listener: SocketAddress) -> [SocketAddress] {
    guard listener.ipBytes.allSatisfy({ $0 == 0 }) else { return [listener] }
    let own = addresses(port: listener.port).filter { $0.family == listener.family }
    guard !own.isEmpty else { return [listener] }
    let (loopback, others) = (own.filter(isLoopback), own.filter { !isLoopback($0) })
    return others + loopback
  }

  private static func isLoopback(_ address: SocketAddress) -> Bool { IPAddress(bytes: address.ipBytes)?.isLoopback ?? false }

  private static func addresses(port: UInt16) -> [SocketAddress] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var result: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard let address = entry.ifa_addr, entry.ifa_flags & UInt32(IFF_UP) != 0 else { continue }
      let bytes: [UInt8]
      switch Int32(address.pointee.sa_family) {
      case AF_INET:
        bytes = UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr_in.self).pointee.sin_addr.bytes
      case AF_INET6:
        bytes = UnsafeRawPointer(address).assumingMemoryBound(to: sockaddr_in6.self).pointee.sin6_addr.bytes
        if bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80 { continue }
      default: continue
      }
      if let found = SocketAddress(ipBytes: bytes, port: port), !result.contains(found) { result.append(found) }
    }
    return result
  }
}

extension in_addr {
  fileprivate var bytes: [UInt8] { withUnsafeBytes(of: self) { Array($0) } }
}

extension in6_addr {
  fileprivate var bytes: [UInt8] { withUnsafeBytes(of: self) { Array($0) } }
}
