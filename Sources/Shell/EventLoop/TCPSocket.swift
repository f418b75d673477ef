import CUV
import Glibc
import Wire

/// Hears of a socket's events. Called on the loop's thread.
public protocol TCPSocketDelegate: AnyObject {
  /// A dialled connection is established. Not called for adopted sockets, which are connected from the start.
  func socketConnected(_ socket: TCPSocket)

  /// Bytes have come in. They lie in the loop's read buffer: the delegate may change them in place, and they are gone when it
  /// returns.
  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer)

  /// The other end sends no more. By default the socket is closed.
  func socketReachedEnd(_ socket: TCPSocket)

  /// So much was sent that the unsent bytes, having been above the high mark, are below the low mark.
  func socketDrained(_ socket: TCPSocket)

  /// The socket is closed, by `close`, by a failure or with its loop. The last call, exactly once, unless it was detached.
  ///
  /// - Parameter error: what failed, or `nil` after a `close`.
  func socketClosed(_ socket: TCPSocket, error: TransportError?)
}

extension TCPSocketDelegate {
  /// Does nothing.
  public func socketConnected(_ socket: TCPSocket) {}
  /// Closes the socket.
  public func socketReachedEnd(_ socket: TCPSocket) { socket.close() }
  /// Does nothing.
  public func socketDrained(_ socket: TCPSocket) {}
}

/// A TCP connection on one loop. It keeps its delegate until it is closed or the loop stops.
///
/// A failure of any kind closes the socket; the delegate hears of it in `socketClosed`, in a later turn of the loop, never from
/// within a call to the socket.
public final class TCPSocket: LoopHandle, @unchecked Sendable {
  /// What a socket can be told.
  public struct Configuration: Sendable {
    /// Whether small writes go out at once (`TCP_NODELAY`); `true`.
    public var hasNoDelay = true
    /// Above this many unsent bytes ``TCPSocket/write(_:)`` asks the caller to hold back; 1 MiB.
    public var highMarkBytes = 1 << 20
    /// At this many unsent bytes or fewer, the caller is told to go on; 256 KiB.
    public var lowMarkBytes = 256 << 10
    /// A write that would leave more unsent bytes than this closes the socket with `limitReached`; 64 MiB. It bounds the memory that a
    /// peer that reads too slowly can cost.
    public var pendingMaximumBytes = 64 << 20

    /// The defaults.
    public init() {}
  }

  /// Where a connection is in its life.
  public enum State: Sendable {
    /// Dialling; becomes `open` or, through a failure, `closed`.
    case connecting
    /// Bytes flow.
    case open
    /// Sends what is left, then waits for the other end to close; what comes in is dropped.
    case finishing
    /// Closed, failed or detached, or about to be; nothing more happens.
    case closed
  }

  /// Where the connection is in its life.
  public private(set) var state: State
  /// The address of the other end.
  public let remote: SocketAddress
  /// The socket's limits.
  public let configuration: Configuration
  /// Bytes that were read so far.
  public private(set) var readBytes: UInt64 = 0
  /// Bytes that the kernel has taken so far.
  public private(set) var writtenBytes: UInt64 = 0

  /// How many bytes may be read in one turn of the loop: what is beyond waits until the other sockets have had theirs. Between 4 KiB
  /// and 256 KiB; 256 KiB by default.
  public var turnBytes = EventLoop.readBufferBytes {
    didSet { turnBytes = min(max(turnBytes, Self.turnBytesMinimum), EventLoop.readBufferBytes) }
  }

  private var delegate: (any TCPSocketDelegate)?
  private var isReading = false
  /// Reading goes on in the next turn.
  private var isTurnOver = false
  private var hasReachedEnd = false
  private var closeError: TransportError?
  /// Why nothing can be sent any more, while what came before is still read.
  private var writeError: TransportError?
  /// Limits dialling, later finishing.
  private var timer: LoopTimer?

  // Unsent arrays from `head` on, less `headOffset` bytes of the first; those in flight first.
  private var queue: [[UInt8]] = []
  private var head = 0
  private var headOffset = 0
  private var queuedBytes = 0
  private var inFlightBytes = 0
  private var isWriteInFlight = false
  private var isDrainAwaited = false
  private var shutdownState = ShutdownState.none
  /// Made for the first write that doesn't go out at once, then used again: at most one is under way.
  private var writeRequest: UnsafeMutablePointer<uv_write_t>?
  private var otherRequest: UnsafeMutableRawPointer?

