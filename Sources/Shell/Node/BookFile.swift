import EventLoop
import Foundation
import HostCore
import Store
import Wire

/// The peer book on disk: a file of its own in the data folder, so that its loss costs no more than the book.
enum BookFile {
  /// Opens the book. A damaged one is given another name and told of; the node then starts with an empty one.
  ///
  /// The caller holds the data folder's lock.
  ///
  /// - Throws: a `StoreError` when another process has it, or it cannot be read or written now.
  static func open(_ path: String, log: EventLog) throws -> JournalStore {
    do throws(StoreError) {
      let store = try JournalStore(path: path)
      if store.droppedBytes > 0 { log.bookWasTorn(store.droppedBytes) }
      return store
    } catch {
      let aside = "\(path).damaged-\(Platform.wallTime.milliseconds / 1_000)"
      guard error.kind == .damaged, rename(path, aside) == 0 else { throw error }
      log.bookSetAside(error, as: aside)
      return try JournalStore(path: path)
    }
  }

  /// All rows, as the core takes them.
  static func rows(_ store: any KeyValueStore) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try store.scan(HostCore.bookTable, from: [], limit: 100_000)
  }
}
