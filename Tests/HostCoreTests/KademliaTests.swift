import Crypto
import Discovery
import HostCore
import Identity
import Peering
import SecureChannel
import Testing
import Wire

/// A host whose links and streams are played by hand.
private final class Stage {
  let crypto = SystemCrypto()
  let host: HostCore
  var now = Instant.zero + .seconds(1)
  private(set) var links: [Int: ConnectionID] = [:]
  private var inbound: UInt64 = 0

  init(_ change: (inout HostCore.Configuration) -> Void = { _ in }) {
    var configuration = HostCore.Configuration()
    configuration.gossip = nil
    configuration.exchangesPeers = false
    configuration.peering.outboundMinimum = 0
    // Nobody answers pings here.
    configuration.peering.firstPingDelay = .seconds(3_600)
    var kademlia = Kademlia.Configuration()
    kademlia.validators["v"] = AnyValueValidator()
    configuration.kademlia = kademlia
    change(&configuration)
    host = HostCore(
      key: NodeKey(seed: [UInt8](repeating: 255, count: 32), crypto: crypto), crypto: crypto, configuration: configuration,
      clock: WallClock(now: .zero, wall: WallTime(milliseconds: 0)), seed: 1, now: .zero)
  }

  var name: ProtocolID { HostProtocols.kademlia("main") }

  func key(_ number: Int) -> NodeKey { NodeKey(seed: [UInt8](repeating: UInt8(number), count: 32), crypto: crypto) }
  func peer(_ number: Int) -> PeerID { key(number).peerID }
  /// Each in a network of its own.
  func address(_ number: Int) -> Multiaddr { Multiaddr(ip: .v4(UInt32(20 + number) << 24 | 1), port: 4001) }

  @discardableResult
  func send(_ input: HostCore.Input) -> [HostCore.Output] { host.handle(input, now: now) }

  func wait(_ duration: Duration) -> [HostCore.Output] {
    let end = now + duration
    var all: [HostCore.Output] = []
    while let next = host.nextDeadline, next <= end {
      now = max(now, next)
      all += send(.timer)
    }
    now = end
    return all
  }

  /// Proves a link and lets the remote say what it serves; what the host does then.
  func prove(_ connection: ConnectionID, _ number: Int, serves: Bool = true) -> [HostCore.Output] {
    links[number] = connection
    let identity = RemoteIdentity(peer: peer(number), publicKey: key(number).publicKey, muxer: "/yamux/1.0.0", setUpTime: .zero)
    let outputs = send(.established(connection, identity, remote: address(number)))
    guard let ask = outputs.opened(HostProtocols.identify).first else { return outputs }
    let info = IdentifyInfo(listenAddresses: [address(number)], protocols: serves ? [name] : [])
    return outputs + send(.message(ask, info.encoded)) + send(.streamEnded(ask, nil))
  }

  @discardableResult
  func enter(_ number: Int, serves: Bool = true) -> ConnectionID {
    inbound += 1
    let connection = ConnectionID.inbound(inbound)
    send(.accepted(connection, remote: address(number)))
    _ = prove(connection, number, serves: serves)
    return connection
  }

  /// Answers the first request among `outputs` to peer `from`; what the host does then.
  func answer(_ outputs: [HostCore.Output], from: Int, naming others: [Int]) -> [HostCore.Output] {
    guard let stream = outputs.opened(name).first(where: { $0.connection == links[from] }) else {
      Issue.record("nothing was asked of \(from)")
      return []
    }
    let peers = others.map { KademliaMessage.Peer(id: peer($0), addresses: [address($0)]) }
    return send(.message(stream, KademliaMessage(.findNode, closerPeers: peers).encoded))
  }

  func lookUp(_ number: UInt64, _ query: Kademlia.Query) -> [HostCore.Output] {
    send(.command(.lookUp(LookUpID(rawValue: number), query)))
  }
}

