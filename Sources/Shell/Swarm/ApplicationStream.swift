import EventLoop
import HostCore
import Identity
import SecureChannel
import Threads

/// A stream that the program reads and writes itself, past the core: bytes go straight between the link's thread and the reader.
///
/// One task reads at a time. Both directions are bounded: the remote may send what the stream's window admits, and ``write(_:)`` waits while
/// more than a mebibyte is queued.
public final class ApplicationStream: @unchecked Sendable {
  /// The peer at the other end; proven.
  public let peer: PeerID
  /// The stream's name on its link.
  public let reference: StreamRef
  /// The protocol agreed on.
  public var protocolID: ProtocolID { lock.withLock { negotiated } }

  private let shard: Shard
  private let lock = Lock()
  private var negotiated: ProtocolID
  private var chunks: [[UInt8]] = []
  private var head = 0
  /// Bytes that were read and for which the remote was not granted room again yet.
  private var granted = 0
  /// Bytes that wait for a reader.
  private var waitingBytes = 0
  private var isRemoteFinished = false
  private var isFinished = false
  private var isOpen: Bool
  /// Why nothing more can be read or written, once that is so.
  private var failure: ChannelError?
  private var reader: CheckedContinuation<[UInt8]?, any Error>?
  private var writer: CheckedContinuation<Void, any Error>?
  private var opener: CheckedContinuation<Void, any Error>?
  /// Tasks that wait until another one has written.
  private var turns: [(number: UInt64, continuation: CheckedContinuation<Void, any Error>)] = []
  private var nextTurn: UInt64 = 0
  private var isWriting = false
  private var unsent = 0
  private var isBlocked = false

  /// Bytes that may be on their way to the link's thread before a writer waits.
  private static let writeMaximum = 1 << 20
  /// What is handed over at a time of a write that has more than that.
  private static let pieceBytes = 256 << 10
  /// Bytes read before the remote is granted room for them again.
  private static let grantBytes = 64 << 10
  /// A chunk below this size takes the next one in, so that a remote that sends single bytes does not cost an array for each.
  private static let smallChunkBytes = 4 << 10

  init(peer: PeerID, reference: StreamRef, protocolID: ProtocolID, isOpen: Bool, shard: Shard) {
    self.peer = peer
    self.reference = reference
    negotiated = protocolID
    self.isOpen = isOpen
    self.shard = shard
  }

  // MARK: The program's side

  /// The next bytes, at least one; `nil` when the remote has finished. What arrived before a failure is read before it is thrown.
  ///
  /// - Throws: ``ChannelError`` when the stream or its link failed, `CancellationError` when the task is cancelled while it waits.
  public func read() async throws -> [UInt8]? {
    if let result = lock.withLock({ readable() }) { return try result.get() }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<[UInt8]?, any Error>? = lock.withLock {
          precondition(reader == nil, "two tasks read one stream")
          if let result = readable() { return result }
          if Task.isCancelled { return .failure(CancellationError()) }
          reader = continuation
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiting = lock.withLock {
        defer { reader = nil }
        return reader
      }
      waiting?.resume(throwing: CancellationError())
    }
  }

  /// What a read gives at once, or `nil` when it has to wait. The lock is held.
  private func readable() -> Result<[UInt8]?, any Error>? {
    if let chunk = takeChunk() { return .success(chunk) }
    if isRemoteFinished { return .success(nil) }
    return failure.map { .failure($0) }
  }

  /// Queues bytes, and waits while too many are queued. Writes of several tasks go out one after the other, each whole, in the order of the
  /// calls. Much is handed over in pieces, so that no more is queued than is said above.
  ///
  /// - Throws: ``ChannelError`` when the stream or its link failed, or this side has finished; `CancellationError` when the task is cancelled
  ///   while it waits: nothing of `bytes` is sent then when others are still writing, all of them when all are queued; otherwise the stream
  ///   is reset, for the remote must not take a part for the whole.
  public func write(_ bytes: [UInt8]) async throws {
    if bytes.isEmpty { return }
    try await takeTurn()
    defer { passTurn() }
    guard bytes.count > Self.writeMaximum else { return try await queue(bytes) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = Array(rest.prefix(Self.pieceBytes))
      rest = rest.dropFirst(piece.count)
      do { try await queue(piece) } catch let error as CancellationError {
        if !rest.isEmpty { reset() }
        throw error
      }
    }
  }

  /// Hands bytes over to the link's thread, and waits while too many are on their way.
  private func queue(_ bytes: [UInt8]) async throws {
    let mustWait = try lock.withLock {
      if let failure { throw failure }
      unsent += bytes.count
      return isBlocked || unsent > Self.writeMaximum
    }
    shard.post(.applicationSend(reference, bytes))
    guard mustWait else { return }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<Void, any Error>? = lock.withLock {
          if let failure { return .failure(failure) }
          if !isBlocked && unsent <= Self.writeMaximum { return .success(()) }
          if Task.isCancelled { return .failure(CancellationError()) }
          writer = continuation
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiting = lock.withLock {
        defer { writer = nil }
        return writer
      }
      waiting?.resume(throwing: CancellationError())
    }
  }

  private static let finished = ChannelError.closedLocally("finished by the application")

