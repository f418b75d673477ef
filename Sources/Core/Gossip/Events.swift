import Identity
import Wire

/// What a peer did that it should not have done. The host maps each to its own table of scores.
public enum GossipOffence: Hashable, Sendable {
  /// An RPC that is not a protobuf message of the expected shape.
  case malformedRPC
  /// An RPC above the configured maximum, in bytes.
  case oversizedRPC(Int)
  /// A message that the peer should not have forwarded; see ``RejectionReason/isForwardersFault``.
  case invalidMessage(Topic, RejectionReason)
  /// GRAFT before the backoff was over.
  case graftDuringBackoff(Topic)
  /// This many messages that the peer announced and was asked for did not come in time.
  case brokenPromises(Int)
  /// RPCs of more fields than are read in one heartbeat.
  case tooManyFields
  /// The peer reads too slowly: this many frames for it were dropped since the last heartbeat.
  case slow(dropped: Int)
}

/// Why a message was refused. It is neither delivered nor forwarded, and not remembered: another one with its id has its chance.
public enum RejectionReason: String, Hashable, Sendable, CaseIterable {
  /// Data and unknown signed fields above the topic's maximum.
  case tooLarge
  /// A field is there that the policy forbids.
  case forbiddenField
  /// A field that the policy demands is absent, or in another form than all stacks read.
  case missingField
  /// A signed message whose fields are not as all stacks write them: twice, out of order, in a longer form or of another type.
  case ambiguousForm
  /// The key does not belong to the author, or there is none.
  case wrongKey
  /// The signature is not the author's, and no stack can find that it is.
  case badSignature
  /// The signature is not the author's, but stacks differ on messages or signatures of this form.
  case disputedSignature
  /// Too many signatures of this peer were checked in vain since the last heartbeat: this one was not looked at.
  case tooManyFailedChecks
  /// The application's quick look (``Gossip/screen``) found it forged.
  case forged
  /// The application refused it.
  case refusedByApplication

  /// Whether the peer that forwarded the message is to blame. Where stacks judge a message differently, an honest forwarder of another
  /// stack must not pay for it: a single author could otherwise take all its links from it.
  public var isForwardersFault: Bool { self == .badSignature || self == .forged || self == .refusedByApplication }
}

/// Why a peer left the mesh.
public enum PruneReason: String, Hashable, Sendable, CaseIterable {
  /// The peer said PRUNE.
  case byPeer
  /// The mesh was too large.
  case excess
  /// The score fell below zero.
  case score
  /// The peer left the topic.
  case peerUnsubscribed
  /// This side left the topic.
  case unsubscribed
  /// The connection ended.
  case disconnected
  /// One of the two streams with the peer ended; the mesh is joined again with the next one.
  case streamEnded
}

/// Something worth showing or counting; no reaction is needed.
public enum GossipEvent: Hashable, Sendable {
  /// A peer announced a topic.
  case peerSubscribed(PeerID, Topic)
  /// A peer left a topic.
  case peerUnsubscribed(PeerID, Topic)
  /// A peer entered the mesh of a topic.
  case grafted(PeerID, Topic)
  /// A peer left the mesh of a topic.
  case pruned(PeerID, Topic, PruneReason)
  /// A message came again; only with ``Gossip/Configuration/reportsDuplicates``.
  case duplicate(MessageID, Topic, from: PeerID)
  /// A message was refused for which its forwarder is not to blame.
  case refused(Topic, RejectionReason, from: PeerID)
  /// The application took too long over a message; it may come again.
  case validationExpired(MessageID, Topic)
  /// The stream to a peer ended, and why: nothing goes to it until the stream is opened again after `retryIn`. `nil`: it is given up until
  /// the peer says anew that it speaks gossip. What comes from the peer is heard all the same.
  case streamLost(PeerID, String, retryIn: Duration?)
}

/// The application's word on a message.
public enum ValidationVerdict: Hashable, Sendable {
  /// Deliver it and pass it on.
  case accept
  /// It is bad: don't pass it on, and hold it against everyone who sent it.
  case reject
  /// Don't pass it on, and blame nobody. Further copies are ignored too.
  case ignore
  /// Don't pass it on, blame nobody, and forget that it came: it could not be judged now, and the next copy is looked at afresh.
  case postpone
}

