import Identity
import TestKit
import Testing
import Wire

@testable import Ledger

/// Random block trees, delivered in any order with duplicates and bad twins, with late work, late and failing commits, and crashes.
@Suite(.ownThread) struct RandomChainTests {
  private struct Scenario {
    let world = World()
    var random: SeededGenerator
    var branches: [Branch]
    var pending: [Transaction] = []

    init(seed: UInt64) throws {
      random = SeededGenerator(seed: seed)
      branches = [Branch(world)]
      for _ in 0..<25 {
        // Extend one of the branches, from its end or from a copy of it.
        let index = random.index(below: branches.count)
        var branch = branches[index]
        let slot = branch.head.slot + 1 + UInt64(random.index(below: 3))
        var transactions: [Transaction] = []
        for user in 0..<3 where random.index(below: 2) == 0 {
          let nonce = branch.state.account(world.address(user), crypto: crypto).nonce
          let key = [UInt8(random.index(below: 2))]
          let payload: Transaction.Payload =
            random.index(below: 2) == 0
            ? .transfer(to: world.address(random.index(below: 4)), amount: Amount(UInt64(random.index(below: 9))))
            : .setData(key: key, value: random.bytes(3))
          transactions.append(world.data(user, payload, nonce: nonce, fee: Amount(UInt64(random.index(below: 4)))))
        }
        try branch.add(slot: slot, transactions)
        if random.index(below: 3) == 0 { branches.append(branch) } else { branches[index] = branch }
      }
      for user in 0..<4 { pending.append(world.transfer(user, 0, nonce: UInt64(random.index(below: 5)), fee: 7)) }
    }

    /// The blocks of all branches, each once.
    var blocks: [Block] {
      var seen: Set<Hash256> = []
      return branches.flatMap(\.blocks).filter { seen.insert($0.hash(crypto: crypto)).inserted }
    }

    /// The branches of most weight: one, or several that end in twins of one slot.
    var best: [Branch] {
      let most = branches.map(\.head.weight).max()
      return branches.filter { $0.head.weight == most }
    }
  }

  @Test(arguments: 1...25 as ClosedRange<UInt64>)
  func endsOnTheBestBranchAfterAnything(seed: UInt64) throws {
    var scenario = try Scenario(seed: seed)
    let blocks = scenario.blocks
    var runner = try Runner(scenario.world, now: .zero + .seconds(1000))
    var crashes = 0
    func calm() { (runner.works, runner.commits) = (false, false) }
    calm()
    for _ in 0..<150 {
      switch scenario.random.index(below: 12) {
      case 0..<4: runner.receive(blocks[scenario.random.index(below: blocks.count)])
      case 4:
        let block = blocks[scenario.random.index(below: blocks.count)]
        runner.receive(Block(header: block.header, transactions: block.transactions + [[1]]))
      case 5: runner.submit(scenario.pending[scenario.random.index(below: scenario.pending.count)])
      case 6..<9:
        guard !runner.work.isEmpty else { continue }
        let (id, work) = runner.work.remove(at: scenario.random.index(below: runner.work.count))
        if scenario.random.index(below: 3) == 0 {
          // The pool was full: the same comes again.
          runner.send(.workRefused(id))
          runner.advance(to: runner.now + .milliseconds(50))
        } else {
          runner.send(.workDone(id, work.run(crypto: crypto)))
        }
      case 9..<11:
        guard !runner.held.isEmpty else { continue }
        let (id, batch) = runner.held.removeFirst()
        if scenario.random.index(below: 4) == 0 {
          runner.send(.commitRefused(id))
          runner.advance(to: runner.now + .milliseconds(50))
        } else if scenario.random.index(below: 4) == 0 {
          runner.send(.commitFailed(id, StoreError("no")))
          runner.advance(to: runner.now + .seconds(40))
        } else {
          try runner.store.commit(batch)
          runner.send(.committed(id))
          try check(runner, scenario, seed)
        }
      default:
        guard scenario.random.index(below: 4) == 0 else { continue }
        // Whether the batch under way reached the disk is open.
        if let (_, batch) = runner.held.first, scenario.random.index(below: 2) == 0 { try runner.store.commit(batch) }
        let before = runner.chain.head
        runner = try Runner(scenario.world, store: runner.store, now: runner.now)
        #expect(before.weight <= runner.chain.head.weight, "seed \(seed): what was announced is gone")
        crashes += 1
        calm()
        try check(runner, scenario, seed)
      }
    }
    // Quiet again: everything comes once more, and all nodes must end alike.
    (runner.works, runner.commits) = (true, true)
    while !runner.work.isEmpty || !runner.held.isEmpty {
      for (id, work) in runner.work { runner.send(.workDone(id, work.run(crypto: crypto))) }
      runner.work.removeAll()
      let held = runner.held
      runner.held.removeAll()
      for (id, batch) in held {
        try runner.store.commit(batch)
        runner.send(.committed(id))
      }
    }
    // Asked for, as a range is: so that no twin is passed over.
    for block in blocks { runner.receive(block, .sync(scenario.world.users[0].peerID)) }
    let best = scenario.best.first { $0.head == runner.chain.head }
    #expect(best != nil, "seed \(seed), \(crashes) crashes")
    #expect(runner.chain.tipState.root == best?.state.root, "seed \(seed)")
    try check(runner, scenario, seed)
    for transaction in runner.chain.mempool.transactions {
      let account = runner.chain.tipState.account(transaction.sender, crypto: crypto)
      #expect(transaction.nonce >= account.nonce, "seed \(seed)")
    }
    let stored = try runner.store.scan(ChainTable.pool, from: [], limit: 100).map(\.key)
    #expect(stored == runner.chain.mempool.transactions.map(\.id.bytes).sorted { $0.lexicographicallyPrecedes($1) }, "seed \(seed)")
  }

