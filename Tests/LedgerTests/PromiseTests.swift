import Identity
import Testing
import Wire

@testable import Ledger

/// "Accepted" and "known" are promises: the transaction is durable by then, and can be found from then on.
@Suite struct PromiseTests {
  @Test func aCopyWaitsForTheFirstOnesSignatureAndStore() throws {
    let world = World()
    let runner = try Runner(world)
    let transaction = world.transfer(0, 1, nonce: 0)
    let id = transaction.id(crypto: crypto)
    runner.works = false
    runner.commits = false
    #expect(runner.submit(transaction) == nil)
    #expect(runner.submit(transaction) == nil, "the first copy is still being verified")
    for (work, item) in runner.work { runner.send(.workDone(work, item.run(crypto: crypto))) }
    #expect(runner.submit(transaction) == nil, "the first copy is still on its way to the store")
    #expect(runner.transactionVerdicts.isEmpty)
    while !runner.held.isEmpty {
      let (commit, batch) = runner.held.removeFirst()
      try runner.store.commit(batch)
      runner.send(.committed(commit))
    }
    #expect(runner.transactionVerdicts == [1: .accepted(id), 2: .known(id), 3: .known(id)])
    #expect(runner.submit(transaction) == .known(id))
  }

  @Test func copiesOfABadSignatureShareItsVerdict() throws {
    let world = World()
    let runner = try Runner(world)
    var forged = world.transfer(0, 1, nonce: 0).encoded
    forged[forged.count - 1] ^= 1
    runner.works = false
    runner.submit(forged)
    runner.submit(forged)
    for (work, item) in runner.work { runner.send(.workDone(work, item.run(crypto: crypto))) }
    #expect(runner.transactionVerdicts == [1: .invalid(.badSignature), 2: .invalid(.badSignature)])
  }

  @Test func atMostSoManyCopiesWait() throws {
    let world = World()
    var configuration = ChainConfiguration()
    configuration.copiesWaiting = 1
    let runner = try Runner(world, configuration: configuration)
    runner.works = false
    let transaction = world.transfer(0, 1, nonce: 0)
    #expect([runner.submit(transaction), runner.submit(transaction), runner.submit(transaction)] == [nil, nil, .refused(.busy)])
  }

  @Test func aTransactionIsFoundWhileItsBlockIsOnTheWayToTheStore() throws {
    let world = World()
    let runner = try Runner(world)
    let transaction = world.transfer(0, 1, nonce: 0)
    let id = transaction.id(crypto: crypto)
    runner.submit(transaction)
    var branch = Branch(world)
    let block = try branch.add(slot: 1, [transaction])
    runner.now = .zero + .seconds(5)
    runner.commits = false
    runner.receive(block)
    #expect(runner.chain.mempool[id] == nil && runner.chain.head.height == 0 && runner.chain.tip.height == 1)
    guard case .pending(let info)? = try runner.chain.transaction(id) else {
      Issue.record("an accepted transaction cannot be found")
      return
    }
    #expect(info.id == id)
  }

  @Test func deletingWhatIsNotThereHoldsNothingUp() throws {
    let world = World()
    var branch = Branch(world)
    try branch.add(slot: 1, [world.data(0, .deleteData(key: [1]), nonce: 0, fee: 3), world.transfer(0, 1, nonce: 1)])
    #expect(branch.state.account(world.address(0), crypto: crypto) == Account(balance: 999_986, nonce: 2))
  }
}
