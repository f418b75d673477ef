import Identity
import Testing
import Wire

@testable import Ledger

/// Forks, orphans, durability and order of outputs.
@Suite struct ChainTests {
  let world = World()

  @Test func aBetterBranchWinsAndReplacedTransactionsReturn() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    let kept = world.transfer(0, 1, nonce: 0)
    let replaced = [world.transfer(1, 2, nonce: 0), world.transfer(1, 2, nonce: 1)]
    var first = Branch(world)
    try first.add(slot: 1, [kept])
    var second = first
    try first.add(slot: 2, replaced)
    try second.add(slot: 3, [world.transfer(0, 2, nonce: 1)])
    try second.add(slot: 5)

    for block in first.blocks { runner.receive(block) }
    #expect(runner.chain.head.hash == first.head.hash && runner.chain.mempool.count == 0)
    // Equal length: the earlier slot stays. One block more: the other branch wins.
    #expect(runner.receive(second.blocks[1]) == .accepted(second.blocks[1].hash(crypto: crypto)))
    #expect(runner.chain.head.hash == first.head.hash)
    #expect(runner.receive(second.blocks[2]) == .accepted(second.head.hash))
    #expect(runner.chain.head == second.head)
    #expect(runner.heads.last?.depth == 1)
    #expect(runner.chain.tipState.root == second.state.root)
    #expect(runner.chain.mempool.transactions.map(\.id) == replaced.map { $0.id(crypto: crypto) })
    #expect(try runner.chain.transaction(replaced[0].id(crypto: crypto)).map { if case .pending = $0 { true } else { false } } == true)
    #expect(try runner.chain.height(of: first.head.hash) == nil)
    #expect(try runner.chain.blocks(from: 1, count: 9, maximumBytes: 1 << 20) == second.blocks.map(\.encoded))

    // The state in the store is the branch's, entry by entry.
    let stored = try runner.store.scan(ChainTable.state, from: [], limit: 1000)
    let expected = second.state.tree.entries()
    #expect(stored.map(\.key) == expected.map(\.key.bytes) && stored.map(\.value) == expected.map(\.value))

