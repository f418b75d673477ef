import Discovery
import Gossip
import Identity
import Peering
import SecureChannel
import Wire

/// One stream of one link, as the core and the shell name it to each other.
public struct StreamRef: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The link.
  public let connection: ConnectionID
  /// The stream in it.
  public let stream: StreamID

  /// Makes a reference.
  public init(connection: ConnectionID, stream: StreamID) {
    self.connection = connection
    self.stream = stream
  }

  public static func < (left: StreamRef, right: StreamRef) -> Bool {
    (left.connection, left.stream) < (right.connection, right.stream)
  }
  public var description: String { "\(connection)/\(stream)" }
}

/// The number of a request that this side sent; its answer echoes it.
public struct RequestID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes an ID.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: RequestID, right: RequestID) -> Bool { left.rawValue < right.rawValue }
}

/// A request that a peer sent and that waits for this side's answer. Its stream is its name.
public struct InboundRequest: Sendable {
  /// The stream that the answer goes out on.
  public let stream: StreamRef
  /// Who asks; proven.
  public let peer: PeerID
  /// What is asked for.
  public let protocolID: ProtocolID
  /// The whole request message.
  public let payload: [UInt8]
}

/// Why a request brought no answer.
public enum RequestError: Error, Hashable, Sendable, CustomStringConvertible {
  /// No link to the peer.
  case notConnected
  /// Too many requests to this peer wait already.
  case tooManyInFlight
  /// No answer in time.
  case timeout
  /// The peer does not speak the protocol, reset the stream, or the link was lost.
  case failed(ChannelError)
  /// The peer closed the stream without an answer.
  case noAnswer

  /// Whether the same request may go well a little later: nobody did wrong.
  public var isTemporary: Bool {
    switch self {
    case .tooManyInFlight: true
    case .failed(.streamReset(let code)): code.isTemporary
    default: false
    }
  }

  public var description: String {
    switch self {
    case .notConnected: "not connected"
    case .tooManyInFlight: "too many requests in flight"
    case .timeout: "no answer in time"
    case .failed(let error): "failed: \(error)"
    case .noAnswer: "closed without an answer"
    }
  }
}

extension HostCore {
  /// What the shell (or the simulator) tells the host.
  public enum Input: Sendable {
    /// The addresses that are now listened on.
    case listening([Multiaddr])
    /// The transport has a new connection, and nothing was done with it yet: the answer is the output `accept` or `close`.
    case accepted(ConnectionID, remote: Multiaddr)
    /// Connections were not accepted because this machine lacked descriptors, memory or time; how many, or 1 when nobody knows.
    case notAccepted(Int, Reason)
    /// The wall clock was read again.
    case clock(WallClock)
    /// A dial, or the set-up of a dialled or accepted link, failed; the link is gone.
    case failed(ConnectionID, ChannelError)
    /// The handshake proved the remote. The shell holds the remote's streams back until `admit`.
    case established(ConnectionID, RemoteIdentity, remote: Multiaddr)
    /// An established link ended; its streams are gone without further word.
    case closed(ConnectionID, ChannelError)
    /// Nearly all memory for links is taken, and most of it by this one: it is to be closed, with the reason.
    case overdrawn(ConnectionID)
    /// The remote opened a stream that the core serves. What it may ask for counts from when it came in, by the clock of `now`; `nil` for just
    /// now. However long it waited for the core, a peer is not taken for one that asks too fast.
    case streamOpened(StreamRef, ProtocolID, arrived: Instant? = nil)
    /// The remote agreed to a stream that this side opened.
    case streamAccepted(StreamRef, ProtocolID)
    /// A whole message, and when it came in.
    case message(StreamRef, [UInt8], arrived: Instant? = nil)
    /// The remote will send no more on the stream.
    case streamFinished(StreamRef)
    /// The stream is gone: `nil` when both sides had finished.
    case streamEnded(StreamRef, ChannelError?)
    /// The stream's queue has room again after `blocked`.
    case writable(StreamRef)
    /// The stream's queue is over its high watermark; sends are still accepted up to the connection's limit.
    case blocked(StreamRef)
    /// What came of a task of discovery.
    case discovered(DiscoveryReport)
    /// What the embedding program or operator asks for.
    case command(Command)
    /// `nextDeadline` may have passed; harmless when it has not.
    case timer
  }

