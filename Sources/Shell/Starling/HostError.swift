import Discovery
import EventLoop
import Gossip
import HostCore
import Identity
import Peering
import SecureChannel

/// Why something that was asked of a ``Host`` did not come about.
public struct HostError: Error, Sendable, CustomStringConvertible {
  /// The kind of failure; an open set.
  public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// A stable lower-case name.
    public let rawValue: String
    /// Makes a code.
    public init(rawValue: String) { self.rawValue = rawValue }
    private init(_ name: String) { rawValue = name }

    /// Nobody listens at the address.
    public static let connectionRefused = Code("connection-refused")
    /// The time was over.
    public static let timedOut = Code("timed-out")
    /// This machine has no way to the address.
    public static let unreachable = Code("unreachable")
    /// The transport broke.
    public static let transportFailed = Code("transport-failed")
    /// The secure channel could not be set up.
    public static let handshakeFailed = Code("handshake-failed")
    /// Another peer answered than the one that was dialled.
    public static let wrongPeer = Code("wrong-peer")
    /// The host reached itself.
    public static let selfConnection = Code("self-connection")
    /// One of the two ends does not want the link; ``HostError/reason`` tells why.
    public static let refused = Code("refused")
    /// The address is none that can be dialled or listened on.
    public static let invalidAddress = Code("invalid-address")
    /// The configuration has a value that cannot be; the message names it.
    public static let invalidConfiguration = Code("invalid-configuration")
    /// No address of the peer is known, or it is given up.
    public static let notDialled = Code("not-dialled")
    /// The host neither dials nor listens yet: call ``Host/start()`` first.
    public static let notStarted = Code("not-started")
    /// The peer is not connected.
    public static let notConnected = Code("not-connected")
    /// The peer speaks none of the protocols.
    public static let protocolNotSupported = Code("protocol-not-supported")
    /// The stream was reset.
    public static let streamReset = Code("stream-reset")
    /// The peer refused for now: it is asked too often, or has reached a limit of its own. A handler that throws it tells its peer so.
    public static let tryLater = Code("try-later")
    /// The peer does not want to answer the request. A handler that throws it tells its peer so.
    public static let declined = Code("declined")
    /// What was sent is against the protocol, as a request that is too long. A handler that throws it tells its peer so.
    public static let badRequest = Code("bad-request")
    /// The peer's own handler has failed.
    public static let handlerFailed = Code("handler-failed")
    /// The answer is longer than this host or the peer allows.
    public static let answerTooLarge = Code("answer-too-large")
    /// Another task is reading the stream.
    public static let streamBusy = Code("stream-busy")
    /// The stream ended before all bytes had come.
    public static let unexpectedEnd = Code("unexpected-end")
    /// The stream was given up or finished on this side.
    public static let streamClosed = Code("stream-closed")
    /// The link ended.
    public static let linkLost = Code("link-lost")
    /// A limit was reached.
    public static let limitReached = Code("limit-reached")
    /// The peer's answer was not what the protocol says.
    public static let badAnswer = Code("bad-answer")
    /// The peer gave no answer.
    public static let noAnswer = Code("no-answer")
    /// The message cannot be published.
    public static let publishFailed = Code("publish-failed")
    /// The topic is one too many: peers would not take note of it.
    public static let subscribeFailed = Code("subscribe-failed")
    /// The host could not start to listen.
    public static let listenFailed = Code("listen-failed")
    /// The peer book could not be read or written.
    public static let bookFailed = Code("book-failed")
    /// Gossip is turned off in this host's configuration.
    public static let gossipDisabled = Code("gossip-disabled")
    /// Kademlia is turned off in this host's configuration.
    public static let kademliaDisabled = Code("kademlia-disabled")
    /// No Kademlia server is known: connect to one first.
    public static let noServers = Code("no-servers")
    /// Nobody who answered knows the peer or value.
    public static let notFound = Code("not-found")
    /// No server took the entry.
    public static let notStored = Code("not-stored")
    /// The key or value may not be.
    public static let invalidRecord = Code("invalid-record")
    /// The host is closed.
    public static let closed = Code("closed")

