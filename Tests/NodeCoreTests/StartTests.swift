import Crypto
import Identity
import Ledger
import Store
import Testing
import Wire

@testable import NodeCore
@testable import Peering

@Suite struct StartTests {
  /// A chain that stands still has the node look further, three block times after the last head and again as long; a new head ends it.
  @Test func aChainThatStandsStillIsNoticed() throws {
    var watchdog = Watchdog(blockTime: .seconds(5), now: .zero)
    #expect(watchdog.deadline == .zero + .seconds(15))
    watchdog.strike(now: .zero + .seconds(1_000))
    #expect(watchdog.strikes == 1 && watchdog.deadline == .zero + .seconds(1_015), "however late, it is one strike")
    let hadStood = [1_016, 1_017].map { watchdog.progressed(now: .zero + .seconds($0)) }
    #expect(hadStood == [true, false] && watchdog.deadline == .zero + .seconds(1_032))

    let crypto = SystemCrypto()
    let key = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
    let genesis = GenesisConfiguration(
      chainID: "test", time: WallTime(milliseconds: 1_000_000), authorities: [try #require(Address(key.publicKey))])
    let clock = WallClock(now: .zero, wall: genesis.time)
    let chain = try Chain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: ProofOfAuthority(genesis: genesis),
      store: MemoryStore(), crypto: crypto, clock: clock, now: .zero)
    let core = NodeCore(
      key: NodeKey(seed: [UInt8](repeating: 3, count: 32), crypto: crypto), crypto: crypto, configuration: .init(), genesis: genesis,
      chain: chain, clock: clock, seed: 1, now: .zero)
    var noticed: [Duration] = []
    for second in 0...50 {
      for case .event(.stoodStill(let duration, _)) in core.handle(.timer, now: .zero + .seconds(second)) { noticed.append(duration) }
    }
    #expect(noticed == [.seconds(15), .seconds(30), .seconds(45)])
    #expect(core.host.peering.outboundWanted == core.configuration.host.peering.outboundMinimum + 3)
  }

  /// What opening the chain left to write goes out with the first input: were it lost, nothing would ever be stored again.
  @Test func cleaningThePoolAtTheStartDoesNotStopTheStore() throws {
    let crypto = SystemCrypto()
    let user = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
    let address = try #require(Address(user.publicKey))
    let genesis = GenesisConfiguration(
      chainID: "test", time: WallTime(milliseconds: 1_000_000), authorities: [address], balances: [address: 1_000_000])
    let ledger = AccountLedger(genesis: genesis, crypto: crypto)
    let store = MemoryStore()
    let clock = WallClock(now: .zero, wall: genesis.time)
    func open() throws -> Chain<AccountLedger, ProofOfAuthority> {
      try Chain.open(
        genesis: genesis, ledger: ledger, consensus: ProofOfAuthority(genesis: genesis), store: store, crypto: crypto, clock: clock,
        now: .zero)
    }
    _ = try open()
    // A pending transaction that can't be read any more.
    var batch = WriteBatch()
    batch.put(StoreTable("pool"), [UInt8](repeating: 7, count: 32), [1, 2, 3])
    try store.commit(batch)

    let core = NodeCore(
      key: user, crypto: crypto, configuration: .init(), genesis: genesis, chain: try open(), clock: clock, seed: 1, now: .zero)
    #expect(core.nextDeadline == .zero)
    var stored: [CommitID] = []
    func send(_ input: NodeCore<AccountLedger, ProofOfAuthority>.Input, _ now: Instant = .zero) {
      for case .store(let id, _) in core.handle(input, now: now) { stored.append(id) }
    }
    send(.timer)
    #expect(stored.count == 1)
    send(.committed(try #require(stored.first)))
    // Nobody answers, so that it goes on alone.
    for second in 1...10 { send(.timer, .zero + .seconds(second)) }
    let transaction = Transaction(
      chain: genesis.hash(crypto: crypto), nonce: 0, fee: 100, payload: .transfer(to: address, amount: 1), key: user, crypto: crypto)
    for output in core.handle(.query(QueryID(rawValue: 1), .submit(transaction.encoded)), now: .zero + .seconds(10)) {
      if case .work(let id, let work) = output { send(.workDone(id, work.run(crypto: crypto)), .zero + .seconds(10)) }
    }
    #expect(stored.count >= 2, "an accepted transaction is stored")
    // The wall clock reaches all parts: a ban of a minute is over after one asleep.
    let now = Instant.zero + .seconds(10)
    send(.host(.command(.ban(.peer(user.peerID), for: .seconds(60), "x"))), now)
    #expect(core.host.peering.bans(now: now).count == 1)
    send(.clock(WallClock(now: now, wall: genesis.time + .seconds(71))), now)
    #expect(core.host.peering.bans(now: now).isEmpty)
  }
}