  // MARK: Making

  /// Dials `remote`. The delegate hears `socketConnected`, or `socketClosed` with the reason (`timedOut` after `timeout`).
  /// Call it on the loop's thread.
  ///
  /// - Parameter local: the address of this machine to dial from; its port is taken as it is, 0 for any. Default the system's choice.
  public static func connect(
    to remote: SocketAddress, from local: SocketAddress? = nil, on loop: EventLoop, timeout: Duration = .seconds(10),
    configuration: Configuration = .init(), delegate: any TCPSocketDelegate
  ) -> TCPSocket {
    let socket = TCPSocket(remote: remote, loop: loop, configuration: configuration, delegate: delegate)
    socket.connect(from: local, timeout: timeout)
    return socket
  }

  /// Takes over a connected socket, from a listener or from another loop. Call it on the loop's thread. Reading starts with
  /// ``startReading()``.
  ///
  /// - Throws: ``TransportError`` when the socket was taken over or closed before, or isn't valid; it is closed then.
  public convenience init(
    adopting socket: DetachedSocket, on loop: EventLoop, configuration: Configuration = .init(), delegate: any TCPSocketDelegate
  ) throws(TransportError) {
    self.init(remote: socket.remote, loop: loop, configuration: configuration, delegate: delegate)
    let descriptor = socket.take()
    let status = descriptor < 0 ? TransportError.Code.notConnected.rawValue : uv_tcp_open(tcp, descriptor)
    guard status == 0 else {
      if descriptor >= 0 { Glibc.close(descriptor) }
      self.delegate = nil
      close()
      throw TransportError(status: status, context: "adopt \(remote)")
    }
    state = .open
    setOptions()
  }

  private init(remote: SocketAddress, loop: EventLoop, configuration: Configuration, delegate: any TCPSocketDelegate) {
    self.remote = remote
    self.configuration = configuration
    self.delegate = delegate
    state = .connecting
    super.init(loop: loop, handle: uv_tcp_t.self)
    let status = uv_tcp_init(loop.raw, tcp)
    precondition(status == 0, "uv_tcp_init failed with \(status)")
    register()
  }

  deinit {
    writeRequest?.deallocate()
    otherRequest?.deallocate()
  }

  private var tcp: UnsafeMutablePointer<uv_tcp_t> { pointer(uv_tcp_t.self) }
  private var stream: UnsafeMutablePointer<uv_stream_t> { pointer(uv_stream_t.self) }

  private func connect(from local: SocketAddress?, timeout: Duration) {
    if let local {
      let status = local.withSockaddr { address, _ in uv_tcp_bind(tcp, address, 0) }
      guard status == 0 else { return fail(TransportError(status: status, context: "dial from \(local)")) }
    }
    let request = requestMemory(uv_connect_t.self)
    let status = remote.withSockaddr { address, _ in
      uv_tcp_connect(request, tcp, address) { request, status in
        request?.pointee.handle?.pointee.data?.borrow(TCPSocket.self) { $0.didConnect(status) }
      }
    }
    guard status == 0 else {
      fail(TransportError(status: status, context: "connect \(remote)"))
      return
    }
    limit(to: timeout) { $0.fail(TransportError(.timedOut, context: "connect \($0.remote)")) }
  }

  private func didConnect(_ status: Int32) {
    guard state == .connecting else { return }
    endLimit()
    guard status == 0 else {
      fail(TransportError(status: status, context: "connect \(remote)"))
      return
    }
    state = .open
    setOptions()
    flush()
    delegate?.socketConnected(self)
    noteDrain()
    shutdownIfFlushed()
  }

  private func setOptions() {
    // Fails only on a socket that is already broken, which the next read reports.
    if configuration.hasNoDelay { uv_tcp_nodelay(tcp, 1) }
  }

  // MARK: Reading

  /// Starts reading, or goes on after ``stopReading()``. Harmless when repeated.
  public func startReading() {
    loop.preconditionInLoop()
    guard state == .open || state == .finishing, !isReading, !hasReachedEnd, !isClosing else { return }
    isReading = true
    if !isTurnOver { beginReading() }
  }

