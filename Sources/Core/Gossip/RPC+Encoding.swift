import Identity
import Wire

/// Writes RPCs. Each function gives whole RPCs, without the length prefix of the stream.
enum RPCEncoder {
  /// An RPC with one message and the place of the data in it. Parts that are `nil` are left out.
  static func publish(
    topic: some Collection<UInt8>, data: RawSpan, from: [UInt8]? = nil, sequence: [UInt8]? = nil, signature: [UInt8]? = nil,
    key: [UInt8]? = nil
  ) -> (frame: [UInt8], dataRange: Range<Int>) {
    func size(_ count: Int) -> Int { 1 + Varint.size(UInt64(count)) + count }
    var body = size(data.byteCount) + size(topic.count)
    for part in [from, sequence, signature, key] { if let part { body += size(part.count) } }
    var frame: [UInt8] = []
    frame.reserveCapacity(size(body))
    frame.append(0x12)
    Varint.append(UInt64(body), to: &frame)
    let dataRange = appendSigned(topic: topic, data: data, from: from, sequence: sequence, to: &frame)
    if let signature { append(5, signature, to: &frame) }
    if let key { append(6, key, to: &frame) }
    return (frame, dataRange)
  }

  /// What a signature covers: the prefix and the message without signature and key (go-libp2p leaves out both).
  static func signedBytes(topic: some Collection<UInt8>, data: RawSpan, from: [UInt8], sequence: [UInt8]) -> [UInt8] {
    var bytes = signaturePrefix
    bytes.reserveCapacity(bytes.count + data.byteCount + topic.count + from.count + sequence.count + 24)
    _ = appendSigned(topic: topic, data: data, from: from, sequence: sequence, to: &bytes)
    return bytes
  }

  private static func appendSigned(
    topic: some Collection<UInt8>, data: RawSpan, from: [UInt8]?, sequence: [UInt8]?, to bytes: inout [UInt8]
  ) -> Range<Int> {
    if let from { append(1, from, to: &bytes) }
    bytes.append(0x12)
    Varint.append(UInt64(data.byteCount), to: &bytes)
    let dataRange = bytes.count..<bytes.count + data.byteCount
    bytes.append(contentsOf: data)
    if let sequence { append(3, sequence, to: &bytes) }
    append(4, topic, to: &bytes)
    return dataRange
  }

  /// RPCs that announce subscriptions, each at most `maximum` bytes.
  static func subscriptions(_ topics: [Topic], subscribes: Bool, maximum: Int) -> [[UInt8]] {
    var splitter = Splitter(maximum: maximum)
    for topic in topics {
      var entry: [UInt8] = [0x08, subscribes ? 1 : 0]
      append(2, topic.name.utf8, to: &entry)
      splitter.add(1, entry)
    }
    return splitter.finish()
  }

  /// RPCs with GRAFT and PRUNE. The backoff is left out where `nil`, as v1.0 peers expect.
  static func meshChanges(grafts: [Topic], prunes: [(topic: Topic, backoff: Duration?)], maximum: Int) -> [[UInt8]] {
    var splitter = Splitter(maximum: maximum, isControl: true)
    for topic in grafts {
      var entry: [UInt8] = []
      append(1, topic.name.utf8, to: &entry)
      splitter.add(3, entry)
    }
    for prune in prunes {
      var entry: [UInt8] = []
      append(1, prune.topic.name.utf8, to: &entry)
      if let backoff = prune.backoff {
        entry.append(0x18)
        Varint.append(UInt64(max(0, (backoff.nanoseconds &+ 999_999_999) / 1_000_000_000)), to: &entry)
      }
      splitter.add(4, entry)
    }
    return splitter.finish()
  }

  /// IHAVE messages, each at most `maximum` bytes with what stands round it in an RPC.
  static func announcements(_ ids: [MessageID], topic: Topic, maximum: Int) -> [[UInt8]] {
    var prefix: [UInt8] = []
    append(1, topic.name.utf8, to: &prefix)
    return idLists(prefix: prefix, idField: 2, ids, maximum: maximum)
  }

  /// As few RPCs as the IHAVE messages of ``announcements(_:topic:maximum:)`` fit in.
  static func ihave(_ announcements: [[UInt8]], maximum: Int) -> [[UInt8]] {
    var splitter = Splitter(maximum: maximum, isControl: true)
    for entry in announcements { splitter.add(1, entry) }
    return splitter.finish()
  }

  /// RPCs with one IWANT each.
  static func iwant(_ ids: [MessageID], maximum: Int) -> [[UInt8]] { controls(2, idLists(prefix: [], idField: 1, ids, maximum: maximum)) }

  /// RPCs with one IDONTWANT each.
  static func dontWant(_ ids: [MessageID], maximum: Int) -> [[UInt8]] {
    controls(5, idLists(prefix: [], idField: 1, ids, maximum: maximum))
  }

  /// An RPC for each control message.
  private static func controls(_ kind: Int, _ entries: [[UInt8]]) -> [[UInt8]] {
    entries.map { entry in
      var control: [UInt8] = []
      control.reserveCapacity(entry.count + 8)
      append(kind, entry, to: &control)
      var frame: [UInt8] = []
      frame.reserveCapacity(control.count + 8)
      append(3, control, to: &frame)
      return frame
    }
  }

  private static func idLists(prefix: [UInt8], idField: Int, _ ids: [MessageID], maximum: Int) -> [[UInt8]] {
    var entries: [[UInt8]] = []
    var entry = prefix
    for id in ids {
      // Two tags and lengths stand round the list.
      if entry.count > prefix.count && entry.count + id.byteCount + 2 + 12 > maximum {
        entries.append(entry)
        entry = prefix
      }
      entry.append(UInt8(idField << 3 | 2))
      entry.append(UInt8(id.byteCount))
      id.append(to: &entry)
    }
    if entry.count > prefix.count { entries.append(entry) }
    return entries
  }

  private static func append(_ field: Int, _ value: some Collection<UInt8>, to bytes: inout [UInt8]) {
    bytes.append(UInt8(field << 3 | 2))
    Varint.append(UInt64(value.count), to: &bytes)
    bytes.append(contentsOf: value)
  }

  /// Gathers entries into as few RPCs as fit.
  private struct Splitter {
    let maximum: Int
    var isControl = false
    private var body: [UInt8] = []
    private var frames: [[UInt8]] = []

    init(maximum: Int, isControl: Bool = false) {
      self.maximum = maximum
      self.isControl = isControl
    }

    mutating func add(_ field: Int, _ entry: [UInt8]) {
      if !body.isEmpty && body.count + entry.count + 12 > maximum { flush() }
      append(field, entry, to: &body)
    }

    mutating func finish() -> [[UInt8]] {
      if !body.isEmpty { flush() }
      return frames
    }

    private mutating func flush() {
      if isControl {
        var frame: [UInt8] = []
        append(3, body, to: &frame)
        frames.append(frame)
      } else {
        frames.append(body)
      }
      body = []
    }
  }

  static let signaturePrefix = Array("libp2p-pubsub:".utf8)
}