  /// What the host wants done.
  public enum Output: Sendable {
    /// Connect to the address and run the handshake; answer with `established` or `failed`.
    case dial(ConnectionID, Multiaddr, expecting: PeerID?, timeout: Duration)
    /// Run the handshake of a connection that was announced by `accepted`; answer with `established` or `failed`.
    case accept(ConnectionID)
    /// Give up a dial, unless `established` was told already.
    case yield(ConnectionID)
    /// The link may be used: deliver its streams.
    case admit(ConnectionID)
    /// The link gives way to another one of the same peer: this side opens no more on it, but deliver what the remote does there. `close`
    /// follows.
    case drain(ConnectionID)
    /// Send what is queued, at most for a second, then close the link or give up the dial. `closed` or `failed` follows.
    case close(ConnectionID, Reason)
    /// Open a stream under the given name; framing is the first protocol's entry in the table.
    case open(StreamRef, [ProtocolID])
    /// Open a stream for the application that waits under the token.
    case openApplication(StreamRef, PeerID, [ProtocolID], token: UInt64)
    /// An application's stream cannot be opened.
    case applicationRefused(token: UInt64, RequestError)
    /// Queue one message, or raw bytes.
    case send(StreamRef, [UInt8])
    /// This side will send no more on the stream.
    case finish(StreamRef)
    /// Give the stream up at once; the peer is told the code.
    case reset(StreamRef, code: ResetCode = .unspecified)
    /// The protocols that this host answers have changed.
    case protocols(ProtocolTable)
    /// Changes to the peer book, to be made durable some time soon.
    case book(WriteBatch)
    /// Do something for discovery; its report, if it has one, comes back as `discovered`.
    case discover(DiscoveryTask)
    /// Something that the embedding program may want to know.
    case event(Event)
  }

