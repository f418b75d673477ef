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

  /// A wrong byte anywhere is noticed, and costs the batch that it is in: the last one is taken as torn, any other is told as damaged. Written anew,
  /// the file has the rest.
  @Test func wrongByteAnywhere() throws {
    let (bytes, ends) = try threeBatches()
    for index in bytes.indices {
      for bit in [UInt8(1), 0x80] {
        var changed = bytes
        changed[index] ^= bit
        try write(changed)
        let hit = ends.firstIndex { index < $0 && index >= 16 }
        let left = (1...3).filter { $0 - 1 != hit }.map { [UInt8($0)] }
        let aside = path + ".aside-\(index)-\(bit)"
        do {
          let store = try JournalStore(path: path)
          #expect(try store.scan("t", from: [], limit: 9).map(\.key) == left, "\(index)")
          #expect((store.droppedBytes > 0) == (hit == 2) && (store.damage.places > 0) == (hit != 2), "\(index)")
          if hit != 2 {
            try store.repair(keeping: aside)
            #expect(Array(try Data(contentsOf: URL(fileURLWithPath: aside))) == changed)
          }
          try commit(store, 9, [])
        }
        let store = try JournalStore(path: path)
        #expect(try store.scan("t", from: [], limit: 9).map(\.key) == left + [[9]], "\(index)")
        #expect(store.damage.places == 0 && store.droppedBytes == 0)
      }
    }
  }

  /// Of many rows one is lost for each wrong byte, also of those that were written anew.
  @Test func oneByteCostsOneRow() throws {
    do {
      let store = try JournalStore(path: path)
      for round in UInt8(0)..<8 {
        for key in UInt8(0)..<100 { try commit(store, key, Array(repeating: round, count: 2_000)) }
      }
    }
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    let count = bytes.count
    for place in [count / 5, count / 3, count / 2] { bytes[place] ^= 0x10 }
    try write(bytes)
    let store = try JournalStore(path: path)
    #expect(store.damage.places == 3 && store.damage.bytes < 3 * 2_100 && store.droppedBytes == 0)
    #expect(try store.scan("t", from: [], limit: 999).count == 100)
  }

  /// A row may hold the bytes of a record: a damaged record is not searched.
  @Test func aRowIsNoRecord() throws {
    let inner: [UInt8]
    do {
      let (bytes, ends) = try threeBatches()
      inner = Array(bytes[16..<ends[0]])
    }
    try FileManager.default.removeItem(atPath: path)
    do {
      let store = try JournalStore(path: path)
      try commit(store, 100, inner + Array(repeating: 7, count: 9))
      try commit(store, 101, [])
    }
    var bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    let place = try #require(bytes.firstIndex(of: 100))
    bytes[place] ^= 1
    try write(bytes)
    let store = try JournalStore(path: path)
    #expect(try store.scan("t", from: [], limit: 9).map(\.key) == [[101]] && store.damage.places == 1)
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

  /// Where there is no room to write it anew it stays as it is, and the attempt keeps no room.
  @Test func noRoomToBeWrittenAnew() throws {
    let new = path + ".new"
    do {
      let store = try JournalStore(path: path)
      try FileManager.default.createSymbolicLink(atPath: new, withDestinationPath: "/dev/full")
      for number in UInt8(1)...12 { try commit(store, 2, Array(repeating: number, count: 100_000)) }
    }
    #expect(throws: (any Error).self) { try FileManager.default.attributesOfItem(atPath: new) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count > 1_200_000)
    #expect(try JournalStore(path: path).get("t", [2]) == Array(repeating: 12, count: 100_000))
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
