import Identity
import Wire

/// A request or answer of the libp2p Kademlia protocol (libp2p/specs `kad-dht`, "RPC messages"; `Docs/protocols/kademlia.md`).
public struct KademliaMessage: Hashable, Sendable {
  /// What is asked for, with its number on the wire. An answer has the kind of its request.
  public enum Kind: UInt64, Hashable, Sendable, CaseIterable {
    case putValue = 0
    case getValue = 1
    case addProvider = 2
    case getProviders = 3
    case findNode = 4
    /// Answered, never sent: the ping protocol has taken its place.
    case ping = 5
  }

  /// What the sender knows of a peer's being reachable.
  public enum Connectedness: UInt64, Hashable, Sendable {
    case notConnected = 0
    case connected = 1
    case canConnect = 2
    case cannotConnect = 3
  }

  /// A peer as a message names it.
  public struct Peer: Hashable, Sendable {
    /// Its name.
    public var id: PeerID
    /// Where it can be dialled, without `/p2p/…`.
    public var addresses: [Multiaddr]
    /// What the sender knows of its being reachable.
    public var connectedness: Connectedness

    /// Makes a peer.
    public init(id: PeerID, addresses: [Multiaddr], connectedness: Connectedness = .notConnected) {
      self.id = id
      self.addresses = addresses
      self.connectedness = connectedness
    }
  }

  /// A stored value.
  public struct Record: Hashable, Sendable {
    /// What it is stored under; the same as the message's key.
    public var key: [UInt8]
    /// The value.
    public var value: [UInt8]
    /// When its holder received it (RFC 3339), as the holder says. Not used here, passed through.
    public var timeReceived: String?

    /// Makes a record.
    public init(key: [UInt8], value: [UInt8], timeReceived: String? = nil) {
      self.key = key
      self.value = value
      self.timeReceived = timeReceived
    }
  }

  /// What is asked for.
  public var kind: Kind
  /// A PeerID's bytes (`findNode`), a record's key or a multihash (providers).
  public var key: [UInt8]
  /// The value to store, or the one found.
  public var record: Record?
  /// Servers that are nearer to the key.
  public var closerPeers: [Peer]
  /// Who provides what the key names.
  public var providers: [Peer]

  /// Makes a message.
  public init(_ kind: Kind, key: [UInt8] = [], record: Record? = nil, closerPeers: [Peer] = [], providers: [Peer] = []) {
    self.kind = kind
    self.key = key
    self.record = record
    self.closerPeers = closerPeers
    self.providers = providers
  }

  /// The longest message that is read: 1 MiB, as much as a stored value with its peers can need many times over.
  public static let maximumBytes = 1 << 20
  /// What a message has at most beside its record, whatever it holds: peers that would make it longer are left out. 16 KiB, which every
  /// implementation reads (rust-libp2p no more by default), so that no list of peers keeps others from an answer.
  public static let peersBytesMaximum = 16 << 10
  /// What of that the nearer peers take at most: 8 KiB.
  public static let closerBytesMaximum = 8 << 10
  /// The most nearer peers that are read of one answer; honest peers name 20 and the peer sought.
  public static let closerPeersMaximum = 40
  /// The most providers that are read of one answer.
  public static let providersMaximum = 256
  /// The most addresses of one peer that are read or written.
  public static let addressesMaximum = 16
  /// The most bytes of those together: 512. Plain ones have 8 to 40.
  public static let addressBytesMaximum = 512
  /// The most addresses of one peer that are looked at.
  private static let addressesSeen = 64

  /// The addresses of a peer that are read, kept and written: those that somebody may be able to dial, the shortest first to be taken, in
  /// the order in which they were told. A peer tells of itself what it likes; here it is bounded in number, kind and length.
  static func told(_ addresses: [Multiaddr]) -> [Multiaddr] {
    var left = addressBytesMaximum
    let seen = addresses.prefix(addressesSeen).enumerated().filter { isTold($0.element) }
    let taken = seen.sorted { ($0.element.bytes.count, $0.offset) < ($1.element.bytes.count, $1.offset) }.prefix(addressesMaximum)
      .prefix { item in
        left -= item.element.bytes.count
        return left >= 0
      }
    return taken.sorted { $0.offset < $1.offset }.map(\.element)
  }