  private func beginReading() {
    let status = uv_read_start(
      stream,
      { handle, _, buffer in
        handle?.pointee.data?.borrow(TCPSocket.self) { socket in
          buffer?.pointee.base = socket.loop.readBuffer.baseAddress?.assumingMemoryBound(to: CChar.self)
          buffer?.pointee.len = socket.turnBytes
        }
      },
      { stream, count, buffer in
        // When the peer hangs up after a part was read, libuv reports the end without a buffer.
        stream?.pointee.data?.borrow(TCPSocket.self) { $0.didRead(buffer?.pointee.base, count) }
      })
    if status != 0 { fail(TransportError(status: status, context: "read from \(remote)")) }
  }

  /// Stops reading: the kernel's buffer fills, and then the other end has to wait.
  public func stopReading() {
    loop.preconditionInLoop()
    guard isReading else { return }
    isReading = false
    uv_read_stop(stream)
  }

  /// Libuv would read on for as long as bytes lie there.
  private func endTurn() {
    guard isReading, !isTurnOver else { return }
    isTurnOver = true
    uv_read_stop(stream)
    loop.execute {
      self.isTurnOver = false
      if self.isReading, !self.isClosing { self.beginReading() }
    }
  }

  private func didRead(_ base: UnsafeMutablePointer<CChar>?, _ count: Int) {
    if count > 0 {
      readBytes &+= UInt64(count)
      if count >= turnBytes { endTurn() }
      if state == .open { delegate?.socket(self, received: UnsafeMutableRawBufferPointer(start: base, count: count)) }
    } else if count < 0 {
      stopReading()
      guard count == Int(UV_EOF.rawValue) else {
        fail(TransportError(status: Int32(truncatingIfNeeded: count), context: "read from \(remote)"))
        return
      }
      hasReachedEnd = true
      if let writeError { return fail(writeError) }
      if state == .finishing {
        if shutdownState == .done { close() }
      } else {
        delegate?.socketReachedEnd(self)
      }
    }
  }

  // MARK: Writing

  /// Sends the bytes: as much as the kernel takes goes out at once, the rest waits in the array itself, without a copy.
  ///
  /// Ignored when the socket is finishing or closed.
  ///
  /// - Returns: `false` when more bytes than the high mark are unsent: hold back until `socketDrained`.
  @discardableResult
  public func write(_ bytes: [UInt8]) -> Bool {
    loop.preconditionInLoop()
    guard mayWrite, !bytes.isEmpty else { return isWritable }
    if queuedBytes > 0 || isWriteInFlight || state == .connecting {
      enqueue(bytes)
      return noteMarks()
    }
    let status = bytes.withUnsafeBytes { source in
      var buffer = uv_buf_t(
        base: UnsafeMutablePointer(mutating: source.baseAddress?.assumingMemoryBound(to: CChar.self)), len: source.count)
      return uv_try_write(stream, &buffer, 1)
    }
    guard status >= 0 || status == UV_EAGAIN.rawValue else {
      failWriting(status)
      return false
    }
    let written = max(0, Int(status))
    writtenBytes &+= UInt64(written)
    if written == bytes.count { return true }
    enqueue(bytes)
    headOffset = written
    queuedBytes -= written
    submit()
    return noteMarks()
  }

  /// Sends several arrays in order with as few system calls as possible. See ``write(_:)``. O(n) in the number of arrays.
  @discardableResult
  public func write(_ chunks: [[UInt8]]) -> Bool {
    loop.preconditionInLoop()
    guard mayWrite else { return isWritable }
    for chunk in chunks where !chunk.isEmpty { enqueue(chunk) }
    flush()
    return noteMarks()
  }

  /// How many bytes were written here and not yet taken by the kernel.
  public var pendingBytes: Int {
    isWriteInFlight && !isClosing ? queuedBytes - inFlightBytes + uv_stream_get_write_queue_size(stream) : queuedBytes
  }

  /// Whether no more bytes than the high mark are unsent, and the socket takes bytes.
  public var isWritable: Bool { mayWrite && pendingBytes <= configuration.highMarkBytes }

  /// Sends what is unsent and then tells the other end that no more comes; reading goes on.
  public func shutdownWriting() {
    loop.preconditionInLoop()
    guard mayWrite else { return }
    shutdownState = .asked
    shutdownIfFlushed()
  }

