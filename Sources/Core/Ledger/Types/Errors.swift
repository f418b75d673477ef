import Wire

/// Why a transaction is refused.
public enum LedgerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not a transaction, or not in its one canonical encoding; the text says why.
  case malformed(String)
  /// More bytes than the chain allows.
  case tooLarge(bytes: Int, limit: Int)
  /// Made for another chain.
  case wrongChain
  /// The signature is not the sender's.
  case badSignature
  /// The number was used already: a replay, or a copy of a confirmed transaction.
  case staleNonce(nonce: UInt64, expected: UInt64)
  /// Earlier transactions of the sender are missing.
  case nonceGap(nonce: UInt64, expected: UInt64)
  /// The sender does not own what this costs.
  case insufficientBalance(balance: Amount, cost: Amount)
  /// Amount and fee, or the receiver's balance with them, exceed 64 bits.
  case amountOverflow
  /// The fee is below the chain's smallest.
  case feeTooLow(fee: Amount, minimum: Amount)
  /// The fee does not pay for the bytes by which the state would grow.
  case stateFeeTooLow(fee: Amount, needed: Amount, newBytes: Int)
  /// The sender has no account: it owns nothing and has never made a transaction.
  case noAccount(Address)
  /// The data key is empty or longer than the chain allows.
  case badKey(bytes: Int, limit: Int)
  /// The data value is longer than the chain allows.
  case badValue(bytes: Int, limit: Int)
  /// A rule of a replaced ledger; the text says which.
  case rule(String)

  /// Whether the fault lies in the bytes alone, whatever the state: the sender of the message is to blame.
  public var isIntrinsic: Bool {
    switch self {
    case .malformed, .tooLarge, .wrongChain, .badSignature, .badKey, .badValue, .feeTooLow: true
    case .staleNonce, .nonceGap, .insufficientBalance, .amountOverflow, .stateFeeTooLow, .noAccount, .rule: false
    }
  }

  /// In words for the operator.
  public var description: String {
    switch self {
    case .malformed(let why): "malformed transaction: \(why)"
    case .tooLarge(let bytes, let limit): "transaction of \(bytes) bytes, over the limit of \(limit)"
    case .wrongChain: "transaction is for another chain"
    case .badSignature: "signature is not the sender's"
    case .staleNonce(let nonce, let expected): "nonce \(nonce) was used already, the next is \(expected)"
    case .nonceGap(let nonce, let expected): "nonce \(nonce) leaves a gap, the next is \(expected)"
    case .insufficientBalance(let balance, let cost): "balance \(balance) does not cover \(cost)"
    case .amountOverflow: "amounts exceed 64 bits"
    case .feeTooLow(let fee, let minimum): "fee \(fee) is below the chain's minimum of \(minimum)"
    case .stateFeeTooLow(let fee, let needed, let newBytes):
      "fee \(fee) does not pay for \(newBytes) new bytes of state; \(needed) would"
    case .noAccount(let address): "account \(address.short) does not exist; it must receive something first"
    case .badKey(let bytes, let limit): "data key of \(bytes) bytes; 1 to \(limit) are allowed"
    case .badValue(let bytes, let limit): "data value of \(bytes) bytes; at most \(limit) are allowed"
    case .rule(let why): why
    }
  }
}

/// A transaction that a block may not hold.
public struct TransactionFailure: Error, Hashable, Sendable {
  /// Its place in the block.
  public let index: Int
  /// What is wrong.
  public let error: LedgerError

  /// Makes a failure.
  public init(index: Int, error: LedgerError) {
    self.index = index
    self.error = error
  }
}

/// Why a block is invalid. Every case is provable by the block and its ancestors: whoever sent it is to blame.
public enum BlockError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Not a block, or not in its one canonical encoding; the text says why.
  case malformed(String)
  /// More bytes than the chain allows.
  case tooLarge(bytes: Int, limit: Int)
  /// More transactions than the chain allows.
  case tooManyTransactions(limit: Int)
  /// An unknown header version.
  case wrongVersion(UInt64)
  /// A block of another chain.
  case wrongChain
  /// Not one above its parent.
  case wrongHeight(UInt64, expected: UInt64)
  /// The producer is no authority.
  case unknownProducer(Address)
  /// The slot is another authority's.
  case wrongTurn(slot: UInt64, producer: Address, expected: Address)
  /// The slot does not lie behind the parent's.
  case slotNotAfterParent(slot: UInt64, parent: UInt64)
  /// The slot is not the height's, or too early for so many blocks below.
  case slotTooEarly(slot: UInt64, height: UInt64)
  /// The time is not the slot's.
  case wrongTime(WallTime, expected: WallTime)
  /// The consensus data is not what the engine asks for; the text says why.
  case badConsensusData(String)
  /// The seal is not the producer's, or not enough work.
  case badSeal
  /// The header does not commit to these transactions. The header may be good: another body may fit it.
  case wrongTransactionRoot
  /// The state after the block is not what the header says.
  case wrongStateRoot(Hash256, expected: Hash256)
  /// A transaction is against the rules.
  case badTransaction(index: Int, LedgerError)
  /// An ancestor is invalid.
  case invalidAncestor(Hash256)

  /// In words for the operator.
  public var description: String {
    switch self {
    case .malformed(let why): "malformed block: \(why)"
    case .tooLarge(let bytes, let limit): "block of \(bytes) bytes, over the limit of \(limit)"
    case .tooManyTransactions(let limit): "more than \(limit) transactions"
    case .wrongVersion(let version): "unknown block version \(version)"
    case .wrongChain: "block of another chain"
    case .wrongHeight(let height, let expected): "height \(height) instead of \(expected)"
    case .unknownProducer(let producer): "producer \(producer.short) is not an authority"
    case .wrongTurn(let slot, let producer, let expected): "slot \(slot) is \(expected.short)'s, not \(producer.short)'s"
    case .slotNotAfterParent(let slot, let parent): "slot \(slot) does not lie behind the parent's slot \(parent)"
    case .slotTooEarly(let slot, let height): "slot \(slot) does not fit height \(height)"
    case .wrongTime(let time, let expected): "time \(time) instead of \(expected)"
    case .badConsensusData(let why): "bad consensus data: \(why)"
    case .badSeal: "bad seal"
    case .wrongTransactionRoot: "transactions do not match the header"
    case .wrongStateRoot(let root, let expected): "state root \(root.short) instead of \(expected.short)"
    case .badTransaction(let index, let error): "transaction \(index): \(error)"
    case .invalidAncestor(let hash): "ancestor \(hash.short) is invalid"
    }
  }
}

/// Why a chain cannot be opened.
public enum ChainError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The genesis contradicts itself; the text names the setting.
  case badGenesis(String)
  /// The store holds another chain.
  case otherGenesis(stored: Hash256, configured: Hash256)
  /// What is stored does not fit together; the text says what.
  case corrupt(String)
  /// The store failed.
  case store(StoreError)

  /// In words for the operator.
  public var description: String {
    switch self {
    case .badGenesis(let why): "bad genesis: \(why)"
    case .otherGenesis(let stored, let configured):
      "the data directory belongs to chain \(stored.short), the configuration says \(configured.short): use another data directory or genesis"
    case .corrupt(let why): "the stored chain is damaged: \(why); remove the data directory to sync again"
    case .store(let error): "\(error)"
    }
  }
}
