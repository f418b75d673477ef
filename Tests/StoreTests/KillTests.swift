import Foundation
import Store
import TestKit
import Testing
import Wire

@Suite(.ownThread) struct KillTests {
  /// Kills a committing process at random moments: what it reported is there, and no batch is there in part.
  @Test(arguments: ["lmdb", "journal"]) func committedBatchesSurviveKill(engine: String) throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/" + engine
    let seed = UInt64.random(in: 0..<1_000_000)
    var generator = SeededGenerator(seed: seed)
    var previous: UInt64 = 0
    for round in 0..<20 {
      let reported = try runAndKill(engine, path, lines: 1 + generator.index(below: 6), jitter: generator.jitter(.milliseconds(15)))
      let place = Comment(rawValue: "round \(round), seed \(seed)")
      let store: any KeyValueStore = engine == "lmdb" ? try LMDBStore(dataDirectory: path) : try JournalStore(path: path)
      let marks = try store.scan("marks", from: [], limit: 100)
      #expect(marks.count == 16, place)
      #expect(Set(marks.map(\.value)).count == 1, place)
      let stored = marks.first?.value.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } ?? 0
      // The process may have been killed between a commit's return and its report.
      #expect(stored == reported || stored == reported + 1, place)
      #expect(stored > previous, place)
      let blocks = try store.scan("blocks", from: [], limit: .max)
      #expect(blocks.count == Int(stored), place)
      #expect(blocks.allSatisfy { $0.value.count == Int($0.key.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 9) * 1_000 + 1 }, place)
      previous = stored
    }
  }

  /// The last number that the process printed before it was killed.
  private func runAndKill(_ engine: String, _ path: String, lines: Int, jitter: Duration) throws -> UInt64 {
    let process = Process()
    let tool: URL = try #require(Self.tool)
    process.executableURL = tool
    process.arguments = [engine, path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.start()
    var output = Data()
    while output.count(where: { $0 == 10 }) < lines {
      let chunk = pipe.fileHandleForReading.availableData
      guard !chunk.isEmpty else { break }
      output.append(chunk)
    }
    usleep(UInt32(jitter.nanoseconds / 1_000))
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    output.append(pipe.fileHandleForReading.readDataToEndOfFile())
    #expect(process.terminationReason == .uncaughtSignal)
    // The last line may be cut off; only whole lines count as reported.
    let complete = output.split(separator: 10, omittingEmptySubsequences: false).dropLast()
    return complete.last.flatMap { UInt64(String(decoding: $0, as: UTF8.self)) } ?? 0
  }

  private static var tool: URL? {
    let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let candidates = [runner, URL(fileURLWithPath: CommandLine.arguments[0])].map {
      $0.deletingLastPathComponent().appendingPathComponent("StoreTorture")
    }
    return candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
  }
}
