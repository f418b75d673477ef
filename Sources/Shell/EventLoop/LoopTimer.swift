import CUV
import Wire

/// Hears of a timer's end. Called on the loop's thread.
public protocol LoopTimerDelegate: AnyObject {
  /// The timer's deadline has come; `now` is not before it. The timer is disarmed and may be armed again.
  func timerFired(_ timer: LoopTimer, now: Instant)
}

/// A timer that fires once at an instant and can be armed again; at most one deadline is pending.
///
/// Deadlines are rounded up to whole milliseconds; the timer never fires early. Arming and disarming costs O(log n) in the number
/// of the loop's armed timers. It keeps its delegate until ``close()`` or until the loop stops.
public final class LoopTimer: LoopHandle, @unchecked Sendable {
  private var delegate: (any LoopTimerDelegate)?

  /// The pending deadline, or `nil` when the timer isn't armed.
  public private(set) var deadline: Instant?

  /// Makes a timer that isn't armed. Call it on the loop's thread.
  public init(on loop: EventLoop, delegate: any LoopTimerDelegate) {
    self.delegate = delegate
    super.init(loop: loop, handle: uv_timer_t.self)
    let status = uv_timer_init(loop.raw, pointer(uv_timer_t.self))
    precondition(status == 0, "uv_timer_init failed with \(status)")
    register()
  }

  /// Makes a timer that calls a closure. Call it on the loop's thread.
  public convenience init(on loop: EventLoop, onFire: @escaping (_ now: Instant) -> Void) {
    self.init(on: loop, delegate: ClosureTimerDelegate(onFire))
  }

  /// Arms the timer for `deadline` in place of a pending deadline. `nil` or the distant future disarms it; an instant that has
  /// passed makes it fire in the loop's next turn. Without effect when the timer is closed.
  public func arm(at deadline: Instant?) {
    loop.preconditionInLoop()
    guard !isClosing, deadline != self.deadline else { return }
    guard let deadline, deadline != .distantFuture else {
      disarm()
      return
    }
    self.deadline = deadline
    start(deadline)
  }

  /// Arms the timer for `delay` from now.
  public func arm(after delay: Duration) { arm(at: loop.now + delay) }

  /// Forgets the pending deadline.
  public func disarm() {
    loop.preconditionInLoop()
    deadline = nil
    if !isClosing { uv_timer_stop(pointer(uv_timer_t.self)) }
  }

  /// Disarms the timer for good and lets its delegate go.
  public func close() {
    deadline = nil
    beginClose()
  }

  private func start(_ deadline: Instant) {
    // libuv counts from the loop's time, which is this same clock cut to milliseconds and possibly some time ago.
    let nanoseconds = UInt64(max(0, deadline.nanoseconds))
    let target = nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1)
    let base = uv_now(loop.raw)
    uv_timer_start(
      pointer(uv_timer_t.self), { $0?.pointee.data?.borrow(LoopTimer.self) { $0.didFire() } }, target > base ? target - base : 0, 0)
  }

  private func didFire() {
    guard let deadline else { return }
    let now = loop.now
    guard now >= deadline else {
      start(deadline)
      return
    }
    self.deadline = nil
    delegate?.timerFired(self, now: now)
  }

  override func didClose() {
    deadline = nil
    delegate = nil
  }
}

private final class ClosureTimerDelegate: LoopTimerDelegate {
  private let onFire: (Instant) -> Void

  init(_ onFire: @escaping (Instant) -> Void) { self.onFire = onFire }

  func timerFired(_ timer: LoopTimer, now: Instant) { onFire(now) }
}
