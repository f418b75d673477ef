import CUV
import Glibc
import Threads

/// A joinable POSIX thread with a name.
final class NativeThread: @unchecked Sendable {
  private let lock = Lock()
  private var handle: pthread_t?

  /// Starts a thread that runs `body`. The kernel shows the first 15 bytes of `name`, and prefers threads with less niceness.
  init(name: String, niceness: Int32 = 0, _ body: @escaping @Sendable () -> Void) throws(TransportError) {
    let context = Unmanaged.passRetained(ThreadStart(name: name, niceness: niceness, body: body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue()
        pthread_setname_np(pthread_self(), String(decoding: start.name.utf8.prefix(15), as: UTF8.self))
        if start.niceness > 0 { cuv_set_niceness(start.niceness) }
        start.body()
        return nil
      }, context.toOpaque())
    guard status == 0 else {
      context.release()
      throw TransportError(status: -status, context: "start thread \(name)")
    }
    handle = thread
  }

  /// Waits until the thread has ended. Safe to call from several threads and more than once; never from the thread itself.
  func join() {
    lock.withLock {
      guard let thread = handle else { return }
      precondition(pthread_equal(thread, pthread_self()) == 0, "a thread cannot wait for its own end")
      pthread_join(thread, nil)
      handle = nil
    }
  }
}

private final class ThreadStart {
  let name: String
  let niceness: Int32
  let body: @Sendable () -> Void

  init(name: String, niceness: Int32, body: @escaping @Sendable () -> Void) {
    self.name = name
    self.niceness = niceness
    self.body = body
  }
}
