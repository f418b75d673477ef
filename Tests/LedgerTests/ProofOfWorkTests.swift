import Identity
import Testing
import Wire

@testable import Ledger

/// FEATURES V5: compact target, retarget, coinbase, most work.
@Suite struct ProofOfWorkTests {
  private typealias WorkChain = Chain<AccountLedger, StandardConsensus>

  private let keys = (1...2).map { NodeKey(seed: [UInt8]($0..<$0 + 32), crypto: crypto) }

  private func genesis() -> GenesisConfiguration {
    GenesisConfiguration(
      chainID: "work", time: WallTime(milliseconds: 1_000_000), authorities: [], blockTime: .seconds(1), blockReward: 50,
      consensus: .proofOfWork,
      workTarget: 0x200f_ffff)
  }

  @Test func compactTargets() throws {
    for bits in [0, 0x1300_8000, 0x2100_8000, 0x2000_7fff, 0x2080_0000] as [UInt32] { #expect(CompactTarget(bits: bits) == nil, "\(bits)") }
    let target = try #require(CompactTarget(bits: 0x1d00_ffff))
    // Bitcoin's first target: difficulty 1, 2^32 + 65,537 hashes.
    #expect(target.work == 4_295_032_833)
    #expect(target.accepts(Hash256(hex: "00000000ffff" + String(repeating: "0", count: 52))!))
    #expect(!target.accepts(Hash256(hex: "00000000ffff" + String(repeating: "0", count: 51) + "1")!))
    #expect(CompactTarget.easiest.work == 2)
    #expect(target.scaled(by: 0) == target)
    #expect(target.scaled(by: 65_536).bits == 0x1d01_fffe)
    #expect(target.scaled(by: -65_536).bits == 0x1c7f_ff80)
    // The square root of one half, to two in ten thousand.
    let half = target.scaled(by: 32_768).work
    #expect(half > 3_036_440_000 && half < 3_037_654_000)
    #expect(target.scaled(by: Int128.max) == .easiest && target.scaled(by: Int128.min) == .hardest)
    var previous = target.scaled(by: -300_000).work
    for exponent in stride(from: -299_000, through: 300_000, by: 1000) {
      let work = target.scaled(by: Int128(exponent)).work
      #expect(work <= previous && CompactTarget(bits: target.scaled(by: Int128(exponent)).bits) != nil)
      previous = work
    }
  }

  @Test func theTargetFollowsTheClock() {
    var genesis = genesis()
    genesis.workTarget = 0x1d00_ffff
    let engine = ProofOfWork(genesis: genesis)
    func work(_ height: UInt64, _ seconds: Int64) -> UInt128 {
      engine.target(
        after: ChainHead(
          hash: .zero, height: height, time: genesis.time + .seconds(seconds), slot: height, stateRoot: .zero,
          weight: ChainWeight(work: 0, slot: 0))
      ).work
    }
    #expect(work(1000, 1000) == work(0, 0))
    #expect(work(1000, 1072) < work(0, 0) * 51 / 100 && work(1000, 1072) > work(0, 0) * 49 / 100, "one half-life late")
    #expect(work(1000, 928) < work(0, 0) * 202 / 100 && work(1000, 928) > work(0, 0) * 198 / 100, "one half-life early")
  }

  /// A node that mines until its chain has `height` blocks, and each block's bytes.
  private func mine(_ key: NodeKey, to height: UInt64, milliseconds: Int) throws -> (WorkChain, [[UInt8]]) {
    let genesis = genesis()
    var chain = try open(genesis)
    var blocks: [[UInt8]] = []
    var now = Instant.zero
    var inputs: [WorkChain.Input] = [.setProducer(key), .setProducing(allowed: true)]
    while chain.head.height < height {
      if inputs.isEmpty {
        now = try #require(chain.nextDeadline)
        inputs.append(.timerFired)
      }
      let input = inputs.removeFirst()
      for output in chain.handle(input, now: now) {
        switch output {
        case .work(let id, let work):
          now += .milliseconds(milliseconds)
          inputs.append(.workDone(id, work.run(crypto: crypto)))
        case .store(let id, let batch):
          try chain.store.commit(batch)
          inputs.append(.committed(id))
        case .relayBlock(_, let bytes, _): blocks.append(bytes)
        case .event(.doubleSeal): Issue.record("mining is no offence")
        default: break
        }
      }
      chain.checkInvariants()
    }
    return (chain, blocks)
  }

  private func open(_ genesis: GenesisConfiguration) throws -> WorkChain {
    try WorkChain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: StandardConsensus(genesis: genesis),
      store: MemoryStore(), crypto: crypto, clock: WallClock(now: .zero, wall: genesis.time), now: .zero)
  }

  @Test func mostWorkWinsNotMostBlocks() throws {
    // The slow miner's target grows, the fast one's shrinks: its blocks are fewer but harder.
    let (slow, slowBlocks) = try mine(keys[0], to: 40, milliseconds: 1100)
    let (fast, fastBlocks) = try mine(keys[1], to: 36, milliseconds: 20)
    #expect(fast.head.weight.work > slow.head.weight.work && fast.head.height < slow.head.height)
    let miner = Address(keys[1].publicKey)!
    #expect(fast.tipState.account(miner, crypto: crypto).balance == Amount(36 * 50), "the reward of each block")

    for order in [slowBlocks + fastBlocks, fastBlocks + slowBlocks] {
      var chain = try open(genesis())
      var verdicts: [BlockVerdict] = []
      for (index, bytes) in order.enumerated() {
        var inputs: [WorkChain.Input] = [.blockReceived(bytes, .local, ValidationToken(rawValue: UInt64(index)))]
        while let input = inputs.popLast() {
          for output in chain.handle(input, now: .zero + .seconds(1000)) {
            switch output {
            case .work(let id, let work): inputs.append(.workDone(id, work.run(crypto: crypto)))
            case .store(let id, let batch):
              try chain.store.commit(batch)
              inputs.append(.committed(id))
            case .blockVerdict(_, let verdict): verdicts.append(verdict)
            default: break
            }
          }
        }
      }
      #expect(verdicts.allSatisfy { if case .accepted = $0 { true } else { false } } && verdicts.count == order.count)
      #expect(chain.head == fast.head)
      #expect(chain.tipState.root == fast.tipState.root)
    }
  }

  @Test func headerRules() throws {
    let (chain, blocks) = try mine(keys[0], to: 3, milliseconds: 10)
    let engine = ProofOfWork(genesis: genesis())
    let bytes = blocks[2]
    let header = try Block(encoded: bytes.rawSpan).header
    let parent = try #require(chain.nodes[header.parent]).head
    try engine.check(header, parent: parent)
    #expect(engine.hasValidSeal(header, crypto: crypto))
    let table: [(inout BlockHeader) -> Void] = [
      { $0.slot = 9 }, { $0.time = parent.time }, { $0.consensusData[3] ^= 1 }, { $0.consensusData = [] }, { $0.seal = [] },
      { $0.seal.append(0) },
    ]
    for change in table {
      var mutant = header
      change(&mutant)
      #expect(throws: BlockError.self) { try engine.check(mutant, parent: parent) }
    }
    // Fifteen of sixteen nonces miss.
    let misses = (0..<64 as Range<UInt64>).filter { nonce in
      var mutant = header
      mutant.seal = []
      mutant.seal.appendBigEndian(nonce &+ 1 << 40)
      return !engine.hasValidSeal(mutant, crypto: crypto)
    }
    #expect(!misses.isEmpty)
  }
}
