import Identity
import Wire

/// The engine that a genesis names, for programs that learn it at run time.
public enum StandardConsensus: Consensus {
  /// Authorities take turns.
  case authority(ProofOfAuthority)
  /// Whoever finds a small enough hash.
  case work(ProofOfWork)

  /// Makes the engine of a chain whose genesis was validated.
  public init(genesis: GenesisConfiguration) {
    switch genesis.consensus {
    case .proofOfAuthority: self = .authority(ProofOfAuthority(genesis: genesis))
    case .proofOfWork: self = .work(ProofOfWork(genesis: genesis))
    }
  }

  /// The engine's.
  public var futureTolerance: Duration {
    switch self {
    case .authority(let engine): engine.futureTolerance
    case .work(let engine): engine.futureTolerance
    }
  }

  /// The engine's.
  public var sealsOncePerSlot: Bool {
    switch self {
    case .authority(let engine): engine.sealsOncePerSlot
    case .work(let engine): engine.sealsOncePerSlot
    }
  }

  /// The engine's checks.
  public func check(_ header: BlockHeader, parent: ChainHead) throws(BlockError) {
    switch self {
    case .authority(let engine): try engine.check(header, parent: parent)
    case .work(let engine): try engine.check(header, parent: parent)
    }
  }

  /// The engine's checks without a parent.
  public func checkAlone(_ header: BlockHeader) throws(BlockError) {
    switch self {
    case .authority(let engine): try engine.checkAlone(header)
    case .work(let engine): try engine.checkAlone(header)
    }
  }

  /// The engine's word on the seal.
  public func judgeSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> SealVerdict {
    switch self {
    case .authority(let engine): engine.judgeSeal(header, crypto: crypto)
    case .work(let engine): engine.judgeSeal(header, crypto: crypto)
    }
  }

  /// The engine's check of the seal.
  public func hasValidSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> Bool {
    switch self {
    case .authority(let engine): engine.hasValidSeal(header, crypto: crypto)
    case .work(let engine): engine.hasValidSeal(header, crypto: crypto)
    }
  }

  /// The engine's weight.
  public func weight(of header: BlockHeader, parent: ChainWeight) -> ChainWeight {
    switch self {
    case .authority(let engine): engine.weight(of: header, parent: parent)
    case .work(let engine): engine.weight(of: header, parent: parent)
    }
  }

  /// The engine's next opportunity.
  public func opportunity(for producer: Address, after parent: ChainHead, at now: WallTime) -> ProductionOpportunity? {
    switch self {
    case .authority(let engine): engine.opportunity(for: producer, after: parent, at: now)
    case .work(let engine): engine.opportunity(for: producer, after: parent, at: now)
    }
  }

  /// The engine's seal.
  public func seal(_ header: BlockHeader, key: NodeKey, crypto: any CryptoSuite) -> BlockHeader? {
    switch self {
    case .authority(let engine): engine.seal(header, key: key, crypto: crypto)
    case .work(let engine): engine.seal(header, key: key, crypto: crypto)
    }
  }
}
