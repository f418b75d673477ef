import Identity
import Testing
import Wire

@testable import Ledger

/// What the state costs, and what a sender's pending transactions may cost together.
@Suite struct FeeTests {
  private var world: World {
    var world = World()
    world.genesis.limits.minimumFee = 2
    world.genesis.limits.stateByteFee = 3
    return world
  }
  private let stranger = NodeKey(seed: [UInt8](repeating: 77, count: 32), crypto: crypto)

  private func send(_ world: World, _ payload: Transaction.Payload, nonce: UInt64, fee: Amount, by key: NodeKey? = nil) -> Transaction {
    Transaction(chain: world.hash, nonce: nonce, fee: fee, payload: payload, key: key ?? world.users[0], crypto: crypto)
  }

  @Test func defaultsAreAboveZero() {
    let limits = GenesisConfiguration.Limits()
    #expect(limits.minimumFee > 0)
    #expect(limits.stateByteFee > 0)
    #expect(limits.sufficientFee(for: .setData(key: [1], value: [1, 2, 3])) == Amount(36))
    #expect(limits.sufficientFee(for: .deleteData(key: [1])) == 1)
  }

  /// A new account is 54 bytes, a new datum 32 and its value, a longer value what it grows by.
  @Test func newBytesOfStateArePaidFor() throws {
    let world = world
    let newcomer = World.address(stranger)
    let steps: [(payload: Transaction.Payload, bytes: Int)] = [
      (.transfer(to: newcomer, amount: 1), 54), (.transfer(to: newcomer, amount: 1), 0), (.transfer(to: world.address(0), amount: 1), 0),
      (.setData(key: [9], value: [1, 2, 3]), 35), (.setData(key: [9], value: [4, 5, 6]), 0), (.setData(key: [9], value: [1]), 0),
      (.setData(key: [9], value: [1, 2, 3, 4, 5]), 4), (.deleteData(key: [9]), 0), (.setData(key: [9], value: []), 32),
    ]
    var branch = Branch(world)
    for (index, step) in steps.enumerated() {
      let needed = Amount(UInt64(2 + 3 * step.bytes))
      let nonce = UInt64(index)
      if step.bytes > 0 {
        let cheap = send(world, step.payload, nonce: nonce, fee: Amount(needed.units - 1))
        let error = LedgerError.stateFeeTooLow(fee: cheap.fee, needed: needed, newBytes: step.bytes)
        #expect(throws: TransactionFailure(index: 0, error: error), "step \(index)") { try branch.add(slot: nonce + 1, [cheap]) }
        #expect(!error.isIntrinsic)
      }
      try branch.add(slot: nonce + 1, [send(world, step.payload, nonce: nonce, fee: needed)])
    }
  }

