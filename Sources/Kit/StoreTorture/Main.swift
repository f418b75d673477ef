import Glibc
import Store
import Wire

/// Commits numbered batches to a store for ever and prints each number after its commit returned; a test kills it.
///
/// Every batch writes the number under 16 keys and in a table that grows, so that a partial batch shows, and something large over what it
/// wrote before. The arguments are the engine, `lmdb` or `journal`, and its path.
@main
struct Main {
  static func main() {
    guard CommandLine.arguments.count == 3 else { exit(64) }
    let path = CommandLine.arguments[2]
    do {
      let store: any KeyValueStore =
        CommandLine.arguments[1] == "lmdb" ? try LMDBStore(dataDirectory: path) : try JournalStore(path: path)
      var number: UInt64 = 0
      if let last = try store.scan("marks", from: [0], limit: 1).first?.value { number = decode(last) }
      while true {
        number += 1
        var bytes: [UInt8] = []
        bytes.appendBigEndian(number)
        var batch = WriteBatch()
        for index in UInt8(0)..<16 { batch.put("marks", [index], bytes) }
        batch.put("blocks", bytes, Array(repeating: UInt8(truncatingIfNeeded: number), count: Int(number % 9) * 1_000 + 1))
        batch.put("large", [1], Array(repeating: 1, count: 200_000))
        try store.commit(batch)
        let line = Array("\(number)\n".utf8)
        guard write(1, line, line.count) == line.count else { exit(1) }
      }
    } catch {
      let line = Array("\(error)\n".utf8)
      _ = write(2, line, line.count)
      exit(70)
    }
  }

  private static func decode(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
}
