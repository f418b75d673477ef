import Glibc

/// A mutual-exclusion lock over `pthread_mutex_t`.
///
/// Used instead of `Synchronization.Mutex`, which the thread sanitizer reports falsely. Not recursive: taking it twice on
/// one thread deadlocks. Keep the body short, and perform no callback inside it.
public final class Lock: @unchecked Sendable {
  fileprivate let mutex: UnsafeMutablePointer<pthread_mutex_t>

  /// Makes an open lock.
  public init() {
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let status = pthread_mutex_init(mutex, nil)
    precondition(status == 0, "pthread_mutex_init failed with \(status)")
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Runs `body` while no other thread holds the lock, and returns what it returns.
  public func withLock<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body()
  }
}

/// A condition variable that is used together with one ``Lock``.
public final class Condition: @unchecked Sendable {
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private let lock: Lock

  /// Makes a condition for what `lock` guards.
  public init(_ lock: Lock) {
    self.lock = lock
    condition = .allocate(capacity: 1)
    condition.initialize(to: pthread_cond_t())
    let status = pthread_cond_init(condition, nil)
    precondition(status == 0, "pthread_cond_init failed with \(status)")
  }

  deinit {
    pthread_cond_destroy(condition)
    condition.deallocate()
  }

  /// Waits for a signal; the caller holds the lock, and re-checks what it waits for, since wake-ups may be spurious.
  public func wait() { pthread_cond_wait(condition, lock.mutex) }

  /// Wakes one thread that waits.
  public func signal() { pthread_cond_signal(condition) }

  /// Wakes all threads that wait.
  public func broadcast() { pthread_cond_broadcast(condition) }
}
