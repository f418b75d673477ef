import Foundation
import Store
import Testing
import Wire

@testable import Node

/// The peer book on a broken disk: the node starts without it, says so, and keeps what was there for whoever wants to look.
@Suite(.serialized) struct BookFileTests {
  /// Two nodes that were linked twice, so that the book has more than its last batch, and the second one stopped.
  private static func prepared() throws -> (flock: Flock, book: URL) {
    let flock = try Flock()
    let first = try flock.start("first")
    for _ in 1...2 {
      let second = try flock.start("second") { $0.bootstrapPeers = [try! first.hostPort()] }
      try waitUntil("they are linked") { try second.isLinked(exactlyTo: first) }
      flock.stop("second")
    }
    return (flock, URL(fileURLWithPath: flock.folder + "/second/book"))
  }

  /// A file that holds nothing of a book is set aside. Of a book with a wrong byte everything else is read, and a copy is kept of what was there.
  @Test func aDamagedBookLosesOnlyWhatIsDamaged() async throws {
    try await onOwnThread {
      let (flock, file) = try Self.prepared()
      defer { flock.stop() }
      let bytes = try Data(contentsOf: file)
      let stored = try HostRows.count(file.path)
      var middle = bytes
      middle[60] ^= 1
      let folder = file.deletingLastPathComponent().path
      for (number, damaged) in [Data(repeating: 0x5a, count: 5_000), middle].enumerated() {
        try damaged.write(to: file)
        let node = try flock.start("second") { $0.kademlia = false }
        if number == 0 { #expect(try node.counts().stored == 0) }
        flock.stop("second")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("book.damaged-") }
        #expect(names.count == 1, "\(number): \(names)")
        for name in names {
          #expect(try Data(contentsOf: URL(fileURLWithPath: folder + "/" + name)) == damaged)
          try FileManager.default.removeItem(atPath: folder + "/" + name)
        }
      }
      #expect(flock.log("second").components(separatedBy: "was set aside").count == 2)
      #expect(flock.log("second").components(separatedBy: "damaged rows of the peer book were skipped").count == 2)
      let left = try HostRows.count(file.path)
      #expect(stored > 1 && left >= stored - 1, "\(left) of \(stored)")
    }
  }

  private enum HostRows {
    static func count(_ path: String) throws -> Int { try BookFile.rows(try JournalStore(path: path)).count }
  }

  /// A book that somebody else reads just now is no damaged one.
  @Test func aBookInUseStaysWhereItIs() async throws {
    try await onOwnThread {
      let (flock, file) = try Self.prepared()
      defer { flock.stop() }
      let reader = try JournalStore(path: file.path)
      #expect(throws: StoreError("\(file.path) is in use by another process", .inUse)) { try flock.start("second") }
      withExtendedLifetime(reader) {}
      #expect(FileManager.default.fileExists(atPath: file.path) && !flock.log("second").contains("set aside"))
    }
  }

  /// A book that lost its end has the rest.
  @Test func cutBookIsRead() async throws {
    try await onOwnThread {
      let (flock, file) = try Self.prepared()
      defer { flock.stop() }
      let bytes = try Data(contentsOf: file)
      for count in [bytes.count - 1, bytes.count / 2, 20, 7, 0] {
        try bytes.prefix(count).write(to: file)
        let node = try flock.start("second")
        _ = try node.information()
        flock.stop("second")
      }
      #expect(flock.log("second").contains("was not written whole"))
      #expect(!flock.log("second").contains("set aside"))
    }
  }
}