extension [HostCore.Output] {
  fileprivate func opened(_ name: ProtocolID) -> [StreamRef] {
    compactMap { if case .open(let stream, [name]) = $0 { stream } else { nil } }
  }
  fileprivate var dials: [(id: ConnectionID, address: Multiaddr)] {
    compactMap { if case .dial(let id, let address, _, _) = $0 { (id, address) } else { nil } }
  }
  fileprivate var closed: [(id: ConnectionID, code: Reason.Code)] {
    compactMap { if case .close(let id, let reason) = $0 { (id, reason.code) } else { nil } }
  }
  fileprivate var resets: [StreamRef] { compactMap { if case .reset(let stream, _) = $0 { stream } else { nil } } }
  fileprivate var outcomes: [Kademlia.Outcome] { compactMap { if case .event(.lookedUp(_, let outcome)) = $0 { outcome } else { nil } } }
  fileprivate func sent(on stream: StreamRef) -> [KademliaMessage] {
    compactMap { if case .send(stream, let bytes) = $0 { try? KademliaMessage(encoded: bytes.rawSpan) } else { nil } }
  }
}

@Suite struct KademliaTests {
  @Test func manyRequestsOnOneStream() {
    let stage = Stage()
    let link = stage.enter(1)
    let stream = StreamRef(connection: link, stream: StreamID(rawValue: 1))
    stage.send(.streamOpened(stream, stage.name))
    let key = Array("/v/a".utf8)
    let put = KademliaMessage(.putValue, key: key, record: .init(key: key, value: [7]))
    #expect(stage.send(.message(stream, put.encoded)).sent(on: stream) == [put])
    let provide = KademliaMessage(.addProvider, key: [1, 2], providers: [.init(id: stage.peer(1), addresses: [stage.address(1)])])
    #expect(stage.send(.message(stream, provide.encoded)).isEmpty, "it has no answer")
    #expect(stage.send(.message(stream, KademliaMessage(.getValue, key: key).encoded)).sent(on: stream)[0].record?.value == [7])
    let providers = stage.send(.message(stream, KademliaMessage(.getProviders, key: [1, 2]).encoded)).sent(on: stream)[0].providers
    #expect(providers == [.init(id: stage.peer(1), addresses: [stage.address(1)], connectedness: .connected)])
    // A client is named when it is sought, because it is linked.
    stage.enter(2, serves: false)
    let found = stage.send(.message(stream, KademliaMessage(.findNode, key: stage.peer(2).bytes).encoded)).sent(on: stream)[0].closerPeers
    #expect(found == [.init(id: stage.peer(2), addresses: [stage.address(2)], connectedness: .connected)])
    #expect(stage.send(.message(stream, [0xff])).resets == [stream])
    #expect(stage.host.peering.score(of: stage.peer(1), now: stage.now) == 10)
    #expect(stage.send(.streamFinished(stream)).isEmpty, "nothing is kept of it")
  }

  /// A public address that nobody has confirmed is in no answer and in no entry.
  @Test(arguments: [false, true]) func onlyWhatIsToldToOthers(confirms: Bool) {
    let stage = Stage { $0.discovery.reach.confirms = confirms }
    stage.send(.listening([stage.address(9)]))
    let stream = StreamRef(connection: stage.enter(1), stream: StreamID(rawValue: 1))
    stage.send(.streamOpened(stream, stage.name))
    let ask = KademliaMessage(.findNode, key: stage.host.peerID.bytes)
    let told = stage.send(.message(stream, ask.encoded)).sent(on: stream)[0].closerPeers.flatMap(\.addresses)
    #expect(told == (confirms ? [] : [stage.address(9)]))
    let outcomes = stage.send(.command(.lookUp(LookUpID(rawValue: 1), .provide([1, 2])))).outcomes
    #expect(outcomes.isEmpty != confirms, "an entry needs an address")
  }

