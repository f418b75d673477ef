import Foundation
import Identity
import Ledger
import NodeCore
import Starling
import Sync
import Testing
import Threads
import Wire

@testable import Node

/// What strangers ask a running node for costs its core's thread next to nothing, however much it is.
@Suite(.serialized) struct RequestTests {
  /// Thirty requests for a thousand transactions of one full block, and for ranges of blocks: nothing of it is read on the core's thread, and
  /// what is read elsewhere is what is answered. The node goes on making blocks, and one who asks a little is answered meanwhile.
  @Test func bigRequestsAreReadElsewhere() async throws {
    let network = try Network(authorities: 1, others: 8)
    defer { network.stop() }
    let watch = ReadWatch()
    let node = try network.start(network.configuration(0) { $0.network = "main" }, rig: .init(wrapStore: { watch.wrap($0) }))
    try await eventually("it takes transactions") { try node.information().head.height >= 1 }
    let genesis = try node.chainInformation().genesis
    var sent: [Transaction] = []
    for key in network.others {
      for nonce in 0..<64 as Range<UInt64> { sent.append(network.transfer(of: 1, nonce: nonce, on: genesis, by: key)) }
    }
    for transaction in sent { node.ask(.submit(transaction.encoded)) { _ in } }
    try await eventually("all are confirmed") { try node.information().pendingTransactions == 0 && isConfirmed(sent[511], node) }
    let ids = sent.map { $0.id(crypto: Network.crypto).bytes }
    let unknown = (0..<488).map { number in [UInt8](repeating: 9, count: 30) + [UInt8(number >> 8), UInt8(number & 255)] }

    let stranger = try await Stranger(to: node)
    _ = try await stranger.enter()
    let honest = try await Stranger(to: node)
    _ = try await honest.enter()
    try watch.watch(node)
    let before = watch.counts
    let height = try node.information().head.height
    let request = BytesList(ids + unknown).encoded
    let first = try await stranger.host.request(node.peerID, Stranger.protocols.transactions, request, timeout: patience)
    let answers = try await withThrowingTaskGroup(of: [[UInt8]]?.self) { group in
      for _ in 0..<30 {
        group.addTask {
          let answer = try? await stranger.host.request(node.peerID, Stranger.protocols.transactions, request, timeout: patience)
          return try answer.map { try BytesList(encoded: $0.rawSpan, maximum: 1_000).items }
        }
        group.addTask {
          let range = BlocksRequest.range(from: 1, count: 100).encoded
          _ = try? await stranger.host.request(node.peerID, Stranger.protocols.blocks, range, timeout: patience)
          return nil
        }
      }
      var answers = [try BytesList(encoded: first.rawSpan, maximum: 1_000).items]
      for try await answer in group { if let answer { answers.append(answer) } }
      return answers
    }
    // What was too much at once was refused before it was read, with a reason that the stranger hears and the node counts.
    #expect(answers.count < 31)
    for answer in answers { #expect(Set(answer) == Set(sent.map(\.encoded))) }
    guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
    #expect(statistics.streamRefusals[.rateLimited, default: 0] > 0)
    let few = try await honest.host.request(
      node.peerID, Stranger.protocols.transactions, BytesList([ids[0]]).encoded, timeout: patience)
    #expect(try BytesList(encoded: few.rawSpan, maximum: 1).items == [sent[0].encoded])
    #expect(try !honest.story().contains("offence"))
    let after = watch.counts
    #expect(after.coreBytes == before.coreBytes, "bytes read on the core's thread")
    // A place and the transaction itself for each that was found.
    let size = sent[0].encoded.count
    #expect(after.transactionBytes - before.transactionBytes <= (answers.count + 1) * 512 * (size + 4))
    try await eventually("it goes on") { try node.information().head.height > height }
    for stranger in [stranger, honest] { await stranger.host.close() }
  }

  private func isConfirmed(_ transaction: Transaction, _ node: Node) throws -> Bool {
    if case .transaction(_, .confirmed) = try node.askAndWait(.transaction(transaction.id(crypto: Network.crypto))) { true } else { false }
  }

  /// Whoever asked may take long over his answer, as for encoding it: the node does not wait for him.
  @Test func answersAreNoWorkForTheCore() async throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    let node = try network.start(network.configuration(0) { $0.network = "main" })
    try await eventually("there is a block") { try node.information().head.height >= 1 }
    let hold = Gate()
    defer { hold.open() }
    node.ask(.latestBlock) { answer in
      guard case .block = answer else { return }
      hold.pass()
    }
    try await eventually("an answer is held up") { hold.waiting == 1 }
    let height = try node.information().head.height
    try await eventually("it goes on") { try node.information().head.height >= height + 2 }
  }

