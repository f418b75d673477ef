import Identity
import Testing
import Wire

@testable import Ledger

/// FEATURES V1 and V2: each field of a block mutated, each rule of a transaction broken.
@Suite struct RuleTests {
  let world = World()

  @Test func everyFieldOfABlockIsChecked() throws {
    var branch = Branch(world)
    try branch.add(slot: 1)
    let transactions = [world.transfer(0, 1, nonce: 0), world.transfer(0, 2, nonce: 1)]
    let block = try branch.add(slot: 2, transactions)
    let key = world.authorities[2]
    let other = Hash256([UInt8](repeating: 7, count: 32))!
    var unsealed = block.header
    unsealed.seal[3] ^= 1
    var foreign = block.header
    foreign.seal = world.authorities[0].sign(foreign.sealingBytes, crypto: crypto)
    let stranger = NodeKey(seed: [UInt8](repeating: 99, count: 32), crypto: crypto)
    let slotTime = WallTime(milliseconds: 1_010_000)

    let table: [(String, Block, BlockVerdict)] = [
      ("version", resealed(block, by: key) { $0.version = 2 }, .invalid(.wrongVersion(2))),
      ("chain", resealed(block, by: key) { $0.chain = other }, .invalid(.wrongChain)),
      ("parent", resealed(block, by: key) { $0.parent = other }, .orphan(parent: other)),
      ("genesis as parent", resealed(block, by: key) { $0.parent = world.hash }, .invalid(.wrongHeight(2, expected: 1))),
      ("height", resealed(block, by: key) { $0.height = 3 }, .invalid(.wrongHeight(3, expected: 2))),
      (
        "time", resealed(block, by: key) { $0.time = WallTime(milliseconds: 1_009_999) },
        .invalid(.wrongTime(WallTime(milliseconds: 1_009_999), expected: slotTime))
      ),
      ("transaction root", resealed(block, by: key) { $0.transactionRoot = other }, .invalid(.wrongTransactionRoot)),
      ("state root", resealed(block, by: key) { $0.stateRoot = other }, .invalid(.wrongStateRoot(other, expected: block.header.stateRoot))),
      (
        "producer: another authority", resealed(block, by: world.authorities[0]) { $0.producer = World.address(world.authorities[0]) },
        .invalid(.wrongTurn(slot: 2, producer: World.address(world.authorities[0]), expected: World.address(key)))
      ),
      (
        "producer: a stranger", resealed(block, by: stranger) { $0.producer = World.address(stranger) },
        .invalid(.unknownProducer(World.address(stranger)))
      ),
      ("slot", resealed(block, by: key) { $0.slot = 1 }, .invalid(.slotNotAfterParent(slot: 1, parent: 1))),
      (
        "slot without its time", resealed(block, by: key) { $0.slot = 5 },
        .invalid(.wrongTime(slotTime, expected: WallTime(milliseconds: 1_025_000)))
      ),
      ("consensus data", resealed(block, by: key) { $0.consensusData = [1] }, .invalid(.badConsensusData("1 bytes where none belong"))),
      ("seal bit", Block(header: unsealed, transactions: block.transactions), .invalid(.badSeal)),
      ("another's seal", Block(header: foreign, transactions: block.transactions), .invalid(.badSeal)),
      ("transaction dropped", Block(header: block.header, transactions: [block.transactions[0]]), .invalid(.wrongTransactionRoot)),
      ("transactions swapped", Block(header: block.header, transactions: block.transactions.reversed()), .invalid(.wrongTransactionRoot)),
      (
        "far future",
        resealed(block, by: key) {
          $0.slot = 302
          $0.time = WallTime(milliseconds: 2_510_000)
        }, .future(ahead: .milliseconds(1_460_000))
      ),
    ]
    for (name, mutant, expected) in table {
      let runner = try Runner(world, now: .zero + .seconds(50))
      runner.receive(branch.blocks[0])
      #expect(runner.receive(mutant) == expected, "\(name)")
      #expect(runner.chain.tip.height == 1 && runner.relayedBlocks.count == 1, "\(name)")
      // A bad twin does not stand in the good one's way.
      #expect(runner.receive(block) == .accepted(block.hash(crypto: crypto)), "\(name)")
      // Nor is it ever called known under the good block's hash: whoever asks would pass it on.
      if case .invalid = expected { #expect(runner.receive(mutant) == expected, "\(name), again") }
      #expect(runner.relayedBlocks.count == 2, "\(name)")
    }
  }

  @Test func everyTransactionOfABlockIsChecked() throws {
    var branch = Branch(world)
    let block = try branch.add(slot: 1, [world.transfer(0, 1, nonce: 0)])
    let key = world.authorities[1]
    var forged = world.transfer(0, 2, nonce: 1).encoded
    forged[forged.count - 1] ^= 1
    let table: [([UInt8], LedgerError)] = [
      (forged, .badSignature),
      (block.transactions[0], .staleNonce(nonce: 0, expected: 1)),
      (world.transfer(0, 2, nonce: 5).encoded, .nonceGap(nonce: 5, expected: 1)),
      (world.transfer(0, 2, 2_000_000, nonce: 1).encoded, .insufficientBalance(balance: 999_989, cost: 2_000_001)),
      (world.transfer(0, 2, nonce: 1, chain: .zero).encoded, .wrongChain),
      ([1, 2, 3], .malformed("not a transaction (a field begins with a number or type that is not allowed)")),
      (world.data(0, .setData(key: [], value: []), nonce: 1).encoded, .badKey(bytes: 0, limit: 256)),
    ]
    for (bytes, error) in table {
      let transactions = block.transactions + [bytes]
      let ids = transactions.map { crypto.sha256($0) }
      let bad = resealed(block, by: key, transactions: transactions) { $0.transactionRoot = MerkleTree.root(of: ids, crypto: crypto) }
      let runner = try Runner(world, now: .zero + .seconds(50))
      #expect(runner.receive(bad) == .invalid(.badTransaction(index: 1, error)), "\(error)")
      #expect(runner.relayedBlocks.isEmpty && runner.chain.tip.height == 0)
    }
  }

  @Test func everyRuleOfATransactionIsChecked() throws {
    let runner = try Runner(world)
    let good = world.transfer(0, 1, nonce: 0)
    var forged = good.encoded
    forged[80] ^= 1
    var flipped = good.encoded
    flipped[flipped.count - 5] ^= 1
    let stolen = Transaction(
      chain: world.hash, sender: world.address(1), nonce: 0, fee: 1, payload: good.payload, signature: good.signature)
    let poor = NodeKey(seed: [UInt8](repeating: 50, count: 32), crypto: crypto)
    let huge = world.data(0, .setData(key: [1], value: [UInt8](repeating: 0, count: 9000)), nonce: 0)
    let table: [(String, [UInt8], TransactionVerdict)] = [
      ("flipped signature", flipped, .invalid(.badSignature)),
      ("another's signature", stolen.encoded, .invalid(.badSignature)),
      ("another chain", world.transfer(0, 1, nonce: 0, chain: .zero).encoded, .invalid(.wrongChain)),
      (
        "trailing byte", good.encoded + [0],
        .invalid(.malformed("not a transaction (a field begins with a number or type that is not allowed)"))
      ),
      ("too large", huge.encoded, .invalid(.tooLarge(bytes: huge.encoded.count, limit: 8192))),
      (
        "long key", world.data(0, .setData(key: [UInt8](repeating: 1, count: 257), value: []), nonce: 0).encoded,
        .invalid(.badKey(bytes: 257, limit: 256))
      ),
      (
        "long value", world.data(0, .setData(key: [1], value: [UInt8](repeating: 1, count: 4097)), nonce: 0).encoded,
        .invalid(.badValue(bytes: 4097, limit: 4096))
      ),
      ("overflow", world.transfer(0, 1, Amount(.max), nonce: 0).encoded, .invalid(.malformed("amount and fee exceed 64 bits"))),
      (
        "too poor", world.transfer(0, 1, 1_000_000, nonce: 0).encoded,
        .refused(.ledger(.insufficientBalance(balance: 1_000_000, cost: 1_000_001)))
      ),
      (
        "no account", Transaction(chain: world.hash, nonce: 0, fee: 1, payload: good.payload, key: poor, crypto: crypto).encoded,
        .refused(.ledger(.noAccount(World.address(poor))))
      ),
      ("far nonce", world.transfer(0, 1, nonce: 64).encoded, .refused(.pool(.nonceTooFar(nonce: 64, limit: 63)))),
    ]
    for (name, bytes, expected) in table { #expect(runner.submit(bytes) == expected, "\(name)") }
    if case .invalid = runner.submit(forged) {} else { Issue.record("a changed byte was taken") }
    #expect(runner.relayedTransactions.isEmpty, "a bad transaction travels zero hops")
    #expect(runner.submit(flipped) == .invalid(.badSignature))

    let id = good.id(crypto: crypto)
    #expect(runner.submit(good) == .accepted(id))
    #expect(runner.submit(good) == .known(id))
    #expect(runner.relayedTransactions == [id])

    // Replay after confirmation, alone and under a new signature over the same nonce.
    var branch = Branch(world)
    let block = try branch.add(slot: 1, [good])
    runner.now = .zero + .seconds(5)
    #expect(runner.receive(block) == .accepted(block.hash(crypto: crypto)))
    #expect(runner.chain.mempool.count == 0)
    #expect(runner.submit(good) == .known(id))
    #expect(runner.submit(world.transfer(0, 1, 11, nonce: 0)) == .refused(.ledger(.staleNonce(nonce: 0, expected: 1))))
    #expect(runner.balance(world.address(0)) == 999_989 && runner.balance(world.address(1)) == 1_000_010)
    #expect(runner.balance(World.address(world.authorities[1])) == 1, "the producer gets the fee")
  }

  @Test func executionMatchesANaiveModel() throws {
    var random = SeededGenerator(seed: 12)
    var balances = Dictionary(uniqueKeysWithValues: (0..<4).map { ($0, UInt64(1_000_000)) })
    var nonces = [Int: UInt64]()
    var data: [Int: [[UInt8]: [UInt8]]] = [:]
    var branch = Branch(world)
    var produced: UInt64 = 0
    for slot in 1...20 as ClosedRange<UInt64> {
      var transactions: [Transaction] = []
      for _ in 0..<10 {
        let (from, to) = (random.index(below: 4), random.index(below: 4))
        let nonce = nonces[from, default: 0]
        let fee = UInt64(random.index(below: 5))
        let key = [UInt8(random.index(below: 3))]
        switch random.index(below: 3) {
        case 0:
          let amount = UInt64(random.index(below: 100))
          transactions.append(world.transfer(from, to, Amount(amount), nonce: nonce, fee: Amount(fee)))
          balances[from]! -= amount
          balances[to]! += amount
        case 1:
          let value = random.bytes(4)
          transactions.append(world.data(from, .setData(key: key, value: value), nonce: nonce, fee: Amount(fee)))
          data[from, default: [:]][key] = value
        default:
          guard data[from]?[key] != nil else { continue }
          transactions.append(world.data(from, .deleteData(key: key), nonce: nonce, fee: Amount(fee)))
          data[from]?[key] = nil
        }
        balances[from]! -= fee
        produced += fee
        nonces[from, default: 0] += 1
      }
      try branch.add(slot: slot, transactions)
      branch.state.tree.checkInvariants(crypto: crypto)
      let rebuilt = world.ledger.restore(branch.state.tree.entries(), crypto: crypto)
      #expect(rebuilt.root == branch.head.stateRoot)
    }
    for user in 0..<4 {
      let account = branch.state.account(world.address(user), crypto: crypto)
      #expect(account == Account(balance: Amount(balances[user]!), nonce: nonces[user, default: 0]))
      for key in 0..<3 as Range<UInt8> { #expect(branch.state.data([key], of: world.address(user), crypto: crypto) == data[user]?[[key]]) }
    }
    let fees = world.authorities.reduce(0) { $0 + branch.state.account(World.address($1), crypto: crypto).balance.units }
    #expect(fees == produced)
  }
}
