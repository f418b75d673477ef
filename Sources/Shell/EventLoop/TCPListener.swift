import CUV
import Glibc
import Wire

/// Hears of a listener's connections. Called on the loop's thread.
public protocol TCPListenerDelegate: AnyObject {
  /// A connection has come in. Adopt it on this loop or hand it to another one; dropping it closes it.
  func listener(_ listener: TCPListener, accepted connection: DetachedSocket)

  /// Accepting failed, usually for want of file descriptors; the listener tries again by itself after
  /// ``TCPListener/Configuration/retryDelay``, and connections wait in the backlog meanwhile.
  func listener(_ listener: TCPListener, failedToAccept error: TransportError)

  /// The listener is closed, and its port is free.
  func listenerClosed(_ listener: TCPListener)
}

extension TCPListenerDelegate {
  /// Does nothing.
  public func listener(_ listener: TCPListener, failedToAccept error: TransportError) {}
  /// Does nothing.
  public func listenerClosed(_ listener: TCPListener) {}
}

/// A listening TCP socket. It keeps its delegate until it is closed or the loop stops.
///
/// Connections are accepted on one loop and may be served on any: see ``DetachedSocket``.
public final class TCPListener: LoopHandle, @unchecked Sendable {
  /// What a listener can be told.
  public struct Configuration: Sendable {
    /// How many connections the kernel holds for the listener before it accepts them; 1024, or less where the kernel caps it.
    public var backlog = 1024
    /// How many connections are accepted in one turn of the loop, so that a flood doesn't starve the others; 2.
    public var acceptMaximum = 2
    /// How long the next ones wait in the backlog after that many; 1 ms. A thousand connections a second come through.
    public var acceptPause = Duration.milliseconds(1)
    /// How long to wait after a failure to accept; 100 ms.
    public var retryDelay = Duration.milliseconds(100)

    /// The defaults.
    public init() {}
  }

  /// The address listened on, with the actual port.
  public let address: SocketAddress
  /// How many connections were accepted.
  public private(set) var acceptedCount = 0

  private let configuration: Configuration
  private let descriptor: Int32
  private var delegate: (any TCPListenerDelegate)?
  private var restTimer: LoopTimer?
  private var isPaused = false

  /// Listens on `address`; port 0 takes a free port. An IPv6 listener takes IPv6 only. Call it on the loop's thread.
  ///
  /// - Throws: ``TransportError`` such as `addressInUse`.
  public init(
    _ address: SocketAddress, on loop: EventLoop, configuration: Configuration = .init(), delegate: any TCPListenerDelegate
  ) throws(TransportError) {
    let (descriptor, bound) = try Self.listen(on: address, backlog: configuration.backlog)
    self.address = bound
    self.descriptor = descriptor
    self.configuration = configuration
    super.init(loop: loop, handle: uv_poll_t.self)
    let status = uv_poll_init(loop.raw, pointer(uv_poll_t.self), descriptor)
    guard status == 0 else {
      Glibc.close(descriptor)
      throw TransportError(status: status, context: "listen on \(address)")
    }
    self.delegate = delegate
    register()
    startPolling()
  }

  /// Stops accepting; connections wait in the backlog, and the kernel refuses or ignores those beyond it.
  public func pause() {
    loop.preconditionInLoop()
    isPaused = true
    stopPolling()
  }

  /// Accepts again after ``pause()``.
  public func resume() {
    loop.preconditionInLoop()
    isPaused = false
    if restTimer?.deadline == nil { startPolling() }
  }

  /// Stops listening; `listenerClosed` follows.
  public func close() {
    restTimer?.close()
    restTimer = nil
    beginClose()
  }

  private func startPolling() {
    guard !isClosing else { return }
    let status = uv_poll_start(pointer(uv_poll_t.self), Int32(UV_READABLE.rawValue)) { handle, _, _ in
      handle?.pointee.data?.borrow(TCPListener.self) { $0.acceptAll() }
    }
    precondition(status == 0, "uv_poll_start failed with \(status)")
  }

  private func stopPolling() {
    if !isClosing { uv_poll_stop(pointer(uv_poll_t.self)) }
  }

  private func acceptAll() {
    for _ in 0..<configuration.acceptMaximum where !isPaused && !isClosing {
      var storage = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let accepted = withUnsafeMutablePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          accept4(descriptor, $0, &length, Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue))
        }
      }
      if accepted >= 0 {
        guard let remote = SocketAddress(storage) else {
          Glibc.close(accepted)
          continue
        }
        acceptedCount += 1
        delegate?.listener(self, accepted: DetachedSocket(descriptor: accepted, remote: remote))
        continue
      }
      switch errno {
      case EAGAIN: return
      // The connection went before it was accepted, or a network error that was pending on it: take the next one.
      case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM: continue
      default:
        // The socket stays readable while descriptors are short, so that polling on would spin.
        let error = TransportError(status: -errno, context: "accept on \(address)")
        rest(configuration.retryDelay)
        delegate?.listener(self, failedToAccept: error)
        return
      }
    }
    rest(configuration.acceptPause)
  }

  private func rest(_ time: Duration) {
    if isPaused || isClosing { return }
    stopPolling()
    let timer =
      restTimer
      ?? LoopTimer(on: loop) { [weak self] _ in
        guard let self, !isPaused else { return }
        startPolling()
      }
    restTimer = timer
    timer.arm(after: time)
  }

  override func didClose() {
    Glibc.close(descriptor)
    let delegate = delegate
    self.delegate = nil
    delegate?.listenerClosed(self)
  }

  override func loopIsStopping() { close() }

  private static func listen(on address: SocketAddress, backlog: Int) throws(TransportError) -> (Int32, SocketAddress) {
    let family = address.family == .ipv4 ? AF_INET : AF_INET6
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw TransportError(status: -errno, context: "listen on \(address)") }
    var on: Int32 = 1
    let size = socklen_t(MemoryLayout<Int32>.size)
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let isListening =
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size) == 0
      && (address.family == .ipv4 || setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) == 0)
      && address.withSockaddr { bind(descriptor, $0, $1) } == 0
      && Glibc.listen(descriptor, Int32(clamping: backlog)) == 0
      && withUnsafeMutablePointer(to: &storage) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
      } == 0
    guard isListening, let bound = SocketAddress(storage) else {
      let error = TransportError(status: -errno, context: "listen on \(address)")
      Glibc.close(descriptor)
      throw error
    }
    return (descriptor, bound)
  }
}
