import EventLoop
import HostCore
import Wire

/// A machine that a ``CoreThread`` drives: a host alone, or a node with its chains.
public protocol RootMachine: AnyObject, SendableMetatype {
  /// What it is told.
  associatedtype Input: Sendable
  /// What it wants done.
  associatedtype Output

  /// The input that says that time has passed.
  static var timerInput: Input { get }

  /// The input that says that the wall clock was read again.
  static func clockInput(_ clock: WallClock) -> Input

  /// Takes one input and appends what is to be done.
  func handle(_ input: Input, now: Instant, into outputs: inout [Output])

  /// When ``timerInput`` is wanted.
  var nextDeadline: Instant? { get }
}

extension HostCore: RootMachine {
  /// The host's own timer.
  public static var timerInput: Input { .timer }
  /// The host's own reading.
  public static func clockInput(_ clock: WallClock) -> Input { .clock(clock) }
}

/// Runs a root machine on a thread of its own: inputs arrive in batches, outputs are performed behind each batch, one timer. Every
/// ten seconds the machine is told the wall clock, which may be set, while the monotonic one may stand still as long as the computer sleeps.
///
/// Everything but ``post(_:)`` and ``report(_:)`` happens on the thread.
public final class CoreThread<Machine: RootMachine>: MailboxHandler, LoopTimerDelegate, @unchecked Sendable {
  /// The thread.
  public let loop: EventLoop
  /// The machine; touched on the thread only.
  public let machine: Machine
  private let mailbox: Mailbox<Machine.Input>
  private let clockInterval: Duration
  private let wallTime: @Sendable () -> WallTime
  private let perform: (inout [Machine.Output]) -> Void
  private var outputs: [Machine.Output] = []
  private var timer: LoopTimer?
  private var clockTimer: LoopTimer?

  /// Makes the thread without starting it.
  ///
  /// - Parameters:
  ///   - capacity: the inputs that may wait; producers hold back when it is reached.
  ///   - capacityBytes: the bytes of messages that may wait. Default 64 MiB.
  ///   - clockInterval: how often the wall clock is read. Default 10 s.
  ///   - wallTime: reads the wall clock.
  ///   - perform: does what the machine wants, on the thread; it may empty the array or leave that to the caller.
  public init(
    name: String, machine: Machine, capacity: Int = 65_536, capacityBytes: Int = 64 << 20,
    clockInterval: Duration = .seconds(10), wallTime: @escaping @Sendable () -> WallTime = { Platform.wallTime },
    perform: @escaping (inout [Machine.Output]) -> Void
  ) {
    loop = EventLoop(name: name)
    self.machine = machine
    self.clockInterval = clockInterval
    self.wallTime = wallTime
    self.perform = perform
    mailbox = Mailbox(loop: loop, capacity: capacity, capacityBytes: capacityBytes)
  }

  /// Starts the thread. Inputs posted before wait for it.
  public func start() throws {
    try loop.start()
    try loop.runAndWait {
      self.timer = LoopTimer(on: self.loop, delegate: self)
      self.clockTimer = LoopTimer(on: self.loop) { [weak self] now in self?.readClock(now) }
      self.clockTimer?.arm(after: self.clockInterval)
    }
    mailbox.attach(self)
    _ = loop.execute { self.arm() }
  }

  /// Posts an input from any thread.
  ///
  /// - Returns: false when the mailbox is full or the thread has ended, and the machine will never hear of it.
  public func post(_ input: Machine.Input) -> Bool { mailbox.post(input) }

  /// Tells the machine what came of something that it asked for, or what the operator of this process wants. It is taken even when the
  /// mailbox is full: a lost result would leave the machine waiting for ever.
  public func report(_ input: Machine.Input) { mailbox.postResult(input) }

  /// Posts several inputs, all or none, whose messages have so many bytes.
  ///
  /// - Returns: false when there was no room, or the thread has ended.
  public func post(contentsOf inputs: [Machine.Input], bytes: Int = 0) -> Bool { mailbox.post(contentsOf: inputs, bytes: bytes) }

  /// Runs `body` with the machine on the thread, then performs the outputs that it appended, as behind an input.
  ///
  /// For questions, and for inputs whose outputs the caller wants to see. It keeps its place among the inputs posted by the same thread.
  ///
  /// - Returns: false when the thread has ended, and `body` will never run.
  @discardableResult
  public func execute(_ body: @escaping @Sendable (Machine, Instant, inout [Machine.Output]) -> Void) -> Bool {
    loop.execute {
      body(self.machine, self.loop.now, &self.outputs)
      self.finishTurn()
    }
  }

  /// How many inputs wait or are being handled.
  public var depth: Int { mailbox.depth }

  /// Calls `body` once there is room again.
  public func notifyWhenSpace(_ body: @escaping @Sendable () -> Void) { mailbox.notifyWhenSpace(body) }

  /// Stops the thread and waits for its end.
  public func stop() {
    mailbox.close()
    loop.stop()
  }

  /// Stops the thread without blocking the caller's meanwhile.
  public func shutDown() async {
    mailbox.close()
    await loop.shutDown()
  }

  /// Handles a batch of inputs, then performs what came of them.
  public func receive(_ batch: [Machine.Input]) {
    let now = loop.now
    for input in batch { machine.handle(input, now: now, into: &outputs) }
    finishTurn()
  }

  /// Tells the machine that time has passed.
  public func timerFired(_ timer: LoopTimer, now: Instant) {
    machine.handle(Machine.timerInput, now: now, into: &outputs)
    finishTurn()
  }

  private func finishTurn() {
    if !outputs.isEmpty {
      perform(&outputs)
      outputs.removeAll(keepingCapacity: true)
    }
    arm()
  }

  private func readClock(_ now: Instant) {
    receive([Machine.clockInput(WallClock(now: now, wall: wallTime()))])
    clockTimer?.arm(after: clockInterval)
  }

  private func arm() { timer?.arm(at: machine.nextDeadline) }
}
