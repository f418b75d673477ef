import Threads

/// Takes messages from a ``Mailbox``. Called on the loop's thread.
public protocol MailboxHandler<Message>: AnyObject {
  /// What the mailbox carries.
  associatedtype Message: Sendable

  /// Takes all messages that waited, in order; never an empty batch.
  func receive(_ batch: [Message])
}

/// A bounded queue of messages from any thread to an object on one loop, with one wake-up for each batch.
///
/// Messages from one thread arrive in the order in which they were posted. When the mailbox is full, messages are refused, and the
/// producer holds back (stops reading, for instance) until ``notifyWhenSpace(_:)`` tells it. The count that is bounded includes the
/// batch that the handler is working on. Results are always taken (``postResult(_:)``). Messages that arrive before a handler is there
/// wait for it.
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
  /// The loop on which messages are delivered.
  public let loop: EventLoop
  /// How many messages may wait or be in the handler's hands.
  public let capacity: Int
  /// How many bytes they may have in all, as those who post them say; a single batch may have more when nothing else waits.
  public let capacityBytes: Int

  private let lock = Lock()
  private var queue: [Message] = []
  private var inFlight = 0
  private var queuedBytes = 0
  private var inFlightBytes = 0
  private var isScheduled = false
  private var isClosed = false
  private var spaceWaiters: [@Sendable () -> Void] = []
  private weak var handler: (any MailboxHandler<Message>)?

  /// Makes a mailbox; `capacity` is at least 1.
  public init(loop: EventLoop, capacity: Int, capacityBytes: Int = .max) {
    precondition(capacity >= 1, "a mailbox has room for one message at least")
    self.loop = loop
    self.capacity = capacity
    self.capacityBytes = capacityBytes
  }

  /// Names the object that takes the messages; held weakly. Messages are dropped once it is gone.
  public func attach(_ handler: any MailboxHandler<Message>) {
    _ = wake(
      lock.withLock {
        self.handler = handler
        hasHandler = true
        return queue.isEmpty ? .behind : schedule()
      })
  }

  /// Adds a message.
  ///
  /// - Returns: `false` when the message was refused: the mailbox is full or closed, or the loop has stopped.
  public func post(_ message: Message) -> Bool {
    wake(
      lock.withLock {
        guard !isClosed, queue.count + inFlight < capacity else { return nil }
        queue.append(message)
        return schedule()
      })
  }

  /// Adds all of the messages or, when there is not room for all, none. O(n).
  ///
  /// - Parameter bytes: what the messages keep beside themselves.
  /// - Returns: `false` when the messages were refused.
  public func post(contentsOf messages: [Message], bytes: Int = 0) -> Bool {
    if messages.isEmpty { return true }
    return wake(
      lock.withLock {
        guard !isClosed, messages.count <= capacity - queue.count - inFlight else { return nil }
        let waitingBytes = queuedBytes + inFlightBytes
        guard waitingBytes == 0 || bytes <= capacityBytes - waitingBytes else { return nil }
        queue.append(contentsOf: messages)
        queuedBytes += bytes
        return schedule()
      })
  }

  /// Adds a message even when the mailbox is full, for what must not be lost: the result of something that the receiver asked for. What
  /// the receiver has under way bounds how many of these there are. Nothing happens when the mailbox is closed or the loop has stopped.
  public func postResult(_ message: Message) {
    _ = wake(
      lock.withLock {
        guard !isClosed else { return nil }
        queue.append(message)
        return schedule()
      })
  }

  /// How many messages wait or are in the handler's hands.
  public var depth: Int { lock.withLock { queue.count + inFlight } }

  /// Calls `body` once, on the loop's thread, when the batch that fills the mailbox has been handled or the mailbox closed;
  /// immediately, on the caller's thread, when at least half of the capacity is free. At most one call per refusal is sensible: the
  /// list of waiters isn't bounded.
  public func notifyWhenSpace(_ body: @escaping @Sendable () -> Void) {
    let isRoomy = lock.withLock {
      if isClosed || hasSpace { return true }
      spaceWaiters.append(body)
      return false
    }
    if isRoomy { body() }
  }

  /// Drops the messages that wait and refuses all later ones.
  public func close() {
    let waiters = lock.withLock {
      isClosed = true
      queue = []
      queuedBytes = 0
      defer { spaceWaiters = [] }
      return spaceWaiters
    }
    for waiter in waiters { waiter() }
  }

  private var hasHandler = false

  /// Whether at least half of the capacity is free; the lock is held.
  private var hasSpace: Bool { queue.count + inFlight <= capacity / 2 && queuedBytes + inFlightBytes <= capacityBytes / 2 }

  /// Asks for a delivery unless one is due; the lock is held, so that what one thread posts and has the loop execute keeps its order. `nil`
  /// when the loop has stopped.
  private func schedule() -> EventLoop.Place? {
    if isScheduled || !hasHandler { return .behind }
    guard let place = loop.reserve(.receiver(self)) else {
      isClosed = true
      queue = []
      queuedBytes = 0
      return nil
    }
    isScheduled = true
    return place
  }

  /// Wakes the loop when that is due, without the lock; whether the message was taken.
  private func wake(_ place: EventLoop.Place?) -> Bool {
    if place == .first { loop.sendWakeUp() }
    return place != nil
  }
}

extension Mailbox: BatchReceiver {
  func deliver() {
    var batch: [Message] = []
    let handler = lock.withLock {
      swap(&batch, &queue)
      inFlight = batch.count
      inFlightBytes = queuedBytes
      queuedBytes = 0
      isScheduled = false
      return self.handler
    }
    if !batch.isEmpty { handler?.receive(batch) }
    let waiters = lock.withLock {
      inFlight = 0
      inFlightBytes = 0
      guard isClosed || hasSpace, !spaceWaiters.isEmpty else { return [@Sendable () -> Void]() }
      defer { spaceWaiters = [] }
      return spaceWaiters
    }
    for waiter in waiters { waiter() }
  }
}
