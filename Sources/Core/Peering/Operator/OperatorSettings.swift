import Identity
import Wire

/// What an operator has set beside bans; each list is persisted in one row of the book.
struct OperatorSettings {
  /// Peers that no limit, score or eviction applies to.
  var trusted: Set<PeerID> = []
  /// Must-keep peers, in the order in which they were added.
  var kept: [PeerAddress] = []
  /// Whom an operator has dropped since the start: the configuration's own sources, which tell of them again and again, make them no
  /// must-keep peers any more. Not persisted, and no more than there may be configured peers.
  var dropped: Set<DialTarget> = []
  /// Until when dropped peers are not dialled: that outlives a restart. At most ``PeerFigures/maximum``, the latest.
  private(set) var drops: [PeerID: Instant] = [:]

  /// A peer was dropped until `end`.
  mutating func drop(_ peer: PeerID, until end: Instant, now: Instant) {
    drops = drops.filter { $0.value > now }
    if drops.count >= PeerFigures.maximum, let first = drops.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }) { drops[first.key] = nil }
    drops[peer] = end
  }

  /// An operator wants the peer again; whether it was dropped.
  mutating func takeBackDrop(_ peer: PeerID) -> Bool { drops.removeValue(forKey: peer) != nil }

  var trustedRow: [UInt8] { PeersRow.value(trusted.sorted()) }

  /// Protobuf: 1 repeated {1 PeerID (absent: nobody known), 2 multiaddr}.
  var keptRow: [UInt8] {
    var writer = ProtobufWriter()
    for item in kept {
      writer.message(1) {
        if let peer = item.peer { $0.data(1, peer.bytes) }
        $0.data(2, item.address.bytes)
      }
    }
    return writer.bytes
  }

  /// Reads the row of must-keep peers; `nil` when it is not one.
  static func readKept(_ value: [UInt8]) -> [PeerAddress]? { ListRow.read(value, read) }

  private static func read(_ span: RawSpan) throws(ProtobufError) -> PeerAddress? {
    var name: [UInt8]?
    var address: Multiaddr?
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): name = reader.bytes
      case .bytes(2): address = try? Multiaddr(bytes: reader.span)
      default: break
      }
    }
    let peer = name.flatMap { try? PeerID(bytes: $0) }
    guard let address, (peer == nil) == (name == nil) else { return nil }
    return PeerAddress(peer: peer, address: address)
  }
}
