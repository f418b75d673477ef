import Identity
import Testing
import Wire

@testable import Ledger

/// FEATURES V7: what is committed survives, whenever the process ends.
@Suite struct RestartTests {
  let world = World()

  @Test func everyCrashLeavesAWholeChain() throws {
    // The store as it is after each batch, and what was said by then.
    var main = Branch(world)
    var side = main
    for slot in 1...6 as ClosedRange<UInt64> { try main.add(slot: slot, [world.transfer(0, 1, nonce: slot - 1)]) }
    try side.add(slot: 1, [world.transfer(0, 1, nonce: 0)])
    for slot in 8...14 as ClosedRange<UInt64> { try side.add(slot: slot, [world.transfer(1, 2, nonce: slot - 8)]) }
    let pending = world.transfer(3, 0, nonce: 0)

    let runner = try Runner(world, now: .zero + .seconds(100))
    runner.commits = false
    runner.submit(pending)
    for block in main.blocks { runner.receive(block) }
    let disk = MemoryStore(copying: runner.store)
    var snapshots = [MemoryStore(copying: disk)]
    var accepted: [Int] = [0]
    func flush() throws {
      while !runner.held.isEmpty {
        let (id, batch) = runner.held.removeFirst()
        try runner.store.commit(batch)
        try disk.commit(batch)
        snapshots.append(MemoryStore(copying: disk))
        runner.send(.committed(id))
        accepted.append(Int(runner.chain.head.height))
      }
    }
    try flush()
    for block in side.blocks {
      runner.receive(block)
      try flush()
    }
    #expect(runner.chain.head == side.head && snapshots.count > 4)

    for (index, snapshot) in snapshots.enumerated() {
      let reopened = try Runner(world, store: snapshot, now: .zero + .seconds(200))
      #expect(reopened.chain.head.height >= UInt64(min(accepted[index], 6)), "snapshot \(index)")
      #expect(reopened.chain.tipState.root == reopened.chain.head.stateRoot)
      if index > 0 { #expect(reopened.chain.mempool[pending.id(crypto: crypto)] != nil, "an accepted transaction survives") }
      // It takes part again: both branches are offered, the better one wins.
      for block in main.blocks + side.blocks { reopened.receive(block) }
      #expect(reopened.chain.head == side.head, "snapshot \(index)")
      #expect(reopened.chain.tipState.root == side.state.root)
    }
  }

  @Test func reorganisesBelowTheHeadAfterARestart() throws {
    let store = MemoryStore()
    let runner = try Runner(world, store: store, now: .zero + .seconds(1000))
    var main = Branch(world)
    try main.add(slot: 1)
    var side = main
    for slot in 2...40 as ClosedRange<UInt64> {
      let key: [UInt8] = [UInt8(slot % 3)]
      try main.add(
        slot: slot,
        [
          world.transfer(0, 1, nonce: 2 * slot - 4),
          world.data(0, slot % 6 == 5 ? .deleteData(key: key) : .setData(key: key, value: [UInt8(slot)]), nonce: 2 * slot - 3),
        ])
    }
    for slot in 50...90 as ClosedRange<UInt64> { try side.add(slot: slot) }
    for block in main.blocks { runner.receive(block) }
    #expect(runner.chain.head == main.head)

    let restarted = try Runner(world, store: store, now: .zero + .seconds(1000))
    #expect(restarted.chain.head == main.head)
    for block in side.blocks.dropFirst() { restarted.receive(block, .sync(world.users[0].peerID)) }
    #expect(restarted.chain.head == side.head && restarted.heads.last?.depth == 0)
    #expect(restarted.heads.contains { $0.depth == 39 })
    #expect(restarted.chain.tipState.root == side.state.root)
    #expect(restarted.chain.mempool.count == 78, "what was on the chain returns, beyond what one sender may add")
    #expect(try Runner(world, store: MemoryStore(copying: store), now: .zero + .seconds(1000)).chain.mempool.count == 78)
    #expect(restarted.relayedBlocks.isEmpty, "what came by sync is not announced")

    // The way back needs the new values of blocks that were loaded from undo records.
    for slot in 91...93 as ClosedRange<UInt64> { try main.add(slot: slot) }
    for block in main.blocks.suffix(3) { restarted.receive(block) }
    #expect(restarted.chain.head == main.head)
    #expect(restarted.chain.mempool.count == 0)
    let again = try Runner(world, store: store, now: .zero + .seconds(1000))
    #expect(again.chain.head == main.head && again.chain.tipState.root == main.state.root)
  }

  @Test func reopensBeyondTheFinalHeight() throws {
    let store = MemoryStore()
    var configuration = ChainConfiguration()
    configuration.finalityDepth = 5
    let runner = try Runner(world, store: store, configuration: configuration, now: .zero + .seconds(1000))
    var branch = Branch(world)
    for slot in 1...20 as ClosedRange<UInt64> { try branch.add(slot: slot, [world.transfer(0, 1, nonce: slot - 1)]) }
    for block in branch.blocks { runner.receive(block) }
    var reopened = try Runner(world, store: store, configuration: configuration, now: .zero + .seconds(1000))
    #expect(reopened.chain.head == branch.head && reopened.chain.finalHeight == 15)
    configuration.finalityDepth = 64
    reopened = try Runner(world, store: store, configuration: configuration, now: .zero + .seconds(1000))
    #expect(reopened.chain.head == branch.head && reopened.chain.finalHeight == 15)
    try branch.add(slot: 21)
    #expect(reopened.receive(branch.blocks[20]) == .accepted(branch.head.hash))
    #expect(try reopened.chain.block(at: 3)?.hash(crypto: crypto) == branch.blocks[2].hash(crypto: crypto))
    #expect(reopened.receive(branch.blocks[2]) == .known(branch.blocks[2].hash(crypto: crypto)))
  }

  @Test func damageAndOtherChainsAreTold() throws {
    let store = MemoryStore()
    let runner = try Runner(world, store: store, now: .zero + .seconds(100))
    var branch = Branch(world)
    runner.receive(try branch.add(slot: 1, [world.transfer(0, 1, nonce: 0)]))
    var other = world
    other.genesis.chainID = "other"
    #expect(throws: ChainError.otherGenesis(stored: world.hash, configured: other.hash)) { try other.open(store) }

    let key = try #require(try store.scan(ChainTable.state, from: [], limit: 1).first).key
    for (table, key) in [(ChainTable.state, key), (ChainTable.meta, ChainTable.headKey), (ChainTable.blocks, ChainTable.key(1))] {
      let damaged = MemoryStore(copying: store)
      var batch = WriteBatch()
      batch.put(table, key, [1, 2, 3])
      try damaged.commit(batch)
      #expect(throws: ChainError.self, "\(table.name)") { try world.open(damaged) }
    }
    _ = try world.open(store)
  }
}
