import Wire

/// The message format of multistream-select 1.0 (multiformats/multistream-select): a uvarint length that counts the newline,
/// text, newline.
enum Multistream {
  static let header = "/multistream/1.0.0"
  static let notAvailable = "na"
  static let noise: ProtocolID = "/noise"

  /// The longest message, newline included.
  static let maximumBytes = 1024

  /// What a look at the front of a buffer found.
  enum Unit: Equatable {
    /// At least this many bytes are needed, counted from the front.
    case needs(Int)
    /// A whole message of `bytes` bytes with its prefix; the text begins at `text` and ends before the last byte.
    case whole(bytes: Int, text: Int)
    case violation(String)
  }

  static func append(_ text: String, to buffer: inout [UInt8]) {
    Varint.append(UInt64(text.utf8.count + 1), to: &buffer)
    buffer.append(contentsOf: text.utf8)
    buffer.append(0x0a)
  }

  /// Looks at the bytes from `offset` on.
  static func unit(_ span: RawSpan, at offset: Int = 0) -> Unit {
    // 1,024 fits two bytes of prefix: of a longer one no more is looked at, so that the verdict is the same however it arrives.
    switch Varint.read(span.extracting(first: min(offset + 2, span.byteCount)), at: offset) {
    case .incomplete:
      return span.byteCount - offset >= 2
        ? .violation("multistream: a message longer than 1,024 bytes") : .needs(span.byteCount - offset + 1)
    case .invalid(let fault): return .violation("multistream: a length \(fault)")
    case .value(let length, let bytes):
      guard length <= UInt64(maximumBytes) else { return .violation("multistream: a message of \(length) bytes, more than 1,024") }
      guard length > 0 else { return .violation("multistream: an empty message") }
      let whole = bytes + Int(length)
      guard span.byteCount - offset >= whole else { return .needs(whole) }
      guard span.byte(offset + whole - 1) == 0x0a else { return .violation("multistream: a message without its newline") }
      return .whole(bytes: whole, text: bytes)
    }
  }

  /// Whether what the other end sends first is another protocol.
  enum Stranger: Equatable {
    case none
    /// The bytes so far may become one.
    case possible
    case certain(String)
  }

  /// Looks at the first bytes for the protocols that are met at wrong ports and behind proxies; ours begins with 0x13.
  static func stranger(_ span: RawSpan) -> Stranger {
    var isPossible = false
    for (name, beginnings) in strangers {
      for beginning in beginnings {
        let count = min(span.byteCount, beginning.count)
        guard (0..<count).allSatisfy({ span.byte($0) == beginning[$0] }) else { continue }
        if count == beginning.count { return .certain(name) }
        isPossible = true
      }
    }
    return isPossible ? .possible : .none
  }

  private static let strangers: [(name: String, beginnings: [[UInt8]])] = [
    // An old server answers what it can't read with a page alone.
    ("HTTP", ["HTTP/", "GET ", "HEAD ", "POST ", "PUT ", "OPTIONS ", "CONNECT ", "<!DOCTYPE", "<html"].map { Array($0.utf8) }),
    ("SSH", [Array("SSH-".utf8)]),
    // An alert and a handshake.
    ("TLS", [[0x15, 0x03], [0x16, 0x03]]),
    ("the PROXY protocol of load balancers", [Array("PROXY ".utf8), [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51]]),
  ]

  /// The text of a whole message; `nil` when it is not UTF-8.
  static func text(_ span: RawSpan, at offset: Int, bytes: Int, text: Int) -> String? {
    let slice = span.extracting(offset + text..<offset + bytes - 1)
    return unsafe slice.withUnsafeBytes { unsafe String(validating: $0, as: UTF8.self) }
  }
}

/// One side of one negotiation, for security, muxer or a stream.
final class Negotiation {
  /// What a message led to.
  enum Progress: Equatable {
    /// The next message decides.
    case undecided
    /// Both sides agree; bytes behind the message belong to the protocol.
    case agreed(ProtocolID)
  }

  private let isDialer: Bool
  private let proposals: [ProtocolID]
  private var next = 0
  /// Whether the other end has begun as it should.
  private(set) var hasSeenHeader = false
  private var refusals = 0

  /// A listener answers proposals.
  init() {
    isDialer = false
    proposals = []
  }

  /// A dialer proposes in order; `flight` receives the header and the first proposal.
  init(proposing proposals: [ProtocolID], flight: inout [UInt8]) {
    isDialer = true
    self.proposals = proposals
    Multistream.append(Multistream.header, to: &flight)
    Multistream.append(proposals[0].name, to: &flight)
  }

  /// What is being proposed, for a dialer.
  var proposed: ProtocolID? { isDialer && next < proposals.count ? proposals[next] : nil }

  /// Takes one message. `reply` receives the bytes to send back.
  func handle(_ text: String, supports: (ProtocolID) -> Bool, reply: inout [UInt8]) throws(ChannelError) -> Progress {
    if !hasSeenHeader {
      guard text == Multistream.header else { throw .protocolViolation("multistream: the first message is not \(Multistream.header)") }
      hasSeenHeader = true
      if !isDialer { Multistream.append(Multistream.header, to: &reply) }
      return .undecided
    }
    if isDialer {
      if text == proposals[next].name { return .agreed(proposals[next]) }
      guard text == Multistream.notAvailable else { throw .protocolViolation("multistream: an answer that was not proposed") }
      next += 1
      guard next < proposals.count else {
        throw .negotiationFailed("the remote speaks none of \(proposals.map(\.name).joined(separator: ", "))")
      }
      Multistream.append(proposals[next].name, to: &reply)
      return .undecided
    }
    let proposal = ProtocolID(text)
    if text.utf8.count <= Negotiation.nameMaximum && supports(proposal) {
      Multistream.append(text, to: &reply)
      return .agreed(proposal)
    }
    // `ls` is answered in the same way, as go does.
    refusals += 1
    guard refusals <= Negotiation.refusalsMaximum else {
      throw .negotiationFailed("more than \(Negotiation.refusalsMaximum) refused proposals")
    }
    Multistream.append(Multistream.notAvailable, to: &reply)
    return .undecided
  }

  static let nameMaximum = 200
  static let refusalsMaximum = 32
}
