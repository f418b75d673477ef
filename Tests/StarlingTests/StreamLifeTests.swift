import Starling
import Testing
import Threads

/// A peer that speaks gossip by hand over streams of its own, as another stack would: what it does to one stream says nothing of the other.
@Suite("Gossip with a peer of another kind") struct StreamLifeTests {
  static let meshsub: ProtocolID = "/meshsub/1.2.0"
  static let topic: Topic = "test/topic"

  @Test("resets of the host's stream neither end the peering nor are they passed over in silence")
  func resets() async throws {
    let host = try await makeHost()
    let foreign = try await makeHost { $0.core.gossip = nil }
    let resets = Counter()
    await foreign.handle(Self.meshsub) { stream in
      if resets.value < 4 {
        resets.add()
        stream.reset()
      } else {
        while try await stream.read() != nil {}
      }
    }
    let lost = Counter()
    let events = host.events
    let listener = Task { for await event in events { if case .mesh(.streamLost) = event { lost.add() } } }
    let subscription = try await host.subscribe(Self.topic, .init(topic: .init(signing: .strictNoSign)))
    try await foreign.connect(host.address)
    let writer = try await foreign.openStream(to: host.peerID, protocols: [Self.meshsub])
    try await writer.write(
      frame {
        $0.message(1) { subscribe in
          subscribe.bool(1, true); subscribe.string(2, Self.topic.name)
        }
      })
    // At once, at once, after a second and after two more.
    try await eventually("the stream was reset four times, and that was said") {
      resets.value == 4 && lost.value == 4
    }
    #expect(await host.topicPeers(Self.topic) == [foreign.peerID])
    try await writer.write(
      frame {
        $0.message(2) { message in
          message.data(2, [7]); message.string(4, Self.topic.name)
        }
      })
    let got = try await within {
      for await message in subscription { return message.data }; return []
    }
    #expect(got == [7])
    try await eventually("it is in the mesh again") { await host.meshPeers(Self.topic) == [foreign.peerID] }
    listener.cancel()
    await close(host, foreign)
  }

  /// Two links of one peer after a simultaneous dial. The peer does not know which one is kept, and begins on the other.
  @Test("gossip that a peer begins on the link that gives way is heard")
  func losingLink() async throws {
    let key = NodeKey.generate()
    var own = NodeKey.generate()
    // With the lower name its own dial is kept.
    while own.peerID >= key.peerID { own = NodeKey.generate() }
    let host = try await makeHost(key: own)
    let subscription = try await host.subscribe(Self.topic, .init(topic: .init(signing: .strictNoSign)))
    let ends = Recorder<Reason>()
    let dialler = try HandPeer(key: key) { _, output in
      if case .message(_, let bytes) = output, bytes.count != 32, let reason = try? Reason(encoded: bytes.rawSpan) { ends.add(reason) }
    }
    let listener = try HandPeer(key: key) { _, _ in }
    let address = try await listener.listen(begins: false)
    let connecting = Task { try await host.connect(address) }
    try await eventually("its dial is under way") { try await host.withCore { core, _ in core.peering.counts.dialling == 1 } }
    try await dialler.dial(await host.address)
    try await eventually("the peer's own link waits") { try await host.withCore { core, _ in core.peering.counts.held == 1 } }
    try await listener.begin()
    #expect(try await within { try await connecting.value } == key.peerID)
    try await eventually("the other link gives way") { ends.values.first?.code == .duplicate }
    try await dialler.act { peer in
      let stream = peer.open(1, Self.meshsub, .lengthPrefixed(maximumBytes: 1 << 20))
      for build: (inout ProtobufWriter) -> Void in [
        {
          $0.message(1) {
            $0.bool(1, true); $0.string(2, Self.topic.name)
          }
        },
        {
          $0.message(2) {
            $0.data(2, [7]); $0.string(4, Self.topic.name)
          }
        },
      ] {
        var writer = ProtobufWriter()
        build(&writer)
        peer.send(writer.bytes, on: stream)
      }
    }
    let got = try await within {
      for await message in subscription { return message.data }; return []
    }
    #expect(got == [7])
    #expect(await host.topicPeers(Self.topic) == [key.peerID])
    for peer in [dialler, listener] { await peer.close() }
    await host.close()
  }