  /// What the embedding program asks the host for.
  public enum Command: Sendable {
    /// Dial a peer; with `keep`, again and for ever when the link is lost.
    case dial(PeerAddress, keep: Bool)
    /// Tell of addresses from a source that has not been proven.
    case learned([PeerAddress], PeerSource)
    /// So many outbound links more than the minimum are wanted until further notice, up to the maximum.
    case seekMore(Int)
    /// Look a name up when peers under it are wanted, now and again.
    case resolve(NameFinder.Name, NameFinder.Role)
    /// Close the link to a peer.
    case disconnect(PeerID, Reason)
    /// Dial peers by itself from now on; needed only with ``PeeringConfiguration/waitsForStart``.
    case start
    /// Send a request; the answer is the event `response` with the same ID. `isApplications`: how often the peer may be asked is between the
    /// application and its peers, so that the request never waits for the rates of this host's own protocols, and the peer is not blamed for the
    /// size or form of its answer.
    case request(RequestID, PeerID, ProtocolID, [UInt8], timeout: RequestTimeout, isApplications: Bool = false)
    /// Give a request up: its stream is reset, and no event follows.
    case cancelRequest(RequestID)
    /// Answer a peer's request.
    case respond(StreamRef, [UInt8])
    /// Refuse a peer's request: its stream is reset.
    case decline(StreamRef, code: ResetCode = .unspecified)
    /// The application wants a stream of one of these protocols, by preference.
    case openApplicationStream(token: UInt64, PeerID, [ProtocolID])
    /// The application answers this protocol, or no longer does (`nil`). With a rate of its own its requests count on that alone, and nobody
    /// is blamed for asking too often, too much, or in another form; otherwise they count on ``RateLimits/peer``.
    case serve(ProtocolID, ProtocolTable.Entry?, rate: RateLimits.Rate? = nil)
    /// Look something up or store it (Kademlia); events with the same ID follow, the last is `lookedUp`.
    case lookUp(LookUpID, Kademlia.Query)
    /// Give a look-up up.
    case cancelLookUp(LookUpID)
    /// Tell others no more that this host provides what the key names.
    case stopProviding([UInt8])
    /// Answer others' look-ups from now on, or only ask.
    case setKademliaMode(Kademlia.Mode)
    /// Take part in a topic.
    case subscribe(Topic, TopicConfiguration)
    /// Leave a topic.
    case unsubscribe(Topic)
    /// What holds for a topic that is published on without a subscription.
    case configure(Topic, TopicConfiguration)
    /// Publish to a topic.
    case publish(Topic, [UInt8])
    /// The application's verdict on a message that it was asked to validate.
    case validated(MessageID, Topic, ValidationVerdict)
    /// A peer passed the chain's own handshake.
    case introduce(PeerID)
    /// A peer failed the chain's own handshake.
    case refuse(PeerID, Reason)
    /// A peer refused this host in the chain's own handshake.
    case refusedBy(PeerID, Reason)
    /// A peer did something that counts against it.
    case report(PeerID, Offence, detail: String = "")
    /// A peer was of use: it keeps its place in a full house.
    case useful(PeerID, PeerUse)
    /// Keep somebody out, for a time or until it is lifted.
    case ban(BanSubject, for: Duration?, String)
    /// Lift a ban.
    case unban(BanSubject)
    /// An operator asks for something; the event `operated` with the same ID answers in this turn.
    case operate(OperationID, OperatorCommand)
    /// Say goodbye to everyone and dial no more.
    case stop
  }

  /// What the host tells the embedding program.
  public enum Event: Sendable {
    /// The host listens on these addresses.
    case listening([Multiaddr])
    /// A peer is proven and its link is chosen; the chain's handshake may begin.
    case peerProven(PeerID, ConnectionID, Direction, remote: Multiaddr)
    /// A peer is active: introduced, or proven where no introduction is needed.
    case peerActive(PeerID)
    /// The link to a peer ended.
    case peerGone(PeerID, Reason)
    /// What a peer says of itself.
    case identified(PeerID, IdentifyInfo)
    /// A peer asks; answer with `respond` or `decline`.
    case request(InboundRequest)
    /// An answer to a peer has left, or will not be read, and why: see ``HostCore/unsentAnswerBytes(of:)``. A peer that has its answer may
    /// reset the stream without a reason.
    case answered(PeerID, ProtocolID, ChannelError?)
    /// The answer to a request of this side.
    case response(RequestID, Result<[UInt8], RequestError>)
    /// A look-up has found something and goes on.
    case lookUp(LookUpID, Kademlia.Progress)
    /// A look-up has ended.
    case lookedUp(LookUpID, Kademlia.Outcome)
    /// A message of a subscribed topic.
    case gossip(GossipMessage)
    /// A message that waits for the application's verdict before it is passed on.
    case validate(GossipMessage)
    /// A message of this side went out to the mesh under this ID.
    case published(Topic, MessageID)
    /// A message of this side was not published.
    case publishFailed(Topic, PublishError)
    /// A topic was not subscribed to.
    case subscribeFailed(Topic, SubscribeError)
    /// What happened in the mesh.
    case mesh(GossipEvent)
    /// Connections could not be taken; how many, and why.
    case notAccepted(Int, Reason)
    /// What happened with peers; for logs, metrics and `explain`.
    case peering(PeeringEvent)
    /// What came of an operator's command.
    case operated(OperationID, OperatorAnswer)
    /// What happened in discovery; for logs.
    case discovery(DiscoveryEvent)
  }
}