  /// The store holds exactly one whole chain: the head's, with its state and its transactions.
  private func check(_ runner: Runner, _ scenario: Scenario, _ seed: UInt64) throws {
    let head = runner.chain.head
    var blocks: [Block] = []
    var (hash, state) = (scenario.world.hash, scenario.world.ledger.genesis(crypto: crypto).state)
    for branch in scenario.branches {
      guard let end = branch.blocks.firstIndex(where: { $0.hash(crypto: crypto) == head.hash }) else { continue }
      blocks = Array(branch.blocks[...end])
      hash = head.hash
      break
    }
    #expect(hash == head.hash, "seed \(seed): the head is no block of the tree")
    for block in blocks {
      let infos = try block.transactions.map { try scenario.world.ledger.inspect($0, crypto: crypto) }
      let context = BlockContext(height: block.header.height, time: block.header.time, producer: block.header.producer)
      state = try scenario.world.ledger.execute(infos, on: state, context: context, skippingInvalid: false, crypto: crypto).state
    }
    let tables = runner.store.tables
    let entries = Dictionary(uniqueKeysWithValues: state.tree.entries().map { ($0.key.bytes, $0.value) })
    #expect(tables[ChainTable.state] == entries, "seed \(seed) height \(head.height)")
    #expect(tables[ChainTable.blocks]?.count ?? 0 == blocks.count && tables[ChainTable.heights]?.count ?? 0 == blocks.count, "seed \(seed)")
    #expect(tables[ChainTable.transactions]?.count ?? 0 == blocks.reduce(0) { $0 + $1.transactions.count }, "seed \(seed)")
    for block in blocks {
      #expect(try runner.chain.block(at: block.header.height) == block, "seed \(seed)")
      for (index, id) in block.transactionIDs(crypto: crypto).enumerated() {
        let place = tables[ChainTable.transactions]?[id.bytes].flatMap { ChainTable.Place($0) }
        #expect(place?.height == block.header.height && place?.index == index, "seed \(seed)")
        #expect(place?.range.map { Array(block.encoded[$0]) } == block.transactions[index], "seed \(seed)")
      }
    }
  }
}