  @Test("two hosts with 200 topics meet in each of them")
  func topics() async throws {
    let all = (0..<200).map { Topic("/eth2/4a26c58b/beacon_attestation_subnet_\($0)/ssz_snappy") }
    let (first, second) = (try await makeHost(), try await makeHost())
    for topic in all { for host in [first, second] { _ = try await host.subscribe(topic) } }
    try await first.connect(second.address)
    for topic in all {
      try await eventually("they are in the mesh of \(topic)") {
        let (here, there) = (await first.meshPeers(topic), await second.meshPeers(topic))
        return here == [second.peerID] && there == [first.peerID]
      }
    }
    for host in [first, second] {
      #expect(try await host.withCore { core, _ in core.peering.reasonCounts.offences } == [:])
    }
    await close(first, second)
  }

  @Test("a topic too many is refused to the program")
  func tooManyTopics() async throws {
    let host = try await makeHost { $0.core.gossip?.maximumSubscriptionBytes = 2_000 }
    for name in ["a", "b", "c"] as [Topic] { _ = try await host.subscribe(name) }
    #expect(await code { _ = try await host.subscribe("d") } == .subscribeFailed)
    await host.leave("a")
    _ = try await host.subscribe("d")
    await host.close()
  }

  @Test("of many changes in a row the last one stands")
  func identify() async throws {
    let kademlia = Kademlia.Configuration()
    let (first, second) = try await makePair { $0.core.kademlia = kademlia }
    let name = HostProtocols.kademlia("main")
    func isKnownAsServer() async throws -> Bool {
      let peer = first.peerID
      return try await second.withCore { core, _ in core.identity(of: peer)?.protocols.contains(name) ?? false }
    }
    try await eventually("they know each other") {
      let peer = second.peerID
      return try await first.withCore { core, _ in core.identity(of: peer) != nil }
    }
    for turn in 1...20 {
      for mode in turn.isMultiple(of: 2) ? [Kademlia.Mode.client, .server] : [.server, .client] { await first.setKademliaMode(mode) }
      let last = turn.isMultiple(of: 2)
      try await eventually("the last of two changes is known, turn \(turn)") { try await isKnownAsServer() == last }
    }
    await close(first, second)
  }

  /// A peer that is slow to take them is told of many changes by few streams, of which the last one says what is true.
  @Test("many changes in a row are few pushes")
  func pushes() async throws {
    let first = try await makeHost { $0.core.gossip = nil }
    let foreign = try await makeHost { $0.core.gossip = nil }
    let (pushes, hold) = (Recorder<IdentifyInfo>(), Gate())
    // In place of the host's own.
    await foreign.handle(HostProtocols.identifyPush) { stream in
      let bytes = try await stream.readToEnd(maximumBytes: 1 << 16)
      guard case .value(_, let prefix) = Varint.read(bytes.span.bytes) else { throw HostError(.badRequest) }
      pushes.add(try IdentifyInfo(encoded: Array(bytes.dropFirst(prefix)).rawSpan))
      await hold.pass()
    }
    try await first.connect(foreign.address)
    try await eventually("they know each other") {
      let peer = foreign.peerID
      return try await first.withCore { core, _ in core.identity(of: peer) != nil }
    }
    for number in 0..<100 { await first.handle(ProtocolID("/test/\(number)")) { _ in } }
    hold.open()
    try await eventually("the last change is known") { pushes.values.contains { $0.protocols.contains("/test/99") } }
    // One is under way at a time. Each is given up after ten seconds, so that on a slow machine there may be more than two.
    #expect(pushes.values.count < 50, "\(pushes.values.count) pushes")
    await close(first, foreign)
  }

  private func frame(_ build: (inout ProtobufWriter) -> Void) -> [UInt8] {
    var writer = ProtobufWriter()
    build(&writer)
    var bytes: [UInt8] = []
    Varint.append(UInt64(writer.bytes.count), to: &bytes)
    return bytes + writer.bytes
  }
}
