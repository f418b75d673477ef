import Identity
import Testing
import Wire

@testable import Ledger

/// FEATURES V4 and V8: turns, takeover, and a producer that is alone.
@Suite struct ProductionTests {
  let world = World()

  /// Producers that hear each other at once, as long as both are reachable.
  private final class Net {
    let world: World
    var runners: [Runner] = []
    var reachable: (Int, Int) -> Bool = { _, _ in true }
    private var relayed: [Int]

    init(_ world: World) throws {
      self.world = world
      runners = try world.authorities.map { key in
        let runner = try Runner(world)
        runner.send(.setProducer(key))
        runner.send(.setProducing(allowed: true))
        return runner
      }
      relayed = runners.map { _ in 0 }
    }

    func run(_ slots: ClosedRange<UInt64>) {
      for slot in slots {
        for runner in runners { runner.advance(toSlot: slot, of: world) }
        exchange()
      }
    }

    /// Carries each announced block to all that are reachable, and what those then miss from the announcer.
    func exchange() {
      for (from, runner) in runners.enumerated() {
        while relayed[from] < runner.relayedBlocks.count {
          let bytes = runner.relayedBlocks[relayed[from]]
          relayed[from] += 1
          for (to, other) in runners.enumerated() where to != from && reachable(from, to) { deliver(bytes, from: runner, to: other) }
        }
      }
    }

    private func deliver(_ bytes: [UInt8], from: Runner, to: Runner) {
      var missing = to.receive(bytes, .gossip(from.chain.producer!.key.peerID))
      while case .orphan(let parent) = missing, let bytes = try? from.chain.blockBytes(parent) {
        missing = to.receive(bytes, .sync(from.chain.producer!.key.peerID))
      }
    }
  }

