import Identity
import Wire

/// Anybody may make a block whose hash is small enough.
///
/// The consensus data is the compact target, 4 bytes big endian; the seal is an 8-byte nonce. SHA-256 of (SHA-256 of the sealing bytes,
/// nonce) must not exceed the target. The target follows from the parent alone: the genesis target times
/// 2^((time since genesis − height × block time) / half-life), as aserti3-2d does, so it needs no window of old blocks and no peer can bend it
/// but by its own blocks' times. A block's slot is its height; its time lies behind its parent's.
///
/// *Fork choice.* Most work, then the lower hash.
public struct ProofOfWork: Consensus {
  /// How far ahead a block's time may lie; 2 s by default.
  public var futureTolerance: Duration
  /// Nonces tried in one piece of work; 200,000 by default, some tens of milliseconds, after which transactions and time are taken anew.
  public var attempts: UInt64
  private let genesisTime: WallTime
  private let blockMilliseconds: UInt64
  private let genesisTarget: CompactTarget

  /// Blocks after which a doubled or halved hash rate is made up for to one half.
  public static let halfLifeBlocks: Int128 = 72

  /// Makes the engine of a chain whose genesis was validated.
  public init(genesis: GenesisConfiguration, futureTolerance: Duration = .seconds(2), attempts: UInt64 = 200_000) {
    guard let target = CompactTarget(bits: genesis.workTarget) else {
      preconditionFailure("work target \(genesis.workTarget) is out of range")
    }
    genesisTarget = target
    genesisTime = genesis.time
    blockMilliseconds = genesis.blockTimeMilliseconds
    self.futureTolerance = futureTolerance
    self.attempts = attempts
  }

  /// Two blocks of one miner at one height are no offence.
  public var sealsOncePerSlot: Bool { false }

  /// The target of the block on `parent`.
  public func target(after parent: ChainHead) -> CompactTarget {
    let elapsed = Int128(parent.time.milliseconds) - Int128(genesisTime.milliseconds)
    let lateness = elapsed - Int128(parent.height) * Int128(blockMilliseconds)
    return genesisTarget.scaled(by: lateness * 65_536 / (ProofOfWork.halfLifeBlocks * Int128(blockMilliseconds)))
  }

  /// Slot, time and target.
  public func check(_ header: BlockHeader, parent: ChainHead) throws(BlockError) {
    guard header.slot == header.height else { throw .slotNotAfterParent(slot: header.slot, parent: parent.slot) }
    guard header.time > parent.time else { throw .wrongTime(header.time, expected: parent.time + .milliseconds(1)) }
    guard header.consensusData == ProofOfWork.data(target(after: parent)) else {
      throw .badConsensusData("not the target that the parent asks for")
    }
    guard header.seal.count == 8 else { throw .badSeal }
  }

  /// Slot, and the length of seal and target.
  public func checkAlone(_ header: BlockHeader) throws(BlockError) {
    guard header.slot == header.height else { throw .slotTooEarly(slot: header.slot, height: header.height) }
    guard ProofOfWork.target(header) != nil else { throw .badConsensusData("not a target") }
    guard header.seal.count == 8 else { throw .badSeal }
  }

  /// Whether the work was done. Two hashes.
  public func hasValidSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> Bool {
    guard let target = ProofOfWork.target(header), header.seal.count == 8 else { return false }
    return target.accepts(crypto.sha256(crypto.sha256(header.sealingBytes).bytes + header.seal))
  }

  /// The target's work more.
  public func weight(of header: BlockHeader, parent: ChainWeight) -> ChainWeight {
    let (sum, overflow) = parent.work.addingReportingOverflow(ProofOfWork.target(header)?.work ?? 0)
    return ChainWeight(work: overflow ? .max : sum, slot: header.slot)
  }

  /// At once, for anybody.
  public func opportunity(for producer: Address, after parent: ChainHead, at now: WallTime) -> ProductionOpportunity? {
    ProductionOpportunity(
      slot: parent.height + 1, time: max(now, parent.time + .milliseconds(1)), consensusData: ProofOfWork.data(target(after: parent)))
  }

  /// Tries ``attempts`` nonces; the header's time differs the next time, so they may begin at 0 again.
  public func seal(_ header: BlockHeader, key: NodeKey, crypto: any CryptoSuite) -> BlockHeader? {
    guard let target = ProofOfWork.target(header) else { return nil }
    var message = crypto.sha256(header.sealingBytes).bytes
    for nonce in 0..<attempts {
      message.removeLast(message.count - 32)
      message.appendBigEndian(nonce)
      guard target.accepts(crypto.sha256(message.rawSpan)) else { continue }
      var sealed = header
      sealed.seal = Array(message[32...])
      return sealed
    }
    return nil
  }

  private static func data(_ target: CompactTarget) -> [UInt8] {
    var data: [UInt8] = []
    data.appendBigEndian(target.bits)
    return data
  }

  private static func target(_ header: BlockHeader) -> CompactTarget? {
    guard header.consensusData.count == 4 else { return nil }
    return CompactTarget(bits: header.consensusData.reduce(0) { $0 << 8 | UInt32($1) })
  }
}
