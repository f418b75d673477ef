import Foundation
import Store
import Testing
import Wire

@Suite struct JournalStoreTests {
  private let directory = TemporaryDirectory()
  private var path: String { directory.path + "/rows" }

  private func commit(_ store: JournalStore, _ key: UInt8, _ value: [UInt8]) throws {
    var batch = WriteBatch()
    batch.put("t", [key], value)
    try store.commit(batch)
  }

  private func write(_ bytes: [UInt8]) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

  /// A file of three batches, and where each of them ends.
  private func threeBatches() throws -> (bytes: [UInt8], ends: [Int]) {
    var ends: [Int] = []
    do {
      let store = try JournalStore(path: path)
      for number in UInt8(1)...3 {
        try commit(store, number, [number, 0, 7])
        ends.append(try Data(contentsOf: URL(fileURLWithPath: path)).count)
      }
    }
    return (Array(try Data(contentsOf: URL(fileURLWithPath: path))), ends)
  }

  /// Cut off anywhere, it holds the batches that are whole, and goes on from there.
  @Test func cutAnywhere() throws {
    let (bytes, ends) = try threeBatches()
    for length in 0...bytes.count {
      try write(Array(bytes.prefix(length)))
      let whole = ends.count { $0 <= length }
      do {
        let store = try JournalStore(path: path)
        #expect(try store.scan("t", from: [], limit: 9).map { Int($0.key[0]) } == Array(1..<1 + whole), "\(length)")
        #expect((store.droppedBytes > 0) == (length > 16 && !ends.contains(length)), "\(length)")
        try commit(store, 9, [])
      }
      let store = try JournalStore(path: path)
      #expect(store.droppedBytes == 0)
      #expect(try store.scan("t", from: [], limit: 9).count == whole + 1)
    }
  }

  /// A wrong byte anywhere is noticed: in the last batch it is a torn one, before it the file is refused and left as it is.
  @Test func wrongByteAnywhere() throws {
    let (bytes, ends) = try threeBatches()
    for index in bytes.indices {
      for bit in [UInt8(1), 0x80] {
        var changed = bytes
        changed[index] ^= bit
        try write(changed)
        if let store = try? JournalStore(path: path) {
          #expect(index >= ends[1], "\(index)")
          #expect(try store.scan("t", from: [], limit: 9).map(\.key) == [[1], [2]])
        } else {
          #expect(index < ends[1] + 16, "\(index)")
          #expect(Array(try Data(contentsOf: URL(fileURLWithPath: path))) == changed)
        }
      }
    }
  }

  /// A file that has grown by nothing but zeros was torn by the machine's end.
  @Test func zerosBehind() throws {
    let (bytes, _) = try threeBatches()
    for count in [1, 15, 16, 5_000] {
      try write(bytes + Array(repeating: 0, count: count))
      let store = try JournalStore(path: path)
      #expect(try store.scan("t", from: [], limit: 9).count == 3 && store.droppedBytes == count)
    }
  }

  @Test func strangeFiles() throws {
    for bytes in [Array("x".utf8), Array(repeating: 0x5a, count: 40_000), Array(repeating: 0, count: 20)] {
      try write(bytes)
      let error = #expect(throws: StoreError.self) { try JournalStore(path: path) }
      #expect(error?.message.contains(path) == true)
    }
    #expect(throws: StoreError.self) { try JournalStore(path: directory.path) }
    #expect(throws: StoreError.self) { try JournalStore(path: directory.path + "/missing/rows") }
  }

  /// What is written over again and again does not make the file grow for ever.
  @Test func rewritten() throws {
    do {
      let store = try JournalStore(path: path)
      try commit(store, 1, [1])
      for number in 0..<100 { try commit(store, 2, Array(repeating: UInt8(number), count: 100_000)) }
      let error = #expect(throws: StoreError.self) { try JournalStore(path: path) }
      #expect(error?.message.contains("in use") == true)
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count < 1_300_000)
    let store = try JournalStore(path: path)
    #expect(try store.get("t", [1]) == [1] && store.get("t", [2]) == Array(repeating: 99, count: 100_000))
  }
}
