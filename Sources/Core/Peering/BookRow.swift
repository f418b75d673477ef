import Identity
import Wire

/// A peer's row in the book.
///
/// The key is `p` and the PeerID. The value is protobuf: 1 repeated address {1 bytes, 2 last success (ms since 1970)},
/// 2 failed dials, 3 score in thousandths, 4 the time of that score (ms since 1970), 5 when it was first reached (ms since 1970).
struct PeerRow: Hashable {
  struct Address: Hashable {
    var bytes: [UInt8]
    var lastSuccess: UInt64
  }

  static let addressesMaximum = 64

  var peer: PeerID
  var addresses: [Address]
  var failures: Int
  var score: Double
  var scoredAt: UInt64
  /// 0 when it is not known.
  var firstSuccess: UInt64

  static func key(_ peer: PeerID) -> [UInt8] { [UInt8(ascii: "p")] + peer.bytes }
  var key: [UInt8] { PeerRow.key(peer) }

  var value: [UInt8] {
    var writer = ProtobufWriter(capacity: 64)
    for address in addresses {
      writer.message(1) {
        $0.data(1, address.bytes)
        if address.lastSuccess > 0 { $0.uint64(2, address.lastSuccess) }
      }
    }
    writer.int(2, failures)
    if score > 0 {
      writer.uint64(3, ScoreField.value(score))
      writer.uint64(4, scoredAt)
    }
    if firstSuccess > 0 { writer.uint64(5, firstSuccess) }
    return writer.bytes
  }

  init(peer: PeerID, addresses: [Address], failures: Int, score: Double, scoredAt: UInt64, firstSuccess: UInt64 = 0) {
    self.peer = peer
    self.addresses = addresses
    self.failures = failures
    self.score = score
    self.scoredAt = scoredAt
    self.firstSuccess = firstSuccess
  }

  /// Reads a row; `nil` when it is not one.
  init?(key: [UInt8], value: [UInt8]) {
    guard key.first == UInt8(ascii: "p"), let peer = try? PeerID(bytes: [UInt8](key.dropFirst())) else { return nil }
    self.init(peer: peer, addresses: [], failures: 0, score: 0, scoredAt: 0)
    do throws(ProtobufError) {
      var reader = ProtobufReader(value.rawSpan)
      while let field = try reader.nextField() {
        switch field {
        case .bytes(1): addresses.append(try PeerRow.address(reader.span))
        case .number(2): failures = min(reader.int, 1_000_000)
        case .number(3): score = ScoreField.read(reader.uint64)
        case .number(4): scoredAt = reader.uint64
        case .number(5): firstSuccess = reader.uint64
        default: break
        }
      }
    } catch { return nil }
    guard !addresses.isEmpty, addresses.count <= PeerRow.addressesMaximum else { return nil }
  }

  private static func address(_ span: RawSpan) throws(ProtobufError) -> Address {
    var result = Address(bytes: [], lastSuccess: 0)
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): result.bytes = reader.bytes
      case .number(2): result.lastSuccess = reader.uint64
      default: break
      }
    }
    guard !result.bytes.isEmpty else { throw .badField(1) }
    return result
  }
}

/// The keys of the book's other rows.
enum BookKeys {
  /// The secret of the buckets: 16 bytes.
  static let secret = [UInt8(ascii: "k")]
  /// The last good outbound peers: see ``PeersRow``.
  static let anchors = [UInt8(ascii: "a")]
  /// The peers that an operator trusts: see ``PeersRow``.
  static let trusted = [UInt8(ascii: "t")]
  /// The must-keep peers that an operator added: see ``OperatorSettings/keptRow``.
  static let kept = [UInt8(ascii: "m")]
  /// The worst scores of peers that have no row of their own, because they were never reached: ``PeerFigures`` with the score (``ScoreField``) and
  /// its time (ms since 1970).
  static let scores = [UInt8(ascii: "s")]
  /// The peers that are not dialled because an operator dropped them: ``PeerFigures`` with the end of that (ms since 1970).
  static let drops = [UInt8(ascii: "d")]
  /// The first byte of a part of the new table, before the part's number.
  static let heard = UInt8(ascii: "h")
}

/// A row with a list of peers: protobuf, 1 repeated PeerID.
enum PeersRow {
  static func value(_ peers: [PeerID]) -> [UInt8] {
    var writer = ProtobufWriter()
    for peer in peers { writer.data(1, peer.bytes) }
    return writer.bytes
  }

