import Threads

/// Threads that run jobs from a bounded queue: verification, execution, anything that would hold a loop up.
public final class WorkerPool: @unchecked Sendable {
  /// How many jobs may wait for a thread.
  public let capacity: Int

  private let lock = Lock()
  private let jobAdded: Condition
  /// A ring: `count` jobs from `head` on.
  private var ring: [(@Sendable () -> Void)?]
  private var head = 0
  private var count = 0
  private var isStopping = false
  private var threads: [NativeThread] = []

  /// Starts `threads` threads, 1 at least.
  ///
  /// - Parameter niceness: from 0, the default, to 19: how far these threads stand behind others when processors are short.
  /// - Throws: ``TransportError`` when the system has no thread left; none runs then.
  public init(name: String, threads count: Int, capacity: Int, niceness: Int32 = 0) throws(TransportError) {
    precondition(count >= 1 && capacity >= 1, "a worker pool has a thread and room for a job at least")
    self.capacity = capacity
    jobAdded = Condition(lock)
    ring = Array(repeating: nil, count: capacity)
    for index in 0..<count {
      do {
        // The threads keep the pool alive until it is stopped.
        threads.append(try NativeThread(name: "\(name)-\(index)", niceness: niceness) { self.work() })
      } catch {
        stop()
        throw error
      }
    }
  }

  /// Adds a job; jobs start in the order in which they were added.
  ///
  /// - Returns: `false` when the queue is full or the pool stops, and the job will never run.
  public func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
    let isTaken = lock.withLock {
      guard !isStopping, count < capacity else { return false }
      ring[(head + count) % capacity] = job
      count += 1
      return true
    }
    // Without the lock, which the thread that wakes takes at once.
    if isTaken { jobAdded.signal() }
    return isTaken
  }

  /// How many jobs wait for a thread.
  public var waitingCount: Int { lock.withLock { count } }

  /// Runs the jobs that wait, ends the threads and returns when they have ended. Harmless when repeated; never call it from a job.
  public func stop() {
    let threads = lock.withLock {
      isStopping = true
      jobAdded.broadcast()
      return self.threads
    }
    for thread in threads { thread.join() }
  }

  private func work() {
    while let job = next() { job() }
  }

  private func next() -> (@Sendable () -> Void)? {
    lock.withLock {
      while count == 0 {
        if isStopping { return nil }
        jobAdded.wait()
      }
      let job = ring[head]
      ring[head] = nil
      head = (head + 1) % capacity
      count -= 1
      return job
    }
  }
}
