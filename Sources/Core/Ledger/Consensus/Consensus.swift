import Identity
import Wire

/// Who may make a block, and which of two chains counts.
///
/// An engine is a value without state of its own: it judges a header by its parent, so every path (gossip, sync, HTTP, own production)
/// is judged alike. Called from several threads.
public protocol Consensus: Sendable {
  /// How far ahead of this node's clock a block's time may lie. Not a rule of the chain: clocks differ.
  var futureTolerance: Duration { get }

  /// Whether two blocks of one producer for one slot are an offence; true unless an engine says otherwise.
  var sealsOncePerSlot: Bool { get }

  /// Checks all that a header shows without its seal: turn, slot, time. Cheap.
  func check(_ header: BlockHeader, parent: ChainHead) throws(BlockError)

  /// Checks what a header shows without seal and parent, for a block whose parent is missing: it may wait for the parent only when it passes.
  /// Cheap. Nothing by default; an engine that needs the parent for a rule leaves it to ``check(_:parent:)``.
  func checkAlone(_ header: BlockHeader) throws(BlockError)

  /// What can be said of the seal before the parent is known. Called in the worker pool for each new block, before it costs more. By default
  /// what ``hasValidSeal(_:crypto:)`` says; an engine whose sealers follow from the parent's state says ``SealVerdict/undecided``.
  func judgeSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> SealVerdict

  /// Whether the seal is good. Expensive: called in the worker pool.
  func hasValidSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> Bool

  /// The weight of the chain that ends in `header`, which is valid.
  func weight(of header: BlockHeader, parent: ChainWeight) -> ChainWeight

  /// The present or next time at which the key's owner may put a block on `parent`; `nil` when it may never.
  func opportunity(for producer: Address, after parent: ChainHead, at now: WallTime) -> ProductionOpportunity?

  /// The header with its seal; `nil` when none was found this time (work). Called in the worker pool.
  func seal(_ header: BlockHeader, key: NodeKey, crypto: any CryptoSuite) -> BlockHeader?
}

extension Consensus {
  /// True.
  public var sealsOncePerSlot: Bool { true }

  /// Nothing.
  public func checkAlone(_ header: BlockHeader) throws(BlockError) {}

  /// Good or bad, as ``hasValidSeal(_:crypto:)`` says.
  public func judgeSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> SealVerdict {
    hasValidSeal(header, crypto: crypto) ? .good : .bad
  }

  /// Whether a chain is to be preferred to `other`, which counts now: more weight. Where slots are sealed once, equal weight means twins of
  /// one slot, and the first one seen stays, so that a second seal replaces nothing; the next block decides. Otherwise the lower hash wins.
  public func isBetter(_ head: ChainHead, than other: ChainHead) -> Bool {
    head.weight != other.weight ? head.weight > other.weight : !sealsOncePerSlot && head.hash < other.hash
  }
}

/// What is to be said of a seal before the parent is known.
public enum SealVerdict: Hashable, Sendable {
  /// It is good.
  case good
  /// It is bad, whatever the parent.
  case bad
  /// The parent's state decides: the seal is checked with the block's execution.
  case undecided
}

/// A slot in which a node may make a block.
public struct ProductionOpportunity: Hashable, Sendable {
  /// The slot.
  public let slot: UInt64
  /// When to start; also the header's time.
  public let time: WallTime
  /// What goes into the header's consensus data.
  public let consensusData: [UInt8]

  /// Makes an opportunity.
  public init(slot: UInt64, time: WallTime, consensusData: [UInt8] = []) {
    self.slot = slot
    self.time = time
    self.consensusData = consensusData
  }
}

/// What a chain is worth: validated work first, then an earlier last slot. Nothing that a peer merely claims enters it.
public struct ChainWeight: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// The sum of the blocks' work; under proof of authority the number of blocks.
  public let work: UInt128
  /// The last block's slot; of chains of equal work the one that was ready earlier counts.
  public let slot: UInt64

  /// Makes a weight.
  public init(work: UInt128, slot: UInt64) {
    self.work = work
    self.slot = slot
  }

  /// Less work, or as much with a later slot.
  public static func < (left: ChainWeight, right: ChainWeight) -> Bool {
    left.work != right.work ? left.work < right.work : left.slot > right.slot
  }
  /// Work and slot, for people.
  public var description: String { "\(work)@\(slot)" }
}

/// The end of a chain.
public struct ChainHead: Hashable, Sendable {
  /// The last block's hash; the genesis hash at height 0.
  public let hash: Hash256
  /// Its height.
  public let height: UInt64
  /// Its time.
  public let time: WallTime
  /// Its slot.
  public let slot: UInt64
  /// The root of the state behind it.
  public let stateRoot: Hash256
  /// The chain's weight up to it.
  public let weight: ChainWeight

  /// Makes a head of its parts.
  public init(hash: Hash256, height: UInt64, time: WallTime, slot: UInt64, stateRoot: Hash256, weight: ChainWeight) {
    self.hash = hash
    self.height = height
    self.time = time
    self.slot = slot
    self.stateRoot = stateRoot
    self.weight = weight
  }
}