    // And back, by the blocks that are still known.
    try first.add(slot: 6)
    try first.add(slot: 7)
    runner.receive(first.blocks[2])
    #expect(runner.chain.tip == second.head)
    runner.receive(first.blocks[3])
    #expect(runner.chain.head == first.head && runner.heads.last?.depth == 2)
    #expect(runner.chain.mempool.count == 1, "the other branch's transaction returns")
    let receipt = try #require(try runner.chain.receipt(replaced[1].id(crypto: crypto)))
    #expect(receipt.proof.proves(replaced[1].id(crypto: crypto), under: receipt.header.transactionRoot, crypto: crypto))
  }

  @Test func allNodesChooseAlikeWhateverTheOrder() throws {
    // Branches of equal length, and a block for a slot that its authority seals twice.
    var branches: [Branch] = []
    for (slots, user) in [([1, 2, 4], 0), ([1, 3, 5], 1), ([2, 3, 6], 2)] as [([UInt64], Int)] {
      var branch = Branch(world)
      for (index, slot) in slots.enumerated() { try branch.add(slot: slot, [world.transfer(user, 0, nonce: UInt64(index))]) }
      branches.append(branch)
    }
    let blocks = branches.flatMap(\.blocks)
    var heads: Set<Hash256> = []
    for seed in 0..<12 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      let runner = try Runner(world, now: .zero + .seconds(100))
      for block in blocks.shuffled(using: &random) { runner.receive(block, .gossip(world.users[0].peerID)) }
      heads.insert(runner.chain.head.hash)
      #expect(runner.chain.statistics.orphans == 0 && runner.chain.head.height == 3, "seed \(seed)")
      #expect(Set(runner.relayedBlocks).count == blocks.count, "every valid block is announced once")
      let evidence = runner.events.compactMap { if case .doubleSeal(let evidence) = $0 { evidence } else { nil } }
      #expect(!evidence.isEmpty && evidence.allSatisfy { $0.isValid(by: world.consensus, crypto: crypto) })
    }
    #expect(heads.count == 1)
  }

  @Test func orphansWaitForTheirParents() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var branch = Branch(world)
    for slot in 1...5 as ClosedRange<UInt64> { try branch.add(slot: slot) }
    let hashes = branch.blocks.map { $0.hash(crypto: crypto) }
    #expect(runner.receive(branch.blocks[4]) == .orphan(parent: hashes[3]))
    #expect(runner.receive(branch.blocks[4]) == .orphan(parent: hashes[3]), "it waits still, and is not known to be good")
    #expect(runner.receive(branch.blocks[3]) == .orphan(parent: hashes[2]))
    #expect(runner.needed == [hashes[3], hashes[3], hashes[2]], "whoever sends it again may have its parent")
    runner.advance(to: runner.now + .seconds(5))
    #expect(runner.needed.dropFirst(3) == [hashes[2]], "only the missing root is asked for again")
    runner.receive(branch.blocks[0])
    runner.receive(branch.blocks[1])
    #expect(runner.chain.head.height == 2)
    #expect(runner.receive(branch.blocks[2]) == .accepted(hashes[2]))
    #expect(runner.chain.head.hash == hashes[4] && runner.chain.statistics.orphans == 0)

    // Orphans are bounded and leave after a while.
    var configuration = ChainConfiguration()
    configuration.orphanBytesMinimum = 1_000
    configuration.orphanBytes = 2_000
    let small = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    for block in branch.blocks.dropFirst().reversed() { small.receive(block) }
    #expect(small.chain.statistics.orphans == 2)
    small.advance(to: small.now + .seconds(130))
    #expect(small.chain.statistics.orphans == 0 && small.chain.nextDeadline == nil)
  }

  @Test func descendantsOfAnInvalidBlockAreInvalid() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var branch = Branch(world)
    let block = try branch.add(slot: 1)
    let bad = resealed(block, by: world.authorities[1]) { $0.stateRoot = .zero }
    branch.head = ChainHead(
      hash: bad.hash(crypto: crypto), height: 1, time: branch.head.time, slot: 1, stateRoot: .zero, weight: branch.head.weight)
    let child = try branch.add(slot: 2)
    let grandchild = try branch.add(slot: 3)
    runner.works = false
    runner.receive(bad)
    #expect(runner.receive(child) == nil && runner.receive(grandchild) == nil)
    runner.runHeldWork(sealsOnly: true)
    #expect(runner.verdicts.isEmpty)
    runner.runHeldWork()
    #expect(runner.verdicts[2] == .invalid(.invalidAncestor(bad.hash(crypto: crypto))))
    #expect(runner.verdicts[3] == .invalid(.invalidAncestor(child.hash(crypto: crypto))))
    #expect(runner.receive(grandchild) == .invalid(.invalidAncestor(child.hash(crypto: crypto))))
    #expect(runner.work.isEmpty)
  }

  @Test func nothingIsSaidBeforeItIsDurable() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    runner.commits = false
    var branch = Branch(world)
    let block = try branch.add(slot: 1)
    let next = try branch.add(slot: 2)
    #expect(runner.receive(block) == nil && runner.receive(next) == nil)
    #expect(runner.submit(world.transfer(0, 1, nonce: 0)) == nil)
    #expect(runner.chain.tip.height == 2 && runner.chain.head.height == 0)
    #expect(runner.relayedBlocks.isEmpty && runner.relayedTransactions.isEmpty && runner.heads.isEmpty)
    #expect(runner.held.count == 1, "one batch at a time")
    try runner.store.commit(runner.held[0].1)
    runner.send(.committed(runner.held[0].0))
    #expect(runner.verdicts[1] == .accepted(block.hash(crypto: crypto)) && runner.verdicts[2] == nil)
    #expect(runner.chain.head.height == 1 && runner.held.count == 2)
    try runner.store.commit(runner.held[1].1)
    runner.send(.committed(runner.held[1].0))
    #expect(runner.chain.head.height == 2 && runner.relayedTransactions.count == 1)
    #expect(runner.transactionVerdicts.count == 1)
  }

  @Test func aFailingStoreIsTriedAgain() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    runner.store.failure = StoreError("disk full")
    var branch = Branch(world)
    let block = try branch.add(slot: 1)
    #expect(runner.receive(block) == nil)
    #expect(runner.events == [.storeFailed(StoreError("disk full"), retryIn: .seconds(1))])
    #expect(runner.chain.nextDeadline == runner.now + .seconds(1) && runner.chain.statistics.storeFault == StoreError("disk full"))
    runner.advance(to: runner.now + .seconds(1))
    #expect(runner.chain.nextDeadline == runner.now + .seconds(2))
    runner.store.failure = nil
    runner.advance(to: runner.now + .seconds(2))
    #expect(runner.verdicts[1] == .accepted(block.hash(crypto: crypto)) && runner.chain.nextDeadline == nil)
  }

  @Test func blocksBelowTheFinalHeightAreRefused() throws {
    var configuration = ChainConfiguration()
    configuration.finalityDepth = 4
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(200))
    var main = Branch(world)
    for slot in 1...3 as ClosedRange<UInt64> { try main.add(slot: slot) }
    var side = main
    for slot in 4...10 as ClosedRange<UInt64> { try main.add(slot: slot) }
    for slot in 14...24 as ClosedRange<UInt64> { try side.add(slot: slot) }
    for block in main.blocks { runner.receive(block) }
    #expect(runner.chain.finalHeight == 6)
    #expect(runner.receive(side.blocks[3]) == .refused(.final(height: 4, floor: 6)))
    // Longer, but it forks too deep: its blocks above the floor never find a parent.
    for block in side.blocks[4...] { runner.receive(block) }
    #expect(runner.chain.head == main.head)
    #expect(runner.store.tables[ChainTable.undo]?.count == 5, "undo records are pruned")
  }

  /// Transactions that wait for the check of their signatures, which one peer may forge by the thousand: they leave room for other peers', and
  /// all of them together for users'.
  @Test func onePeersTransactionsLeaveRoomForOthers() throws {
    var configuration = ChainConfiguration()
    configuration.queuedTransactions = 8
    configuration.queuedTransactionsOfPeer = 3
    configuration.verificationsInFlight = 0
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    var nonce: UInt64 = 0
    func taken(_ count: Int, _ source: ItemSource) -> Int {
      (0..<count).count { _ in
        defer { nonce += 1 }
        return runner.submit(world.transfer(0, 1, nonce: nonce), source) == nil
      }
    }
    let peers = (1...4 as ClosedRange<UInt8>).map { NodeKey(seed: [UInt8](repeating: 100 + $0, count: 32), crypto: crypto).peerID }
    #expect(peers.map { taken(5, .gossip($0)) } == [3, 3, 2, 0])
    #expect(taken(10, .local) == 8)
  }

  @Test func boundsOfQueuesHold() throws {
    var configuration = ChainConfiguration()
    configuration.queuedBlocks = 3
    configuration.sideBlocks = 2
    configuration.queuedTransactions = 2
    configuration.verificationsInFlight = 1
    configuration.verificationBatch = 1
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    runner.works = false
    var branch = Branch(world)
    for slot in 1...5 as ClosedRange<UInt64> { try branch.add(slot: slot) }
    for block in branch.blocks { runner.receive(block) }
    #expect(runner.verdicts == [4: .refused(.busy), 5: .refused(.busy)])
    runner.runHeldWork()
    for nonce in 0..<4 as Range<UInt64> { runner.submit(world.transfer(0, 1, nonce: nonce)) }
    #expect(runner.transactionVerdicts.values.filter { $0 == .refused(.busy) }.count == 1)

    let sides = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    for block in branch.blocks { sides.receive(block) }
    for slot in 7...12 as ClosedRange<UInt64> {
      var side = Branch(world)
      sides.receive(try side.add(slot: slot))
    }
    #expect(sides.chain.statistics.sideBlocks == 2 && sides.chain.head == branch.head)
  }

  @Test func equalInputsGiveEqualStores() throws {
    var branch = Branch(world)
    for slot in 1...6 as ClosedRange<UInt64> {
      try branch.add(slot: slot, (0..<4).map { world.transfer($0, ($0 + 1) % 4, nonce: slot - 1) })
    }
    var tables: [[StoreTable: [[UInt8]: [UInt8]]]] = []
    for _ in 0..<3 {
      let runner = try Runner(world, now: .zero + .seconds(100))
      for user in 0..<4 { runner.submit(world.transfer(user, 0, nonce: 7)) }
      for block in branch.blocks { runner.receive(block) }
      tables.append(runner.store.tables)
    }
    #expect(tables[0] == tables[1] && tables[1] == tables[2])
  }
}
