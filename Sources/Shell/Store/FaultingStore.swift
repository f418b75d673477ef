import Threads
import Wire

/// A store in memory that crashes on command: the twin with which loss of unsynced writes and engine errors are tested.
///
/// Commits are visible at once. Under ``Durability/deferred`` they are kept aside as unsynced until ``sync()``, and a
/// ``crash(_:)`` decides how many of them survive, always in commit order. Safe for use from any thread.
public final class FaultingStore: KeyValueStore {
  /// When a commit counts as durable.
  public enum Durability: Hashable, Sendable {
    /// On return, as the engine promises.
    case immediate
    /// At the next ``FaultingStore/sync()``: a disk that lies about its cache.
    case deferred
  }

  /// What a crash does to the unsynced commits.
  public enum Loss: Hashable, Sendable {
    /// None survives.
    case all
    /// The first so many survive, whole.
    case keeping(Int)
    /// A number drawn from the seed survives, whole: what an atomic engine may leave.
    case seeded(UInt64)
    /// As ``seeded(_:)``, and the first lost one leaves a drawn prefix of its operations: what an engine that isn't
    /// atomic would leave. A reader must notice it by its own means.
    case torn(UInt64)
  }

  /// Counts since the store was made.
  public struct Statistics: Hashable, Sendable {
    /// Commits that succeeded.
    public var commits = 0
    /// Commits and reads that failed by injection.
    public var failures = 0
    /// Crashes so far.
    public var crashes = 0
    /// Commits that crashes took away.
    public var lostCommits = 0
  }

  private struct State: Sendable {
    var durable = Tables()
    var visible = Tables()
    var unsynced: [WriteBatch] = []
    var commitErrors: [StoreError] = []
    var allCommitsFail: StoreError?
    var readErrors: [StoreError] = []
    var statistics = Statistics()
  }

  private let durability: Durability
  private let unsyncedMaximum: Int
  private let lock = Lock()
  private nonisolated(unsafe) var state = State()

  /// Makes an empty store.
  ///
  /// - Parameter unsyncedMaximum: how many commits may be unsynced before the oldest is synced by itself (default 4,096).
  public init(durability: Durability = .deferred, unsyncedMaximum: Int = 4_096) {
    self.durability = durability
    self.unsyncedMaximum = max(1, unsyncedMaximum)
  }

  /// How many commits a crash could take now.
  public var unsyncedCount: Int { lock.withLock { state.unsynced.count } }

  /// What happened so far.
  public var statistics: Statistics { lock.withLock { state.statistics } }

  /// Makes every commit so far durable.
  public func sync() {
    lock.withLock {
      state.durable = state.visible
      state.unsynced.removeAll(keepingCapacity: true)
    }
  }

  /// Loses unsynced commits; what stays is durable. Injected errors that were not used yet are dropped.
  ///
  /// - Returns: how many commits survived whole out of those that were unsynced.
  @discardableResult public func crash(_ loss: Loss) -> Int {
    lock.withLock {
      let count = state.unsynced.count
      var kept = 0
      var torn: ArraySlice<WriteBatch.Operation> = []
      switch loss {
      case .all: kept = 0
      case .keeping(let number): kept = min(max(0, number), count)
      case .seeded(let seed):
        var generator = SeededGenerator(seed: seed)
        kept = generator.index(below: count + 1)
      case .torn(let seed):
        var generator = SeededGenerator(seed: seed)
        kept = generator.index(below: count + 1)
        if kept < count {
          let operations = state.unsynced[kept].operations
          torn = operations.prefix(generator.index(below: operations.count))
        }
      }
      for batch in state.unsynced.prefix(kept) {
        for operation in batch.operations { state.durable.apply(operation) }
      }
      for operation in torn { state.durable.apply(operation) }
      state.visible = state.durable
      state.unsynced = []
      state.commitErrors = []
      state.allCommitsFail = nil
      state.readErrors = []
      state.statistics.crashes += 1
      state.statistics.lostCommits += count - kept
      return kept
    }
  }

  /// Makes the next `count` commits fail with `error`; nothing of them is written.
  public func failCommits(_ count: Int = 1, with error: StoreError = StoreError("the disk is full")) {
    lock.withLock { state.commitErrors += Array(repeating: error, count: max(0, count)) }
  }

  /// Makes every commit fail with `error` until ``heal()``; nothing of them is written.
  public func failAllCommits(with error: StoreError = StoreError("the disk is full")) { lock.withLock { state.allCommitsFail = error } }

  /// Takes back every failure that was asked for.
  public func heal() {
    lock.withLock {
      state.allCommitsFail = nil
      state.commitErrors = []
      state.readErrors = []
    }
  }

  /// Makes the next `count` reads fail with `error`.
  public func failReads(_ count: Int = 1, with error: StoreError = StoreError("the disk cannot be read")) {
    lock.withLock { state.readErrors += Array(repeating: error, count: max(0, count)) }
  }

  /// The visible value of a key, or `nil`; O(log n).
  public func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
    try StoreLimits.check(table: table)
    try StoreLimits.check(key: key)
    return try lock.withLock { () throws(StoreError) in
      try takeReadError()
      return state.visible.maps[table]?[key]
    }
  }

  /// Visible entries from `start` on, in byte order.
  public func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try StoreLimits.check(table: table)
    return try lock.withLock { () throws(StoreError) in
      try takeReadError()
      return state.visible.maps[table]?.scan(from: start, limit: limit) ?? []
    }
  }

  /// Makes the batch visible at once; durable as the store's durability says.
  public func commit(_ batch: WriteBatch) throws(StoreError) {
    try StoreLimits.check(batch)
    try lock.withLock { () throws(StoreError) in
      if let error = state.allCommitsFail {
        state.statistics.failures += 1
        throw error
      }
      if !state.commitErrors.isEmpty {
        state.statistics.failures += 1
        throw state.commitErrors.removeFirst()
      }
      for operation in batch.operations { state.visible.apply(operation) }
      state.statistics.commits += 1
      switch durability {
      case .immediate:
        for operation in batch.operations { state.durable.apply(operation) }
      case .deferred:
        state.unsynced.append(batch)
        if state.unsynced.count > unsyncedMaximum {
          for operation in state.unsynced.removeFirst().operations { state.durable.apply(operation) }
        }
      }
    }
  }

  private func takeReadError() throws(StoreError) {
    guard !state.readErrors.isEmpty else { return }
    state.statistics.failures += 1
    throw state.readErrors.removeFirst()
  }
}
