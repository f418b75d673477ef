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

  /// A message's fields. A field that is absent has no range; of one that comes twice the last counts, as everywhere in protobuf.
  struct Message: Hashable {
    var whole: Range<Int>
    var from: Range<Int>?
    var data: Range<Int>?
    var sequence: Range<Int>?
    var topic: Range<Int>?
    var signature: Range<Int>?
    var key: Range<Int>?
    /// Where the signature or the key begins, or what follows them: a signature covers what lies before.
    var signedEnd: Int
    /// Where the fields begin that are unknown.
    var unknownStart: Int
    /// Whether every stack writes the message like this: known fields once and ascending, then unknown ones, all in shortest form. Without
    /// groups, which not every stack reads.
    var isCanonical = true

    /// Fields that this version does not know; signed with the rest.
    var unknown: Range<Int> { unknownStart..<whole.upperBound }

    init(whole: Range<Int>) {
      self.whole = whole
      signedEnd = whole.upperBound
      unknownStart = whole.upperBound
    }
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
  /// The fields that were read, at every depth.
  var fields = 0
  private var idCount = 0

  /// Reads an RPC. Unknown fields are passed over. Memory is bounded by `limits`, about 80 bytes an element.
  init(_ source: RawSpan, limits: Limits) throws(ProtobufError) {
    var reader = ProtobufReader(source)
    while let field = try reader.nextField() {
      try RPC.count(&fields)
      switch field {
      case .bytes(1):
        guard subscriptions.count < limits.subscriptions else {
          ignored += 1
          continue
        }
        subscriptions.append(try RPC.subscription(source, reader.range, &fields))
      case .bytes(2):
        guard messages.count < limits.messages else {
          ignored += 1
          continue
        }
        messages.append(try RPC.message(source, reader.range, &fields))
      case .bytes(3):
        hasControl = true
        try readControl(source, reader.range, limits)
      default: break
      }
    }
  }

  /// Counts a field; what has more of them than anybody needs is not read on.
  private static func count(_ fields: inout Int) throws(ProtobufError) {
    fields += 1
    if fields > fieldsMaximum { throw .badField(0) }
  }

  private static let fieldsMaximum = 1 << 20

  private static func subscription(_ source: RawSpan, _ range: Range<Int>, _ fields: inout Int) throws(ProtobufError) -> Subscription {
    var result = Subscription()
    var reader = ProtobufReader(source, in: range)
    while let field = try reader.nextField() {
      try RPC.count(&fields)
      switch field {
      case .number(1): result.subscribes = reader.bool
      case .bytes(2): result.topic = reader.range
      default: break
      }
    }
    return result
  }

  private static func message(_ source: RawSpan, _ range: Range<Int>, _ fields: inout Int) throws(ProtobufError) -> Message {
    var result = Message(whole: range)
    var reader = ProtobufReader(source, in: range)
    var start = range.lowerBound
    var last = 0
    while let field = try reader.nextField() {
      try RPC.count(&fields)
      defer { start = reader.offset }
      if reader.offset - start != RPC.shortestSize(field, reader) { result.isCanonical = false }
      guard case .bytes(let number) = field, number <= 6 else {
        if field.number <= 6 { result.isCanonical = false }
        result.unknownStart = min(result.unknownStart, start)
        result.signedEnd = min(result.signedEnd, start)
        continue
      }
      let value = reader.range
      if number <= last || start > result.unknownStart { result.isCanonical = false }
      last = number
      if number > 4 { result.signedEnd = min(result.signedEnd, start) }
      switch number {
      case 1: result.from = value
      case 2: result.data = value
      case 3: result.sequence = value
      case 4: result.topic = value
      case 5: result.signature = value
      default: result.key = value
      }
    }
    return result
  }

  /// The bytes of the present field with the shortest tag, length and number; 0 for a group, which has no such form.
  private static func shortestSize(_ field: ProtobufReader.Field, _ reader: borrowing ProtobufReader) -> Int {
    let tag = Varint.size(UInt64(field.number) << 3)
    return switch field {
    case .number: tag + Varint.size(reader.uint64)
    case .bytes: tag + Varint.size(UInt64(reader.range.count)) + reader.range.count
    case .fixed: tag + reader.range.count
    case .group: 0
    }
  }

  private mutating func readControl(_ source: RawSpan, _ range: Range<Int>, _ limits: Limits) throws(ProtobufError) {
    var reader = ProtobufReader(source, in: range)
    while let field = try reader.nextField() {
      try RPC.count(&fields)
      guard case .bytes(let number) = field, number <= 5 else { continue }
      if number == 4 {
        if prunes.count < limits.prunes { prunes.append(try RPC.prune(source, reader.range, limits, &fields)) } else { ignored += 1 }
        continue
      }
      var have = IHave()
      var inner = ProtobufReader(source, in: reader.range)
      while let field = try inner.nextField() {
        try RPC.count(&fields)
        switch (number, field) {
        case (1, .bytes(1)): have.topic = inner.range
        case (1, .bytes(2)):
          if have.ids.count < limits.idsPerIHave {
            if let id = readID(inner.span, limits) { have.ids.append(id) }
          } else {
            ignored += 1
          }
        case (2, .bytes(1)): if let id = readID(inner.span, limits) { iwant.append(id) }
        case (3, .bytes(1)): if grafts.count < limits.grafts { grafts.append(inner.range) } else { ignored += 1 }
        case (5, .bytes(1)): if let id = readID(inner.span, limits) { dontWant.append(id) }
        default: break
        }
      }
      if !have.ids.isEmpty { ihave.append(have) }
    }
  }

  private static func prune(
    _ source: RawSpan, _ range: Range<Int>, _ limits: Limits, _ fields: inout Int
  ) throws(ProtobufError) -> Prune {
    var result = Prune()
    var reader = ProtobufReader(source, in: range)
    while let field = try reader.nextField() {
      try RPC.count(&fields)
      switch field {
      case .bytes(1): result.topic = reader.range
      case .bytes(2):
        guard result.peers.count < limits.exchangedPeers else { continue }
        var peer = ExchangedPeer()
        var inner = ProtobufReader(source, in: reader.range)
        while let field = try inner.nextField() {
          try RPC.count(&fields)
          switch field {
          case .bytes(1): peer.peer = inner.range
          case .bytes(2): peer.record = inner.range
          default: break
          }
        }
        result.peers.append(peer)
      case .number(3): result.backoff = reader.uint64
      default: break
      }
    }
    return result
  }

  /// Ids that are empty or too long are passed over: no message of this side has such an id.
  private mutating func readID(_ id: RawSpan, _ limits: Limits) -> MessageID? {
    guard idCount < limits.ids else {
      ignored += 1
      return nil
    }
    idCount += 1
    return MessageID(id)
  }
}
