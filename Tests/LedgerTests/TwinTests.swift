import Identity
import Testing
import Wire

@testable import Ledger

/// An authority that seals more than one block for a slot.
@Suite struct TwinTests {
  let world = World()
  private var peer: PeerID { world.users[0].peerID }

  /// Blocks of one authority for one slot on the branch, as many as wanted, in ascending order of their hashes.
  private func twins(_ count: Int, slot: UInt64, on branch: Branch) throws -> [Branch] {
    try (0..<count).map { number in
      var branch = branch
      try branch.add(slot: slot, [world.data(0, .setData(key: [1], value: [UInt8(number)]), nonce: 0)])
      return branch
    }.sorted { $0.head.hash < $1.head.hash }
  }

  private func evidence(_ runner: Runner) -> Int { runner.events.count { if case .doubleSeal = $0 { true } else { false } } }

  /// Two are looked at, which make the evidence; further ones cost neither execution nor room, and are not passed on. The first seen stays.
  @Test func atMostTwoBlocksOfASlotAreLookedAt() throws {
    let all = try twins(6, slot: 1, on: Branch(world))
    // The higher hash comes first.
    let order = [all[3], all[0], all[1], all[2], all[4], all[5]]
    for isBatch in [false, true] {
      let runner = try Runner(world, now: .zero + .seconds(100))
      runner.works = !isBatch
      for branch in order { runner.receive(branch.blocks[0], .gossip(peer)) }
      runner.works = true
      runner.runHeldWork()
      #expect(runner.verdicts.values.filter { $0 == .refused(.twin(slot: 1)) }.count == 4)
      #expect(runner.chain.head == all[3].head, "a second seal displaces nothing, whatever its hash")
      #expect(Set(runner.relayedBlocks) == Set(order.prefix(2).map { $0.blocks[0].encoded }))
      #expect(runner.chain.statistics.sideBlocks == 1 && evidence(runner) == 1)
      #expect(!runner.events.contains { if case .reorganised = $0 { true } else { false } })
    }
  }

  /// Forged twins count for nothing: whoever has no key can't keep an authority's block out.
  @Test func forgedTwinsTakeNoPlace() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    let all = try twins(4, slot: 1, on: Branch(world))
    for branch in all.prefix(3) {
      #expect(runner.receive(resealed(branch.blocks[0], by: world.users[1]) { _ in }, .gossip(peer)) == .invalid(.badSeal))
    }
    #expect(runner.receive(all[3].blocks[0], .gossip(peer)) == .accepted(all[3].head.hash))
    #expect(evidence(runner) == 0)
  }

  /// Nodes that have seen different twins first, and do not look at each other's, agree as soon as one of them is built on.
  @Test func theNextBlockDecides() throws {
    let all = try twins(4, slot: 1, on: Branch(world))
    let runners = try (0..<2).map { _ in try Runner(world, now: .zero + .seconds(100)) }
    for (index, runner) in runners.enumerated() {
      for offset in 0..<4 { runner.receive(all[(2 * index + offset) % 4].blocks[0], .gossip(peer)) }
      #expect(runner.chain.head == all[2 * index].head)
    }
    var winner = all[2]
    let next = try winner.add(slot: 2)
    // The first node has not looked at the twin that was built on: now it does, for somebody else's seal stands on it.
    #expect(runners[0].receive(next, .gossip(peer)) == .orphan(parent: all[2].head.hash))
    #expect(runners[0].needed == [all[2].head.hash])
    runners[0].receive(all[2].blocks[0], .gossip(peer))
    runners[1].receive(next, .gossip(peer))
    for runner in runners { #expect(runner.chain.head == winner.head) }
    #expect(runners.map(evidence) == [1, 1])
  }

  /// A range that was asked for is taken as it is: it may hold a twin that others built on.
  @Test func aRangeMayHoldAnyTwin() throws {
    let all = try twins(3, slot: 1, on: Branch(world))
    let runner = try Runner(world, now: .zero + .seconds(100))
    for branch in all.prefix(2) { runner.receive(branch.blocks[0], .gossip(peer)) }
    var longer = all[2]
    try longer.add(slot: 2)
    for block in longer.blocks { runner.receive(block, .sync(peer)) }
    #expect(runner.chain.head == longer.head && evidence(runner) == 1)
  }

  /// Orphans are twins too: an authority's orphans for one slot are two at most.
  @Test func orphanedTwinsCountToo() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var base = Branch(world)
    try base.add(slot: 1)
    let all = try twins(3, slot: 2, on: base)
    let verdicts = all.map { runner.receive($0.blocks[1], .gossip(peer)) }
    let orphan = BlockVerdict.orphan(parent: base.head.hash)
    #expect(verdicts == [orphan, orphan, .refused(.twin(slot: 2))])
  }
}
