import Identity
import Peering
import SecureChannel
import Wire

/// What the host keeps of one proven link. A class, so that looking at it copies nothing; it belongs to its host.
final class Link {
  /// What a stream of the link is for.
  enum StreamRole {
    case pingAnswerer
    /// This side pings over it. The nonce is the last ping's, until the peer has answered in whatever way.
    case keepAlive(awaited: UInt64?)
    case identifyAnswerer
    case identifyPush(collected: [UInt8], messages: Int)
    /// This side tells the peer of a change.
    case identifyPusher
    case gossipIn
    case gossipOut
    case goodbye
    case oneWay
    /// The peer asks over it, any number of times.
    case kademlia(hasAsked: Bool)
    case request
  }

  let peer: PeerID
  let remote: Multiaddr
  let direction: Direction
  /// How long the handshake took.
  let setUpTime: Duration
  /// Requests in a row that brought no answer in time.
  var lateAnswers = 0
  /// Streams by name; the count is bounded by the connection's own limit on streams.
  var streams: [StreamID: StreamRole] = [:]
  var nextStream: UInt32 = 1
  var identity: IdentifyInfo?
  var isActive = false
  /// Whether the link gave way to another one of the same peer: this side opens nothing on it any more.
  var isDraining = false
  var push = IdentifyPush.none
  /// Whether the peer takes part in the peer exchange.
  var exchangesPeers = false
  var keepAlive: StreamID?
  /// Whether the remote has opened a stream to say why it closes.
  var hasGoodbye = false
  /// The reason that the remote gave for closing.
  var farewell: Reason?
  var isClosing = false
  /// What the peer may ask; its other links share it.
  let rates: InboundRates
  /// What the peer makes the host keep.
  let memory: MemoryScope

  init(peer: PeerID, remote: Multiaddr, direction: Direction, setUpTime: Duration, rates: InboundRates, memory: MemoryScope) {
    self.peer = peer
    self.remote = remote
    self.direction = direction
    self.setUpTime = setUpTime
    self.rates = rates
    self.memory = memory
  }

  func makeStream(_ connection: ConnectionID, _ role: StreamRole) -> StreamRef {
    let stream = StreamID.outbound(nextStream)
    nextStream += 1
    streams[stream] = role
    return StreamRef(connection: connection, stream: stream)
  }
}