  /// Reads a row; `nil` when it is not one.
  static func read(_ value: [UInt8]) -> [PeerID]? { ListRow.read(value) { span in try? PeerID(bytes: span) } }
}

/// A row that is a list: protobuf, 1 repeated item.
enum ListRow {
  /// Reads a row, equal items once; `nil` when it is not one.
  static func read<Item: Equatable>(_ value: [UInt8], _ item: (RawSpan) throws(ProtobufError) -> Item?) -> [Item]? {
    var items: [Item] = []
    do throws(ProtobufError) {
      var reader = ProtobufReader(value.rawSpan)
      while let field = try reader.nextField() {
        guard field == .bytes(1) else { continue }
        guard let item = try item(reader.span) else { return nil }
        if !items.contains(item) { items.append(item) }
      }
    } catch { return nil }
    return items
  }
}

/// A score as rows have it: in thousandths.
enum ScoreField {
  static func value(_ score: Double) -> UInt64 { UInt64(min(score, 1e6) * 1000) }
  static func read(_ value: UInt64) -> Double { Double(min(value, 1_000_000_000)) / 1000 }
}

/// A peer with two figures, in a row that lists such: protobuf, 1 repeated {1 PeerID, 2 and 3 the figures, 0 where absent}.
struct PeerFigures: Hashable {
  var peer: PeerID
  var first: UInt64
  var second: UInt64 = 0

  /// Names are free: what a row would say of more peers than this is forgotten at a restart.
  static let maximum = 256

  static func row(_ items: [PeerFigures]) -> [UInt8] {
    var writer = ProtobufWriter()
    for item in items {
      writer.message(1) {
        $0.data(1, item.peer.bytes)
        $0.uint64(2, item.first)
        if item.second > 0 { $0.uint64(3, item.second) }
      }
    }
    return writer.bytes
  }

  /// Reads a row; `nil` when it is not one.
  static func read(_ row: [UInt8]) -> [PeerFigures]? {
    ListRow.read(row) { span throws(ProtobufError) in
      var (peer, first, second): (PeerID?, UInt64, UInt64) = (nil, 0, 0)
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .bytes(1): peer = try? PeerID(bytes: reader.span)
        case .number(2): first = reader.uint64
        case .number(3): second = reader.uint64
        default: break
        }
      }
      return peer.map { PeerFigures(peer: $0, first: first, second: second) }
    }
  }
}

/// A ban's row in the book.
///
/// The key is `b` and a PeerID, or `n`, the prefix length and the network's bytes. The value is protobuf: 1 end (ms since 1970, absent: until
/// lifted), 2 what for, 3 whether an operator set it.
struct BanRow: Hashable {
  var subject: BanSubject
  var end: UInt64?
  var detail: String
  var isOperators: Bool

  private static let detailMaximumBytes = 1_024

  static func key(_ subject: BanSubject) -> [UInt8] {
    switch subject {
    case .peer(let peer): [UInt8(ascii: "b")] + peer.bytes
    case .network(let network): [UInt8(ascii: "n"), UInt8(clamping: network.prefixLength)] + network.address.bytes
    }
  }

  var value: [UInt8] {
    var writer = ProtobufWriter()
    if let end { writer.uint64(1, end) }
    writer.string(2, detail)
    if isOperators { writer.bool(3, true) }
    return writer.bytes
  }

  init(subject: BanSubject, end: UInt64?, detail: String, isOperators: Bool) {
    self.subject = subject
    self.end = end
    self.detail = detail
    self.isOperators = isOperators
  }

  /// Reads a row; `nil` when it is not one.
  init?(key: [UInt8], value: [UInt8]) {
    switch key.first {
    case UInt8(ascii: "b"):
      guard let peer = try? PeerID(bytes: [UInt8](key.dropFirst())) else { return nil }
      subject = .peer(peer)
    case UInt8(ascii: "n"):
      guard key.count > 2, let network = IPNetwork(bytes: [UInt8](key.dropFirst(2)), prefixLength: Int(key[1])) else { return nil }
      subject = .network(network)
    default: return nil
    }
    end = nil
    detail = ""
    isOperators = false
    do throws(ProtobufError) {
      var reader = ProtobufReader(value.rawSpan)
      while let field = try reader.nextField() {
        switch field {
        case .number(1): end = reader.uint64
        case .bytes(2): detail = reader.text(maximumBytes: BanRow.detailMaximumBytes)
        case .number(3): isOperators = reader.bool
        default: break
        }
      }
    } catch { return nil }
  }
}
