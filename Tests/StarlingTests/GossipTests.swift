import Starling
import Testing

@Suite("Gossip over hosts") struct GossipTests {
  static let topic: Topic = "test/topic"

  @Test("five hosts in a line hear each other's messages once")
  func line() async throws {
    var hosts: [Host] = []
    for _ in 0..<5 { hosts.append(try await makeHost()) }
    var subscriptions: [Subscription] = []
    for host in hosts { subscriptions.append(try await host.subscribe(Self.topic, .init(topic: .init(signing: .strictSign)))) }
    for index in 1..<5 { try await hosts[index].connect(hosts[index - 1].address) }
    for index in 0..<5 {
      let neighbours = index == 0 || index == 4 ? 1 : 2
      try await eventually("the mesh is there") { await hosts[index].meshPeers(Self.topic).count == neighbours }
    }
    for (index, host) in hosts.enumerated() { try await host.publish(Self.topic, [UInt8(index)]) }
    for (index, subscription) in subscriptions.enumerated() {
      let got = try await within {
        var got: [UInt8: PeerID?] = [:]
        for await message in subscription {
          #expect(got.updateValue(message.author, forKey: message.data[0]) == nil, "a message came twice")
          if got.count == 4 { return got }
        }
        return got
      }
      #expect(Set(got.keys) == Set((0..<5).map { UInt8($0) }).subtracting([UInt8(index)]))
      for (number, author) in got { #expect(author == hosts[Int(number)].peerID) }
    }
    for host in hosts { await host.close() }
  }

  @Test("a slow reader misses the oldest messages, and knows how many")
  func overflow() async throws {
    let (first, second) = try await makePair()
    let slow = try await second.subscribe(Self.topic, .init(bufferMaximum: 4))
    let quick = try await second.subscribe(Self.topic)
    try await eventually("the first knows") { await first.topicPeers(Self.topic) == [second.peerID] }
    for number in 0..<20 { try await first.publish(Self.topic, [UInt8(number)]) }
    let all = try await within {
      var all: [UInt8] = []
      for await message in quick {
        all.append(message.data[0])
        if all.count == 20 { break }
      }
      return all
    }
    #expect(all == Array(0..<20))
    #expect(slow.droppedCount == 16 && quick.droppedCount == 0)
    await second.leave(Self.topic)
    var rest: [UInt8] = []
    for await message in slow { rest.append(message.data[0]) }
    #expect(rest == [16, 17, 18, 19])
    try await eventually("the first heard that it left") { await first.topicPeers(Self.topic).isEmpty }
    await close(first, second)
  }

  @Test("what a validator refuses is neither delivered nor passed on")
  func validator() async throws {
    let (first, second) = try await makePair()
    let third = try await makeHost()
    try await third.connect(second.address)
    let refused = Counter()
    let judged = try await second.subscribe(
      Self.topic,
      .init { message in
        if message.data[0].isMultiple(of: 2) { return .accept }
        refused.add()
        return .ignore
      })
    let last = try await third.subscribe(Self.topic)
    try await eventually("the mesh is there") {
      let mesh = await second.meshPeers(Self.topic)
      let known = await first.topicPeers(Self.topic)
      return mesh == [third.peerID] && known == [second.peerID]
    }
    for number in 0..<10 { try await first.publish(Self.topic, [UInt8(number)]) }
    for subscription in [judged, last] {
      let got = try await within {
        var got: Set<UInt8> = []
        for await message in subscription {
          got.insert(message.data[0])
          if got.count == 5 { break }
        }
        return got
      }
      #expect(got == [0, 2, 4, 6, 8])
    }
    // The last one published is one of them.
    try await eventually("five were refused") { refused.value == 5 }
    // The publisher announces its messages in three heartbeats; nobody asks for what was judged.
    let beats = try await first.withCore { core, _ in core.gossip?.statistics.heartbeats ?? 0 }
    try await eventually("some heartbeats later") {
      try await first.withCore { core, _ in core.gossip?.statistics.heartbeats ?? 0 } >= beats + 5
    }
    #expect(refused.value == 5)
    await close(first, second, third)
  }

  /// As go, rust and py have it: nothing has to be said for it.
  @Test("messages are signed by default, and can be published without a subscription")
  func fanOut() async throws {
    let (first, second) = try await makePair()
    let subscription = try await second.subscribe(Self.topic)
    let unsigned = TopicConfiguration(signing: .strictNoSign)
    let plain = try await second.subscribe("plain", .init(topic: unsigned))
    try await eventually("the first knows") { await first.topicPeers("plain") == [second.peerID] }
    try await first.publish(Self.topic, [1])
    try await first.publish("plain", [2], rules: unsigned)
    try await first.publish("plain", [3])
    let signed = try await within {
      for await message in subscription { return message }
      throw HostError(.noAnswer)
    }
    #expect(signed.author == first.peerID && signed.data == [1])
    let others = try await within {
      var others: [GossipMessage] = []
      for await message in plain {
        others.append(message)
        if others.count == 2 { break }
      }
      return others
    }
    #expect(others.map(\.data) == [[2], [3]] && others.allSatisfy { $0.author == nil })

    // Messages against the rules are refused, and their publisher keeps its link.
    let strict = try await first.subscribe("other")
    let refused = Counter()
    let reader = Task { [events = first.events] in
      for await event in events { if case .mesh(.refused("other", .missingField, from: second.peerID)) = event { refused.add() } }
    }
    try await eventually("the second knows") { await second.topicPeers("other") == [first.peerID] }
    for number in 0..<100 { try await second.publish("other", [UInt8(number)], rules: unsigned) }
    try await eventually("all are refused") { refused.value == 100 }
    #expect(await first.peers().count == 1 && strict.droppedCount == 0)
    #expect(try await first.withCore { core, _ in core.peering.reasonCounts.offences.isEmpty })
    // The rules of a subscription are not the publisher's to change.
    #expect(await code { try await first.publish("other", [1], rules: unsigned) } == .publishFailed)
    await close(first, second)
    await reader.value
  }

  @Test("what cannot be published says why")
  func publishErrors() async throws {
    let host = try await makeHost()
    let mute = try await makeHost { $0.core.gossip = nil }
    try await host.publish(Self.topic, [1], rules: .init(signing: .strictNoSign))
    #expect(await code { try await host.publish(Self.topic, [1]) } == .publishFailed)
    #expect(await code { try await host.publish(Self.topic, [UInt8](repeating: 0, count: 2 << 20)) } == .publishFailed)
    #expect(await code { try await mute.publish(Self.topic, [1]) } == .gossipDisabled)
    #expect(await code { _ = try await mute.subscribe(Self.topic) } == .gossipDisabled)
    await close(host, mute)
    #expect(await code { try await host.publish(Self.topic, [2]) } == .closed)
  }
}
