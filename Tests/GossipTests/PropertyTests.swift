import Identity
import Testing
import Wire

@testable import Gossip

@Suite struct PropertyTests {
  /// Any order of inputs keeps the router's rules, and the same order gives the same outputs.
  @Test(arguments: [UInt64(1), 2, 3, 4]) func anyOrderOfInputsKeepsTheInvariants(seed: UInt64) {
    func run() -> (outputs: [Gossip.Output], broken: [String]) {
      var configuration = Gossip.Configuration()
      configuration.maximumQueuedFrames = 8
      configuration.maximumCached = 20
      configuration.maximumSeen = 50
      configuration.maximumPendingValidations = 5
      configuration.maximumSubscriptionBytes = 3 * (Gossip.Configuration.subscriptionOverhead + 1)
      configuration.maximumBackoffs = 6
      configuration.burstBytes = 100
      configuration.floodsOwnMessages = seed % 2 == 0
      configuration.directPeers = [peer(19)]
      let topics: [Topic] = ["a", "b", "c", "d"]
      let rules = [
        TopicConfiguration(signing: .strictNoSign), TopicConfiguration(signing: .strictNoSign, validation: .application),
        TopicConfiguration(signing: .strictSign),
        TopicConfiguration(signing: .strictNoSign, identification: .contentHash(bytes: 20)),
      ]
      var generator = SeededGenerator(seed: seed)
      let bench = Bench(configuration, key: nodeKey(1), seed: seed)
      var all: [Gossip.Output] = []
      var waiting: [GossipMessage] = []
      for _ in 0..<3_000 {
        let number = generator.index(below: 20)
        let one = peer(number)
        let choice = generator.index(below: 4)
        let topic = topics[choice]
        let data = [UInt8](repeating: UInt8(generator.index(below: 100)), count: 1 + generator.index(below: 40))
        let id = crypto.sha256(data).bytes
        let input: Gossip.Input
        switch generator.index(below: 25) {
        case 0: input = .peerConnected(one, GossipProtocol.allCases[generator.index(below: 4)], number % 2 == 0 ? .inbound : .outbound)
        case 1: input = .peerDisconnected(one)
        case 2, 3: input = .writable(one)
        case 4: input = .blocked(one)
        case 5: input = .subscribe(topic, rules[choice])
        case 6: input = .unsubscribe(topic)
        case 7: input = .publish(topic, data)
        case 8: input = .score(one, Double(generator.index(below: 20)) - 10)
        case 9: input = .score(one, Double(generator.index(below: 200)))
        case 10:
          if waiting.isEmpty {
            input = .timer
          } else {
            let message = waiting.remove(at: generator.index(below: waiting.count))
            input = .validated(message.id, topic: message.topic, [.accept, .reject, .ignore][generator.index(below: 3)])
          }
        case 11, 12: input = .received(one, rpc { $0.subscribe(topic, generator.index(below: 4) != 0) })
        case 13, 14: input = .received(one, rpc { $0.publish(topic, data) })
        case 15: input = .received(one, rpc { $0.graft(topic) })
        case 16: input = .received(one, rpc { $0.prune(topic, backoff: UInt64(generator.index(below: 5))) })
        case 17: input = .received(one, rpc { $0.ihave(topic, [id]) })
        case 18: input = .received(one, rpc { $0.iwant([id]) })
        case 19: input = .received(one, rpc { $0.dontWant([id]) })
        case 20: input = .outboundLost(one)
        case 21: input = .outboundOpened(one, number % 2 == 0 ? .inbound : .outbound)
        case 22: input = .inboundOpened(one)
        default:
          bench.now += .milliseconds(generator.index(below: 1_500))
          input = .timer
        }
        let outputs = bench.input(input)
        waiting += outputs.toValidate
        all += outputs
      }
      return (all, bench.broken)
    }
    let first = run()
    #expect(first.broken == [], "seed \(seed)")
    #expect(first.outputs == run().outputs, "seed \(seed)")
    #expect(first.outputs.count > 500)
  }

  @Test func theIDWindowIsBoundedAndKeepsTheNewest() {
    var window = IDWindow(capacity: 10)
    for number in 0..<100 {
      window.insert(MessageID([UInt8(number)])!)
      #expect(window.isWithinBounds && window.count <= 10)
      for kept in max(0, number - 4)...number { #expect(window.contains(MessageID([UInt8(kept)])!)) }
    }
    window.rotate()
    window.rotate()
    #expect(window.isEmpty)
  }

  @Test func theQueueIsFirstInFirstOut() {
    var generator = SeededGenerator(seed: 5)
    var queue = FIFO<Int>()
    var model: [Int] = []
    for number in 0..<20_000 {
      if generator.index(below: 10) < (number < 10_000 ? 6 : 4) {
        queue.append(number)
        model.append(number)
      } else {
        let (taken, expected) = (queue.popFirst(), model.isEmpty ? nil : model.removeFirst())
        #expect(taken == expected)
      }
      #expect(queue.count == model.count && queue.first == model.first)
      if number == 15_000 {
        queue.removeAll { $0 % 3 == 0 }
        model.removeAll { $0 % 3 == 0 }
      }
    }
  }

  @Test func recentDataNamesOnlyEqualBytes() {
    var recent = RecentData()
    var generator = SeededGenerator(seed: 6)
    for count in [0, 1, 7, 8, 9, 16, 100, 1_000] {
      let data = generator.bytes(count)
      let (frame, range) = RPCEncoder.publish(topic: Array("a".utf8), data: data.rawSpan)
      let id = MessageID(crypto.sha256(data), bytes: 32)
      recent.remember(
        GossipMessage(id: id, topic: "a", author: nil, sequence: nil, receivedFrom: nil, frame: frame, dataRange: range))
      #expect(recent.id(of: data.rawSpan) == id)
      for place in data.indices {
        var other = data
        other[place] ^= 1
        #expect(recent.id(of: other.rawSpan) == nil)
      }
      #expect(recent.id(of: (data + [0]).rawSpan) == nil)
    }
  }
}
