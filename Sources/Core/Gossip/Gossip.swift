import Identity
import Wire

/// The gossipsub router (libp2p/specs `pubsub/gossipsub` v1.0, v1.1, v1.2) as one pure machine.
///
/// It sees peers and whole RPCs; opening the two one-way streams of each peer and framing RPCs with a length is the host's business.
/// A peer's stream starts blocked: nothing is sent before ``Input/writable(_:)``. `now` never goes backwards; a spurious
/// ``Input/timer`` is harmless; after each call re-read ``nextDeadline``.
///
/// A class because its peers and topics refer to each other; it belongs to one owner and one thread.
public final class Gossip {
  /// What the router is told.
  public enum Input: Sendable {
    /// A peer that speaks pubsub is connected, and a stream to it is opened; `direction` says who dialled. A second time for one peer starts
    /// it afresh.
    case peerConnected(PeerID, GossipProtocol, Direction)
    /// The last connection to the peer ended.
    case peerDisconnected(PeerID)
    /// The stream to the peer is gone, and what waited for it. The peer's own stream is another one: its subscriptions and messages count.
    case outboundLost(PeerID)
    /// There is a stream to the peer again, perhaps on another connection: the peer hears everything from the beginning.
    case outboundOpened(PeerID, Direction)
    /// The peer opened the stream that it writes to. If it is not the first one, everything starts from the beginning: the peer says anew
    /// what it subscribes to, and may have forgotten what this side does. Until then its old word holds, for it may not have seen the old
    /// stream's end.
    case inboundOpened(PeerID)
    /// One RPC from the peer, without its length prefix.
    case received(PeerID, [UInt8])
    /// The outbound stream to the peer can take more.
    case writable(PeerID)
    /// The outbound stream to the peer should not be given more for now.
    case blocked(PeerID)
    /// This side wants the topic's messages. A second time replaces the configuration. ``Output/subscribeFailed(_:_:)`` comes when it is one
    /// topic too many.
    case subscribe(Topic, TopicConfiguration)
    /// This side no longer wants the topic's messages.
    case unsubscribe(Topic)
    /// What holds for a topic that is published on without a subscription.
    case configure(Topic, TopicConfiguration)
    /// Publish data; the answer is ``Output/published(_:_:)`` or ``Output/publishFailed(_:_:)``.
    case publish(Topic, [UInt8])
    /// The verdict on a message that went out in ``Output/validate(_:)``; nothing happens when it is no longer waited for.
    case validated(MessageID, topic: Topic, ValidationVerdict)
    /// The peer's score from now on; 0 after it connects.
    case score(PeerID, Double)
    /// Time passed.
    case timer
  }

  /// What the router asks for.
  public enum Output: Hashable, Sendable {
    /// Write one RPC, with its length in front, to the outbound stream.
    case send(PeerID, [UInt8])
    /// A message for the application; on topics with validation after it was accepted. Own messages are not delivered.
    case deliver(GossipMessage)
    /// The application is to judge the message.
    case validate(GossipMessage)
    /// The peer broke a rule.
    case report(PeerID, GossipOffence)
    /// The message went out under this id.
    case published(Topic, MessageID)
    /// The message did not go out.
    case publishFailed(Topic, PublishError)
    /// The topic is not subscribed to.
    case subscribeFailed(Topic, SubscribeError)
    /// A well-scored peer suggests others for the topic.
    case suggested(Topic, [SuggestedPeer], by: PeerID)
    /// For people and counters.
    case event(GossipEvent)
  }

  /// A quick look at long messages, by which the application refuses what is certainly forged before it is hashed, kept and judged. Its
  /// sender is to blame.
  public struct Screen: Sendable {
    /// Shorter messages are not looked at: judging them costs no more than the look.
    public let minimumBytes: Int
    /// Whether data of a topic is forged. Pure, bounded in time whatever the data, and never true for what an honest peer forwards.
    public let isForged: @Sendable (Topic, RawSpan) -> Bool

    /// Makes a screen.
    public init(minimumBytes: Int, isForged: @escaping @Sendable (Topic, RawSpan) -> Bool) {
      self.minimumBytes = minimumBytes
      self.isForged = isForged
    }
  }

  /// The numbers that the router runs by.
  public let configuration: Configuration
  /// The application's quick look at long messages; none by default.
  public var screen: Screen?

  let crypto: any CryptoSuite
  let key: NodeKey?
  var generator: SeededGenerator
  var sequence: UInt64

