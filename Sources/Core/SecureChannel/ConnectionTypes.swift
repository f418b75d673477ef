import Identity
import Wire

/// A stream's name inside its connection, for both sides' streams.
///
/// Not the number on the wire: a stream that this side opens has an ID that the opener chose (top bit set) before negotiation,
/// so that data can follow at once; a stream from the remote has the ID that the connection gave it.
public struct StreamID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number.
  public let rawValue: UInt32

  /// Makes an ID.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// The `number`th stream that this side opens on the connection.
  public static func outbound(_ number: UInt32) -> StreamID { StreamID(rawValue: number | 0x8000_0000) }

  /// Whether this side opened the stream.
  public var isOutbound: Bool { rawValue & 0x8000_0000 != 0 }

  /// The order of the numbers; this side's streams come last.
  public static func < (left: StreamID, right: StreamID) -> Bool { left.rawValue < right.rawValue }

  /// `out` or `in` and the number.
  public var description: String { isOutbound ? "out\(rawValue & 0x7fff_ffff)" : "in\(rawValue)" }
}

/// What is known of the other end once the handshake has proven it.
public struct RemoteIdentity: Hashable, Sendable {
  /// The proven PeerID.
  public let peer: PeerID
  /// The key that proved it.
  public let publicKey: PublicKey
  /// The muxer in use.
  public let muxer: ProtocolID
  /// How long the whole set-up took, from the first byte; about two to three round trips.
  public let setUpTime: Duration

  /// Makes an identity.
  public init(peer: PeerID, publicKey: PublicKey, muxer: ProtocolID, setUpTime: Duration) {
    self.peer = peer
    self.publicKey = publicKey
    self.muxer = muxer
    self.setUpTime = setUpTime
  }
}

/// Why a connection ended or a stream failed, in words that an operator understands.
public enum ChannelError: Error, Hashable, Sendable {
  /// The transport's end: EOF without a go-away.
  case endOfFile
  /// The transport failed.
  case transport(TransportFault)
  /// The other end took the connection that this side dialled and ended it before the handshake, as one that has no slot does; the text says
  /// what that may mean. `reason` is the name of the reason that somebody gave in its place (``TurnAway``); nothing proves it.
  case turnedAway(String, reason: String? = nil)
  /// The set-up took longer than the configured limit.
  case handshakeTimeout
  /// No protocol in common: for security, muxer or a stream. It is the other end that said so.
  case negotiationFailed(String)
  /// No protocol was agreed for a stream in this time: the other end has not answered.
  case negotiationTimeout(Duration)
  /// multistream-select, Noise, Yamux or framing was violated; the text names the rule.
  case protocolViolation(String)
  /// The handshake proved another peer than the one dialled.
  case wrongPeer(expected: PeerID, actual: PeerID)
  /// The other end does not have the key of this private network; the text says what showed it.
  case notInNetwork(String)
  /// The signature in the Noise payload is not the key's.
  case badSignature
  /// Decryption failed.
  case decryptionFailed
  /// The remote said go-away with this code (0 normal, 1 protocol error, 2 internal error).
  case remoteGoAway(UInt32)
  /// The remote reset the stream, and why.
  case streamReset(ResetCode)
  /// A message longer than the protocol allows; refused from its length prefix.
  case messageTooLarge(bytes: UInt64, maximum: Int)
  /// A limit of this side (streams, buffered bytes) was reached; the text names it.
  case limit(String)
  /// No answer to keep-alive.
  case keepAliveTimeout
  /// Closed by this side; the text is the reason.
  case closedLocally(String)
}
