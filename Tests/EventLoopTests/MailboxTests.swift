import Dispatch
import EventLoop
import Testing

@Suite(.ownThread)
struct MailboxTests {
  private final class Sink: MailboxHandler, @unchecked Sendable {
    let batches = Recorder<[Int]>()
    let messages = Recorder<Int>()
    let gate: DispatchSemaphore?

    init(gate: DispatchSemaphore? = nil) { self.gate = gate }

    func receive(_ batch: [Int]) {
      batches.add(batch)
      gate?.wait()
      for message in batch { messages.add(message) }
    }
  }

  @Test func deliversInOrderFromManyThreads() throws {
    try withLoops(1) { loops in
      let mailbox = Mailbox<Int>(loop: loops[0], capacity: 100_000)
      let sink = Sink()
      mailbox.attach(sink)
      let perThread = 5000
      DispatchQueue.concurrentPerform(iterations: 4) { thread in
        for index in 0..<perThread { #expect(mailbox.post(thread * perThread + index)) }
      }
      let all = sink.messages.wait(for: 4 * perThread)
      #expect(all.count == 4 * perThread)
      for thread in 0..<4 {
        let own = all.filter { $0 / perThread == thread }
        #expect(own == Array(thread * perThread..<(thread + 1) * perThread))
      }
    }
  }

  /// The last message of each thread; touched by the loop's thread only.
  private final class Latest: MailboxHandler, @unchecked Sendable {
    var ofThread = [Int](repeating: -1, count: 4)
    func receive(_ batch: [(thread: Int, number: Int)]) {
      for message in batch { ofThread[message.thread] = message.number }
    }
  }

  /// What a thread has the loop execute comes behind what it has posted, whoever else posts at the same moment.
  @Test func keepsItsPlaceAmongWhatIsExecuted() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let mailbox = Mailbox<(thread: Int, number: Int)>(loop: loop, capacity: 100_000)
      let latest = Latest()
      mailbox.attach(latest)
      let early = Counter()
      DispatchQueue.concurrentPerform(iterations: 4) { thread in
        for number in 0..<5_000 {
          #expect(mailbox.post((thread, number)))
          loop.execute { if latest.ofThread[thread] < number { early.add() } }
        }
      }
      try loop.runAndWait {}
      #expect(early.value == 0)
    }
  }

  @Test func messagesWaitForTheHandler() throws {
    try withLoops(1) { loops in
      let mailbox = Mailbox<Int>(loop: loops[0], capacity: 10)
      #expect(mailbox.post(1))
      #expect(mailbox.post(contentsOf: [2, 3]))
      #expect(mailbox.post(contentsOf: []))
      #expect(mailbox.depth == 3)
      let sink = Sink()
      mailbox.attach(sink)
      #expect(sink.messages.wait(for: 3) == [1, 2, 3])
      #expect(sink.batches.values == [[1, 2, 3]])
    }
  }

  /// What came of something that the receiver asked for is taken although there is no room, keeps its place, and lets nobody else in.
  @Test func resultsAreNeverRefused() throws {
    try withLoops(1) { loops in
      let mailbox = Mailbox<Int>(loop: loops[0], capacity: 2)
      #expect(mailbox.post(contentsOf: [1, 2]))
      mailbox.postResult(3)
      mailbox.postResult(4)
      #expect(!mailbox.post(5) && mailbox.depth == 4)
      let sink = Sink()
      mailbox.attach(sink)
      #expect(sink.messages.wait(for: 4) == [1, 2, 3, 4])
      let closed = Mailbox<Int>(loop: loops[0], capacity: 2)
      closed.close()
      closed.postResult(5)
      #expect(closed.depth == 0)
    }
  }

  @Test func bytesAreBoundedToo() throws {
    try withLoops(1) { loops in
      let gate = DispatchSemaphore(value: 0)
      let sink = Sink(gate: gate)
      let mailbox = Mailbox<Int>(loop: loops[0], capacity: 100, capacityBytes: 10)
      // What is larger than all may pass alone.
      #expect(mailbox.post(contentsOf: [0], bytes: 11))
      #expect(!mailbox.post(contentsOf: [1], bytes: 1))
      mailbox.attach(sink)
      sink.batches.wait(for: 1)
      // The batch that is being worked on counts.
      #expect(!mailbox.post(contentsOf: [1], bytes: 1))
      let told = Recorder<Bool>()
      mailbox.notifyWhenSpace { told.add(true) }
      #expect(told.values.isEmpty)
      gate.signal()
      told.wait(for: 1)
      #expect(mailbox.post(contentsOf: [1, 2], bytes: 10))
      gate.signal()
      #expect(sink.messages.wait(for: 3) == [0, 1, 2])
    }
  }

  @Test func refusesWhatExceedsItsBoundAndTellsOfSpace() throws {
    try withLoops(1) { loops in
      let gate = DispatchSemaphore(value: 0)
      let sink = Sink(gate: gate)
      let mailbox = Mailbox<Int>(loop: loops[0], capacity: 4)
      mailbox.attach(sink)
      #expect(mailbox.post(0))
      sink.batches.wait(for: 1)
      // The message in the handler's hands counts.
      #expect(mailbox.post(contentsOf: [1, 2]))
      #expect(!mailbox.post(contentsOf: [3, 4]))
      #expect(mailbox.depth == 3)
      #expect(mailbox.post(3))
      #expect(!mailbox.post(4))
      let space = Recorder<Int>()
      mailbox.notifyWhenSpace { space.add(mailbox.depth) }
      #expect(space.values.isEmpty)
      gate.signal()
      gate.signal()
      #expect(space.wait(for: 1).count == 1)
      #expect(sink.messages.wait(for: 4) == [0, 1, 2, 3])
      let isEmpty = try loops[0].runAndWait { mailbox.depth == 0 }
      #expect(isEmpty)
      mailbox.notifyWhenSpace { space.add(-1) }
      #expect(space.values.count == 2)
    }
  }

  @Test func oneWakeUpForABatch() throws {
    try withLoops(1) { loops in
      let sink = Sink()
      let mailbox = Mailbox<Int>(loop: loops[0], capacity: 1000)
      mailbox.attach(sink)
      try loops[0].runAndWait {
        for number in 0..<1000 { #expect(mailbox.post(number)) }
      }
      sink.messages.wait(for: 1000)
      #expect(sink.batches.values == [Array(0..<1000)])
    }
  }

  @Test func refusesAfterCloseAndAfterTheLoop() throws {
    let loop = EventLoop(name: "mail")
    try loop.start()
    let sink = Sink()
    let closed = Mailbox<Int>(loop: loop, capacity: 4)
    closed.attach(sink)
    closed.close()
    #expect(!closed.post(1))
    let open = Mailbox<Int>(loop: loop, capacity: 4)
    open.attach(sink)
    #expect(open.post(2))
    loop.stop()
    #expect(sink.messages.values == [2])
    #expect(!open.post(3))
    #expect(open.depth == 0)
  }
}
