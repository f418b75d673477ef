import Identity
import Wire

/// Two different blocks of one authority for one slot: an offence that anybody can check.
public struct DoubleSeal: Hashable, Sendable {
  /// The block seen first.
  public let first: BlockHeader
  /// The other one.
  public let second: BlockHeader

  /// Makes evidence of two headers; `nil` unless they differ in more than nothing and share chain, producer and slot.
  public init?(_ first: BlockHeader, _ second: BlockHeader) {
    guard first.chain == second.chain, first.producer == second.producer, first.slot == second.slot, first != second else { return nil }
    self.first = first
    self.second = second
  }

  /// Whether both seals are good. Two Ed25519 verifications.
  public func isValid(by consensus: some Consensus, crypto: any CryptoSuite) -> Bool {
    consensus.hasValidSeal(first, crypto: crypto) && consensus.hasValidSeal(second, crypto: crypto)
  }
}
