import Wire

/// A received RPC (pubsub "The RPC", gossipsub v1.0 to v1.2 "Control messages"), as positions in the bytes that it was read from:
/// nothing of a message is copied.
struct RPC {
  /// How many elements of each kind are kept; those behind are passed over and counted in ``RPC/ignored``.
  struct Limits {
    var subscriptions = 8_192
    var messages = 8_192
    var idsPerIHave = 5_000
    var ids = 20_000
    var grafts = 1_024
    var prunes = 1_024
    var exchangedPeers = 16
  }

  struct Subscription: Hashable {
    var subscribes = false
    var topic = 0..<0
  }

  /// A message's fields. A field that is absent has no range.
  struct Message: Hashable {
    var whole: Range<Int>
    var from: Range<Int>?
    var data: Range<Int>?
    var sequence: Range<Int>?
    var topic: Range<Int>?
    var signature: Range<Int>?
    var key: Range<Int>?
    /// Whether writing the fields again gives the same bytes.
    var isCanonical = false
  }

  struct IHave: Hashable {
    var topic: Range<Int>?
    var ids: [MessageID] = []
  }

  struct ExchangedPeer: Hashable {
    var peer = 0..<0
    var record: Range<Int>?
  }

  struct Prune: Hashable {
    var topic = 0..<0
    var peers: [ExchangedPeer] = []
    /// Seconds; `nil` when absent.
    var backoff: UInt64?
  }

  var subscriptions: [Subscription] = []
  var messages: [Message] = []
  var ihave: [IHave] = []
  var iwant: [MessageID] = []
  var grafts: [Range<Int>] = []
  var prunes: [Prune] = []
  var dontWant: [MessageID] = []
  var hasControl = false
  /// Elements that were passed over.
  var ignored = 0
  private var idCount = 0

  /// Reads an RPC. Unknown fields are passed over. Memory is bounded by `limits`, about 80 bytes an element.
  init(_ source: RawSpan, limits: Limits) throws(ProtobufError) {
    var fields = FieldCursor(0..<source.byteCount)
    while let field = try fields.next(source) {
      switch field.number {
      case 1:
        guard subscriptions.count < limits.subscriptions else {
          ignored += 1
          continue
        }
        subscriptions.append(try RPC.subscription(source, field.bytes()))
      case 2:
        guard messages.count < limits.messages else {
          ignored += 1
          continue
        }
        messages.append(try RPC.message(source, field.bytes()))
      case 3:
        hasControl = true
        try readControl(source, field.bytes(), limits)
      default: break
      }
    }
  }

  private static func subscription(_ source: RawSpan, _ range: Range<Int>) throws(ProtobufError) -> Subscription {
    var result = Subscription()
    var fields = FieldCursor(range)
    while let field = try fields.next(source) {
      switch field.number {
      case 1: result.subscribes = try field.number64() != 0
      case 2: result.topic = try field.bytes()
      default: break
      }
    }
    return result
  }

  /// A field that comes twice is refused: two readers must not see two messages.
  private static func message(_ source: RawSpan, _ range: Range<Int>) throws(ProtobufError) -> Message {
    var result = Message(whole: range)
    var fields = FieldCursor(range)
    var last = 0
    var size = 0
    var isKnownAndAscending = true
    while let field = try fields.next(source) {
      guard field.number <= 6 else {
        isKnownAndAscending = false
        continue
      }
      let bytes = try field.bytes()
      let isRepeated =
        switch field.number {
        case 1: result.from.replace(with: bytes)
        case 2: result.data.replace(with: bytes)
        case 3: result.sequence.replace(with: bytes)
        case 4: result.topic.replace(with: bytes)
        case 5: result.signature.replace(with: bytes)
        default: result.key.replace(with: bytes)
        }
      if isRepeated { throw .badField(field.number) }
      if field.number < last { isKnownAndAscending = false }
      last = field.number
      size += 1 + Varint.size(UInt64(bytes.count)) + bytes.count
    }
    result.isCanonical = isKnownAndAscending && size == range.count
    return result
  }

