import Crypto
import Identity
import TestKit
import Testing
import Wire

@testable import Discovery

@Suite(.ownThread) struct KademliaSwarmTests {
  /// A network in which each newcomer knows one earlier node; settled for five minutes.
  private func network(_ size: UInt64, seed: UInt64, _ change: (inout Kademlia.Configuration) -> Void = { _ in }) -> KademliaWorld {
    let world = KademliaWorld(seed: seed)
    var generator = SeededGenerator(seed: seed)
    for number in 1...size {
      world.add(number, change)
      if number > 1 { world.link(peer(number), peer(1 + generator.next() % (number - 1))) }
      world.run(.milliseconds(500))
    }
    world.run(.seconds(300))
    return world
  }

  private func nearest(_ key: [UInt8], of size: UInt64, _ count: Int) -> [PeerID] {
    let target = SystemCrypto.shared.sha256(key)
    return Array(
      (1...size).map { peer($0) }.sorted {
        (SystemCrypto.shared.sha256($0.bytes) ^ target) < (SystemCrypto.shared.sha256($1.bytes) ^ target)
      }.prefix(count))
  }

  @Test(arguments: [1, 2] as [UInt64]) func everybodyFindsTheSameNearest(seed: UInt64) {
    let world = network(45, seed: seed)
    for asker in 1...45 as ClosedRange<UInt64> { world.start(peer(asker), asker, .closestPeers([7, 7, UInt8(seed)])) }
    world.run(.seconds(60))
    let expected = nearest([7, 7, UInt8(seed)], of: 45, 21)
    for asker in 1...45 as ClosedRange<UInt64> {
      guard case .peers(let found)? = world.outcome(asker) else {
        Issue.record("seed \(seed): \(asker) found \(String(describing: world.outcome(asker)))")
        continue
      }
      #expect(found.map(\.peer) == Array(expected.filter { $0 != peer(asker) }.prefix(20)), "seed \(seed), asker \(asker)")
    }
    #expect(world.reports.isEmpty)
  }

