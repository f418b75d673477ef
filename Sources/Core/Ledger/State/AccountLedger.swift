import Identity
import Wire

/// The reference ledger: accounts with Ed25519 keys, balances, nonces, transfers and key/value data.
public struct AccountLedger: Ledger {
  /// The genesis hash, which every transaction must name.
  public let chain: Hash256
  /// The chain's sizes and fees.
  public let limits: GenesisConfiguration.Limits
  private let blockReward: Amount
  private let balances: [Address: Amount]

  /// Makes the ledger of a chain.
  public init(genesis: GenesisConfiguration, crypto: any CryptoSuite) {
    chain = genesis.hash(crypto: crypto)
    limits = genesis.limits
    blockReward = genesis.blockReward
    balances = genesis.balances
  }

  /// The accounts of the genesis configuration. O(accounts).
  public func genesis(crypto: any CryptoSuite) -> Execution<AccountState> {
    var overlay = AccountOverlay(AccountState(), crypto: crypto)
    for (address, balance) in balances { overlay.set(address, Account(balance: balance)) }
    return overlay.finish(included: [], fees: 0)
  }

  /// The tree's root.
  public func root(of state: AccountState) -> Hash256 { state.root }

  /// Reads a transaction; checks form, sizes, chain and smallest fee.
  public func inspect(_ bytes: [UInt8], crypto: any CryptoSuite) throws(LedgerError) -> TransactionInfo {
    let transaction = try decode(bytes)
    guard let cost = transaction.cost else { throw .malformed("amount and fee exceed 64 bits") }
    return TransactionInfo(
      id: crypto.sha256(bytes), sender: transaction.sender, nonce: transaction.nonce, fee: transaction.fee, cost: cost, bytes: bytes)
  }

  /// One Ed25519 verification.
  public func hasValidSignature(_ transaction: TransactionInfo, crypto: any CryptoSuite) -> Bool {
    Transaction.hasValidSignature(transaction.bytes, sender: transaction.sender, crypto: crypto)
  }

  /// The account must exist, the nonce be unused, the balance cover amount and fee, and the fee cover the bytes that are new in this state.
  public func admit(_ transaction: TransactionInfo, on state: AccountState, crypto: any CryptoSuite) throws(LedgerError) {
    let account = state.account(transaction.sender, crypto: crypto)
    guard account != Account() else { throw .noAccount(transaction.sender) }
    guard transaction.nonce >= account.nonce else { throw .staleNonce(nonce: transaction.nonce, expected: account.nonce) }
    guard account.balance >= transaction.cost else { throw .insufficientBalance(balance: account.balance, cost: transaction.cost) }
    var overlay = AccountOverlay(state, crypto: crypto)
    try checkFee(try decode(transaction.bytes), on: &overlay)
  }

  /// The account's balance. O(log n).
  public func spendable(by sender: Address, in state: AccountState, crypto: any CryptoSuite) -> Amount {
    state.account(sender, crypto: crypto).balance
  }

  /// The account's nonce. O(log n).
  public func nextNonce(of sender: Address, in state: AccountState, crypto: any CryptoSuite) -> UInt64 {
    state.account(sender, crypto: crypto).nonce
  }

  /// The account. O(log n).
  public func account(_ address: Address, in state: AccountState, crypto: any CryptoSuite) -> Account {
    state.account(address, crypto: crypto)
  }

  /// Executes in order, then pays fees and reward to the producer. O(transactions · log n).
  public func execute(
    _ transactions: [TransactionInfo], on state: AccountState, context: BlockContext, skippingInvalid: Bool, crypto: any CryptoSuite
  ) throws(TransactionFailure) -> Execution<AccountState> {
    var overlay = AccountOverlay(state, crypto: crypto)
    var fees = Amount.zero
    var included: [Int] = []
    included.reserveCapacity(transactions.count)
    for (index, info) in transactions.enumerated() {
      do throws(LedgerError) {
        guard let sum = fees.adding(info.fee) else { throw .amountOverflow }
        try apply(try decode(info.bytes), to: &overlay)
        fees = sum
        included.append(index)
      } catch {
        if !skippingInvalid { throw TransactionFailure(index: index, error: error) }
      }
    }
    // Fees are paid at the end, so that what a transaction can spend does not depend on who made the block. Fees come out of
    // balances and the reward is capped, so the sum cannot overflow; capping keeps a full account from stopping the chain.
    let reward = Amount(min(blockReward.units, UInt64.max - fees.units))
    let income = fees.adding(reward) ?? fees
    if income > 0 {
      var producer = overlay.account(context.producer)
      producer.balance = producer.balance.adding(income) ?? Amount(.max)
      overlay.set(context.producer, producer)
    }
    return overlay.finish(included: included, fees: fees)
  }

  /// The tree with the changes made. O(changes · log n).
  public func applying(_ changes: [StateChange], to state: AccountState, crypto: any CryptoSuite) -> AccountState {
    var state = state
    state.tree.update(changes.map { ($0.key, $0.new) }, crypto: crypto)
    return state
  }

  /// The tree's value. O(log n).
  public func value(of key: Hash256, in state: AccountState) -> [UInt8]? { state.tree.get(key) }

  /// A tree of the entries. O(n log n).
  public func restore(_ entries: [(key: Hash256, value: [UInt8])], crypto: any CryptoSuite) -> AccountState {
    AccountState(tree: StateTree(entries, crypto: crypto))
  }