  private mutating func readControl(_ source: RawSpan, _ range: Range<Int>, _ limits: Limits) throws(ProtobufError) {
    var fields = FieldCursor(range)
    while let field = try fields.next(source) {
      switch field.number {
      case 1:
        var have = IHave()
        var inner = FieldCursor(try field.bytes())
        while let field = try inner.next(source) {
          switch field.number {
          case 1: have.topic = try field.bytes()
          case 2:
            if have.ids.count < limits.idsPerIHave {
              if let id = readID(source, try field.bytes(), limits) { have.ids.append(id) }
            } else {
              ignored += 1
            }
          default: break
          }
        }
        if !have.ids.isEmpty { ihave.append(have) }
      case 2:
        var inner = FieldCursor(try field.bytes())
        while let field = try inner.next(source) {
          if field.number == 1, let id = readID(source, try field.bytes(), limits) { iwant.append(id) }
        }
      case 3:
        var inner = FieldCursor(try field.bytes())
        while let field = try inner.next(source) {
          guard field.number == 1 else { continue }
          if grafts.count < limits.grafts { grafts.append(try field.bytes()) } else { ignored += 1 }
        }
      case 4:
        guard prunes.count < limits.prunes else {
          ignored += 1
          continue
        }
        prunes.append(try RPC.prune(source, field.bytes(), limits))
      case 5:
        var inner = FieldCursor(try field.bytes())
        while let field = try inner.next(source) {
          if field.number == 1, let id = readID(source, try field.bytes(), limits) { dontWant.append(id) }
        }
      default: break
      }
    }
  }

  private static func prune(_ source: RawSpan, _ range: Range<Int>, _ limits: Limits) throws(ProtobufError) -> Prune {
    var result = Prune()
    var fields = FieldCursor(range)
    while let field = try fields.next(source) {
      switch field.number {
      case 1: result.topic = try field.bytes()
      case 2:
        guard result.peers.count < limits.exchangedPeers else { continue }
        var peer = ExchangedPeer()
        var inner = FieldCursor(try field.bytes())
        while let field = try inner.next(source) {
          switch field.number {
          case 1: peer.peer = try field.bytes()
          case 2: peer.record = try field.bytes()
          default: break
          }
        }
        result.peers.append(peer)
      case 3: result.backoff = try field.number64()
      default: break
      }
    }
    return result
  }

  /// Ids that are empty or too long are passed over: no message of this side has such an id.
  private mutating func readID(_ source: RawSpan, _ range: Range<Int>, _ limits: Limits) -> MessageID? {
    guard idCount < limits.ids else {
      ignored += 1
      return nil
    }
    idCount += 1
    return MessageID(source.extracting(range))
  }
}

extension Optional where Wrapped == Range<Int> {
  /// Sets the value and tells whether there was one.
  fileprivate mutating func replace(with range: Range<Int>) -> Bool {
    defer { self = range }
    return self != nil
  }
}

/// Walks over the fields of a protobuf message that lies at a known place in larger bytes.
struct FieldCursor {
  struct Field {
    let number: Int
    let wireType: UInt8
    let value: UInt64
    let range: Range<Int>

    /// The field's bytes as a place in the source.
    func bytes() throws(ProtobufError) -> Range<Int> {
      guard wireType == 2 else { throw .wrongType }
      return range
    }

    /// The field as a number.
    func number64() throws(ProtobufError) -> UInt64 {
      guard wireType == 0 else { throw .wrongType }
      return value
    }
  }

  private var offset: Int
  private let end: Int

  init(_ range: Range<Int>) {
    offset = range.lowerBound
    end = range.upperBound
  }

  /// The next field, or `nil` at the end. A nested field may not reach beyond the message that holds it.
  mutating func next(_ source: RawSpan) throws(ProtobufError) -> Field? {
    if offset == end { return nil }
    let tag = try varint(source)
    guard tag >> 3 != 0, tag >> 3 < 1 << 29 else { throw .badTag }
    let number = Int(tag >> 3)
    switch tag & 7 {
    case 0: return Field(number: number, wireType: 0, value: try varint(source), range: 0..<0)
    case 1: return Field(number: number, wireType: 1, value: 0, range: try advance(8))
    case 2:
      let count = try varint(source)
      guard count <= UInt64(end - offset) else { throw .truncated }
      return Field(number: number, wireType: 2, value: 0, range: try advance(Int(count)))
    case 5: return Field(number: number, wireType: 5, value: 0, range: try advance(4))
    default: throw .badTag
    }
  }

  private mutating func advance(_ count: Int) throws(ProtobufError) -> Range<Int> {
    guard end - offset >= count else { throw .truncated }
    defer { offset += count }
    return offset..<offset + count
  }

  private mutating func varint(_ source: RawSpan) throws(ProtobufError) -> UInt64 {
    switch Varint.read(source, at: offset) {
    case .value(let value, let bytes):
      guard bytes <= end - offset else { throw .truncated }
      offset += bytes
      return value
    case .incomplete: throw .truncated
    case .overflow: throw .overflow
    }
  }
}
