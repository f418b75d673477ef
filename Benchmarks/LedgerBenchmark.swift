import Crypto
import Identity
import Ledger
import Wire

/// The state tree, a full block of transfers, and the mempool. Wall time of one thread; the best of several rounds, with the spread.
enum LedgerBenchmark {
  static func run() {
    let crypto = SystemCrypto()
    tree(crypto)
    block(crypto)
    mempool(crypto)
  }

  /// Prints the best and worst of five rounds divided by `operations`.
  private static func measure(_ name: String, operations: Int, unit: String, rounds: Int = 5, _ body: () -> Void) {
    let clock = ContinuousClock()
    var times: [Double] = []
    for _ in 0..<rounds {
      let time = clock.measure(body)
      times.append(Double(time.components.seconds) * 1e9 + Double(time.components.attoseconds) / 1e9)
    }
    times.sort()
    let best = times[0] / Double(operations)
    let worst = times[times.count - 1] / Double(operations)
    print("\(name): \(Int(best)) ns/\(unit) (worst \(Int(worst)))")
  }

  private static func tree(_ crypto: SystemCrypto) {
    var random = SeededGenerator(seed: 1)
    func keys(_ count: Int) -> [Hash256] { (0..<count).compactMap { _ in Hash256(random.bytes(32)) } }
    let existing = keys(100_000)
    let value = [UInt8](repeating: 7, count: 12)
    let entries = existing.map { (key: $0, value: value) }
    var sink = 0
    measure("tree build, 100,000 keys", operations: entries.count, unit: "key") { sink &+= StateTree(entries, crypto: crypto).count }
    let tree = StateTree(entries, crypto: crypto)
    let changes = existing.prefix(2000).map { (key: $0, value: Optional([UInt8](repeating: 9, count: 12))) }
    measure("tree update, 2,000 of 100,000 keys at once", operations: changes.count, unit: "key") {
      var copy = tree
      copy.update(changes, crypto: crypto)
      sink &+= copy.count
    }
    measure("tree update, one of 100,000 keys at a time", operations: 1000, unit: "key") {
      var copy = tree
      for change in changes.prefix(1000) { copy.update([change], crypto: crypto) }
      sink &+= copy.count
    }
    measure("tree get, 100,000 keys", operations: existing.count, unit: "key") {
      for key in existing { sink &+= tree.get(key)?.count ?? 0 }
    }
    precondition(sink != 0, "the results are used")
  }

  private static func block(_ crypto: SystemCrypto) {
    let authority = NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto)
    let users = (0..<1000).map { NodeKey(seed: [UInt8](repeating: 2, count: 30) + [UInt8($0 >> 8), UInt8($0 & 255)], crypto: crypto) }
    let addresses = users.compactMap { Address($0.publicKey) }
    guard let producer = Address(authority.publicKey) else { return }
    var random = SeededGenerator(seed: 3)
    var balances = Dictionary(uniqueKeysWithValues: addresses.map { ($0, Amount(1_000_000)) })
    for _ in 0..<99_000 { if let address = Address(random.bytes(32)) { balances[address] = 5 } }
    let genesis = GenesisConfiguration(
      chainID: "benchmark", time: WallTime(milliseconds: 0), authorities: [producer], blockTime: .seconds(1), balances: balances)
    let ledger = AccountLedger(genesis: genesis, crypto: crypto)
    let state = ledger.genesis(crypto: crypto).state
    let chain = genesis.hash(crypto: crypto)
    let transactions = users.indices.map { index in
      Transaction(
        chain: chain, nonce: 0, fee: 1, payload: .transfer(to: addresses[(index + 1) % 1000], amount: 5), key: users[index], crypto: crypto
      ).encoded
    }
    var infos: [TransactionInfo] = []
    measure("inspect a transfer", operations: 1000, unit: "transaction") {
      infos = transactions.compactMap { try? ledger.inspect($0, crypto: crypto) }
    }
    let context = BlockContext(height: 1, time: WallTime(milliseconds: 1000), producer: producer)
    var root = Hash256.zero
    measure("execute 1,000 transfers on 100,000 accounts, root included", operations: 1000, unit: "transaction") {
      guard let execution = try? ledger.execute(infos, on: state, context: context, skippingInvalid: false, crypto: crypto) else { return }
      root = ledger.root(of: execution.state)
    }
    measure("verify 1,000 signatures", operations: 1000, unit: "transaction", rounds: 3) {
      precondition(infos.allSatisfy { ledger.hasValidSignature($0, crypto: crypto) }, "signatures are good")
    }
    let ids = infos.map(\.id)
    measure("transaction root of 1,000", operations: 1000, unit: "transaction") { root = MerkleTree.root(of: ids, crypto: crypto) }

