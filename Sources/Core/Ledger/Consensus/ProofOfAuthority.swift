import Identity
import Wire

/// Authorities that take turns by the clock.
///
/// Time since the genesis is cut into slots of one block time. Slot *s* belongs to authority *s* mod *n*; its block has the slot's
/// beginning as its time. Slots grow from parent to child but need not be consecutive: when an authority is down its slots stay
/// empty and the next authority's slot simply comes, so takeover needs no votes and no timeouts to agree on.
///
/// *Fork choice.* The chain with most validated blocks wins. Each block needs a slot of its own and an authority's seal, so more
/// blocks mean more slots in which an authority agreed; an outnumbered half of a split network cannot outgrow the other. Between equals
/// the one whose last slot is earlier wins. What is still equal are two blocks of one authority for one slot: each node keeps the one that it
/// saw first, so that a second seal replaces nothing, and all agree with the next block.
public struct ProofOfAuthority: Consensus {
  /// The producers in the order of their turns; not empty.
  public let authorities: [Address]
  /// When slot 0 began.
  public let genesisTime: WallTime
  /// The length of a slot.
  public let slotMilliseconds: UInt64
  /// How far ahead a block's time may lie; 500 ms by default, which covers clocks that NTP keeps.
  public var futureTolerance: Duration

  /// Makes the engine of a chain whose genesis was validated.
  public init(genesis: GenesisConfiguration, futureTolerance: Duration = .milliseconds(500)) {
    precondition(!genesis.authorities.isEmpty, "proof of authority needs an authority")
    authorities = genesis.authorities
    genesisTime = genesis.time
    slotMilliseconds = genesis.blockTimeMilliseconds
    self.futureTolerance = futureTolerance
  }

  /// The slot that contains `time`; `nil` before the genesis.
  public func slot(at time: WallTime) -> UInt64? {
    let elapsed = time.milliseconds.subtractingReportingOverflow(genesisTime.milliseconds)
    guard !elapsed.overflow, elapsed.partialValue >= 0 else { return nil }
    return UInt64(elapsed.partialValue) / slotMilliseconds
  }

  /// When a slot begins; `nil` beyond the range of time.
  public func time(of slot: UInt64) -> WallTime? {
    let (offset, overflow) = slot.multipliedReportingOverflow(by: slotMilliseconds)
    guard !overflow, let offset = Int64(exactly: offset) else { return nil }
    let (time, overflow2) = genesisTime.milliseconds.addingReportingOverflow(offset)
    return overflow2 || time >= BlockHeader.latestTime ? nil : WallTime(milliseconds: time)
  }

  /// Whose slot it is.
  public func owner(of slot: UInt64) -> Address { authorities[Int(slot % UInt64(authorities.count))] }

  /// Slot behind the parent's, the slot's time, no consensus data, the slot's owner as producer.
  public func check(_ header: BlockHeader, parent: ChainHead) throws(BlockError) {
    guard header.slot > parent.slot else { throw .slotNotAfterParent(slot: header.slot, parent: parent.slot) }
    try checkSlot(header)
  }

  /// A slot for each block below, the slot's time, no consensus data, the slot's owner as producer.
  public func checkAlone(_ header: BlockHeader) throws(BlockError) {
    guard header.slot >= header.height else { throw .slotTooEarly(slot: header.slot, height: header.height) }
    try checkSlot(header)
  }

  private func checkSlot(_ header: BlockHeader) throws(BlockError) {
    guard let time = time(of: header.slot) else { throw .malformed("slot \(header.slot) is out of range") }
    guard header.time == time else { throw .wrongTime(header.time, expected: time) }
    guard header.consensusData.isEmpty else { throw .badConsensusData("\(header.consensusData.count) bytes where none belong") }
    let owner = owner(of: header.slot)
    if header.producer != owner {
      guard authorities.contains(header.producer) else { throw .unknownProducer(header.producer) }
      throw .wrongTurn(slot: header.slot, producer: header.producer, expected: owner)
    }
  }

  /// Whether the seal is the producer's Ed25519 signature. One verification.
  public func hasValidSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> Bool {
    header.seal.count == 64 && crypto.verify(header.seal.rawSpan, of: header.sealingBytes.rawSpan, by: header.producer.publicKey)
  }

  /// One more block; the header's slot.
  public func weight(of header: BlockHeader, parent: ChainWeight) -> ChainWeight {
    ChainWeight(work: parent.work &+ 1, slot: header.slot)
  }

  /// The key's next slot behind the parent's, the present one included; `nil` for a key that is no authority.
  public func opportunity(for producer: Address, after parent: ChainHead, at now: WallTime) -> ProductionOpportunity? {
    guard let turn = authorities.firstIndex(of: producer) else { return nil }
    let count = UInt64(authorities.count)
    let first = max(slot(at: now) ?? 0, parent.slot &+ 1)
    let slot = first &+ (UInt64(turn) &+ count &- first % count) % count
    guard slot >= first, let time = time(of: slot) else { return nil }
    return ProductionOpportunity(slot: slot, time: time)
  }

  /// Signs the header; never `nil`.
  public func seal(_ header: BlockHeader, key: NodeKey, crypto: any CryptoSuite) -> BlockHeader? {
    var header = header
    header.seal = key.sign(header.sealingBytes, crypto: crypto)
    return header
  }
}
