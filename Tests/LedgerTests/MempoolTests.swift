import Testing
import Wire

@testable import Ledger

@Suite struct MempoolTests {
  private let rich = Amount(1_000_000)

  /// The oldest come without a look at the others.
  @Test func theOldestComeFirst() throws {
    var pool = Mempool()
    let infos = (1...40).map { info($0, 0, fee: 100) }
    for info in infos { try pool.insert(info, nextNonce: 0, spendable: rich, now: .zero) }
    for info in infos.prefix(10) { pool.remove(info.id) }
    pool.remove(infos[12].id)
    #expect(pool.oldest(3).map(\.id) == [10, 11, 13].map { infos[$0].id })
    #expect(pool.oldest(1_000).map(\.id) == pool.transactions.map(\.id))
    #expect(Mempool().oldest(5).isEmpty)
  }

  private func info(_ sender: UInt8, _ nonce: UInt64, fee: UInt64, bytes: Int = 100, tag: UInt8 = 0) -> TransactionInfo {
    let address = Address([UInt8](repeating: sender, count: 32))!
    let content = [sender, UInt8(nonce & 255), UInt8(fee & 255), tag] + [UInt8](repeating: 0, count: max(0, bytes - 4))
    return TransactionInfo(id: crypto.sha256(content), sender: address, nonce: nonce, fee: Amount(fee), cost: Amount(fee), bytes: content)
  }

  private func names(_ infos: [TransactionInfo]) -> [String] { infos.map { "\($0.bytes[0]):\($0.nonce)" } }

  @Test func selectsByFeeInNonceOrder() throws {
    var pool = Mempool()
    for item in [info(1, 0, fee: 5), info(1, 1, fee: 50), info(2, 0, fee: 9), info(2, 2, fee: 99), info(3, 1, fee: 70), info(4, 0, fee: 9)]
    {
      try pool.insert(item, nextNonce: 0, spendable: rich, now: .zero)
    }
    let all = pool.select(maximumCount: 10, maximumBytes: 10_000) { _ in 0 }
    #expect(names(all) == ["2:0", "4:0", "1:0", "1:1"])
    #expect(names(pool.select(maximumCount: 2, maximumBytes: 10_000) { _ in 0 }) == ["2:0", "4:0"])
    #expect(names(pool.select(maximumCount: 10, maximumBytes: 220) { _ in 0 }) == ["2:0", "4:0"])
    #expect(names(pool.select(maximumCount: 10, maximumBytes: 10_000) { $0.bytes[0] == 3 ? 1 : 0 }).first == "3:1")
    #expect(pool.nextNonce(of: info(1, 0, fee: 0).sender, confirmed: 0) == 2)
  }

