import Dispatch
import HostCore
import Threads
import Wire

/// Writes the peer book behind the host's back: a store may wait for its disk, the core may not.
///
/// What waits is merged by key, so that it is never more than the book itself. Rows that the store did not take wait for the next write.
public final class BookWriter: @unchecked Sendable {
  private let store: any KeyValueStore
  private let onFailure: @Sendable (StoreError) -> Void
  private let queue = DispatchQueue(label: "starling.book")
  private let lock = Lock()
  private var waiting: [[UInt8]: [UInt8]?] = [:]
  private var isScheduled = false

  /// Makes a writer. `onFailure` is called on the writer's queue.
  public init(_ store: any KeyValueStore, onFailure: @escaping @Sendable (StoreError) -> Void) {
    self.store = store
    self.onFailure = onFailure
  }

  /// Takes changes of the book, which are written soon. Never waits.
  public func write(_ batch: WriteBatch) {
    let isFirst = lock.withLock {
      for operation in batch.operations { waiting[operation.key] = .some(operation.value) }
      defer { isScheduled = true }
      return !isScheduled
    }
    if isFirst { queue.async { self.commit() } }
  }

  /// Waits until all is written that was handed over.
  public func flushed() async { await withCheckedContinuation { continuation in queue.async { continuation.resume() } } }

  /// The same, blocking the caller's thread.
  public func flush() { queue.sync {} }

  private func commit() {
    let rows = lock.withLock {
      isScheduled = false
      defer { waiting = [:] }
      return waiting
    }
    var batch = WriteBatch()
    for (key, value) in rows.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      if let value { batch.put(HostCore.bookTable, key, value) } else { batch.remove(HostCore.bookTable, key) }
    }
    if batch.isEmpty { return }
    do throws(StoreError) { try store.commit(batch) } catch {
      // What was written meanwhile is newer.
      lock.withLock { waiting.merge(rows) { newer, _ in newer } }
      onFailure(error)
    }
  }
}