    /// The name.
    public var description: String { rawValue }
  }

  /// The kind of failure.
  public let code: Code
  /// What exactly, for people.
  public let message: String
  /// The reason that one end gave for not wanting the link.
  public let reason: Reason?
  /// What caused it.
  public let cause: (any Error)?

  /// Makes an error.
  public init(_ code: Code, _ message: String = "", reason: Reason? = nil, cause: (any Error)? = nil) {
    self.code = code
    self.message = message
    self.reason = reason
    self.cause = cause
  }

  /// The code and the message.
  public var description: String { message.isEmpty ? "\(code)" : "\(code): \(message)" }
}

extension HostError {
  /// - Throws: `invalidAddress` for an address that cannot be dialled.
  static func check(_ address: Multiaddr) throws(HostError) {
    do throws(AddressFault) { _ = try address.dialable() } catch {
      throw HostError(.invalidAddress, "\(address) cannot be dialled: \(error)", cause: error)
    }
  }

  init(_ failure: DialFailure, _ address: Multiaddr) {
    let text = "\(address): \(failure)"
    switch failure {
    case .refused: self.init(.connectionRefused, text)
    case .timedOut: self.init(.timedOut, text)
    case .unreachable: self.init(.unreachable, text)
    case .transport: self.init(.transportFailed, text)
    case .handshake, .notInNetwork: self.init(.handshakeFailed, text)
    case .turnedAway(_, let code): self.init(.refused, text, reason: code.map { Reason($0) })
    case .wrongPeer(let peer): self.init(.wrongPeer, "\(address): \(peer) answered")
    case .goodbye(let reason): self.init(.refused, text, reason: reason)
    }
  }

  init(_ reason: Reason, _ context: String) {
    let text = "\(context): \(reason)"
    switch reason.code {
    case .selfConnection: self.init(.selfConnection, text, reason: reason)
    case .unspecified: self.init(.invalidAddress, text, reason: reason)
    case .shutdown: self.init(.closed, text, reason: reason)
    default: self.init(.refused, text, reason: reason)
    }
  }

  init(_ error: ChannelError) {
    let code: Code =
      switch error {
      case .endOfFile, .transport, .remoteGoAway, .keepAliveTimeout: .linkLost
      case .handshakeTimeout, .negotiationTimeout: .timedOut
      case .turnedAway: .refused
      case .negotiationFailed: .protocolNotSupported
      case .protocolViolation: .badAnswer
      case .messageTooLarge: .answerTooLarge
      case .wrongPeer: .wrongPeer
      case .badSignature, .decryptionFailed, .notInNetwork: .handshakeFailed
      case .streamReset(.declined): .declined
      case .streamReset(.handlerFailed): .handlerFailed
      case .streamReset(.answerTooLarge): .answerTooLarge
      case .streamReset(.protocolViolation): .badRequest
      case .streamReset(let code): code.isTemporary ? .tryLater : .streamReset
      case .limit: .limitReached
      case .closedLocally: .streamClosed
      }
    self.init(code, error.description, cause: error)
  }

  init(_ failure: Kademlia.Failure) {
    let code: Code =
      switch failure {
      case .noServers: .noServers
      case .notFound: .notFound
      case .notStored: .notStored
      case .timedOut: .timedOut
      case .invalid: .invalidRecord
      case .limit: .limitReached
      case .cancelled: .closed
      }
    self.init(code, failure.description, cause: failure)
  }

  /// Anything that the layers below throw. A cancellation stays what it is.
  static func wrap(_ error: any Error) -> any Error {
    switch error {
    case let error as HostError: error
    case let error as ChannelError: HostError(error)
    case RequestError.notConnected: HostError(.notConnected, "no link to the peer")
    case RequestError.tooManyInFlight: HostError(.limitReached, "too many requests to the peer wait for an answer", cause: error)
    case RequestError.timeout: HostError(.timedOut, "no answer in time", cause: error)
    case RequestError.noAnswer: HostError(.noAnswer, "the peer closed the stream without an answer", cause: error)
    case RequestError.failed(let inner): HostError(inner)
    case let error as TransportError:
      HostError(error.code == .canceled ? .closed : .transportFailed, error.description, cause: error)
    case let error as PublishError: HostError(.publishFailed, "\(error)", cause: error)
    case let error as SubscribeError: HostError(.subscribeFailed, "\(error)", cause: error)
    default: error
    }
  }
}