  private var mayWrite: Bool { (state == .open || state == .connecting) && shutdownState == .none && !isClosing }

  private func enqueue(_ bytes: [UInt8]) {
    queue.append(bytes)
    queuedBytes += bytes.count
  }

  /// Whether the caller may write on; closes the socket when far too much is unsent.
  private func noteMarks() -> Bool {
    guard !isClosing, writeError == nil else { return false }
    let pending = pendingBytes
    if pending > configuration.pendingMaximumBytes {
      fail(TransportError(.limitReached, context: "\(pending) bytes unsent to \(remote)"))
      return false
    }
    if pending > configuration.highMarkBytes { isDrainAwaited = true }
    return pending <= configuration.highMarkBytes
  }

  /// Writes what waits until the kernel takes no more; the rest is then in flight.
  private func flush() {
    while !isWriteInFlight, queuedBytes > 0, !isClosing, state != .connecting {
      let (count, bytes) = gather()
      let status = uv_try_write(stream, loop.gather.baseAddress, UInt32(count))
      guard status >= 0 || status == UV_EAGAIN.rawValue else { return failWriting(status) }
      let written = max(0, Int(status))
      consume(written)
      if written < bytes { submit() }
    }
  }

  /// Fills the loop's scratch with the first arrays that wait.
  private func gather() -> (count: Int, bytes: Int) {
    var count = 0
    var bytes = 0
    var offset = headOffset
    while head + count < queue.count, count < loop.gather.count {
      // The queue keeps each array alive and unchanged, and so its storage in place, until it was sent.
      let buffer = queue[head + count].withUnsafeBytes { source in
        uv_buf_t(
          base: UnsafeMutablePointer(mutating: source.baseAddress?.advanced(by: offset).assumingMemoryBound(to: CChar.self)),
          len: source.count - offset)
      }
      loop.gather[count] = buffer
      bytes += buffer.len
      offset = 0
      count += 1
    }
    return (count, bytes)
  }

  private func submit() {
    let (count, bytes) = gather()
    let request = writeRequest ?? .allocate(capacity: 1)
    writeRequest = request
    isWriteInFlight = true
    inFlightBytes = bytes
    let status = uv_write(request, stream, loop.gather.baseAddress, UInt32(count)) { request, status in
      request?.pointee.handle?.pointee.data?.borrow(TCPSocket.self) { $0.didWrite(status) }
    }
    if status != 0 {
      isWriteInFlight = false
      failWriting(status)
    }
  }

  private func didWrite(_ status: Int32) {
    isWriteInFlight = false
    guard !isClosing else { return }
    guard status == 0 else { return failWriting(status) }
    consume(inFlightBytes)
    inFlightBytes = 0
    flush()
    noteDrain()
    shutdownIfFlushed()
  }

  /// Nothing more can be sent, for the other end is gone. What it said before that still lies in the kernel and is read to its end.
  private func failWriting(_ status: Int32) {
    let error = TransportError(status: status, context: "write to \(remote)")
    guard state == .open, !hasReachedEnd, status == UV_EPIPE.rawValue || status == UV_ECONNRESET.rawValue else { return fail(error) }
    shutdownState = .done
    writeError = error
    dropQueue()
  }

  private func noteDrain() {
    guard isDrainAwaited, pendingBytes <= configuration.lowMarkBytes, !isClosing else { return }
    isDrainAwaited = false
    if state == .open { delegate?.socketDrained(self) }
  }

  /// Drops bytes that were sent from the queue.
  private func consume(_ count: Int) {
    writtenBytes &+= UInt64(count)
    queuedBytes -= count
    var left = count
    while left > 0 {
      let rest = queue[head].count - headOffset
      if left < rest {
        headOffset += left
        return
      }
      left -= rest
      headOffset = 0
      queue[head] = []
      head += 1
    }
    if head == queue.count {
      queue.removeAll(keepingCapacity: queue.capacity <= Self.queueKeptMaximum)
      head = 0
    } else if head >= Self.queueKeptMaximum, head * 2 >= queue.count {
      queue.removeFirst(head)
      head = 0
    }
  }

