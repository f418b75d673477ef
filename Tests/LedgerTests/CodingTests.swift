import Testing
import Wire

@testable import Ledger

@Suite struct CodingTests {
  let world = World()

  private var samples: [Transaction] {
    [
      world.transfer(0, 1, 5, nonce: 0), world.transfer(0, 1, 0, nonce: 300, fee: 0),
      world.data(1, .setData(key: [1], value: []), nonce: 7), world.data(1, .setData(key: [1, 2], value: [9, 9, 9]), nonce: 7),
      world.data(2, .deleteData(key: [4]), nonce: 1 << 40, fee: Amount(.max)),
    ]
  }

  @Test func transactionsRoundTripAndRefuseAnyOtherForm() throws {
    for transaction in samples {
      let bytes = transaction.encoded
      #expect(try Transaction(encoded: bytes.rawSpan) == transaction)
      for end in 0..<bytes.count { #expect(throws: LedgerError.self) { try Transaction(encoded: Array(bytes[..<end]).rawSpan) } }
      #expect(throws: LedgerError.self) { try Transaction(encoded: (bytes + [0]).rawSpan) }
      #expect(throws: LedgerError.self) { try Transaction(encoded: (bytes + [0x80, 0x01, 0x00]).rawSpan) }
      // A padded nonce, which a lenient reader takes for the same.
      var padded = Array(bytes[..<68])
      #expect(bytes[68] == 3 << 3)
      let end = 69 + Varint.size(transaction.nonce)
      padded += bytes[68..<end - 1] + [bytes[end - 1] | 0x80, 0x00] + bytes[end...]
      #expect(throws: LedgerError.malformed("not the canonical encoding")) { try Transaction(encoded: padded.rawSpan) }
    }
  }

  @Test func layoutIsFixed() throws {
    let transaction = Transaction(
      chain: .zero, sender: Address([UInt8](repeating: 1, count: 32))!, nonce: 2, fee: 3,
      payload: .transfer(to: Address([UInt8](repeating: 4, count: 32))!, amount: 300), signature: [UInt8](repeating: 5, count: 64))
    let hex =
      "0a20" + String(repeating: "00", count: 32) + "1220" + String(repeating: "01", count: 32) + "1802" + "2003" + "2a25" + "0a20"
      + String(repeating: "04", count: 32) + "10ac02" + "7a40" + String(repeating: "05", count: 64)
    #expect(Base16.encode(transaction.encoded) == hex)
  }

  @Test func blocksRoundTripAndRefuseAnyOtherForm() throws {
    var branch = Branch(world)
    let block = try branch.add(slot: 1, [world.transfer(0, 1, nonce: 0), world.transfer(1, 2, nonce: 0)])
    let bytes = block.encoded
    #expect(try Block(encoded: bytes.rawSpan) == block)
    for end in 0..<bytes.count {
      guard let cut = try? Block(encoded: Array(bytes[..<end]).rawSpan) else { continue }
      // Cut between two transactions it is a block, but not the one that the header commits to.
      #expect(cut.header == block.header && cut.transactions.count < 2)
    }
    #expect(throws: BlockError.self) { try Block(encoded: (bytes + [0]).rawSpan) }
    var limits = GenesisConfiguration.Limits()
    limits.blockTransactions = 1
    #expect(throws: BlockError.tooManyTransactions(limit: 1)) { try Block(encoded: bytes.rawSpan, limits: limits) }
    limits.blockBytes = bytes.count - 1
    #expect(throws: BlockError.tooLarge(bytes: bytes.count, limit: bytes.count - 1)) { try Block(encoded: bytes.rawSpan, limits: limits) }
  }

  @Test func randomBytesNeverTrap() throws {
    let seed: UInt64 = 77
    var random = SeededGenerator(seed: seed)
    var branch = Branch(world)
    let block = try branch.add(slot: 1, [world.transfer(0, 1, nonce: 0)]).encoded
    let transaction = world.data(1, .setData(key: [1, 2], value: [9, 9, 9]), nonce: 7).encoded
    let proof = StateTree((0..<9).map { _ in (key: random.hash(), value: [1]) }, crypto: crypto).proof(of: .zero).encoded
    let ledger = world.ledger
    var taken = 0
    for round in 0..<20_000 {
      var bytes = [block, transaction, proof, random.bytes(random.index(below: 80))][round & 3]
      for _ in 0...random.index(below: 3) where !bytes.isEmpty {
        switch random.index(below: 3) {
        case 0: bytes[random.index(below: bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.remove(at: random.index(below: bytes.count))
        default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: random.index(below: bytes.count))
        }
      }
      if let decoded = try? Transaction(encoded: bytes.rawSpan) {
        taken += 1
        #expect(decoded.encoded == bytes, "seed \(seed) round \(round)")
      }
      if let decoded = try? Block(encoded: bytes.rawSpan) {
        taken += 1
        #expect(decoded.encoded == bytes, "seed \(seed) round \(round)")
      }
      _ = try? StateProof(encoded: bytes.rawSpan)
      _ = try? UndoRecord(encoded: bytes.rawSpan)
      _ = try? ledger.inspect(bytes, crypto: crypto)
    }
    #expect(taken > 100, "the fuzzer should also find well-formed messages")
  }

  @Test func genesisHashCoversEverySetting() throws {
    let base = world.genesis
    var hashes: Set<Hash256> = [base.hash(crypto: crypto)]
    let changes: [(inout GenesisConfiguration) -> Void] = [
      { $0.chainID = "other" }, { $0.time = WallTime(milliseconds: 1) }, { $0.authorities.reverse() }, { $0.blockTime = .seconds(4) },
      { $0.balances.removeAll() }, { $0.blockReward = 1 }, { $0.consensus = .proofOfWork }, { $0.limits.transactionBytes += 1 },
      { $0.limits.blockBytes += 1 }, { $0.limits.blockTransactions += 1 }, { $0.limits.keyBytes += 1 }, { $0.limits.valueBytes += 1 },
      { $0.limits.minimumFee = 1 },
    ]
    for change in changes {
      var genesis = base
      change(&genesis)
      #expect(hashes.insert(genesis.hash(crypto: crypto)).inserted)
    }
    var bad = base
    bad.authorities = []
    #expect(throws: ChainError.badGenesis("authorities must name at least one key")) { try bad.validate() }
    bad = base
    bad.limits.blockBytes = 10 << 20
    #expect(throws: ChainError.badGenesis("a block must fit a message: 8 MiB at most")) { try bad.validate() }
    bad = base
    bad.balances = [world.address(0): Amount(.max), world.address(1): 1]
    #expect(throws: ChainError.badGenesis("balances add up to more than 18446744073709551615")) { try bad.validate() }
  }
}
