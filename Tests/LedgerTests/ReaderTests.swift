import Identity
import Testing
import Wire

@testable import Ledger

/// What is read of a chain on any thread, and what it costs.
@Suite struct ReaderTests {
  private let world = World(users: 8)

  /// A chain of three blocks with 96 transactions, and their IDs.
  private func chain() throws -> (Runner, [Block], [Hash256]) {
    let runner = try Runner(world, now: .zero + .seconds(1_000))
    var branch = Branch(world)
    var nonces = [UInt64](repeating: 0, count: 8)
    for slot in 1...3 as ClosedRange<UInt64> {
      var transactions: [Transaction] = []
      for number in 0..<32 {
        let user = number % 8
        transactions.append(
          number.isMultiple(of: 3)
            ? world.data(user, .setData(key: [UInt8(number)], value: [UInt8](repeating: 1, count: 200)), nonce: nonces[user])
            : world.transfer(user, (user + 1) % 8, nonce: nonces[user]))
        nonces[user] += 1
      }
      try branch.add(slot: slot, transactions)
    }
    for block in branch.blocks { runner.receive(block) }
    #expect(runner.chain.head == branch.head)
    return (runner, branch.blocks, branch.blocks.flatMap { $0.transactionIDs(crypto: crypto) })
  }

  /// Only what is wanted of a block is read: as many bytes as come out, and where they stand.
  @Test func transactionsAreReadByTheirPlace() throws {
    let (runner, blocks, ids) = try chain()
    var reader = runner.chain.reader
    let wanted = ids.reversed() + [Hash256(words: (1, 2, 3, 4))]
    let found = try reader.transactions(Array(wanted), maximumBytes: 1 << 20)
    #expect(found == blocks.flatMap(\.transactions).reversed())
    let bytes = found.reduce(0) { $0 + $1.count }
    #expect(reader.cost.bytes == bytes + 96 * 20 && reader.cost.lookUps == 2 * 96 + 1)
    // No more than there is room for.
    #expect(try reader.transactions(ids, maximumBytes: bytes / 2).count < 60)
    #expect(try reader.missing(Array(wanted)) == [Hash256(words: (1, 2, 3, 4))])
  }

  /// What a store has of before, without offsets, is found as well.
  @Test func placesWithoutOffsetsAreRead() throws {
    let (runner, blocks, ids) = try chain()
    var batch = WriteBatch()
    for (key, value) in runner.store.tables[ChainTable.transactions] ?? [:] {
      batch.put(ChainTable.transactions, key, Array(value.prefix(12)))
    }
    try runner.store.commit(batch)
    var reader = runner.chain.reader
    #expect(try reader.transactions(ids, maximumBytes: 1 << 20) == blocks.flatMap(\.transactions))
    guard case .confirmed(let hash, 2, 5, let bytes)? = try reader.transaction(ids[37]) else {
      Issue.record("not found")
      return
    }
    #expect(hash == blocks[1].hash(crypto: crypto) && bytes == blocks[1].transactions[5])
    #expect(ChainTable.Place([UInt8](repeating: 0, count: 13)) == nil)
  }

  /// A range is read at one moment, up to its bytes; the cost is what was read.
  @Test func rangesAreBounded() throws {
    let (runner, blocks, _) = try chain()
    let sizes = blocks.map(\.encoded.count)
    var reader = runner.chain.reader
    #expect(try reader.blocks(from: 0, count: 100, maximumBytes: sizes[0] + sizes[1]) == [blocks[0].encoded, blocks[1].encoded])
    #expect(reader.cost.bytes == sizes[0] + sizes[1])
    #expect(try reader.blocks(from: 2, count: 1, maximumBytes: 1) == [blocks[1].encoded])
    #expect(try reader.blocks(from: 3, count: 100, maximumBytes: .max) == [blocks[2].encoded])
    #expect(try reader.blocks(from: 4, count: 100, maximumBytes: .max) == [])
    #expect(try reader.blockBytes(blocks[1].hash(crypto: crypto)) == blocks[1].encoded)
  }

  /// What is applied and not yet durable is found too, in a reader made before and asked after the commit.
  @Test func whatIsOnItsWayIsFound() throws {
    let runner = try Runner(world, now: .zero + .seconds(1_000))
    var branch = Branch(world)
    let transaction = world.transfer(0, 1, nonce: 0)
    try branch.add(slot: 1, [transaction])
    runner.commits = false
    runner.receive(branch.blocks[0])
    let id = transaction.id(crypto: crypto)
    var reader = runner.chain.reader
    #expect(try reader.transactions([id], maximumBytes: 1 << 20) == [transaction.encoded])
    guard case .pending? = try reader.transaction(id) else {
      Issue.record("not found")
      return
    }
    for (commit, batch) in runner.held {
      try runner.store.commit(batch)
      runner.send(.committed(commit))
    }
    guard case .confirmed? = try reader.transaction(id) else {
      Issue.record("not confirmed")
      return
    }
  }
}
