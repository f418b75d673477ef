import SecureChannel

/// Bytes that a program has written on streams of one link, beyond what the link queues. The streams take turns.
///
/// Bounded by the writers, who wait: about a mebibyte for each stream.
struct ParkedWrites {
  private struct Entry {
    var bytes: [UInt8]
    var taken = 0
    var isFinished = false
  }

  private var entries: [StreamID: Entry] = [:]
  /// The streams that wait, each once, in the order of their turns. Few: a link has some hundred streams.
  private(set) var order: [StreamID] = []

  /// How many streams wait.
  var count: Int { entries.count }

  func holds(_ stream: StreamID) -> Bool { entries[stream] != nil }

  mutating func append(_ bytes: [UInt8], to stream: StreamID) {
    if entries[stream] == nil {
      entries[stream] = Entry(bytes: bytes)
      order.append(stream)
    } else {
      entries[stream]!.bytes.append(contentsOf: bytes)
    }
  }

  /// The stream ends behind what is held of it; `false` when nothing is.
  mutating func finish(_ stream: StreamID) -> Bool {
    guard entries[stream] != nil else { return false }
    entries[stream]!.isFinished = true
    return true
  }

  mutating func drop(_ stream: StreamID) { if entries.removeValue(forKey: stream) != nil { order.removeAll { $0 == stream } } }

  /// The stream whose turn it is; it is the last one from then on.
  mutating func next() -> StreamID? {
    guard let stream = order.first else { return nil }
    order.removeFirst()
    order.append(stream)
    return stream
  }

  /// At most `maximum` bytes of a stream that waits, and whether it ends behind them. Nothing is held of it after its last bytes.
  mutating func take(_ maximum: Int, of stream: StreamID) -> (bytes: [UInt8], isEnd: Bool) {
    // Taken out, so that its bytes have one owner and are not copied to be cut.
    guard var entry = entries.removeValue(forKey: stream) else { return ([], false) }
    let end = min(entry.bytes.count, entry.taken + min(maximum, Self.turnBytes))
    let part = entry.taken == 0 && end == entry.bytes.count ? entry.bytes : Array(entry.bytes[entry.taken..<end])
    guard end < entry.bytes.count else {
      order.removeAll { $0 == stream }
      return (part, entry.isFinished)
    }
    entry.taken = end
    if entry.taken * 2 > entry.bytes.count {
      entry.bytes.removeFirst(entry.taken)
      entry.taken = 0
    }
    entries[stream] = entry
    return (part, false)
  }

  /// What a stream may take in one turn.
  private static let turnBytes = 256 << 10
}
