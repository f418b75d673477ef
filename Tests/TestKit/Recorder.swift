import Testing
import Threads

/// Collects values from any thread and lets a test wait for them.
public final class Recorder<Value: Sendable>: @unchecked Sendable {
  private let lock = Lock()
  private var list: [Value] = []

  public init() {}

  public func add(_ value: Value) { lock.withLock { list.append(value) } }

  public var values: [Value] { lock.withLock { list } }

  /// Waits until `count` values are there, and gives what is there; when they do not come, that is recorded.
  @available(*, noasync, message: "use eventually")
  @discardableResult
  public func wait(for count: Int, sourceLocation: SourceLocation = #_sourceLocation) -> [Value] {
    try? waitUntil("\(count) values; there are \(values)", sourceLocation: sourceLocation) { values.count >= count }
    return values
  }

  /// Waits until `count` values are there, and takes them all out; when they do not come, that is recorded.
  @available(*, noasync, message: "use eventually")
  public func take(_ count: Int = 1, sourceLocation: SourceLocation = #_sourceLocation) -> [Value] {
    wait(for: count, sourceLocation: sourceLocation)
    return lock.withLock {
      defer { list = [] }
      return list
    }
  }
}

/// A number that threads share.
public final class Counter: @unchecked Sendable {
  private let lock = Lock()
  private var count = 0

  public init() {}

  public var value: Int { lock.withLock { count } }

  /// Adds, and gives the sum.
  @discardableResult
  public func add(_ number: Int = 1) -> Int {
    lock.withLock {
      count += number
      return count
    }
  }
}

/// A gate that threads and tasks pass while it is open, and wait at while it is closed.
public final class Gate: @unchecked Sendable {
  private let lock = Lock()
  private let opened: Condition
  private var isOpenNow: Bool
  private var tasks: [CheckedContinuation<Void, Never>] = []
  private var counts = (waiting: 0, passed: 0)

  public init(isOpen: Bool = false) {
    opened = Condition(lock)
    isOpenNow = isOpen
  }

  public var isOpen: Bool { lock.withLock { isOpenNow } }
  /// How many threads and tasks wait at it.
  public var waiting: Int { lock.withLock { counts.waiting } }
  /// How many have gone through.
  public var passed: Int { lock.withLock { counts.passed } }

  public func open() {
    let all = lock.withLock {
      isOpenNow = true
      opened.broadcast()
      counts.waiting -= tasks.count
      counts.passed += tasks.count
      defer { tasks = [] }
      return tasks
    }
    for task in all { task.resume() }
  }

  public func close() { lock.withLock { isOpenNow = false } }

  /// Goes through, once it is open.
  @available(*, noasync, message: "await pass()")
  public func pass() {
    lock.withLock {
      counts.waiting += 1
      while !isOpenNow { opened.wait() }
      counts.waiting -= 1
      counts.passed += 1
    }
  }

  /// Goes through, once it is open.
  public func pass() async {
    await withCheckedContinuation { continuation in
      let mayGoOn = lock.withLock {
        if isOpenNow {
          counts.passed += 1
        } else {
          counts.waiting += 1
          tasks.append(continuation)
        }
        return isOpenNow
      }
      if mayGoOn { continuation.resume() }
    }
  }
}
