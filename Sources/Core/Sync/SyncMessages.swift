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

  /// The length of a producer's mark.
  public static let producerMarkBytes = 16

  /// Times from here on are none: far beyond every calendar.
  static let timeEnd: UInt64 = 1 << 53

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
  /// What the sender's clock shows; `nil` when it doesn't say.
  public var time: WallTime?
  /// A producer's mark for the receiver, by which two machines with one producer's key find each other out; empty for nodes that make no blocks.
  public var producerMark: [UInt8] = []

  /// Makes a status of the current version.
  public init(
    version: UInt64 = Status.currentVersion, network: String, chainID: String, genesis: Hash256, height: UInt64, head: Hash256,
    nodeType: String, listenAddresses: [Multiaddr] = [], services: [String] = [], pending: UInt64 = 0,
    time: WallTime? = nil
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
    self.time = time
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
    if let time, let milliseconds = UInt64(exactly: time.milliseconds) { writer.uint64(11, milliseconds) }
    if !producerMark.isEmpty { writer.data(12, producerMark) }
  }

  /// The message as a request.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 256)
    write(to: &writer)
    return writer.bytes
  }

  /// Reads a request.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    var draft = Draft()
    try draft.read(span)
    self = try draft.finish()
  }

  /// A status while it is read; of what comes twice the last counts.
  struct Draft {
    private var status = Status(version: 0, network: "", chainID: "", genesis: .zero, height: 0, head: .zero, nodeType: "")
    private var genesis: Hash256? = .zero
    private var head: Hash256? = .zero

    mutating func read(_ span: RawSpan) throws(ProtobufError) {
      var reader = ProtobufReader(span)
      while let field = try reader.nextField() {
        switch field {
        case .number(1): status.version = reader.uint64
        case .bytes(2): status.network = reader.text(maximumBytes: 64)
        case .bytes(3): status.chainID = reader.text(maximumBytes: 64)
        case .bytes(4): genesis = Hash256(reader.span)
        case .number(5): status.height = reader.uint64
        case .bytes(6): head = Hash256(reader.span)
        case .bytes(7): status.nodeType = reader.text(maximumBytes: 32)
        case .bytes(8):
          if status.listenAddresses.count < 16, let address = try? Multiaddr(bytes: reader.span) { status.listenAddresses.append(address) }
        case .bytes(9): if status.services.count < 32 { status.services.append(reader.text(maximumBytes: 64)) }
        case .number(10): status.pending = reader.uint64
        case .number(11):
          let milliseconds = reader.uint64
          status.time = milliseconds > 0 && milliseconds < Status.timeEnd ? WallTime(milliseconds: Int64(milliseconds)) : nil
        case .bytes(12): status.producerMark = reader.range.count == Status.producerMarkBytes ? reader.bytes : []
        default: break
        }
      }
    }

    /// The status, if what it has to say is there.
    func finish() throws(ProtobufError) -> Status {
      var status = status
      guard status.version > 0 else { throw .badField(1) }
      guard let genesis else { throw .badField(4) }
      guard status.height < 1 << 62 else { throw .badField(5) }
      guard let head else { throw .badField(6) }
      status.genesis = genesis
      status.head = head
      return status
    }
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
        $0.string(2, text.prefix(bytes: 200))
      }
    }
    return writer.bytes
  }

  /// Reads an answer.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    var reader = ProtobufReader(span)
    var status: Status.Draft?
    var refusal: (code: UInt64, text: String)?
    // Of the two the last counts; one that comes twice is merged.
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1):
        var draft = status ?? Status.Draft()
        try draft.read(reader.span)
        (status, refusal) = (draft, nil)
      case .bytes(2):
        var words = refusal ?? (0, "")
        var nested = ProtobufReader(reader.span)
        while let field = try nested.nextField() {
          switch field {
          case .number(1): words.code = nested.uint64
          case .bytes(2): words.text = nested.text(maximumBytes: 200)
          default: break
          }
        }
        (status, refusal) = (nil, words)
      default: break
      }
    }
    if let refusal {
      self = .refusal(code: refusal.code, text: refusal.text)
    } else if let status {
      self = .status(try status.finish())
    } else {
      throw .badField(1)
    }
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
    var hash: Hash256??
    while let field = try reader.nextField() {
      switch field {
      case .number(1): from = reader.uint64
      case .number(2): count = reader.int
      case .bytes(3): hash = .some(Hash256(reader.span))
      default: break
      }
    }
    if let hash {
      guard let hash else { throw .badField(3) }
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
      guard field == .bytes(1) else { continue }
      guard items.count < maximum else { throw .badField(1) }
      items.append(reader.bytes)
    }
  }
}
