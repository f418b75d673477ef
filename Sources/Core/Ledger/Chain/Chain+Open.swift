import Identity
import Wire

extension Chain {
  /// Opens the chain in a store: writes the genesis into an empty one, otherwise loads head, state and pending transactions.
  ///
  /// The state is rebuilt from its entries and must have the head's root. The states of the last `finalityDepth` blocks are rebuilt
  /// from undo records, so that a better branch can replace them after a restart too. O(state entries).
  /// - Throws: ``ChainError`` for a bad genesis, another chain's store, damage, and store failures.
  public static func open(
    genesis: GenesisConfiguration, ledger: L, consensus: C, store: any KeyValueStore, crypto: any CryptoSuite,
    configuration: ChainConfiguration = ChainConfiguration(), clock: WallClock, now: Instant
  ) throws(ChainError) -> Chain {
    try genesis.validate()
    let hash = genesis.hash(crypto: crypto)
    let opening = Opening(
      genesis: genesis, hash: hash, ledger: ledger, consensus: consensus, store: store, crypto: crypto, configuration: configuration,
      clock: clock)
    if let stored = try opening.get(ChainTable.meta, ChainTable.genesisKey) {
      guard let stored = Hash256(stored) else { throw .corrupt("genesis hash of \(stored.count) bytes") }
      guard stored == hash else { throw .otherGenesis(stored: stored, configured: hash) }
      return try opening.load(now)
    }
    return try opening.create()
  }

  private struct Opening {
    let genesis: GenesisConfiguration
    let hash: Hash256
    let ledger: L
    let consensus: C
    let store: any KeyValueStore
    let crypto: any CryptoSuite
    let configuration: ChainConfiguration
    let clock: WallClock

    func get(_ table: StoreTable, _ key: [UInt8]) throws(ChainError) -> [UInt8]? {
      do throws(StoreError) { return try store.get(table, key) } catch { throw .store(error) }
    }

    func create() throws(ChainError) -> Chain {
      let execution = ledger.genesis(crypto: crypto)
      let root = genesisNode(execution.state)
      var batch = WriteBatch()
      batch.put(ChainTable.meta, ChainTable.genesisKey, hash.bytes)
      batch.put(ChainTable.meta, ChainTable.headKey, ChainTable.head(root.head))
      for change in execution.changes {
        if let value = change.new { batch.put(ChainTable.state, change.key.bytes, value) }
      }
      do throws(StoreError) { try store.commit(batch) } catch { throw .store(error) }
      return chain(root)
    }

    func load(_ now: Instant) throws(ChainError) -> Chain {
      guard let bytes = try get(ChainTable.meta, ChainTable.headKey), let head = ChainTable.head(bytes) else { throw .corrupt("no head") }
      var state = ledger.restore(try stateEntries(), crypto: crypto)
      let depth = UInt64(max(0, configuration.finalityDepth))
      var (height, expected) = (head.height, head.hash)
      let floor = height > depth ? height - depth : 0
      var loaded: [Node] = []
      // From the head down, each state being the one above with that block taken back. Older records are pruned, so a longer
      // finality depth than the last run's simply ends where they do.
      while height > 0 {
        guard let record = try get(ChainTable.undo, ChainTable.key(height)) else { break }
        let node = try node(height, expected, state, record)
        if loaded.isEmpty && ledger.root(of: state) != node.head.stateRoot { throw .corrupt("the state does not have the head's root") }
        loaded.append(node)
        if height == floor { break }
        state = ledger.applying(node.changes.map(\.reversed), to: state, crypto: crypto)
        (height, expected) = (height - 1, node.parent)
      }
      if height == 0 {
        guard expected == hash else { throw .corrupt("the first block's parent is not the genesis") }
        let root = genesisNode(state)
        guard ledger.root(of: state) == ledger.root(of: ledger.genesis(crypto: crypto).state) else {
          throw .corrupt("genesis state differs")
        }
        loaded.append(root)
      }
      guard let root = loaded.popLast() else { throw .corrupt("no undo record of the head at height \(head.height)") }
      var chain = chain(root)
      for node in loaded.reversed() {
        chain.insert(node)
        chain.canonical[node.head.height] = node.head.hash
        chain.tipNode = node
        if let header = node.header { chain.seals.insert(SealKey(header), [header]) }
      }
      chain.head = chain.tipNode.head
      if let stored = try get(ChainTable.meta, ChainTable.sealedKey) {
        guard let sealed = SealedSlots(encoded: stored) else { throw .corrupt("the sealed slots cannot be read (\(stored.count) bytes)") }
        chain.sealed = sealed
      }
      try loadPool(&chain, now)
      return chain
    }

