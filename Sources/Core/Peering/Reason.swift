import Wire

/// Why a link was refused, closed or lost: one word for both ends, the operator and the metrics.
///
/// The closing side sends it as the goodbye message (`Docs/protocols/goodbye.md`). The code is an open set: a number that this
/// version does not know is kept and shown as it is.
public struct Reason: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of reason with its number on the wire, which never changes its meaning.
  public struct Code: RawRepresentable, Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number on the wire.
    public let rawValue: UInt32
    /// Makes a code from its number.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// No reason was given.
    public static let unspecified = Code(rawValue: 0)
    /// The node stops; come back later.
    public static let shutdown = Code(rawValue: 1)
    /// Another link to the same peer is kept.
    public static let duplicate = Code(rawValue: 2)
    /// The node reached itself.
    public static let selfConnection = Code(rawValue: 3)
    /// All slots are taken (`max_peers`).
    public static let tooManyPeers = Code(rawValue: 4)
    /// Too many links from one IP address.
    public static let tooManyFromIP = Code(rawValue: 5)
    /// Too many links from one /24 or /48 network.
    public static let tooManyFromSubnet = Code(rawValue: 6)
    /// Too many handshakes at once or in a short time.
    public static let busy = Code(rawValue: 7)
    /// The secure channel was not ready in time.
    public static let handshakeTimeout = Code(rawValue: 8)
    /// The chain's status handshake was not done in time.
    public static let introductionTimeout = Code(rawValue: 9)
    /// Pings stayed unanswered.
    public static let keepAliveTimeout = Code(rawValue: 10)
    /// The protocol version does not match.
    public static let wrongVersion = Code(rawValue: 11)
    /// The network name does not match.
    public static let wrongNetwork = Code(rawValue: 12)
    /// The chain id does not match.
    public static let wrongChain = Code(rawValue: 13)
    /// The genesis block does not match.
    public static let wrongGenesis = Code(rawValue: 14)
    /// Another peer answered than the one dialled.
    public static let wrongPeer = Code(rawValue: 15)
    /// The peer is not on the allow-list of a private network.
    public static let notAllowed = Code(rawValue: 16)
    /// The peer or its address is banned.
    public static let banned = Code(rawValue: 17)
    /// A protocol rule was broken.
    public static let protocolViolation = Code(rawValue: 18)
    /// The score fell under the threshold.
    public static let lowScore = Code(rawValue: 19)
    /// An operator asked for it.
    public static let operatorRequest = Code(rawValue: 20)
    /// The remote closed without a reason.
    public static let remoteClosed = Code(rawValue: 21)
    /// The transport failed.
    public static let transportError = Code(rawValue: 22)
    /// A better peer took the slot.
    public static let evicted = Code(rawValue: 23)
    /// The peer came back on a newer link.
    public static let replaced = Code(rawValue: 24)
    /// The secure channel could not be set up.
    public static let handshakeFailed = Code(rawValue: 25)
    /// The remote is out of step in a way that its services cannot be used.
    public static let useless = Code(rawValue: 26)
    /// The link was made for a look-up and is not needed any more.
    public static let idle = Code(rawValue: 27)
    /// It was a short link to see whether the address is good; it is.
    public static let feeler = Code(rawValue: 28)

    /// A limit of this node's own was reached: memory, file descriptors.
    public static let resourceLimit = Code(rawValue: 29)
    /// The other end does not have the key of the private network.
    public static let notInNetwork = Code(rawValue: 30)

    private static let names: [UInt32: String] = [
      0: "unspecified", 1: "shutdown", 2: "duplicate", 3: "self-connection", 4: "too-many-peers", 5: "too-many-from-ip",
      6: "too-many-from-subnet", 7: "busy", 8: "handshake-timeout", 9: "introduction-timeout", 10: "keep-alive-timeout",
      11: "wrong-version", 12: "wrong-network", 13: "wrong-chain", 14: "wrong-genesis", 15: "wrong-peer", 16: "not-allowed",
      17: "banned", 18: "protocol-violation", 19: "low-score", 20: "operator-request", 21: "remote-closed", 22: "transport-error",
      23: "evicted", 24: "replaced", 25: "handshake-failed", 26: "useless", 27: "idle", 28: "feeler", 29: "resource-limit",
      30: "not-in-network",
    ]

    /// The codes that this version knows, in ascending order.
    public static let known: [Code] = names.keys.sorted().map(Code.init)

    /// The code of a name; `nil` for a name that this version does not know.
    public init?(name: String) {
      guard let number = Code.names.first(where: { $0.value == name })?.key else { return nil }
      self.init(rawValue: number)
    }

    /// Whether waiting a short while cannot help: the other end runs something else, or does not want this peer.
    public var isLasting: Bool {
      switch self {
      case .wrongVersion, .wrongNetwork, .wrongChain, .wrongGenesis, .notAllowed, .notInNetwork, .banned, .selfConnection: true
      default: false
      }
    }

    /// Whether this version knows the number.
    public var isKnown: Bool { Code.names[rawValue] != nil }

    /// The order of the numbers.
    public static func < (left: Code, right: Code) -> Bool { left.rawValue < right.rawValue }

    /// A stable lower-case name, fit for a metric's label; `code-n` for an unknown number.
    public var description: String { Code.names[rawValue] ?? "code-\(rawValue)" }
  }

  /// The most bytes that an encoded reason has.
  public static let maximumBytes = 256
  /// The most UTF-8 bytes of ``detail`` that are sent or accepted.
  public static let detailMaximumBytes = 200

  /// The kind.
  public let code: Code
  /// What exactly, for people: at most 200 bytes of UTF-8 that can be shown.
  public let detail: String

  /// Makes a reason. What cannot be shown in `detail` becomes `?`, and what is beyond 200 bytes is cut off.
  public init(_ code: Code, _ detail: String = "") {
    self.code = code
    self.detail = Reason.clean(detail)
  }

  /// The protobuf form: field 1 the code, field 2 the detail when there is one.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: detail.utf8.count + 16)
    writer.uint64(1, UInt64(code.rawValue))
    if !detail.isEmpty { writer.string(2, detail) }
    return writer.bytes
  }

  /// Reads the protobuf form; unknown fields are passed over.
  ///
  /// - Throws: `badField(0)` when it is longer than 256 bytes, `badField(1)` when the code is absent.
  public init(encoded span: RawSpan) throws(ProtobufError) {
    guard span.byteCount <= Reason.maximumBytes else { throw .badField(0) }
    var code: Code?
    var detail = ""
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .number(1): code = Code(rawValue: reader.uint32)
      case .bytes(2): detail = reader.text(maximumBytes: Reason.maximumBytes)
      default: break
      }
    }
    guard let code else { throw .badField(1) }
    self.init(code, detail)
  }

  /// The code's name, and the detail in brackets.
  public var description: String { detail.isEmpty ? "\(code)" : "\(code) (\(detail))" }

  /// The same where the words are the other end's.
  public var quoted: String { detail.isEmpty ? "\(code)" : "\(code) (it says: \"\(detail)\")" }

  private static func clean(_ text: String) -> String {
    text.prefix(bytes: 4 * detailMaximumBytes).printable { _ in "?" }.prefix(bytes: detailMaximumBytes)
  }
}