  /// Whether a peer of some implementation may dial it: a machine's address or name with a port, or a relay's.
  private static func isTold(_ address: Multiaddr) -> Bool {
    do throws(AddressFault) { _ = try address.dialable() } catch {
      switch error {
      case .portZero, .unspecified, .multicast, .noHost, .zone: return false
      case .unresolved, .anotherPeer, .name, .relayed, .behindPort: return true
      case .notTCP(let code): return code == .udp
      }
    }
    return true
  }

  // MARK: Coding

  /// The protobuf form. Of the peers, first come first, those that fit into ``peersBytesMaximum`` and ``closerBytesMaximum``.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 2_048 + (record?.value.count ?? 0))
    writer.uint64(1, kind.rawValue)
    if !key.isEmpty { writer.data(2, key) }
    if let record {
      writer.message(3) {
        $0.data(1, record.key)
        $0.data(2, record.value)
        if let time = record.timeReceived { $0.string(5, time) }
      }
    }
    let closerBytes = Self.write(8, closerPeers, Self.closerBytesMaximum, &writer)
    Self.write(9, providers, Self.peersBytesMaximum - closerBytes, &writer)
    return writer.bytes
  }

  /// Writes the peers that fit into a number of bytes; how many were written.
  @discardableResult
  private static func write(_ field: Int, _ peers: [Peer], _ maximum: Int, _ writer: inout ProtobufWriter) -> Int {
    var bytes = 0
    for peer in peers where maximum - bytes > headBytes {
      var inner = ProtobufWriter(capacity: 256)
      inner.data(1, peer.id.bytes)
      for address in told(peer.addresses) { inner.data(2, address.bytes) }
      if peer.connectedness != .notConnected { inner.uint64(3, peer.connectedness.rawValue) }
      guard bytes + inner.bytes.count + headBytes <= maximum else { continue }
      bytes += inner.bytes.count + headBytes
      writer.data(field, inner.bytes)
    }
    return bytes
  }

  /// What stands before a peer: its field and its length.
  private static let headBytes = 3

  /// Reads a message. Peers whose name cannot be read, addresses of unknown kinds, and what is over the limits above are passed
  /// over; unknown fields too, such as py-libp2p's signed records. An absent type is `putValue`, since proto3 writers leave out a 0.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    guard span.byteCount <= Self.maximumBytes else { throw .badField(0) }
    self.init(.putValue)
    var number = Kind.putValue.rawValue
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .number(1): number = reader.uint64
      case .bytes(2): key = reader.bytes
      case .bytes(3): record = try Self.readRecord(reader.span, onto: record)
      case .bytes(8):
        let peer = try Self.readPeer(reader.span)
        if let peer, closerPeers.count < Self.closerPeersMaximum { closerPeers.append(peer) }
      case .bytes(9):
        let peer = try Self.readPeer(reader.span)
        if let peer, providers.count < Self.providersMaximum { providers.append(peer) }
      default: break
      }
    }
    guard let kind = Kind(rawValue: number) else { throw .badField(1) }
    self.kind = kind
  }

  /// Reads a record onto what an earlier field of the same number said, as protobuf merges messages.
  private static func readRecord(_ span: RawSpan, onto earlier: Record?) throws(ProtobufError) -> Record {
    var record = earlier ?? Record(key: [], value: [])
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): record.key = reader.bytes
      case .bytes(2): record.value = reader.bytes
      case .bytes(5): record.timeReceived = reader.range.count <= 64 ? reader.text : nil
      default: break
      }
    }
    return record
  }

  private static func readPeer(_ span: RawSpan) throws(ProtobufError) -> Peer? {
    var id: PeerID?
    var addresses: [Multiaddr] = []
    var connectedness = Connectedness.notConnected
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): id = try? PeerID(bytes: reader.span)
      case .bytes(2):
        if addresses.count < addressesSeen, let address = try? Multiaddr(bytes: reader.span) { addresses.append(address) }
      case .number(3): connectedness = Connectedness(rawValue: reader.uint64) ?? .notConnected
      default: break
      }
    }
    return id.map { id in
      // One that ends in another peer's name is none of this one.
      let own = addresses.filter { $0.peerID.map { $0 == id } ?? true }.map(\.withoutPeerID)
      return Peer(id: id, addresses: told(own), connectedness: connectedness)
    }
  }
}
