import Identity
import Wire

extension Gossip {
  /// Every number of the router; `.init()` gives the specification's values (gossipsub v1.0 "Parameters", v1.1 "Overview of New
  /// Parameters") and bounds that suit a node with some hundred peers.
  public struct Configuration: Sendable {
    /// D: the mesh degree aimed at for each topic.
    public var meshDegree = 6
    /// D_lo: fewer mesh peers than this and the heartbeat grafts up to ``meshDegree``.
    public var meshDegreeLow = 5
    /// D_hi: more mesh peers than this and the heartbeat prunes down to ``meshDegree``.
    public var meshDegreeHigh = 12
    /// D_lazy: the fewest peers outside the mesh that hear of new messages in each heartbeat.
    public var lazyDegree = 6
    /// D_out: mesh peers that this side dialled, so that inbound peers cannot surround it. Below D_lo, at most D/2.
    public var outboundDegree = 2
    /// D_score: mesh peers that survive pruning for their score; the rest survive by lot.
    public var scoreDegree = 4
    /// The share of the other peers that hear of new messages, when that is more than ``lazyDegree``.
    public var gossipFactor = 0.25

    /// The time between heartbeats.
    public var heartbeatInterval: Duration = .seconds(1)
    /// How long neither side grafts again after a PRUNE.
    public var pruneBackoff: Duration = .seconds(60)
    /// The same after this side left the topic.
    public var unsubscribeBackoff: Duration = .seconds(10)
    /// How much longer than the backoff this side waits, for the other side's clock to agree.
    public var backoffSlack: Duration = .seconds(1)
    /// The longest backoff that a peer may impose.
    public var backoffMaximum: Duration = .seconds(3600)
    /// How long peers chosen for publishing to a topic without a subscription are kept after the last message.
    public var fanoutLifetime: Duration = .seconds(60)
    /// The heartbeats for which a message can be asked for.
    public var historyLength = 5
    /// The heartbeats for which a message is announced.
    public var historyGossip = 3
    /// The shortest time for which a message is recognised as a duplicate; the longest is twice that.
    public var seenLifetime: Duration = .seconds(120)
    /// How long a peer has to send what it announced and was asked for.
    public var promiseLifetime: Duration = .seconds(3)
    /// How long the application may take over a message; then it counts as ignored.
    public var validationLifetime: Duration = .seconds(5)

    /// Whether own messages go to every peer of the topic rather than to the mesh (v1.1 "Flood Publishing").
    public var floodsOwnMessages = true
    /// Peers with a standing agreement: outside the mesh, always sent to, never scored (v1.1 "Explicit Peering Agreements").
    public var directPeers: Set<PeerID> = []
    /// Heartbeats between attempts to better a mesh of low scores.
    public var opportunisticGraftHeartbeats = 60
    /// Peers grafted in such an attempt.
    public var opportunisticGraftPeers = 2
    /// The scores at which a peer loses or gains rights.
    public var thresholds = Thresholds()
    /// Whether each duplicate is an event; scoring wants them, otherwise the counters suffice.
    public var reportsDuplicates = false

    /// The largest RPC accepted or sent. A topic with larger messages needs a larger limit, up to 16 MiB.
    public var maximumRPCBytes = 1 << 20
    /// Where RPCs of control messages are split; 64 KiB is what rust-libp2p accepts by default.
    public var maximumControlBytes = 65_000
    /// The most ids read of one IHAVE, and asked of one peer in a heartbeat.
    public var maximumIHaveIDs = 5_000
    /// The most RPCs with IHAVE heeded from one peer in a heartbeat; further ones are ignored. A peer sends one in each of its own heartbeats,
    /// which may be shorter than this side's.
    public var maximumIHaveMessages = 10
    /// How often one peer gets the same message by asking.
    public var retransmissionLimit = 3
    /// The most IDONTWANT ids heeded from one peer in a heartbeat; further ones are ignored.
    public var maximumDontWantIDs = 10_000
    /// Messages from this size on are announced by IDONTWANT before the application validates them.
    public var dontWantBytes = 1_024
    /// The same for topics without validation, where the message itself follows at once: worth it only when sending takes longer.
    public var dontWantBytesWithoutValidation = 16_384
    /// The most signatures of one peer that are checked in vain in a heartbeat; its further signed messages are passed over until the next.
    /// A check costs about 0.1 ms.
    public var maximumFailedChecks = 128
    /// The most bytes of topics that are kept of one peer, and that this side subscribes to. Each topic counts with its name and
    /// ``subscriptionOverhead``. Default 512 KiB: some 780 topics of 70 bytes, where the largest networks have 162 of them.
    ///
    /// A peer's topics beyond it are ignored, and nobody is blamed; those that this side is subscribed to are always kept. This side's own
    /// are refused: other ends of the same settings would not hear of them.
    public var maximumSubscriptionBytes = 512 << 10
    /// What a topic costs beside its name: about what is kept of one that a single peer has named.
    public static let subscriptionOverhead = 600
    /// The most subscriptions heeded from one peer in a heartbeat; further ones are ignored.
    public var maximumSubscriptionChanges = 8_192
    /// The most peers of exchange read from a PRUNE.
    public var maximumExchangedPeers = 16
    /// The most ids remembered as seen for a topic, about 64 bytes each; the oldest half goes first.
    public var maximumSeen = 262_144
    /// The most messages kept for IWANT in a topic; the oldest goes first.
    public var maximumCached = 65_536
    /// The most bytes kept for IWANT in a topic; the oldest goes first.
    public var maximumCachedBytes = 64 << 20
    /// The most messages with the application for validation; further ones are dropped and may come again. One peer may have brought a quarter
    /// of them.
    public var maximumPendingValidations = 8_192
    /// The most bytes with the application for validation; further messages are dropped and may come again. One peer may have brought a quarter
    /// of them.
    public var maximumPendingBytes = 64 << 20
    /// The most fields of RPCs that are read of one peer in a heartbeat, whatever they say: what small ones cost hardly depends on their bytes.
    /// Further RPCs are dropped unread until the next, and the peer is reported once. Default 262,144, some 10 ms of a core: several times what
    /// a busy network's messages have.
    public var maximumFields = 262_144
    /// The most announced ids that are asked for and waited for at a time. Each peer has a share of it, 64 at least, so that a peer that
    /// announces what it does not have keeps no other from being asked.
    public var maximumPromises = 20_000
    /// The most backoffs remembered for a topic, of peers that left too; when full new ones are not remembered.
    public var maximumBackoffs = 4_096

