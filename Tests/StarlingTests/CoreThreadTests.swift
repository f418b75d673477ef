import EventLoop
import Foundation
import Swarm
import Testing
import Threads
import Wire

/// The thread that a root machine runs on.
@Suite struct CoreThreadTests {
  /// A machine that notes what it is told.
  private final class Recorder: RootMachine, @unchecked Sendable {
    enum Input: Sendable {
      case timer
      case clock(WallClock)
      case other
    }
    static var timerInput: Input { .timer }
    static func clockInput(_ clock: WallClock) -> Input { .clock(clock) }

    let lock = Lock()
    private(set) var clocks: [(clock: WallClock, at: Instant)] = []
    private(set) var outputs = 0
    var nextDeadline: Instant? { nil }

    func handle(_ input: Input, now: Instant, into outputs: inout [Int]) {
      guard case .clock(let clock) = input else { return }
      lock.withLock { clocks.append((clock, now)) }
      outputs.append(1)
    }

    func note(_ count: Int) { lock.withLock { outputs += count } }
  }

  /// A host and a node alike hear of the wall clock again and again, and what comes of it is done at once.
  @Test func theWallClockIsReadAgain() async throws {
    let begin = Date()
    let recorder = Recorder()
    let thread = CoreThread(name: "test", machine: recorder, clockInterval: .milliseconds(20)) { recorder.note($0.count) }
    try thread.start()
    try await eventually("the clock is read five times") { recorder.lock.withLock { recorder.clocks.count } >= 5 }
    thread.stop()
    #expect(recorder.clocks.count >= 5 && recorder.outputs == recorder.clocks.count)
    for (clock, now) in recorder.clocks {
      let wall = Date(timeIntervalSince1970: Double(clock.time(at: now).milliseconds) / 1_000)
      #expect(begin - 1 <= wall && wall <= Date() + 1)
    }
  }
}
