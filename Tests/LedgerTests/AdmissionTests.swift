import Identity
import Testing
import Wire

@testable import Ledger

/// What strangers can make a chain hold, and what they can make it say, before a block is validated.
@Suite struct AdmissionTests {
  let world = World()
  private var stranger: ItemSource { .gossip(world.users[0].peerID) }
  private var honest: ItemSource { .gossip(world.users[1].peerID) }

  /// A block that nobody but the authority could seal, on a parent that nobody has.
  private func orphan(slot: UInt64, bytes: Int = 0, by forger: NodeKey? = nil, _ number: UInt8 = 0) throws -> Block {
    var branch = Branch(world)
    let block = try branch.add(slot: slot)
    let filling = bytes == 0 ? [] : (0..<(bytes / 8_000)).map { [UInt8(truncatingIfNeeded: $0)] + [UInt8](repeating: number, count: 7_990) }
    return resealed(block, by: forger ?? world.authorities[Int(slot) % 3], transactions: filling) {
      $0.height = 2
      $0.parent = Hash256([UInt8](repeating: 0xee, count: 31) + [number])!
      $0.transactionRoot = MerkleTree.root(of: filling.map { crypto.sha256($0) }, crypto: crypto)
    }
  }

  /// A block that waits is not known to be good: its copies get its verdict, and nothing is passed on meanwhile.
  @Test func aCopyOfAWaitingBlockGetsItsVerdict() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var branch = Branch(world)
    let good = try branch.add(slot: 1)
    let parent = resealed(good, by: world.authorities[1]) { $0.stateRoot = .zero }
    let child = resealed(try branch.add(slot: 2), by: world.authorities[2]) { $0.parent = parent.hash(crypto: crypto) }
    runner.works = false
    runner.receive(child, stranger)
    runner.runHeldWork()
    #expect(runner.verdicts == [1: .orphan(parent: parent.hash(crypto: crypto))])
    // In one batch: the answer to the question for the parent, and both again by gossip.
    #expect(runner.receive(parent, .sync(world.users[0].peerID)) == nil)
    #expect(runner.receive(parent, honest) == nil)
    #expect(runner.receive(child, honest) == nil)
    runner.runHeldWork(sealsOnly: true)
    #expect(runner.receive(parent, .local) == nil && runner.receive(child, .local) == nil)
    #expect(runner.verdicts.count == 1)
    runner.runHeldWork()
    let wrong = BlockVerdict.invalid(.wrongStateRoot(.zero, expected: good.header.stateRoot))
    let orphaned = BlockVerdict.invalid(.invalidAncestor(parent.hash(crypto: crypto)))
    #expect([2, 3, 5].map { runner.verdicts[$0] } == [wrong, wrong, wrong])
    #expect([4, 6].map { runner.verdicts[$0] } == [orphaned, orphaned])
    #expect(runner.relayedBlocks.isEmpty)