  @Test func everybodyIsFoundAndProvidersAndValuesToo() {
    let world = network(40, seed: 9)
    var id: UInt64 = 0
    for sought in 1...40 as ClosedRange<UInt64> {
      for asker in [1, 17, 40] as [UInt64] where asker != sought {
        id += 1
        world.start(peer(asker), id, .findPeer(peer(sought)))
        world.run(.seconds(2))
        guard case .peer(let found, isReached: true)? = world.outcome(id) else {
          Issue.record("\(asker) did not find \(sought): \(String(describing: world.outcome(id)))")
          continue
        }
        #expect(found.peer == peer(sought))
      }
    }
    let key: [UInt8] = [0x12, 0x20] + [UInt8](repeating: 5, count: 32)
    for provider in [3, 5, 8] as [UInt64] { world.start(peer(provider), 1_000 + provider, .provide(key)) }
    world.start(peer(2), 1_100, .putValue(Array("/v/x".utf8), [1, 2]))
    world.run(.seconds(5))
    for provider in [3, 5, 8] as [UInt64] { #expect(world.outcome(1_000 + provider) == .stored(20)) }
    #expect(world.outcome(1_100) == .stored(20))
    for asker in 10...30 as ClosedRange<UInt64> {
      world.start(peer(asker), 2_000 + asker, .findProviders(key, maximum: 20))
      world.start(peer(asker), 3_000 + asker, .getValue(Array("/v/x".utf8), quorum: 0))
      world.start(peer(asker), 4_000 + asker, .getValue(Array("/v/y".utf8), quorum: 0))
      world.start(peer(asker), 5_000 + asker, .findProviders(key, maximum: 2))
    }
    world.run(.seconds(10))
    for asker in 10...30 as ClosedRange<UInt64> {
      if case .providers(let found)? = world.outcome(2_000 + asker) {
        #expect(Set(found.map(\.peer)) == [peer(3), peer(5), peer(8)])
        #expect(found.allSatisfy { !$0.addresses.isEmpty })
        #expect(world.progress[LookUpID(rawValue: 2_000 + asker)] == found.map { .provider($0) })
      } else {
        Issue.record("\(asker) found no providers")
      }
      if case .value(let value, let answers)? = world.outcome(3_000 + asker) {
        #expect(value == [1, 2] && answers > 10)
      } else {
        Issue.record()
      }
      #expect(world.outcome(4_000 + asker) == .failure(.notFound))
      if case .providers(let found)? = world.outcome(5_000 + asker) { #expect(found.count == 2) } else { Issue.record() }
    }
  }

  /// A third of the network dies: the rest still find each other, and entries that are stored anew outlive their holders.
  @Test(arguments: [4] as [UInt64]) func deadPeersAreWalkedRound(seed: UInt64) {
    let world = network(30, seed: seed) { $0.refreshInterval = .seconds(30 * 3_600) }
    let key: [UInt8] = [1, 2, 3, 4]
    world.start(peer(7), 1, .provide(key))
    world.run(.seconds(10))
    for number in stride(from: 1, through: 30, by: 3) as StrideThrough<UInt64> where number != 7 {
      world.nodes[peer(number)]?.isAlive = false
    }
    world.start(peer(2), 2, .findPeer(peer(29)))
    world.start(peer(3), 3, .findProviders(key, maximum: 1))
    world.run(.seconds(60))
    if case .peer(_, isReached: true)? = world.outcome(2) {} else { Issue.record("seed \(seed): \(String(describing: world.outcome(2)))") }
    if case .providers(let found)? = world.outcome(3) { #expect(found.map(\.peer) == [peer(7)]) } else { Issue.record("seed \(seed)") }
    // Two days later: the provider has stored its entry again twice, at those who live.
    world.run(.seconds(2 * 86_400))
    world.start(peer(3), 4, .findProviders(key, maximum: 1))
    world.run(.seconds(60))
    if case .providers(let found)? = world.outcome(4) { #expect(found.map(\.peer) == [peer(7)]) } else { Issue.record("seed \(seed)") }
    #expect(world.nodes[peer(2)]!.machine.servers.allSatisfy { world.nodes[$0]!.isAlive }, "the dead have left the table")
    // The provider stops: after two more days nobody names it.
    world.input(peer(7), .stopProviding(key))
    world.run(.seconds(2 * 86_400 + 60))
    world.start(peer(3), 5, .findProviders(key, maximum: 1))
    world.run(.seconds(60))
    #expect(world.outcome(5) == .providers([]))
  }

  @Test func clientsAskAndAreInNobodysTable() {
    let world = network(20, seed: 6)
    world.add(50) { $0.mode = .client }
    world.link(peer(50), peer(3))
    world.run(.seconds(60))
    world.start(peer(50), 1, .findPeer(peer(19)))
    world.start(peer(50), 2, .provide([9, 9]))
    world.run(.seconds(10))
    if case .peer(_, isReached: true)? = world.outcome(1) {} else { Issue.record("\(String(describing: world.outcome(1)))") }
    #expect(world.outcome(2) == .stored(20))
    for number in 1...20 as ClosedRange<UInt64> { #expect(!world.nodes[peer(number)]!.machine.servers.contains(peer(50))) }
    world.start(peer(20), 3, .findProviders([9, 9], maximum: 5))
    world.run(.seconds(10))
    if case .providers(let found)? = world.outcome(3) { #expect(found.map(\.peer) == [peer(50)]) } else { Issue.record() }
  }

  /// The best value wins, and whoever held a worse one or none is told.
  @Test func worseValuesAreCorrected() {
    let world = network(25, seed: 12)
    let key = Array("/v/k".utf8)
    world.start(peer(4), 1, .putValue(key, [1]))
    world.run(.seconds(5))
    world.start(peer(9), 2, .putValue(key, [2]))
    world.run(.seconds(5))
    #expect(world.outcome(2) == .stored(20))
    // A newcomer near the key holds nothing yet, and one holder has lost its memory.
    world.start(peer(11), 3, .getValue(key, quorum: 0))
    world.run(.seconds(10))
    if case .value([2], _)? = world.outcome(3) {} else { Issue.record("\(String(describing: world.outcome(3)))") }
    world.start(peer(4), 4, .putValue(key, [1]))
    world.run(.seconds(5))
    #expect(world.outcome(4) == .failure(.invalid("a better value is known")) || world.outcome(4) == .failure(.notStored))
    let holders = (1...25 as ClosedRange<UInt64>).filter { number in
      var outputs: [Kademlia.Output] = []
      let request = KademliaMessage(.getValue, key: key).encoded
      let service = world.nodes[peer(number)]!.machine.serve(
        peer(99), at: nil, request.rawSpan, now: world.now, isConnected: { _ in false }, addresses: { _ in [] }, into: &outputs)
      guard case .answer(let bytes) = service else { return false }
      return (try? KademliaMessage(encoded: bytes.rawSpan))?.record?.value == [2]
    }
    #expect(holders.count >= 20)
  }

  /// Servers that lie in every way they can: the honest are still found, and the liars are reported.
  @Test func liars() {
    let world = network(30, seed: 21)
    var generator = SeededGenerator(seed: 3)
    for number in [3, 6, 9, 12, 15] as [UInt64] {
      world.tamper[peer(number)] = { message in
        switch generator.index(below: 6) {
        case 0: return generator.bytes(50)
        case 1: return KademliaMessage(.ping).encoded
        case 2: return nil
        case 3:
          let fake = (0..<40).map { _ in KademliaMessage.Peer(id: peer(1_000 + generator.next() % 1_000_000), addresses: [item(1).address])
          }
          return KademliaMessage(message.kind, key: message.key, closerPeers: fake).encoded
        case 4:
          return KademliaMessage(message.kind, key: message.key, record: .init(key: Array("/v/other".utf8), value: [9])).encoded
        default: return KademliaMessage(message.kind, key: message.key).encoded
        }
      }
    }
    world.start(peer(1), 1, .putValue(Array("/v/t".utf8), [5]))
    world.run(.seconds(60))
    for asker in [2, 4, 5, 7, 8] as [UInt64] {
      world.start(peer(asker), 10 + asker, .getValue(Array("/v/t".utf8), quorum: 0))
      world.start(peer(asker), 20 + asker, .findPeer(peer(30)))
    }
    world.run(.seconds(70))
    for asker in [2, 4, 5, 7, 8] as [UInt64] {
      if case .value([5], _)? = world.outcome(10 + asker) {} else { Issue.record("\(String(describing: world.outcome(10 + asker)))") }
      if case .peer(_, isReached: true)? = world.outcome(20 + asker) {
      } else {
        Issue.record("\(String(describing: world.outcome(20 + asker)))")
      }
    }
    #expect(!world.reports.isEmpty)
    #expect(world.reports.allSatisfy { [3, 6, 9, 12, 15].map { peer($0) }.contains($0.of) }, "only liars are reported")
  }
}