  private func decode(_ bytes: [UInt8]) throws(LedgerError) -> Transaction {
    guard bytes.count <= limits.transactionBytes else { throw .tooLarge(bytes: bytes.count, limit: limits.transactionBytes) }
    let transaction = try Transaction(encoded: bytes.rawSpan)
    guard transaction.chain == chain else { throw .wrongChain }
    guard transaction.fee >= limits.minimumFee else { throw .feeTooLow(fee: transaction.fee, minimum: limits.minimumFee) }
    guard transaction.nonce < UInt64.max else { throw .malformed("nonce is out of range") }
    switch transaction.payload {
    case .transfer: break
    case .setData(let key, let value):
      guard (1...limits.keyBytes).contains(key.count) else { throw .badKey(bytes: key.count, limit: limits.keyBytes) }
      guard value.count <= limits.valueBytes else { throw .badValue(bytes: value.count, limit: limits.valueBytes) }
    case .deleteData(let key):
      guard (1...limits.keyBytes).contains(key.count) else { throw .badKey(bytes: key.count, limit: limits.keyBytes) }
    }
    return transaction
  }

  private func checkFee(_ transaction: Transaction, on overlay: inout AccountOverlay) throws(LedgerError) {
    var receiverExists = true
    var oldValueBytes: Int?
    switch transaction.payload {
    case .transfer(let to, _): receiverExists = overlay.account(to) != Account()
    case .setData(let key, _): oldValueBytes = overlay.dataBytes(key, of: transaction.sender)
    case .deleteData: break
    }
    let newBytes = transaction.payload.newStateBytes(receiverExists: receiverExists, oldValueBytes: oldValueBytes)
    guard let needed = limits.fee(newStateBytes: newBytes) else { throw .amountOverflow }
    guard transaction.fee >= needed else { throw .stateFeeTooLow(fee: transaction.fee, needed: needed, newBytes: newBytes) }
  }

  /// Makes one transaction's changes, all of them or, when it throws, none.
  private func apply(_ transaction: Transaction, to overlay: inout AccountOverlay) throws(LedgerError) {
    var sender = overlay.account(transaction.sender)
    guard sender != Account() else { throw .noAccount(transaction.sender) }
    guard transaction.nonce >= sender.nonce else { throw .staleNonce(nonce: transaction.nonce, expected: sender.nonce) }
    guard transaction.nonce == sender.nonce else { throw .nonceGap(nonce: transaction.nonce, expected: sender.nonce) }
    guard let cost = transaction.cost else { throw .amountOverflow }
    guard let rest = sender.balance.subtracting(cost) else { throw .insufficientBalance(balance: sender.balance, cost: cost) }
    try checkFee(transaction, on: &overlay)
    sender.balance = rest
    sender.nonce += 1
    switch transaction.payload {
    case .transfer(let to, let amount):
      var receiver = to == transaction.sender ? sender : overlay.account(to)
      guard let sum = receiver.balance.adding(amount) else { throw .amountOverflow }
      receiver.balance = sum
      overlay.set(transaction.sender, sender)
      overlay.set(to, receiver)
    case .setData(let key, let value):
      overlay.set(transaction.sender, sender)
      overlay.setData(key, of: transaction.sender, value)
    case .deleteData(let key):
      // Removing what is not there is paid for and changes nothing: were it refused, it would hold up the account's later nonces.
      overlay.set(transaction.sender, sender)
      overlay.setData(key, of: transaction.sender, nil)
    }
  }
}

/// Changes on their way to a new state: the tree is touched, and hashed, once at the end.
private struct AccountOverlay {
  private struct Slot {
    let key: Hash256
    let old: [UInt8]?
    var account: Account
  }

  private let base: AccountState
  private let crypto: any CryptoSuite
  private var accounts: [Address: Slot] = [:]
  private var data: [Hash256: (old: [UInt8]?, new: [UInt8]?)] = [:]

  init(_ base: AccountState, crypto: any CryptoSuite) {
    self.base = base
    self.crypto = crypto
  }

  mutating func account(_ address: Address) -> Account { slot(address).account }

  mutating func set(_ address: Address, _ account: Account) {
    var slot = slot(address)
    slot.account = account
    accounts[address] = slot
  }

  /// The length of the value under a key, `nil` when there is none.
  func dataBytes(_ key: [UInt8], of address: Address) -> Int? {
    let treeKey = AccountState.key(ofData: key, address, crypto: crypto)
    if let changed = data[treeKey] { return changed.new?.count }
    return base.tree.get(treeKey)?.count
  }

  mutating func setData(_ key: [UInt8], of address: Address, _ value: [UInt8]?) {
    let treeKey = AccountState.key(ofData: key, address, crypto: crypto)
    let old = data[treeKey].map { $0.old } ?? base.tree.get(treeKey)
    data[treeKey] = (old, value)
  }

  /// The new state and the real changes, sorted: nothing depends on the order of a dictionary.
  func finish(included: [Int], fees: Amount) -> Execution<AccountState> {
    var changes: [StateChange] = []
    changes.reserveCapacity(accounts.count + data.count)
    for slot in accounts.values {
      let new = slot.account.encoded
      if new != slot.old { changes.append(StateChange(key: slot.key, old: slot.old, new: new)) }
    }
    for (key, change) in data where change.old != change.new {
      changes.append(StateChange(key: key, old: change.old, new: change.new))
    }
    changes.sort { $0.key < $1.key }
    var state = base
    state.tree.update(changes.map { ($0.key, $0.new) }, crypto: crypto)
    return Execution(state: state, changes: changes, included: included, fees: fees)
  }

  private mutating func slot(_ address: Address) -> Slot {
    if let slot = accounts[address] { return slot }
    let key = AccountState.key(of: address, crypto: crypto)
    let old = base.tree.get(key)
    let slot = Slot(key: key, old: old, account: old.map(Account.init(encoded:)) ?? Account())
    accounts[address] = slot
    return slot
  }
}
