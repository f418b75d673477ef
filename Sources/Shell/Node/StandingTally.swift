import Sync
import Threads
import Wire

/// Keeps a node that catches up from writing a line for each block: what kind of state it is in is news, and how far it is only now and again.
final class StandingTally: @unchecked Sendable {
  private let lock = Lock()
  private var kind: String?
  private var told = Instant.zero

  /// Notes a state. Returns whether it is worth a line.
  func note(_ state: SyncState, _ now: Instant) -> Bool {
    lock.withLock {
      guard state.kind != kind || now - told >= Self.interval else { return false }
      kind = state.kind
      told = now
      return true
    }
  }

  private static let interval = Duration.seconds(10)
}

extension SyncState {
  fileprivate var kind: String {
    switch self {
    case .searching: "searching"
    case .standalone: "standalone"
    case .syncing: "syncing"
    case .synced: "synced"
    }
  }

  /// In words.
  var words: String {
    if case .syncing(let target) = self { "syncing to height \(target)" } else { kind }
  }
}
