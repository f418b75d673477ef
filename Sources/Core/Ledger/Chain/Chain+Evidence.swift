import Identity
import Wire

/// What headers prove that are not on this chain and need not come to be.
extension Chain {
  /// What a header turned out to be.
  public enum HeaderVerdict: Hashable, Sendable {
    /// Somebody who may seal has sealed it, by the rules that a header and its parent's show.
    case sealed
    /// Its time is ahead of this node's clock; either may be wrong.
    case ahead
    /// It is against the rules.
    case broken(BlockError)
  }

  /// Judges a header by its parent's alone: chain, height, consensus rules, seal.
  ///
  /// It proves that the key which seals there sealed this, and so that a chain of this height exists or that an authority makes one up. It does
  /// not prove that the blocks below or the transactions inside are valid. One signature.
  ///
  /// - Parameter parent: `nil` for the genesis, which began at `genesisTime`.
  public func judge(_ header: BlockHeader, on parent: BlockHeader?, genesisTime: WallTime, now: Instant) -> HeaderVerdict {
    let below = ChainHead(
      hash: parent?.hash(crypto: crypto) ?? genesis, height: parent?.height ?? 0, time: parent?.time ?? genesisTime,
      slot: parent?.slot ?? 0,
      stateRoot: parent?.stateRoot ?? .zero, weight: ChainWeight(work: 0, slot: parent?.slot ?? 0))
    do throws(BlockError) {
      guard header.version == 1 else { throw .wrongVersion(header.version) }
      guard header.chain == genesis, parent.map({ $0.chain == genesis }) ?? true else { throw .wrongChain }
      guard header.parent == below.hash else { throw .malformed("it does not stand on the block before it") }
      guard header.height == below.height + 1 else { throw .wrongHeight(header.height, expected: below.height + 1) }
      guard header.time - clock.time(at: now) <= consensus.futureTolerance else { return .ahead }
      try consensus.checkAlone(header)
      try consensus.check(header, parent: below)
      guard consensus.hasValidSeal(header, crypto: crypto) else { throw .badSeal }
    } catch {
      return .broken(error)
    }
    return .sealed
  }

  /// Whether a block is on this chain, or was found valid beside it; one that merely waits is not.
  public func isOwn(_ hash: Hash256) -> Bool { nodes[hash] != nil || ((try? height(of: hash)) ?? nil) != nil }
}
