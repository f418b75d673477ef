import EventLoop
import Starling
import Testing

@Suite("Connecting") struct ConnectTests {
  @Test("two hosts connect, identify and ping")
  func connects() async throws {
    let (first, second) = try await makePair()
    #expect(await first.peers().map(\.peer) == [second.peerID])
    try await eventually("the second knows the first") { await second.peers().map(\.peer) == [first.peerID] }
    #expect(await first.peers()[0].direction == .outbound)
    #expect(await second.peers()[0].direction == .inbound)

    let info = try await first.identify(second.peerID)
    #expect(info.protocols.contains(echo) && info.protocols.contains("/ipfs/ping/1.0.0"))
    #expect(info.listenAddresses == [await second.address.withoutPeerID])
    #expect(info.agent == "starling/0.1.0")
    #expect(info.observedAddress?.ipAddress?.isLoopback == true)

    let trips = try await first.ping(second.peerID, count: 5)
    #expect(trips.count == 5 && trips.allSatisfy { $0 > .zero })
    #expect(try await second.ping(first.peerID).count == 1)
    await close(first, second)
  }

  @Test("connecting again, from several tasks or without a name gives the same link")
  func sharesDials() async throws {
    let first = try await makeHost()
    let second = try await makeHost()
    let address = await second.address
    let answers = try await withThrowingTaskGroup(of: PeerID.self) { group in
      for number in 0..<20 {
        group.addTask { try await first.connect(number.isMultiple(of: 2) ? address : address.withoutPeerID) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(Set(answers) == [second.peerID])
    #expect(try await first.connect(address) == second.peerID)
    #expect(await first.peers().count == 1)
    await close(first, second)
  }

  /// Ten pairs, a hundred times each: both ends dial at the same time, and keep one and the same link.
  @Test("a thousand simultaneous dials") func simultaneousDials() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<10 {
        group.addTask {
          let (first, second) = (try await makeHost(), try await makeHost())
          let (here, there) = (await first.address, await second.address)
          for round in 0..<100 {
            async let one = first.connect(there)
            async let other = second.connect(here)
            _ = try await (one, other)
            try await eventually("round \(round): one link each, the same") {
              for host in [first, second] {
                let counts = try await host.withCore { core, _ in core.peering.counts }
                // The slower dial may still be on its way.
                guard counts.active == 1, counts.dialling == 0, counts.accepted == 0 else { return false }
              }
              let (outward, inward) = (await first.peers(), await second.peers())
              return outward.count == 1 && inward.count == 1 && outward[0].direction != inward[0].direction
            }
            let kept = (await first.peers()[0].connection, await second.peers()[0].connection)
            #expect(try await first.ping(second.peerID).count == 1)
            #expect(try await second.ping(first.peerID).count == 1)
            let now = (await first.peers().map(\.connection), await second.peers().map(\.connection))
            #expect(now.0 == [kept.0] && now.1 == [kept.1])
            for host in [first, second] {
              let counts = try await host.withCore { core, _ in core.peering.reasonCounts }
              // Nothing but the other of the two was closed; which one the far end has proven, the dialler of the first cannot know.
              #expect(Set(counts.closed.keys).union(counts.lost.keys).isSubset(of: [.duplicate, .replaced, .operatorRequest]))
            }
            await first.disconnect(second.peerID)
            try await eventually("round \(round): none is left") { await second.peers().isEmpty }
          }
          await close(first, second)
        }
      }
      try await group.waitForAll()
    }
  }

  @Test("failed dials say why")
  func reasons() async throws {
    let host = try await makeHost()
    let gone = try await makeHost()
    let other = try await makeHost()
    let closed = await gone.address
    let own = await host.address
    let stranger = NodeKey.generate().peerID
    await gone.close()
    let otherAddress = await other.address

    #expect(await code { try await host.connect(closed) } == .connectionRefused)
    #expect(await code { try await host.connect(closed.withoutPeerID) } == .connectionRefused)
    #expect(await code { try await host.connect(otherAddress.withPeerID(stranger)) } == .wrongPeer)
    #expect(await code { try await host.connect(own) } == .selfConnection)
    #expect(await code { try await host.connect(own.withoutPeerID) } == .selfConnection)
    #expect(await code { try await host.connect(own.withPeerID(stranger)) } == .selfConnection)
    #expect(await code { try await host.connect("/ip4/127.0.0.1/udp/1") } == .invalidAddress)
    #expect(await code { try await host.connect("nonsense") } == .invalidAddress)
    #expect(await code { _ = try await host.openStream(to: stranger, protocols: [echo]) } == .notConnected)
    #expect(await code { _ = try await host.ping(stranger) } == .notConnected)
    #expect(await code { _ = try await makeHost { $0.listen = [try! Multiaddr("/dns/localhost/tcp/1")] } } == .invalidAddress)
    #expect(await code { _ = try await makeHost { $0.listen = [otherAddress.withoutPeerID] } } == .listenFailed)
    #expect(await code { _ = try await makeHost { $0.listen = [otherAddress] } } == .invalidAddress)

    // Refused at the door, by a line in place of the handshake.
    try await other.ban(.network(IPNetwork("127.0.0.1/32")!))
    #expect(await code { try await host.connect(otherAddress) } == .refused)
    #expect(try await host.withCore { core, _ in core.peering.reasonCounts.dialsFailed["turned-away-banned"] } == 1)
    await other.close()
    await host.close()
    #expect(await code { try await host.connect(otherAddress) } == .closed)
    #expect(await code { _ = try await host.openStream(to: stranger, protocols: [echo]) } == .closed)
  }

  @Test("a host that reaches itself by another address finds out")
  func reachesItself() async throws {
    let host = try await makeHost { $0.listen = [try! Multiaddr("/ip4/0.0.0.0/tcp/0")] }
    let port = try #require(await host.addresses[0].tcpPort)
    let addresses = await host.addresses
    #expect(addresses.last == (try Multiaddr("/ip4/127.0.0.1/tcp/\(port)")).withPeerID(host.peerID), "every interface is named")
    #expect(!addresses.contains { $0.host == "0.0.0.0" })
    // An address of loopback that no interface has by name.
    #expect(await code { try await host.connect("/ip4/127.7.7.7/tcp/\(port)") } == .selfConnection)
    await host.close()
  }

  @Test("events tell who comes and goes, and why")
  func events() async throws {
    let first = try await makeHost()
    let second = try await makeHost()
    let (own, other) = (first.peerID, second.peerID)
    let events = first.events
    try await first.connect(second.address)
    await second.close()
    let seen: [String] = try await within {
      var seen: [String] = []
      for await event in events {
        switch event {
        case .peerConnected(let peer, .outbound, _): seen.append("connected \(peer == other)")
        case .peerDisconnected(let peer, let reason):
          seen.append("disconnected \(peer == other) \(reason)")
          return seen
        default: break
        }
      }
      return seen
    }
    #expect(seen == ["connected true", "disconnected true shutdown"])
    #expect(own != other)
    #expect(await first.explain(other).contains { $0.contains("shutdown") })
    await first.close()
    for await _ in first.events { Issue.record("an event of a closed host") }
  }

  @Test("a disconnected peer hears the reason and may come back")
  func disconnects() async throws {
    let (first, second) = try await makePair()
    try await eventually("the second knows the first") { await second.peers().count == 1 }
    let events = second.events
    await first.disconnect(second.peerID, reason: Reason(.operatorRequest, "lunch"))
    #expect(await first.peers().isEmpty)
    let reason: Reason? = try await within {
      for await event in events { if case .peerDisconnected(_, let reason) = event { return reason } }
      return nil
    }
    #expect(reason == Reason(.operatorRequest, "lunch"))
    #expect(try await first.connect(second.address) == second.peerID)
    await close(first, second)
  }

  @Test("fifty hosts connect at once")
  func fifty() async throws {
    let centre = try await makeHost()
    let address = await centre.address
    let others = try await withThrowingTaskGroup(of: Host.self) { group in
      for _ in 0..<50 { group.addTask { try await makeHost { $0.listen = [] } } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    try await withThrowingTaskGroup { group in
      for other in others { group.addTask { _ = try await other.connect(address) } }
      try await group.waitForAll()
    }
    try await eventually("all are there") { await centre.peers().count == 50 }
    await withTaskGroup { group in
      for other in others { group.addTask { await other.close() } }
    }
    try await eventually("all are gone") { await centre.peers().isEmpty }
    await centre.close()
  }

  @Test("a restarted host finds its peers in the book")
  func book() async throws {
    let book = MemoryBook()
    let key = NodeKey.generate()
    let second = try await makeHost()
    let first = try await makeHost({ $0.book = book }, key: key)
    try await first.connect(second.address)
    await first.close()
    #expect(book.peerCount == 1)
    let again = try await makeHost(
      {
        $0.book = book
        $0.core.peering.outboundMinimum = 1
      }, key: key)
    try await eventually("it has dialled by itself") { await again.peers().map(\.peer) == [second.peerID] }
    await close(again, second)
  }

  @Test("a good address joins the dial of a bad one of the same peer, and both have the link")
  func ownTurn() async throws {
    let silent = try await SilentListener()
    let first = try await makeHost()
    let second = try await makeHost()
    let (good, peer) = (await second.address, second.peerID)
    let bad = try Multiaddr("/ip4/127.0.0.1/tcp/\(silent.port)").withPeerID(peer)
    let early = Task { await code { try await first.connect(bad) } }
    try await eventually("the dial is under way") { try await first.withCore { core, _ in core.peering.counts.dialling == 1 } }
    #expect(try await within { try await first.connect(good) } == peer)
    #expect(await early.value == nil)
    await close(first, second)
    await silent.close()
  }

  @Test("a cancelled connect ends")
  func cancelledConnect() async throws {
    // Accepts and says nothing.
    let silent = try await SilentListener()
    let host = try await makeHost()
    let attempt = Task { try await host.connect("/ip4/127.0.0.1/tcp/\(silent.port)") }
    try await eventually("the dial is under way") { try await host.withCore { core, _ in core.peering.counts.dialling == 1 } }
    attempt.cancel()
    await #expect(throws: CancellationError.self) { try await within { try await attempt.value } }
    await host.close()
    await silent.close()
  }
}

/// A TCP listener that keeps what it accepts.
final class SilentListener: TCPListenerDelegate, @unchecked Sendable {
  private let loop = EventLoop(name: "silent")
  private var listener: TCPListener?
  private var accepted: [DetachedSocket] = []
  private(set) var port: UInt16 = 0

  init() async throws {
    try loop.start()
    port = try await loop.perform { [self] in
      let made = try TCPListener(SocketAddress(ipBytes: [127, 0, 0, 1], port: 0)!, on: loop, delegate: self)
      listener = made
      return made.address.port
    }
  }

  func listener(_ listener: TCPListener, accepted connection: DetachedSocket) { accepted.append(connection) }

  func close() async {
    try? await loop.perform { [self] in for socket in accepted { socket.close() } }
    await loop.shutDown()
  }
}
