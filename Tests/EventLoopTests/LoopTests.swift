import EventLoop
import Testing
import Wire

@Suite(.ownThread)
struct LoopTests {
  @Test func executesInOrderOnItsThread() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let order = Recorder<Int>()
      let count = 1000
      #expect(!loop.inLoop)
      for number in 0..<count {
        loop.execute {
          loop.preconditionInLoop()
          order.add(number)
        }
      }
      #expect(order.wait(for: count) == Array(0..<count))
    }
  }

  @Test func workFromTheLoopItselfRunsLater() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let order = Recorder<String>()
      loop.execute {
        loop.execute { order.add("inner") }
        order.add("outer")
      }
      #expect(order.wait(for: 2) == ["outer", "inner"])
      let nested = try loop.runAndWait { try loop.runAndWait { 7 } }
      #expect(nested == 7)
    }
  }

  @Test func workBeforeTheStartRunsAndWorkAfterTheStopIsRefused() throws {
    let loop = EventLoop(name: "life")
    let done = Recorder<Int>()
    #expect(loop.execute { done.add(1) })
    try loop.start()
    #expect(done.wait(for: 1) == [1])
    #expect(loop.execute { done.add(2) })
    loop.stop()
    // What was accepted before the stop has run.
    #expect(done.values == [1, 2])
    #expect(!loop.execute { done.add(3) })
    #expect(throws: TransportError.self) { try loop.runAndWait { 1 } }
    loop.stop()
    #expect(done.values == [1, 2])
  }

  @Test func aLoopThatNeverRanStops() {
    let loop = EventLoop(name: "idle")
    loop.stop()
    #expect(!loop.execute {})
  }

  @Test func performsForAsyncCallersAndShutsDown() async throws {
    let loop = EventLoop(name: "async")
    try loop.start()
    #expect(try await loop.perform { loop.inLoop })
    await #expect(throws: TransportError.self) {
      try await loop.perform { throw TransportError(.timedOut) }
    }
    await loop.shutDown()
    await loop.shutDown()
    await #expect(throws: TransportError(.canceled, context: "run on event loop async")) { try await loop.perform { 1 } }
  }

  @Test func loopsShareTheClock() throws {
    try withLoops(2) { loops in
      let first = loops[0].now
      let second = try loops[1].runAndWait { loops[1].now }
      let third = loops[0].now
      #expect(first <= second && second <= third)
    }
  }
}

@Suite(.ownThread)
struct TimerTests {
  @Test func firesInOrderAndNeverEarly() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let fired = Recorder<(Int, Duration)>()
      try loop.runAndWait {
        let start = loop.now
        for delay in [30, 10, 0, 20, 10] {
          let timer = LoopTimer(on: loop) { now in fired.add((delay, now - start)) }
          timer.arm(at: start + .milliseconds(delay))
        }
      }
      let events = fired.wait(for: 5)
      #expect(events.map(\.0) == [0, 10, 10, 20, 30])
      for (delay, elapsed) in events { #expect(elapsed >= .milliseconds(delay), "fired \(elapsed) after the start, \(delay) ms wanted") }
    }
  }

  @Test func armingAgainReplacesTheDeadline() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let fired = Recorder<String>()
      let timers = try loop.runAndWait {
        let moved = LoopTimer(on: loop) { _ in fired.add("moved") }
        moved.arm(after: .seconds(3600))
        moved.arm(after: .milliseconds(5))
        let disarmed = LoopTimer(on: loop) { _ in fired.add("disarmed") }
        disarmed.arm(after: .milliseconds(1))
        disarmed.arm(at: nil)
        let never = LoopTimer(on: loop) { _ in fired.add("never") }
        never.arm(at: .distantFuture)
        let closed = LoopTimer(on: loop) { _ in fired.add("closed") }
        closed.arm(after: .milliseconds(1))
        closed.close()
        let past = LoopTimer(on: loop) { _ in fired.add("past") }
        past.arm(at: .zero)
        return [moved, disarmed, never, closed, past]
      }
      #expect(fired.wait(for: 2) == ["past", "moved"])
      #expect(try loop.runAndWait { timers.map { $0.deadline == nil } } == [true, true, true, true, true])
      // A timer may be armed again after it fired.
      loop.execute { timers[0].arm(after: .milliseconds(1)) }
      #expect(fired.wait(for: 3) == ["past", "moved", "moved"])
    }
  }

  @Test func aTimerMayArmItselfWhileItFires() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let delegate = Repeating()
      loop.execute { LoopTimer(on: loop, delegate: delegate).arm(after: .milliseconds(1)) }
      let times = delegate.fired.wait(for: 5)
      #expect(times.count == 5)
      #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= .milliseconds(1) })
    }
  }

  private final class Repeating: LoopTimerDelegate, @unchecked Sendable {
    let fired = Recorder<Instant>()

    func timerFired(_ timer: LoopTimer, now: Instant) {
      fired.add(now)
      if fired.values.count < 5 { timer.arm(at: now + .milliseconds(1)) }
    }
  }
}
