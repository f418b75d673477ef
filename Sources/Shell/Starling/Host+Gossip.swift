import Gossip
import HostCore
import Identity
import Wire

extension Host {
  /// How a topic's messages wait for their reader and who judges them.
  public struct SubscriptionConfiguration: Sendable {
    /// What holds for the topic's messages; all peers of the topic must agree. Default signed and named by author and number, as go-libp2p,
    /// rust-libp2p and py-libp2p have it.
    public var topic = TopicConfiguration()
    /// Messages that wait for the reader; the oldest is dropped. Default 1,024.
    public var bufferMaximum = 1_024
    /// Decides whether a message is worth spreading, before it is delivered or passed on. Default nobody.
    public var validator: (@Sendable (GossipMessage) async -> ValidationVerdict)?

    /// Makes a configuration.
    public init(
      topic: TopicConfiguration = .init(), bufferMaximum: Int = 1_024,
      validator: (@Sendable (GossipMessage) async -> ValidationVerdict)? = nil
    ) {
      self.topic = topic
      self.bufferMaximum = bufferMaximum
      self.validator = validator
    }
  }

  /// Takes part in a topic. Several subscriptions to one topic each get every message; the latest configuration holds for all.
  ///
  /// - Throws: ``HostError`` `subscribeFailed` (more topics than peers take note of: the cause is a `SubscribeError`), `gossipDisabled` or
  ///   `closed`.
  public func subscribe(_ topic: Topic, _ configuration: SubscriptionConfiguration = .init()) async throws -> Subscription {
    try await engine.subscribe(topic, configuration)
  }

  /// Leaves a topic; its subscriptions end.
  public func leave(_ topic: Topic) async { await engine.leave(topic) }

  /// Publishes a message, which is not delivered to this host's own subscriptions. A topic that is not subscribed to can be published on as
  /// well: the message goes to the connected peers that take part in it.
  ///
  /// - Parameters:
  ///   - topic: where.
  ///   - data: what.
  ///   - rules: what the peers of a topic that this host is not subscribed to have agreed on, for this message and those that follow.
  ///     Default as it was given before, at first signed as peers do by default. Peers do not take messages that are against their rules.
  /// - Returns: the name that peers know the message by.
  /// - Throws: ``HostError`` `publishFailed` (too large, or published before: the cause is a `PublishError`; or rules for a topic that is
  ///   subscribed to), `gossipDisabled`, `closed`.
  @discardableResult
  public func publish(_ topic: Topic, _ data: [UInt8], rules: TopicConfiguration? = nil) async throws -> MessageID {
    try await engine.publish(topic, data, rules)
  }

  /// The peers that messages of a topic are exchanged with, in order.
  public func meshPeers(_ topic: Topic) async -> [PeerID] {
    (try? await engine.ask { machine, _ in machine.gossip?.meshPeers(topic) ?? [] }) ?? []
  }

  /// The connected peers that take part in a topic, in order.
  public func topicPeers(_ topic: Topic) async -> [PeerID] {
    (try? await engine.ask { machine, _ in machine.gossip?.topicPeers(topic) ?? [] }) ?? []
  }
}