  /// A host that follows its reach answers as long as others can probably dial it, and says so.
  @Test(arguments: [
    ("/ip4/10.0.0.1/tcp/1", false, false, false), ("/ip4/10.0.0.1/tcp/1", false, true, true), ("/ip4/29.0.0.1/tcp/1", true, false, false),
    ("/ip4/29.0.0.1/tcp/1", false, false, true),
  ])
  func serversAreReached(listen: String, confirms: Bool, takesPrivate: Bool, serves: Bool) throws {
    let stage = Stage {
      $0.kademlia?.mode = .client
      $0.kademliaFollowsReach = true
      $0.discovery.reach.confirms = confirms
      $0.discovery.reach.takesPrivate = takesPrivate
    }
    #expect(stage.host.table[stage.name] == nil)
    stage.send(.listening([try Multiaddr(listen)]))
    #expect(stage.host.kademlia?.mode == (serves ? .server : .client))
    #expect((stage.host.table[stage.name] != nil) == serves)
    stage.send(.listening([]))
    #expect(stage.host.kademlia?.mode == .client && stage.host.table[stage.name] == nil)
  }

  @Test func silentStreamsAreGivenUpAndTheirNumberIsLimited() {
    let stage = Stage()
    let link = stage.enter(1)
    let streams = (0..<33).map { StreamRef(connection: link, stream: StreamID(rawValue: UInt32(2 * $0 + 1))) }
    for stream in streams.prefix(32) { #expect(stage.send(.streamOpened(stream, stage.name)).resets.isEmpty) }
    #expect(stage.send(.streamOpened(streams[32], stage.name)).resets == [streams[32]])
    _ = stage.wait(.seconds(40))
    let ping = KademliaMessage(.ping)
    #expect(stage.send(.message(streams[0], ping.encoded)).sent(on: streams[0]) == [ping])
    #expect(stage.wait(.seconds(21)).resets.sorted() == streams[1..<32].sorted())
    #expect(stage.wait(.seconds(40)).resets.contains(streams[0]))
  }

  @Test func tooManyRequestsAreResetAndReported() {
    let stage = Stage { $0.rates.peer.burst = 3 }
    let link = stage.enter(1)
    let stream = StreamRef(connection: link, stream: StreamID(rawValue: 1))
    stage.send(.streamOpened(stream, stage.name))
    for _ in 0..<3 { #expect(stage.send(.message(stream, KademliaMessage(.ping).encoded)).resets.isEmpty) }
    #expect(stage.send(.message(stream, KademliaMessage(.ping).encoded)).resets == [stream])
    #expect(stage.host.peering.score(of: stage.peer(1), now: stage.now) == 1)
  }

  /// Streams that are opened and given up without a request cost the core as much as requests do, and their sender too.
  @Test func openingsAreCharged() {
    let stage = Stage { $0.rates.peer = .init(perSecond: 0.001, burst: 100) }
    let link = stage.enter(1)
    for number in 0..<600 as Range<UInt32> where stage.host.isActive(stage.peer(1)) {
      let stream = StreamRef(connection: link, stream: StreamID(rawValue: 2 * number + 1))
      stage.send(.streamOpened(stream, stage.name))
      stage.send(.streamEnded(stream, .streamReset(.unspecified)))
    }
    #expect(!stage.host.isActive(stage.peer(1)))
    // Nor may they be opened beyond their number for nothing.
    let other = Stage { $0.rates.peer = .init(perSecond: 0.001, burst: 100) }
    let second = other.enter(1)
    for number in 0..<700 as Range<UInt32> where other.host.isActive(other.peer(1)) {
      other.send(.streamOpened(StreamRef(connection: second, stream: StreamID(rawValue: 2 * number + 1)), other.name))
    }
    #expect(!other.host.isActive(other.peer(1)))
    // Who asks on each of its streams pays for the requests alone.
    let honest = Stage { $0.rates.peer = .init(perSecond: 0.001, burst: 100) }
    let third = honest.enter(1)
    for number in 0..<90 as Range<UInt32> {
      let stream = StreamRef(connection: third, stream: StreamID(rawValue: 2 * number + 1))
      honest.send(.streamOpened(stream, honest.name))
      #expect(honest.send(.message(stream, KademliaMessage(.ping).encoded)).sent(on: stream) == [KademliaMessage(.ping)])
      honest.send(.streamEnded(stream, nil))
    }
    #expect(honest.host.peering.score(of: honest.peer(1), now: honest.now) == 0)
  }

  @Test func aLookUpDialsAndItsLinkEndsWhenNobodyElseWantsIt() {
    for isClaimed in [false, true] {
      let stage = Stage()
      stage.enter(1)
      let first = stage.lookUp(1, .findPeer(stage.peer(9)))
      let second = stage.answer(first, from: 1, naming: [2, 9])
      #expect(Set(second.dials.map(\.address)) == [stage.address(2), stage.address(9)], "hearsay is dialled for a look-up")
      guard let dial = second.dials.first(where: { $0.address == stage.address(9) }) else { return }
      let reached = stage.prove(dial.id, 9)
      let end = stage.answer(reached, from: 9, naming: [])
      #expect(end.outcomes == [.peer(FoundPeer(stage.peer(9), [stage.address(9)]), isReached: true)])
      if isClaimed { stage.host.claim(stage.peer(9)) }
      // The table's first refresh asks the peer in vain; a minute later the link ends.
      let later = stage.wait(.seconds(100)).closed.filter { $0.id == dial.id }
      #expect(later.map(\.code) == (isClaimed ? [] : [.idle]))
    }
  }

  /// Both dial at once: what was asked over the link that gives way is asked again over the other, whichever news comes first.
  @Test func aRequestSurvivesTheChangeOfItsLink() {
    for (saysWhy, comes) in [(true, true), (true, false), (false, true)] {
      let stage = Stage()
      stage.enter(1)
      let dial = stage.answer(stage.lookUp(1, .findPeer(stage.peer(9))), from: 1, naming: [9]).dials[0].id
      #expect(stage.prove(dial, 9).opened(stage.name).count == 1)
      if saysWhy {
        let farewell = StreamRef(connection: dial, stream: StreamID(rawValue: 2))
        stage.send(.streamOpened(farewell, HostProtocols.goodbye))
        stage.send(.message(farewell, Reason(.duplicate).encoded))
      }
      let lost = stage.send(.closed(dial, .endOfFile))
      #expect(lost.outcomes.isEmpty && lost.dials.count == (saysWhy ? 0 : 1))
      guard comes else {
        #expect(stage.wait(.seconds(20)).outcomes == [.peer(FoundPeer(stage.peer(9), [stage.address(9)]), isReached: false)])
        continue
      }
      if saysWhy { stage.send(.accepted(.inbound(99), remote: stage.address(9))) }
      let reached = stage.prove(saysWhy ? .inbound(99) : lost.dials[0].id, 9)
      #expect(stage.answer(reached, from: 9, naming: []).outcomes.count == 1)
    }
  }

  @Test func aPeerThatIsNoServerIsReachedAllTheSame() {
    let stage = Stage()
    stage.enter(1)
    let asked = stage.answer(stage.lookUp(1, .findPeer(stage.peer(9))), from: 1, naming: [9])
    let reached = stage.prove(asked.dials[0].id, 9, serves: false)
    let stream = reached.opened(stage.name)[0]
    let end = stage.send(.streamEnded(stream, .negotiationFailed("no such protocol")))
    #expect(end.outcomes == [.peer(FoundPeer(stage.peer(9), [stage.address(9)]), isReached: true)])
    #expect(stage.host.kademlia?.servers == [stage.peer(1)])
  }

  /// One slot for outbound links: each further peer takes the place of the one asked before.
  @Test func aLookUpMovesOnThroughOneSlot() {
    let stage = Stage { $0.peering.outboundMaximum = 1 }
    stage.enter(1)
    var outputs = stage.answer(stage.lookUp(1, .closestPeers([5])), from: 1, naming: [2, 3, 4])
    var asked: [Multiaddr] = []
    for _ in 0..<3 {
      #expect(outputs.dials.count == 1)
      guard let dial = outputs.dials.first, let number = (2...4).first(where: { stage.address($0) == dial.address }) else { return }
      asked.append(dial.address)
      outputs = stage.answer(stage.prove(dial.id, number), from: number, naming: [])
      if asked.count < 3 { #expect(outputs.closed.map(\.code) == [.idle]) }
    }
    #expect(Set(asked) == Set((2...4).map { stage.address($0) }))
    guard case .peers(let found)? = outputs.outcomes.first else {
      Issue.record("the look-up has not ended")
      return
    }
    #expect(Set(found.map(\.peer)) == Set((1...4).map { stage.peer($0) }))
    stage.host.peering.checkInvariants()
  }

  /// The one slot is taken for good: whoever cannot be asked is passed over, without blame.
  @Test func withoutASlotALookUpEndsSoon() {
    let stage = Stage { $0.peering.outboundMaximum = 1 }
    stage.enter(1)
    let dial = stage.send(.command(.dial(PeerAddress(peer: stage.peer(8), address: stage.address(8)), keep: true))).dials[0]
    _ = stage.prove(dial.id, 8, serves: false)
    _ = stage.answer(stage.lookUp(1, .closestPeers([5])), from: 1, naming: [2, 3])
    let outputs = stage.wait(.seconds(6))
    guard case .peers(let found)? = outputs.outcomes.first else {
      Issue.record("the look-up has not ended")
      return
    }
    #expect(found.map(\.peer) == [stage.peer(1)])
  }

  @Test func addressesThatNobodyMayDialAreNotDialled() throws {
    let stage = Stage()
    stage.enter(1)
    let first = stage.lookUp(1, .findPeer(stage.peer(9)))
    let stream = first.opened(stage.name)[0]
    let bad = try ["/ip4/127.0.0.1/tcp/22", "/ip4/192.168.1.1/tcp/80", "/dns4/example.com/tcp/4001", "/ip4/21.0.0.1/tcp/1/ws"].map {
      try Multiaddr($0)
    }
    let told = KademliaMessage(.findNode, closerPeers: [.init(id: stage.peer(9), addresses: bad)])
    let outputs = stage.send(.message(stream, told.encoded))
    #expect(outputs.dials.isEmpty)
    #expect(outputs.outcomes == [.peer(FoundPeer(stage.peer(9), bad), isReached: false)])
  }

  @Test func theModeIsToldToPeers() {
    let stage = Stage()
    #expect(stage.host.table[stage.name] != nil)
    let outputs = stage.send(.command(.setKademliaMode(.client)))
    #expect(stage.host.table[stage.name] == nil)
    #expect(outputs.contains { if case .protocols(let table) = $0 { table[stage.name] == nil } else { false } })
    #expect(stage.send(.command(.setKademliaMode(.client))).isEmpty)
  }

  /// Who keeps its stream for further requests, as go-libp2p does, would go on asking a host that serves no more.
  @Test func aClientAnswersOverNoOldStream() {
    let stage = Stage()
    let ask = KademliaMessage(.findNode, key: [1]).encoded
    let links = [stage.enter(1), stage.enter(2)]
    let streams = links.map { StreamRef(connection: $0, stream: StreamID(rawValue: 1)) }
    for stream in streams {
      stage.send(.streamOpened(stream, stage.name))
      let answers: [KademliaMessage] = stage.send(.message(stream, ask)).sent(on: stream)
      #expect(answers.count == 1)
    }
    #expect(Set(stage.send(.command(.setKademliaMode(.client))).resets) == Set(streams))
    for stream in streams { stage.send(.streamEnded(stream, .streamReset(.unspecified))) }
    stage.send(.command(.setKademliaMode(.server)))
    let again = StreamRef(connection: links[0], stream: StreamID(rawValue: 3))
    stage.send(.streamOpened(again, stage.name))
    let answers: [KademliaMessage] = stage.send(.message(again, ask)).sent(on: again)
    #expect(answers.count == 1)
  }
}
