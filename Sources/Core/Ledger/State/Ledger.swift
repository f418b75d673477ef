import Identity
import Wire

/// What transactions mean: the part that a chain developer replaces.
///
/// ``Chain`` keeps blocks, forks, the mempool and the store, and asks a ledger about transactions and state. A ledger is a value
/// without state of its own; it is called from several threads. Every method is a function of its arguments: equal
/// input gives an equal root on every machine. Bytes come from strangers, so nothing may trap on them.
public protocol Ledger: Sendable {
  /// The state behind some block; cheap to copy (share the parts that did not change).
  associatedtype State: Sendable

  /// The sizes that blocks and transactions must keep to.
  var limits: GenesisConfiguration.Limits { get }

  /// The state before the first block, with every entry as a change.
  func genesis(crypto: any CryptoSuite) -> Execution<State>

  /// The state's root, as headers carry it.
  func root(of state: State) -> Hash256

  /// Reads a transaction and checks what needs neither state nor signature: form, size, chain. Cheap.
  /// - Throws: a ``LedgerError`` that is ``LedgerError/isIntrinsic``.
  func inspect(_ bytes: [UInt8], crypto: any CryptoSuite) throws(LedgerError) -> TransactionInfo

  /// Whether the signature is the sender's. Expensive: called in the worker pool, once for each transaction that `inspect` took.
  func hasValidSignature(_ transaction: TransactionInfo, crypto: any CryptoSuite) -> Bool

  /// Checks for the mempool whether the transaction can be executed on this state or later. Cheap. A nonce ahead of the
  /// account's is allowed: the mempool bounds how far.
  func admit(_ transaction: TransactionInfo, on state: State, crypto: any CryptoSuite) throws(LedgerError)

  /// The next unused nonce of a sender.
  func nextNonce(of sender: Address, in state: State, crypto: any CryptoSuite) -> UInt64

  /// What a sender's pending transactions may cost together: the mempool takes no more.
  func spendable(by sender: Address, in state: State, crypto: any CryptoSuite) -> Amount

  /// What users are shown of an account; an unused one when nothing is stored.
  func account(_ address: Address, in state: State, crypto: any CryptoSuite) -> Account

  /// Executes transactions in order, whose signatures are known to be good.
  /// - Parameter skippingInvalid: leave bad transactions out instead of throwing; used when a block is built.
  /// - Throws: the first transaction that is against the rules.
  func execute(
    _ transactions: [TransactionInfo], on state: State, context: BlockContext, skippingInvalid: Bool, crypto: any CryptoSuite
  ) throws(TransactionFailure) -> Execution<State>

  /// The state with changes made that an earlier execution reported, or their reverse.
  func applying(_ changes: [StateChange], to state: State, crypto: any CryptoSuite) -> State

  /// The stored entry under a key.
  func value(of key: Hash256, in state: State) -> [UInt8]?

  /// Rebuilds a state from the stored entries. O(n).
  func restore(_ entries: [(key: Hash256, value: [UInt8])], crypto: any CryptoSuite) -> State
}

/// What the chain and the mempool must know of a transaction.
public struct TransactionInfo: Hashable, Sendable {
  /// SHA-256 of ``bytes``.
  public let id: Hash256
  /// Whose nonce it uses.
  public let sender: Address
  /// Its number among the sender's.
  public let nonce: UInt64
  /// What it offers to the producer: its rank.
  public let fee: Amount
  /// What the sender must own at most.
  public let cost: Amount
  /// The canonical encoding.
  public let bytes: [UInt8]

  /// Makes a description of its parts.
  public init(id: Hash256, sender: Address, nonce: UInt64, fee: Amount, cost: Amount, bytes: [UInt8]) {
    self.id = id
    self.sender = sender
    self.nonce = nonce
    self.fee = fee
    self.cost = cost
    self.bytes = bytes
  }
}

/// Where transactions are executed.
public struct BlockContext: Hashable, Sendable {
  /// The block's height.
  public let height: UInt64
  /// The block's time.
  public let time: WallTime
  /// Who gets the fees.
  public let producer: Address

  /// Makes a context.
  public init(height: UInt64, time: WallTime, producer: Address) {
    self.height = height
    self.time = time
    self.producer = producer
  }
}

/// An entry of the state before and after; `nil` where it is absent.
public struct StateChange: Hashable, Sendable {
  /// The key in the state and in the store.
  public let key: Hash256
  /// The value before.
  public let old: [UInt8]?
  /// The value after.
  public let new: [UInt8]?

  /// Makes a change.
  public init(key: Hash256, old: [UInt8]?, new: [UInt8]?) {
    self.key = key
    self.old = old
    self.new = new
  }

  /// The change that takes this one back.
  public var reversed: StateChange { StateChange(key: key, old: new, new: old) }
}

/// What executing transactions gave.
public struct Execution<State: Sendable>: Sendable {
  /// The state behind them.
  public let state: State
  /// What changed, in ascending order of keys, one change for each key.
  public let changes: [StateChange]
  /// The indices of the executed transactions; all of them unless bad ones were skipped.
  public let included: [Int]
  /// What the producer was paid.
  public let fees: Amount

  /// Makes a result.
  public init(state: State, changes: [StateChange], included: [Int], fees: Amount) {
    self.state = state
    self.changes = changes
    self.included = included
    self.fees = fees
  }
}
