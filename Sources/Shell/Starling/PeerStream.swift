import HostCore
import Identity
import SecureChannel
import Swarm

/// A stream of bytes to a peer, in both directions, independent of the peer's other streams.
///
/// One task reads and one writes at a time. Both directions are bounded: the remote may send what the stream's window admits (at
/// most 16 MiB), and ``write(_:)`` waits while a mebibyte is queued. A stream that is let go of without ``finish()`` is reset.
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
    if let rest = reader.take() { return rest }
    do { return try await base.read() } catch { throw HostError.wrap(error) }
  }

  /// Exactly `count` bytes; what follows them stays for the next read. Memory grows with what has arrived.
  ///
  /// - Throws: ``HostError`` `unexpectedEnd` when the remote finishes before, and what ``read()`` throws.
  public func readExactly(_ count: Int) async throws -> [UInt8] {
    precondition(count >= 0, "\(count) bytes cannot be read")
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard let chunk = try await read() else {
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
    var bytes: [UInt8] = []
    while let chunk = try await read() {
      guard bytes.count + chunk.count <= maximumBytes else { throw HostError(.limitReached, "more than \(maximumBytes) bytes came") }
      bytes.append(contentsOf: chunk)
    }
    return bytes
  }

  /// Sends bytes, and waits while too many are queued. They are on their way when it returns, not yet received.
  ///
  /// - Throws: ``HostError`` when the stream or its link failed, or this side had finished; `CancellationError` when the task is
  ///   cancelled while it waits (the bytes are sent nevertheless).
  public func write(_ bytes: [UInt8]) async throws {
    do { try await base.write(bytes) } catch { throw HostError.wrap(error) }
  }

  /// Says that no more will be written; what was written is sent first. Reading goes on.
  public func finish() { base.finish() }

  /// Gives the stream up in both directions; what is queued is dropped.
  public func reset() { base.reset() }
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
