import Foundation
import NodeCore
import Testing

@testable import Node

/// Runs a test that blocks on a thread of its own, so that it keeps none of the few that other tests run on.
func onOwnThread(_ body: @escaping @Sendable () throws -> Void) async throws {
  try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
    Thread { continuation.resume(with: Result { try body() }) }.start()
  }
}

/// Waits for something that happens by itself, looking every 50 ms; records an issue when it has not happened in time.
func waitUntil(_ what: String, seconds: Double = 120, _ condition: () throws -> Bool) throws {
  let deadline = Date().addingTimeInterval(seconds)
  while try !condition() {
    guard Date() < deadline else {
      Issue.record("not in \(seconds) s: \(what)")
      return
    }
    _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .milliseconds(50))
  }
}

extension Node {
  func askAndWait(_ query: Query) throws -> Answer {
    let done = DispatchSemaphore(value: 0)
    let box = AnswerBox()
    ask(query) {
      box.answer = $0
      done.signal()
    }
    guard done.wait(timeout: .now() + .seconds(10)) == .success, let answer = box.answer else { throw Missing("no answer to \(query)") }
    return answer
  }

  func information() throws -> NodeInfo {
    guard case .info(let info) = try askAndWait(.info) else { throw Missing("no info") }
    return info
  }

  func chainInformation() throws -> ChainInfo {
    guard case .chain(let info) = try askAndWait(.chain) else { throw Missing("no chain info") }
    return info
  }

  private final class AnswerBox: @unchecked Sendable {
    var answer: Answer?
  }
}

struct Missing: Error {
  let what: String
  init(_ what: String) { self.what = what }
}
