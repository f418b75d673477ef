import Identity
import Ledger
import NodeCore
import Wire

/// Users: accounts that submit transactions at nodes, one at a time each, and try again elsewhere until one is accepted.
struct Load {
  struct Account {
    let key: NodeKey
    var nonce: UInt64 = 0
    /// Made and not accepted yet.
    var pending: [UInt8]?
    /// Where it was submitted and is not answered.
    var askedAt: Int?
  }

  var accounts: [Account]
  let genesis: Hash256
  let limits: GenesisConfiguration.Limits
  let payloadBytes: Int
  var interval: Duration
  var generator: SeededGenerator
  var queries: [QueryID: Int] = [:]
  var nextQuery: UInt64 = 1
  /// All users go to this node while it is set.
  var target: Int?
  var times = 1.0
  var accepted = 0
  var refused = 0
  private var turn = 0

  init(_ scenario: Scenario, accounts: [NodeKey], genesis: GenesisConfiguration, crypto: SimulatedCrypto, seed: UInt64) {
    self.accounts = accounts.map { Account(key: $0) }
    self.genesis = genesis.hash(crypto: crypto)
    limits = genesis.limits
    payloadBytes = scenario.transactionBytes
    interval = scenario.transactions > 0 ? .nanoseconds(Int64(1e9 / scenario.transactions)) : .seconds(1_000_000)
    generator = SeededGenerator(seed: seed)
  }

  /// A node's process is gone with all that was not answered.
  mutating func lost(_ node: Int) {
    for index in accounts.indices where accounts[index].askedAt == node { accounts[index].askedAt = nil }
  }

  /// The next free account's transaction, if there is one.
  mutating func next(crypto: SimulatedCrypto) -> (account: Int, bytes: [UInt8])? {
    for _ in accounts.indices {
      turn = (turn + 1) % accounts.count
      guard accounts[turn].askedAt == nil else { continue }
      if let bytes = accounts[turn].pending { return (turn, bytes) }
      let account = accounts[turn]
      let key = Array("slot-\(account.nonce % 16)".utf8)
      let payload = Transaction.Payload.setData(key: key, value: generator.bytes(payloadBytes))
      let tip = Amount(UInt64(generator.index(below: 100)))
      let transaction = Transaction(
        chain: genesis, nonce: account.nonce, fee: limits.sufficientFee(for: payload).adding(tip) ?? tip, payload: payload,
        key: account.key, crypto: crypto)
      accounts[turn].pending = transaction.encoded
      return (turn, transaction.encoded)
    }
    return nil
  }
}

extension Simulation {
  func runLoad() {
    guard now < quietFrom, scenario.transactions > 0 else { return }
    queue.schedule(.load, at: now + load.interval / load.times)
    let candidates = nodes.indices.filter { nodes[$0].isUp && nodes[$0].isHonest && !nodes[$0].isSuspended }
    guard !candidates.isEmpty, let (account, bytes) = load.next(crypto: crypto) else { return }
    let node = load.target.flatMap { nodes[$0].isUp ? $0 : nil } ?? candidates[load.generator.index(below: candidates.count)]
    let id = QueryID(rawValue: load.nextQuery)
    load.nextQuery += 1
    load.queries[id] = account
    load.accounts[account].askedAt = node
    measures.submitted(crypto.sha256(bytes), at: now)
    post(node, .query(id, .submit(bytes)))
  }

  func answered(_ id: QueryID, _ answer: Answer, _ node: SimulatedNode) {
    guard let account = load.queries.removeValue(forKey: id), load.accounts[account].askedAt == node.index else { return }
    load.accounts[account].askedAt = nil
    if case .submitted(let hash) = answer {
      load.accepted += 1
      load.accounts[account].nonce += 1
      load.accounts[account].pending = nil
      oracle.accepted(hash, node.index, now)
    } else {
      load.refused += 1
    }
  }
}
