import Foundation
import Testing

/// Runs a body that blocks on a thread of its own, so that it holds none of the few threads that all other tests share.
/// The body stays in the caller's task: what fails in it belongs to the test.
public func onOwnThread<Value: Sendable>(_ body: @Sendable () throws -> Value) async throws -> Value {
  try await withTaskExecutorPreference(OwnThread.shared) { try body() }
}

/// Gives each test, or each test of a suite, a thread of its own: `@Test(.ownThread) func waits() throws`.
/// For tests that block: on sockets, semaphores, `waitUntil`, or because they compute for seconds.
public struct OwnThreadTrait: TestTrait, SuiteTrait, TestScoping {
  public let isRecursive = true

  public func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
    // A suite's trait is also applied to the suite itself, which only waits for its tests.
    if testCase == nil {
      try await function()
    } else {
      try await withTaskExecutorPreference(OwnThread.shared, operation: function)
    }
  }
}

extension Trait where Self == OwnThreadTrait {
  /// A thread of its own for each test.
  public static var ownThread: Self { Self() }
}

/// Runs each job on a new thread. A task has one job for each stretch between two suspensions; one that blocks has few.
private final class OwnThread: TaskExecutor {
  static let shared = OwnThread()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    Thread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }.start()
  }
}
