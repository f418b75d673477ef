import CUV
import Glibc
import Synchronization
import Threads
import Wire

/// A libuv loop on a thread of its own: sockets, timers and signals live on it, other threads hand it work.
///
/// Everything that belongs to a loop (``TCPSocket``, ``TCPListener``, ``LoopTimer``, ...) is made and used on the loop's thread
/// only, which is checked. ``execute(_:)``, ``perform(_:)``, ``runAndWait(_:)``, ``now`` and ``stop()`` may be called from anywhere.
/// A loop starts once and stops once. One loop costs a thread, six file descriptors and 256 KiB for reading.
public final class EventLoop: @unchecked Sendable {
  /// The loop's name, also its thread's.
  public let name: String

  /// The memory into which every socket of this loop reads.
  let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: readBufferBytes, alignment: 64)
  /// Scratch for gathering writes.
  let gather = UnsafeMutableBufferPointer<uv_buf_t>.allocate(capacity: gatherMaximum)
  let raw: UnsafeMutablePointer<uv_loop_t>

  /// Handles that aren't closed yet. Loop thread only.
  var handleCount = 0
  /// Requests that the loop waits for when it stops. Loop thread only.
  var requestCount = 0

  /// Watches `wakeDescriptor`. libuv's own way to wake a loop (`uv_async_t`) has the woken thread spin until the sender is through, and on a
  /// busy machine the woken thread is what keeps the sender from running.
  private let wakeHandle: UnsafeMutablePointer<uv_poll_t>
  private let loopThread = Atomic<UInt>(0)
  private var thread: NativeThread?

  private let lock = Lock()
  private let phaseChanged: Condition
  private var phase = Phase.idle
  /// Counts wake-ups; open from the start of the loop's thread to the end of this object, so that anyone who has the loop may write to it.
  private var wakeDescriptor: Int32 = -1
  private var stopWaiters: [CheckedContinuation<Void, Never>] = []
  private var queue: [Work] = []
  /// Capacity that the queue had in the last turn, for the next. Loop thread only.
  private var spareQueue: [Work] = []

  /// Makes a loop that isn't running yet.
  public init(name: String) {
    self.name = name
    raw = .allocate(capacity: 1)
    raw.initialize(to: uv_loop_t())
    wakeHandle = .allocate(capacity: 1)
    wakeHandle.initialize(to: uv_poll_t())
    phaseChanged = Condition(lock)
    Platform.ignoreBrokenPipes()
  }

  deinit {
    if wakeDescriptor >= 0 { close(wakeDescriptor) }
    // After an abandoned stop a thread of libuv's pool may still write to the loop.
    guard phase != .abandoned else { return }
    readBuffer.deallocate()
    gather.deallocate()
    wakeHandle.deallocate()
    raw.deallocate()
  }

  // MARK: Life

  /// Starts the loop's thread and returns when the loop runs. Work that was handed over before runs first.
  ///
  /// - Throws: ``TransportError`` when the system has no thread or file descriptor left; the loop is then stopped.
  public func start() throws(TransportError) {
    let isFirst = lock.withLock {
      guard phase == .idle else { return false }
      phase = .starting
      return true
    }
    precondition(isFirst, "the event loop \(name) was started twice")
    do {
      let started = try NativeThread(name: name) { self.threadMain() }
      lock.withLock { thread = started }
    } catch {
      lock.withLock { phase = .stopped }
      throw error
    }
    let failure: Int32? = lock.withLock {
      while phase == .starting { phaseChanged.wait() }
      if case .failed(let status) = phase { return status }
      return nil
    }
    if let failure {
      lock.withLock { thread }?.join()
      lock.withLock { phase = .stopped }
      throw TransportError(status: failure, context: "start event loop \(name)")
    }
  }

  /// Asks the loop to stop and returns at once: it runs the work that it already has, closes every handle (their delegates hear
  /// of it) and ends its thread. Harmless when repeated.
  public func requestStop() {
    let wakes = lock.withLock {
      switch phase {
      case .idle:
        phase = .stopped
        return false
      case .starting, .running:
        defer { phase = .stopRequested }
        return phase == .running
      default: return false
      }
    }
    if wakes { sendWakeUp() }
  }

  /// Stops the loop and waits until its thread has ended. Harmless when repeated; never call it on the loop's own thread.
  ///
  /// A name look-up that hangs holds it up for two seconds at most; then the look-up is left to itself.
  public func stop() {
    requestStop()
    lock.withLock { thread }?.join()
  }

  /// As ``stop()``, without blocking the caller's thread meanwhile.
  public func shutDown() async {
    requestStop()
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      let isOver = lock.withLock {
        if phase.isOver { return true }
        stopWaiters.append(continuation)
        return false
      }
      if isOver { continuation.resume() }
    }
    // The thread is past its last work, so this returns at once.
    lock.withLock { thread }?.join()
  }

  // MARK: Work

  /// Runs `body` on the loop's thread in the order of the calls; from the loop's own thread too it runs later, not now.
  ///
  /// The queue of closures has no bound: it is for control. Streams of data go through a ``Mailbox``.
  ///
  /// - Returns: `false` when the loop has stopped, and `body` will never run.
  @discardableResult
  public func execute(_ body: @escaping @Sendable () -> Void) -> Bool { enqueue(.closure(body)) }

  /// Runs `body` on the loop's thread and gives its result.
  ///
  /// - Throws: what `body` throws, or ``TransportError`` `canceled` when the loop has stopped.
  public func perform<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let isAccepted = execute { continuation.resume(with: Swift.Result { try body() }) }
      if !isAccepted { continuation.resume(throwing: TransportError(.canceled, context: "run on event loop \(name)")) }
    }
  }

  /// Runs `body` on the loop's thread, blocks the caller until it has run, and gives its result. On the loop's own thread it runs
  /// at once. Needs a started loop.
  ///
  /// - Throws: what `body` throws, or ``TransportError`` `canceled` when the loop has stopped.
  public func runAndWait<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
    if inLoop { return try body() }
    let answer = Answer<Result>()
    guard execute({ answer.set(Swift.Result { try body() }) }) else {
      throw TransportError(.canceled, context: "run on event loop \(name)")
    }
    return try answer.wait().get()
  }

  /// The time now on the process's monotonic clock; every loop has the same origin. About 25 ns.
  public var now: Instant { Platform.now }

  /// Whether the caller runs on the loop's thread.
  public var inLoop: Bool { loopThread.load(ordering: .relaxed) == UInt(pthread_self()) }

  /// Traps when the caller doesn't run on the loop's thread.
  @inline(__always)
  public func preconditionInLoop() { precondition(inLoop, "called off the event loop's thread") }

  func enqueue(_ work: Work) -> Bool {
    let place = reserve(work)
    if place == .first { sendWakeUp() }
    return place != nil
  }

  /// Where work stands that was added.
  enum Place {
    /// The loop has to be woken for it.
    case first
    /// The loop is, or will be, woken for what stands before it.
    case behind
  }

  /// Adds work without waking the loop; `nil` when it has stopped. For callers that hold a lock: they call ``sendWakeUp()`` without it.
  func reserve(_ work: Work) -> Place? {
    lock.withLock {
      guard phase.acceptsWork else { return nil }
      queue.append(work)
      return queue.count == 1 && phase == .running ? .first : .behind
    }
  }

  /// Wakes the loop. Not under a lock that the loop's thread takes: it may run before this returns.
  func sendWakeUp() {
    var one: UInt64 = 1
    // A full counter is a wake-up that is still to be read.
    while write(wakeDescriptor, &one, MemoryLayout<UInt64>.size) < 0, errno == EINTR {}
  }

  // MARK: Thread

  private func threadMain() {
    loopThread.store(UInt(pthread_self()), ordering: .relaxed)
    let status = setUp()
    lock.withLock {
      if status != 0 { phase = .failed(status) } else if phase == .starting { phase = .running }
      phaseChanged.broadcast()
    }
    guard status == 0 else { return }
    wake()
    uv_run(raw, UV_RUN_DEFAULT)
    tearDown()
  }

  private func setUp() -> Int32 {
    let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard descriptor >= 0 else { return -errno }
    lock.withLock { wakeDescriptor = descriptor }
    let status = uv_loop_init(raw)
    guard status == 0 else { return status }
    var pollStatus = uv_poll_init(raw, wakeHandle, descriptor)
    if pollStatus == 0 {
      pollStatus = uv_poll_start(wakeHandle, Int32(UV_READABLE.rawValue)) { handle, _, _ in
        guard let loop = EventLoop.of(handle?.pointee.loop) else { return }
        var count: UInt64 = 0
        _ = read(loop.wakeDescriptor, &count, MemoryLayout<UInt64>.size)
        loop.wake()
      }
    }
    guard pollStatus == 0 else {
      uv_loop_close(raw)
      return pollStatus
    }
    // Unretained: the thread's closure keeps the loop alive for as long as libuv runs.
    uv_loop_set_data(raw, Unmanaged.passUnretained(self).toOpaque())
    return 0
  }

  static func of(_ raw: UnsafeMutablePointer<uv_loop_t>?) -> EventLoop? {
    guard let data = raw?.pointee.data else { return nil }
    return Unmanaged<EventLoop>.fromOpaque(data).takeUnretainedValue()
  }

  /// Runs the batch of work that is there, or ends the run when a stop was asked for.
  private func wake() {
    let isStopping = runQueue()
    if isStopping { uv_stop(raw) }
  }

  @discardableResult
  private func runQueue(last: Bool = false) -> Bool {
    var batch = spareQueue
    spareQueue = []
    let isStopping = lock.withLock {
      swap(&batch, &queue)
      if last { phase = .closing }
      return phase == .stopRequested
    }
    for work in batch {
      switch work {
      case .closure(let body): body()
      case .receiver(let receiver): receiver.deliver()
      }
    }
    batch.removeAll(keepingCapacity: batch.capacity <= Self.spareQueueMaximum)
    spareQueue = batch
    return isStopping
  }

  private func tearDown() {
    runQueue(last: true)
    let deadline = now + Self.requestPatience
    // Delegates may open new handles while they hear of the end of others, so close until none is left.
    while handleCount > 0 {
      closeHandles()
      uv_run(raw, UV_RUN_NOWAIT)
    }
    while requestCount > 0, now < deadline {
      uv_run(raw, UV_RUN_NOWAIT)
      usleep(1000)
    }
    let isAbandoned = requestCount > 0
    if !isAbandoned {
      UnsafeMutableRawPointer(wakeHandle).withMemoryRebound(to: uv_handle_t.self, capacity: 1) { uv_close($0, nil) }
      uv_run(raw, UV_RUN_DEFAULT)
      let status = uv_loop_close(raw)
      precondition(status == 0, "the event loop \(name) closed with handles open")
    }
    let waiters = lock.withLock {
      phase = isAbandoned ? .abandoned : .stopped
      defer { stopWaiters = [] }
      return stopWaiters
    }
    for waiter in waiters { waiter.resume() }
  }

  private func closeHandles() {
    uv_walk(
      raw,
      { handle, _ in
        guard let handle, let data = handle.pointee.data, uv_is_closing(handle) == 0 else { return }
        Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue().loopIsStopping()
      }, nil)
  }

  private enum Phase: Equatable {
    /// Made; `start` makes it `starting`, a stop `stopped`.
    case idle
    /// The thread sets the loop up; then `running` or `failed`.
    case starting
    case failed(Int32)
    case running
    /// Still takes work until the thread sees the request; then `closing`.
    case stopRequested
    /// Takes no work, closes handles; then `stopped` or `abandoned`.
    case closing
    case stopped
    /// The thread has ended, and a look-up that never came back still refers to the loop's memory.
    case abandoned

    var isOver: Bool {
      switch self {
      case .failed, .stopped, .abandoned: true
      default: false
      }
    }

    var acceptsWork: Bool {
      switch self {
      case .idle, .starting, .running, .stopRequested: true
      default: false
      }
    }
  }

  /// What waits for the loop's thread.
  enum Work {
    case closure(@Sendable () -> Void)
    case receiver(any BatchReceiver)
  }

  static let readBufferBytes = 256 << 10
  private static let gatherMaximum = 64
  private static let spareQueueMaximum = 1024
  private static let requestPatience = Duration.seconds(2)
}

/// Something that takes the messages that wait for it, on the loop's thread.
protocol BatchReceiver: AnyObject, Sendable {
  func deliver()
}

/// A result that one thread sets and another waits for.
private final class Answer<Value: Sendable>: @unchecked Sendable {
  private let lock = Lock()
  private let isSet: Condition
  private var result: Result<Value, any Error>?

  init() { isSet = Condition(lock) }

  func set(_ result: Result<Value, any Error>) {
    lock.withLock {
      self.result = result
      isSet.signal()
    }
  }

  func wait() -> Result<Value, any Error> {
    lock.withLock {
      while true {
        if let result { return result }
        isSet.wait()
      }
    }
  }
}
