import Testing

@testable import TestKit

@Suite struct OwnThreadTests {
  /// Without its task's test a failure would belong to nobody, and be counted more than once.
  @Test func whatFailsBelongsToItsTest() async throws {
    let failures = Counter()
    try await withKnownIssue {
      try await onOwnThread {
        #expect(Test.current?.name == "whatFailsBelongsToItsTest()")
        #expect(Bool(false), "meant")
      }
    } matching: { issue in
      failures.add()
      return issue.comments == ["meant"]
    }
    #expect(failures.value == 1)
  }

  @Test(.ownThread, arguments: 0..<2) func theTraitKeepsTheTestToo(number: Int) {
    #expect(Test.current?.name == "theTraitKeepsTheTestToo(number:)" && Test.Case.current?.isParameterized == true)
    withKnownIssue { #expect(Bool(false), "meant") }
  }

  /// More tests block than the machine has processors; each has its thread, so that all come to the gate.
  @Test func manyMayBlock() async throws {
    let gate = Gate()
    try await withThrowingTaskGroup { group in
      for _ in 0..<64 { group.addTask { try await onOwnThread { gate.pass() } } }
      try await eventually("all wait; there are \(gate.waiting)") { gate.waiting == 64 }
      gate.open()
      try await group.waitForAll()
    }
    #expect(gate.passed == 64)
  }

  @Test func valuesAndErrorsComeBack() async throws {
    #expect(try await onOwnThread { 7 } == 7)
    await #expect(throws: CancellationError.self) { try await onOwnThread { throw CancellationError() } }
  }
}

@Suite struct WaitingTests {
  @Test func whatHappensInTheEndIsWaitedFor() async throws {
    let count = Counter()
    try await eventually("three looks") { count.add() == 3 }
    #expect(try await eventually("three more", count.add()) { $0 == 6 } == 6)
    try await onOwnThread { try waitUntil("and three more") { count.add() == 9 } }
    #expect(try await within { count.value } == 9)
  }

  /// A wait in vain says once what was awaited and what was seen last, and ends its test.
  @Test func whatDoesNotHappenIsTold() async throws {
    let looks = Counter()
    let said = Recorder<String>()
    func inVain(_ wait: @escaping @Sendable () async throws -> Void) async throws {
      try await withKnownIssue {
        try await Limit.$current.withValue(.milliseconds(20), operation: wait)
        said.add("it went on")
      } matching: { issue in
        said.add(issue.comments.map(\.rawValue).joined())
        return true
      }
    }
    let start = "not in 0.02 seconds: "
    try await inVain { try await eventually("ten thousand looks; there were \(looks.value)") { looks.add() == 10_000 } }
    #expect(said.values.last == start + "ten thousand looks; there were \(looks.value)")
    try await inVain { try await eventually("no look", looks.add()) { $0 == 0 } }
    #expect(said.values.last == start + "no look; seen last: \(looks.value)")
    try await inVain { try await onOwnThread { try waitUntil("never; there were \(looks.value)") { looks.add() == 0 } } }
    #expect(said.values.last == start + "never; there were \(looks.value)")
    try await inVain { try await within("the gate opens") { try await Task.sleep(for: patience) } }
    #expect(said.values.last == start + "the gate opens")
    #expect(said.values.count == 4)
  }

  @Test func gatesCountWhoWaits() async throws {
    let gate = Gate(isOpen: true)
    await gate.pass()
    gate.close()
    let task = Task { await gate.pass() }
    try await eventually("it waits") { gate.waiting == 1 }
    gate.open()
    await task.value
    #expect(gate.waiting == 0 && gate.passed == 2)
  }
}
