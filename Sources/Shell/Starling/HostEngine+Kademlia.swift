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

/// Tells a look-up that has not begun yet that nobody wants it any more. The core thread's.
private final class LookUpTicket: @unchecked Sendable {
  var isCancelled = false
}

extension HostEngine {
  /// Runs a look-up to its end; a task that is cancelled gives it up.
  func lookUp(
    _ query: Kademlia.Query, progress: @escaping @Sendable (Kademlia.Progress) -> Void = { _ in }
  ) async throws -> Kademlia.Outcome {
    if configuration.core.kademlia == nil { throw HostError(.kademliaDisabled, "the configuration's `kademlia` is nil") }
    try requireStart()
    let id = LookUpID(rawValue: nextNumber())
    let ticket = LookUpTicket()
    let outcome: Kademlia.Outcome = try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isAccepted = core.execute { [self] machine, now, outputs in
          if isClosing { return continuation.resume(throwing: Self.closedError) }
          if ticket.isCancelled { return continuation.resume(throwing: CancellationError()) }
          lookUps[id] = LookUpWaiter(continuation, progress)
          machine.handle(.command(.lookUp(id, query)), now: now, into: &outputs)
        }
        if !isAccepted { continuation.resume(throwing: Self.closedError) }
      }
    } onCancel: {
      core.execute { machine, now, outputs in
        ticket.isCancelled = true
        machine.handle(.command(.cancelLookUp(id)), now: now, into: &outputs)
      }
    }
    guard case .failure(let failure) = outcome else { return outcome }
    if failure == .cancelled { try Task.checkCancellation() }
    throw HostError(failure)
  }
}
