import Gossip
import HostCore
import Identity
import Wire

/// Those who read a topic, and who judges its messages. The core thread's.
final class TopicReaders: @unchecked Sendable {
  private var readers: [(number: UInt64, continuation: AsyncStream<GossipMessage>.Continuation, counter: DropCounter)] = []
  var validator: (@Sendable (GossipMessage) async -> ValidationVerdict)?

  func add(_ number: UInt64, _ continuation: AsyncStream<GossipMessage>.Continuation, _ counter: DropCounter) {
    readers.append((number, continuation, counter))
  }

  func remove(_ number: UInt64) { readers.removeAll { $0.number == number } }

  func deliver(_ message: GossipMessage) {
    for reader in readers { if case .dropped = reader.continuation.yield(message) { reader.counter.increment() } }
  }

  func finish() { for reader in readers { reader.continuation.finish() } }
}

extension HostEngine {
  private func requireGossip() throws {
    if configuration.core.gossip == nil { throw HostError(.gossipDisabled, "the configuration's `gossip` is nil") }
  }

  func subscribe(_ topic: Topic, _ settings: Host.SubscriptionConfiguration) async throws -> Subscription {
    try requireGossip()
    var rules = settings.topic
    rules.validation = settings.validator == nil ? .none : .application
    let counter = DropCounter()
    let (stream, continuation) = AsyncStream.makeStream(
      of: GossipMessage.self, bufferingPolicy: .bufferingNewest(max(1, settings.bufferMaximum)))
    try await run { [rules] machine, now, outputs in
      if self.isClosing { throw Self.closedError }
      let before = outputs.count
      machine.handle(.command(.subscribe(topic, rules)), now: now, into: &outputs)
      for case .event(.subscribeFailed(topic, let error)) in outputs[before...] { throw HostError.wrap(error) }
      let readers = self.topics[topic] ?? TopicReaders()
      self.topics[topic] = readers
      readers.validator = settings.validator
      let number = self.nextNumber()
      readers.add(number, continuation, counter)
      continuation.onTermination = { [weak self] _ in self?.core.execute { _, _, _ in readers.remove(number) } }
    }
    return Subscription(topic: topic, stream: stream, counter: counter)
  }

  func leave(_ topic: Topic) async {
    _ = try? await run { machine, now, outputs in
      machine.handle(.command(.unsubscribe(topic)), now: now, into: &outputs)
      self.topics.removeValue(forKey: topic)?.finish()
    }
  }

  func publish(_ topic: Topic, _ data: [UInt8], _ rules: TopicConfiguration?) async throws -> MessageID {
    try requireGossip()
    do {
      return try await run { machine, now, outputs in
        if self.isClosing { throw Self.closedError }
        if let rules {
          // Those of a subscription are the subscriber's, and its readers count on them.
          if self.topics[topic] != nil {
            throw HostError(.publishFailed, "\(topic) is subscribed to: its rules are those of the subscription")
          }
          machine.handle(.command(.configure(topic, rules)), now: now, into: &outputs)
        }
        let before = outputs.count
        machine.handle(.command(.publish(topic, data)), now: now, into: &outputs)
        for case .event(let event) in outputs[before...] {
          switch event {
          case .published(topic, let id): return id
          case .publishFailed(topic, let error): throw error
          default: break
          }
        }
        throw HostError(.publishFailed, "the mesh gave no answer")
      }
    } catch {
      throw HostError.wrap(error)
    }
  }

  /// A message waits for its verdict; on the core's thread.
  func validate(_ message: GossipMessage) {
    guard let validator = topics[message.topic]?.validator else { return post(.validated(message.id, message.topic, .ignore)) }
    guard runningValidations < configuration.validationsMaximum else { return post(.validated(message.id, message.topic, .postpone)) }
    runningValidations += 1
    spawn { [self] in
      let verdict = await validator(message)
      core.execute { [self] machine, now, outputs in
        runningValidations -= 1
        machine.handle(.command(.validated(message.id, message.topic, verdict)), now: now, into: &outputs)
      }
    }
  }
}
