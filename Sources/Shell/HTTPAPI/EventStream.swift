import CMicrohttpd
import Foundation

/// A live stream of server-sent events to one client (WHATWG HTML, section 9.2).
///
/// Sending never blocks; a client that falls behind by more than the server's `streamBufferBytes` is closed.
public final class EventStream: @unchecked Sendable {
  private let connection: OpaquePointer
  private let bufferBytes: Int
  /// Tells the server that the connection is gone, once. It keeps the server and all its routes alive, so that it is let go of then: a program
  /// may keep the stream for longer.
  private var released: (@Sendable (EventStream) -> Void)?
  private let lock = NSLock()
  private var pending: [UInt8] = []
  private var suspended = false
  private var closing = false
  private var detached = false

  init(connection: OpaquePointer, bufferBytes: Int, released: @escaping @Sendable (EventStream) -> Void) {
    self.connection = connection
    self.bufferBytes = bufferBytes
    self.released = released
  }

  /// Whether the client can still get events.
  public var isOpen: Bool { lock.withLock { !closing && !detached } }

  /// Queues an event; returns `false` when the stream is closed or closes now because the client is too slow.
  @discardableResult public func send(event: String? = nil, data: String) -> Bool {
    var text = ""
    if let event { text += "event: \(event.filter { !$0.isNewline })\n" }
    for line in data.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) { text += "data: \(line)\n" }
    return write(text + "\n")
  }

  /// Sends a comment, which keeps proxies from closing the stream and finds dead clients.
  @discardableResult public func sendHeartbeat() -> Bool { write(":\n\n") }

  /// Ends the stream after what is queued.
  public func close() {
    lock.withLock {
      closing = true
      wake()
    }
  }

  private func write(_ text: String) -> Bool {
    lock.withLock {
      guard !closing, !detached else { return false }
      if pending.count + text.utf8.count > bufferBytes {
        closing = true
      } else {
        pending.append(contentsOf: text.utf8)
      }
      wake()
      return !closing
    }
  }

  /// Fills the buffer of the event thread; parks the connection when there is nothing.
  func read(into buffer: UnsafeMutablePointer<CChar>, maximum: Int) -> Int {
    lock.withLock {
      if !pending.isEmpty {
        let count = min(maximum, pending.count)
        pending.withUnsafeBytes {
          UnsafeMutableRawPointer(buffer).copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(buffer), byteCount: count)
        }
        pending.removeFirst(count)
        return count
      }
      if closing { return Self.endOfStream }
      MHD_suspend_connection(connection)
      suspended = true
      return 0
    }
  }

  func detach() {
    let released = lock.withLock {
      detached = true
      pending = []
      defer { self.released = nil }
      return self.released
    }
    released?(self)
  }

  private func wake() {
    guard suspended, !detached else { return }
    suspended = false
    MHD_resume_connection(connection)
  }

  /// `MHD_CONTENT_READER_END_OF_STREAM`
  private static let endOfStream = -1
}
