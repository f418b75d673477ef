import Dispatch
import EventLoop
import HostCore
import Threads
import Wire

/// Writes the peer book behind the host's back: a store may wait for its disk, the core may not.
///
/// What waits is merged by key, so that it is never more than the book itself.
final class BookWriter: @unchecked Sendable {
  private let store: any KeyValueStore
  private let onFailure: @Sendable (StoreError) -> Void
  private let queue = DispatchQueue(label: "starling.book")
  private let lock = Lock()
  private var waiting: [[UInt8]: [UInt8]?] = [:]

  init(_ store: any KeyValueStore, onFailure: @escaping @Sendable (StoreError) -> Void) {
    self.store = store
    self.onFailure = onFailure
  }

  func write(_ batch: WriteBatch) {
    let wasIdle = lock.withLock {
      defer { for operation in batch.operations { waiting[operation.key] = .some(operation.value) } }
      return waiting.isEmpty
    }
    if wasIdle { queue.async { self.commit() } }
  }

  /// Waits until all is written that was handed over.
  func flushed() async { await withCheckedContinuation { continuation in queue.async { continuation.resume() } } }

  private func commit() {
    let rows = lock.withLock {
      defer { waiting = [:] }
      return waiting
    }
    var batch = WriteBatch()
    for (key, value) in rows.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      if let value { batch.put(HostCore.bookTable, key, value) } else { batch.remove(HostCore.bookTable, key) }
    }
    if batch.isEmpty { return }
    do { try store.commit(batch) } catch { onFailure(error) }
  }
}
