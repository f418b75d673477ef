import Foundation
import Identity
import NodeCore
import Testing
import Threads
import Wire

@testable import Node

/// A node whose pools, or whose core's queue, are full.
@Suite(.serialized) struct RefusalTests {
  /// Half of all work and of all batches for the store is refused: blocks go on all the same, and every transaction is answered and
  /// confirmed.
  @Test(.ownThread) func refusedJobsAreDoneLater() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let dice = Dice(seed: 7)
    let node = try network.start(network.configuration(0), rig: .init(refusesJob: { dice.falls() }))
    let other = try network.start(network.configuration(1, seed: node))
    try waitUntil("it takes transactions") { try node.information().head.height >= 1 }
    let genesis = try other.chainInformation().genesis
    var hashes: [Hash256] = []
    for nonce in 0..<20 as Range<UInt64> {
      let bytes = network.transfer(of: 1, nonce: nonce, on: genesis).encoded
      try waitUntil("transaction \(nonce) is taken") {
        guard case .submitted(let hash) = try node.askAndWait(.submit(bytes)) else { return false }
        hashes.append(hash)
        return true
      }
    }
    try waitUntil("all are confirmed, there and at its peer") {
      try [node, other].allSatisfy { node in
        try hashes.allSatisfy { try Self.isConfirmed($0, node) }
      }
    }
    #expect(hashes.count == 20 && dice.fallen >= 20)
  }

  /// Asks until the question itself is not refused.
  private static func isConfirmed(_ hash: Hash256, _ node: Node) throws -> Bool {
    while true {
      switch try node.askAndWait(.transaction(hash)) {
      case .transaction(_, .confirmed): return true
      case .unavailable: continue
      default: return false
      }
    }
  }

  /// What comes of work is taken although the core's queue is full, and the chain goes on.
  @Test(.ownThread) func resultsFindRoom() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let (jobs, hold) = (Gate(isOpen: true), Gate())
    let maximum = 512
    let node = try network.start(network.configuration(0), rig: .init(inputsMaximum: maximum, willRunJob: { jobs.pass() }))
    let genesis = try node.chainInformation().genesis
    let answered = Gate()
    try waitUntil("it takes transactions") { try node.information().head.height >= 1 }
    jobs.close()
    node.ask(.submit(network.transfer(of: 1, nonce: 0, on: genesis).encoded)) { if case .submitted = $0 { answered.open() } }
    // Asked behind it, so that the transaction is with the pool.
    _ = try node.information()
    try waitUntil("work is under way") { jobs.waiting > 0 }
    let core = try #require(node.core)
    core.execute { _, _, _ in hold.pass() }
    try waitUntil("the core is held") { hold.waiting == 1 }
    let refused = Counter()
    for _ in 0..<2 * maximum { node.ask(.info) { if case .unavailable = $0 { refused.add() } } }
    #expect(refused.value == maximum)
    jobs.open()
    try waitUntil("the results are there") { jobs.passed > 0 && jobs.waiting == 0 && core.depth > maximum }
    hold.open()
    try waitUntil("the transaction is answered") { answered.isOpen }
    try waitUntil("it goes on") { try node.information().head.height >= 3 }
  }

  /// The chain's batches have a thread of their own, so that no job of the others can keep them from being stored.
  @Test(.ownThread) func batchesWaitForNoOtherJob() throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let writers = Recorder<String>()
    let node = try network.start(network.configuration(0), rig: .init(wrapStore: { NotingStore($0) { writers.add(Self.threadName) } }))
    try waitUntil("blocks are made") { try node.information().head.height >= 2 }
    // What the start itself writes is written where the node is made.
    #expect(Set(writers.values).subtracting([Self.threadName]) == ["writer-0"])
  }

  private static var threadName: String {
    let name = try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)
    return name?.trimmingCharacters(in: .newlines) ?? "?"
  }

  /// A store that tells of each commit.
  private final class NotingStore: KeyValueStore {
    let base: any KeyValueStore
    let note: @Sendable () -> Void
    init(_ base: any KeyValueStore, _ note: @escaping @Sendable () -> Void) { (self.base, self.note) = (base, note) }
    func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { try base.get(table, key) }
    func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
      try base.scan(table, from: start, limit: limit)
    }
    func commit(_ batch: WriteBatch) throws(StoreError) {
      note()
      try base.commit(batch)
    }
  }

  /// Decides by lot, from any thread.
  private final class Dice: @unchecked Sendable {
    private let lock = Lock()
    private var generator: SeededGenerator
    private var count = 0

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    var fallen: Int { lock.withLock { count } }

    func falls() -> Bool {
      lock.withLock {
        guard generator.unit() < 0.5 else { return false }
        count += 1
        return true
      }
    }
  }
}