  @Test func theMempoolAsksForTheSameFee() throws {
    let world = world
    let runner = try Runner(world)
    let payload = Transaction.Payload.setData(key: [1], value: [1, 2, 3])
    #expect(
      runner.submit(send(world, payload, nonce: 0, fee: 106))
        == .refused(.ledger(.stateFeeTooLow(fee: 106, needed: 107, newBytes: 35))))
    let good = send(world, payload, nonce: 0, fee: 107)
    #expect(runner.submit(good) == .accepted(good.id(crypto: crypto)))
  }

  /// Admitted when the datum was there, executed behind its removal: it is left out and dropped, and the block is still made.
  @Test func aFeeThatEarlierTransactionsMakeTooSmallIsLeftOut() throws {
    let world = world
    let runner = try Runner(world)
    runner.send(.setProducer(world.authorities[0]))
    runner.send(.setProducing(allowed: true))
    let set = Transaction.Payload.setData(key: [1], value: [1, 2, 3])
    runner.submit(send(world, set, nonce: 0, fee: 107))
    runner.advance(toSlot: 3, of: world)
    #expect(runner.nonce(world.address(0)) == 1)
    #expect(runner.submit(send(world, .deleteData(key: [1]), nonce: 1, fee: 2))?.isAccepted == true)
    #expect(runner.submit(send(world, set, nonce: 2, fee: 2))?.isAccepted == true)
    runner.advance(toSlot: 6, of: world)
    #expect(runner.nonce(world.address(0)) == 2)
    #expect(runner.chain.head.height == 2)
    #expect(runner.chain.mempool.count == 0)
  }

  /// Also on a chain whose fees are zero, so that nothing is kept for those who own nothing.
  @Test func aSenderMustHaveAnAccount() throws {
    let world = World()
    let runner = try Runner(world)
    let transaction = send(world, .setData(key: [1], value: [1]), nonce: 0, fee: 0, by: stranger)
    #expect(runner.submit(transaction) == .refused(.ledger(.noAccount(World.address(stranger)))))
    var branch = Branch(world)
    #expect(throws: TransactionFailure(index: 0, error: .noAccount(World.address(stranger)))) { try branch.add(slot: 1, [transaction]) }
  }

  @Test func pendingTransactionsMayNotCostMoreThanTheSenderOwns() throws {
    let world = World()
    let runner = try Runner(world)
    for nonce in 0..<2 as Range<UInt64> {
      let transaction = world.transfer(0, 1, 499_999, nonce: nonce)
      #expect(runner.submit(transaction) == .accepted(transaction.id(crypto: crypto)))
    }
    #expect(
      runner.submit(world.transfer(0, 1, 1, nonce: 2)) == .refused(.pool(.overspent(cost: 1_000_002, spendable: 1_000_000))))
    // A dearer one in the place of another counts once.
    let dearer = world.transfer(0, 1, 499_999, nonce: 1, fee: 0)
    #expect(runner.submit(dearer) == .refused(.pool(.underpriced(fee: 0, needed: 2))))
    let smaller = world.transfer(0, 1, 10, nonce: 1, fee: 2)
    #expect(runner.submit(smaller) == .accepted(smaller.id(crypto: crypto)))
    let third = world.transfer(0, 1, 1, nonce: 2)
    #expect(runner.submit(third) == .accepted(third.id(crypto: crypto)))
  }

  /// A block takes what the others were to be paid with: they leave, from the first on that is not covered.
  @Test func whatABlockLeavesUnpaidLeavesThePool() throws {
    let world = World()
    let runner = try Runner(world)
    for nonce in 0..<3 as Range<UInt64> { runner.submit(world.transfer(0, 1, 300_000, nonce: nonce)) }
    var branch = Branch(world)
    try branch.add(slot: 1, [world.transfer(0, 2, 600_000, nonce: 0)])
    runner.now = .zero + world.genesis.blockTime
    _ = try #require(runner.receive(branch.blocks[0]))
    #expect(runner.chain.mempool.transactions.map(\.nonce) == [1])
  }

  @Test func transactionsBehindGapsHaveAShareOfThePool() throws {
    let world = World(users: 30)
    var configuration = ChainConfiguration()
    configuration.mempool.transactionsBehindGaps = 10
    let runner = try Runner(world, configuration: configuration)
    for user in 0..<10 { #expect(runner.submit(world.transfer(user, 0, nonce: 5))?.isAccepted == true) }
    #expect(runner.submit(world.transfer(10, 0, nonce: 5)) == .refused(.pool(.gapsFull(missing: 0))))
    // In their turn as many as before are taken, and one whose gap closes makes room for another.
    for user in 10..<30 { #expect(runner.submit(world.transfer(user, 0, nonce: 0))?.isAccepted == true) }
    for nonce in 0..<5 as Range<UInt64> { #expect(runner.submit(world.transfer(0, 1, nonce: nonce))?.isAccepted == true) }
    #expect(runner.submit(world.transfer(10, 0, nonce: 5))?.isAccepted == true)
    #expect(runner.submit(world.transfer(11, 0, nonce: 5)) == .refused(.pool(.gapsFull(missing: 1))))
  }
}

extension TransactionVerdict {
  fileprivate var isAccepted: Bool { if case .accepted = self { true } else { false } }
}
