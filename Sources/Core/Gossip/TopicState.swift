import Identity
import Wire

/// A message that waits for the application's verdict.
final class PendingValidation {
  let message: GossipMessage
  let deadline: Instant
  /// Who sent it meanwhile, the first sender included: they need not get it, and answer for it if it is bad.
  var senders: [PeerID]
  /// Who brought it first, on whose account it waits.
  let bringer: GossipPeer
  var isSettled = false

  /// The most senders noted; far more than a mesh sends.
  static let maximumSenders = 128

  init(message: GossipMessage, deadline: Instant, bringer: GossipPeer) {
    self.message = message
    self.deadline = deadline
    self.bringer = bringer
    senders = [bringer.id]
  }
}

/// A topic that this side or a peer subscribes to or publishes on. All peer lists are in the order of PeerIDs.
final class TopicState {
  let topic: Topic
  let utf8: [UInt8]
  var configuration: TopicConfiguration
  var isSubscribed = false

  /// Everyone subscribed.
  var peers: [GossipPeer] = []
  /// The full-message peers while subscribed.
  var mesh: [GossipPeer] = []
  /// Subscribed peers that get every message outside the mesh: direct ones and those that only flood.
  var always: [GossipPeer] = []
  /// The peers published to without a subscription.
  var fanout: [GossipPeer] = []
  var fanoutExpiry = Instant.zero
  /// Until when a peer must not be grafted.
  var backoff: [PeerID: Instant] = [:]

  /// Ids of messages that passed every check, or whose bytes are known to be bad.
  var seen: IDWindow
  var seenRotation = Instant.zero
  var cache = MessageCache()
  var recent = RecentData()
  var pending: [MessageID: PendingValidation] = [:]

  init(topic: Topic, configuration: TopicConfiguration, seenCapacity: Int) {
    self.topic = topic
    utf8 = Array(topic.name.utf8)
    self.configuration = configuration
    seen = IDWindow(capacity: seenCapacity)
  }

  /// Whether there is anything here besides peers' subscriptions.
  var hasOwnState: Bool { isSubscribed || !fanout.isEmpty || cache.count > 0 || !seen.isEmpty || !backoff.isEmpty }
}