/// A peer that a pruning peer suggests instead of itself.
public struct SuggestedPeer: Hashable, Sendable {
  /// The peer's name, unproven.
  public let peer: PeerID
  /// The bytes of a signed envelope with its addresses, unchecked; `nil` when none came.
  public let record: [UInt8]?
}

/// Why a message could not be published.
public enum PublishError: Error, Hashable, Sendable {
  /// The data, or the whole RPC, is above the maximum in bytes.
  case tooLarge(bytes: Int, maximum: Int)
  /// The topic needs signatures and the router has no key.
  case noKey
  /// A message with this id was seen already.
  case duplicate(MessageID)
}

/// Why a topic could not be subscribed to.
public enum SubscribeError: Error, Hashable, Sendable {
  /// Peers would not take note of so many topics: their bytes with this one, and the maximum
  /// (``Gossip/Configuration/maximumSubscriptionBytes``).
  case tooManyTopics(bytes: Int, maximum: Int)
}

/// Counters since the start; they only grow.
public struct GossipStatistics: Hashable, Sendable {
  /// Heartbeats run.
  public internal(set) var heartbeats = 0
  /// RPCs received, unreadable ones too.
  public internal(set) var rpcsIn = 0
  /// RPCs handed to the host.
  public internal(set) var rpcsOut = 0
  /// Bytes of RPCs received.
  public internal(set) var bytesIn = 0
  /// Bytes of RPCs handed to the host.
  public internal(set) var bytesOut = 0
  /// Messages received on subscribed topics, duplicates included.
  public internal(set) var messagesReceived = 0
  /// Messages on topics that this side is not subscribed to.
  public internal(set) var messagesUnwanted = 0
  /// Messages given to the application.
  public internal(set) var messagesDelivered = 0
  /// Messages published by this side.
  public internal(set) var messagesPublished = 0
  /// Messages received again.
  public internal(set) var duplicates = 0
  /// Messages refused by a rule or by the application.
  public internal(set) var rejected = 0
  /// Messages that the application ignored or postponed, in time or not.
  public internal(set) var ignored = 0
  /// Messages dropped because too many waited for validation.
  public internal(set) var validationDropped = 0
  /// Copies sent of own and forwarded messages.
  public internal(set) var messagesSent = 0
  /// Copies saved because the peer had said IDONTWANT or sent the message itself.
  public internal(set) var copiesSuppressed = 0
  /// Frames dropped from queues of slow peers.
  public internal(set) var framesDropped = 0
  /// Ids that peers announced with IHAVE.
  public internal(set) var idsAnnounced = 0
  /// Ids that this side asked for.
  public internal(set) var idsAsked = 0
  /// Messages that peers asked for and got.
  public internal(set) var messagesServed = 0
  /// IDONTWANT ids received.
  public internal(set) var dontWantReceived = 0
  /// RPCs ignored because the sender's score is too low.
  public internal(set) var graylisted = 0
  /// RPCs passed over because their senders had said more than is read in a heartbeat.
  public internal(set) var rpcsPassedOver = 0
  /// Offences reported.
  public internal(set) var offences = 0
  /// Elements of RPCs beyond what is read or heeded: topics, announcements, ids, grafts.
  public internal(set) var ignoredElements = 0
}

/// One peer's counters since it connected.
public struct GossipPeerStatistics: Hashable, Sendable {
  /// Messages that came from this peer first.
  public internal(set) var firstDeliveries = 0
  /// Messages that had come from another peer already.
  public internal(set) var duplicates = 0
  /// Messages that were refused.
  public internal(set) var rejected = 0
  /// Bytes received from the peer.
  public internal(set) var bytesIn = 0
  /// Bytes handed to the host for the peer.
  public internal(set) var bytesOut = 0
  /// Frames dropped because the peer did not read.
  public internal(set) var framesDropped = 0
  /// Bytes that wait for the peer now.
  public internal(set) var bytesQueued = 0
}
