import Dispatch

/// An event that one thread sets and another waits for; each wait uses up one set.
final class Flag: Sendable {
  private let semaphore = DispatchSemaphore(value: 0)

  func set() { semaphore.signal() }

  func wait() { semaphore.wait() }
}