  /// Waits until no other task writes.
  private func takeTurn() async throws {
    let number: UInt64? = try lock.withLock {
      if let failure { throw failure }
      if isFinished { throw Self.finished }
      if !isWriting {
        isWriting = true
        return nil
      }
      nextTurn += 1
      return nextTurn
    }
    guard let number else { return }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<Void, any Error>? = lock.withLock {
          if let failure { return .failure(failure) }
          if Task.isCancelled { return .failure(CancellationError()) }
          if !isWriting {
            if isFinished { return .failure(Self.finished) }
            isWriting = true
            return .success(())
          }
          turns.append((number, continuation))
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiting: CheckedContinuation<Void, any Error>? = lock.withLock {
        guard let index = turns.firstIndex(where: { $0.number == number }) else { return nil }
        return turns.remove(at: index).continuation
      }
      waiting?.resume(throwing: CancellationError())
    }
  }

  private func passTurn() {
    let (next, isEnd) = lock.withLock { () -> (CheckedContinuation<Void, any Error>?, Bool) in
      if !turns.isEmpty { return (turns.removeFirst().continuation, false) }
      isWriting = false
      return (nil, isFinished)
    }
    next?.resume()
    if isEnd { shard.post(.applicationFinish(reference)) }
  }

  /// Says that no more will be written, behind the writes that have begun. Reading goes on.
  public func finish() {
    let isDue = lock.withLock {
      defer { isFinished = true }
      return !isFinished && !isWriting
    }
    if isDue { shard.post(.applicationFinish(reference)) }
  }

  /// Gives the stream up in both directions; what was queued is dropped, and the remote is told the code.
  public func reset(_ code: ResetCode = .unspecified) {
    end(.closedLocally("reset by the application"))
    shard.post(.applicationReset(reference, code))
  }

  /// Nobody will read or write the stream any more. When this side had finished, what it wrote still goes out; otherwise the remote
  /// is told that the stream is given up.
  public func abandon() { shard.post(.applicationAbandoned(reference)) }

  /// Waits until the remote has agreed to a stream that this side opened.
  ///
  /// - Throws: ``ChannelError`` when it does not, `CancellationError` when the task is cancelled while it waits; the stream is reset then.
  func waitUntilOpen() async throws {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<Void, any Error>? = lock.withLock {
          if isOpen { return .success(()) }
          if let failure { return .failure(failure) }
          if Task.isCancelled { return .failure(CancellationError()) }
          opener = continuation
          return nil
        }
        if case .failure(_ as CancellationError) = result { reset() }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let waiting = lock.withLock {
        defer { opener = nil }
        return opener
      }
      guard let waiting else { return }
      reset()
      waiting.resume(throwing: CancellationError())
    }
  }

  /// The next chunk; grants room behind it. The lock is held.
  private func takeChunk() -> [UInt8]? {
    guard head < chunks.count else { return nil }
    var chunk: [UInt8] = []
    swap(&chunk, &chunks[head])
    head += 1
    if head == chunks.count {
      chunks.removeAll(keepingCapacity: true)
      head = 0
    }
    waitingBytes -= chunk.count
    granted += chunk.count
    if granted >= Self.grantBytes {
      shard.post(.applicationConsumed(reference, granted))
      granted = 0
    }
    return chunk
  }

  // MARK: The link's side

  /// Whether ``finish()`` was called.
  var hasFinishedWriting: Bool { lock.withLock { isFinished } }

  /// Bytes for which the remote was not granted room again.
  var unreadBytes: Int { lock.withLock { waitingBytes + granted } }

  func didOpen(_ name: ProtocolID) {
    let waiting: CheckedContinuation<Void, any Error>? = lock.withLock {
      negotiated = name
      isOpen = true
      defer { opener = nil }
      return opener
    }
    waiting?.resume()
  }

  func receive(_ bytes: [UInt8]) {
    var grant = 0
    let waiting: CheckedContinuation<[UInt8]?, any Error>? = lock.withLock {
      guard let reader else {
        waitingBytes += bytes.count
        if head < chunks.count, chunks[chunks.count - 1].count < Self.smallChunkBytes, bytes.count < Self.smallChunkBytes {
          chunks[chunks.count - 1].append(contentsOf: bytes)
        } else {
          chunks.append(bytes)
        }
        return nil
      }
      self.reader = nil
      granted += bytes.count
      if granted >= Self.grantBytes {
        grant = granted
        granted = 0
      }
      return reader
    }
    if grant > 0 { shard.consumedOnLoop(reference, grant) }
    waiting?.resume(returning: bytes)
  }

  func receiveEnd() {
    let waiting: CheckedContinuation<[UInt8]?, any Error>? = lock.withLock {
      isRemoteFinished = true
      defer { reader = nil }
      return reader
    }
    waiting?.resume(returning: nil)
  }

  /// The link took `count` bytes; `isBlocked` when its queue is over the high watermark.
  func didQueue(_ count: Int, isBlocked: Bool) {
    let waiting: CheckedContinuation<Void, any Error>? = lock.withLock {
      unsent -= count
      self.isBlocked = isBlocked
      guard !isBlocked && unsent <= Self.writeMaximum / 2 else { return nil }
      defer { writer = nil }
      return writer
    }
    waiting?.resume()
  }

  /// The stream is gone; `nil` when both sides had finished.
  func didEnd(_ error: ChannelError?) { end(error ?? .closedLocally("both sides have finished")) }

  private func end(_ error: ChannelError) {
    let (reading, writing, isAtEnd) = lock.withLock {
      if failure == nil { failure = error }
      defer {
        reader = nil
        writer = nil
        opener = nil
        turns = []
      }
      return (reader, [writer, opener].compactMap(\.self) + turns.map(\.continuation), isRemoteFinished)
    }
    if isAtEnd { reading?.resume(returning: nil) } else { reading?.resume(throwing: error) }
    for waiting in writing { waiting.resume(throwing: error) }
  }
}
