import EventLoop
import Foundation
import Threads
import Wire

/// Writes lines to a descriptor from a thread of its own, so that nobody who has something to say waits for the one who reads it.
///
/// A pipe whose reader has stopped holds up its writer. Here it holds up this thread alone: lines wait, up to a number of bytes; later ones
/// are dropped and counted until all that waited was read, and then a line in their place tells how many are missing. Lines that cannot be
/// written at all, because the disk is full or the reader has gone, count as dropped too.
public final class LineWriter: Sendable {
  /// Writes to standard error.
  public static let standardError = LineWriter(STDERR_FILENO)
  /// Writes to standard output.
  public static let standardOutput = LineWriter(STDOUT_FILENO)

  private let state: State

  /// Starts a writer. The descriptor stays the caller's, and must be open as long as the writer lives.
  ///
  /// - Parameter bytesMaximum: how many bytes may wait (default 512 KiB).
  public init(_ descriptor: Int32, bytesMaximum: Int = 512 << 10) {
    let state = State(descriptor, bytesMaximum)
    self.state = state
    Thread.detachNewThread { state.run() }
  }

  deinit { state.end() }

  /// Takes a line, which ends with a line feed; never waits.
  ///
  /// - Parameter loss: the line that tells, when this line or others had to be dropped, how many are missing.
  public func write(_ line: String, orTell loss: @escaping @Sendable (_ lines: Int) -> String) { state.add(Array(line.utf8), loss) }

  /// How many lines were dropped so far.
  public var droppedLines: UInt64 { state.dropped }

  /// Waits until everything is written that was handed over, or for a time: the reader may have stopped for good.
  ///
  /// - Returns: whether everything is written.
  @discardableResult
  public func flush(within time: Duration) -> Bool {
    let isIdle = DispatchSemaphore(value: 0)
    state.whenIdle { isIdle.signal() }
    return isIdle.wait(timeout: .now() + .milliseconds(Int(time.milliseconds))) == .success
  }
}

/// What the writing thread shares with those who hand lines over; it outlives the writer while a write holds up the thread.
private final class State: @unchecked Sendable {
  private let descriptor: Int32
  private let bytesMaximum: Int
  private let lock = Lock()
  private let changed: Condition

  // Under the lock.
  private var lines: [[UInt8]] = []
  /// The lines that the thread has taken, the next one last.
  private var taken: [[UInt8]] = []
  /// The bytes of both, and of the line that is being written.
  private var bytes = 0
  /// Lines dropped and not yet told of, with the words for them.
  private var lost = 0
  private var loss: @Sendable (Int) -> String = { _ in "" }
  private var droppedLines: UInt64 = 0
  /// The last write has failed: the next is tried when there is another line.
  private var hasFailed = false
  /// The lost lines came before those that wait, as after a failed write.
  private var tellsFirst = false
  private var isEnded = false
  private var idle: [@Sendable () -> Void] = []

  /// The thread's own: a line was written in part.
  private var isTorn = false

  init(_ descriptor: Int32, _ bytesMaximum: Int) {
    self.descriptor = descriptor
    self.bytesMaximum = bytesMaximum
    changed = Condition(lock)
  }

  var dropped: UInt64 { lock.withLock { droppedLines } }

  func add(_ line: [UInt8], _ loss: @escaping @Sendable (Int) -> String) {
    lock.withLock {
      self.loss = loss
      hasFailed = false
      if (lost > 0 && !tellsFirst) || bytes + line.count > bytesMaximum {
        lost += 1
        droppedLines += 1
      } else {
        lines.append(line)
        bytes += line.count
      }
      changed.signal()
    }
  }

  func whenIdle(_ body: @escaping @Sendable () -> Void) {
    lock.withLock {
      idle.append(body)
      changed.signal()
    }
  }

  func end() {
    lock.withLock {
      isEnded = true
      changed.signal()
    }
  }

  func run() {
    // A signal is for another thread, and a reader that has gone is an error of the write.
    var all = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_BLOCK, &all, nil)
    while let (line, missing) = next() {
      let isWritten = put(line)
      lock.withLock { written(line, missing, isWritten) }
    }
  }

  /// The next line, and how many missing ones it tells of; `nil` at the end.
  private func next() -> (line: [UInt8], missing: Int)? {
    let (line, missing, words) = lock.withLock { () -> ([UInt8]?, Int, (@Sendable (Int) -> String)?) in
      while true {
        if taken.isEmpty {
          taken = lines.reversed()
          lines = []
        }
        if lost > 0 && !hasFailed && (tellsFirst || taken.isEmpty) {
          defer { lost = 0 }
          return (nil, lost, loss)
        }
        if let line = taken.popLast() { return (line, 0, nil) }
        for body in idle { body() }
        idle = []
        if isEnded { return (nil, 0, nil) }
        changed.wait()
      }
    }
    if let line { return (line, 0) }
    return words.map { (Array($0(missing).utf8), missing) }
  }

  private func written(_ line: [UInt8], _ missing: Int, _ isWritten: Bool) {
    if missing == 0 { bytes -= line.count }
    hasFailed = !isWritten
    tellsFirst = !isWritten
    guard !isWritten else { return }
    // What waits would fail as well.
    let waiting = (missing == 0 ? 1 : 0) + taken.count + lines.count
    lost += missing + waiting
    droppedLines += UInt64(waiting)
    (taken, lines, bytes) = ([], [], 0)
  }

  /// Writes a line as one piece where the descriptor takes it so; waits as long as it must.
  private func put(_ line: [UInt8]) -> Bool {
    let bytes = (isTorn ? [UInt8(ascii: "\n")] : []) + line
    let (count, fault) = Platform.write(bytes, to: descriptor)
    if count > 0 { isTorn = count < bytes.count }
    return fault == nil
  }
}
