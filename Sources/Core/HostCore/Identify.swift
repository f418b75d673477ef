import Identity
import SecureChannel
import Wire

/// What a peer says of itself by the identify protocol (libp2p/specs `identify`).
public struct IdentifyInfo: Hashable, Sendable {
  /// The peer's public key, protobuf-encoded.
  public var publicKey: [UInt8]?
  /// Where it says that it listens; valid addresses only.
  public var listenAddresses: [Multiaddr]
  /// The protocols it answers.
  public var protocols: [ProtocolID]
  /// The address that it sees this side at.
  public var observedAddress: Multiaddr?
  /// The network family, such as `ipfs/0.1.0`.
  public var protocolVersion: String
  /// Name and version of its software.
  public var agent: String
  /// The signed peer record envelope, unchecked.
  public var signedRecord: [UInt8]?

  /// Makes a description; empty by default.
  public init(
    publicKey: [UInt8]? = nil, listenAddresses: [Multiaddr] = [], protocols: [ProtocolID] = [], observedAddress: Multiaddr? = nil,
    protocolVersion: String = "", agent: String = "", signedRecord: [UInt8]? = nil
  ) {
    self.publicKey = publicKey
    self.listenAddresses = listenAddresses
    self.protocols = protocols
    self.observedAddress = observedAddress
    self.protocolVersion = protocolVersion
    self.agent = agent
    self.signedRecord = signedRecord
  }

  /// The most bytes one identify message may have.
  public static let maximumMessageBytes = 64 << 10
  /// The most messages that are merged from one stream; go splits its answer in two.
  static let maximumMessages = 10
  private static let maximumAddresses = 64
  private static let maximumProtocols = 256
  private static let maximumProtocolBytes = 200
  private static let maximumTextBytes = 256

  /// The protobuf form of the whole description.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 1024)
    if let publicKey { writer.data(1, publicKey) }
    for address in listenAddresses { writer.data(2, address.bytes) }
    for name in protocols { writer.string(3, name.name) }
    if let observedAddress { writer.data(4, observedAddress.bytes) }
    writer.string(5, protocolVersion)
    writer.string(6, agent)
    if let signedRecord { writer.data(8, signedRecord) }
    return writer.bytes
  }

  /// Reads a description; several messages of one exchange are read as one, put end to end, as protobuf merges them.
  ///
  /// Malformed addresses are passed over, as newer peers may know more kinds than this side; of addresses beyond 64 and
  /// protocols beyond 256 the rest is dropped, but none of the protocols that this side `speaks`.
  public init(encoded message: RawSpan, speaks: (ProtocolID) -> Bool = { _ in false }) throws(ProtobufError) {
    self.init()
    var names: Set<ProtocolID> = []
    var reader = ProtobufReader(message)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): publicKey = reader.bytes
      case .bytes(2):
        if listenAddresses.count < Self.maximumAddresses, let address = try? Multiaddr(bytes: reader.span) {
          listenAddresses.append(address)
        }
      case .bytes(3):
        if reader.range.count <= Self.maximumProtocolBytes, let name = reader.text { keep(ProtocolID(name), &names, speaks) }
      case .bytes(4): observedAddress = try? Multiaddr(bytes: reader.span)
      case .bytes(5): protocolVersion = reader.text(maximumBytes: Self.maximumTextBytes)
      case .bytes(6): agent = reader.text(maximumBytes: Self.maximumTextBytes)
      case .bytes(8): signedRecord = reader.bytes
      default: break
      }
    }
  }

  /// Keeps a name once, if there is room for it. One that this side speaks takes the last other one's place.
  private mutating func keep(_ name: ProtocolID, _ names: inout Set<ProtocolID>, _ speaks: (ProtocolID) -> Bool) {
    guard names.count < Self.maximumProtocols || speaks(name), names.insert(name).inserted else { return }
    protocols.append(name)
    guard protocols.count > Self.maximumProtocols, let other = protocols.lastIndex(where: { !speaks($0) }) else { return }
    names.remove(protocols.remove(at: other))
  }

  /// Takes over what a push names; what it leaves out stays as it was (identify/push may be partial).
  public mutating func update(from push: IdentifyInfo) {
    if push.publicKey != nil { publicKey = push.publicKey }
    if !push.listenAddresses.isEmpty { listenAddresses = push.listenAddresses }
    if !push.protocols.isEmpty { protocols = push.protocols }
    if push.observedAddress != nil { observedAddress = push.observedAddress }
    if !push.protocolVersion.isEmpty { protocolVersion = push.protocolVersion }
    if !push.agent.isEmpty { agent = push.agent }
    if push.signedRecord != nil { signedRecord = push.signedRecord }
  }
}
