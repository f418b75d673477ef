import Glibc
import Testing

// How a test waits.
//
// A test depends on what happened and never on how fast. It waits for an event, and where there is none it asks again:
//
//   try await eventually("the second peer is known: \(await host.peers())") { await host.peers().count == 2 }
//   let story = try await eventually("it is linked", try await node.explain(peer)) { $0.contains("Linked") }
//   try waitUntil("both are linked") { try node.activePeers().count == 2 }      // in a test that blocks: @Test(.ownThread)
//   let answer = try await within("the answer") { try await first.request(…) }
//   events.wait(for: 3)                                                         // a Recorder, a Counter or a Gate
//
// All of them give up after ``patience`` and end the test with what they waited for. The text is made when they give up, so
// that values in it are those seen last. No test states a limit of its own, sleeps, or compares a measured time with an upper limit:
// another process may take the machine away for as long as it likes. Where time itself is the subject, use virtual time: a machine takes
// `now` as an argument, and `Simulation` runs whole nodes. A lower limit ("not before 100 ms have passed") is a fact and may be checked.

/// How long a test waits for something before it fails. Long enough for a machine that does much else; it only matters when a test fails.
/// 300 s, or the seconds in `STARLING_TEST_PATIENCE`, as under sanitizers.
public let patience: Duration = .seconds(getenv("STARLING_TEST_PATIENCE").flatMap { Int(String(cString: $0)) } ?? 300)

/// What the waits of this task go by; only the tests of the waits themselves set it.
enum Limit {
  @TaskLocal static var current = patience
}

/// Waits until a condition holds; ends the test when it does not.
/// - Parameter what: what is waited for; made when the wait fails, so that values in it are those seen last.
public func eventually(
  _ what: @autoclosure () async throws -> String, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  var watch = Watch()
  while try await !condition() {
    guard let pause = watch.next() else { throw giveUp((try? await what()) ?? "", sourceLocation) }
    try await Task.sleep(for: pause)
  }
}

/// Asks for a value until it is as wanted; ends the test when it does not become so.
@discardableResult
public func eventually<Value>(
  _ what: String, _ value: @autoclosure () async throws -> Value, sourceLocation: SourceLocation = #_sourceLocation,
  is isWanted: (Value) throws -> Bool
) async throws -> Value {
  var watch = Watch()
  while true {
    let value = try await value()
    if try isWanted(value) { return value }
    guard let pause = watch.next() else { throw giveUp("\(what); seen last: \(value)", sourceLocation) }
    try await Task.sleep(for: pause)
  }
}

/// ``eventually(_:sourceLocation:_:)`` for tests that block; they have a thread of their own (``onOwnThread(_:)``).
@available(*, noasync, message: "use eventually")
public func waitUntil(
  _ what: @autoclosure () throws -> String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () throws -> Bool
) throws {
  var watch = Watch()
  while try !condition() {
    guard let pause = watch.next() else { throw giveUp((try? what()) ?? "", sourceLocation) }
    pause.block()
  }
}

/// Runs `body`, which has to heed cancellation, and ends the test when it does not end.
public func within<Value: Sendable>(
  _ what: String = "what was begun ends", sourceLocation: SourceLocation = #_sourceLocation,
  _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask(operation: body)
    group.addTask {
      try await Task.sleep(for: Limit.current)
      throw giveUp(what, sourceLocation)
    }
    defer { group.cancelAll() }
    return try await group.next()!
  }
}

/// Records that something did not happen; the error ends the test without a second record.
private func giveUp(_ what: String, _ sourceLocation: SourceLocation) -> any Error {
  do {
    try #require(Bool(false), "not in \(Limit.current): \(what)", sourceLocation: sourceLocation)
    fatalError("a requirement that is not met throws")
  } catch { return error }
}

/// Counts the time of one wait. The pauses between two looks grow from 2 ms to 50 ms.
private struct Watch {
  private let end = ContinuousClock.now + Limit.current
  private var pause: Duration = .milliseconds(1)

  /// How long to pause before the next look; `nil` when there has been one after the end.
  mutating func next() -> Duration? {
    guard ContinuousClock.now < end else { return nil }
    pause = min(pause * 2, .milliseconds(50))
    return pause
  }
}

extension Duration {
  /// Blocks the thread for so long.
  fileprivate func block() { usleep(UInt32(components.attoseconds / 1_000_000_000_000)) }
}
