import Discovery
import HostCore
import Identity

/// Somebody who waits for a look-up. The core thread's.
final class LookUpWaiter: @unchecked Sendable {
  /// Told what is found while the look-up goes on.
  private let progress: @Sendable (Kademlia.Progress) -> Void
  private var continuation: CheckedContinuation<Kademlia.Outcome, any Error>?

  init(_ continuation: CheckedContinuation<Kademlia.Outcome, any Error>, _ progress: @escaping @Sendable (Kademlia.Progress) -> Void) {
    self.continuation = continuation
    self.progress = progress
  }

  func found(_ found: Kademlia.Progress) { progress(found) }

  func finish(_ result: Result<Kademlia.Outcome, any Error>) {
    continuation?.resume(with: result)
    continuation = nil
  }
}

extension HostEngine {
  /// Runs a look-up to its end; a task that is cancelled gives it up.
  func lookUp(
    _ query: Kademlia.Query, progress: @escaping @Sendable (Kademlia.Progress) -> Void = { _ in }
  ) async throws -> Kademlia.Outcome {
    if configuration.core.kademlia == nil { throw HostError(.kademliaDisabled, "the configuration's `kademlia` is nil") }
    try requireStart()
    let id = LookUpID(rawValue: nextNumber())
    let outcome: Kademlia.Outcome = try await wait { [self] continuation, machine, now, outputs in
      lookUps[id] = LookUpWaiter(continuation, progress)
      machine.handle(.command(.lookUp(id, query)), now: now, into: &outputs)
    } onCancel: { machine, now, outputs in
      machine.handle(.command(.cancelLookUp(id)), now: now, into: &outputs)
    }
    guard case .failure(let failure) = outcome else { return outcome }
    if failure == .cancelled { try Task.checkCancellation() }
    throw HostError(failure)
  }
}