    // The whole way of one block through the chain, with nothing cached and with the pool's signatures known.
    let consensus = ProofOfAuthority(genesis: genesis)
    guard let execution = try? ledger.execute(infos, on: state, context: context, skippingInvalid: false, crypto: crypto) else { return }
    let header = BlockHeader(
      chain: chain, parent: chain, height: 1, time: WallTime(milliseconds: 1000), transactionRoot: root,
      stateRoot: ledger.root(of: execution.state), producer: producer, slot: 1)
    guard let sealed = consensus.seal(header, key: authority, crypto: crypto) else { return }
    let bytes = Block(header: sealed, transactions: transactions).encoded
    print("block of 1,000 transfers: \(bytes.count) bytes")
    for isWarm in [false, true] {
      var chains: [Chain<AccountLedger, ProofOfAuthority>] = []
      var done: [Chain<AccountLedger, ProofOfAuthority>] = []
      let rounds = 3
      var inMachine = Duration.seconds(10)
      for _ in 0..<rounds {
        guard
          var machine = try? Chain.open(
            genesis: genesis, ledger: ledger, consensus: consensus, store: NoStore(), crypto: crypto,
            clock: WallClock(now: .zero, wall: WallTime(milliseconds: 2000)), now: .zero)
        else { return }
        if isWarm {
          for (index, transaction) in transactions.enumerated() {
            drive(&machine, .transactionReceived(transaction, .local, ValidationToken(rawValue: UInt64(index))), crypto)
          }
        }
        chains.append(machine)
      }
      measure(
        "block of 1,000 transfers received to stored, signatures \(isWarm ? "known" : "unknown")", operations: 1000, unit: "transaction",
        rounds: rounds
      ) {
        guard var machine = chains.popLast() else { return }
        inMachine = min(inMachine, drive(&machine, .blockReceived(bytes, .local, ValidationToken(rawValue: 1 << 40)), crypto))
        precondition(machine.head.height == 1, "the block is taken")
        // Kept, so that freeing 100,000 accounts is not measured.
        done.append(machine)
      }
      print("  of which in the machine: \(inMachine.nanoseconds / 1000) ns/transaction")
    }
  }

  /// Plays the shell and returns the time spent in the machine itself, which is the core thread's part.
  @discardableResult
  private static func drive(
    _ chain: inout Chain<AccountLedger, ProofOfAuthority>, _ input: Chain<AccountLedger, ProofOfAuthority>.Input, _ crypto: SystemCrypto
  ) -> Duration {
    let clock = ContinuousClock()
    var time = Duration.zero
    var inputs = [input]
    while let input = inputs.popLast() {
      var outputs: [Chain<AccountLedger, ProofOfAuthority>.Output] = []
      time += clock.measure { chain.handle(input, now: .zero, into: &outputs) }
      for output in outputs {
        switch output {
        case .work(let id, let work): inputs.append(.workDone(id, work.run(crypto: crypto)))
        case .store(let id, _): inputs.append(.committed(id))
        default: break
        }
      }
    }
    return time
  }

  private static func mempool(_ crypto: SystemCrypto) {
    var random = SeededGenerator(seed: 6)
    let senders = (0..<2000).compactMap { _ in Address(random.bytes(32)) }
    let infos = (0..<10_000).map { index in
      TransactionInfo(
        id: Hash256(random.bytes(32)) ?? .zero, sender: senders[index % 2000], nonce: UInt64(index / 2000),
        fee: Amount(random.next() % 1000),
        cost: 1, bytes: [UInt8](repeating: 0, count: 200))
    }
    var pool = Mempool()
    measure("mempool insert of 10,000", operations: infos.count, unit: "transaction") {
      pool = Mempool()
      for info in infos { _ = try? pool.insert(info, nextNonce: 0, spendable: 1_000, now: .zero) }
    }
    measure("mempool select of 1,000 from 10,000", operations: 1000, unit: "transaction") {
      precondition(pool.select(maximumCount: 1000, maximumBytes: 1 << 20) { _ in 0 }.count == 1000, "the pool is full enough")
    }
    let dear = TransactionInfo(
      id: .zero, sender: senders[0], nonce: 5, fee: 5000, cost: 1, bytes: [UInt8](repeating: 0, count: 200))
    measure("mempool insert with eviction", operations: 1000, unit: "transaction") {
      var full = pool
      for index in 0..<1000 {
        let info = TransactionInfo(
          id: Hash256(random.bytes(32)) ?? .zero, sender: senders[index], nonce: 5, fee: dear.fee, cost: 1, bytes: dear.bytes)
        _ = try? full.insert(info, nextNonce: 0, spendable: 1_000, now: .zero)
      }
    }
  }
}

/// A store that is always empty, so that only the chain's own work is measured.
private final class NoStore: KeyValueStore {
  func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { nil }
  func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] { [] }
  func commit(_ batch: WriteBatch) throws(StoreError) {}
}
