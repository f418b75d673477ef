import Crypto
import Identity
import Wire

@testable import Ledger

let crypto = SystemCrypto()
typealias TestChain = Chain<AccountLedger, ProofOfAuthority>

/// A volatile store; `copy` is what a crash leaves of it.
final class MemoryStore: KeyValueStore, @unchecked Sendable {
  private(set) var tables: [StoreTable: [[UInt8]: [UInt8]]] = [:]
  var failure: StoreError?

  init() {}
  init(copying other: MemoryStore) { tables = other.tables }

  func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { tables[table]?[key] }

  func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    let entries = (tables[table] ?? [:]).filter { !$0.key.lexicographicallyPrecedes(start) }
    return entries.sorted { $0.key.lexicographicallyPrecedes($1.key) }.prefix(limit).map { ($0.key, $0.value) }
  }

  func commit(_ batch: WriteBatch) throws(StoreError) {
    if let failure { throw failure }
    for operation in batch.operations { tables[operation.table, default: [:]][operation.key] = operation.value }
  }
}

extension SeededGenerator {
  mutating func hash() -> Hash256 { Hash256(bytes(32)) ?? .zero }
}

/// Keys, a genesis and makers of transactions and blocks.
struct World {
  let authorities: [NodeKey]
  let users: [NodeKey]
  var genesis: GenesisConfiguration
  var hash: Hash256 { genesis.hash(crypto: crypto) }
  var ledger: AccountLedger { AccountLedger(genesis: genesis, crypto: crypto) }
  var consensus: ProofOfAuthority { ProofOfAuthority(genesis: genesis) }

  init(authorities count: Int = 3, users userCount: Int = 4) {
    authorities = (0..<count).map { NodeKey(seed: [UInt8](repeating: UInt8(1 + $0), count: 32), crypto: crypto) }
    users = (0..<userCount).map { index in
      NodeKey(seed: [UInt8](repeating: 100, count: 30) + [UInt8(index >> 8), UInt8(index & 255)], crypto: crypto)
    }
    genesis = GenesisConfiguration(
      chainID: "test", time: WallTime(milliseconds: 1_000_000), authorities: authorities.map(World.address),
      balances: Dictionary(uniqueKeysWithValues: users.map { (World.address($0), 1_000_000) }))
    // Fees have tests of their own; the others are easier to read without.
    genesis.limits.minimumFee = 0
    genesis.limits.stateByteFee = 0
  }

  static func address(_ key: NodeKey) -> Address { Address(key.publicKey)! }
  func address(_ user: Int) -> Address { World.address(users[user]) }

  func transfer(_ from: Int, _ to: Int, _ amount: Amount = 10, nonce: UInt64, fee: Amount = 1, chain: Hash256? = nil) -> Transaction {
    Transaction(
      chain: chain ?? hash, nonce: nonce, fee: fee, payload: .transfer(to: address(to), amount: amount), key: users[from], crypto: crypto)
  }

  func data(_ from: Int, _ payload: Transaction.Payload, nonce: UInt64, fee: Amount = 1) -> Transaction {
    Transaction(chain: hash, nonce: nonce, fee: fee, payload: payload, key: users[from], crypto: crypto)
  }

  func open(_ store: MemoryStore, configuration: ChainConfiguration = .init(), now: Instant = .zero) throws -> TestChain {
    try TestChain.open(
      genesis: genesis, ledger: ledger, consensus: consensus, store: store, crypto: crypto, configuration: configuration,
      clock: WallClock(now: .zero, wall: genesis.time), now: now)
  }
}

/// A chain with the shell's part played at once: work is run, batches are written.
final class Runner {
  var chain: TestChain
  let store: MemoryStore
  var now: Instant
  var verdicts: [UInt64: BlockVerdict] = [:]
  var transactionVerdicts: [UInt64: TransactionVerdict] = [:]
  var relayedBlocks: [[UInt8]] = []
  var relayedTransactions: [Hash256] = []
  var heads: [(head: ChainHead, depth: Int)] = []
  var needed: [Hash256] = []
  var events: [ChainEvent] = []
  /// When false, batches stay unwritten until `commitHeld`.
  var commits = true
  var held: [(CommitID, WriteBatch)] = []
  /// When false, work is kept in `work` instead of being run.
  var works = true
  var work: [(WorkID, TestChain.Work)] = []
  var written = 0
  private var lastToken: UInt64 = 0

  init(_ world: World, store: MemoryStore = MemoryStore(), configuration: ChainConfiguration = .init(), now: Instant = .zero) throws {
    self.store = store
    self.now = now
    chain = try world.open(store, configuration: configuration, now: now)
  }