  @Test func authoritiesTakeTurns() throws {
    let net = try Net(world)
    net.run(1...9)
    for runner in net.runners { #expect(runner.chain.head == net.runners[0].chain.head && runner.chain.head.height == 9) }
    for height in 1...9 as ClosedRange<UInt64> {
      let header = try #require(try net.runners[0].chain.block(at: height)).header
      #expect(header.slot == height && header.producer == World.address(world.authorities[Int(height % 3)]))
      #expect(header.time == WallTime(milliseconds: 1_000_000 + Int64(height) * 5000))
    }
    #expect(net.runners.allSatisfy { !$0.events.contains { if case .doubleSeal = $0 { true } else { false } } })
  }

  @Test func anotherAuthorityTakesOverFromASilentOne() throws {
    let net = try Net(world)
    net.run(1...3)
    net.runners[1].send(.setProducing(allowed: false))
    net.run(4...12)
    #expect(net.runners[0].chain.head.height == 3 + 6)
    for runner in net.runners { #expect(runner.chain.head == net.runners[0].chain.head) }
    let slots = try (4...9).map { try #require(try net.runners[0].chain.block(at: $0)).header.slot }
    #expect(slots == [5, 6, 8, 9, 11, 12])
    net.runners[1].send(.setProducing(allowed: true))
    net.run(13...15)
    #expect(net.runners[0].chain.head.height == 12)
  }

  @Test func anIsolatedNodeKeepsProducingAndRejoins() throws {
    let net = try Net(world)
    net.run(1...3)
    net.reachable = { ($0 == 0) == ($1 == 0) }
    let user = world.transfer(0, 1, nonce: 0)
    net.runners[0].submit(user)
    net.run(4...15)
    #expect(net.runners[0].chain.head.height == 7, "one of three slots")
    #expect(net.runners[1].chain.head.height == 11, "two of three slots")
    #expect(net.runners[0].chain.mempool.count == 0)
    net.reachable = { _, _ in true }
    net.run(16...18)
    for runner in net.runners { #expect(runner.chain.head == net.runners[1].chain.head && runner.chain.head.height == 14) }
    #expect(net.runners[0].events.contains { if case .reorganised(depth: 4, _, _) = $0 { true } else { false } })
    // The transaction of the lost branch returned to the pool and was sealed again when its node's turn came.
    #expect(net.runners[2].nonce(world.address(0)) == 1)
  }

  @Test func blocksHoldPendingTransactionsInOrder() throws {
    let runner = try Runner(world)
    runner.send(.setProducer(world.authorities[0]))
    runner.send(.setProducing(allowed: true))
    for nonce in [2, 0, 1] as [UInt64] { runner.submit(world.transfer(0, 1, nonce: nonce, fee: Amount(10 - nonce))) }
    runner.submit(world.transfer(1, 0, nonce: 0, fee: 9))
    runner.submit(world.transfer(2, 0, 600_000, nonce: 0))
    #expect(runner.chain.mempool.count == 5)
    runner.advance(toSlot: 3, of: world)
    let block = try #require(try runner.chain.block(at: 1))
    let sealed = try block.transactions.map { try Transaction(encoded: $0.rawSpan) }
    #expect(
      sealed.map { [$0.fee.units, $0.nonce] } == [[10, 0], [9, 1], [9, 0], [8, 2], [1, 0]]
        || sealed.map { [$0.fee.units, $0.nonce] } == [[10, 0], [9, 0], [9, 1], [8, 2], [1, 0]])
    #expect(runner.chain.mempool.count == 0)
    #expect(runner.balance(World.address(world.authorities[0])) == 37)
    // Empty blocks are made too.
    runner.advance(toSlot: 6, of: world)
    #expect(runner.chain.head.height == 2)
  }

  @Test func aSlotIsSealedOnceAlsoAfterARestart() throws {
    let store = MemoryStore()
    let runner = try Runner(world, store: store)
    runner.send(.setProducer(world.authorities[1]))
    runner.send(.setProducing(allowed: true))
    runner.advance(toSlot: 1, of: world)
    #expect(runner.chain.head.height == 1)
    // Another block for its slot does not bring the node to seal it again, before or after a restart.
    let own = runner.chain.head
    var branch = Branch(world)
    runner.receive(try branch.add(slot: 1, [world.transfer(0, 1, nonce: 0)]))
    #expect(runner.chain.head == own)
    runner.send(.timerFired)
    let restarted = try Runner(world, store: store, now: .zero + .seconds(6))
    restarted.send(.setProducer(world.authorities[1]))
    restarted.send(.setProducing(allowed: true))
    #expect(restarted.chain.head.height == 1 && restarted.relayedBlocks.isEmpty)
    #expect(restarted.chain.sealed.spans == [1...1])
    #expect(restarted.chain.nextDeadline == .zero + .seconds(20))
  }

  /// A producer whose clock was 80 min ahead: set right, and restarted twice, it has its next turn at once, says what it waited for, and no slot is
  /// sealed twice when the time that its clock once showed comes.
  @Test func aClockThatWasAheadClosesOnlyTheSlotsThatWereSealed() throws {
    let store = MemoryStore()
    var runner = try Runner(world, store: store)
    var slots: [UInt64] = []
    func start() throws {
      let headers = try runner.relayedBlocks.map { try Block(encoded: $0.rawSpan, limits: world.genesis.limits).header }
      slots += headers.filter { $0.producer == World.address(world.authorities[1]) }.map(\.slot)
      runner = try Runner(world, store: store, now: runner.now)
      runner.send(.setProducer(world.authorities[1]))
      runner.send(.setProducing(allowed: true))
    }
    try start()
    runner.advance(toSlot: 7, of: world)
    runner.send(.clock(WallClock(now: .zero, wall: world.genesis.time + .seconds(4_800))))
    runner.advance(toSlot: 15, of: world)
    #expect(runner.chain.sealed.spans == [1...7, 967...973])
    runner.send(.clock(WallClock(now: .zero, wall: world.genesis.time)))
    let held = try #require(runner.chain.production(now: runner.now))
    guard case .headAhead(let turn)? = held.obstacle else { throw Missing("its own block is the head: \(held)") }
    #expect(turn.slot == 973 && held.last?.slot == 973 && held.next?.slot == 976)
    #expect(runner.events.last == .productionChanged(held))
    // The others went on, and their chain has more blocks.
    var branch = Branch(world)
    for slot in [2, 3, 5, 6, 8, 9, 11, 12, 14, 15] as [UInt64] { runner.receive(try branch.add(slot: slot)) }
    #expect(runner.chain.head == branch.head && runner.chain.production(now: runner.now)?.obstacle == nil)
    #expect(runner.events.contains { if case .ownBlockReplaced(_, _, 973) = $0 { true } else { false } })
    runner.advance(toSlot: 16, of: world)
    for _ in 1...2 { try start() }
    runner.advance(toSlot: 22, of: world)
    #expect(runner.chain.head.slot == 22 && runner.chain.head.height == branch.head.height + 3)
    // When the time comes that the clock once showed, those slots are left out.
    runner.advance(toSlot: 980, of: world)
    try start()
    #expect(Set(slots).count == slots.count, "\(slots)")
    #expect(slots.suffix(4) == [961, 964, 976, 979], "\(slots.suffix(10))")
  }

  /// The present slot was sealed already: what it waits for is said, by the time that it takes.
  @Test func aSealedSlotIsNamedAsWhatIsWaitedFor() throws {
    let runner = try Runner(world)
    runner.send(.setProducer(world.authorities[1]))
    runner.send(.setProducing(allowed: true))
    runner.send(.clock(WallClock(now: .zero, wall: world.genesis.time + .seconds(500))))
    runner.advance(toSlot: 3, of: world)
    #expect(runner.chain.sealed.spans == [100...103])
    var branch = Branch(world)
    for slot in [2, 3, 5] as [UInt64] { runner.receive(try branch.add(slot: slot)) }
    runner.send(.clock(WallClock(now: runner.now, wall: world.consensus.time(of: 99)!)))
    let status = try #require(runner.chain.production(now: runner.now))
    #expect(
      status.obstacle == .sealed(through: .init(slot: 103, time: world.consensus.time(of: 103)!)) && status.next?.slot == 106, "\(status)")
    #expect(
      status.words(at: world.consensus.time(of: 99)!)
        == "last slot 103 (in 20 s), next slot 106 (in 35 s); it makes no blocks now: it has sealed its slots up to 103 (in 20 s) already, as with a clock that was ahead, and seals none twice"
    )
  }

  /// A block of this node that can't be stored yet waits, and the node makes no second one for the same parent in each of its slots.
  @Test func ownBlocksDoNotPileUpWhileTheStoreFails() throws {
    let world = World(authorities: 1)
    let store = MemoryStore()
    var configuration = ChainConfiguration()
    configuration.uncommittedBlocks = 2
    let runner = try Runner(world, store: store, configuration: configuration)
    runner.send(.setProducer(world.authorities[0]))
    runner.send(.setProducing(allowed: true))
    store.failure = StoreError("no room")
    runner.advance(toSlot: 200, of: world)
    #expect(runner.chain.waiting.count <= 1, "\(runner.chain.waiting.count) blocks wait")
    store.failure = nil
    runner.advance(toSlot: 220, of: world)
    #expect(runner.chain.head.slot == 220 && runner.chain.waiting.count == 0 && runner.chain.nodes.count == runner.chain.canonical.count)
    #expect(runner.relayedBlocks.count == Int(runner.chain.head.height))
  }

  /// Where all slots that there are count as sealed, as after damage to the store, the producer makes no block and says why.
  @Test(arguments: [1 << 62, .max - 1, .max] as [UInt64]) func nothingIsSealedBehindTheLastSlotThatThereIs(last: UInt64) throws {
    let store = MemoryStore()
    _ = try Runner(world, store: store)
    var batch = WriteBatch()
    batch.put(ChainTable.meta, ChainTable.sealedKey, ChainTable.key(last))
    try store.commit(batch)
    let runner = try Runner(world, store: store)
    runner.send(.setProducer(world.authorities[1]))
    runner.send(.setProducing(allowed: true))
    runner.advance(toSlot: 9, of: world)
    #expect(runner.chain.head.height == 0 && runner.relayedBlocks.isEmpty)
    let status = try #require(runner.chain.production(now: runner.now))
    guard case .sealed = status.obstacle else {
      Issue.record("\(status)")
      return
    }
    #expect(status.next == nil)
  }

  @Test func aBuiltBlockThatANewTipOutranIsNotPublished() throws {
    let runner = try Runner(world)
    runner.send(.setProducer(world.authorities[2]))
    runner.send(.setProducing(allowed: true))
    runner.works = false
    runner.advance(toSlot: 2, of: world)
    let (id, build) = runner.work.removeFirst()
    runner.works = true
    var branch = Branch(world)
    runner.receive(try branch.add(slot: 1))
    runner.send(.workDone(id, build.run(crypto: crypto)))
    // It is built again on the new tip, within the same slot.
    #expect(runner.chain.head.height == 2 && runner.chain.head.slot == 2)
    #expect(runner.relayedBlocks.count == 2)
    let block = try #require(try runner.chain.block(at: 2))
    #expect(block.header.parent == branch.head.hash)
  }

  /// The pool refuses each piece of work a few times: nobody waits for ever, and nothing is spent on refusing.
  @Test func refusedWorkIsHandedOutAgain() throws {
    let runner = try Runner(world)
    runner.send(.setProducer(world.authorities[2]))
    runner.send(.setProducing(allowed: true))
    runner.works = false
    /// Refuses the one piece that waits three times, then does it.
    func work() throws {
      for _ in 0..<3 {
        #expect(runner.work.count == 1)
        let (id, _) = runner.work.removeFirst()
        let refused = runner.now
        runner.send(.workRefused(id))
        // A second word on the same piece means nothing.
        runner.send(.workRefused(id))
        #expect(runner.work.isEmpty && runner.chain.nextDeadline.map { $0 > refused } == true)
        runner.advance(to: refused + .milliseconds(50))
      }
      let (id, work) = runner.work.removeFirst()
      runner.send(.workDone(id, work.run(crypto: crypto)))
    }
    let transaction = world.transfer(0, 1, nonce: 0)
    runner.submit(transaction)
    try work()
    #expect(runner.transactionVerdicts[1] == .accepted(transaction.id(crypto: crypto)))
    var branch = Branch(world)
    let block = try branch.add(slot: 1)
    runner.advance(toSlot: 1, of: world)
    runner.receive(block)
    // Its seal, and then all of it.
    try work()
    try work()
    #expect(runner.chain.head == branch.head)
    runner.advance(toSlot: 2, of: world)
    // Its making, and then its execution.
    try work()
    try work()
    #expect(runner.chain.head.height == 2 && runner.chain.head.slot == 2 && runner.relayedBlocks.count == 2)
    #expect(try runner.chain.block(at: 2)?.transactions == [transaction.encoded])
    // Said once for each piece.
    #expect(runner.events.count { if case .workRefused = $0 { true } else { false } } == 5)
  }

  @Test(arguments: [(0, 3, 3), (1, 1, 1), (2, 2, 2)] as [(Int, UInt64, UInt64)])
  func opportunities(authority: Int, firstSlot: UInt64, _: UInt64) {
    let consensus = world.consensus
    let head = Branch(world).head
    let address = World.address(world.authorities[authority])
    #expect(consensus.opportunity(for: address, after: head, at: world.genesis.time)?.slot == firstSlot)
    #expect(consensus.opportunity(for: address, after: head, at: WallTime(milliseconds: 0))?.slot == firstSlot)
    let later = consensus.time(of: 100)! + .milliseconds(4999)
    #expect(consensus.opportunity(for: address, after: head, at: later).map { $0.slot % 3 } == UInt64(authority))
    #expect(consensus.opportunity(for: address, after: head, at: later).map { (100...102).contains($0.slot) } == true)
    #expect(consensus.opportunity(for: world.address(0), after: head, at: later) == nil)
  }
}

private struct Missing: Error {
  let what: String
  init(_ what: String) { self.what = what }
}