    /// The most RPCs that wait for one peer whose stream is blocked; see ``OutboundQueue``.
    public var maximumQueuedFrames = 8_192
    /// The most bytes that wait for one peer. Frames are shared between peers, so the memory is less than the sum.
    public var maximumQueuedBytes = 16 << 20
    /// The bytes that leave a queue for one `writable`; the rest follows at the next timer unless the host says blocked.
    public var burstBytes = 1 << 20

    /// The configuration of topics that are used without one.
    public var defaultTopic = TopicConfiguration()

    /// Makes the default configuration.
    public init() {}

    /// What contradicts itself; `nil` when nothing does.
    public var fault: String? {
      if maximumRPCBytes > 16 << 20 { return "RPCs have at most 16 MiB, not \(maximumRPCBytes) bytes" }
      guard outboundDegree < meshDegreeLow, outboundDegree <= meshDegree / 2, meshDegreeLow <= meshDegree, meshDegree <= meshDegreeHigh
      else {
        return "mesh degrees must satisfy out < low <= degree <= high and out <= degree / 2"
      }
      return nil
    }
  }

  /// Scores at which a peer loses or gains rights (v1.1 "Score Thresholds"). Below 0 a peer leaves every mesh.
  ///
  /// The host's scale: a peer is disconnected at 18 points of offences, of which the first 10 do not count here.
  public struct Thresholds: Hashable, Sendable {
    /// Below: no lazy gossip to or from the peer.
    public var gossip = -2.0
    /// Below: own messages are not flooded to the peer.
    public var publish = -4.0
    /// Below: everything from the peer is ignored unread. With the host's scores only a must-keep peer gets there: any other has lost its
    /// link by then, so that no peer can fill this node's line with messages that it ignores.
    public var graylist = -8.0
    /// From this on: the peers that it suggests are passed on.
    public var acceptExchange = 100.0
    /// When the mesh's median is below, better peers are grafted.
    public var opportunisticGraft = 1.0

    /// Makes the default thresholds.
    public init() {}
  }
}

/// Who signs the messages of a topic (pubsub "Message Signing").
public enum SigningPolicy: Hashable, Sendable {
  /// Author, sequence number and signature must be there and right.
  case strictSign
  /// None of author, sequence number, signature and key may be there.
  case strictNoSign
}

/// How a message's id comes about. All peers of a topic must agree.
public enum MessageIdentification: Hashable, Sendable {
  /// The author's PeerID and the sequence number's eight bytes: libp2p's default, for signed topics.
  case fromAndSequence
  /// The first 20 or all 32 bytes of the data's SHA-256.
  case contentHash(bytes: Int)
}

/// Who decides whether a message is worth spreading.
public enum ValidationPolicy: Hashable, Sendable {
  /// What passes the structural checks and the signature is delivered and forwarded at once.
  case none
  /// The application decides: `validate` goes out, `validated` comes back.
  case application
}

/// What holds for the messages of one topic.
public struct TopicConfiguration: Hashable, Sendable {
  /// Who signs.
  public let signing: SigningPolicy
  /// How ids come about.
  public let identification: MessageIdentification
  /// Who validates.
  public var validation: ValidationPolicy
  /// The most bytes of data in a message; default a little under 1 MiB, so that it fits the default RPC limit.
  public var maximumMessageBytes: Int

  /// Makes a configuration, by default of signed messages, as go-libp2p, rust-libp2p and py-libp2p have them. Unsigned messages have no
  /// author, so they need a content hash; a hash has 20 or 32 bytes.
  public init(
    signing: SigningPolicy = .strictSign, identification: MessageIdentification? = nil, validation: ValidationPolicy = .none,
    maximumMessageBytes: Int = (1 << 20) - 4_096
  ) {
    let identification = identification ?? (signing == .strictSign ? .fromAndSequence : .contentHash(bytes: 32))
    switch identification {
    case .fromAndSequence: precondition(signing == .strictSign, "ids from author and sequence need signed messages")
    case .contentHash(let bytes): precondition(bytes == 20 || bytes == 32, "a content hash has 20 or 32 bytes, not \(bytes)")
    }
    self.signing = signing
    self.identification = identification
    self.validation = validation
    self.maximumMessageBytes = maximumMessageBytes
  }
}
