import Identity
import Wire

/// Writing: one batch under way, the next one gathering behind it.
extension Chain {
  /// Hands the gathered writes to the store when it is free.
  mutating func flush(_ now: Instant, _ outputs: inout [Output]) {
    if let underWay {
      if let at = retryAt, at <= now {
        retryAt = nil
        outputs.append(.store(underWay.id, underWay.commit.batch))
      }
      return
    }
    guard !gathered.isEmpty else { return }
    lastNumber += 1
    let id = CommitID(rawValue: lastNumber)
    underWay = (id, gathered)
    outputs.append(.store(id, gathered.batch))
    gathered = Commit()
  }

  mutating func committed(_ id: CommitID, _ outputs: inout [Output]) {
    guard let (current, commit) = underWay, current == id else { return }
    underWay = nil
    isRefused = false
    storeFault = nil
    retryAt = nil
    retryDelay = .seconds(1)
    for follower in commit.followers {
      if case .newHead(let head, _) = follower { self.head = head }
      outputs.append(follower)
    }
  }

  /// Hands the batch out again soon: nothing is wrong with the store.
  mutating func commitRefused(_ id: CommitID, _ now: Instant, _ outputs: inout [Output]) {
    guard underWay?.id == id else { return }
    retryAt = now + configuration.refusalRetry
    noteRefusal(&outputs)
  }

  /// Keeps the batch and tries again later, up to every 30 s: nothing is said to be durable meanwhile, and execution stops at
  /// its bound.
  mutating func commitFailed(_ id: CommitID, _ error: StoreError, _ now: Instant, _ outputs: inout [Output]) {
    guard let (current, _) = underWay, current == id else { return }
    retryAt = now + retryDelay
    storeFault = error
    outputs.append(.event(.storeFailed(error, retryIn: retryDelay)))
    retryDelay = min(retryDelay * 2, .seconds(30))
  }
}
