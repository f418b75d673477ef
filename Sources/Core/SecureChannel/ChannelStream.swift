import Wire

/// One stream's state inside a ``Connection``.
final class ChannelStream {
  /// Bytes queued for sending: a length prefix kept inline, and the message itself, never copied.
  struct Chunk {
    var bytes: [UInt8]
    var prefix: UInt64 = 0
    var prefixCount = 0
    var count: Int { prefixCount + bytes.count }
  }

  let id: StreamID
  /// The number on the wire.
  let wire: UInt32
  /// Whether the stream may be opened towards the remote: its turn among the unacknowledged ones has come.
  var isReleased: Bool
  var framing: Framing
  /// The most bytes of a message from the remote, where that is less than the framing allows.
  var receiveMaximum = Int.max
  /// Whether the link lives by its protocol, as far as that is agreed.
  var isVital = false
  /// Set until both sides agree on a protocol.
  var negotiation: Negotiation?
  var negotiationDeadline: Instant = .distantFuture
  /// Bytes of a negotiation message that has not wholly arrived; at most 1,026.
  var inbox: [UInt8] = []
  /// Whether the owner knows of the stream.
  var isReported: Bool
  var isGone = false

  // Sending.
  /// SYN or ACK, until the first frame has carried it.
  var firstFlags: UInt32
  var isSYNSent = false
  var isAcknowledged: Bool
  /// Negotiation bytes, which go before the queue.
  var preamble: [UInt8] = []
  /// Whether the queue waits for the remote's answer, because several protocols were proposed.
  var isHeld = false
  private var chunks: [Chunk] = []
  private var head = 0
  private var headOffset = 0
  private(set) var queuedBytes = 0
  var sendWindow = Yamux.initialWindow
  var isFinishRequested = false
  var isFinishSent = false
  var isAboveHighWatermark = false

  // Receiving.
  /// What the remote may still send.
  var receiveWindow = Yamux.initialWindow
  /// What the window is refilled to.
  var windowSize = Yamux.initialWindow
  /// Bytes that were announced by frame headers and not yet consumed by the reader.
  var unconsumed = 0
  var windowEpoch: Instant = .zero
  /// Bytes given to the reader of a raw stream that it has not granted again.
  var unread = 0
  var isRemoteFinished = false
  /// The length prefix being read.
  var prefix = Varint.Decoder()
  /// The message being put together and what it still lacks.
  var message: [UInt8] = []
  var messageRemaining = 0

  // Memory.
  /// What is reserved for the stream in its connection's scope, the receive charge among it.
  var reserved = 0
  var receiveCharge = 0
  /// What the way in is to be charged: what the window has grown may be used up by unread bytes, and is not counted twice.
  var wantedReceiveCharge: Int { max(windowSize - Yamux.initialWindow, unread) }
  /// What a stream costs that carries nothing: this object, its places in the tables and what its owner keeps of it.
  static let baseBytes = 1 << 10
  /// What a vital stream may take of what is kept for that: a ping or a goodbye, and what an empty stream costs.
  static let vitalBytes = 2 << 10

  // Membership of the connection's queues.
  var isInReady = false
  var isInUpdates = false
  var isInNegotiations = false

  init(id: StreamID, wire: UInt32, framing: Framing, firstFlags: UInt32, isReported: Bool) {
    self.id = id
    self.wire = wire
    self.framing = framing
    self.firstFlags = firstFlags
    self.isReported = isReported
    isReleased = !id.isOutbound
    isAcknowledged = !id.isOutbound
  }

  /// Bytes that may be sent now but for the window.
  var sendableBytes: Int { preamble.count + (isHeld ? 0 : queuedBytes) }

  /// Whether a frame of the stream could go out now.
  var canSend: Bool {
    guard !isGone, isReleased, !isFinishSent else { return false }
    if sendableBytes > 0 { return sendWindow > 0 }
    return isFinishRequested && !isHeld
  }

