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
/// batch that the handler is working on. Messages that arrive before a handler is there wait for it.
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
  /// The loop on which messages are delivered.
  public let loop: EventLoop
  /// How many messages may wait or be in the handler's hands.
  public let capacity: Int

  private let lock = Lock()
  private var queue: [Message] = []
  private var inFlight = 0
  private var isScheduled = false
  private var isClosed = false
  private var spaceWaiters: [@Sendable () -> Void] = []
  private weak var handler: (any MailboxHandler<Message>)?

  /// Makes a mailbox; `capacity` is at least 1.
  public init(loop: EventLoop, capacity: Int) {
    precondition(capacity >= 1, "a mailbox has room for one message at least")
    self.loop = loop
    self.capacity = capacity
  }

  /// Names the object that takes the messages; held weakly. Messages are dropped once it is gone.
  public func attach(_ handler: any MailboxHandler<Message>) {
    lock.withLock {
      self.handler = handler
      hasHandler = true
      if !queue.isEmpty { _ = schedule() }
    }
  }

  /// Adds a message.
  ///
  /// - Returns: `false` when the message was refused: the mailbox is full or closed, or the loop has stopped.
  public func post(_ message: Message) -> Bool {
    lock.withLock {
      guard !isClosed, queue.count + inFlight < capacity else { return false }
      queue.append(message)
      return schedule()
    }
  }

  /// Adds all of the messages or, when there is not room for all, none. O(n).
  ///
  /// - Returns: `false` when the messages were refused.
  public func post(contentsOf messages: [Message]) -> Bool {
    if messages.isEmpty { return true }
    return lock.withLock {
      guard !isClosed, messages.count <= capacity - queue.count - inFlight else { return false }
      queue.append(contentsOf: messages)
      return schedule()
    }
  }

  /// How many messages wait or are in the handler's hands.
  public var depth: Int { lock.withLock { queue.count + inFlight } }

  /// Calls `body` once, on the loop's thread, when the batch that fills the mailbox has been handled or the mailbox closed;
  /// immediately, on the caller's thread, when at least half of the capacity is free. At most one call per refusal is sensible: the
  /// list of waiters isn't bounded.
  public func notifyWhenSpace(_ body: @escaping @Sendable () -> Void) {
    let isRoomy = lock.withLock {
      if isClosed || queue.count + inFlight <= capacity / 2 { return true }
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
      defer { spaceWaiters = [] }
      return spaceWaiters
    }
    for waiter in waiters { waiter() }
  }

  private var hasHandler = false

  /// Asks for a delivery unless one is due; the lock is held.
  private func schedule() -> Bool {
    if isScheduled || !hasHandler { return true }
    guard loop.enqueue(.receiver(self)) else {
      isClosed = true
      queue = []
      return false
    }
    isScheduled = true
    return true
  }
}

extension Mailbox: BatchReceiver {
  func deliver() {
    var batch: [Message] = []
    let handler = lock.withLock {
      swap(&batch, &queue)
      inFlight = batch.count
      isScheduled = false
      return self.handler
    }
    if !batch.isEmpty { handler?.receive(batch) }
    let waiters = lock.withLock {
      inFlight = 0
      guard isClosed || queue.count <= capacity / 2, !spaceWaiters.isEmpty else { return [@Sendable () -> Void]() }
      defer { spaceWaiters = [] }
      return spaceWaiters
    }
    for waiter in waiters { waiter() }
  }
}
