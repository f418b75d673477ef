import Dispatch
import Foundation
import Threads

/// A simulation that is too long for a debug build, and what has to be true at its end.
struct Check: Sendable {
  let name: String
  let run: @Sendable (inout Findings) throws -> Void
}

/// What is not as it should be.
struct Findings {
  private(set) var faults: [String] = []

  mutating func expect(_ isSo: Bool, _ what: @autoclosure () -> String, line: Int = #line) {
    if !isSo { faults.append("line \(line): \(what())") }
  }
}

/// Runs all checks, as many at a time as there are processors; prints a line for each. Whether all of them hold.
func perform(_ checks: [Check]) -> Bool {
  let broken = Broken()
  DispatchQueue.concurrentPerform(iterations: checks.count) { index in
    let check = checks[index]
    var findings = Findings()
    let start = Date()
    do { try check.run(&findings) } catch { findings.expect(false, "\(error)") }
    let time = String(format: "%.1f s", Date().timeIntervalSince(start))
    let verdict = findings.faults.isEmpty ? "ok" : "not ok"
    let lines = ["\(verdict) \(check.name) (\(time))"] + findings.faults.map { "  \($0)" }
    broken.note(lines, isBroken: !findings.faults.isEmpty)
  }
  return broken.count == 0
}

private final class Broken: @unchecked Sendable {
  private let lock = Lock()
  private var number = 0
  var count: Int { lock.withLock { number } }

  func note(_ lines: [String], isBroken: Bool) {
    lock.withLock {
      if isBroken { number += 1 }
      for line in lines { print(line) }
    }
  }
}