    // A good one's copies are known, once it is durable.
    runner.commits = false
    #expect(runner.receive(good, stranger) == nil && runner.receive(good, honest) == nil)
    runner.runHeldWork()
    #expect(runner.receive(good, .local) == nil)
    #expect(runner.verdicts[7] == nil && runner.verdicts[8] == nil)
    while !runner.held.isEmpty {
      let (id, batch) = runner.held.removeFirst()
      try runner.store.commit(batch)
      runner.send(.committed(id))
    }
    let hash = good.hash(crypto: crypto)
    #expect([7, 8, 9].map { runner.verdicts[$0] } == [.accepted(hash), .known(hash), .known(hash)])
  }

  @Test func copiesThatWaitAreBounded() throws {
    var configuration = ChainConfiguration()
    configuration.copiesWaiting = 3
    configuration.copiesOfPeer = 2
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    var branch = Branch(world)
    let block = try branch.add(slot: 1)
    runner.works = false
    let sources = [stranger, stranger, stranger, honest, .local, .local]
    #expect(sources.map { runner.receive(block, $0) } == [nil, nil, .refused(.busy), nil, nil, .refused(.busy)])
    runner.runHeldWork()
    #expect(Set(runner.verdicts.keys) == Set(1...6))
  }

  /// A copy of an orphan that comes in a range behind its parent belongs to the range: it is no orphan any more.
  @Test func anOrphanThatARangeBringsAgainIsNoOrphan() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var branch = Branch(world)
    for slot in 1...3 as ClosedRange<UInt64> { try branch.add(slot: slot) }
    runner.receive(branch.blocks[2], honest)
    runner.receive(branch.blocks[1], honest)
    #expect(runner.chain.statistics.orphans == 2)
    runner.works = false
    for block in branch.blocks { #expect(runner.receive(block, .sync(world.users[0].peerID)) == nil) }
    runner.runHeldWork(sealsOnly: true)
    #expect(runner.chain.statistics.orphans == 0 && runner.chain.statistics.queuedBlocks == 3)
    runner.runHeldWork()
    #expect(
      (3...5).map { runner.verdicts[$0] } == branch.blocks.map { .accepted($0.hash(crypto: crypto)) }.prefix(1)
        + branch.blocks.dropFirst().map { .accepted($0.hash(crypto: crypto)) })
    #expect(runner.chain.head == branch.head)
  }

  /// What needs no parent is checked before a block may wait for one.
  @Test func aForgedBlockDoesNotBecomeAnOrphan() throws {
    let forger = world.users[0]
    let key = world.authorities[2]
    let block = try orphan(slot: 2)
    let turn = BlockError.wrongTurn(slot: 2, producer: World.address(world.authorities[0]), expected: World.address(key))
    let table: [(String, Block, BlockVerdict)] = [
      ("seal", try orphan(slot: 2, by: forger), .invalid(.badSeal)),
      (
        "producer", resealed(block, by: forger) { $0.producer = World.address(forger) },
        .invalid(.unknownProducer(World.address(forger)))
      ),
      ("turn", resealed(block, by: world.authorities[0]) { $0.producer = World.address(world.authorities[0]) }, .invalid(turn)),
      (
        "time", resealed(block, by: key) { $0.time = WallTime(milliseconds: 1_000_001) },
        .invalid(.wrongTime(WallTime(milliseconds: 1_000_001), expected: WallTime(milliseconds: 1_010_000)))
      ),
      ("height", resealed(block, by: key) { $0.height = 3 }, .invalid(.slotTooEarly(slot: 2, height: 3))),
      ("data", resealed(block, by: key) { $0.consensusData = [1] }, .invalid(.badConsensusData("1 bytes where none belong"))),
      ("first height", resealed(block, by: key) { $0.height = 1 }, .refused(.final(height: 1, floor: 0))),
    ]
    for (name, block, verdict) in table {
      let runner = try Runner(world, now: .zero + .seconds(100))
      #expect(runner.receive(block, stranger) == verdict, "\(name)")
      #expect(runner.chain.statistics.orphans == 0 && runner.needed.isEmpty, "\(name)")
    }
    let runner = try Runner(world, now: .zero + .seconds(100))
    #expect(runner.receive(block, stranger) == .orphan(parent: block.header.parent))
  }

  /// A forged block is called forged though it is too old, too far ahead, or a third of its slot: what costs nothing would be sent without end.
  @Test func aForgedBlockIsNotExcusedByItsTime() throws {
    var configuration = ChainConfiguration()
    configuration.finalityDepth = 2
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    var branch = Branch(world)
    for slot in 1...6 as ClosedRange<UInt64> { runner.receive(try branch.add(slot: slot)) }
    #expect(runner.chain.finalHeight == 4)
    let old = try orphan(slot: 3)
    #expect(runner.receive(old, stranger) == .refused(.final(height: 2, floor: 4)))
    let next = try branch.add(slot: 300)
    guard case .future = runner.receive(next, stranger) else { throw BlockError.wrongChain }
    for block in [old, next] {
      #expect(runner.receive(resealed(block, by: world.users[0]) { _ in }, stranger) == .invalid(.badSeal))
    }
  }

  /// A block from a range is still passed on when gossip brings it, an old one never: everybody has it.
  @Test func onlyNewBlocksAreWorthPassingOn() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var branch = Branch(world)
    for slot in 1...12 as ClosedRange<UInt64> { runner.receive(try branch.add(slot: slot), .sync(world.users[0].peerID)) }
    #expect(
      branch.blocks.map { runner.chain.isNew($0.hash(crypto: crypto)) } == [Bool](repeating: false, count: 4)
        + [Bool](repeating: true, count: 8))
    #expect(!runner.chain.isNew(world.hash))
  }

  /// Orphans of a megabyte, as many as a stranger likes: blocks on known parents and own ones are taken as ever, and so are others' orphans.
  @Test func orphansTakeNoRoomFromAnybodyElse() throws {
    let runner = try Runner(world, now: .zero + .seconds(100))
    var branch = Branch(world)
    let first = try branch.add(slot: 1)
    let second = try branch.add(slot: 2)
    let third = try branch.add(slot: 4)
    runner.receive(first, honest)
    #expect(runner.receive(third, honest) == .orphan(parent: second.hash(crypto: crypto)))
    for slot in 3...90 as ClosedRange<UInt64> {
      let bad = try orphan(slot: 10 + slot % 9, bytes: 1_000_000, UInt8(slot))
      let verdict = runner.receive(bad, stranger)
      #expect(verdict == .orphan(parent: bad.header.parent) || verdict == .refused(.twin(slot: bad.header.slot)))
    }
    #expect((2...5).contains(runner.chain.statistics.orphans))
    #expect(runner.receive(second, honest) == .accepted(second.hash(crypto: crypto)))
    #expect(runner.chain.head == branch.head, "the honest peer's orphan has kept its place")
    runner.send(.setProducer(world.authorities[0]))
    runner.send(.setProducing(allowed: true))
    runner.advance(toSlot: 21, of: world)
    #expect(runner.chain.head.height == 4 && runner.chain.head.slot == 21)
  }

  @Test func orphansOfManyPeersShareTheRoom() throws {
    var configuration = ChainConfiguration()
    configuration.orphanBytes = 8_000
    configuration.orphanBytesOfPeer = 5_000
    configuration.orphanBytesMinimum = 1_000
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(1_000))
    let quiet = try orphan(slot: 5, 250)
    runner.receive(quiet, honest)
    for peer in 2...3 {
      for slot in 0..<9 as Range<UInt64> {
        runner.receive(try orphan(slot: 10 + UInt64(peer) * 10 + slot, UInt8(peer * 10) + UInt8(slot)), .gossip(world.users[peer].peerID))
      }
    }
    #expect(runner.chain.statistics.orphans == 8)
    #expect(runner.chain.waiting[quiet.hash(crypto: crypto)] != nil)
    // A block above the share is taken when it is the peer's only one.
    let large = try orphan(slot: 50, bytes: 8_000, 99)
    #expect(runner.receive(large, stranger) == .orphan(parent: large.header.parent))
    #expect(runner.chain.waiting[large.hash(crypto: crypto)] != nil)
  }

  /// What a peer may have waiting for a look at its seals is bounded, and is its own affair.
  @Test func unsealedBlocksAreBoundedByPeer() throws {
    var configuration = ChainConfiguration()
    configuration.unsealedBlocks = 2
    let runner = try Runner(world, configuration: configuration, now: .zero + .seconds(100))
    runner.works = false
    let blocks = try (1...4).map { try orphan(slot: 3, by: world.users[0], $0) }
    #expect(blocks.map { runner.receive($0, stranger) } == [nil, nil, .refused(.busy), .refused(.busy)])
    var branch = Branch(world)
    let good = try branch.add(slot: 1)
    #expect(runner.receive(good, honest) == nil)
    runner.runHeldWork()
    runner.works = true
    #expect(runner.verdicts[5] == .accepted(good.hash(crypto: crypto)))
    #expect(runner.receive(blocks[2], stranger) == .invalid(.badSeal), "there is room again")
  }

  @Test func anOwnBlockIsNeverBusy() throws {
    var configuration = ChainConfiguration()
    configuration.queuedBlocks = 2
    configuration.queuedBytes = 400
    let runner = try Runner(world, configuration: configuration)
    runner.send(.setProducer(world.authorities[1]))
    runner.send(.setProducing(allowed: true))
    runner.works = false
    runner.advance(toSlot: 4, of: world)
    let (id, build) = runner.work.removeFirst()
    // The queue is full of what others sent.
    var branch = Branch(world)
    for slot in 1...3 as ClosedRange<UInt64> { try branch.add(slot: slot) }
    #expect(branch.blocks.map { runner.receive($0, .sync(world.users[0].peerID)) } == [nil, .refused(.busy), .refused(.busy)])
    runner.send(.workDone(id, build.run(crypto: crypto)))
    runner.runHeldWork()
    #expect(runner.relayedBlocks.count == 1 && runner.chain.waiting.count == 0)
    #expect(!runner.events.contains { if case .ownBlockLost = $0 { true } else { false } })
  }

  /// An engine whose sealers follow from the parent's state leaves the seal to the block's execution.
  @Test func aSealThatCannotBeJudgedYetIsCheckedWithItsBlock() throws {
    let engine = Undecided(engine: world.consensus)
    var chain = try Chain.open(
      genesis: world.genesis, ledger: world.ledger, consensus: engine, store: MemoryStore(), crypto: crypto,
      clock: WallClock(now: .zero, wall: world.genesis.time), now: .zero + .seconds(100))
    var verdicts: [BlockVerdict] = []
    func receive(_ block: Block) {
      var inputs: [Chain<AccountLedger, Undecided>.Input] = [.blockReceived(block.encoded, .local, ValidationToken(rawValue: 1))]
      while !inputs.isEmpty {
        for output in chain.handle(inputs.removeFirst(), now: .zero + .seconds(100)) {
          switch output {
          case .work(let id, let work): inputs.append(.workDone(id, work.run(crypto: crypto)))
          case .store(let id, _): inputs.append(.committed(id))
          case .blockVerdict(_, let verdict): verdicts.append(verdict)
          default: break
          }
        }
      }
    }
    let forged = try orphan(slot: 2, by: world.users[0])
    receive(forged)
    var branch = Branch(world)
    let bad = resealed(try branch.add(slot: 1), by: world.users[0]) { _ in }
    receive(bad)
    receive(branch.blocks[0])
    #expect(
      verdicts == [.orphan(parent: forged.header.parent), .invalid(.badSeal), .accepted(branch.head.hash)])
  }
}

/// Proof of authority that says nothing of a seal before the parent is there.
private struct Undecided: Consensus {
  let engine: ProofOfAuthority
  var futureTolerance: Duration { engine.futureTolerance }
  func check(_ header: BlockHeader, parent: ChainHead) throws(BlockError) { try engine.check(header, parent: parent) }
  func judgeSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> SealVerdict { .undecided }
  func hasValidSeal(_ header: BlockHeader, crypto: any CryptoSuite) -> Bool { engine.hasValidSeal(header, crypto: crypto) }
  func weight(of header: BlockHeader, parent: ChainWeight) -> ChainWeight { engine.weight(of: header, parent: parent) }
  func opportunity(for producer: Address, after parent: ChainHead, at now: WallTime) -> ProductionOpportunity? {
    engine.opportunity(for: producer, after: parent, at: now)
  }
  func seal(_ header: BlockHeader, key: NodeKey, crypto: any CryptoSuite) -> BlockHeader? {
    engine.seal(header, key: key, crypto: crypto)
  }
}