  func send(_ input: TestChain.Input) {
    var inputs = [input]
    while !inputs.isEmpty {
      let outputs = chain.handle(inputs.removeFirst(), now: now)
      for output in outputs {
        switch output {
        case .work(let id, let item):
          if works { inputs.append(.workDone(id, item.run(crypto: crypto))) } else { work.append((id, item)) }
        case .store(let id, let batch):
          guard commits else {
            held.append((id, batch))
            continue
          }
          do throws(StoreError) {
            try store.commit(batch)
            written += 1
            inputs.append(.committed(id))
          } catch {
            inputs.append(.commitFailed(id, error))
          }
        case .blockVerdict(let token, let verdict):
          precondition(verdicts.updateValue(verdict, forKey: token.rawValue) == nil, "two verdicts")
        case .transactionVerdict(let token, let verdict):
          precondition(transactionVerdicts.updateValue(verdict, forKey: token.rawValue) == nil, "two verdicts")
        case .relayBlock(_, let bytes, _): relayedBlocks.append(bytes)
        case .relayTransaction(let id, _, _): relayedTransactions.append(id)
        case .newHead(let head, let depth): heads.append((head, depth))
        case .needBlock(let hash, _, _): needed.append(hash)
        case .event(let event): events.append(event)
        }
      }
      chain.checkInvariants()
    }
  }

  /// Runs what work is held, and what that leads to: all of it, or checks of seals alone.
  func runHeldWork(sealsOnly: Bool = false) {
    func isWanted(_ item: (WorkID, TestChain.Work)) -> Bool {
      if case .checkSeals = item.1 { true } else { !sealsOnly }
    }
    while let index = work.firstIndex(where: isWanted) {
      let (id, item) = work.remove(at: index)
      send(.workDone(id, item.run(crypto: crypto)))
    }
  }

  /// Offers a block and returns the verdict if there is one yet.
  @discardableResult func receive(_ block: Block, _ source: ItemSource = .local) -> BlockVerdict? { receive(block.encoded, source) }

  @discardableResult func receive(_ bytes: [UInt8], _ source: ItemSource = .local) -> BlockVerdict? {
    lastToken += 1
    send(.blockReceived(bytes, source, ValidationToken(rawValue: lastToken)))
    return verdicts[lastToken]
  }

  @discardableResult func submit(_ transaction: Transaction, _ source: ItemSource = .local) -> TransactionVerdict? {
    submit(transaction.encoded, source)
  }

  @discardableResult func submit(_ bytes: [UInt8], _ source: ItemSource = .local) -> TransactionVerdict? {
    lastToken += 1
    send(.transactionReceived(bytes, source, ValidationToken(rawValue: lastToken)))
    return transactionVerdicts[lastToken]
  }

  /// Moves time to a slot's beginning and wakes the chain at each of its deadlines on the way.
  func advance(toSlot slot: UInt64, of world: World) { advance(to: .zero + world.genesis.blockTime * Int(slot)) }

  func advance(to end: Instant) {
    while let deadline = chain.nextDeadline, deadline <= end {
      precondition(deadline > now || deadline == now, "deadline in the past")
      now = max(now, deadline)
      send(.timerFired)
    }
    now = end
    send(.timerFired)
  }

  func balance(_ address: Address) -> Amount { chain.tipState.account(address, crypto: crypto).balance }
  func nonce(_ address: Address) -> UInt64 { chain.tipState.account(address, crypto: crypto).nonce }
}

/// A branch under construction, made without a chain.
struct Branch {
  let world: World
  var head: ChainHead
  var state: AccountState
  var blocks: [Block] = []

  init(_ world: World) {
    self.world = world
    state = world.ledger.genesis(crypto: crypto).state
    head = ChainHead(
      hash: world.hash, height: 0, time: world.genesis.time, slot: 0, stateRoot: state.root, weight: ChainWeight(work: 0, slot: 0))
  }

  /// Appends the block of a slot's owner.
  @discardableResult mutating func add(slot: UInt64, _ transactions: [Transaction] = []) throws -> Block {
    let key = world.authorities[Int(slot) % world.authorities.count]
    let infos = try transactions.map { try world.ledger.inspect($0.encoded, crypto: crypto) }
    let time = world.consensus.time(of: slot)!
    let context = BlockContext(height: head.height + 1, time: time, producer: World.address(key))
    let execution = try world.ledger.execute(infos, on: state, context: context, skippingInvalid: false, crypto: crypto)
    let header = BlockHeader(
      chain: world.hash, parent: head.hash, height: head.height + 1, time: time,
      transactionRoot: MerkleTree.root(of: infos.map(\.id), crypto: crypto), stateRoot: execution.state.root, producer: World.address(key),
      slot: slot)
    let block = Block(header: world.consensus.seal(header, key: key, crypto: crypto)!, transactions: transactions.map(\.encoded))
    state = execution.state
    head = ChainHead(
      hash: block.hash(crypto: crypto), height: header.height, time: time, slot: slot, stateRoot: state.root,
      weight: world.consensus.weight(of: header, parent: head.weight))
    blocks.append(block)
    return block
  }
}

/// Seals a changed header again with its producer's key, so that only the change itself is wrong.
func resealed(_ block: Block, by key: NodeKey, transactions: [[UInt8]]? = nil, _ change: (inout BlockHeader) -> Void) -> Block {
  var header = block.header
  change(&header)
  header.seal = key.sign(header.sealingBytes, crypto: crypto)
  return Block(header: header, transactions: transactions ?? block.transactions)
}
