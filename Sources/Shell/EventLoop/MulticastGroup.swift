import CUV
import Glibc

/// Hears what comes to a multicast group. Called on the loop's thread.
public protocol MulticastDelegate: AnyObject {
  /// A datagram came to the group, from this or another host. The bytes are gone when the delegate returns.
  func group(_ group: MulticastGroup, received bytes: UnsafeRawBufferPointer, from sender: SocketAddress)
}

/// Membership of an IPv4 multicast group on some of this host's interfaces, as multicast DNS needs it.
///
/// It hears what is sent to the group on those interfaces, and nothing else: a datagram that somebody beyond the link addresses to this
/// host does not reach it. The port is shared with other programs of this host that allow it. It keeps its delegate until it is closed
/// or its loop stops.
public final class MulticastGroup: LoopHandle, @unchecked Sendable {
  /// The group's address and port.
  public let address: SocketAddress
  /// The interfaces joined so far.
  public private(set) var interfaces: [InterfaceAddress] = []
  private var delegate: (any MulticastDelegate)?

  /// Opens the group's port, without joining yet. Call it on the loop's thread.
  ///
  /// - Throws: ``TransportError`` when the port is taken by a program that does not share it.
  public init(_ address: SocketAddress, on loop: EventLoop, delegate: any MulticastDelegate) throws(TransportError) {
    self.address = address
    self.delegate = delegate
    super.init(loop: loop, handle: uv_udp_t.self)
    var status = uv_udp_init(loop.raw, udp)
    precondition(status == 0, "uv_udp_init failed with \(status)")
    register()
    status = address.withSockaddr { name, _ in uv_udp_bind(udp, name, UInt32(UV_UDP_REUSEADDR.rawValue)) }
    if status == 0 { status = restrict() }
    if status == 0 { status = uv_udp_set_multicast_ttl(udp, 255) }
    if status == 0 {
      status = uv_udp_recv_start(
        udp,
        { handle, _, buffer in
          handle?.pointee.data?.borrow(MulticastGroup.self) {
            buffer?.pointee = uv_buf_init(
              $0.loop.readBuffer.baseAddress?.assumingMemoryBound(to: CChar.self), UInt32($0.loop.readBuffer.count))
          }
        },
        { handle, count, buffer, sender, flags in
          guard count > 0, let sender, let buffer, flags & UInt32(UV_UDP_PARTIAL.rawValue) == 0 else { return }
          handle?.pointee.data?.borrow(MulticastGroup.self) {
            $0.didReceive(UnsafeRawBufferPointer(start: buffer.pointee.base, count: count), sender)
          }
        })
    }
    guard status == 0 else {
      self.delegate = nil
      beginClose()
      throw TransportError(status: status, context: "join \(address)")
    }
  }

  /// Joins on an interface; harmless when that is done already.
  ///
  /// - Throws: ``TransportError`` when the interface cannot take part.
  public func join(_ interface: InterfaceAddress) throws(TransportError) {
    loop.preconditionInLoop()
    guard !isClosing, !interfaces.contains(interface) else { return }
    let status = uv_udp_set_membership(udp, address.ip, interface.address.ip, UV_JOIN_GROUP)
    // Another address of the same interface: joined is joined.
    guard status == 0 || status == UV_EADDRINUSE.rawValue else {
      throw TransportError(status: status, context: "join \(address) on \(interface.name)")
    }
    interfaces.append(interface)
  }

  /// Forgets an interface that is gone, so that it can be joined again when it comes back.
  public func leave(_ interface: InterfaceAddress) {
    loop.preconditionInLoop()
    guard !isClosing, interfaces.contains(interface) else { return }
    interfaces.removeAll { $0 == interface }
    uv_udp_set_membership(udp, address.ip, interface.address.ip, UV_LEAVE_GROUP)
  }

  /// Sends a datagram to the group on every interface joined; one that an interface does not take is lost.
  public func send(_ bytes: [UInt8]) {
    loop.preconditionInLoop()
    guard !isClosing else { return }
    for interface in interfaces {
      guard uv_udp_set_multicast_interface(udp, interface.address.ip) == 0 else { continue }
      bytes.withUnsafeBytes { bytes in
        var buffer = uv_buf_init(
          UnsafeMutablePointer(mutating: bytes.baseAddress?.assumingMemoryBound(to: CChar.self)), UInt32(bytes.count))
        _ = address.withSockaddr { name, _ in uv_udp_try_send(udp, &buffer, 1, name) }
      }
    }
  }

  /// Leaves the group and lets the delegate go.
  public func close() { beginClose() }

  private var udp: UnsafeMutablePointer<uv_udp_t> { pointer(uv_udp_t.self) }

  /// Linux otherwise delivers what comes in on interfaces that other programs joined.
  private func restrict() -> Int32 {
    var descriptor: Int32 = -1
    let status = uv_fileno(handle, &descriptor)
    guard status == 0 else { return status }
    var off: Int32 = 0
    return setsockopt(descriptor, Int32(IPPROTO_IP), IP_MULTICAST_ALL, &off, socklen_t(MemoryLayout<Int32>.size)) == 0 ? 0 : -errno
  }

  private func didReceive(_ bytes: UnsafeRawBufferPointer, _ sender: UnsafePointer<sockaddr>) {
    guard let sender = SocketAddress(sender) else { return }
    delegate?.group(self, received: bytes, from: sender)
  }

  override func didClose() { delegate = nil }
}
