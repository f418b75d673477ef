import EventLoop
import Threads

/// What ``PeerStream/readExactly(_:)`` read too much.
final class Reader: @unchecked Sendable {
  private let lock = Lock()
  private var rest: [UInt8] = []

  func take() -> [UInt8]? {
    lock.withLock {
      if rest.isEmpty { return nil }
      var taken: [UInt8] = []
      swap(&taken, &rest)
      return taken
    }
  }

  func put(_ bytes: [UInt8]) { lock.withLock { rest = bytes } }
}
