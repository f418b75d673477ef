import Ledger
import Testing
import Wire

@testable import Simulator

@Suite struct DiskTests {
  private static let table: StoreTable = "blocks"

  private static func batch(_ numbers: ClosedRange<UInt8>) -> WriteBatch {
    var batch = WriteBatch()
    for number in numbers { batch.put(table, [number], [UInt8](repeating: number, count: 300)) }
    return batch
  }

  private static func keys(_ disk: Disk) throws -> [UInt8] { try disk.store.scan(table, from: [], limit: 1_000).map { $0.key[0] } }

  @Test func aBatchIsThereOnceItIsDone() throws {
    var disk = Disk()
    var shared = SharedValues()
    disk.begin(CommitID(rawValue: 1), Self.batch(1...3))
    #expect(try Self.keys(disk).isEmpty)
    let done = disk.finish(&shared)
    #expect(done?.id == CommitID(rawValue: 1) && done?.error == nil)
    #expect(try Self.keys(disk) == [1, 2, 3])
    #expect(disk.finish(&shared) == nil)
  }

  /// A batch of the chain has failed, and the chain tries it again; rows of the book are kept and written later, each in its newest form.
  @Test func aFailingDiskKeepsWhatItHad() throws {
    var disk = Disk()
    var shared = SharedValues()
    disk.isFailing = true
    disk.begin(CommitID(rawValue: 1), Self.batch(1...3))
    for number in UInt8(101)...199 { disk.write(book: Self.batch(number...number)) }
    var removal = WriteBatch()
    removal.remove(Self.table, [101])
    disk.write(book: removal)
    #expect(disk.finish(&shared)?.error != nil)
    disk.sync()
    #expect(try Self.keys(disk).isEmpty && disk.unsynced.count == 64)
    disk.isFailing = false
    disk.sync()
    #expect(try Self.keys(disk) == Array(102...199))
    // The machine is gone before the disk is well.
    var lost = Disk()
    lost.isFailing = true
    for number in UInt8(101)...199 { lost.write(book: Self.batch(number...number)) }
    var generator = SeededGenerator(seed: 1)
    lost.crash(&generator, &shared)
    lost.isFailing = false
    lost.sync()
    #expect(try Self.keys(lost).isEmpty)
  }

  @Test func aCrashTakesTheBatchWholeOrLeavesItWholeAndTheBookUpToAPoint() throws {
    var generator = SeededGenerator(seed: 4)
    var outcomes: Set<[UInt8]> = []
    for _ in 0..<200 {
      var disk = Disk()
      var shared = SharedValues()
      for number in UInt8(101)...104 { disk.write(book: Self.batch(number...number)) }
      disk.begin(CommitID(rawValue: 1), Self.batch(1...3))
      disk.crash(&generator, &shared)
      #expect(disk.writing == nil && disk.unsynced.isEmpty)
      let keys = try Self.keys(disk)
      let chain = keys.filter { $0 < 100 }
      let book = keys.filter { $0 > 100 }
      #expect(chain.isEmpty || chain == [1, 2, 3])
      #expect(book == Array([101, 102, 103, 104].prefix(book.count)))
      outcomes.insert(keys)
    }
    // Both ends of the batch, with each of the five ends of the book.
    #expect(outcomes.count == 10)
  }

  @Test func theBookIsSafeWithTheNextBatchAndBounded() throws {
    var disk = Disk()
    var shared = SharedValues()
    for number in UInt8(100)...199 { disk.write(book: Self.batch(number...number)) }
    #expect(disk.unsynced.count == 64)
    #expect(try Self.keys(disk) == Array(100...135))
    disk.begin(CommitID(rawValue: 1), Self.batch(1...1))
    _ = disk.finish(&shared)
    #expect(disk.unsynced.isEmpty)
    #expect(try Self.keys(disk).count == 101)
  }

  @Test func equalValuesAreKeptOnce() throws {
    var shared = SharedValues()
    let first = shared.share(Self.batch(1...2))
    let second = shared.share(Self.batch(1...2))
    for (left, right) in zip(first.operations, second.operations) {
      let (left, right) = (try #require(left.value), try #require(right.value))
      #expect(left == right)
      #expect(left.withUnsafeBytes { $0.baseAddress } == right.withUnsafeBytes { $0.baseAddress })
    }
    #expect(first.operations.map(\.key) == Self.batch(1...2).operations.map(\.key))
  }
}
