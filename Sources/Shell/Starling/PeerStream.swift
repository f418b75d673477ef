import HostCore
import Identity
import SecureChannel
import Swarm

/// A stream of bytes to a peer, in both directions, independent of the peer's other streams.
///
/// One task reads at a time: a second one gets ``HostError`` `streamBusy`. Any number write: each write goes out whole, in the order of the
/// calls. Both directions are bounded: the remote may send what the stream's window admits (at most 16 MiB), and ``write(_:)`` waits while
/// more than a mebibyte is queued. A stream that is let go of without ``finish()`` is reset.
///
/// As an asynchronous sequence it gives the chunks that ``read()`` gives.
public final class PeerStream: Sendable {
  private let base: ApplicationStream
  private let reader = Reader()

  init(_ base: ApplicationStream) { self.base = base }

  deinit { base.abandon() }

  /// The peer at the other end; proven.
  public var peer: PeerID { base.peer }

  /// The protocol agreed on.
  public var protocolID: ProtocolID { base.protocolID }

  /// The next bytes, at least one; `nil` when the remote has finished. What arrived before a failure is read before it is thrown.
  ///
  /// - Throws: ``HostError`` when the stream was reset or its link ended; `CancellationError` when the task is cancelled.
  public func read() async throws -> [UInt8]? {
    try reader.begin()
    defer { reader.end() }
    return try await next()
  }

  private func next() async throws -> [UInt8]? {
    if let rest = reader.take() { return rest }
    do { return try await base.read() } catch { throw HostError.wrap(error) }
  }

  /// Exactly `count` bytes; what follows them stays for the next read. Memory grows with what has arrived.
  ///
  /// - Throws: ``HostError`` `unexpectedEnd` when the remote finishes before, `limitReached` for a count below 0, and what ``read()`` throws.
  public func readExactly(_ count: Int) async throws -> [UInt8] {
    // It may be a peer's word.
    if count < 0 { throw HostError(.limitReached, "\(count) bytes cannot be read") }
    try reader.begin()
    defer { reader.end() }
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard let chunk = try await next() else {
        throw HostError(.unexpectedEnd, "the peer finished after \(bytes.count) of \(count) bytes")
      }
      let missing = count - bytes.count
      if chunk.count > missing {
        reader.put(Array(chunk[missing...]))
        bytes.append(contentsOf: chunk[..<missing])
      } else if bytes.isEmpty {
        bytes = chunk
      } else {
        bytes.append(contentsOf: chunk)
      }
    }
    return bytes
  }

  /// All bytes until the remote finishes.
  ///
  /// - Throws: ``HostError`` `limitReached` when there are more than `maximumBytes`, and what ``read()`` throws.
  public func readToEnd(maximumBytes: Int) async throws -> [UInt8] {
    try reader.begin()
    defer { reader.end() }
    var bytes: [UInt8] = []
    while let chunk = try await next() {
      guard bytes.count + chunk.count <= maximumBytes else { throw HostError(.limitReached, "more than \(maximumBytes) bytes came") }
      bytes.append(contentsOf: chunk)
    }
    return bytes
  }

  /// Sends bytes, and waits while more than a mebibyte is queued, be it in the middle of `bytes`. They are on their way when it returns, not
  /// yet received.
  ///
  /// - Throws: ``HostError`` when the stream or its link failed, or this side had finished; `CancellationError` when the task is
  ///   cancelled while it waits. When other writes were to go first, nothing of `bytes` is sent then; when all were queued, all are;
  ///   otherwise the stream is reset, lest the peer take a part for the whole.
  public func write(_ bytes: [UInt8]) async throws {
    do { try await base.write(bytes) } catch { throw HostError.wrap(error) }
  }

  /// Says that no more will be written; what was written is sent first. Reading goes on.
  public func finish() { base.finish() }

  /// Gives the stream up in both directions; what is queued is dropped, and the peer is told the code.
  public func reset(_ code: ResetCode = .unspecified) { base.reset(code) }
}

extension PeerStream: AsyncSequence {
  /// Reads chunk after chunk.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let stream: PeerStream
    /// The next bytes; see ``PeerStream/read()``.
    public mutating func next() async throws -> [UInt8]? { try await stream.read() }
  }

  /// An iterator over the chunks; several share the stream's bytes.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: self) }
}
