import Identity
import Wire

extension Chain {
  /// Something expensive and pure: run it anywhere, in any order, and report the result.
  public enum Work: Sendable {
    /// Checks the seals of headers.
    case checkSeals([BlockHeader], C)
    /// Verifies and executes one block.
    case verifyBlock(BlockWork)
    /// Verifies the signatures of pending transactions.
    case verifyTransactions([TransactionInfo], L)
    /// Executes candidates and seals a block of those that are good.
    case build(BuildWork)

    /// Does it.
    @_specialize(where L == AccountLedger, C == ProofOfAuthority)
    public func run(crypto: any CryptoSuite) -> WorkResult {
      switch self {
      case .checkSeals(let headers, let consensus): .seals(headers.map { consensus.judgeSeal($0, crypto: crypto) })
      case .verifyBlock(let work): .block(work.run(crypto: crypto))
      case .verifyTransactions(let transactions, let ledger):
        .transactions(transactions.map { ledger.hasValidSignature($0, crypto: crypto) })
      case .build(let work): work.run(crypto: crypto)
      }
    }
  }

  /// What work gave.
  public enum WorkResult: Sendable {
    /// What is to be said of each seal.
    case seals([SealVerdict])
    /// A block's execution, or why it is invalid.
    case block(Result<VerifiedBlock, BlockError>)
    /// Whether each signature is good.
    case transactions([Bool])
    /// A sealed block, or `nil` when no seal was found; and the candidates that could not be executed.
    case built(Block?, skipped: [Hash256])
  }

  /// A block that keeps all rules.
  public struct VerifiedBlock: Sendable {
    let transactions: [TransactionInfo]
    let execution: Execution<L.State>
  }

  /// A block to verify: seal unless that was done, transactions, execution, state root.
  public struct BlockWork: Sendable {
    let block: Block
    let isSealed: Bool
    let parentState: L.State
    /// Ids of its transactions whose signature is known to be good.
    let verified: Set<Hash256>
    let ledger: L
    let consensus: C

    func run(crypto: any CryptoSuite) -> Result<VerifiedBlock, BlockError> {
      do throws(BlockError) { return .success(try verify(crypto)) } catch { return .failure(error) }
    }

    private func verify(_ crypto: any CryptoSuite) throws(BlockError) -> VerifiedBlock {
      let header = block.header
      guard isSealed || consensus.hasValidSeal(header, crypto: crypto) else { throw .badSeal }
      var transactions: [TransactionInfo] = []
      transactions.reserveCapacity(block.transactions.count)
      for (index, bytes) in block.transactions.enumerated() {
        do throws(LedgerError) {
          let info = try ledger.inspect(bytes, crypto: crypto)
          guard verified.contains(info.id) || ledger.hasValidSignature(info, crypto: crypto) else { throw .badSignature }
          transactions.append(info)
        } catch {
          throw .badTransaction(index: index, error)
        }
      }
      let context = BlockContext(height: header.height, time: header.time, producer: header.producer)
      let execution: Execution<L.State>
      do throws(TransactionFailure) {
        execution = try ledger.execute(transactions, on: parentState, context: context, skippingInvalid: false, crypto: crypto)
      } catch {
        throw .badTransaction(index: error.index, error.error)
      }
      let root = ledger.root(of: execution.state)
      guard root == header.stateRoot else { throw .wrongStateRoot(header.stateRoot, expected: root) }
      return VerifiedBlock(transactions: transactions, execution: execution)
    }
  }

  /// A block to build.
  public struct BuildWork: Sendable {
    let parent: ChainHead
    let parentState: L.State
    let candidates: [TransactionInfo]
    let opportunity: ProductionOpportunity
    let chain: Hash256
    let key: NodeKey
    let producer: Address
    let ledger: L
    let consensus: C

    func run(crypto: any CryptoSuite) -> WorkResult {
      let context = BlockContext(height: parent.height + 1, time: opportunity.time, producer: producer)
      let execution: Execution<L.State>
      do throws(TransactionFailure) {
        execution = try ledger.execute(candidates, on: parentState, context: context, skippingInvalid: true, crypto: crypto)
      } catch {
        return .built(nil, skipped: [candidates[min(error.index, candidates.count - 1)].id])
      }
      let included = execution.included.map { candidates[$0] }
      let header = BlockHeader(
        chain: chain, parent: parent.hash, height: parent.height + 1, time: opportunity.time,
        transactionRoot: MerkleTree.root(of: included.map(\.id), crypto: crypto), stateRoot: ledger.root(of: execution.state),
        producer: producer,
        slot: opportunity.slot, consensusData: opportunity.consensusData)
      let chosen = Set(execution.included)
      let skipped = candidates.indices.filter { !chosen.contains($0) }.map { candidates[$0].id }
      guard let sealed = consensus.seal(header, key: key, crypto: crypto) else { return .built(nil, skipped: skipped) }
      return .built(Block(header: sealed, transactions: included.map(\.bytes)), skipped: skipped)
    }
  }
}

// MARK: Handing work out

extension Chain {
  /// Starts what can be started, unless the pool has just refused work.
  mutating func handOutWork(_ now: Instant, _ outputs: inout [Output]) {
    if let workAt, workAt > now {
      productionAt = nil
      return
    }
    workAt = nil
    startSealing(&outputs)
    startExecution(&outputs)
    startVerification(&outputs)
    produce(now, &outputs)
  }

  /// Takes a piece of work back, to hand it out again a little later. Nothing that waits for it is lost.
  mutating func workRefused(_ id: WorkID, _ now: Instant, _ outputs: inout [Output]) {
    if let (work, hash) = executing, work == id {
      executing = nil
      if waiting[hash] != nil {
        waiting.move(hash, to: .ready)
        ready.insert(hash, at: 0)
      }
    } else if let (work, hashes) = sealing, work == id {
      sealing = nil
      unsealed.insert(contentsOf: hashes, at: 0)
    } else if let batch = verifications.removeValue(forKey: id) {
      unverified.insert(contentsOf: batch, at: 0)
      for entry in batch { countUnverified(entry, 1) }
    } else if building?.work == id {
      // The slot is still this node's: it was not sealed.
      building = nil
    } else {
      return
    }
    workAt = now + configuration.refusalRetry
    noteRefusal(&outputs)
  }

  /// Says it once, until something is done again.
  mutating func noteRefusal(_ outputs: inout [Output]) {
    if !isRefused { outputs.append(.event(.workRefused(retryIn: configuration.refusalRetry))) }
    isRefused = true
  }
}