  var peers: [PeerID: GossipPeer] = [:]
  var topics: [Topic: TopicState] = [:]
  var topicConfigurations: [Topic: TopicConfiguration] = [:]
  /// The subscribed topics in order; few, so that the wire's names are found by comparing.
  var subscribed: [TopicState] = []
  /// The topics that hold anything but peers' subscriptions, in order. What peers subscribe to costs no time beyond these.
  var active: [TopicState] = []

  var pendingOrder = FIFO<PendingValidation>()
  var pendingCount = 0
  var pendingBytes = 0
  var promises: [MessageID: Promise] = [:]
  var promiseOrder = FIFO<MessagePromise>()

  /// Peers with changes to be told at the end of the input, in the order in which they came up.
  var dirty: [GossipPeer] = []
  var draining: [GossipPeer] = []
  var nextHeartbeat: Instant
  var lastNow: Instant
  var counters = GossipStatistics()

  /// Who promised a message and until when it should be here.
  struct Promise {
    let peer: PeerID
    let deadline: Instant
  }
  struct MessagePromise {
    let id: MessageID
    let deadline: Instant
  }

  /// Makes a router without peers and topics; traps when the configuration has a ``Configuration/fault``.
  /// - Parameters:
  ///   - key: what signed topics are published with; `nil` when there are none.
  ///   - seed: decides every choice by lot.
  ///   - firstSequence: the sequence number before the first message's; larger than in any earlier life of the key, as the wall
  ///     clock's nanoseconds are.
  ///   - now: the present; the first heartbeat comes within one interval from it.
  public init(
    configuration: Configuration = .init(), key: NodeKey? = nil, crypto: any CryptoSuite, seed: UInt64, firstSequence: UInt64 = 0,
    now: Instant
  ) {
    if let fault = configuration.fault { preconditionFailure(fault) }
    self.configuration = configuration
    self.key = key
    self.crypto = crypto
    generator = SeededGenerator(seed: seed)
    sequence = firstSequence
    lastNow = now
    nextHeartbeat = now + generator.jitter(configuration.heartbeatInterval)
  }

  /// Takes one input and appends what follows from it.
  public func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    lastNow = now
    switch input {
    case .received(let peer, let bytes): receive(bytes, from: peer, now: now, into: &outputs)
    case .writable(let peer): becomeWritable(peer, into: &outputs)
    case .blocked(let peer): peers[peer]?.isWritable = false
    case .publish(let topic, let data):
      do throws(PublishError) {
        let id = try publish(data, on: topic, now: now, into: &outputs)
        outputs.append(.published(topic, id))
      } catch {
        outputs.append(.publishFailed(topic, error))
      }
    case .validated(let id, let topic, let verdict): settle(id, topic: topic, verdict, now: now, into: &outputs)
    case .peerConnected(let peer, let version, let direction): connect(peer, version, direction, now: now, into: &outputs)
    case .peerDisconnected(let peer): disconnect(peer, into: &outputs)
    case .outboundLost(let peer): loseOutbound(peer, into: &outputs)
    case .outboundOpened(let peer, let direction): openOutbound(peer, direction, now: now, into: &outputs)
    case .inboundOpened(let peer): openInbound(peer, into: &outputs)
    case .subscribe(let topic, let configuration):
      do throws(SubscribeError) {
        try subscribe(to: topic, configuration, now: now, into: &outputs)
      } catch {
        outputs.append(.subscribeFailed(topic, error))
      }
    case .unsubscribe(let topic): unsubscribe(from: topic, now: now, into: &outputs)
    case .configure(let topic, let configuration): configure(topic, configuration)
    case .score(let peer, let score): peers[peer]?.score = score
    case .timer: timer(now: now, into: &outputs)
    }
    flush(into: &outputs)
  }

  /// Takes one input and returns what follows from it; for tests.
  public func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// When ``Input/timer`` is wanted next.
  public var nextDeadline: Instant? {
    if !draining.isEmpty { return lastNow }
    guard let pending = pendingOrder.first else { return nextHeartbeat }
    return min(nextHeartbeat, pending.deadline)
  }

  private func timer(now: Instant, into outputs: inout [Output]) {
    continueDraining(into: &outputs)
    expireValidations(now: now, into: &outputs)
    if now >= nextHeartbeat {
      heartbeat(now: now, into: &outputs)
      nextHeartbeat = now + configuration.heartbeatInterval
    }
  }

  /// Appends a report and counts it.
  func report(_ peer: PeerID, _ offence: GossipOffence, into outputs: inout [Output]) {
    counters.offences += 1
    outputs.append(.report(peer, offence))
  }
}
