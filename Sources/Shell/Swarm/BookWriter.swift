import Dispatch
import HostCore
import Threads
import Wire

/// Writes the peer book behind the host's back: a store may wait for its disk, the core may not.
///
/// What waits is merged by key, so that it is never more than the book itself. Rows that the store did not take are tried again: with
/// the next ones, and by themselves after a while that doubles.
public final class BookWriter: @unchecked Sendable {
  private let store: any KeyValueStore
  private let retry: ClosedRange<Duration>
  private let onFailure: @Sendable (StoreError) -> Void
  private let onRecovery: @Sendable () -> Void
  private let queue = DispatchQueue(label: "starling.book")

  private let lock = Lock()
  // Under the lock.
  private var waiting: [[UInt8]: [UInt8]?] = [:]
  private var askers: [@Sendable (StoreError?) -> Void] = []
  private var isScheduled = false
  private var lastFault: StoreError?

  // The queue's own: the time until the next try while writes fail.
  private var retryDelay: Duration?

  /// Makes a writer; it calls back on a queue of its own.
  ///
  /// - Parameters:
  ///   - retry: the first and the longest time until what failed is tried again.
  ///   - onFailure: called when writes begin to fail, and at each try by itself that fails.
  ///   - onRecovery: called when everything is written again.
  public init(
    _ store: any KeyValueStore, retry: ClosedRange<Duration> = .seconds(1)...(.seconds(60)),
    onFailure: @escaping @Sendable (StoreError) -> Void, onRecovery: @escaping @Sendable () -> Void = {}
  ) {
    self.store = store
    self.retry = retry
    self.onFailure = onFailure
    self.onRecovery = onRecovery
  }

  /// Why the book was not written last; `nil` once everything is written again.
  public var fault: StoreError? { lock.withLock { lastFault } }

  /// Takes changes of the book, which are written soon. Never waits.
  public func write(_ batch: WriteBatch) {
    schedule { for operation in batch.operations { waiting[operation.key] = .some(operation.value) } }
  }

  /// Calls back once everything that was handed over before is durable, or has just failed to become so. Never waits.
  public func whenWritten(_ body: @escaping @Sendable (StoreError?) -> Void) { schedule { askers.append(body) } }

  /// Waits until all is written that was handed over, or has failed once more.
  public func flushed() async {
    await withCheckedContinuation { continuation in
      queue.async {
        self.commit(isRetry: true)
        continuation.resume()
      }
    }
  }

  /// The same, blocking the caller's thread.
  public func flush() { queue.sync { commit(isRetry: true) } }

  private func schedule(_ change: () -> Void) {
    let isFirst = lock.withLock {
      change()
      defer { isScheduled = true }
      return !isScheduled
    }
    if isFirst { queue.async { self.commit(isRetry: false) } }
  }

  private func commit(isRetry: Bool) {
    let (rows, askers) = lock.withLock {
      isScheduled = false
      defer { (waiting, self.askers) = ([:], []) }
      return (waiting, self.askers)
    }
    var batch = WriteBatch()
    for (key, value) in rows.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      if let value { batch.put(HostCore.bookTable, key, value) } else { batch.remove(HostCore.bookTable, key) }
    }
    var failure: StoreError?
    if !batch.isEmpty {
      do throws(StoreError) {
        try store.commit(batch)
        lock.withLock { lastFault = nil }
        if retryDelay != nil { onRecovery() }
        retryDelay = nil
      } catch {
        failure = error
        // What was written meanwhile is newer.
        lock.withLock {
          waiting.merge(rows) { newer, _ in newer }
          lastFault = error
        }
        if isRetry || retryDelay == nil { onFailure(error) }
        if retryDelay == nil { tryAgain(after: retry.lowerBound) }
      }
    }
    for asker in askers { asker(failure) }
  }

  private func tryAgain(after delay: Duration) {
    retryDelay = delay
    queue.asyncAfter(deadline: .now() + .milliseconds(Int(delay.milliseconds))) { [weak self] in
      // Something else may have written it meanwhile, and failed again.
      guard let self, retryDelay == delay else { return }
      commit(isRetry: true)
      if retryDelay != nil { tryAgain(after: min(delay * 2, retry.upperBound)) }
    }
  }
}
