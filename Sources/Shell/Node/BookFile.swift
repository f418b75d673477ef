import EventLoop
import Foundation
import HostCore
import Store
import Wire

/// The peer book on disk: a file of its own in the data folder, so that its loss costs no more than the book.
enum BookFile {
  /// Opens the book. What is damaged in it is passed over and told of, and the file kept under another name; where nothing of it can be read, the
  /// node starts with an empty one.
  ///
  /// The caller holds the data folder's lock.
  ///
  /// - Throws: a `StoreError` when another process has it, or it cannot be read or written now.
  static func open(_ path: String, log: EventLog) throws -> JournalStore {
    do throws(StoreError) {
      let store = try JournalStore(path: path)
      if store.droppedBytes > 0 { log.bookWasTorn(store.droppedBytes) }
      if store.damage.places > 0 {
        let aside = name(asideOf: path)
        var isKept = true
        do throws(StoreError) { try store.repair(keeping: aside) } catch { isKept = false }
        log.bookWasDamaged(store.damage, keptAs: isKept ? aside : nil)
      }
      return store
    } catch {
      let aside = name(asideOf: path)
      guard error.kind == .damaged, rename(path, aside) == 0 else { throw error }
      log.bookSetAside(error, as: aside)
      return try JournalStore(path: path)
    }
  }

  private static func name(asideOf path: String) -> String {
    let base = "\(path).damaged-\(Platform.wallTime.milliseconds / 1_000)"
    let names = [base] + (1...9).map { "\(base)-\($0)" }
    return names.first { !FileManager.default.fileExists(atPath: $0) } ?? base
  }

  /// All rows, as the core takes them.
  static func rows(_ store: any KeyValueStore) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try store.scan(HostCore.bookTable, from: [], limit: 100_000)
  }
}
