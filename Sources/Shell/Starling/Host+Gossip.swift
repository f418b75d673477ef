import Gossip
import HostCore
import Identity
import Wire

extension Host {
  /// How a topic's messages wait for their reader and who judges them.
  public struct SubscriptionConfiguration: Sendable {
    /// What holds for the topic's messages. Default unsigned, named by their content.
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

  /// Publishes a message. It need not be subscribed to, and is not delivered to this host's own subscriptions.
  ///
  /// - Returns: the name that peers know the message by.
  /// - Throws: ``HostError`` `publishFailed` (too large, or published before: the cause is a `PublishError`), `gossipDisabled`, `closed`.
  @discardableResult
  public func publish(_ topic: Topic, _ data: [UInt8]) async throws -> MessageID { try await engine.publish(topic, data) }

  /// The peers that messages of a topic are exchanged with, in order.
  public func meshPeers(_ topic: Topic) async -> [PeerID] {
    (try? await engine.ask { machine, _ in machine.gossip?.meshPeers(topic) ?? [] }) ?? []
  }

  /// The connected peers that take part in a topic, in order.
  public func topicPeers(_ topic: Topic) async -> [PeerID] {
    (try? await engine.ask { machine, _ in machine.gossip?.topicPeers(topic) ?? [] }) ?? []
  }
}
