import Starling
import Testing
import Threads

/// A book that does not take rows while it is told not to.
private final class MoodyBook: KeyValueStore, @unchecked Sendable {
  private let base = MemoryBook()
  private let lock = Lock()
  private var isFull = false
  func set(isFull: Bool) { lock.withLock { self.isFull = isFull } }
  func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { try base.get(table, key) }
  func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try base.scan(table, from: start, limit: limit)
  }
  func commit(_ batch: WriteBatch) throws(StoreError) {
    if lock.withLock({ isFull }) { throw StoreError("no space left") }
    try base.commit(batch)
  }
}

@Suite("Bans of a host") struct BanTests {
  @Test("a ban holds when the call returns, is stored, and says so when it is not")
  func durable() async throws {
    let book = MoodyBook()
    let (first, second) = (try await makeHost { $0.book = book }, try await makeHost())
    try await second.connect(first.address)
    try await first.ban(.peer(second.peerID))
    #expect(await first.peers().isEmpty)
    await first.close()

    let again = try await makeHost { $0.book = book }
    _ = try? await second.connect(again.address)
    try await eventually("the ban is known after a restart") {
      try await again.withCore { core, _ in core.peering.reasonCounts.closed[.banned] ?? 0 > 0 }
    }
    book.set(isFull: true)
    #expect(await code { try await again.unban(.peer(second.peerID)) } == .bookFailed)
    // It holds all the same.
    try await second.connect(again.address)
    #expect(await code { try await again.ban(.peer(NodeKey.generate().peerID)) } == .bookFailed)
    book.set(isFull: false)
    #expect(try await again.unban(.peer(NodeKey.generate().peerID)) == false)
    #expect(await code { try await again.ban(.peer(again.peerID)) } == .selfConnection)
    await close(again, second)
    #expect(await code { try await again.ban(.peer(second.peerID)) } == .closed)
  }
}
