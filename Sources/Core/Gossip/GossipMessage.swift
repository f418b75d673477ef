import Identity
import Wire

/// A message on a topic, shared by reference between the cache, the queues and the application; immutable.
public final class GossipMessage: Sendable, Hashable {
  /// The name by which peers recognise it.
  public let id: MessageID
  /// The topic.
  public let topic: Topic
  /// Who signed it; `nil` on topics without signatures.
  public let author: PeerID?
  /// The author's sequence number; `nil` on topics without signatures.
  public let sequence: UInt64?
  /// The peer that it came from first; `nil` for own messages.
  public let receivedFrom: PeerID?

  /// The RPC that carries this message and nothing else; the same array goes to every peer.
  let frame: [UInt8]
  /// Where in ``frame`` the data is.
  let dataRange: Range<Int>

  init(
    id: MessageID, topic: Topic, author: PeerID?, sequence: UInt64?, receivedFrom: PeerID?, frame: [UInt8], dataRange: Range<Int>
  ) {
    self.id = id
    self.topic = topic
    self.author = author
    self.sequence = sequence
    self.receivedFrom = receivedFrom
    self.frame = frame
    self.dataRange = dataRange
  }

  /// A copy of the data. Complexity: O(n); ``withData(_:)`` does without.
  public var data: [UInt8] { Array(frame[dataRange]) }

  /// The number of bytes of data.
  public var dataCount: Int { dataRange.count }

  /// Reads the data in place.
  public func withData<Result, Failure: Error>(_ body: (RawSpan) throws(Failure) -> Result) throws(Failure) -> Result {
    let bytes = frame
    return try body(bytes.rawSpan.extracting(dataRange))
  }

  /// Whether id, topic and every byte are equal.
  public static func == (left: GossipMessage, right: GossipMessage) -> Bool {
    left === right || (left.id == right.id && left.topic == right.topic && left.frame == right.frame)
  }

  /// Hashes the id.
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}