    private func chain(_ root: Node) -> Chain {
      Chain(
        ledger: ledger, consensus: consensus, store: store, crypto: crypto, configuration: configuration, genesis: hash, clock: clock,
        root: root)
    }

    private func genesisNode(_ state: L.State) -> Node {
      let head = ChainHead(
        hash: hash, height: 0, time: genesis.time, slot: 0, stateRoot: ledger.root(of: state), weight: ChainWeight(work: 0, slot: 0))
      return Node(head: head, parent: .zero, header: nil, bytes: [], transactions: [], state: state, changes: [])
    }

    private func node(_ height: UInt64, _ expected: Hash256, _ state: L.State, _ record: [UInt8]) throws(ChainError) -> Node {
      guard let bytes = try get(ChainTable.blocks, ChainTable.key(height)) else { throw .corrupt("block \(height) is missing") }
      do {
        let block = try Block(encoded: bytes.rawSpan, limits: ledger.limits)
        let header = block.header
        guard header.hash(crypto: crypto) == expected, header.height == height else {
          throw ChainError.corrupt("block \(height) is another one")
        }
        let undo = try UndoRecord(encoded: record.rawSpan)
        var transactions: [TransactionInfo] = []
        for bytes in block.transactions { transactions.append(try ledger.inspect(bytes, crypto: crypto)) }
        let head = ChainHead(
          hash: expected, height: height, time: header.time, slot: header.slot, stateRoot: header.stateRoot, weight: undo.weight)
        // The new values are in the block's state; a reorganisation back to this block would need them.
        let changes = undo.changes.map { StateChange(key: $0.key, old: $0.old, new: ledger.value(of: $0.key, in: state)) }
        return Node(
          head: head, parent: header.parent, header: header, bytes: bytes, transactions: transactions, state: state, changes: changes)
      } catch let error as ChainError {
        throw error
      } catch {
        throw .corrupt("block \(height): \(error)")
      }
    }

    private func stateEntries() throws(ChainError) -> [(key: Hash256, value: [UInt8])] {
      var entries: [(key: Hash256, value: [UInt8])] = []
      try scan(ChainTable.state) { key, value in entries.append((key, value)) }
      return entries
    }

    private func loadPool(_ chain: inout Chain, _ now: Instant) throws(ChainError) {
      var stored: [(info: TransactionInfo?, key: Hash256)] = []
      try scan(ChainTable.pool) { key, bytes in stored.append((try? ledger.inspect(bytes, crypto: crypto), key)) }
      // They were verified before they were stored.
      for (info, key) in stored.sorted(by: { ($0.info?.nonce ?? 0, $0.key) < ($1.info?.nonce ?? 0, $1.key) }) {
        // The durable head may lie behind the one that it was accepted on, so that only what is spent is sure to be useless.
        if let info, info.id == key, case let next = ledger.nextNonce(of: info.sender, in: chain.tipNode.state, crypto: crypto),
          info.nonce >= next,
          case let spendable = ledger.spendable(by: info.sender, in: chain.tipNode.state, crypto: crypto),
          let removed = try? chain.pool.insert(info, nextNonce: next, spendable: spendable, now: now, isReturning: true)
        {
          chain.verified.insert(info.id, true)
          for id in removed { chain.gathered.batch.remove(ChainTable.pool, id.bytes) }
        } else {
          chain.gathered.batch.remove(ChainTable.pool, key.bytes)
        }
      }
    }

    private func scan(_ table: StoreTable, _ body: (Hash256, [UInt8]) -> Void) throws(ChainError) {
      var start: [UInt8] = []
      while true {
        let page: [(key: [UInt8], value: [UInt8])]
        do throws(StoreError) { page = try store.scan(table, from: start, limit: 4096) } catch { throw .store(error) }
        for (key, value) in page {
          guard let key = Hash256(key) else { throw .corrupt("key of \(key.count) bytes in table \(table.name)") }
          body(key, value)
        }
        guard page.count == 4096, let last = page.last?.key else { return }
        start = last + [0]
      }
    }
  }
}