  /// A peer keeps to its rate while the core is busy elsewhere: what waited is charged by when it came, not by when its turn has come.
  @Test func waitingForTheCoreIsNoOffence() async throws {
    let network = try Network(authorities: 1)
    defer { network.stop() }
    // More is earned between two streams than they cost, however quick this machine is; it does not matter where all are charged at once.
    let rate = RateLimits.Rate(perSecond: 100_000, burst: 200)
    let node = try network.start(network.configuration(0) { $0.network = "main" }, rig: .init(adjusts: { $0.host.rates.peer = rate }))
    let honest = try await Stranger(to: node) { $0.core.rates.peer = .init(perSecond: 100_000, burst: 100_000) }
    _ = try await honest.enter()
    let hold = Gate()
    try #require(node.core).execute { _, _, _ in hold.pass() }
    // As many as a peer may open at a time, of which 200 may come at once.
    var streams: [PeerStream] = []
    for _ in 0..<230 {
      streams.append(try await honest.host.openStream(to: node.peerID, protocols: [HostProtocols.goodbye]))
    }
    hold.open()
    guard case .statistics(let statistics) = try node.askAndWait(.statistics) else { throw Missing("no statistics") }
    // A service that the stranger asked for before its introduction may have been refused for that.
    #expect(statistics.streamRefusals[.rateLimited] == nil)
    #expect(statistics.reasons.offences == [:])
    for stream in streams { stream.reset() }
    await honest.host.close()
  }
}

/// Counts what is read of a store, and how much of it on the core's thread.
final class ReadWatch: @unchecked Sendable {
  struct Counts {
    var coreBytes = 0
    /// Bytes of transactions and of where they stand, on any thread.
    var transactionBytes = 0
  }

  private let lock = Lock()
  private var count = Counts()
  private var isCoreThread: () -> Bool = { false }
  var counts: Counts { lock.withLock { count } }

  /// Tells from here on what the core's thread reads.
  func watch(_ node: Node) throws {
    let loop = try #require(node.core).loop
    lock.withLock { isCoreThread = { loop.inLoop } }
  }

  func wrap(_ store: any KeyValueStore) -> any KeyValueStore { Watched(store, self) }

  fileprivate func note(_ bytes: Int, isPart: Bool) {
    lock.withLock {
      if isCoreThread() { count.coreBytes += bytes }
      if isPart { count.transactionBytes += bytes }
    }
  }

  private final class Watched: KeyValueStore {
    private let store: any KeyValueStore
    private let watch: ReadWatch

    init(_ store: any KeyValueStore, _ watch: ReadWatch) {
      self.store = store
      self.watch = watch
    }

    func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
      let value = try store.get(table, key)
      watch.note(value?.count ?? 0, isPart: false)
      return value
    }

    func get(_ table: StoreTable, _ key: [UInt8], in range: Range<Int>) throws(StoreError) -> [UInt8]? {
      let value = try store.get(table, key, in: range)
      watch.note(value?.count ?? 0, isPart: true)
      return value
    }

    func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
      try scan(table, from: start, limit: limit, maximumBytes: .max)
    }

    func scan(
      _ table: StoreTable, from start: [UInt8], limit: Int, maximumBytes: Int
    ) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
      let rows = try store.scan(table, from: start, limit: limit, maximumBytes: maximumBytes)
      watch.note(rows.reduce(0) { $0 + $1.value.count }, isPart: false)
      return rows
    }

    func commit(_ batch: WriteBatch) throws(StoreError) { try store.commit(batch) }
  }
}
