import Identity

/// A topic's recent messages, for IHAVE and IWANT (gossipsub v1.0 "Message Cache"): windows of one heartbeat each, bounded by
/// count and bytes, the oldest out first.
///
/// The index by id is built only when somebody asks, so that a mesh that loses nothing never pays for it.
struct MessageCache {
  private final class Entry {
    let message: GossipMessage
    /// How often each asking peer got it; few ask, so a list does.
    var sent: [(peer: PeerID, count: Int)] = []
    init(_ message: GossipMessage) { self.message = message }
  }

  private var entries = FIFO<Entry>()
  /// The number of messages ever taken out: the position of the first entry.
  private var base = 0
  /// The positions at which the windows begin, oldest first; the last is the present one.
  private var starts = [0]
  private var index: [MessageID: Entry] = [:]
  private var indexedEnd = 0
  private(set) var bytes = 0

  /// The messages held.
  var count: Int { entries.count }

  /// Adds a message; the oldest make room.
  mutating func append(_ message: GossipMessage, maximumCount: Int, maximumBytes: Int) {
    entries.append(Entry(message))
    bytes += message.frame.count
    while entries.count > maximumCount || (bytes > maximumBytes && entries.count > 1) { removeFirst() }
  }

  /// The message of an id for `peer`, or `nil` when it is not held or the peer had it `limit` times.
  mutating func take(_ id: MessageID, for peer: PeerID, limit: Int) -> GossipMessage? {
    buildIndex()
    guard let entry = index[id] else { return nil }
    if let place = entry.sent.firstIndex(where: { $0.peer == peer }) {
      guard entry.sent[place].count < limit else { return nil }
      entry.sent[place].count += 1
    } else {
      guard limit > 0 else { return nil }
      entry.sent.append((peer, 1))
    }
    return entry.message
  }

  /// The ids of the last `windows` windows, the present one included, oldest first.
  func ids(windows: Int) -> [MessageID] {
    guard windows > 0 else { return [] }
    let start = max(base, starts[max(0, starts.count - windows)])
    var result: [MessageID] = []
    result.reserveCapacity(base + entries.count - start)
    for position in start - base..<entries.count { result.append(entries[position].message.id) }
    return result
  }

  /// Begins a new window and forgets what is older than `history` windows.
  mutating func shift(history: Int) {
    starts.append(base + entries.count)
    if starts.count > max(1, history) { starts.removeFirst() }
    while base < starts[0] { removeFirst() }
  }

  private mutating func removeFirst() {
    guard let entry = entries.popFirst() else { return }
    if base < indexedEnd, index[entry.message.id] === entry { index[entry.message.id] = nil }
    base += 1
    bytes -= entry.message.frame.count
  }

  private mutating func buildIndex() {
    let end = base + entries.count
    var position = max(indexedEnd, base)
    while position < end {
      let entry = entries[position - base]
      index[entry.message.id] = entry
      position += 1
    }
    indexedEnd = end
  }
}
