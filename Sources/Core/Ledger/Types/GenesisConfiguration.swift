import Identity
import Wire

/// What all nodes of a chain must agree on before the first block. Its hash is the chain's name and block 0's hash.
public struct GenesisConfiguration: Hashable, Sendable {
  /// Sizes that every block and transaction must keep to; part of the chain's rules.
  public struct Limits: Hashable, Sendable {
    /// Bytes of one encoded transaction; 8 KiB by default.
    public var transactionBytes = 8 << 10
    /// Bytes of one encoded block; 1 MiB by default, at most ``blockBytesMaximum``.
    public var blockBytes = 1 << 20
    /// Transactions in one block; 1,000 by default.
    public var blockTransactions = 1000
    /// Bytes of a data key; 256 by default.
    public var keyBytes = 256
    /// Bytes of a data value; 4 KiB by default.
    public var valueBytes = 4 << 10
    /// The smallest fee of a transaction; 1 by default.
    public var minimumFee: Amount = 1
    /// The fee on top of it for each byte by which a transaction makes the state larger; 1 by default, because every node keeps the
    /// state for ever. ``Transaction/Payload/newStateBytes(receiverExists:oldValueBytes:)`` counts the bytes.
    public var stateByteFee: Amount = 1

    /// 8 MiB: a block must fit a message, and no message has more than 10 MiB (seed S4).
    public static let blockBytesMaximum = 8 << 20

    /// The defaults.
    public init() {}

    /// The smallest fee of a transaction that adds so many bytes to the state; `nil` when 64 bits cannot hold it.
    public func fee(newStateBytes bytes: Int) -> Amount? {
      let (product, overflow) = stateByteFee.units.multipliedReportingOverflow(by: UInt64(clamping: bytes))
      return overflow ? nil : minimumFee.adding(Amount(product))
    }

    /// A fee that is enough for a payload whatever the state is, at most the largest amount. What a wallet offers that has not looked at
    /// the receiver's account or the data's old value.
    public func sufficientFee(for payload: Transaction.Payload) -> Amount {
      fee(newStateBytes: payload.newStateBytes(receiverExists: false, oldValueBytes: nil)) ?? Amount(.max)
    }
  }

  /// How blocks are sealed; the number is the one in the canonical bytes.
  public enum ConsensusKind: UInt64, Hashable, Sendable {
    /// Authorities take turns.
    case proofOfAuthority = 1
    /// Whoever finds a small enough hash.
    case proofOfWork = 2
  }

  /// The chain's name for people, at most 64 bytes.
  public var chainID: String
  /// When slot 0 began.
  public var time: WallTime
  /// How blocks are sealed; authority by default.
  public var consensus: ConsensusKind
  /// The producers, in the order of their turns. Not empty under proof of authority.
  public var authorities: [Address]
  /// The length of a slot; 5 s by default, at least 1 ms. It is also how long a silent authority holds the chain up:
  /// the next slot belongs to the next authority.
  public var blockTime: Duration
  /// What accounts own at the start.
  public var balances: [Address: Amount]
  /// What a producer gets for each block besides the fees; 0 by default.
  public var blockReward: Amount
  /// The first block's target under proof of work, in ``CompactTarget``'s form; `0x1e7fffff` by default, about 131,000 hashes.
  public var workTarget: UInt32
  /// The sizes.
  public var limits: Limits

  /// Makes a genesis.
  public init(
    chainID: String, time: WallTime, authorities: [Address], blockTime: Duration = .seconds(5), balances: [Address: Amount] = [:],
    blockReward: Amount = 0, limits: Limits = Limits(), consensus: ConsensusKind = .proofOfAuthority, workTarget: UInt32 = 0x1e7f_ffff
  ) {
    self.chainID = chainID
    self.time = time
    self.authorities = authorities
    self.blockTime = blockTime
    self.balances = balances
    self.blockReward = blockReward
    self.limits = limits
    self.consensus = consensus
    self.workTarget = workTarget
  }

  /// The slot length in whole milliseconds, at least 1.
  public var blockTimeMilliseconds: UInt64 { UInt64(max(1, blockTime.nanoseconds / 1_000_000)) }

  /// The canonical bytes: equal for equal rules, whatever order they were given in. O(accounts · log accounts).
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 256 + balances.count * 48)
    writer.string(1, chainID)
    writer.uint64(2, UInt64(clamping: time.milliseconds))
    writer.uint64(3, consensus.rawValue)
    for authority in authorities { writer.address(4, authority) }
    writer.uint64(5, blockTimeMilliseconds)
    for (address, amount) in balances.sorted(by: { $0.key < $1.key }) {
      writer.message(6) {
        $0.address(1, address)
        $0.uint64(2, amount.units)
      }
    }
    writer.uint64(7, blockReward.units)
    writer.message(8) {
      $0.int(1, max(0, limits.transactionBytes))
      $0.int(2, max(0, limits.blockBytes))
      $0.int(3, max(0, limits.blockTransactions))
      $0.int(4, max(0, limits.keyBytes))
      $0.int(5, max(0, limits.valueBytes))
      $0.uint64(6, limits.minimumFee.units)
      // Left out when 0, so that chains from before this limit keep their hash.
      if limits.stateByteFee > 0 { $0.uint64(7, limits.stateByteFee.units) }
    }
    if consensus == .proofOfWork { writer.uint64(9, UInt64(workTarget)) }
    return writer.bytes
  }

  /// The genesis hash: SHA-256 of ``encoded``.
  public func hash(crypto: any CryptoSuite) -> Hash256 { crypto.sha256(encoded) }

  /// Refuses contradictions, naming the setting to change.
  /// - Throws: ``ChainError/badGenesis(_:)``.
  public func validate() throws(ChainError) {
    guard !chainID.isEmpty, chainID.utf8.count <= 64 else { throw .badGenesis("chain id must have 1 to 64 bytes") }
    guard time.milliseconds >= 0, time.milliseconds < BlockHeader.latestTime else { throw .badGenesis("time is out of range") }
    guard blockTime >= .milliseconds(1), blockTime <= .seconds(86_400) else { throw .badGenesis("block time must be 1 ms to 1 day") }
    if consensus == .proofOfAuthority {
      guard !authorities.isEmpty else { throw .badGenesis("authorities must name at least one key") }
      guard authorities.count <= 1024 else { throw .badGenesis("authorities must name at most 1,024 keys") }
      guard Set(authorities).count == authorities.count else { throw .badGenesis("authorities names a key twice") }
    }
    if consensus == .proofOfWork, CompactTarget(bits: workTarget) == nil { throw .badGenesis("work target is out of range") }
    var supply = Amount.zero
    for amount in balances.values.sorted() {
      guard let sum = supply.adding(amount) else { throw .badGenesis("balances add up to more than 18446744073709551615") }
      supply = sum
    }
    let sizes = [limits.transactionBytes, limits.blockBytes, limits.blockTransactions, limits.keyBytes, limits.valueBytes]
    guard sizes.allSatisfy({ $0 > 0 && $0 <= 64 << 20 }) else { throw .badGenesis("every limit must be 1 to 64 Mi") }
    guard limits.blockBytes <= Limits.blockBytesMaximum else { throw .badGenesis("a block must fit a message: 8 MiB at most") }
    guard limits.blockBytes >= limits.transactionBytes + 1024 else { throw .badGenesis("a block must have room for a transaction") }
  }
}
