import CUV
import Glibc
import Synchronization

/// A connected TCP socket that belongs to no loop at the moment: fresh from a listener, or detached to move to another loop.
///
/// It may cross threads. ``TCPSocket/init(adopting:on:configuration:delegate:)`` takes it over, once; a socket that nobody takes over
/// is closed when the last reference goes.
public final class DetachedSocket: Sendable {
  /// The address of the other end.
  public let remote: SocketAddress
  private let descriptor: Atomic<Int32>

  /// Takes ownership of the file descriptor of a connected TCP socket.
  public init(descriptor: Int32, remote: SocketAddress) {
    self.remote = remote
    self.descriptor = Atomic(descriptor)
  }

  deinit { close() }

  /// Closes the socket, if nobody has taken it over.
  public func close() {
    let descriptor = take()
    if descriptor >= 0 { Glibc.close(descriptor) }
  }

  /// The same, after a few bytes that the other end is told; it waits for nothing.
  public func close(after bytes: [UInt8]) {
    let descriptor = take()
    guard descriptor >= 0 else { return }
    _ = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL)) }
    shutdown(descriptor, Int32(SHUT_WR))
    // With what it says first unread, the end would be a reset, which the other end's system may tell before the bytes.
    withUnsafeTemporaryAllocation(byteCount: 1_024, alignment: 1) {
      _ = recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
    }
    Glibc.close(descriptor)
  }

  /// Gives the descriptor away, to be closed by the caller; -1 when it was taken or closed before.
  public func take() -> Int32 { descriptor.exchange(-1, ordering: .acquiringAndReleasing) }
}
