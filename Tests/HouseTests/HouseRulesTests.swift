import Foundation
import Testing

/// The rules of the house are only worth something while their checker can fail.
@Suite("House rules")
struct HouseRulesTests {
  /// What must not stand in a core file, and what the checker has to say about it.
  static let offences: [(source: String, message: String)] = [
    ("import Foundation", "a core target imports only core targets: Foundation"),
    ("public import struct Glibc.timeval", "a core target imports only core targets: Glibc"),
    ("@preconcurrency import Synchronization", "a core target imports only core targets: Synchronization"),
    ("import Gossip", "imports Gossip, which Package.swift does not declare for Wire"),
    ("import EventLoop", "Core must not import Shell: EventLoop"),
    ("import Simulator", "Core must not import Kit: Simulator"),
    ("let a = ContinuousClock.now", "reads a clock: ContinuousClock"),
    ("func f(_ c: some Clock) { g(at: .now) }", "reads a clock: .now"),
    ("let a = Date()", "reads a clock: Date("),
    ("let a = clock_gettime(CLOCK_MONOTONIC, &t)", "reads a clock: clock_gettime"),
    ("let a = time(nil)", "reads a clock: time(nil)"),
    ("let a = Int.random(in: 0..<max(1, 2))", "uses unseeded randomness: .random("),
    ("let a = peers.shuffled()", "uses unseeded randomness: .shuffled("),
    ("let a = peers.randomElement()", "uses unseeded randomness: .randomElement("),
    ("var g = SystemRandomNumberGenerator()", "uses unseeded randomness: SystemRandomNumberGenerator"),
    ("let a = UUID()", "uses unseeded randomness: UUID"),
    ("let a = key.hashValue", "uses a hash that differs from process to process: .hashValue"),
    ("func f() { Task { g() } }", "starts a task: Task {"),
    ("func f() async { await g() }", "uses concurrency: await"),
    ("let a = Thread.current", "uses threads or locks: Thread"),
    ("func f() { print(1) }", "writes output: print("),
    (#"let a = "at \(Date())""#, "reads a clock: Date("),
    ("@_silgen_name(\"rand\") func rand() -> Int32", "reaches C by the back door: @_silgen_name"),
  ]

  /// What looks like an offence and is none.
  static let innocent = #"""
    // import Foundation, Date(), Int.random(in: 0..<2)
    /* Task { print(1) } /* nested */ ContinuousClock.now */
    let a = "import Foundation; Date() \\(not code) \(1 + (2)) UUID()"
    let b = #"Thread "quoted" \(print) "#
    let c = """
      import Dispatch
      await nothing "at all"
      """
    func pick(_ peers: [Int], using generator: inout SeededGenerator) -> [Int] { peers.shuffled(using: &generator) }
    func roll(_ g: inout SeededGenerator) -> Int { .random(in: (0..<6), using: &g) }
    func handle(now: Instant) { let x = self.now; record.print(x); update(x) }
    func print(_ line: String) {}
    """#

  @Test("this checkout keeps them")
  func checkoutIsClean() async throws {
    let house = try House()
    defer { house.remove() }
    let result = try await house.check()
    #expect(result.output == "")
    #expect(result.status == 0)
  }

  @Test("a core file that breaks one is named with its line")
  func offencesAreFound() async throws {
    let house = try House()
    defer { house.remove() }
    for (index, offence) in Self.offences.enumerated() {
      try house.write("// A comment.\n\(offence.source)\n", to: "Sources/Core/Wire/Offence\(index).swift")
    }
    try house.write(Self.innocent, to: "Sources/Core/Wire/Innocent.swift")
    let result = try await house.check()
    #expect(result.status == 1)
    for (index, offence) in Self.offences.enumerated() {
      let line = "Sources/Core/Wire/Offence\(index).swift:2: \(offence.message)"
      #expect(result.output.contains(line), "\(offence.source) was not found")
    }
    #expect(!result.output.contains("Innocent.swift"), "\(result.output)")
  }

  @Test("the kit stays out of shell and apps, undeclared imports out of everything, stray files out of Sources")
  func roomsStayApart() async throws {
    let house = try House()
    defer { house.remove() }
    try house.write("import Simulator\n", to: "Sources/Shell/Node/Offence.swift")
    try house.write("import Conformance\n", to: "Sources/Apps/StarlingCLI/Offence.swift")
    try house.write("import Metrics\n", to: "Sources/Shell/EventLoop/Offence.swift")
    try house.write("let a = 1\n", to: "Sources/Core/Stray/Stray.swift")
    try house.replace(
      "coreTarget(\"Identity\", [\"Wire\"])", by: "coreTarget(\"Identity\", [\"Wire\", \"EventLoop\"])", in: "Package.swift")
    let result = try await house.check()
    #expect(result.status == 1)
    #expect(result.output.contains("Sources/Shell/Node/Offence.swift:1: Shell must not import Kit: Simulator"))
    #expect(
      result.output.contains(
        "Sources/Apps/StarlingCLI/Offence.swift:1: imports Conformance, which Package.swift does not declare for StarlingCLI"))
    #expect(
      result.output.contains("Sources/Shell/EventLoop/Offence.swift:1: imports Metrics, which Package.swift does not declare for EventLoop")
    )
    #expect(result.output.contains("Sources/Core/Stray/Stray.swift: belongs to no target"))
    #expect(result.output.contains("Package.swift: Core target Identity depends on EventLoop, which is Shell"))
  }
}

/// A copy of this checkout's manifest and sources in a temporary folder.
private struct House {
  static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  let root: URL

  init() throws {
    root = FileManager.default.temporaryDirectory.appending(path: "house-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    for name in ["Package.swift", "Sources"] {
      try FileManager.default.copyItem(at: Self.checkout.appending(path: name), to: root.appending(path: name))
    }
  }

  func remove() { try? FileManager.default.removeItem(at: root) }

  func write(_ text: String, to path: String) throws {
    let file = root.appending(path: path)
    try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try text.write(to: file, atomically: true, encoding: .utf8)
  }

  func replace(_ old: String, by new: String, in path: String) throws {
    let file = root.appending(path: path)
    let text = try String(contentsOf: file, encoding: .utf8)
    try #require(text.contains(old))
    try text.replacingOccurrences(of: old, with: new).write(to: file, atomically: true, encoding: .utf8)
  }

  /// Runs the checker on the copy; `output` is what it printed on standard output.
  func check() async throws -> (status: Int32, output: String) {
    let log = root.appending(path: "check.log")
    try Data().write(to: log)
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["timeout", "300", "python3", Self.checkout.appending(path: "Scripts/check-purity").path, root.path]
    process.standardOutput = try FileHandle(forWritingTo: log)
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in done.resume() }
      do { try process.run() } catch { done.resume(throwing: error) }
    }
    return (process.terminationStatus, try String(contentsOf: log, encoding: .utf8))
  }
}