  @Test func replacementNeedsTenPercent() throws {
    var pool = Mempool()
    try pool.insert(info(1, 0, fee: 100), nextNonce: 0, spendable: rich, now: .zero)
    #expect(throws: MempoolError.known) { try pool.insert(info(1, 0, fee: 100), nextNonce: 0, spendable: rich, now: .zero) }
    #expect(throws: MempoolError.underpriced(fee: 109, needed: 110)) {
      try pool.insert(info(1, 0, fee: 109), nextNonce: 0, spendable: rich, now: .zero)
    }
    let replaced = try pool.insert(info(1, 0, fee: 110), nextNonce: 0, spendable: rich, now: .zero)
    #expect(replaced == [info(1, 0, fee: 100).id])
    #expect(pool.count == 1)
    pool.checkInvariants()
  }

  @Test func boundsAndEviction() throws {
    var configuration = Mempool.Configuration()
    configuration.transactions = 4
    configuration.transactionsPerSender = 3
    var pool = Mempool(configuration)
    for item in [info(1, 0, fee: 10), info(1, 1, fee: 2), info(2, 0, fee: 5), info(3, 0, fee: 7)] {
      try pool.insert(item, nextNonce: 0, spendable: rich, now: .zero)
    }
    #expect(throws: MempoolError.full(fee: 2)) { try pool.insert(info(4, 0, fee: 2), nextNonce: 0, spendable: rich, now: .zero) }
    var evicted = try pool.insert(info(4, 0, fee: 6), nextNonce: 0, spendable: rich, now: .zero)
    #expect(evicted == [info(1, 1, fee: 2).id])
    evicted = try pool.insert(info(5, 0, fee: 6), nextNonce: 0, spendable: rich, now: .zero)
    #expect(evicted == [info(2, 0, fee: 5).id])
    // The cheapest tail is what the newcomer builds on.
    #expect(throws: MempoolError.full(fee: 6)) { try pool.insert(info(5, 1, fee: 60), nextNonce: 0, spendable: rich, now: .zero) }
    #expect(throws: MempoolError.nonceTooFar(nonce: 3, limit: 2)) {
      try pool.insert(info(1, 3, fee: 60), nextNonce: 0, spendable: rich, now: .zero)
    }
    pool.checkInvariants()
  }

  @Test func removalLeavesNoTrailOfArrivals() throws {
    var pool = Mempool()
    for sender in UInt8(0)..<100 { try pool.insert(info(sender, 0, fee: 1), nextNonce: 0, spendable: rich, now: .zero) }
    // From both ends, so that what is gone stands before and behind what is left.
    for sender in Array(UInt8(0)..<49) + Array(51..<100) {
      pool.remove(info(sender, 0, fee: 1).id)
      pool.checkInvariants()
    }
    #expect(pool.count == 2)
    #expect(pool.expire(now: .zero + .seconds(3600)).count == 2)
    #expect(pool.nextExpiry == nil)
    pool.checkInvariants()
  }

  @Test func expiryAndSettling() throws {
    var pool = Mempool()
    try pool.insert(info(1, 0, fee: 1), nextNonce: 0, spendable: rich, now: .zero)
    try pool.insert(info(1, 1, fee: 1), nextNonce: 0, spendable: rich, now: .zero + .seconds(10))
    #expect(pool.nextExpiry == .zero + .seconds(3600))
    var left = pool.expire(now: .zero + .seconds(3599))
    #expect(left.isEmpty)
    left = pool.expire(now: .zero + .seconds(3600))
    #expect(left == [info(1, 0, fee: 1).id])
    #expect(pool.nextExpiry == .zero + .seconds(3610))
    try pool.insert(info(1, 2, fee: 1), nextNonce: 1, spendable: rich, now: .zero)
    left = pool.settle(info(1, 0, fee: 1).sender, nextNonce: 2, spendable: rich) { _ in true }
    #expect(left == [info(1, 1, fee: 1).id])
    left = pool.settle(info(1, 0, fee: 1).sender, nextNonce: 2, spendable: rich) { _ in false }
    #expect(left == [info(1, 2, fee: 1).id])
    #expect(pool.count == 0 && pool.bytes == 0 && pool.nextExpiry == nil)
    pool.checkInvariants()
  }

  @Test(arguments: [1, 2] as [UInt64])
  func invariantsHoldUnderRandomUse(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var configuration = Mempool.Configuration()
    configuration.transactions = 40
    configuration.bytes = 5000
    configuration.transactionsPerSender = 6
    configuration.lifetime = .seconds(200)
    var pool = Mempool(configuration)
    var confirmed: [UInt8: UInt64] = [:]
    for step in 0..<3000 {
      let now = Instant.zero + .seconds(step)
      let sender = UInt8(random.index(below: 20))
      let next = confirmed[sender] ?? 0
      switch random.index(below: 10) {
      case 0:
        for info in pool.select(maximumCount: 5, maximumBytes: 1000, nextNonce: { confirmed[$0.bytes[0]] ?? 0 }) {
          #expect(info.nonce == confirmed[info.bytes[0]] ?? 0, "seed \(seed) step \(step)")
          confirmed[info.bytes[0], default: 0] += 1
          pool.remove(info.id)
        }
      case 1: _ = pool.expire(now: now)
      default:
        let item = info(
          sender, next + UInt64(random.index(below: 8)), fee: UInt64(random.index(below: 50)), bytes: 50 + random.index(below: 300),
          tag: UInt8(random.index(below: 256)))
        _ = try? pool.insert(item, nextNonce: next, spendable: rich, now: now)
      }
      pool.checkInvariants()
    }
  }
}