  /// What may be granted to the remote now.
  var grantable: Int { windowSize - receiveWindow - unconsumed }

  func enqueue(_ chunk: Chunk) {
    chunks.append(chunk)
    queuedBytes += chunk.count
  }

  /// Appends exactly `count` sendable bytes to `buffer`; the only copy on the way out.
  func take(_ count: Int, into buffer: inout [UInt8]) {
    var rest = count
    if !preamble.isEmpty {
      let part = min(rest, preamble.count)
      buffer.append(contentsOf: preamble[..<part])
      if part == preamble.count { preamble = [] } else { preamble.removeFirst(part) }
      rest -= part
    }
    queuedBytes -= rest
    while rest > 0 {
      let size = chunks[head].count
      let part = min(rest, size - headOffset)
      chunks[head].copy(headOffset, part, into: &buffer)
      rest -= part
      headOffset += part
      if headOffset == size {
        chunks[head] = Chunk(bytes: [])
        head += 1
        headOffset = 0
      }
    }
    if head == chunks.count {
      chunks.removeAll(keepingCapacity: head <= 8)
      head = 0
    } else if head >= 64 && head * 2 >= chunks.count {
      chunks.removeFirst(head)
      head = 0
    }
  }

  /// Frees what the stream holds; it is gone.
  func drop() {
    isGone = true
    negotiation = nil
    inbox = []
    preamble = []
    chunks = []
    head = 0
    headOffset = 0
    queuedBytes = 0
    message = []
    reserved = 0
    receiveCharge = 0
  }
}

extension ChannelStream.Chunk {
  fileprivate func copy(_ offset: Int, _ count: Int, into buffer: inout [UInt8]) {
    var offset = offset
    var count = count
    while offset < prefixCount && count > 0 {
      buffer.append(UInt8(truncatingIfNeeded: prefix >> UInt64(offset * 8)))
      offset += 1
      count -= 1
    }
    guard count > 0 else { return }
    let start = offset - prefixCount
    unsafe bytes.withUnsafeBytes { memory in
      unsafe buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: memory[start..<start + count]))
    }
  }

  /// A message behind its uvarint length.
  init(lengthPrefixed bytes: [UInt8]) {
    self.init(bytes: bytes)
    var rest = UInt64(bytes.count)
    while rest >= 0x80 {
      prefix |= (rest & 0x7f | 0x80) << UInt64(prefixCount * 8)
      prefixCount += 1
      rest >>= 7
    }
    prefix |= rest << UInt64(prefixCount * 8)
    prefixCount += 1
  }
}

/// Streams in order of arrival. Streams that are gone may stay inside until they are reached or ``discard(where:)`` takes them out.
struct StreamQueue {
  private var items: [ChannelStream?] = []
  private var head = 0
  private var stale = 0

  var isEmpty: Bool { head == items.count }
  var count: Int { items.count - head }
  var first: ChannelStream? { head < items.count ? items[head] : nil }

  mutating func append(_ stream: ChannelStream) { items.append(stream) }

  mutating func popFirst() -> ChannelStream? {
    guard head < items.count else { return nil }
    let stream = items[head]
    items[head] = nil
    head += 1
    if head == items.count {
      items.removeAll(keepingCapacity: head <= 64)
      head = 0
    } else if head >= 64 && head * 2 >= items.count {
      items.removeFirst(head)
      head = 0
    }
    return stream
  }

  /// Notes that a member became useless, and takes the useless ones out once they are many: a remote that opens and resets streams
  /// without reading must not make the queue grow.
  mutating func noteStale(where isStale: (ChannelStream) -> Bool) {
    stale += 1
    guard stale >= 64 && stale * 2 >= count else { return }
    items = items[head...].filter { $0.map { !isStale($0) } ?? false }
    head = 0
    stale = 0
  }

  mutating func removeAll() {
    items = []
    head = 0
    stale = 0
  }
}
