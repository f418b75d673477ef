import Identity
import Testing
import Wire

@testable import Peering

/// `identity: ip`, the literal rule of seed S3: the IP address is the peer.
@Suite struct IdentityModeTests {
  private func bench(local: UInt64 = 5, own: String? = "10.0.0.50", patientFrom: Int = 0) -> Bench {
    var bench = Bench(local: local) {
      $0.identity = .ip
      $0.allowsPrivateAddresses = true
      $0.patientFrom = patientFrom
    }
    if let own { bench.send(.listening([address("/ip4/\(own)/tcp/24100")])) }
    return bench
  }

  /// A second peer behind an address that holds a link is refused, told why, and the link stays.
  @Test func oneLinkForEachAddress() {
    var bench = bench()
    let first = bench.enter(7, from: "/ip4/10.0.0.9/tcp/50000")
    #expect(first.outputs.admitted == [first.id])
    bench.run(to: 3_600)
    let second = bench.enter(8, from: "/ip4/10.0.0.9/tcp/50001")
    #expect(second.outputs.closed.map(\.id) == [second.id] && second.outputs.closed.map(\.code) == [.tooManyFromIP])
    #expect(bench.machine.activePeers == [peer(7)])
    bench.send(.closed(first.id, .remoteClosed))
    let third = bench.enter(8, from: "/ip4/10.0.0.9/tcp/50002")
    #expect(third.outputs.admitted == [third.id])
    var keyed = Bench(local: 5)
    for number in UInt64(7)...8 { #expect(keyed.enter(number, from: "/ip4/127.0.0.1/tcp/\(number)").outputs.admitted.count == 1) }
  }

  /// The lower address dials at once, the higher one waits three minutes; PeerIDs do not matter. Who does not know its own address dials.
  @Test(arguments: [("10.0.0.9", 180.0), ("10.0.0.90", 0), ("2600::1", 0), ("10.0.0.50", 0)])
  func whoDials(text: String, wait: Double) throws {
    for number in [UInt64(2), 900] {
      let place = Multiaddr(ip: IPAddress(text)!, port: 24_101)
      var known = bench(local: 500)
      known.send(.learned([PeerAddress(peer: peer(number), address: place)], .discovery))
      if wait == 0 {
        #expect(known.machine.counts.dialling == 1)
      } else {
        #expect(known.machine.counts.dialling == 0)
        let dial = known.nextDial(by: 1_000)
        #expect(dial?.address == place && (wait - 1...wait + 1).contains((known.now - .zero).seconds))
      }
      var unknown = bench(local: 500, own: nil)
      #expect(unknown.send(.learned([PeerAddress(peer: peer(number), address: place)], .discovery)).dials.count == 1)
      var unspecified = bench(local: 500, own: "0.0.0.0")
      #expect(unspecified.send(.learned([PeerAddress(peer: peer(number), address: place)], .discovery)).dials.count == 1)
    }
  }

  /// An address with a link is not dialled, whatever port is told; a peer that came in is dialled again at the default port.
  @Test func ephemeralPortsAreNoPeers() {
    var bench = bench()
    let id = bench.enter(7, from: "/ip4/10.0.0.90/tcp/50000").id
    #expect(bench.machine.addresses(of: peer(7)) == [address("/ip4/10.0.0.90/tcp/24100")])
    let told = (0..<5).map { PeerAddress(peer: $0 < 2 ? nil : peer(UInt64(7 + $0)), address: address("/ip4/10.0.0.90/tcp/\(300 + $0)")) }
    #expect(bench.send(.learned(told, .discovery)).dials.isEmpty)
    #expect(bench.run(to: 1_000).outputs.dials.isEmpty)
    #expect(bench.machine.links(now: bench.now).count == 1)
    bench.send(.closed(id, .transport("reset")))
    let dial = bench.nextDial(by: 2_000)
    #expect(dial?.address.ipAddress == IPAddress("10.0.0.90"))
    #expect(bench.run(to: 1_020).outputs.dials.isEmpty, "one dial to an address at a time")
  }

  /// Misdeeds are the address's.
  @Test func bansAreByAddress() {
    var bench = bench()
    _ = bench.enter(7, from: "/ip4/10.0.0.9/tcp/50000")
    bench.send(.report(peer(7), .equivocation))
    #expect(bench.machine.bans(now: bench.now).map(\.subject) == [.network(IPNetwork("10.0.0.9/32")!)])
    #expect(bench.accept("/ip4/10.0.0.9/tcp/50001").outputs.closed.map(\.code) == [.banned])
  }

  /// Loopback addresses of our own say nothing to a peer elsewhere, private ones nothing to a public peer; a peer that is below some of
  /// the others only may see this side as the lower one.
  @Test(arguments: [
    (["192.168.1.20", "127.0.0.1"], "192.168.1.9", true), (["192.168.1.20", "127.0.0.1"], "192.168.1.30", false),
    (["192.168.1.20", "127.0.0.1"], "9.9.9.9", false), (["9.9.9.20", "10.0.0.1", "127.0.0.1"], "9.9.9.9", true),
    (["192.168.1.20", "10.0.0.5"], "192.168.1.9", false), (["192.168.1.20", "192.168.2.20"], "192.168.1.9", true),
    (["127.0.0.5", "192.168.1.20"], "127.0.0.2", true), (["127.0.0.1"], "192.168.1.9", false),
  ])
  func severalOwnAddresses(own: [String], other: String, waits: Bool) {
    var bench = bench(own: nil)
    bench.send(.listening(own.map { address("/ip4/\($0)/tcp/24100") }))
    let place = address("/ip4/\(other)/tcp/24100")
    let dials = bench.send(.learned([PeerAddress(peer: peer(2), address: place)], .discovery)).dials
    #expect(dials.isEmpty == waits)
  }

  /// Both ends dial at about the same time, PeerIDs in the order of the addresses or against it, and both listen on their loopback address
  /// too: one link stays, and it stays the same.
  @Test func simultaneousDials() throws {
    for seed in UInt64(1)...300 {
      let world = world(seed, delay: 0.001...(seed % 2 == 0 ? 0.3 : 1.5), alsoListening: seed % 4 < 2 ? ["/ip4/127.0.0.1/tcp/4001"] : [])
      let (low, high) = (world.add(peer(seed % 3 == 0 ? 9 : 1)), world.add(peer(5)))
      for (from, to) in [(low, high), (high, low)] {
        let item = PeerAddress(peer: seed % 5 == 0 ? nil : world.nodes[to].peer, address: world.nodes[to].address)
        world.schedule(at: Instant.zero + world.generator.jitter(.milliseconds(200))) { world.send(from, .learned([item], .bootstrap)) }
      }
      world.run(until: at(60))
      let early = world.sharedLinks
      world.run(until: at(600))
      try #require(world.violations.isEmpty, "seed \(seed): \(world.violations)")
      try #require(early.count == 1 && world.sharedLinks.map(\.pipe) == early.map(\.pipe), "seed \(seed)")
      for node in world.nodes { try #require(node.dials.count <= 1, "seed \(seed): nobody has to dial again") }
    }
  }

  /// The seed's phases for three nodes: each peer once at each node, by one link; answered pings; for two days
  /// nothing closes; the one that stops comes back.
  @Test func phasesOfTheSeed() {
    let world = world(4, delay: 0.001...0.05)
    for number in [UInt64(900), 40, 300] { world.add(peer(number)) }
    for index in 0..<3 {
      let others = (0..<3).filter { $0 != index }.map { PeerAddress(peer: nil, address: world.nodes[$0].address) }
      world.send(index, .learned(others, .bootstrap))
    }
    world.run(until: at(60))
    let links = world.sharedLinks
    #expect(links.count == 3)
    for (index, node) in world.nodes.enumerated() {
      let infos = node.machine.links(now: world.now)
      #expect(infos.count == 2 && Set(infos.map { $0.address.ipAddress }).count == 2)
      #expect(node.machine.activePeers.count == 2, "node \(index)")
    }
    let dials = world.nodes.map(\.dials.count)
    world.run(until: at(2 * 86_400))
    #expect(world.sharedLinks.map(\.pipe) == links.map(\.pipe), "nothing cycles")
    #expect(world.nodes.map(\.dials.count) == dials)
    for node in world.nodes { for info in node.machine.links(now: world.now) { #expect(info.roundTrip != nil && info.missedPongs == 0) } }
    world.crash(1)
    world.run(until: at(2 * 86_400 + 600))
    world.restart(1, keepingBook: false)
    world.run(until: at(2 * 86_400 + 1_200))
    #expect(world.sharedLinks.count == 3 && world.violations.isEmpty)
  }

  private func world(_ seed: UInt64, delay: ClosedRange<Double>, alsoListening: [String] = []) -> World {
    var setting = World.Setting()
    setting.alsoListening = alsoListening.map { address($0) }
    setting.delay = delay
    setting.configure = {
      $0.identity = .ip
      $0.defaultPort = 4001
    }
    return World(seed: seed, setting)
  }
}
