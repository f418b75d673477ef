import Identity
import Wire

/// What a node says of itself and its chain before anything else (`/starling/<network>/status/1`).
///
/// The dialler sends its status as the request, the listener answers with its own or with a refusal.
/// Later the same protocol refreshes heights.
public struct Status: Hashable, Sendable {
  /// The protocol version that this release speaks; both sides must be equal.
  public static let currentVersion: UInt64 = 1
  /// The most bytes of a status message.
  public static let maximumBytes = 16 << 10

  /// The version of this protocol.
  public var version: UInt64
  /// The network's name.
  public var network: String
  /// The chain's name.
  public var chainID: String
  /// The hash of block 0.
  public var genesis: Hash256
  /// The height of the head.
  public var height: UInt64
  /// The hash of the head.
  public var head: Hash256
  /// What kind of node it is, such as `full` or `authority`.
  public var nodeType: String
  /// Where it listens.
  public var listenAddresses: [Multiaddr]
  /// What it serves, such as `blocks`.
  public var services: [String]
  /// How many pending transactions it holds.
  public var pending: UInt64

  /// Makes a status of the current version.
  public init(
    version: UInt64 = Status.currentVersion, network: String, chainID: String, genesis: Hash256, height: UInt64, head: Hash256,
    nodeType: String, listenAddresses: [Multiaddr] = [], services: [String] = [], pending: UInt64 = 0
  ) {
    self.version = version
    self.network = network
    self.chainID = chainID
    self.genesis = genesis
    self.height = height
    self.head = head
    self.nodeType = nodeType
    self.listenAddresses = listenAddresses
    self.services = services
    self.pending = pending
  }

  func write(to writer: inout ProtobufWriter) {
    writer.uint64(1, version)
    writer.string(2, network)
    writer.string(3, chainID)
    writer.hash(4, genesis)
    writer.uint64(5, height)
    writer.hash(6, head)
    writer.string(7, nodeType)
    for address in listenAddresses.prefix(16) { writer.data(8, address.bytes) }
    for service in services.prefix(32) { writer.string(9, service) }
    writer.uint64(10, pending)
  }

  /// The message as a request.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 256)
    write(to: &writer)
    return writer.bytes
  }

  /// Reads a request.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    self.init(version: 0, network: "", chainID: "", genesis: .zero, height: 0, head: .zero, nodeType: "")
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case 1: version = try reader.uint64()
      case 2: network = String(try reader.string().prefix(64))
      case 3: chainID = String(try reader.string().prefix(64))
      case 4: genesis = try Self.hash(4, try reader.span())
      case 5: height = try reader.uint64()
      case 6: head = try Self.hash(6, try reader.span())
      case 7: nodeType = String(try reader.string().prefix(32))
      case 8:
        let bytes = try reader.span()
        if listenAddresses.count < 16, let address = try? Multiaddr(bytes: bytes) { listenAddresses.append(address) }
      case 9:
        let service = try reader.string()
        if services.count < 32 { services.append(String(service.prefix(64))) }
      case 10: pending = try reader.uint64()
      default: try reader.skip()
      }
    }
    guard version > 0 else { throw .badField(1) }
    guard height < 1 << 62 else { throw .badField(5) }
  }

  private static func hash(_ field: Int, _ span: RawSpan) throws(ProtobufError) -> Hash256 {
    guard let hash = Hash256(span) else { throw .badField(field) }
    return hash
  }

  /// Why a peer with the status `other` cannot be of this network; `nil` when it can.
  public func mismatch(with other: Status) -> StatusMismatch? {
    if other.version != version { return .version(ours: version, theirs: other.version) }
    if other.network != network { return .network(ours: network, theirs: other.network) }
    if other.chainID != chainID { return .chain(ours: chainID, theirs: other.chainID) }
    if other.genesis != genesis { return .genesis(ours: genesis, theirs: other.genesis) }
    return nil
  }
}

