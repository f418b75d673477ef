import EventLoop
import Gossip
import Synchronization

/// The messages of a topic, as an asynchronous sequence for one reader.
///
/// At most a configured number of messages waits for the reader; then the oldest is dropped and counted. It ends when the topic is left
/// or the host closed. Letting go of it does not leave the topic: see ``Host/leave(_:)``.
public struct Subscription: AsyncSequence, Sendable {
  /// The topic.
  public let topic: Topic
  let stream: AsyncStream<GossipMessage>
  let counter: DropCounter

  /// How many messages were dropped because the reader was too slow.
  public var droppedCount: Int { counter.count }

  /// Reads message after message.
  public struct AsyncIterator: AsyncIteratorProtocol {
    var base: AsyncStream<GossipMessage>.Iterator
    /// The next message, or `nil` at the end.
    public mutating func next() async -> GossipMessage? { await base.next() }
  }

  /// An iterator; several share the messages.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator()) }
}

/// Counts what a slow reader missed.
final class DropCounter: Sendable {
  private let value = Atomic<Int>(0)
  private let untold = Atomic<Int>(0)
  var count: Int { value.load(ordering: .relaxed) }
  func increment() {
    value.add(1, ordering: .relaxed)
    untold.add(1, ordering: .relaxed)
  }
  /// How many there were since it was asked last.
  func takeUntold() -> Int { untold.exchange(0, ordering: .relaxed) }
}
