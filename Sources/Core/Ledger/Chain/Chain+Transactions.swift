import Identity
import Wire

/// Received transactions up to the mempool.
extension Chain {
  mutating func receiveTransaction(_ bytes: [UInt8], _ source: ItemSource, _ token: ValidationToken, _ outputs: inout [Output]) {
    if let verdict = classify(bytes, source, token) { outputs.append(.transactionVerdict(token, verdict)) }
  }

  /// Makes the cheap checks and queues the transaction; `nil` when the verdict comes later.
  private mutating func classify(_ bytes: [UInt8], _ source: ItemSource, _ token: ValidationToken) -> TransactionVerdict? {
    guard bytes.count <= ledger.limits.transactionBytes else {
      return .invalid(.tooLarge(bytes: bytes.count, limit: ledger.limits.transactionBytes))
    }
    let info: TransactionInfo
    do throws(LedgerError) { info = try ledger.inspect(bytes, crypto: crypto) } catch { return .invalid(error) }
    if let error = invalidTransactions[info.id] { return .invalid(error) }
    if pool[info.id] != nil {
      // Known is a promise like accepted: while the first copy is on its way to the store, the answer waits for it.
      if underWay == nil && gathered.isEmpty { return .known(info.id) }
      gathered.followers.append(.transactionVerdict(token, .known(info.id)))
      return nil
    }
    if verifyingIDs.contains(info.id) {
      guard copies[info.id, default: []].count < configuration.copiesWaiting else { return .refused(.busy) }
      copies[info.id, default: []].append(token)
      return nil
    }
    if let verdict = checkState(info) { return verdict }
    // What users send has room of its own, and no peer takes all that there is for peers.
    let ofSource = unverifiedBySource[source.peer, default: 0]
    guard ofSource < (source.peer == nil ? configuration.queuedTransactions : configuration.queuedTransactionsOfPeer),
      source.peer == nil || unverified.count - unverifiedBySource[nil, default: 0] < configuration.queuedTransactions
    else { return .refused(.busy) }
    unverifiedBySource[source.peer] = ofSource + 1
    verifyingIDs.insert(info.id)
    unverified.append(Verifying(info: info, source: source, token: token))
    return nil
  }

  /// What the state and the mempool say against a transaction.
  private func checkState(_ info: TransactionInfo) -> TransactionVerdict? {
    do throws(LedgerError) {
      try ledger.admit(info, on: tipNode.state, crypto: crypto)
    } catch {
      if case .staleNonce = error, (try? store.get(ChainTable.transactions, info.id.bytes)) != nil { return .known(info.id) }
      return .refused(.ledger(error))
    }
    do throws(MempoolError) {
      try pool.check(
        info, nextNonce: ledger.nextNonce(of: info.sender, in: tipNode.state, crypto: crypto),
        spendable: ledger.spendable(by: info.sender, in: tipNode.state, crypto: crypto))
    } catch {
      return error == .known ? .known(info.id) : .refused(.pool(error))
    }
    return nil
  }

  /// The verdict for the copy that was verified, and for those that came meanwhile.
  private mutating func verdicts(_ entry: Verifying, _ verdict: TransactionVerdict) -> [Output] {
    let id = entry.info.id
    let others: TransactionVerdict = if case .accepted = verdict { .known(id) } else { verdict }
    return [.transactionVerdict(entry.token, verdict)]
      + (copies.removeValue(forKey: id) ?? []).map { .transactionVerdict($0, others) }
  }

  mutating func startVerification(_ outputs: inout [Output]) {
    while !unverified.isEmpty, verifications.count < configuration.verificationsInFlight {
      let batch = Array(unverified.prefix(configuration.verificationBatch))
      unverified.removeFirst(batch.count)
      for entry in batch { countUnverified(entry, -1) }
      let work = nextWorkID()
      verifications[work] = batch
      outputs.append(.work(work, .verifyTransactions(batch.map(\.info), ledger)))
    }
  }

  /// Counts a transaction that waits for verification, or does no more.
  mutating func countUnverified(_ entry: Verifying, _ change: Int) {
    let count = unverifiedBySource[entry.source.peer, default: 0] + change
    unverifiedBySource[entry.source.peer] = count == 0 ? nil : count
  }

  mutating func verifiedTransactions(_ id: WorkID, _ results: [Bool], _ now: Instant, _ outputs: inout [Output]) {
    guard let batch = verifications[id], batch.count == results.count else { return }
    verifications[id] = nil
    for (entry, isGood) in zip(batch, results) {
      let info = entry.info
      verifyingIDs.remove(info.id)
      guard isGood else {
        invalidTransactions.insert(info.id, .badSignature)
        outputs += verdicts(entry, .invalid(.badSignature))
        continue
      }
      verified.insert(info.id, true)
      // The state may have moved on while the signature was verified.
      if let verdict = checkState(info) {
        outputs += verdicts(entry, verdict)
        continue
      }
      do throws(MempoolError) {
        let next = ledger.nextNonce(of: info.sender, in: tipNode.state, crypto: crypto)
        let spendable = ledger.spendable(by: info.sender, in: tipNode.state, crypto: crypto)
        drop(try pool.insert(info, nextNonce: next, spendable: spendable, now: now), .displaced, &outputs)
      } catch {
        outputs += verdicts(entry, .refused(.pool(error)))
        continue
      }
      gathered.batch.put(ChainTable.pool, info.id.bytes, info.bytes)
      gathered.followers += verdicts(entry, .accepted(info.id))
      gathered.followers.append(.relayTransaction(info.id, bytes: info.bytes, source: entry.source))
    }
  }
}
