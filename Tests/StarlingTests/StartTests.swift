import Starling
import Testing

@Suite("The start of a host") struct StartTests {
  static let greeting: ProtocolID = "/test/greeting/1"

  private func idle(_ change: (inout Host.Configuration) -> Void = { _ in }) async throws -> Host {
    var configuration = try Host.Configuration(listen: [loopback])
    configuration.swarm.shards = 1
    configuration.core.peering.outboundMinimum = 0
    change(&configuration)
    return try await Host(configuration: configuration)
  }

  /// The dials that a host has begun, be they over or not.
  private func dials(of host: Host) async throws -> Int {
    try await host.withCore { core, _ in DialOrigin.allCases.reduce(0) { $0 + core.peering.counts.dials[$1].begun } }
  }

  @Test("before it nothing is dialled or listened on, and after it nothing is missed")
  func nothingBefore() async throws {
    let hub = try await makeHost()
    let address = await hub.address
    let host = try await idle { $0.bootstrap = [address] }
    #expect(await host.addresses.isEmpty)
    #expect(await code { try await host.connect(address) } == .notStarted)
    #expect(await code { try await host.listen(on: [try Multiaddr(loopback)]) } == .notStarted)
    #expect(await code { _ = try await host.openStream(to: hub.peerID, protocols: [echo]) } == .notConnected)
    // What is set up meanwhile touches peering as well, and leads to no dial.
    try await host.ban(.peer(NodeKey.generate().peerID))
    await host.handle(Self.greeting) { _ in }
    _ = try await host.subscribe("test")
    #expect(try await dials(of: host) == 0)
    #expect(await hub.peers().isEmpty)

    let events = host.events
    try await host.start()
    try await host.start()
    let seen = try await within {
      var seen: [String] = []
      for await event in events {
        switch event {
        case .listening(let addresses): seen.append("listening \(addresses.count)")
        case .peerConnected(let peer, .outbound, _): return seen + ["connected \(peer == hub.peerID)"]
        default: break
        }
      }
      return seen
    }
    #expect(seen == ["listening 1", "connected true"])
    #expect(await host.addresses.count == 1)
    await close(host, hub)
    #expect(await code { try await host.start() } == .closed)
  }

  @Test("whoever starts it while it starts waits until it listens")
  func startsTogether() async throws {
    let host = try await idle()
    try await withThrowingTaskGroup { group in
      for _ in 0..<10 {
        group.addTask {
          try await host.start()
          return await host.addresses.count
        }
      }
      for try await count in group { #expect(count == 1) }
    }
    await close(host)
  }

  @Test("twenty newcomers can be greeted the moment they come, and each has seen it")
  func noRace() async throws {
    let hub = try await makeHost()
    let address = await hub.address
    let answers = Counter()
    let greeter = Task { [events = hub.events] in
      await withTaskGroup { group in
        for await event in events {
          guard case .peerConnected(let peer, _, _) = event else { continue }
          group.addTask {
            do {
              let stream = try await hub.openStream(to: peer, protocols: [Self.greeting])
              if try await stream.readToEnd(maximumBytes: 2) == [1, 2] { answers.add() }
            } catch {
              Issue.record("\(error)")
            }
          }
        }
      }
    }
    let hosts = try await withThrowingTaskGroup { group in
      for _ in 0..<20 {
        group.addTask {
          let host = try await self.idle { $0.bootstrap = [address] }
          await host.handle(Self.greeting) { stream in try await stream.write([1, 2]) }
          let events = host.events
          try await host.start()
          try await within { for await event in events { if case .peerConnected = event { return } } }
          return host
        }
      }
      return try await group.reduce(into: [Host]()) { $0.append($1) }
    }
    try await eventually("all have answered") { answers.value == 20 }
    for host in hosts { await host.close() }
    await hub.close()
    await greeter.value
  }

  @Test("a host that comes back with its book dials nobody before it")
  func book() async throws {
    let hub = try await makeHost()
    let address = await hub.address
    let book = MemoryBook()
    let first = try await idle { $0.book = book }
    try await first.start()
    try await first.connect(address)
    try await eventually("the peer is stored") { book.peerCount == 1 }
    await first.close()
    try await eventually("it has gone") { await hub.peers().isEmpty }

    let second = try await idle {
      $0.book = book
      $0.core.peering.outboundMinimum = 1
    }
    await second.handle(Self.greeting) { _ in }
    try await second.ban(.peer(NodeKey.generate().peerID))
    #expect(try await dials(of: second) == 0)
    try await second.start()
    try await eventually("it has come back by itself") { await hub.peers().count == 1 }
    await close(second, hub)
  }

  @Test("bootstrap peers can be named and dropped at any time")
  func bootstrap() async throws {
    let hubs = [try await makeHost(), try await makeHost()]
    let host = try await idle()
    try await host.addBootstrap(hubs[0].address)
    #expect(await code { try await host.addBootstrap(try Multiaddr("/ip4/127.0.0.1/udp/1")) } == .invalidAddress)
    #expect(try await dials(of: host) == 0)
    try await host.start()
    try await host.addBootstrap(hubs[1].address)
    try await eventually("both are linked") { await host.peers().count == 2 }
    let roles = await host.peers().map(\.role)
    #expect(roles == [.mustKeep, .mustKeep])
    await host.removeBootstrap(await hubs[1].address)
    try await eventually("one is left") { await host.peers().map(\.peer) == [hubs[0].peerID] }
    #expect(await host.explain(hubs[1].peerID).contains { $0.contains("dropped by an operator") })
    await close(host, hubs[0], hubs[1])
    #expect(await code { try await host.addBootstrap(hubs[0].address) } == .closed)
  }

  @Test("a start that fails can be tried again")
  func again() async throws {
    let other = try await makeHost()
    let address = await other.address.withoutPeerID
    let host = try await idle { $0.listen = [address] }
    #expect(await code { try await host.start() } == .listenFailed)
    #expect(await code { try await host.connect(other.address) } == .notStarted)
    await other.close()
    try await host.start()
    #expect(await host.addresses == [address.withPeerID(host.peerID)])
    await host.close()
  }

  @Test("settings that cannot be are a typed error", arguments: ["shards", "degrees", "buckets"])
  func faults(_ fault: String) async throws {
    let error = await #expect(throws: HostError.self) {
      try await idle {
        switch fault {
        case "shards": $0.swarm.shards = 0
        case "degrees": $0.core.gossip?.meshDegreeLow = 20
        default: $0.core.peering.book.newBuckets = 0
        }
      }
    }
    #expect(error?.code == .invalidConfiguration)
  }

  @Test("a key file that was cut or damaged is a typed error")
  func keys() throws {
    let key = NodeKey.generate()
    #expect(try NodeKey(seed: key.seed).peerID == key.peerID && NodeKey(encoded: key.encoded).peerID == key.peerID)
    for count in [0, 31, 33, 64] {
      #expect(throws: IdentityError.self) { try NodeKey(seed: [UInt8](repeating: 1, count: count)) }
    }
    #expect(throws: IdentityError.self) { try NodeKey(encoded: Array(key.encoded.dropLast())) }
    #expect(Topic(validating: "") == nil && Topic(validating: String(repeating: "x", count: 257)) == nil)
    #expect(Topic(validating: "weather") == "weather")
  }
}