/// Why two nodes are not of one network.
public enum StatusMismatch: Error, Hashable, Sendable, CustomStringConvertible {
  /// They speak different versions of the status protocol.
  case version(ours: UInt64, theirs: UInt64)
  /// They are on different networks.
  case network(ours: String, theirs: String)
  /// They follow different chains.
  case chain(ours: String, theirs: String)
  /// Their chains begin with different blocks.
  case genesis(ours: Hash256, theirs: Hash256)

  public var description: String {
    switch self {
    case .version(let ours, let theirs): "protocol version \(theirs), this node speaks \(ours)"
    case .network(let ours, let theirs): "network \"\(theirs)\", this node is on \"\(ours)\""
    case .chain(let ours, let theirs): "chain \"\(theirs)\", this node follows \"\(ours)\""
    case .genesis(let ours, let theirs): "genesis \(theirs.short), this node's is \(ours.short)"
    }
  }
}

/// The answer to a status request.
public enum StatusAnswer: Hashable, Sendable {
  /// The listener's own status: the peer is accepted.
  case status(Status)
  /// The listener refuses: a reason code of the goodbye protocol, and words.
  case refusal(code: UInt64, text: String)

  /// The message.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 256)
    switch self {
    case .status(let status): writer.message(1) { status.write(to: &$0) }
    case .refusal(let code, let text):
      writer.message(2) {
        $0.uint64(1, code)
        $0.string(2, String(text.prefix(200)))
      }
    }
    return writer.bytes
  }

  /// Reads an answer.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    var reader = ProtobufReader(span)
    var result: StatusAnswer?
    while let field = try reader.nextField() {
      switch field {
      case 1: result = .status(try Status(encoded: try reader.span()))
      case 2:
        var code: UInt64 = 0
        var text = ""
        var nested = ProtobufReader(try reader.span())
        while let field = try nested.nextField() {
          switch field {
          case 1: code = try nested.uint64()
          case 2: text = String(try nested.string().prefix(200))
          default: try nested.skip()
          }
        }
        result = .refusal(code: code, text: text)
      default: try reader.skip()
      }
    }
    guard let result else { throw .badField(1) }
    self = result
  }
}

/// A request for blocks (`/starling/<network>/blocks/1`): a range of heights on the answerer's chain, or one block by hash.
public enum BlocksRequest: Hashable, Sendable {
  /// `count` blocks (1 to 100) from a height on.
  case range(from: UInt64, count: Int)
  /// The block with a hash.
  case hash(Hash256)

  /// The most blocks that one request may ask for.
  public static let maximumCount = 100
  /// The most bytes of a request.
  public static let maximumBytes = 64

  /// The message.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 48)
    switch self {
    case .range(let from, let count):
      writer.uint64(1, from)
      writer.int(2, count)
    case .hash(let hash): writer.hash(3, hash)
    }
    return writer.bytes
  }

  /// Reads a request.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    var reader = ProtobufReader(span)
    var from: UInt64?
    var count = 0
    var hash: Hash256?
    while let field = try reader.nextField() {
      switch field {
      case 1: from = try reader.uint64()
      case 2: count = try reader.int()
      case 3:
        hash = Hash256(try reader.span())
        if hash == nil { throw .badField(3) }
      default: try reader.skip()
      }
    }
    if let hash {
      self = .hash(hash)
    } else if let from {
      guard from < 1 << 62 else { throw .badField(1) }
      guard (1...Self.maximumCount).contains(count) else { throw .badField(2) }
      self = .range(from: from, count: count)
    } else {
      throw .badField(1)
    }
  }
}

/// A list of byte strings: the answer to a request for blocks or transactions, and a request for transactions by their ids.
public struct BytesList: Hashable, Sendable {
  /// The items.
  public var items: [[UInt8]]

  /// Makes a list.
  public init(_ items: [[UInt8]]) { self.items = items }

  /// The message.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: items.reduce(0) { $0 + $1.count + 6 })
    for item in items { writer.data(1, item) }
    return writer.bytes
  }

  /// Reads a list of at most `maximum` items.
  public init(encoded span: RawSpan, maximum: Int) throws(ProtobufError) {
    items = []
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      if field == 1 {
        guard items.count < maximum else { throw .badField(1) }
        items.append(try reader.bytes())
      } else {
        try reader.skip()
      }
    }
  }
}
