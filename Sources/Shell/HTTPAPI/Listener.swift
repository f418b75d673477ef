import Foundation
import Identity
import Wire

/// A listening TCP socket. The library would make its own, but tells no reason when it can't.
struct Listener {
  let descriptor: Int32
  let port: UInt16

  init(_ address: String, port: UInt16) throws(HTTPServerError) {
    var storage = sockaddr_storage()
    let length = try Self.fill(&storage, address, port)
    descriptor = socket(Int32(storage.ss_family), Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    guard descriptor >= 0 else { throw HTTPServerError(message: "cannot make a socket: \(String(cString: strerror(errno)))") }
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    // Answers that a client does not read wait here, where they are counted, or are not made at all, instead of filling the kernel. Accepted
    // sockets inherit it.
    var sendBuffer = Self.sendBufferBytes
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &sendBuffer, socklen_t(MemoryLayout<Int32>.size))
    let fd = descriptor
    let bound = withUnsafePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, length) == 0 && listen(fd, Self.backlog) == 0 }
    }
    guard bound else {
      let code = errno
      close(descriptor)
      throw Self.error(code, "\(address) port \(port)")
    }
    var actual = sockaddr_storage()
    var actualLength = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = withUnsafeMutablePointer(to: &actual) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(fd, $0, &actualLength) }
    }
    self.port = withUnsafeBytes(of: &actual) { UInt16(bigEndian: $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) }
  }

  /// The address as text, without a zone; empty for what is not IP.
  static func text(_ address: UnsafePointer<sockaddr>?) -> String {
    guard let address else { return "" }
    let length = address.pointee.sa_family == sa_family_t(AF_INET6) ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard getnameinfo(address, socklen_t(length), &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) == 0 else { return "" }
    let text = String(decoding: host.prefix { $0 != 0 && $0 != 0x25 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // A socket of both families reports an IPv4 client in IPv6 form.
    return IPAddress(text)?.description ?? text
  }

  /// Whom a request is charged to: an IPv4 address, or a /64 of IPv6, which one customer has.
  static func client(_ address: UnsafePointer<sockaddr>?) -> String {
    let text = text(address)
    guard let ip = IPAddress(text), ip.isV6 else { return text }
    return Base16.encode(Array(ip.bytes.prefix(8)))
  }

  private static func fill(_ storage: inout sockaddr_storage, _ address: String, _ port: UInt16) throws(HTTPServerError) -> socklen_t {
    guard let ip = IPAddress(address) else { throw HTTPServerError(message: "'\(address)' is not an IP address; change http_bind") }
    if ip.isV6 {
      var six = sockaddr_in6()
      six.sin6_family = sa_family_t(AF_INET6)
      six.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &six.sin6_addr) { $0.copyBytes(from: ip.bytes) }
      withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: six, as: sockaddr_in6.self) }
      return socklen_t(MemoryLayout<sockaddr_in6>.size)
    }
    var four = sockaddr_in()
    four.sin_family = sa_family_t(AF_INET)
    four.sin_port = port.bigEndian
    withUnsafeMutableBytes(of: &four.sin_addr) { $0.copyBytes(from: ip.bytes) }
    withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: four, as: sockaddr_in.self) }
    return socklen_t(MemoryLayout<sockaddr_in>.size)
  }

  private static func error(_ code: Int32, _ place: String) -> HTTPServerError {
    switch code {
    case EADDRINUSE: HTTPServerError(message: "\(place) is in use; change http_port or stop the other program")
    case EACCES: HTTPServerError(message: "no permission to listen on \(place); choose http_port above 1023")
    case EADDRNOTAVAIL: HTTPServerError(message: "\(place) is not an address of this machine; change http_bind")
    default: HTTPServerError(message: "cannot listen on \(place): \(String(cString: strerror(code)))")
    }
  }

  private static let backlog: Int32 = 511
  private static let sendBufferBytes: Int32 = 64 << 10
}