  private func shutdownIfFlushed() {
    guard shutdownState == .asked, state == .open || state == .finishing, queuedBytes == 0, !isWriteInFlight, !isClosing else { return }
    shutdownState = .started
    let status = uv_shutdown(requestMemory(uv_shutdown_t.self), stream) { request, status in
      request?.pointee.handle?.pointee.data?.borrow(TCPSocket.self) { $0.didShutdown(status) }
    }
    if status != 0 { fail(TransportError(status: status, context: "shut down \(remote)")) }
  }

  private func didShutdown(_ status: Int32) {
    guard !isClosing else { return }
    shutdownState = .done
    if state == .finishing, hasReachedEnd || status != 0 { close() }
  }

  // MARK: Closing

  /// Closes at once; bytes that are unsent are lost. Harmless when repeated.
  public func close() {
    loop.preconditionInLoop()
    guard !isClosing else { return }
    state = .closed
    isReading = false
    endLimit()
    beginClose()
  }

  /// Sends what is unsent, tells the other end, and closes when it closes too or after `timeout`, whichever is first.
  ///
  /// What still comes in is dropped; to read it is what spares the last bytes sent from being lost to a reset.
  public func closeGracefully(within timeout: Duration = .seconds(2)) {
    loop.preconditionInLoop()
    switch state {
    case .connecting: close()
    case .open:
      state = .finishing
      if shutdownState == .none { shutdownState = .asked }
      if hasReachedEnd, shutdownState == .done {
        close()
        return
      }
      limit(to: timeout) { $0.close() }
      startReading()
      shutdownIfFlushed()
    case .finishing, .closed: break
    }
  }

  /// Takes the connection from this loop, so that another one can adopt it. The delegate hears nothing more from this socket, and
  /// this object is closed.
  ///
  /// - Throws: ``TransportError`` `notConnected` unless the socket is open with nothing unsent, or the system's reason.
  public func detach() throws(TransportError) -> DetachedSocket {
    loop.preconditionInLoop()
    guard state == .open, queuedBytes == 0, !isWriteInFlight else { throw TransportError(.notConnected, context: "detach \(remote)") }
    var descriptor: uv_os_fd_t = -1
    let status = uv_fileno(handle, &descriptor)
    guard status == 0 else { throw TransportError(status: status, context: "detach \(remote)") }
    // The copy stays open when libuv closes its own.
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { throw TransportError(status: -errno, context: "detach \(remote)") }
    delegate = nil
    close()
    return DetachedSocket(descriptor: copy, remote: remote)
  }

  /// The address of this end; `nil` when the socket isn't connected.
  public var local: SocketAddress? {
    var storage = sockaddr_storage()
    var length = Int32(MemoryLayout<sockaddr_storage>.size)
    let status = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { uv_tcp_getsockname(tcp, $0, &length) }
    }
    return status == 0 ? SocketAddress(storage) : nil
  }

  private func fail(_ error: TransportError) {
    guard !isClosing else { return }
    closeError = error
    close()
  }

  override func loopIsStopping() { fail(TransportError(.canceled, context: "event loop stopped")) }

  override func didClose() {
    dropQueue()
    let delegate = delegate
    self.delegate = nil
    delegate?.socketClosed(self, error: closeError)
  }

  private func dropQueue() {
    queue = []
    head = 0
    headOffset = 0
    queuedBytes = 0
  }

  private func limit(to timeout: Duration, _ body: @escaping (TCPSocket) -> Void) {
    endLimit()
    let timer = LoopTimer(on: loop) { [weak self] _ in
      if let self { body(self) }
    }
    timer.arm(after: timeout)
    self.timer = timer
  }

  private func endLimit() {
    timer?.close()
    timer = nil
  }

  /// Memory for a connect or shutdown request; the first is over when the second begins.
  private func requestMemory<Request>(_ type: Request.Type) -> UnsafeMutablePointer<Request> {
    otherRequest?.deallocate()
    let memory = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<Request>.size, alignment: MemoryLayout<Request>.alignment)
    otherRequest = memory
    return memory.bindMemory(to: type, capacity: 1)
  }

  private enum ShutdownState {
    case none
    /// To be done when all is sent.
    case asked
    case started
    case done
  }

  private static let queueKeptMaximum = 64
  private static let turnBytesMinimum = 4 << 10
}
