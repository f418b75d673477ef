import Identity
import TestKit
import Testing
import Wire

@testable import Peering

@Suite(.ownThread) struct FlockTests {
  /// Twenty nodes that know the first few, with crashes and restarts: one link per pair at any time, slots never exceeded, and when the
  /// crashes end everybody is connected.
  @Test(arguments: [false, true])
  func crashesAndRestarts(areSilent: Bool) throws {
    for seed in UInt64(1)...2 {
      var setting = World.Setting()
      setting.crashesAreSilent = areSilent
      setting.configure = { $0.introductionRequired = seed % 2 == 0 }
      let world = World(seed: seed, setting)
      for _ in 0..<20 { world.add(peer(world.generator.next() >> 1)) }
      for index in 0..<20 {
        let known = [0, 1, 2, (index + 1) % 20].filter { $0 != index }
        for other in known {
          let item = PeerAddress(peer: other == 1 ? nil : world.nodes[other].peer, address: world.nodes[other].address)
          world.schedule(at: Instant.zero + world.generator.jitter(.seconds(5))) {
            world.send(index, .learned([item], other < 3 ? .bootstrap : .discovery))
          }
        }
      }
      for _ in 0..<40 {
        let index = world.generator.index(below: 20)
        let down = Instant.zero + world.generator.jitter(.seconds(1_800))
        world.schedule(at: down) { world.crash(index) }
        world.schedule(at: down + world.generator.jitter(.seconds(120))) {
          world.restart(index, keepingBook: world.generator.index(below: 4) > 0)
        }
      }
      world.run(until: at(1_921))
      for index in 0..<20 {
        world.restart(index)
        let items = [0, 1].filter { $0 != index }.map { PeerAddress(peer: world.nodes[$0].peer, address: world.nodes[$0].address) }
        world.send(index, .learned(items, .bootstrap))
      }
      world.run(until: at(2_400))
      try #require(world.violations.isEmpty, "silent \(areSilent), seed \(seed): \(world.violations.prefix(3))")
      try #require(world.isConnected, "silent \(areSilent), seed \(seed): an island is left")
      let settled = world.sharedLinks.map(\.pipe)
      world.run(until: at(3_600))
      let later = Set(world.sharedLinks.map(\.pipe))
      try #require(settled.allSatisfy { later.contains($0) }, "silent \(areSilent), seed \(seed): a settled link went")
      for pair in Dictionary(grouping: world.sharedLinks, by: { Set($0.nodes) }).values { try #require(pair.count == 1) }
    }
  }

  /// A bootstrap peer dies and comes back much later: it is dialled for ever, at least once a minute.
  @Test func bootstrapComesBack() {
    let world = World(seed: 3)
    let (a, b) = (world.add(peer(9)), world.add(peer(2)))
    world.send(a, .learned([PeerAddress(peer: nil, address: world.nodes[b].address)], .bootstrap))
    world.run(until: at(10))
    world.crash(b)
    world.run(until: at(7_200))
    world.restart(b, keepingBook: false)
    world.run(until: at(7_262))
    #expect(world.sharedLinks.count == 1)
  }

  /// Sixty nodes on one: never more than fifty, and the refused ones do not hammer.
  @Test func fullHouse() {
    let world = World(seed: 8)
    world.add(peer(1))
    for number in 2...61 {
      let index = world.add(peer(UInt64(number)))
      world.send(index, .learned([PeerAddress(peer: peer(1), address: world.nodes[0].address)], .bootstrap))
    }
    world.run(until: at(1_800))
    #expect(world.nodes[0].machine.counts.active == 50)
    #expect(world.nodes.dropFirst().allSatisfy { $0.dials.count < 120 })
  }

  /// Anything in any order: the tables agree after each step and nothing traps.
  @Test func randomInputs() {
    for seed in UInt64(1)...10 {
      var generator = SeededGenerator(seed: seed)
      var bench = Bench(local: 20, seed: seed) {
        $0.book.newBuckets = 1
        $0.book.triedBuckets = 1
        $0.book.addressesPerPeerMaximum = 3
        $0.atHandMaximum = 20
        $0.configuredMaximum = 10
        $0.totalMaximum = 12
        $0.outboundMaximum = 6
        $0.outboundMinimum = 4
        $0.bansMaximum = 5
        $0.historyMaximum = 50
        $0.introductionRequired = seed % 2 == 0
        $0.allowsPrivateAddresses = true
      }
      var ids: [ConnectionID] = [.outbound(1), .inbound(1)]
      var inbound: UInt64 = 1
      for _ in 0..<2_000 {
        let someone = peer(UInt64(generator.index(below: 40)))
        let place = Multiaddr(ip: .v4(0x0a00_0000 | UInt32(generator.index(below: 30))), port: UInt16(generator.index(below: 4)))
        let id = ids[generator.index(below: ids.count)]
        let item = PeerAddress(peer: generator.index(below: 3) == 0 ? nil : someone, address: place)
        let sources: [PeerSource] = [.seed, .bootstrap, .manual, .discovery, .exchange(someone), .identify(someone)]
        let input: PeeringMachine.Input =
          switch generator.index(below: 20) {
          case 0...3: .learned([item], sources[generator.index(below: sources.count)])
          case 4:
            .dialFailed(id, [DialFailure.refused, .timedOut, .wrongPeer(someone), .goodbye(Reason(.duplicate))][generator.index(below: 4)])
          case 5, 6:
            {
              inbound += 1
              return .accepted(.inbound(inbound), remote: place)
            }()
          case 7...10:
            .proven(
              id, generator.index(below: 2) == 0 ? (bench.machine.links[id]?.target?.peer ?? someone) : someone, remote: place,
              setUpTime: .zero)
          case 11: .introduced(someone)
          case 12: .closed(id, [LinkEnd.remoteClosed, .goodbye(Reason(.busy)), .protocolViolation("x")][generator.index(below: 3)])
          case 13: .report(someone, Offence.allCases[generator.index(below: Offence.allCases.count)])
          case 14: .dial(item, keep: generator.index(below: 2) == 0)
          case 15: generator.index(below: 4) == 0 ? .disconnect(someone, Reason(.operatorRequest)) : .refused(someone, Reason(.wrongChain))
          case 16: generator.index(below: 3) == 0 ? .ban(.peer(someone), for: .seconds(30), "x") : .unban(.peer(someone))
          case 17: generator.index(below: 4) == 0 ? .listening([place]) : .pong(id, nonce: generator.next())
          default: .timerFired
          }
        if generator.index(below: 3) == 0 { bench.now = bench.now + generator.jitter(.seconds(10)) }
        let outputs = bench.send(input)
        ids.append(contentsOf: outputs.dials.map(\.id) + [.inbound(inbound)])
        if ids.count > 12 { ids.removeFirst(ids.count - 12) }
      }
      #expect(bench.machine.known.count <= 20 + 10 + 12, "seed \(seed)")
    }
  }
}
