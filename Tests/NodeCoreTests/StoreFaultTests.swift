import Crypto
import Identity
import Ledger
import Store
import Testing
import Wire

@testable import NodeCore

@Suite struct StoreFaultTests {
  /// When the store fails, who waits for it alone is told that the transaction is pending; one that is still being verified may be bad, and is not
  /// called so.
  @Test func onlyWhatWasFoundGoodIsCalledPending() throws {
    let crypto = SystemCrypto()
    let user = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
    let address = try #require(Address(user.publicKey))
    let genesis = GenesisConfiguration(
      chainID: "test", time: WallTime(milliseconds: 1_000_000), authorities: [address], balances: [address: 1_000_000])
    let clock = WallClock(now: .zero, wall: genesis.time)
    let chain = try Chain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: ProofOfAuthority(genesis: genesis),
      store: MemoryStore(), crypto: crypto, clock: clock, now: .zero)
    let core = NodeCore(
      key: user, crypto: crypto, configuration: .init(), genesis: genesis, chain: chain, clock: clock, seed: 1, now: .zero)
    var now = Instant.zero
    var answers: [UInt64: Answer] = [:]
    var stored: CommitID?
    var work: [(WorkID, Chain<AccountLedger, ProofOfAuthority>.Work)] = []
    func send(_ input: NodeCore<AccountLedger, ProofOfAuthority>.Input) {
      for output in core.handle(input, now: now) {
        switch output {
        case .answer(let query, let answer): answers[query.rawValue] = answer
        case .store(let id, _): stored = id
        case .work(let id, let item): work.append((id, item))
        default: break
        }
      }
    }
    // Nobody answers, so that it goes on alone.
    for second in 1...10 {
      now = .zero + .seconds(second)
      send(.timer)
      if let id = stored { send(.committed(id)) }
      stored = nil
    }
    func submit(_ nonce: UInt64, isGood: Bool) {
      let transaction = Transaction(
        chain: genesis.hash(crypto: crypto), nonce: nonce, fee: 100, payload: .transfer(to: address, amount: 1), key: user, crypto: crypto)
      var bytes = transaction.encoded
      if !isGood { bytes[bytes.count - 1] ^= 1 }
      send(.query(QueryID(rawValue: nonce), .submit(bytes)))
    }
    submit(0, isGood: true)
    while !work.isEmpty {
      let (id, item) = work.removeFirst()
      send(.workDone(id, item.run(crypto: crypto)))
    }
    let commit = try #require(stored)
    submit(1, isGood: false)
    send(.commitFailed(commit, StoreError("no room")))
    guard case .notDurable(_, isPending: true)? = answers[0] else { throw Missing("\(answers)") }
    #expect(answers[1] == nil, "\(answers)")
    let (id, item) = try #require(work.first)
    send(.workDone(id, item.run(crypto: crypto)))
    guard case .refused? = answers[1] else { throw Missing("\(answers)") }
  }

  private struct Missing: Error {
    init(_ what: String) {}
  }
}
