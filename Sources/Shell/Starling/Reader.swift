import EventLoop
import Threads

/// Who reads a ``PeerStream``, and what ``PeerStream/readExactly(_:)`` read too much.
final class Reader: @unchecked Sendable {
  private let lock = Lock()
  private var rest: [UInt8] = []
  private var isReading = false

  /// - Throws: ``HostError`` `streamBusy` while another task reads.
  func begin() throws {
    try lock.withLock {
      if isReading { throw HostError(.streamBusy, "another task is reading the stream") }
      isReading = true
    }
  }

  func end() { lock.withLock { isReading = false } }

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
