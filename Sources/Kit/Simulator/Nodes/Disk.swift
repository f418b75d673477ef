import Ledger
import Store
import Wire

/// A node's store with what is on its way to it, so that a crash can take that away.
///
/// A batch of the chain is under way until the machine says that it is durable. Rows of the peer book are written behind its back: they are
/// safe with the next batch of the chain, and kept as long as the disk fails. A crash leaves the batch under way whole or not at all, as an
/// atomic engine does, and the book's rows up to some point.
struct Disk {
  /// What is durable.
  let store = MemoryStore()
  /// The batch that the store is writing.
  private(set) var writing: (id: CommitID, batch: WriteBatch)?
  /// Changes to the book that are not durable.
  private(set) var unsynced: [WriteBatch] = []
  /// The newest row for each key of what came while the disk failed and found no room among ``unsynced``.
  private var owed: [Row: [UInt8]?] = [:]

  private struct Row: Hashable {
    let table: StoreTable
    let key: [UInt8]
  }
  /// The machine fails to write while this is set.
  var isFailing = false

  /// The most batches of the book that wait; the oldest is written to make room.
  private static let unsyncedMaximum = 64

  /// Begins to write a batch of the chain.
  mutating func begin(_ id: CommitID, _ batch: WriteBatch) {
    precondition(writing == nil, "two batches are under way")
    writing = (id, batch)
  }

  /// The batch under way is durable, or has failed. `nil` when none is under way.
  mutating func finish(_ shared: inout SharedValues) -> (id: CommitID, error: StoreError?)? {
    guard let (id, batch) = writing else { return nil }
    writing = nil
    if isFailing { return (id, StoreError("the disk is full")) }
    do throws(StoreError) { try store.commit(shared.share(batch)) } catch { return (id, error) }
    sync()
    return (id, nil)
  }

  /// Changes the book some time soon.
  mutating func write(book batch: WriteBatch) {
    if !isFailing { payOwed() }
    unsynced.append(batch)
    guard unsynced.count > Disk.unsyncedMaximum else { return }
    let oldest = unsynced.removeFirst()
    guard isFailing else {
      try? store.commit(oldest)
      return
    }
    for operation in oldest.operations { owed[Row(table: operation.table, key: operation.key)] = .some(operation.value) }
  }

  /// Makes all of the book durable.
  mutating func sync() {
    guard !isFailing else { return }
    payOwed()
    for batch in unsynced { try? store.commit(batch) }
    unsynced = []
  }

  private mutating func payOwed() {
    guard !owed.isEmpty else { return }
    var batch = WriteBatch()
    for (row, value) in owed { if let value { batch.put(row.table, row.key, value) } else { batch.remove(row.table, row.key) } }
    try? store.commit(batch)
    owed = [:]
  }

  /// The machine or the process is gone.
  mutating func crash(_ generator: inout SeededGenerator, _ shared: inout SharedValues) {
    if let (_, batch) = writing, !isFailing, generator.unit() < 0.5 { try? store.commit(shared.share(batch)) }
    writing = nil
    let written = generator.index(below: unsynced.count + 1)
    if !isFailing {
      payOwed()
      for batch in unsynced.prefix(written) { try? store.commit(batch) }
    }
    owed = [:]
    unsynced = []
  }
}

/// Large values that many nodes store, kept once: all stores of a simulation hold the same blocks.
struct SharedValues {
  private struct Key: Hashable {
    let low: UInt64
    let high: UInt64
  }

  private var values: [Key: [UInt8]] = [:]
  /// Smaller values are not worth a look.
  private static let bytesMinimum = 256
  /// The most values that are kept; further ones are each node's own.
  private static let maximum = 1 << 20

  /// The same batch, with large values that are known already in their one copy.
  mutating func share(_ batch: WriteBatch) -> WriteBatch {
    guard batch.operations.contains(where: { $0.value?.count ?? 0 >= SharedValues.bytesMinimum }) else { return batch }
    var result = WriteBatch()
    for operation in batch.operations {
      guard let value = operation.value else {
        result.remove(operation.table, operation.key)
        continue
      }
      result.put(operation.table, operation.key, value.count < SharedValues.bytesMinimum ? value : share(value))
    }
    return result
  }

  private mutating func share(_ value: [UInt8]) -> [UInt8] {
    var mixer = Mixer(seed: 0x7368_6172_6500)
    mixer.add(value)
    let words = mixer.words
    let key = Key(low: words.0, high: words.1)
    if let known = values[key] { return known }
    if values.count < SharedValues.maximum { values[key] = value }
    return value
  }
}
